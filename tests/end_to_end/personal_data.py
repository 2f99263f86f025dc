"""Looking for a simulated retailer's people where nothing of theirs may be: in files, and in the tables of a schema.

Text is cut into words, and each word looked up, so that the cost does not grow with the number of people.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import LiteralString

import duckdb
import psycopg
from psycopg import sql

VALUE = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\w+")
SPACED_PHONE = re.compile(r"\b(\d{2,3})[ .-](\d{3,4})[ .-](\d{4})\b")
PARTICLES = {"DE", "DEL", "LA", "LAS", "LOS", "Y"}  # with one of these, two words are no name yet
WORD = re.compile(r"[^\W\d_]+")
OF_SCHEMA = "select table_schema, table_name from information_schema.tables where table_schema = %(name)s"
READABLE = """
    select schemas.nspname, relations.relname
    from pg_class as relations
    inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
    where
        relations.relkind in ('r', 'v')
        and schemas.nspname not in ('pg_catalog', 'information_schema')
        and has_schema_privilege(%(name)s, schemas.oid, 'usage')
        and has_any_column_privilege(%(name)s, relations.oid, 'select')
"""

Connection = psycopg.Connection[tuple[object, ...]]


class People:
    """What is personal of the people of a truth: contact points, identifiers, and names beside each other."""

    def __init__(self, truth: Path) -> None:
        people = duckdb.read_parquet(str(truth / "people.parquet"))
        versions = duckdb.read_parquet(str(truth / "record_versions.parquet"))
        values = people.project(
            "unnest([email, other_email, phone, '52' || phone, curp, rfc, payment_token, device_id])"
        )
        numbers = versions.project("unnest([email, other_email, phone, '52' || phone, loyalty_number])")
        self.values = {str(value).lower() for (value,) in values.union(numbers).fetchall() if value}
        names = people.project("first_name, first_last_name, second_last_name").fetchall()
        pairs = {pair for name in names for pair in pairwise(_words(" ".join(filter(None, name))))}
        self.names = {pair for pair in pairs if not PARTICLES.intersection(pair)}

    def found_in(self, text: str) -> Iterator[str]:
        """Give what is somebody's."""
        yield from (value for value in map(str.lower, VALUE.findall(text)) if value in self.values)
        yield from (phone for phone in map("".join, SPACED_PHONE.findall(text)) if phone in self.values)
        yield from (" ".join(pair) for pair in pairwise(_words(text)) if pair in self.names)

    def found_in_files(self, folder: Path) -> set[tuple[str, str]]:
        """Search every file below a folder, databases too: the file, and what is somebody's."""
        return {
            (str(path.relative_to(folder)), found)
            for path in folder.rglob("*")
            if path.is_file()
            for found in self.found_in(path.read_bytes().decode("utf-8", "replace"))
        }

    def found_in_tables(self, connection: Connection, schema: str) -> set[tuple[str, str]]:
        """Search every table and view of a schema, row by row: the table, and what is somebody's."""
        return self._found_in(connection, OF_SCHEMA, schema)

    def found_in_what_a_role_reads(self, connection: Connection, role: str) -> set[tuple[str, str]]:
        """Search every table and view that a role may read, of whatever schema."""
        return self._found_in(connection, READABLE, role)

    def _found_in(self, connection: Connection, query: LiteralString, name: str) -> set[tuple[str, str]]:
        tables = connection.execute(query, {"name": name}).fetchall()
        assert tables
        return {
            (f"{schema}.{table}", found)
            for schema, table in tables
            for (row,) in connection.execute(_rows(str(schema), str(table)))
            for found in self.found_in(str(row))
        }


def _rows(schema: str, table: str) -> sql.Composed:
    return sql.SQL("select rows::text from {} as rows").format(sql.Identifier(schema, table))


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.upper()).encode("ascii", "ignore").decode()
    return WORD.findall(plain)
