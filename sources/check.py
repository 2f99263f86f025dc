"""Check a contract against its source before the first run: what is there, and how much of it each field fills.

Counts only: no value of a row is shown, and nothing stays in the warehouse.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sevenfold.warehouse import clear_errors, connect
from sources.contract import Contract, load_contract, raw_column
from sources.landing import LANDING, fill, native_key, raw_columns, require_columns
from sources.readers import Delivery, SourceError, SqlSource, find_files, read_file


@dataclass(frozen=True)
class EntityCheck:
    """What one entity of a contract found at its source.

    Attributes:
        location: The file or table that was read; of several files the last by name.
        file_count: Files that the location matches; 0 for a table.
        row_count: Rows in it.
        columns: Columns of the source, in its order.
        unmapped_columns: Those that the contract does not use; they land in raw all the same.
        filled_shares: Per canonical field the share of rows, 0 to 1, where at least one of its columns is not blank.
        rows_without_key: Rows whose key is blank: they would be quarantined. 0 for an entity without key.
        repeated_keys: Keys that stand on several rows: versions of one record, or a key that is none.
        minimum_rows: Rows that the contract expects at least.
    """

    entity_code: str
    location: str
    file_count: int
    row_count: int
    columns: tuple[str, ...]
    unmapped_columns: tuple[str, ...]
    filled_shares: dict[str, float]
    rows_without_key: int
    repeated_keys: int
    minimum_rows: int

    @property
    def has_too_few_rows(self) -> bool:
        """Whether the raw gate would stop a run at so few rows; of several files only the last was counted."""
        return self.file_count <= 1 and self.row_count < self.minimum_rows

    def __str__(self) -> str:
        """Write the findings for people, a line each."""
        files = f" (the last of {self.file_count} files)" if self.file_count > 1 else ""
        lines = [f"{self.entity_code}: {self.row_count:,} rows in {self.location}{files}"]
        lines += [f"  {share:7.1%} {field}" for field, share in self.filled_shares.items()]
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
            lines.append(f"  {self.repeated_keys:,} keys stand on several rows: versions of a record, or not a key.")
        if self.unmapped_columns:
            lines.append(f"  not mapped, kept in raw: {', '.join(self.unmapped_columns)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class ContractCheck:
    """A contract that is well written, and what stands behind each of its entities."""

    contract: Contract
    entities: tuple[EntityCheck, ...]

    @property
    def is_good(self) -> bool:
        """Whether every entity holds the rows that its contract expects."""
        return not any(entity.has_too_few_rows for entity in self.entities)

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
    with clear_errors(f"{path} cannot be checked"), connect("loader") as connection:
        checks = tuple(_check_entity(connection, contract, code) for code in contract.entities)
        connection.rollback()
    return ContractCheck(contract, checks)


def _check_entity(connection: psycopg.Connection[Any], contract: Contract, entity_code: str) -> EntityCheck:
    entity = contract.entity(entity_code)
    fields = {name: _raw(mapping.columns) for name, mapping in entity.mappings.items()}
    key = _raw(entity.key)
    try:
        with _opened(contract, entity_code) as (location, file_count, delivery):
            names = raw_columns(delivery.columns)
            require_columns(_raw(entity.required_columns), names, delivery.columns)
            fill(connection, LANDING, names, delivery)
    except SourceError as error:
        raise SourceError(f"{contract.file}: entities.{entity_code}: {error}") from None
    row_count, without_key, repeated, *filled = _counts(connection, list(fields.values()), key)
    connection.execute(sql.SQL("drop table {}").format(LANDING))
    return EntityCheck(
        entity_code=entity_code,
        location=location,
        file_count=file_count,
        row_count=row_count,
        columns=tuple(delivery.columns),
        unmapped_columns=tuple(name for name in delivery.columns if name not in entity.required_columns),
        filled_shares={field: count / max(row_count, 1) for field, count in zip(fields, filled, strict=True)},
        rows_without_key=without_key if key else 0,
        repeated_keys=repeated if key else 0,
        minimum_rows=entity.expected.minimum_rows,
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


def _counts(connection: psycopg.Connection[Any], fields: Sequence[Sequence[str]], key: Sequence[str]) -> list[int]:
    """Count in one pass: rows, rows without key, keys that repeat, and rows that fill each field."""
    filled = [
        sql.SQL("count(coalesce({}))").format(
            sql.SQL(", ").join(sql.SQL("nullif(btrim({}), '')").format(sql.Identifier(column)) for column in columns)
        )
        for columns in fields
    ]
    query = sql.SQL("""
        select
            count(*),
            count(*) - count({key}),
            (
                select count(*)
                from (select from {landing} where {key} is not null group by {key} having count(*) > 1) as repeated
            ),
            {filled}
        from {landing}
    """).format(
        landing=LANDING,
        key=native_key(None, key) if key else sql.SQL("content_hash"),
        filled=sql.SQL(", ").join(filled),
    )
    return list(connection.execute(query).fetchone() or ())
