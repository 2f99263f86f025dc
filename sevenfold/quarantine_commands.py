"""The commands under `sevenfold quarantine`: what was refused, why, and what its source is to correct."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sevenfold import quarantine
from sevenfold.terminal import print_wide

app = typer.Typer(no_args_is_help=True, help="Rows that were refused: how many, why, and how they look, masked.")
console = Console(highlight=False)

Source = Annotated[str, typer.Argument(help="The source's code.")]


@app.command("list")
def list_quarantined(
    source: Annotated[str | None, typer.Option(help="One source. Default: every one.")] = None,
) -> None:
    """Count the refused rows by source and reason: those that wait, and those whose corrected version landed."""
    table = Table(box=None)
    for heading in ("Source", "Rows of", "Reason", "Waiting", "Released", "In all", "Batches", "What to do"):
        table.add_column(heading)
    found = quarantine.count(source)
    for row in found:
        batches = f"{row.first_batch_id}-{row.last_batch_id}"
        counts = [f"{number:,}" for number in (row.open_count, row.released_count, row.row_count)]
        table.add_row(row.source_code, row.entity_code, row.reason_code, *counts, batches, row.what_to_do)
    print_wide(console, table if found else "Nothing is in quarantine.")


@app.command()
def sample(
    source: Source,
    reason: Annotated[str, typer.Argument(help="A reason, as `list` shows it.")],
    entity: Annotated[str, typer.Option(help="customer_records, interactions or consents.")] = "customer_records",
    rows: Annotated[int, typer.Option(min=1, max=100, help="How many rows.")] = 5,
) -> None:
    """Show some refused rows with every value masked: A and a for letters, 9 for digits. No personal data."""
    for row in quarantine.sample(source, entity, reason, rows):
        table = Table(box=None, show_header=False, title_justify="left")
        table.title = f"Batch {row.batch_id}, row {row.source_position:,} of {escape(row.location)}"
        for name, shape in row.values.items():
            table.add_row(escape(name), escape(shape))
        console.print(table, "", sep="\n")
