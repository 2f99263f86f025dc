"""Check a contract against its source before the first run: what is there, and how much of each field can be read.

Counts only: no value of a row is shown, and nothing stays in the warehouse.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql

from sevenfold.warehouse import clear_errors, connect
from sources.contract import TIME_FIELDS, Contract, Entity, FieldMapping, load_contract, raw_column, time_pattern
from sources.landing import LANDING, fill, native_key, raw_columns, require_columns
from sources.normaliser.fields import NORMALISERS, normalise
from sources.normaliser.reference import country_code_by_name
from sources.normaliser.text import comparison_key
from sources.normaliser.values import FieldKind
from sources.readers import Delivery, SourceError, SqlSource, find_files, read_file

# Distinct values of a field that are read to tell how many can be.
SAMPLE_SIZE = 20_000
# Below this share a field's column or format is taken to be wrong, and not its values.
HARDLY_READABLE = 0.7
_HEADING = "   filled  readable  field"
_NAMES = {"first_name", "middle_name", "first_last_name", "second_last_name"}
PERSONAL_FIELDS = _NAMES | {"email", "phone", "national_identifier", "street_address"}


@dataclass(frozen=True)
class FieldCheck:
    """How much of one canonical field is there, and how much of that the pipeline could use.

    Attributes:
        filled_share: Share of rows, 0 to 1, where at least one of its columns is not blank.
        readable_share: Share of the filled rows, 0 to 1, whose value passes the field's quality process; of large
            sources a sample of values tells. None: the field is taken as it is.
        failures: Failure codes of the seed `failure_codes` and their rows in the sample, most first.
    """

    filled_share: float
    readable_share: float | None = None
    failures: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class EntityCheck:
    """What one entity of a contract found at its source.

    Attributes:
        location: The file or table that was read; of several files the last by name.
        file_count: Files that the location matches; 0 for a table.
        row_count: Rows in it.
        columns: Columns of the source, in its order.
        unmapped_columns: Those that the contract does not use; they land in raw all the same.
        fields: Per canonical field how far it is filled, and can be read.
        rows_without_key: Rows whose key is blank: they would be quarantined. 0 for an entity without key.
        repeated_keys: Keys that stand on several rows: versions of one record, or a key that is none.
        rows_of_repeated_keys: The rows on which they stand.
        personal_key_columns: Of the key, the columns that are personal data too.
        minimum_rows: Rows that the contract expects at least.
        newest: When the newest row was recorded; none when no row says so.
        freshness: Oldest age of the newest row that the contract accepts.
    """

    entity_code: str
    location: str
    file_count: int
    row_count: int
    columns: tuple[str, ...]
    unmapped_columns: tuple[str, ...]
    fields: dict[str, FieldCheck]
    rows_without_key: int
    repeated_keys: int
    rows_of_repeated_keys: int
    personal_key_columns: tuple[str, ...]
    minimum_rows: int
    newest: dt.datetime | None
    freshness: dt.timedelta | None

    @property
    def has_too_few_rows(self) -> bool:
        """Whether the raw gate would stop a run at so few rows; of several files only the last was counted."""
        return self.file_count <= 1 and self.row_count < self.minimum_rows

    @property
    def would_stop_a_run(self) -> bool:
        """Whether a gate would refuse it: too few rows, or no time that can be read."""
        return self.has_too_few_rows or any(
            check.readable_share == 0 for name, check in self.fields.items() if name in TIME_FIELDS
        )

    def __str__(self) -> str:
        """Write the findings for people, a line each."""
        files = f" (the last of {self.file_count} files)" if self.file_count > 1 else ""
        lines = [f"{self.entity_code}: {self.row_count:,} rows in {self.location}{files}"]
        lines += [_HEADING, *(_field_line(name, check) for name, check in self.fields.items())]
        lines += self._hardly_readable()
        lines += self._stale()
        if self.has_too_few_rows:
            lines.append(
                f"  too few rows: the contract expects at least {self.minimum_rows:,}, and the raw gate would stop the "
                "run. Ask the source's owner, or correct expected.minimum_rows."
            )
        elif self.row_count < self.minimum_rows:
            lines.append(f"  the contract expects at least {self.minimum_rows:,} rows, in all files together.")
        if self.rows_without_key:
            lines.append(f"  {self.rows_without_key:,} rows have no key: they would be quarantined.")
        if self.repeated_keys:
            lines.append(
                f"  {self.repeated_keys:,} keys stand on several rows, {self.rows_of_repeated_keys:,} in all: "
                "versions of a record, or not a key."
            )
        if self.personal_key_columns:
            lines.append(
                f"  the key is personal data ({', '.join(self.personal_key_columns)}), and so are the IDs of records: "
                "they stand in the ledger and in the evidence, where auditors read them and nothing is erased. Ask the "
                "source for a number of its own."
            )
        if self.unmapped_columns:
            lines.append(f"  not mapped, kept in raw: {', '.join(self.unmapped_columns)}")
        return "\n".join(lines)

    def _hardly_readable(self) -> Iterator[str]:
        for name, check in self.fields.items():
            if check.readable_share is not None and check.readable_share < HARDLY_READABLE:
                what = "rows without a time are quarantined" if name in TIME_FIELDS else "it counts as missing"
                yield (
                    f"  {name} can hardly be read, and {what}. Look at its column in the contract, and for a date or "
                    'time at its format (as strptime: {column: ..., format: "%d/%m/%Y"}).'
                )

    def _stale(self) -> Iterator[str]:
        """Say when the newest row is older than the contract expects: the raw gate would warn."""
        if self.freshness and self.newest and (age := dt.datetime.now(dt.UTC) - self.newest) > self.freshness:
            yield (
                f"  stale: the newest row is of {self.newest:%Y-%m-%d}, {age.days} days ago; the contract expects at "
                f"most {self.freshness.days}, and the raw gate of a run of today would warn."
            )


@dataclass(frozen=True)
class ContractCheck:
    """A contract that is well written, and what stands behind each of its entities."""

    contract: Contract
    entities: tuple[EntityCheck, ...]

    @property
    def is_good(self) -> bool:
        """Whether every entity holds the rows that its contract expects, at times that can be read."""
        return not any(entity.would_stop_a_run for entity in self.entities)

    def __str__(self) -> str:
        """Write the findings for people."""
        verdict = "can be used" if self.is_good else "would stop a run"
        head = f"{self.contract.file} {verdict}: {self.contract.label}, {self.contract.country}."
        return "\n".join([head, *map(str, self.entities)])


def check_contract(path: Path) -> ContractCheck:
    """Validate a contract and read its sources once, as an extract would.

    Raises:
        ContractError: when the contract cannot be used.
        SourceError: when a source cannot be read, or lacks a column.
    """
    contract = load_contract(path)
    with clear_errors(f"{path} cannot be checked"), connect("transformer") as connection:
        checks = tuple(_check_entity(connection, contract, code) for code in contract.entities)
        connection.rollback()
    return ContractCheck(contract, checks)


def _check_entity(connection: psycopg.Connection[Any], contract: Contract, entity_code: str) -> EntityCheck:
    entity = contract.entity(entity_code)
    try:
        with _opened(contract, entity_code) as (location, file_count, delivery):
            names = raw_columns(delivery.columns)
            require_columns(_raw(entity.required_columns), names, delivery.columns)
            fill(connection, LANDING, names, delivery)
    except SourceError as error:
        raise SourceError(f"{contract.file}: entities.{entity_code}: {error}") from None
    row_count, without_key, repeated, repeated_rows = _counts(connection, _raw(entity.key))
    fields = {name: _field(connection, contract, entity, name, row_count) for name in entity.mappings}
    newest = _newest(connection, contract, entity)
    connection.execute(sql.SQL("drop table {}").format(LANDING))
    return EntityCheck(
        entity_code=entity_code,
        location=location,
        file_count=file_count,
        row_count=row_count,
        columns=tuple(delivery.columns),
        unmapped_columns=tuple(name for name in delivery.columns if name not in entity.required_columns),
        fields=fields,
        rows_without_key=without_key if entity.key else 0,
        repeated_keys=repeated if entity.key else 0,
        rows_of_repeated_keys=repeated_rows if entity.key else 0,
        personal_key_columns=tuple(
            column
            for column in entity.key
            if any(column in mapping.columns for name, mapping in entity.mappings.items() if name in PERSONAL_FIELDS)
        ),
        minimum_rows=entity.expected.minimum_rows,
        newest=newest,
        freshness=entity.expected.freshness,
    )


@contextmanager
def _opened(contract: Contract, entity_code: str) -> Iterator[tuple[str, int, Delivery]]:
    """Open what an extract would read: location, number of files, rows."""
    entity = contract.entity(entity_code)
    if entity.format == "sql":
        source = SqlSource(contract, entity_code)
        with source.rows() as delivery:
            yield source.name, 0, delivery
        return
    files = find_files(contract, entity_code)
    if not files:
        raise SourceError(f"there is no file {contract.location(entity_code)}.")
    with files[-1].local() as path:
        if path.stat().st_size == 0:
            raise SourceError(f"{files[-1].name} is empty: not even a header is there.")
        yield files[-1].name, len(files), read_file(path, entity.format, entity.options)


def _raw(columns: Sequence[str]) -> list[str]:
    return [raw_column(column, 0) for column in columns]


def _counts(connection: psycopg.Connection[Any], key: Sequence[str]) -> tuple[int, int, int, int]:
    """Count rows, rows without key, keys that repeat, and the rows of these."""
    query = sql.SQL("""
        select
            coalesce(sum(row_count), 0)::bigint,
            coalesce(sum(row_count) filter (where native_key is null), 0)::bigint,
            count(*) filter (where native_key is not null and row_count > 1),
            coalesce(sum(row_count) filter (where native_key is not null and row_count > 1), 0)::bigint
        from (select {key} as native_key, count(*) as row_count from {landing} group by 1) as keys
    """).format(landing=LANDING, key=native_key(None, key) if key else sql.SQL("content_hash"))
    rows, without_key, repeated, repeated_rows = connection.execute(query).fetchone() or (0, 0, 0, 0)
    return rows, without_key, repeated, repeated_rows


def _field(
    connection: psycopg.Connection[Any], contract: Contract, entity: Entity, name: str, row_count: int
) -> FieldCheck:
    """Count how often a field is filled, and read its values as a run would."""
    mapping = entity.mappings[name]
    query = sql.SQL("select count({}) from {}").format(_text(mapping), LANDING)
    (filled,) = connection.execute(query).fetchone() or (0,)
    if name in TIME_FIELDS:
        outcomes = _read_times(connection, contract, mapping)
    elif kind := _kind(name):
        outcomes = _read_values(connection, contract, entity, mapping, kind)
    else:
        return FieldCheck(filled / max(row_count, 1))
    readable = outcomes.pop(None, 0)
    tried = readable + outcomes.total()
    failures = tuple((str(code), count) for code, count in outcomes.most_common())
    return FieldCheck(filled / max(row_count, 1), readable / tried if tried else None, failures)


def _kind(name: str) -> FieldKind | None:
    kind = "name" if name in _NAMES else name
    return cast("FieldKind", kind) if kind in NORMALISERS else None


def _read_values(
    connection: psycopg.Connection[Any], contract: Contract, entity: Entity, mapping: FieldMapping, kind: FieldKind
) -> Counter[str | None]:
    """Normalise a sample of the distinct values: rows by failure code, by none those that pass."""
    country = _text(entity.mappings["country"]) if "country" in entity.mappings else sql.SQL("null::text")
    query = sql.SQL("""
        select value, country, count(*) from (select {value} as value, {country} as country from {landing}) as stated
        where value is not null group by value, country order by md5(value), country
        limit {limit}
    """).format(value=_text(mapping), country=country, landing=LANDING, limit=SAMPLE_SIZE)
    outcomes = Counter[str | None]()
    for value, stated_country, count in connection.execute(query):
        code = country_code_by_name().get(comparison_key(stated_country or ""), contract.country)
        outcomes[normalise(kind, value, code, mapping.format or "").failure_code] += count
    return outcomes


def _read_times(connection: psycopg.Connection[Any], contract: Contract, mapping: FieldMapping) -> Counter[str | None]:
    query = sql.SQL("""
        select count(moment), count(*) - count(moment) from (select {moment} as moment from {landing}
        where {value} is not null) as stated
    """).format(moment=_moment(contract, mapping), landing=LANDING, value=_text(mapping))
    readable, malformed = connection.execute(query).fetchone() or (0, 0)
    outcomes: dict[str | None, int] = {None: readable, "malformed": malformed}
    return +Counter(outcomes)


def _newest(connection: psycopg.Connection[Any], contract: Contract, entity: Entity) -> dt.datetime | None:
    """Give the newest of the times by which the raw gate judges freshness."""
    mapping = next((entity.mappings[name] for name in TIME_FIELDS if name in entity.mappings), None)
    if mapping is None:
        return None
    query = sql.SQL("select max({}) from {}").format(_moment(contract, mapping), LANDING)
    (newest,) = connection.execute(query).fetchone() or (None,)
    return newest


def _moment(contract: Contract, mapping: FieldMapping) -> sql.Composed:
    pattern = time_pattern(mapping.format) if mapping.format else ""
    return sql.SQL("staging.parse_timestamp({}, {}, {})").format(_text(mapping), pattern, contract.time_zone)


def _text(mapping: FieldMapping) -> sql.Composable:
    """Give a field's text as staging reads it: its columns joined by a semicolon, blank is null."""
    columns = [sql.SQL("nullif(btrim({}), '')").format(sql.Identifier(name)) for name in _raw(mapping.columns)]
    return sql.SQL("nullif(concat_ws(';', {}), '')").format(sql.SQL(", ").join(columns))


def _field_line(name: str, check: FieldCheck) -> str:
    """Write both shares, and why values failed."""
    readable = "" if check.readable_share is None else f"{check.readable_share:.1%}"
    failed = ", ".join(f"{count:,} {code}" for code, count in check.failures)
    return f"  {check.filled_share:7.1%} {readable:>9}  {name}{f' ({failed})' if failed else ''}"
