"""What lies in quarantine: how much, why, since when; and the rows themselves with every value masked.

A refused row stays in raw. It is corrected at its source: the next extract lands the corrected row, and the next run
notes in `quality.quarantined_rows` which delivery released the refused one. Rows that contradict each other are shown
with them: the last one counts, of consents the withdrawal, and their sources are to say whether that is right.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql
from psycopg.rows import class_row, dict_row

from sevenfold.errors import SevenfoldError
from sevenfold.privacy import holds_address
from sevenfold.warehouse import connect

LONGEST_SHOWN = 24  # characters of a masked value

COUNTS: LiteralString = """
    with quarantined as (
        select source_code, entity_code, reason_code, batch_id, released_by_batch_id, is_open
        from quality.quarantined_rows
        union all
        select source_code, entity_code, reason_code, batch_id, null as released_by_batch_id, is_open
        from quality.conflicting_duplicates
        union all
        select source_code, entity_code, reason_code, batch_id, null as released_by_batch_id, is_open
        from quality.contradicting_consents
    )
    select
        quarantined.source_code,
        quarantined.entity_code,
        quarantined.reason_code,
        count(*) filter (where quarantined.is_open) as open_count,
        count(quarantined.released_by_batch_id) as released_count,
        count(*) as row_count,
        min(quarantined.batch_id) as first_batch_id,
        max(quarantined.batch_id) as last_batch_id,
        reasons.description,
        reasons.what_to_do
    from quarantined
    inner join rules.quarantine_reasons as reasons on quarantined.reason_code = reasons.reason_code
    where %(source_code)s::text is null or quarantined.source_code = %(source_code)s
    group by
        quarantined.source_code, quarantined.entity_code, quarantined.reason_code, reasons.description,
        reasons.what_to_do
    order by 4 desc, 1, 2, 3
"""
SAMPLE = sql.SQL("""
    with quarantined as (
        select source_code, entity_code, reason_code, raw_id, batch_id, source_position, is_open
        from quality.quarantined_rows
        union all
        select source_code, entity_code, reason_code, raw_id, batch_id, source_position, is_open
        from quality.conflicting_duplicates
        union all
        select source_code, entity_code, reason_code, raw_id, batch_id, source_position, is_open
        from quality.contradicting_consents
    )
    select quarantined.batch_id, quarantined.source_position, batches.location, to_jsonb(raw_rows) as row_values
    from quarantined
    inner join {raw_table} as raw_rows on quarantined.raw_id = raw_rows.raw_id
    left join ops.extract_batches as batches on quarantined.batch_id = batches.batch_id
    where
        quarantined.source_code = %(source_code)s
        and quarantined.entity_code = %(entity_code)s
        and quarantined.reason_code = %(reason_code)s
    order by quarantined.is_open desc, quarantined.raw_id desc
    limit %(row_count)s
""")


@dataclass(frozen=True)
class Quarantined:
    """Refused rows of one source, entity and reason.

    Attributes:
        open_count: Rows that wait for their source.
        released_count: Rows whose corrected version has landed.
        row_count: All of them; what neither waits nor was released is a duplicate, came again and waits there, was
            superseded with its batch, or is a contradiction settled since.
    """

    source_code: str
    entity_code: str
    reason_code: str
    open_count: int
    released_count: int
    row_count: int
    first_batch_id: int
    last_batch_id: int
    description: str
    what_to_do: str


@dataclass(frozen=True)
class MaskedRow:
    """A refused row as it may be shown: where its source finds it, and the shape of every value."""

    batch_id: int
    source_position: int
    location: str
    values: dict[str, str]


def count(source_code: str | None = None) -> list[Quarantined]:
    """Count the refused rows of every source, or of one, by entity and reason; those that wait first.

    Raises:
        SevenfoldError: No run has judged any row yet.
    """
    _require_quarantine()
    with connect() as connection, connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(COUNTS, {"source_code": source_code}).fetchall()


def sample(source_code: str, entity_code: str, reason_code: str, row_count: int) -> list[MaskedRow]:
    """Show some refused rows, the newest of those that wait first, masked.

    Raises:
        SevenfoldError: Nothing of the kind is in quarantine.
    """
    known = {(row.source_code, row.entity_code, row.reason_code) for row in count()}
    if (source_code, entity_code, reason_code) not in known:
        raise SevenfoldError(
            f"No row of {source_code} {entity_code} is in quarantine for {reason_code}: `sevenfold quarantine list` "
            "says what is."
        )
    query = SAMPLE.format(raw_table=sql.Identifier("raw", f"{source_code}__{entity_code}"))
    asked = {"source_code": source_code, "entity_code": entity_code, "reason_code": reason_code}
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, {**asked, "row_count": row_count}).fetchall()
    return [
        MaskedRow(row["batch_id"], row["source_position"], row["location"] or "", _masked(row["row_values"]))
        for row in rows
    ]


def supersede(batch_id: int, reason: str, decided_by: str) -> str:
    """Take a batch out of judgement, since its source has delivered anew what it brought; its rows stay in raw.

    Returns:
        Whose batch it was, in words.

    Raises:
        SevenfoldError: No such batch landed, or nobody says who and why.
    """
    if not reason.strip() or not decided_by.strip():
        raise SevenfoldError("Say why (--reason) and who (--by).")
    if holds_address(reason):
        raise SevenfoldError("The reason holds an e-mail address, and it stays on record for ever: leave it out.")
    with connect("loader") as connection:
        row = connection.execute(
            """
            update ops.extract_batches
            set status_code = 'superseded', message = concat_ws(' ', message, %s::text)
            where batch_id = %s and status_code = 'landed'
            returning source_code || ' ' || entity_code
            """,
            (f"Superseded by {decided_by.strip()}: {reason.strip()}", batch_id),
        ).fetchone()
    if row is None:
        raise SevenfoldError(
            f"Batch {batch_id} is not there, brought nothing, or was superseded before. `sevenfold quarantine list` "
            "and the run's report (Inputs) name the batches."
        )
    return str(row[0])


def mask(value: str) -> str:
    """Give the shape of a value: A for a capital letter, a for any other, 9 for a digit; signs stay."""
    shown = "".join(map(_shape, value[:LONGEST_SHOWN]))
    return shown if len(value) <= LONGEST_SHOWN else f"{shown}... ({len(value):,} characters)"


def _shape(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Lu", "Lt"}:
        return "A"
    if category[0] in "LM":
        return "a"
    if category[0] == "N":
        return "9"
    return character if character.isprintable() else "?"


def _masked(values: dict[str, Any]) -> dict[str, str]:
    """Mask the source's own columns; blank ones are shown as such, as they are often what is wrong."""
    from sources.contract import RAW_COLUMNS

    return {
        name: "(blank)" if value is None or not value.strip() else mask(value)
        for name, value in values.items()
        if name not in RAW_COLUMNS
    }


def _require_quarantine() -> None:
    with connect() as connection:
        if connection.execute("select to_regclass('quality.contradicting_consents')").fetchone() == (None,):
            raise SevenfoldError("No run has judged any row yet: `sevenfold run` first.")
