"""The commands under `sevenfold golden`: what a person overrules in golden records."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sevenfold.errors import SevenfoldError

if TYPE_CHECKING:
    from sevenfold.corrections import CorrectionRequest

app = typer.Typer(no_args_is_help=True, help="Golden records: a steward's corrections, which stay until withdrawn.")
console = Console(highlight=False)

By = Annotated[str, typer.Option("--by", help="Who decides. Default: the user of this machine.")]


@app.command()
def correct(
    customer: Annotated[str, typer.Option(help="The customer ID, any that was ever given.")] = "",
    record: Annotated[str, typer.Option(help="The source record, instead of or besides the customer.")] = "",
    attribute: Annotated[
        list[str] | None, typer.Option(help="An attribute of the golden record; may be repeated.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="CSV: customer_id or source_record_id, attribute, value, reason."
        ),
    ] = None,
    by: By = "",
) -> None:
    """Say what is right, against all sources. Values and reason are asked for, or read from a file or a pipe."""
    from sevenfold import corrections

    if file is not None and (customer or record or attribute):
        raise SevenfoldError("A file says all: give --file alone, or --customer or --record with --attribute.")
    requests = corrections.read_file(file) if file else _ask(customer, record, attribute or [])
    numbers = corrections.correct(requests, by or getpass.getuser())
    console.print(f"Stored as correction {', '.join(map(str, numbers))}. The next run publishes it.")


@app.command("corrections")
def list_corrections(
    every: Annotated[bool, typer.Option("--all", help="Withdrawn ones too.")] = False,
) -> None:
    """List the corrections and what became of them. Values are in restricted.steward_corrections, not here."""
    from sevenfold import corrections

    table = Table(box=None)
    for heading in ("Number", "Customer", "Record", "Attributes", "Reason", "By", "Decided (UTC)", "Status"):
        table.add_column(heading, overflow="fold")
    found = corrections.list_corrections(every)
    for row in found:
        cells = (row.customer_id or "", row.source_record_id, row.attributes, row.reason, row.decided_by)
        table.add_row(
            str(row.correction_id), *map(escape, cells), f"{row.decided_at:%Y-%m-%d %H:%M}", escape(row.status)
        )
    console.print(table if found else "No correction is in force.")


@app.command()
def withdraw(
    numbers: Annotated[list[int], typer.Argument(help="Numbers of corrections.")],
    by: By = "",
) -> None:
    """Withdraw corrections: from the next run on, what they overruled counts again."""
    from sevenfold import corrections

    corrections.withdraw(numbers, by or getpass.getuser())
    console.print("Withdrawn. The next run publishes what they overruled.")


def _ask(customer: str, record: str, attributes: list[str]) -> "list[CorrectionRequest]":
    """Ask for each value; through a pipe, one line each, the reason last."""
    from sevenfold.corrections import CorrectionRequest

    if not attributes or not (customer or record):
        raise SevenfoldError("Say what to correct: --customer or --record, and --attribute; or --file.")
    values = [typer.prompt(f"{name} (blank: none)", default="", show_default=False) for name in attributes]
    reason = typer.prompt("Reason")
    return [
        CorrectionRequest(customer, record, name, value.strip(), reason.strip())
        for name, value in zip(attributes, values, strict=True)
    ]
