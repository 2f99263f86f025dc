"""Linkage alone: all records, then a hundredth more, then ten, then none, in one run: `make benchmark-linkage`.

The stages are those of a run (`score`, `decide`, `connect`), in a throwaway warehouse with the shipped model and rules,
in one process. Before the first measurement they run on no record at all, so that no step pays for imports; what a
step without news costs is measured last. Between the steps the server's tables are vacuumed, charged to no step.
"""

import argparse
import datetime as dt
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.scale.match_inputs import load_match_inputs, make_match_inputs
from benchmarks.scale.usage import Usage, measured, server_process
from sevenfold import fingerprint, runs, stages
from sevenfold.link import throwaway_warehouse
from sevenfold.warehouse import arrow_connection, connect

RESULTS = Path(__file__).resolve().parent / "results"
STAGES = ("score", "decide", "connect")
RUN_ID = "benchmark"
ALL = "all records"


def main() -> None:
    """Measure, add the figures to `results/linkage.json` and write `results/linkage.md`."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="sevenfold-scale-") as folder, throwaway_warehouse(Path(folder)):
        measured_steps = measure(Path(folder), asked.records, asked.seed)
    path = RESULTS / "linkage.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content[str(asked.records)] = describe_run(asked.seed) | {"steps": measured_steps}
    ordered = {key: content[key] for key in sorted(content, key=int)}
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "linkage.md").write_text(table(ordered), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make benchmark-linkage", description=main.__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records of the full linkage")
    parser.add_argument("--seed", type=int, default=20261126, help="of the simulated people")
    return parser.parse_args()


def describe_run(seed: int) -> dict[str, Any]:
    """When, on what and by what code a measurement was made."""
    return {
        "measured_at": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "machine": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}",
        "commit": fingerprint.commit().identifier,
        "seed": seed,
    }


def measure(folder: Path, records: int, seed: int) -> dict[str, Any]:
    """Link so many records, and then the deltas; per step and stage what it took and made."""
    hundredth = max(records // 100, 1)
    file = make_match_inputs(folder, records + hundredth + 10, seed)
    runs.open_run(runs.RunRequest(RUN_ID, RUN_ID, dt.datetime.now(dt.UTC).date(), runs.COMMAND_LINE))
    stages.run_stage(RUN_ID, "load_rules")
    import splink  # noqa: F401 - heavy, and no record at all would not need it

    grown = [0, records, records + hundredth, records + hundredth + 10]
    add_records(file, 1, 0)
    link_once("imports")
    steps = {}
    for name, before, after in zip((ALL, "one in a hundred more", "ten more"), grown, grown[1:], strict=False):
        add_records(file, before + 1, after)
        steps[name] = {"records_added": after - before} | link_once(name)
    steps["none more"] = {"records_added": 0} | link_once("none more")
    return steps


def add_records(file: Path, first: int, last: int) -> None:
    """Let the sources hold more records, and the server be at rest."""
    with arrow_connection("transformer") as warehouse:
        load_match_inputs(warehouse, file, first, last)
    vacuum()


def vacuum() -> None:
    """Tidy the tables that linkage writes, so that no step pays for what the one before has left."""
    with connect("transformer", autocommit=True) as connection:
        for table_name in ("match_scores", "match_scored_records", "match_components", "int_match_inputs"):
            connection.execute(f"vacuum (analyze) intermediate.{table_name}".encode())
        if connection.execute("select to_regclass('intermediate.int_match_decisions') is not null").fetchone() == (
            True,
        ):
            connection.execute("vacuum (analyze) intermediate.int_match_decisions")


def link_once(name: str) -> dict[str, Any]:
    """Run the stages once."""
    with connect() as connection:
        server = server_process(connection.info.backend_pid)
    taken: dict[str, Usage] = {}
    rows: dict[str, int | None] = {}
    for stage_code in STAGES:
        with measured(server) as taken[stage_code]:
            rows[stage_code] = stages.run_stage(RUN_ID, stage_code)["rows"]
    spent = {code: round(usage.processor_seconds, 1) for code, usage in taken.items()}
    print(name, spent, flush=True)  # noqa: T201 - progress of a program
    vacuum()
    return {"stages": {code: asdict(usage) | {"rows": rows[code]} for code, usage in taken.items()}}


def table(content: dict[str, Any]) -> str:
    """All figures as Markdown."""
    lines = [
        "# Linkage and deltas, measured\n",
        "Written by `make benchmark-linkage`; per stage in `linkage.json`. Processor seconds are those of the process "
        "and of the server together; the share is of the first row's. `load` is the load average before the step.\n",
        "| records | step | processor s | share | of it score / decide / connect | wall s | share | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for records, run in content.items():
        whole = _sums(run["steps"][ALL])
        for name, step in run["steps"].items():
            processor, wall = _sums(step)
            per_stage = " / ".join(f"{_processor(usage):.1f}" for usage in step["stages"].values())
            shares = [f"{part / all_:.1%}" for part, all_ in zip((processor, wall), whole, strict=True)]
            load = str(step["stages"]["score"]["load_before"])
            cells = [
                f"{int(records):,}",
                name,
                f"{processor:.1f}",
                shares[0],
                per_stage,
                f"{wall:.1f}",
                shares[1],
                load,
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _sums(step: dict[str, Any]) -> tuple[float, float]:
    usages = step["stages"].values()
    return sum(map(_processor, usages)), sum(usage["seconds"] for usage in usages)


def _processor(usage: dict[str, Any]) -> float:
    return float(usage["client_seconds"] + usage["server_seconds"])


if __name__ == "__main__":
    main()
