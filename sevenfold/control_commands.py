"""The command `sevenfold controls`: the catalogue of everything that checks the pipeline."""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sevenfold.terminal import print_entry

if TYPE_CHECKING:
    from expectations.catalogue import Definition

console = Console(highlight=False)

HISTORY = """
    select outcomes.control_id, outcomes.definition_hash, outcomes.effective_date, outcomes.status_code, outcomes.run_id
    from quality.control_outcomes as outcomes
    where outcomes.run_id = (
        select run_controls.run_id
        from quality.run_controls
        inner join ops.pipeline_runs on run_controls.run_id = pipeline_runs.run_id
        order by pipeline_runs.started_at desc, run_controls.run_id
        limit 1
    )
"""


def controls(
    gate: Annotated[str, typer.Option(help="Those of one gate: raw, quality_levels, marts, snapshot, dbt, ...")] = "",
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write all of every control to this CSV file.")
    ] = None,
) -> None:
    """List every control: what it asks, of what, how bad it is, and what came of it in the last run that had it."""
    rows = [row for row in _rows() if not gate or row["gate_code"] == gate]
    if output is not None:
        _write(output, rows)
        console.print(f"{len(rows)} controls: {output}", soft_wrap=True)
        return
    for row in rows:
        about = (row["dimension_code"], row["severity_code"], row["owner"], f"since {row['effective_date']}")
        last = f"; last run: {row['last_status']}" if row["last_status"] else ""
        print_entry(console, row["control_id"], row["description"], ", ".join(about) + last)
    counts = Counter(row["engine_code"] for row in rows)
    console.print(f"{len(rows)} controls: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}")


def _rows() -> list[dict[str, Any]]:
    """The definitions of the code, each with since when it is in force and what came of it last."""
    from expectations.catalogue import catalogue
    from sevenfold.dbt import read_manifest
    from sevenfold.warehouse import connect

    with connect() as connection:
        definitions = catalogue(connection, read_manifest())
        known = {(str(row[0]), str(row[1])): (str(row[2]), str(row[3])) for row in connection.execute(HISTORY)}
    return [_row(definition, known) for definition in definitions]


def _row(definition: "Definition", known: dict[tuple[str, str], tuple[str, str]]) -> dict[str, Any]:
    from expectations.catalogue import FIELDS

    since, status = known.get((definition.control_id, definition.definition_hash), ("next run", ""))
    values = {name: getattr(definition, name) for name in FIELDS}
    return values | {
        "column_names": ", ".join(definition.column_names),
        "effective_date": since,
        "last_status": status.replace("_", " "),
    }


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    from expectations.catalogue import FIELDS

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*FIELDS, "effective_date", "last_status"])
        writer.writeheader()
        writer.writerows(rows)
