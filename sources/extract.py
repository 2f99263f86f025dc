"""Extract: bring what a source has into raw, so that nothing is lost and nothing lands twice.

A file, or one read of a table, is a delivery; a delivery is one batch and one transaction: all of its new rows land
together with its batch and its cursor, or none does. What is wrong with a delivery is said in its batch (`refused`).

An SQL source with a cursor is read from the last value on, less the lookback. A row that was committed later than that
is not lost: after the read, key and cursor of every row of the source are compared with raw, unless they are what they
were at the last comparison, and when raw misses one the whole table is read, of which only what is new lands.
"""

import datetime as dt
import decimal
import hashlib
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from sevenfold.errors import SevenfoldError
from sevenfold.privacy import describe_database_error
from sevenfold.warehouse import clear_errors, connect
from sources.batches import Batch, BatchLog, ExtractRefused, OpenBatch
from sources.check import check_contract
from sources.contract import Contract, Cursor
from sources.manifest import read_manifest
from sources.readers import (
    SourceError,
    SourceFile,
    SqlSource,
    find_files,
    read_file,
    sha256,
    sql_text,
    state_of,
)

__all__ = ["Batch", "ExtractRefused", "ExtractResult", "check_contract", "extract", "step_back"]


@dataclass(frozen=True)
class ExtractResult:
    """What one extract of an entity came to."""

    source_code: str
    entity_code: str
    batches: tuple[Batch, ...]

    @property
    def rows_read(self) -> int:
        """Rows that the deliveries held."""
        return sum(batch.rows_read for batch in self.batches)

    @property
    def rows_landed(self) -> int:
        """Rows that were new."""
        return sum(batch.rows_landed for batch in self.batches)


def extract(contract: Contract, entity_code: str, run_id: str, full: bool = False) -> ExtractResult:
    """Land what is new of one entity of a source.

    Args:
        contract: The source's contract.
        entity_code: `customer_records`, `interactions` or `consents`.
        run_id: The run that asks, noted with each batch.
        full: Read again what was read before: files of known content, and tables from their beginning. Needed only
            after a contract was corrected in how it reads (encoding, delimiter); rows that raw holds do not land again.

    Raises:
        ExtractRefused: when a delivery cannot be taken; those before it (files in the order of their names) stay.
        WarehouseError: when the warehouse fails; nothing of the delivery at hand landed.
    """
    what = f"The extract of {contract.source} {entity_code} cannot run"
    with clear_errors(what), connect("loader", autocommit=True) as connection:
        log = BatchLog(connection, contract, entity_code, run_id)
        try:
            if log.entity.format == "sql":
                _extract_table(log, full)
            else:
                _extract_files(log, full)
        except (psycopg.DataError, psycopg.ProgrammingError) as error:
            raise SevenfoldError(f"{what}: {describe_database_error(error)}.") from None
        return ExtractResult(contract.source, entity_code, tuple(log.batches))


# --- files


def _extract_files(log: BatchLog, full: bool) -> None:
    nowhere = Batch(log.entity.location)
    with log.refusing(nowhere):
        files = find_files(log.contract, log.entity_code)
        if not files:
            with log.open(nowhere) as batch:
                _require_rows(log, batch, f"there is no file {log.contract.location(log.entity_code)}")
                batch.table.prepare()
                batch.note("No file yet.")
    for file in files:
        _extract_file(log, file, full)


def _extract_file(log: BatchLog, file: SourceFile, full: bool) -> None:
    batch = Batch(file.name)
    with log.refusing(batch), file.local() as path:
        before = state_of(path)
        size_bytes, digest = before[0], sha256(path)
        batch = replace(batch, content_sha256=digest, size_bytes=size_bytes)
        with log.refusing(batch):  # by now it is known which content is refused
            manifest = read_manifest(file, log.entity.manifest)
            manifest.check_bytes(size_bytes, digest)
            known = None if full else log.known_content(batch)
            if known:
                log.record(replace(batch, status_code=known[0], message=known[1]))
                return
            with log.open(batch) as opened:
                opened.land(read_file(path, log.entity.format, log.entity.options))
                _require_rows(log, opened, "the file holds no row")
                manifest.check_rows(opened.landed.rows_read)
                if state_of(path) != before:
                    raise SourceError("the file changed while it was read. Run again when it is complete.")


def _require_rows(log: BatchLog, batch: OpenBatch, problem: str) -> None:
    minimum = log.entity.expected.minimum_rows
    if batch.landed.rows_read == 0 and minimum > 0:
        raise SourceError(
            f"{problem}, and its contract expects at least {minimum} rows. Deliver it, correct the location, or say "
            "that it may be empty (expected: {minimum_rows: 0})."
        )


# --- tables


def _extract_table(log: BatchLog, full: bool) -> None:
    batch = Batch(f"table {log.entity.table}")
    with log.refusing(batch):
        source = SqlSource(log.contract, log.entity_code)
    batch = Batch(source.name)
    with log.refusing(batch):
        cursor = log.entity.cursor
        end = source.maximum(cursor.column) if cursor else None
        span = _span(log, cursor, end) if cursor and not full else None
        batch = replace(batch, cursor_from=sql_text(span and span.begin), cursor_to=sql_text(end))
        with log.open(batch) as opened:
            if span and _read_changes(log, source, opened, span):
                return
            if cursor and end is not None:  # before the rows, as above
                log.remember_versions(source.digests_of_versions(cursor.column, end, end)[1])
            with source.rows() as delivery:
                opened.land(delivery)
            _require_rows(log, opened, "the table holds no row")


@dataclass(frozen=True)
class _Span:
    """From which value of its cursor to which a table is read; `begin` is a lookback before where it was read to."""

    column: str
    begin: Any
    earlier_end: Any
    end: Any


def _read_changes(log: BatchLog, source: SqlSource, batch: OpenBatch, span: _Span) -> bool:
    """Land what the cursor says is new; return whether raw then holds every row of the source.

    Where what was there is there unchanged, it does: all else lies after it, and was read.
    """
    # Before the rows: what is there now, and still is when they are read, will have landed.
    earlier, now = source.digests_of_versions(span.column, span.earlier_end, span.end)
    with source.rows(span.column, span.begin) as delivery:
        landed = batch.land(delivery)
    if landed.new_columns:
        batch.note("The whole table was read for its new columns.")
        return False
    if log.known_versions() == earlier:
        if now != earlier:
            log.remember_versions(now)
        return True
    digest = hashlib.sha256()
    with source.versions(span.column, span.end, digest) as versions:
        if not batch.table.misses_a_version(versions, span.column):
            log.remember_versions(digest.hexdigest())
            return True
    batch.note("Rows were committed later than the lookback allows for: the whole table was read.")
    return False


def _span(log: BatchLog, cursor: Cursor, end: Any) -> _Span | None:
    """Compute from where an incremental read starts; None when everything is to be read."""
    last = log.last_cursor()
    if last is None or end is None:
        return None
    try:
        begin = step_back(last, cursor.lookback, type(end))
        return _Span(cursor.column, begin, step_back(last, type(cursor.lookback)(), type(end)), end)
    except (ValueError, decimal.InvalidOperation):
        return None  # the contract names another column than last time
    except TypeError:
        raise SourceError(
            f"its cursor {cursor.column!r} is {type(end).__name__}, from which a lookback of {cursor.lookback} cannot "
            "be taken. A time takes a duration (1 day), a number takes a number."
        ) from None


def step_back(value: str, lookback: dt.timedelta | int, kind: Any) -> Any:
    """Take the lookback from a cursor value as stored, in the type in which the source compares it.

    A time that the source holds as text stays text, written as it was but for fractions of seconds and offset: being
    shorter, it comes before every text that continues it.

    Raises:
        ValueError: when the value is none of that type.
        TypeError: when the lookback does not fit the type.
    """
    if kind is str and not lookback:
        return value
    if kind is not str and not issubclass(kind, dt.date):
        return kind(value) - lookback
    if lookback and not isinstance(lookback, dt.timedelta):
        raise TypeError
    moment = dt.datetime.fromisoformat(value) - (lookback or dt.timedelta())
    if kind is not str:
        return moment if kind is dt.datetime else moment.date()
    text = moment.replace(tzinfo=None, microsecond=0).isoformat(sep=value[10] if len(value) > 10 else " ")
    return text[: len(value)]
