"""Stewards' corrections of golden records: made, listed, withdrawn. The next run publishes what they say.

A correction is about one attribute group, as a whole: an address that somebody corrects must not mix with the one that
the source sends next year. It is anchored to a source record, not to a customer: through merges and splits it goes
where the record goes.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from sevenfold.errors import SevenfoldError
from sevenfold.warehouse import clear_errors, connect

Connection = psycopg.Connection[tuple[Any, ...]]

FILE_COLUMNS = ("customer_id", "source_record_id", "attribute", "value", "reason")


class CorrectionError(SevenfoldError):
    """A correction cannot be made or withdrawn as asked; the message shows no value."""


@dataclass(frozen=True)
class CorrectionRequest:
    """What a steward asks for: one attribute of one customer.

    Attributes:
        customer_id: The customer, any ID he ever had; empty when a record is named.
        source_record_id: The record to anchor the correction to; empty for the one that the value came from.
        attribute: An attribute of the golden record.
        value: What is right, as anybody would write it; blank takes the attribute out of its group.
        reason: Why.
    """

    customer_id: str
    source_record_id: str
    attribute: str
    value: str
    reason: str


@dataclass(frozen=True)
class Attribute:
    """A row of the seed `survivorship_attributes`."""

    attribute_name: str
    attribute_group_code: str
    field_kind: str | None


@dataclass(frozen=True)
class Anchor:
    """The record that a correction goes with, the customer who holds it, and the country whose rules hold."""

    source_record_id: str
    customer_id: str
    country_code: str


@dataclass(frozen=True)
class Correction:
    """A correction as it stands: one row per correction."""

    correction_id: int
    customer_id: str | None
    source_record_id: str
    attributes: str
    reason: str
    decided_by: str
    decided_at: datetime
    status: str


def read_file(path: Path) -> list[CorrectionRequest]:
    """Read corrections from a CSV file with the columns customer_id or source_record_id, attribute, value, reason.

    Raises:
        CorrectionError: It is no such file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorrectionError(f"{path} cannot be read as CSV in UTF-8 ({type(error).__name__}).") from None
    known = set(rows[0]) if rows else set()
    if not known >= {"attribute", "value", "reason"} or not known <= set(FILE_COLUMNS):
        raise CorrectionError(
            f"{path} needs a header and rows with the columns attribute, value, reason, and customer_id or "
            "source_record_id or both; no others."
        )
    return [CorrectionRequest(*((row.get(name) or "").strip() for name in FILE_COLUMNS)) for row in rows]


def correct(requests: Sequence[CorrectionRequest], decided_by: str) -> list[int]:
    """Make corrections, all of them or none; requests of one target, reason and attribute group are one correction.

    The attributes of the group that nobody mentions are taken as the golden record has them.

    Returns:
        The numbers of the corrections.

    Raises:
        CorrectionError: A request is about nobody, about no attribute, without reason, or its value is not valid.
    """
    with connect("transformer") as connection:
        _require_publication(connection)
        attributes = _attributes(connection)
        groups: dict[tuple[str, str, str, str], dict[str, str]] = defaultdict(dict)
        for request in requests:
            group = _checked(request, attributes).attribute_group_code
            groups[request.customer_id, request.source_record_id, request.reason, group][request.attribute] = (
                request.value
            )
        prepared = [
            (*_completed(connection, _anchor(connection, customer, record, group), group, values, attributes), reason)
            for (customer, record, reason, group), values in groups.items()
        ]
    with connect("publisher") as connection, clear_errors("The correction cannot be stored"):
        return [_insert(connection, record, values, reason, decided_by) for record, values, reason in prepared]


def list_corrections(with_withdrawn: bool = False) -> list[Correction]:
    """List the corrections, oldest first, with what became of each in the last published run."""
    with connect("transformer") as connection:
        _require_publication(connection)
        cursor = connection.cursor(row_factory=class_row(Correction))
        return cursor.execute(LIST, {"with_withdrawn": with_withdrawn}).fetchall()


def withdraw(correction_ids: Sequence[int], withdrawn_by: str) -> None:
    """Withdraw corrections, all of them or none; from the next run on, what they overruled counts again.

    Raises:
        CorrectionError: One of them is not there, or withdrawn already.
    """
    with connect("publisher") as connection:
        withdrawn = connection.execute(
            """
            update mdm.steward_corrections set withdrawn_by = %s, withdrawn_at = now()
            where correction_id = any(%s) and withdrawn_at is null
            returning correction_id
            """,
            (withdrawn_by, list(correction_ids)),
        ).fetchall()
        if missing := sorted(set(correction_ids) - {number for (number,) in withdrawn}):
            connection.rollback()
            numbers = ", ".join(map(str, missing))
            raise CorrectionError(
                f"No correction {numbers} is in force; nothing was withdrawn. See `sevenfold golden corrections`."
            )


def in_force(connection: Connection) -> list[int]:
    """Give the numbers of the corrections in force: like the rules, they decide what a run publishes."""
    rows = connection.execute(
        "select correction_id from mdm.steward_corrections where withdrawn_at is null order by correction_id"
    )
    return [number for (number,) in rows]


LIST = """
    select
        corrections.correction_id,
        crosswalk.customer_id,
        corrections.source_record_id,
        (
            select string_agg(attribute_name, ', ' order by attribute_name collate "C")
            from jsonb_object_keys(corrections.corrected_values) as keys (attribute_name)
        ) as attributes,
        corrections.reason,
        corrections.decided_by,
        corrections.decided_at,
        case
            when corrections.withdrawn_at is not null then 'withdrawn by ' || corrections.withdrawn_by
            when exists (
                select from restricted.golden_record_provenance as provenance
                where provenance.correction_id = corrections.correction_id
            ) then 'in force'
            when exists (
                select from restricted.golden_record_candidates as candidates
                where candidates.correction_id = corrections.correction_id
            ) then 'overruled'
            when crosswalk.customer_id is null then 'its record has no customer'
            else 'from the next run on'
        end as status
    from mdm.steward_corrections as corrections
    left join restricted.customer_crosswalk as crosswalk on corrections.source_record_id = crosswalk.source_record_id
    where corrections.withdrawn_at is null or %(with_withdrawn)s
    order by corrections.correction_id
"""


def _require_publication(connection: Connection) -> None:
    if connection.execute("select to_regclass('restricted.golden_record_candidates')").fetchone() == (None,):
        raise CorrectionError(
            "No golden record is published yet, so there is nothing to correct: run the pipeline first."
        )


def _attributes(connection: Connection) -> dict[str, Attribute]:
    cursor = connection.cursor(row_factory=class_row(Attribute))
    rows = cursor.execute(
        "select attribute_name, attribute_group_code, field_kind from rules.survivorship_attributes order by 1"
    )
    return {row.attribute_name: row for row in rows}


def _checked(request: CorrectionRequest, attributes: Mapping[str, Attribute]) -> Attribute:
    if request.attribute not in attributes:
        raise CorrectionError(f"The golden record has no attribute {request.attribute!r}: {', '.join(attributes)}.")
    if not request.reason:
        raise CorrectionError(f"The correction of {request.attribute} needs a reason: an auditor will ask.")
    if not (request.customer_id or request.source_record_id):
        raise CorrectionError(f"The correction of {request.attribute} names neither a customer nor a record.")
    return attributes[request.attribute]


def _anchor(connection: Connection, customer_id: str, source_record_id: str, group: str) -> Anchor:
    """Find the record to anchor to: the one named, else the one that the group's value came from, else the oldest."""
    if customer_id:
        customer_id = _current_customer(connection, customer_id)
    with connection.cursor(row_factory=class_row(Anchor)) as cursor:
        anchor = cursor.execute(
            """
            select crosswalk.source_record_id, crosswalk.customer_id, records.country_code
            from restricted.customer_crosswalk as crosswalk
            inner join intermediate.int_customer_records_standardised as records
                on crosswalk.source_record_id = records.source_record_id and records.is_current
            left join (
                select distinct provenance.customer_id, provenance.source_record_id
                from restricted.golden_record_provenance as provenance
                inner join rules.survivorship_attributes as attributes using (attribute_name)
                where attributes.attribute_group_code = %(group)s
            ) as winners
                on
                    crosswalk.customer_id = winners.customer_id
                    and crosswalk.source_record_id = winners.source_record_id
            where
                crosswalk.customer_id = coalesce(nullif(%(customer)s, ''), crosswalk.customer_id)
                and crosswalk.source_record_id = coalesce(nullif(%(record)s, ''), crosswalk.source_record_id)
            order by (winners.source_record_id is null), crosswalk.known_from, crosswalk.source_record_id collate "C"
            limit 1
            """,
            {"customer": customer_id, "record": source_record_id, "group": group},
        ).fetchone()
    if anchor is None:
        whose = f" of customer {customer_id}" if customer_id else ""
        raise CorrectionError(f"There is no record {source_record_id}{whose} that belongs to a customer.")
    return anchor


def _current_customer(connection: Connection, customer_id: str) -> str:
    found = connection.execute(
        "select current_customer_id from marts.map_customer_ids where customer_id = %s", (customer_id,)
    ).fetchone()
    if found is None or found[0] is None:
        raise CorrectionError(f"There is no customer {customer_id}: see marts.map_customer_ids.")
    return str(found[0])


def _completed(
    connection: Connection, anchor: Anchor, group: str, values: Mapping[str, str], attributes: Mapping[str, Attribute]
) -> tuple[str, dict[str, str]]:
    """Give the record and the whole group: the values given, the others as the golden record has them."""
    current = connection.execute(
        """
        select provenance.attribute_name, provenance.attribute_value
        from restricted.golden_record_provenance as provenance
        inner join rules.survivorship_attributes as attributes using (attribute_name)
        where provenance.customer_id = %s and attributes.attribute_group_code = %s
        """,
        (anchor.customer_id, group),
    ).fetchall()
    whole = {name: value for name, value in (dict(current) | dict(values)).items() if value.strip()}
    if not whole:
        raise CorrectionError(
            f"The {group} of {anchor.customer_id} would be blank: say what is right, or withdraw a correction."
        )
    for name, value in whole.items():
        _validate(attributes[name], value, anchor)
    return anchor.source_record_id, whole


def _validate(attribute: Attribute, value: str, anchor: Anchor) -> None:
    """Hold a value against the rules that every value is held against."""
    from sources.normaliser import FieldKind, normalise

    if attribute.field_kind is None:
        return
    result = normalise(cast("FieldKind", attribute.field_kind), value, anchor.country_code)
    failure_code: str | None = result.failure_code
    if attribute.attribute_name == "middle_name" and "initial" in (result.parts or {}):
        failure_code = None
    if attribute.field_kind == "birth_date" and result.value and result.value > datetime.now(UTC).date().isoformat():
        failure_code = "in_the_future"
    if failure_code:
        raise CorrectionError(
            f"The {attribute.attribute_name} for {anchor.customer_id} is not valid in {anchor.country_code} "
            f"({failure_code}, see the seed failure_codes). Nothing was stored."
        )


def _insert(
    connection: Connection, source_record_id: str, values: Mapping[str, str], reason: str, decided_by: str
) -> int:
    row = connection.execute(
        """
        insert into mdm.steward_corrections (source_record_id, corrected_values, reason, decided_by)
        values (%s, %s, %s, %s)
        returning correction_id
        """,
        (source_record_id, Jsonb(dict(values)), reason, decided_by),
    ).fetchone()
    assert row is not None  # "returning" returns
    return int(row[0])
