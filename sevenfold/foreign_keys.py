"""Foreign keys between the published tables: a row that readers see refers to rows that they see.

A model says them beside its primary key, in `config.meta`; each refers to the primary key of a published table:

    foreign_keys: {state_code: [marts.dim_customer_states]}

They are deferred, so that one transaction of differences may write the tables in any order. They are made after the
rows, where one join proves a whole table; afterwards only rows that change are looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer names silently


@dataclass(frozen=True)
class ForeignKey:
    """One column of a published table that holds the primary key of another, or nothing."""

    schema: str
    table: str
    column: str
    referenced_schema: str
    referenced_table: str

    @property
    def name(self) -> str:
        """The constraint's name."""
        return f"{self.table}_{self.column}_to_{self.referenced_table}"[:LONGEST_NAME]

    def __str__(self) -> str:
        """Say it for people."""
        return f"{self.schema}.{self.table}.{self.column} -> {self.referenced_schema}.{self.referenced_table}"


def drop_undeclared(connection: Connection, schema: str, table: str, declared: Sequence[ForeignKey]) -> None:
    """Drop the foreign keys of a table that its model no longer declares."""
    for name in _existing(connection, schema, table) - {key.name for key in declared}:
        statement = sql.SQL("alter table {} drop constraint {}")
        connection.execute(statement.format(sql.Identifier(schema, table), sql.Identifier(name)))


def prove(connection: Connection, declared: Sequence[ForeignKey]) -> None:
    """Check what the transaction wrote, and make the foreign keys that are missing; no reader has to wait.

    Raises:
        psycopg.errors.ForeignKeyViolation: A row refers to one that is not there.
    """
    # Checked here, and not at the end: a table with checks to come cannot be altered.
    connection.execute("set constraints all immediate")
    for key in declared:
        if key.name not in _existing(connection, key.schema, key.table):
            _make(connection, key)


def violation_message(error: psycopg.errors.ForeignKeyViolation, published_schemas: tuple[str, ...]) -> str:
    """Say which key does not hold, without the value: one of ours, or one of a table that somebody built on ours."""
    table = f"{error.diag.schema_name}.{error.diag.table_name}"
    if error.diag.schema_name not in published_schemas:
        return (
            f"{table} refers to a row that is published no more, and its foreign key {error.diag.constraint_name} "
            "forbids that. Nothing was published. Ask its owner to say what becomes of such rows (on delete cascade, "
            "or set null)."
        )
    return (
        f"{table}: a row refers to one that is not published (foreign key "
        f"{error.diag.constraint_name}). Nothing was published. Anti-join the two candidate tables to find it, and "
        "correct the model; or, when rows may rightly refer to nothing, take the key out of the model's foreign_keys."
    )


def _existing(connection: Connection, schema: str, table: str) -> set[str]:
    rows = connection.execute(
        "select conname from pg_constraint where contype = 'f' and conrelid = to_regclass(%s)",
        (sql.Identifier(schema, table).as_string(connection),),
    ).fetchall()
    return {name for (name,) in rows}


def _make(connection: Connection, key: ForeignKey) -> None:
    parts = {
        "table": sql.Identifier(key.schema, key.table),
        "name": sql.Identifier(key.name),
        "column": sql.Identifier(key.column),
        "referenced": sql.Identifier(key.referenced_schema, key.referenced_table),
    }
    connection.execute(
        sql.SQL(
            "alter table {table} add constraint {name} foreign key ({column}) references {referenced} "
            "deferrable initially deferred"
        ).format(**parts)
    )
    # The tables of codes are short and hardly ever lose a row.
    if not key.column.endswith("_code") and not _is_indexed(connection, key):
        connection.execute(sql.SQL("create index if not exists {name} on {table} ({column})").format(**parts))


def _is_indexed(connection: Connection, key: ForeignKey) -> bool:
    """Whether an index that begins with the column is there already, such as that of a primary key."""
    found = connection.execute(
        """
        select
        from pg_index as indexes
        inner join pg_attribute as columns
            on indexes.indrelid = columns.attrelid and indexes.indkey[0] = columns.attnum
        where indexes.indrelid = to_regclass(%s) and columns.attname = %s
        """,
        (sql.Identifier(key.schema, key.table).as_string(connection), key.column),
    ).fetchone()
    return found is not None
