"""The comparison of the same pairs on DuckDB and on local Spark, and the blocking before it: `make benchmark-engines`.

Records are those of `linkage.py`, the model is the shipped one. Both engines have all cores of this machine; what
Spark takes to start is measured apart, by a comparison of one pair.
"""

# ruff: noqa: S608 - SQL is put together from the names and numbers that stand here

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import psutil

from benchmarks.scale.linkage import describe_run
from benchmarks.scale.match_inputs import make_match_inputs
from sevenfold.settings import get_settings
from splink_models.model import DEFAULT_MODEL, SHIPPED_MODELS, SPARK, Model, load_model
from splink_models.scoring import predict, prepare_workspace
from splink_models.settings import STORED_PROBABILITY
from splink_models.spark import predict_on_spark
from splink_models.workspace import block_pairs, count, open_workspace, show_compared_records

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Measure, and add the figures to `results/engines.json`."""
    parser = argparse.ArgumentParser(prog="make benchmark-engines", description=main.__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20261126, help="of the simulated people")
    asked = parser.parse_args()
    path = RESULTS / "engines.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with tempfile.TemporaryDirectory(prefix="sevenfold-engines-") as folder:
        os.environ |= {"SEVENFOLD_HOME": folder, "SEVENFOLD_SPARK_MASTER": "local[*]"}
        get_settings.cache_clear()
        file = make_match_inputs(Path(folder), asked.records, asked.seed)
        content[str(asked.records)] = describe_run(asked.seed) | measure(Path(folder), file)
    ordered = {key: content[key] for key in sorted(content, key=int)}
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def measure(home: Path, file: Path) -> dict[str, Any]:
    """Block once, compare twice; per part what it took, and how many pairs the engines keep and weigh otherwise."""
    model = replace(load_model(SHIPPED_MODELS / DEFAULT_MODEL), engine=SPARK)  # its records serve both engines
    parts: dict[str, Any] = {"load_before": round(os.getloadavg()[0], 2)}
    with open_workspace(home) as workspace:
        workspace.execute(f"create table match_inputs as select * exclude (place) from read_parquet('{file}')")
        parts["blocking"] = taken(lambda: block(workspace, model))
        parts["pairs"] = count(workspace, "blocked_pairs")
        prior = model.prior_for(count(workspace, "kept.match_inputs"))
        parts["duckdb"] = taken(lambda: keep(workspace, "of_duckdb", predict(workspace, model, STORED_PROBABILITY)))
        workspace.execute("create table all_pairs as from blocked_pairs")
        for name, pairs in (("spark_start", "from all_pairs limit 1"), ("spark", "from all_pairs")):
            workspace.execute(f"create or replace view blocked_pairs as {pairs}")
            parts[name] = taken(
                lambda: keep(workspace, "of_spark", predict_on_spark(workspace, model, prior, STORED_PROBABILITY))
            )
        parts |= compare(workspace)
    return parts


def block(workspace: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Everything before the comparison: derived columns, demoted values, keys, pairs."""
    prepare_workspace(workspace, model)
    workspace.execute(
        "create table new_records as select record_number, source_record_id, state from kept.record_states"
    )
    workspace.execute("drop table records")
    list(block_pairs(workspace, model.blocking_rules, float("inf"), 0))
    show_compared_records(workspace)


def keep(workspace: duckdb.DuckDBPyConnection, table: str, predictions: str) -> None:
    """Keep an engine's weights."""
    columns = "record_number_l, record_number_r, match_weight"
    workspace.execute(f"create or replace table {table} as select {columns} from {predictions}")


def compare(workspace: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count the pairs that one engine or both keep, and those that they weigh otherwise, by more than rounding."""
    ((duckdbs, sparks, differing),) = workspace.execute("""
        select
            count(one.match_weight), count(other.match_weight),
            count(*) filter (where abs(one.match_weight - other.match_weight) > 0.0001)
        from of_duckdb as one full join of_spark as other using (record_number_l, record_number_r)
    """).fetchall()
    return {"kept_by_duckdb": duckdbs, "kept_by_spark": sparks, "weighed_otherwise": differing}


def taken(work: Callable[[], None]) -> dict[str, float]:
    """Wall and processor seconds; those of Java count, which lives on beside this process."""
    seconds, processor = time.monotonic(), _spent()
    work()
    return {"seconds": round(time.monotonic() - seconds, 1), "processor_seconds": round(_spent() - processor, 1)}


def _spent() -> float:
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [process.cpu_times() for process in family]
    own = times[0]
    return float(sum(time.user + time.system for time in times) + own.children_user + own.children_system)


if __name__ == "__main__":
    main()
