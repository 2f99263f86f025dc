"""The whole pipeline, end to end: `make benchmark-scale`.

A simulated retailer goes through the real DAG, from an empty warehouse to published marts and report, with the quarters
of its history or with its last day as month 0; then bare Splink trains on, scores and clusters the very records that
Sevenfold compared. A run with nothing new follows, then one of a day on which one in a hundred records changed or is
new, each in a process of its own as at night. Every size has a process, a home and an embedded server of its own, with
the settings that a newcomer gets. Adds to `results/pipeline.json`, writes `pipeline.md`.
"""

import argparse
import datetime as dt
import json
import math
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from benchmarks.accuracy import harness
from benchmarks.accuracy.harness import PEERS
from benchmarks.scale.linkage import RESULTS, describe_run
from benchmarks.scale.usage import Meter, Usage, measured, server_process

RECORDS_PER_PERSON = 1.088
"""Source records that a person of the simulated retailer leaves; with each come 2.8 interactions."""
CHANGED_SHARE = 0.01
"""Of the source records, changed and new ones in halves; new people's interactions of the day come along."""
FIELDS = {
    **{"first_name_key": "name", "first_last_name_key": "name", "second_last_name_key": "name"},
    **{"birth_date": "birth_date", "national_identifier": "identifier", "email": "email", "phone": "phone"},
    **{"street_address_key": "address", "postal_code": "postal_code", "city": "place"},
}
"""What bare Splink compares, and as what kind of field (`benchmarks/accuracy/peers/splink_peer.py`)."""
SPLINK_SECONDS = 7200
SUMMARY = (
    *("source records", "interactions", "dates", "wall s", "processor s", "of it server", "times bare Splink"),
    *("peak MiB", "warehouse MB", "log MB", "simulator, rows per processor s", "load"),
)
LATER_RUNS = {
    "nothing_new": "A run with nothing new",
    "one_in_a_hundred_changed": "A day on which one in a hundred source records changed or is new",
}
LATER_RUN = ("source records", "rows landed", "wall s", "processor s", "of it server", "% of the full run", "load")


def main() -> None:
    """Measure every size that was asked for, and write the figures."""
    asked = _arguments()
    path = RESULTS / "pipeline.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for records in asked.records:
        key = f"{records}{' at one date' if asked.one_date else ''}"
        content[key] = _in_its_own_process(measure, records, asked.seed, asked.one_date)
        ordered = {key: content[key] for key in sorted(content, key=lambda key: int(key.split()[0]))}
        path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "pipeline.md").write_text(table(ordered), encoding="utf-8")


def _in_its_own_process(work: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Spawned, so that no step is spared the imports, or counts the memory, of another."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make benchmark-scale", description=main.__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000], help="source records, per size")
    parser.add_argument("--one-date", action="store_true", help="the last day is month 0: no quarter before it")
    parser.add_argument("--seed", type=int, default=20261126, help="of the simulated retailer")
    return parser.parse_args()


def measure(records: int, seed: int, one_date: bool) -> dict[str, Any]:
    """Simulate about so many source records, run the pipeline on them, and bare Splink beside it.

    Args:
        records: how many source records, about.
        seed: of the simulated retailer.
        one_date: the last day is month 0, as for who starts today; else every quarter of the history is computed.
    """
    with tempfile.TemporaryDirectory(prefix="sevenfold-scale-") as folder:
        Path(folder).chmod(0o755)  # as root, the server runs as another user
        os.environ["SEVENFOLD_HOME"] = folder
        if one_date:
            from sevenfold.demo import LAST_DAY

            os.environ["SEVENFOLD_COHORT_DATE"] = LAST_DAY.isoformat()
        from infra import embedded

        try:
            return _measure(Path(folder), records, seed) | {"command": _command(records, seed, one_date)}
        finally:
            embedded.remove(Path(folder))


def _measure(home: Path, records: int, seed: int) -> dict[str, Any]:
    from sevenfold.demo import LAST_DAY, configure
    from sevenfold.pipeline import prepare_warehouse
    from sources.retailer.generation import generate
    from sources.retailer.increments import more

    folder = configure()
    prepare_warehouse()
    server = _server()
    with measured(server) as simulated:
        summary = generate(folder, round(records / RECORDS_PER_PERSON), seed, LAST_DAY.isoformat())
    run = _measured_run(LAST_DAY, "published")
    counts, bare_splink = _counts(), _bare_splink(home)
    nothing_new = _in_its_own_process(_measured_run, LAST_DAY, "nothing_new")
    more(folder, CHANGED_SHARE, seed + 1)
    changed = _in_its_own_process(_measured_run, LAST_DAY + dt.timedelta(days=1), "published")
    return {
        **describe_run(seed),
        "rows": {"input": summary.total_rows, **counts},
        "simulator": asdict(simulated),
        "run": run,
        "stages": run.pop("stages"),
        "bare_splink": bare_splink,
        "nothing_new": nothing_new,
        "one_in_a_hundred_changed": changed,
    }


def _command(records: int, seed: int, one_date: bool) -> str:
    return f"python -m benchmarks.scale.pipeline --records {records} --seed {seed}{' --one-date' if one_date else ''}"


def _measured_run(as_of: dt.date, expected_status: str) -> dict[str, Any]:
    """Run the pipeline in this process; what it took, whole and per stage."""
    from sevenfold.demo import configure

    configure()
    with Meter(_server()) as meter:
        rows_landed = _run(as_of.isoformat(), expected_status)
    return asdict(meter.whole()) | {
        "rows_landed": rows_landed,
        "peak_mebibytes": meter.peak_mebibytes,
        "stages": {stage_code: asdict(usage) for stage_code, usage in meter.stages.items()},
    }


def _run(as_of: str, expected_status: str) -> int:
    """Run the pipeline; give the rows that were new to it."""
    from sevenfold import runs
    from sevenfold.pipeline import run_pipeline
    from sevenfold.settings import REPOSITORY
    from sevenfold.warehouse import connect

    conf = {"as_of": as_of, "contracts": str(REPOSITORY / "sources" / "contracts")}
    run = run_pipeline(conf, Console(stderr=True), trigger=runs.DEMO).run
    if run.status_code != expected_status:
        raise RuntimeError(f"The run is {run.status_code} and not {expected_status}: {run.failed_task}: {run.message}")
    with connect() as connection:
        query = "select sum(rows_landed) from ops.extract_batches where run_id = %s"
        return int((connection.execute(query, [run.run_id]).fetchone() or (0,))[0])


def _server() -> Any:
    from sevenfold.warehouse import connect

    with connect() as connection:
        return server_process(connection.info.backend_pid)


def _counts() -> dict[str, int]:
    """Rows that came in and went out, and the size of the warehouse at the end."""
    from sevenfold.warehouse import connect

    query = """
        select
            (select count(*) from staging.base_customer_records) as source_records,
            (select count(*) from staging.base_interactions) as interactions,
            (select count(*) from intermediate.int_match_inputs) as compared_records,
            (select count(*) from intermediate.int_snapshot_dates) as dates,
            (select count(*) from marts.dim_parties) as parties,
            (select count(*) from mdm.mdm_party_members) as members_at_all_dates,
            pg_database_size(current_database()) as warehouse_bytes
    """
    with connect() as connection:
        cursor = connection.execute(query)
        names = [column.name for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchone() or (), strict=True))


def _bare_splink(home: Path) -> dict[str, Any]:
    """Train, score and cluster the compared records with Splink alone, by a generic recipe, in a process of its own."""
    records = home / "records.parquet"
    _export(records)
    records.with_suffix(".json").write_text(json.dumps(FIELDS), encoding="utf-8")
    command: list[str | Path] = [
        sys.executable,
        PEERS / "splink_peer.py",
        "generic",
        "retailer",
        records,
        home / "clusters.parquet",
    ]
    usage, problem = harness.measure(command, home / "splink.log", SPLINK_SECONDS)
    return asdict(usage) | {"problem": problem}


def _export(file: Path) -> None:
    from sevenfold.warehouse import arrow_connection

    columns = ", ".join(f"{name}::text as {name}" for name in FIELDS)
    with arrow_connection("transformer") as warehouse, warehouse.cursor() as cursor, duckdb.connect() as connection:
        cursor.execute(f"select source_record_id as record_id, {columns} from intermediate.int_match_inputs")  # noqa: S608
        reader = cursor.fetch_record_batch()  # noqa: F841 - DuckDB finds it by its name
        connection.sql("from reader").write_parquet(str(file))


def table(content: dict[str, Any]) -> str:
    """All figures as Markdown."""
    sizes = list(content.values())
    rows = [_summary_row(size) for size in sizes]
    dates = sorted({size["rows"]["dates"] for size in sizes}, reverse=True)
    lines = [
        "# The whole pipeline, measured\n",
        "Written by `make benchmark-scale`; all figures in `pipeline.json`. Processor seconds are those of the process "
        "and of the server. Wall time means something only where the load before the run was near 0.\n",
        f"| {' | '.join(SUMMARY)} |",
        f"|{' --- |' * len(SUMMARY)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    for count in dates:
        lines += _stages_and_later_runs(count, [size for size in sizes if size["rows"]["dates"] == count])
    return "\n".join(lines) + "\n"


def _stages_and_later_runs(dates: int, sizes: list[dict[str, Any]]) -> list[str]:
    """What the stages of the first run took, and later runs, of all sizes with so many dates."""
    stages = list(dict.fromkeys(stage for size in sizes for stage in grouped(_full(size))))
    heads = " | ".join(f"{size['rows']['source_records']:,}" for size in sizes)
    return [
        f"\n## States at {dates} {'date' if dates == 1 else 'dates'}\n",
        "Processor seconds per stage, and the exponent by which they grow from the first size to the last "
        "(1: as the records).\n",
        f"| stage | {heads} | exponent |",
        f"| --- |{' --- |' * len(sizes)} --- |",
        *(f"| {stage} | {_cells(stage, sizes)} |" for stage in stages),
        *(line for name, title in LATER_RUNS.items() for line in _later_runs(name, title, sizes)),
    ]


def _summary_row(size: dict[str, Any]) -> list[str]:
    rows, run = size["rows"], size["run"]
    processor, splink = _processor(run), size["bare_splink"]["processor_seconds"]
    return [
        f"{rows['source_records']:,}",
        f"{rows['interactions']:,}",
        f"{rows['dates']}",
        f"{run['seconds']:.0f}",
        f"{processor:.0f}",
        f"{run['server_seconds']:.0f}",
        f"{processor / splink:.1f} ({splink:.0f} s)",
        f"{run['peak_mebibytes']:,}",
        f"{rows['warehouse_bytes'] / 1e6:,.0f}",
        f"{run['log_bytes'] / 1e6:,.0f}",
        f"{rows['input'] / _processor(size['simulator']):,.0f}",
        f"{run['load_before']}",
    ]


def _later_runs(name: str, title: str, sizes: list[dict[str, Any]]) -> list[str]:
    """A table of what later runs took, one line a size, and of their stages where they got beyond the extracts."""
    measured_sizes = [size for size in sizes if name in size]
    if not measured_sizes:
        return []
    lines = [
        f"\n{title}, in a process of its own, whose imports count.\n",
        f"| {' | '.join(LATER_RUN)} |",
        f"|{' --- |' * len(LATER_RUN)}",
        *(f"| {' | '.join(_later_row(size['rows'], size[name], size['run']))} |" for size in measured_sizes),
    ]
    stages = list(dict.fromkeys(stage for size in measured_sizes for stage in grouped(size[name])))
    heads = " | ".join(f"{size['rows']['source_records']:,}" for size in measured_sizes)
    lines += [
        "\nIts processor seconds per stage.\n",
        f"| stage | {heads} |",
        f"| --- |{' --- |' * len(measured_sizes)}",
    ]
    taken = [grouped(size[name]) for size in measured_sizes]
    return lines + [f"| {stage} | {' | '.join(f'{one.get(stage, 0.0):.1f}' for one in taken)} |" for stage in stages]


def _later_row(rows: dict[str, int], usage: dict[str, Any], full: dict[str, Any]) -> list[str]:
    return [
        f"{rows['source_records']:,}",
        f"{usage.get('rows_landed', 0):,}",
        f"{usage['seconds']:.0f}",
        f"{_processor(usage):.0f}",
        f"{usage['server_seconds']:.0f}",
        f"{100 * _processor(usage) / _processor(full):.1f}",
        f"{usage['load_before']}",
    ]


def _cells(stage: str, sizes: list[dict[str, Any]]) -> str:
    taken = [grouped(_full(size)).get(stage, 0.0) for size in sizes]
    growth = sizes[-1]["rows"]["source_records"] / sizes[0]["rows"]["source_records"]
    exponent = math.log(taken[-1] / taken[0]) / math.log(growth) if growth > 1 and min(taken) > 0 else None
    return " | ".join([*(f"{seconds:.1f}" for seconds in taken), "" if exponent is None else f"{exponent:.2f}"])


def _full(size: dict[str, Any]) -> dict[str, Any]:
    """The first run of a size, with its stages."""
    return {**size["run"], "stages": size["stages"]}


def grouped(run: dict[str, Any]) -> dict[str, float]:
    """Processor seconds of a run per stage; the extracts as one, and what no stage took: Airflow, and the report."""
    taken: dict[str, float] = {}
    for stage_code, usage in run["stages"].items():
        name = stage_code.split(".")[0]
        taken[name] = taken.get(name, 0.0) + _processor(usage)
    return taken | {"between the stages": _processor(run) - sum(taken.values())}


def _processor(usage: dict[str, Any]) -> float:
    return Usage(client_seconds=usage["client_seconds"], server_seconds=usage["server_seconds"]).processor_seconds


if __name__ == "__main__":
    main()
