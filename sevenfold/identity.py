"""The ledger of identity as persons ask it and correct it: who is who, who was, and what takes a merger or split back.

A correction is a set of judgements. The next run finds them and gives records the ID back that they were given, so that
identity changes in one place only: at a publication, after its gates.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, LiteralString

from psycopg.rows import class_row

from sevenfold.errors import SevenfoldError
from sevenfold.judgements import NOT_SAME, SAME, WITHDRAWN, Judgement, Pair, read_evidence, record_judgements
from sevenfold.warehouse import connect

PAIR_LIMIT = 10_000  # judgements of one correction: more records than that are no two persons' but a broken source's


class IdentityError(SevenfoldError):
    """The ledger does not know what is asked, or a correction cannot be made."""


@dataclass(frozen=True)
class Correction:
    """Why and by whom identity is corrected."""

    reason: str
    decided_by: str
    undone_event_id: int | None = None


@dataclass(frozen=True)
class Event:
    """One change of a customer ID, as the ledger keeps it."""

    event_id: int
    recorded_at: dt.datetime | None
    as_of_date: dt.date
    run_id: str
    event_code: str
    customer_id: str
    other_customer_id: str | None
    record_count: int | None
    reason_code: str | None
    left_record_id: str | None
    right_record_id: str | None
    judgement_id: int | None
    match_probability: float | None
    model_version: str | None


@dataclass(frozen=True)
class Membership:
    """A period in which a record belonged to a customer; `valid_to` is None while it does."""

    source_record_id: str
    customer_id: str
    run_id: str
    valid_from: dt.date
    valid_to: dt.date | None


def current_customer(customer_id: str) -> str | None:
    """Follow a customer ID's redirects to the customer it means today; None when none holds its records.

    Raises:
        IdentityError: The ID was never given.
    """
    rows = _read(
        """
        with recursive followed as (
            select customer_id, status_code, redirected_to, array[customer_id] as path
            from mdm.identity_ledger_customers
            where customer_id = %s
            union all
            select ledger.customer_id, ledger.status_code, ledger.redirected_to, followed.path || ledger.customer_id
            from followed
            inner join mdm.identity_ledger_customers as ledger on followed.redirected_to = ledger.customer_id
            where followed.status_code = 'retired' and ledger.customer_id <> all(followed.path)
        )

        select customer_id, status_code from followed order by cardinality(path) desc limit 1
        """,
        customer_id,
    )
    if not rows:
        raise IdentityError(f"The ledger never gave the customer ID {customer_id}.")
    return str(rows[0][0]) if rows[0][1] == "active" else None


def is_customer(identifier: str) -> bool:
    """Tell whether an identifier is a customer ID that was ever given; otherwise it is a record that the ledger knows.

    Raises:
        IdentityError: The ledger knows it as neither.
    """
    found = _read(
        """
        select
            exists (select from mdm.identity_ledger_customers where customer_id = %(identifier)s),
            exists (select from mdm.identity_ledger_members where source_record_id = %(identifier)s)
        """,
        identifier=identifier,
    )[0]
    if found == (False, False):
        raise IdentityError(f"The ledger knows {identifier} neither as a customer ID nor as a record of a customer.")
    return bool(found[0])


def memberships(identifier: str, on: dt.date | None = None) -> list[Membership]:
    """Give the periods of a record, or of all records of a customer, oldest first; on a date, those that held then."""
    with connect("transformer") as connection, connection.cursor(row_factory=class_row(Membership)) as cursor:
        return cursor.execute(
            """
            select source_record_id, customer_id, run_id, valid_from, valid_to
            from mdm.identity_memberships
            where
                (source_record_id = %(identifier)s or customer_id = %(identifier)s)
                and (
                    %(on)s::date is null
                    or (valid_from <= %(on)s::date and (valid_to is null or valid_to > %(on)s::date))
                )
            order by valid_from, source_record_id collate "C"
            """,
            {"identifier": identifier, "on": on},
        ).fetchall()


def events_of(customer_id: str) -> list[Event]:
    """Give every event of a customer ID, its own and those of others that it took part in, oldest first."""
    return _events("where customer_id = %(value)s or other_customer_id = %(value)s order by event_id", customer_id)


def last_churn() -> str:
    """Say in a line how much identity changed in the last run that moved the ledger."""
    if _read("select to_regclass('marts.fct_identity_churn') is null")[0] == (True,):
        return "Identity: the warehouse is older than the code; `sevenfold warehouse migrate` brings it up to date."
    rows = _read(
        """
        select
            run_id, kept_record_share, created_customer_count, merged_customer_count, split_customer_count,
            restored_customer_count, retired_customer_count
        from marts.fct_identity_churn order by recorded_at desc limit 1
        """
    )
    if not rows:
        return "Identity: no run has been published yet."
    run_id, kept_share, *counts = rows[0]
    kept = "all records are new" if kept_share is None else f"{kept_share:.2%} of the known records kept their customer"
    words = ("created", "merged", "split", "restored", "retired")
    changes = ", ".join(f"{count:,} {word}" for count, word in zip(counts, words, strict=True))
    return f"Identity in {run_id}: {kept}; customers {changes}."


def undo(event_id: int, correction: Correction) -> int:
    """Take back a merger or a split: judge its records so that the next run gives back exactly what was.

    Returns:
        Judgements stored.

    Raises:
        IdentityError: There is no such event, it is undone already, or nothing of it is left.
    """
    found = _events("where event_id = %(value)s", event_id)
    if not found:
        raise IdentityError(f"There is no event {event_id}: `sevenfold identity history ID` lists a customer's events.")
    event = found[0]
    if event.event_code not in {"merged", "split"}:
        raise IdentityError(f"Event {event_id} is {event.event_code}; a merger or a split can be undone.")
    if _read("select from mdm.match_judgements where undone_event_id = %s limit 1", event_id):
        raise IdentityError(f"Event {event_id} is undone already; the next run after that took it back.")
    moved, others = _parts(event)
    why = Correction(correction.reason, correction.decided_by, event_id)
    return _keep_apart(moved, others, why) if event.event_code == "merged" else _join(moved, others, why)


def split(customer_id: str, records: Sequence[str], correction: Correction) -> int:
    """Say that some records of a customer are another person's than all its other records.

    Returns:
        Judgements stored.

    Raises:
        IdentityError: A record is not the customer's, or none would stay.
    """
    members = _current_records(customer_id)
    if strangers := sorted(set(records) - set(members)):
        raise IdentityError(f"{', '.join(strangers)}: not among the records of {customer_id}.")
    staying = [record for record in members if record not in records]
    if not staying:
        raise IdentityError(f"These are all records of {customer_id}: name those that are another person's.")
    return _keep_apart(sorted(set(records)), staying, correction)


def merge(first_customer_id: str, second_customer_id: str, correction: Correction) -> int:
    """Say that two customers are one person.

    Returns:
        Judgements stored.

    Raises:
        IdentityError: They are one customer already, or one has no records.
    """
    first, second = current_customer(first_customer_id), current_customer(second_customer_id)
    if first is None or second is None:
        gone = first_customer_id if first is None else second_customer_id
        raise IdentityError(f"No record of {gone} is left, so there is nothing to join.")
    if first == second:
        raise IdentityError(f"{first_customer_id} and {second_customer_id} are one customer already: {first}.")
    return _join(_current_records(first), _current_records(second), correction)


def _keep_apart(records: Sequence[str], others: Sequence[str], correction: Correction) -> int:
    """Judge every record of one side not the same as every record of the other."""
    pairs = sorted(read_evidence(_pairs(records, others)))
    if not pairs:
        raise IdentityError("Nothing is left to correct: no record of one of the sides is there any more.")
    return record_judgements([_judgement(pair, NOT_SAME, correction) for pair in pairs])


def _join(records: Sequence[str], others: Sequence[str], correction: Correction) -> int:
    """Judge the pair that fits best to be the same, and withdraw what keeps the two sides apart."""
    pairs = sorted(read_evidence(_pairs(records, others)))
    if not pairs:
        raise IdentityError("Nothing is left to correct: no record of one of the sides is there any more.")
    best = _best_pair(pairs)
    withdrawn = [_judgement(pair, WITHDRAWN, correction) for pair in _kept_apart(pairs) if pair != best]
    return record_judgements([*withdrawn, _judgement(best, SAME, correction)])


def _judgement(pair: Pair, code: str, correction: Correction) -> Judgement:
    return Judgement(pair, code, correction.reason, correction.decided_by, correction.undone_event_id)


def _pairs(records: Sequence[str], others: Sequence[str]) -> set[Pair]:
    if len(records) * len(others) > PAIR_LIMIT:
        raise IdentityError(
            f"{len(records):,} and {len(others):,} records are more than one correction may touch "
            f"({PAIR_LIMIT:,} pairs). Look for the source or the rule that joined them."
        )
    return {Judgement(pair, "", "", "").pair for pair in product(records, others)}


def _best_pair(pairs: Sequence[Pair]) -> Pair:
    """Give the pair that fits best: where a guard keeps some apart, of these, since to overrule it joins both sides."""
    rows = _read_pairs(
        """
        select pairs.left_record_id, pairs.right_record_id
        from pairs
        left join intermediate.match_scores as scores using (left_record_id, right_record_id)
        left join intermediate.int_match_decisions as decisions using (left_record_id, right_record_id)
        left join rules.match_guards as guards using (guard_code)
        order by
            guards.keeps_apart is true desc,
            scores.match_weight desc nulls last,
            pairs.left_record_id collate "C",
            pairs.right_record_id collate "C"
        limit 1
        """,
        pairs,
    )
    return rows[0]


def _kept_apart(pairs: Sequence[Pair]) -> list[Pair]:
    return _read_pairs(
        """
        select distinct on (pairs.left_record_id, pairs.right_record_id) pairs.left_record_id, pairs.right_record_id
        from pairs
        inner join mdm.match_judgements as judgements using (left_record_id, right_record_id)
        where not exists (
            select from mdm.match_judgements as later
            where
                later.left_record_id = judgements.left_record_id
                and later.right_record_id = judgements.right_record_id
                and later.judgement_id > judgements.judgement_id
        )
        and judgements.judgement_code = 'not_same'
        """,
        pairs,
    )


def _parts(event: Event) -> tuple[list[str], list[str]]:
    """Give the records that an event moved, and those it moved them to (merged) or parted them from (split).

    Records that belonged to nobody before the run were on neither side, and are left to the evidence.
    """
    rows = _read(
        """
        with run as (
            select min(history_id) as first_history_id, max(history_id) as last_history_id
            from mdm.identity_ledger_member_history
            where run_id = %(run)s
        ),

        records as (
            select
                history.source_record_id,
                (array_agg(history.customer_id order by history.history_id desc)
                    filter (where history.history_id < run.first_history_id))[1] as customer_before,
                (array_agg(history.customer_id order by history.history_id desc)
                    filter (where history.history_id <= run.last_history_id))[1] as customer_after
            from mdm.identity_ledger_member_history as history
            cross join run
            where history.source_record_id in (
                select source_record_id from mdm.identity_ledger_member_history
                where customer_id in (%(customer)s, %(other)s)
            )
            group by history.source_record_id
        )

        select source_record_id, customer_before = %(customer)s and customer_after = %(other)s as is_moved
        from records
        where
            customer_after is not null
            and case when %(is_merged)s then customer_after = %(other)s else customer_before = %(customer)s end
            and customer_before is not null
        order by source_record_id collate "C"
        """,
        customer=event.customer_id,
        other=event.other_customer_id,
        run=event.run_id,
        is_merged=event.event_code == "merged",
    )
    moved = [str(record) for record, is_moved in rows if is_moved]
    return moved, [str(record) for record, is_moved in rows if not is_moved]


def _current_records(customer_id: str) -> list[str]:
    rows = _read(
        """
        select source_record_id from mdm.identity_ledger_members
        where customer_id = %s and is_current order by source_record_id collate "C"
        """,
        customer_id,
    )
    if not rows:
        raise IdentityError(
            f"{customer_id} has no records: `sevenfold identity show {customer_id}` says what became of it."
        )
    return [str(record) for (record,) in rows]


def _events(condition: LiteralString, value: object) -> list[Event]:
    query: LiteralString = """
        select
            event_id, recorded_at, as_of_date, run_id, event_code, customer_id, other_customer_id, record_count,
            reason_code, left_record_id, right_record_id, judgement_id, match_probability, model_version
        from mdm.identity_ledger_events
        """
    with connect("transformer") as connection, connection.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(query + condition, {"value": value}).fetchall()


def _read_pairs(query: LiteralString, pairs: Sequence[Pair]) -> list[Pair]:
    start: LiteralString = (
        "with pairs as (select * from unnest(%s::text[], %s::text[]) as pairs (left_record_id, right_record_id))"
    )
    return [(row[0], row[1]) for row in _read(start + query, [pair[0] for pair in pairs], [pair[1] for pair in pairs])]


def _read(query: LiteralString, *values: object, **named: object) -> list[tuple[Any, ...]]:
    with connect("transformer") as connection:
        return connection.execute(query, named or values).fetchall()
