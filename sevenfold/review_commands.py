"""`sevenfold review`: the pairs that wait for a person, and what persons decide about them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sevenfold import review
from sevenfold.judgements import Judgement, read_judgement_file, record_judgements

review_app = typer.Typer(no_args_is_help=True, help="Pairs of records that wait for a person.")
console = Console(highlight=False)

NEXT_RUN = "The next run applies them (`sevenfold run`)."

First = Annotated[str, typer.Argument(metavar="RECORD", help="A record: source and its own key.")]
Second = Annotated[str, typer.Argument(metavar="RECORD", help="The other record.")]
Reason = Annotated[str, typer.Option("--reason", help="Why. Auditors read it: no personal data.")]
DecidedBy = Annotated[str, typer.Option("--by", help="Who decides.")]


@review_app.command("list")
def list_pairs(limit: Annotated[int, typer.Option(min=1, help="How many pairs.")] = 20) -> None:
    """List the pairs that wait, the most important first. Shows no personal data."""
    rows = review.waiting_pairs(limit)
    table = Table(title=f"Pairs that wait: {review.waiting_count():,}", title_justify="left", box=None)
    for heading in ("Record", "Record", "One person of 100", "Why it waits", "What hangs on it"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        expected = f"{100 * row['expected_share']:.0f}"
        reason, stakes = review.describe_reason(row), review.describe_stakes(row)
        table.add_row(row["left_record_id"], row["right_record_id"], expected, reason, stakes)
    console.print(table if rows else "No pair waits.")


@review_app.command()
def show(first: First, second: Second) -> None:
    """Show both records of a pair side by side, with the weight of each comparison. Personal data."""
    row = review.read_pair(Judgement((first, second), "", "", "").pair)
    records = Table(box=None)
    for heading in ("Field", row["left_record_id"], row["right_record_id"]):
        records.add_column(heading, overflow="fold")
    for line in review.rows_side_by_side(row):
        records.add_row(*line)
    weights = Table(box=None)
    weights.add_column("Evidence")
    weights.add_column("Weight (bits)", justify="right")
    for name, weight in sorted((row["evidence"] or {}).items()):
        weights.add_row(name.replace("_", " "), f"{weight:+.1f}")
    console.print(records, "", weights, "", f"Why it waits: {review.describe_reason(row)}.", sep="\n")
    console.print(review.describe_chance(row))
    console.print(f"What hangs on it: {review.describe_stakes(row)}")


@review_app.command()
def decide(
    first: First,
    second: Second,
    judgement: Annotated[
        str, typer.Argument(help="same, not_same, cannot_tell, or withdrawn (as if nobody had decided).")
    ],
    reason: Reason,
    by: DecidedBy,
) -> None:
    """Say of any two records whether they are one person; it holds until either record says something else."""
    record_judgements([Judgement((first, second), judgement.replace("-", "_"), reason, by)])
    console.print(f"Judgements kept: 1. {NEXT_RUN}")


@review_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file such as `export` writes.")],
    by: Annotated[str | None, typer.Option("--by", help="Who decided, where the file does not say it.")] = None,
) -> None:
    """Take the decisions of a CSV file, all or none; rows without a judgement_code are passed over."""
    count = record_judgements(read_judgement_file(file, by))
    console.print(f"Judgements kept: {count:,}. {NEXT_RUN}")


@review_app.command()
def export(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The CSV file to write.")],
) -> None:
    """Write the pairs that wait to a CSV file for a spreadsheet. Personal data: the file is its owner's alone."""
    count = review.export_queue(file)
    console.print(f"{count:,} pairs in {file}", soft_wrap=True)
    console.print("Fill judgement_code and reason, then: sevenfold review import FILE --by NAME")
