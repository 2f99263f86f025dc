"""The commands under `sevenfold quarantine`: what was refused, why, and what its source is to correct."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sevenfold import quarantine
from sevenfold.review_commands import DecidedBy, Reason
from sevenfold.terminal import print_entry

app = typer.Typer(no_args_is_help=True, help="Rows that were refused: how many, why, and how they look, masked.")
console = Console(highlight=False)

Source = Annotated[str, typer.Argument(help="The source's code.")]


@app.command("list")
def list_quarantined(
    source: Annotated[str | None, typer.Option(help="One source. Default: every one.")] = None,
) -> None:
    """Count the refused rows by source and reason: those that wait, and those whose corrected version landed."""
    found = quarantine.count(source)
    for row in found:
        batches = {row.first_batch_id, row.last_batch_id}
        print_entry(
            console,
            f"{row.source_code} {row.entity_code} {row.reason_code}",
            f"{row.open_count:,} waiting, {row.released_count:,} released, {row.row_count:,} in all, "
            f"of batch {' to '.join(map(str, sorted(batches)))}",
            f"What to do: {row.what_to_do}" if row.open_count else "",
        )
    if not found:
        console.print("Nothing is in quarantine.")


@app.command()
def sample(
    source: Source,
    reason: Annotated[str, typer.Argument(help="A reason, as `list` shows it.")],
    entity: Annotated[str, typer.Option(help="customer_records, interactions or consents.")] = "customer_records",
    rows: Annotated[int, typer.Option(min=1, max=100, help="How many rows.")] = 5,
) -> None:
    """Show some refused rows with every value masked: A and a for letters, 9 for digits. No personal data."""
    for row in quarantine.sample(source, entity, reason, rows):
        table = Table(box=None, show_header=False)
        for name, shape in row.values.items():
            table.add_row(escape(name), escape(shape))
        print_entry(console, f"Batch {row.batch_id}, row {row.source_position:,} of {row.location}")
        console.print(table, "", sep="\n")


@app.command()
def supersede(
    batch: Annotated[int, typer.Argument(help="Number of the batch, as `list` and the report show it.")],
    reason: Reason,
    by: DecidedBy,
) -> None:
    """Take a bad batch out of judgement, since its source has delivered it anew. Its rows stay in raw."""
    whose = quarantine.supersede(batch, reason, by)
    console.print(
        f"Batch {batch} of {whose} is superseded, and that is on record. The next run judges what came after it."
    )
