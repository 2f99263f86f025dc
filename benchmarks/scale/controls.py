"""The three doors on a full warehouse: what their controls cost in all, `make benchmark-controls`.

The tables that the doors read are those of the doors' own tests (`tests/expectations/tables.py`), made by bulk with as
many rows as asked: so many raw rows and customer records of one source, so many parties in equal parts of the seven
states, of whom four in seven are customers. No stage of the pipeline runs. Each door is asked twice in one process: the
first time also pays for imports, the second is what is counted.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from benchmarks.scale.linkage import describe_run
from benchmarks.scale.usage import Usage, measured, server_process
from expectations import run_gate
from expectations.controls import GateCode
from sevenfold.link import throwaway_warehouse
from sevenfold.warehouse import connect, warehouse_url
from tests.expectations import tables

RESULTS = Path(__file__).resolve().parent / "results"
DOORS: tuple[GateCode, ...] = tuple(door for door in get_args(GateCode) if door in {"raw", "quality_levels", "marts"})
STATES = 7
# What stands in the statements of the tests, and how many rows it is to be.
ROWS = ("200, 200, now()", "generate_series(1, 200)", "200 as record_count")
PARTIES = "generate_series(1, 10)"
SUMMED = ("controls", "client_seconds", "server_seconds", "seconds")


def main() -> None:
    """Measure, add the figures to `results/controls.json` and write `results/controls.md`."""
    parser = argparse.ArgumentParser(prog="make benchmark-controls", description=main.__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="raw rows, customer records and parties, each")
    records: int = parser.parse_args().records
    with tempfile.TemporaryDirectory(prefix="sevenfold-scale-") as folder, throwaway_warehouse(Path(folder)):
        found = measure(records)
    path = RESULTS / "controls.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content[str(records)] = found
    ordered = {key: content[key] for key in sorted(content, key=int)}
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "controls.md").write_text(table(ordered), encoding="utf-8")


def measure(records: int) -> dict[str, Any]:
    """Fill the warehouse, and ask each door twice."""
    fill(records)
    with connect() as connection:
        server = server_process(connection.info.backend_pid)
    first, again = ask(server), ask(server)
    about = {key: value for key, value in describe_run(0).items() if key != "seed"}
    return about | {"rows": row_counts(), "first": first, "doors": again}


def fill(records: int) -> None:
    """Make the tables that the doors read, at rest: every row as long as it is read, nothing left to tidy."""
    statements = (tables.PIPELINE, tables.COMPLETENESS, tables.STATES, tables.CANDIDATE)
    tables.execute(warehouse_url(), *(grown(statement, records) for statement in statements))
    tables.complete_candidates(warehouse_url())
    with connect(autocommit=True) as connection:
        connection.execute("vacuum (full, analyze)")


def grown(statement: str, records: int) -> str:
    """A statement of the tests with so many rows."""
    for small in ROWS:
        statement = statement.replace(small, small.replace("200", str(records)))
    return statement.replace(PARTIES, f"generate_series(1, {records // STATES})")


def row_counts() -> dict[str, int]:
    """The tables that grew, and their rows."""
    with connect() as connection:
        counts = connection.execute(
            """
            select
                (select count(*) from raw.point_of_sale__customer_records) as raw_rows,
                (select count(*) from intermediate.int_customer_records_standardised) as customer_records,
                (select count(*) from candidate.dim_parties) as parties,
                (select count(*) from candidate.dim_customers) as customers
            """
        )
        names = [column.name for column in counts.description or ()]
        return dict(zip(names, counts.fetchone() or (), strict=True))


def ask(server: Any) -> dict[str, Any]:
    """Run the controls of each door, and say what they took; each must pass."""
    taken: dict[str, Any] = {}
    for door in DOORS:
        with measured(server) as usage:
            result = run_gate(door, tables.RUN)
        if result.failed_critical or result.failed_warning or result.errors:
            raise RuntimeError(f"The door {door} did not pass, so its cost says nothing: {result}")
        taken[door] = asdict(usage) | {"controls": result.controls}
        print(door, result.controls, usage.processor_seconds, flush=True)  # noqa: T201 - progress of a program
    return taken


def table(content: dict[str, Any]) -> str:
    """All figures as Markdown."""
    lines = [
        "# Controls, measured\n",
        "Written by `make benchmark-controls`; more in `controls.json`. Processor seconds are those of the process and "
        "of the server, of the second time that each door is asked; what the first time took more is imports. `load` "
        "is the load average before the door.\n",
        "| rows | door | controls | processor s | of it server | wall s | first time, processor s | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for records, run in content.items():
        for door, usage in run["doors"].items():
            lines.append(_line(records, door, usage, run["first"][door]))
        sums = [{key: sum(part[key] for part in run[name].values()) for key in SUMMED} for name in ("doors", "first")]
        lines.append(_line(records, "all", sums[0] | {"load_before": ""}, sums[1]))
    return "\n".join(lines) + "\n"


def _line(records: str, door: str, usage: dict[str, Any], first: dict[str, Any]) -> str:
    cells = [
        f"{int(records):,}",
        door.replace("_", " "),
        str(usage["controls"]),
        f"{_processor(usage):.1f}",
        f"{usage['server_seconds']:.1f}",
        f"{usage['seconds']:.1f}",
        f"{_processor(first):.1f}",
        str(usage["load_before"]),
    ]
    return f"| {' | '.join(cells)} |"


def _processor(usage: dict[str, Any]) -> float:
    return Usage(client_seconds=usage["client_seconds"], server_seconds=usage["server_seconds"]).processor_seconds


if __name__ == "__main__":
    main()
