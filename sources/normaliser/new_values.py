"""The batch edge: every distinct value that staging holds and that was not normalised yet, read and written in bulk."""

import csv
import io
import json
import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, cast, get_args

import psycopg

from sevenfold.errors import SevenfoldError, WarehouseError
from sevenfold.warehouse import clear_errors
from sources.normaliser.fields import normalise
from sources.normaliser.reference import normaliser_version
from sources.normaliser.values import FieldKind

VALUES_PER_TRANSACTION = 100_000
VALUES_PER_TASK = 5_000
# Below this many values, starting processes costs more than they save.
VALUES_WORTH_PROCESSES = 50_000
PROCESS_LIMIT = 8

# field_kind, country_code, value_format, raw_value
RawValue = tuple[str, str, str, str]

_log = logging.getLogger(__name__)

_KINDS = ", ".join(f"'{kind}'" for kind in sorted(get_args(FieldKind)))
# What staging holds of a source record that was standardised before, by the same normaliser, was normalised before.
_NOT_STANDARDISED = """
    where not exists (
        select from intermediate.int_customer_records_normalised as known
        where known.source_code = staged.source_code and known.raw_id = staged.raw_id
    )
"""
_NEW_VALUES = """
    with stated as (
        select
            source_code, country_code, full_name, first_name, middle_name, first_last_name, second_last_name,
            birth_date, national_identifier, gender, email, phone, street_address, postal_code, country
        from staging.stg_customer_records as staged
        {where_new}
        union all
        -- What a steward says in place of a record; no source: no contract says how dates are written.
        select
            null, records.country_code, null, corrected.first_name, corrected.middle_name, corrected.first_last_name,
            corrected.second_last_name, corrected.birth_date, corrected.national_identifier, corrected.gender,
            corrected.email, corrected.phone, corrected.street_address, corrected.postal_code, null
        from mdm.steward_corrections as corrections
        inner join staging.stg_customer_records as records on corrections.source_record_id = records.source_record_id
        cross join lateral jsonb_to_record(corrections.corrected_values) as corrected (
            first_name text, middle_name text, first_last_name text, second_last_name text, birth_date text,
            national_identifier text, gender text, email text, phone text, street_address text, postal_code text
        )
        where corrections.withdrawn_at is null
    ),

    field_values as (
        select
            fields.field_kind,
            fields.field_name,
            stated.source_code,
            stated.country_code,
            fields.raw_value
        from stated
        cross join lateral (
            values
            ('name', 'first_name', stated.first_name),
            ('name', 'middle_name', stated.middle_name),
            ('name', 'first_last_name', stated.first_last_name),
            ('name', 'second_last_name', stated.second_last_name),
            ('full_name', 'full_name', stated.full_name),
            ('birth_date', 'birth_date', stated.birth_date),
            ('national_identifier', 'national_identifier', stated.national_identifier),
            ('gender', 'gender', stated.gender),
            ('email', 'email', stated.email),
            ('phone', 'phone', stated.phone),
            ('street_address', 'street_address', stated.street_address),
            ('postal_code', 'postal_code', stated.postal_code),
            ('country', 'country', stated.country)
        ) as fields (field_kind, field_name, raw_value)
        where fields.raw_value is not null
        union all
        select
            fields.field_kind,
            fields.field_kind as field_name,
            interactions.source_code,
            interactions.country_code,
            fields.raw_value
        from staging.stg_interactions as interactions
        cross join lateral (
            values ('email', interactions.email), ('phone', interactions.phone)
        ) as fields (field_kind, raw_value)
        where fields.raw_value is not null
    ),

    new_values as (
        select distinct
            field_values.field_kind,
            field_values.country_code,
            coalesce(contract_fields.value_format, '') as value_format,
            field_values.raw_value
        from field_values
        left join ops.source_contract_fields as contract_fields
            on
                field_values.field_kind in ('birth_date', 'gender')  -- the kinds whose reading depends on the format
                and contract_fields.entity_code = 'customer_records'
                and field_values.source_code = contract_fields.source_code
                and field_values.field_name = contract_fields.field_name
        where
            not exists (
                select from intermediate.normalised_values as known
                where
                    known.field_kind = field_values.field_kind
                    and known.country_code = field_values.country_code
                    and known.value_format = coalesce(contract_fields.value_format, '')
                    and known.raw_value = field_values.raw_value
            )
    )

    -- In the order of the table's key, which takes rows in order in half the time: kind by kind, by their hashes.
    -- One number sorts in a fifth of the time of the four texts.
    select field_kind, country_code, value_format, raw_value
    from new_values
    order by
        array_position(array[{kinds}], field_kind)::bigint << 52
        | ('x' || left(md5(raw_value), 13))::bit(52)::bigint
"""

_COPY = """
    copy intermediate.normalised_values (
        field_kind, country_code, value_format, raw_value, normalised_value, parts, failure_code, normaliser_version
    ) from stdin (format csv, force_not_null (value_format, raw_value))
"""


def normalise_new_values(
    connection: psycopg.Connection[tuple[Any, ...]], only_not_standardised: bool = False
) -> dict[str, int]:
    """Normalise every distinct value of staging that `intermediate.normalised_values` does not hold yet.

    What another version of the rules made is deleted first, so that a changed rule is applied to every value. The work
    is committed every 100,000 values on a connection without open transaction: a killed run goes on where it stopped.

    Args:
        connection: A connection as the role transformer.
        only_not_standardised: Of customer records, look at those alone that no run has standardised yet, since these
            rules have normalised the others.

    Returns:
        The number of values normalised, by kind of field; only kinds that had new values.

    Raises:
        WarehouseError: when the warehouse cannot be read or written.
        SevenfoldError: when a rule cannot be used, or a process of the normaliser died.
    """
    started_at = time.perf_counter()
    counts: Counter[str] = Counter()
    with _errors_without_values():
        with connection.transaction():
            connection.execute(
                "delete from intermediate.normalised_values where normaliser_version <> %s", [normaliser_version()]
            )
            # Held over commits: the server keeps the result, the client one transaction's share of it.
            new_values = connection.cursor(name="new_values", withhold=True)
            where_new = _NOT_STANDARDISED if only_not_standardised else ""
            new_values.execute(_NEW_VALUES.format(where_new=where_new, kinds=_KINDS).encode())
        with _Workers() as workers:
            while chunk_counts := _normalise_chunk(connection, new_values, workers):
                counts += chunk_counts
        new_values.close()
        if counts:
            connection.execute("analyze intermediate.normalised_values")
    seconds = time.perf_counter() - started_at
    _log.info("Normalised %d new values in %.1f s: %s", counts.total(), seconds, dict(sorted(counts.items())))
    return dict(sorted(counts.items()))


def _normalise_chunk(
    connection: psycopg.Connection[tuple[Any, ...]],
    new_values: psycopg.ServerCursor[tuple[Any, ...]],
    workers: "_Workers",
) -> Counter[str]:
    """Normalise and write one transaction's share; give its counts, empty at the end."""
    with connection.transaction():
        rows = cast("list[RawValue]", new_values.fetchmany(VALUES_PER_TRANSACTION))
        if rows:
            with connection.cursor().copy(_COPY) as copy:
                for lines in workers.normalise(rows):
                    copy.write(lines)
    return Counter(row[0] for row in rows)


class _Workers:
    """Normalises rows in this process, or in several once there are enough rows to be worth it."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def normalise(self, rows: list[RawValue]) -> Iterable[bytes]:
        """Give the normalised rows as lines of CSV, in the order of the rows."""
        process_count = min(len(os.sched_getaffinity(0)), PROCESS_LIMIT)
        if len(rows) < VALUES_WORTH_PROCESSES or process_count == 1:
            return [csv_lines(rows)]
        if not self._pool:
            # Spawned and not forked: the caller may have threads, and connections that a fork would share.
            self._pool = ProcessPoolExecutor(process_count, multiprocessing.get_context("spawn"))
        tasks = [rows[start : start + VALUES_PER_TASK] for start in range(0, len(rows), VALUES_PER_TASK)]
        return self._pool.map(csv_lines, tasks)


def csv_lines(rows: list[RawValue]) -> bytes:
    """Normalise rows and write them as COPY reads them; an empty cell is null."""
    version = normaliser_version()
    as_json = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` would make an encoder for each value
    text = io.StringIO()
    writer = csv.writer(text)
    for field_kind, country_code, value_format, raw_value in rows:
        result = normalise(cast("FieldKind", field_kind), raw_value, country_code, value_format)
        parts = as_json(result.parts) if result.parts else None
        writer.writerow(
            (field_kind, country_code, value_format, raw_value, result.value, parts, result.failure_code, version)
        )
    return text.getvalue().encode()


@contextmanager
def _errors_without_values() -> Iterator[None]:
    """Turn errors into messages without personal data: the detail of a database error shows the row's values."""
    try:
        with clear_errors("The normaliser cannot read staging or write its values"):
            yield
    except psycopg.errors.UniqueViolation:
        raise WarehouseError(
            "Another process writes intermediate.normalised_values at the same time. Wait for its run and run again."
        ) from None
    except psycopg.errors.DataError as error:
        raise WarehouseError(
            f"The warehouse refuses what the normaliser made ({type(error).__name__}). Report it; nothing is lost."
        ) from None
    except BrokenProcessPool:
        raise SevenfoldError(
            "A process of the normaliser was killed, often for lack of memory. Free memory and run again: "
            "what was done is kept."
        ) from None
