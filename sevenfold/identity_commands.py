"""`sevenfold identity`: who is who, who was, and what a person corrects. Shows no personal data."""

import datetime as dt
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sevenfold import identity
from sevenfold.identity import Correction, Event, Membership
from sevenfold.review import counted
from sevenfold.review_commands import NEXT_RUN, DecidedBy, Reason

identity_app = typer.Typer(no_args_is_help=True, help="The ledger of identity: who is who, who was, and corrections.")
console = Console(highlight=False)

Identifier = Annotated[str, typer.Argument(metavar="ID", help="A customer ID ever given, or a record.")]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer ID.")]
OnDate = Annotated[
    dt.datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="As published for this date. Default: now.")
]


@identity_app.command()
def show(identifier: Identifier, on: OnDate = None) -> None:
    """Show which customer a record or an older ID means, and its records; now, or on a past date."""
    day = on.date() if on else None
    if identity.is_customer(identifier):
        meant = identity.current_customer(identifier)
        console.print(f"{identifier}: {_meaning(identifier, meant)}")
        identifier = meant if meant and day is None else identifier
    held = [each for each in identity.memberships(identifier, day) if day or each.valid_to is None]
    console.print(_memberships(held) if held else f"{identifier} has none {f'on {day}' if day else 'now'}.")


@identity_app.command()
def history(identifier: Identifier) -> None:
    """Show what happened to a customer ID, with the evidence; or to which customers a record belonged, and when."""
    if not identity.is_customer(identifier):
        console.print(_memberships(identity.memberships(identifier)))
        return
    table = Table(box=None)
    for heading in ("Event", "As of", "Run", "What happened", "Because"):
        table.add_column(heading, overflow="fold")
    for event in identity.events_of(identifier):
        table.add_row(str(event.event_id), str(event.as_of_date), event.run_id, _what(event), _why(event))
    console.print(table)


@identity_app.command()
def undo(
    event_id: Annotated[int, typer.Argument(metavar="EVENT", help="Number of the event: `history` lists them.")],
    reason: Reason,
    by: DecidedBy,
) -> None:
    """Take back a merger or a split: the next run gives back exactly what was."""
    _say_kept(identity.undo(event_id, Correction(reason, by)))


@identity_app.command()
def split(
    customer: Customer,
    records: Annotated[list[str], typer.Option("--record", help="A record that is another person's; repeat it.")],
    reason: Reason,
    by: DecidedBy,
) -> None:
    """Say that some records of a customer are another person's."""
    _say_kept(identity.split(customer, records, Correction(reason, by)))


@identity_app.command()
def merge(
    customer: Customer,
    other: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The other customer ID.")],
    reason: Reason,
    by: DecidedBy,
) -> None:
    """Say that two customers are one person: the older ID stays, the other redirects to it."""
    _say_kept(identity.merge(customer, other, Correction(reason, by)))


def _say_kept(count: int) -> None:
    console.print(f"Judgements kept: {count:,}. {NEXT_RUN}")


def _meaning(identifier: str, meant: str | None) -> str:
    if meant is None:
        return "retired: its records are gone, or are namesakes that could be somebody else (restricted.namesakes)"
    return "active" if meant == identifier else f"retired, today {meant}"


def _memberships(rows: list[Membership]) -> Table:
    table = Table(box=None)
    for heading in ("Record", "Customer", "From", "Until", "Run"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row.source_record_id, row.customer_id, str(row.valid_from), str(row.valid_to or ""), row.run_id)
    return table


def _what(event: Event) -> str:
    records = counted(event.record_count)
    return {
        "created": f"{event.customer_id} created with {records}",
        "merged": f"{event.customer_id} merged into {event.other_customer_id}, {records}",
        "split": f"{records} left {event.customer_id} for {event.other_customer_id}",
        "restored": f"{event.customer_id} restored with {records}",
        "retired": f"{event.customer_id} retired, no record is left",
    }[event.event_code]


def _why(event: Event) -> str:
    if event.left_record_id is None:
        return {"no_pair": "no pair of their records joins"}.get(event.reason_code or "", "")
    pair = f"{event.left_record_id} and {event.right_record_id}"
    probability = "" if event.match_probability is None else f", probability {event.match_probability:.3f}"
    decided = f"judgement {event.judgement_id}" if event.reason_code == "judgement" else str(event.reason_code)
    return f"{decided}: {pair}{probability}, model {event.model_version}"
