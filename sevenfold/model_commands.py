"""`sevenfold model`: what another matching model would change, and who lets it. Shows no personal data."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sevenfold import model_approval
from sevenfold.review_commands import DecidedBy, Reason

model_app = typer.Typer(no_args_is_help=True, help="Matching models: what another one would change, and its approval.")
console = Console(highlight=False)


@model_app.command()
def compare() -> None:
    """Compare what the last run's model proposed with the customers as published: unchanged, merged, split."""
    comparison = model_approval.compare()
    state = "may move the ledger" if comparison.is_approved else "is not approved"
    console.print(f"{comparison.model} {state}. The customers come from {comparison.ledger_model or 'no model yet'}.")
    figures = Table(box=None, show_header=False)
    for name, count in comparison.figures.items():
        figures.add_row(name.removesuffix("_count").replace("_", " ") + "s", f"{count:,}")
    samples = Table(title="The largest mergers and splits", title_justify="left", box=None)
    for heading in ("What", "Customer", "Other customer", "Records", "Because of", "Probability", "Decided by"):
        samples.add_column(heading, overflow="fold")
    for each in comparison.samples:
        pair = f"{each['left_record_id']} and {each['right_record_id']}" if each["left_record_id"] else ""
        probability = "" if each["match_probability"] is None else f"{each['match_probability']:.3f}"
        ids = (each["customer_id"], each["other_customer_id"])
        samples.add_row(each["event_code"], *ids, f"{each['record_count']:,}", pair, probability, each["reason_code"])
    console.print(figures, samples if comparison.samples else "It merges and splits nobody.", sep="\n")


@model_app.command()
def approve(
    name: Annotated[str, typer.Argument(help="The model's name, as in SEVENFOLD_MODEL, or with its fingerprint.")],
    reason: Reason,
    by: DecidedBy,
) -> None:
    """Let the model that was compared move the ledger: the next run under it publishes."""
    console.print(f"{model_approval.approve(name, reason, by)} is approved. The next run publishes (`sevenfold run`).")
