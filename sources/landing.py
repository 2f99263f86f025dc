"""Bring a delivery into its raw table: copied into a temporary table, then what is new lands in one statement.

Raw is append-only and holds every source column as unchanged text. What is new is decided per key:

* A row lands unless raw holds it already. Equal rows are counted: the third one of a delivery is new when raw holds
  two. So genuine duplicates land once each, and a delivery sent again lands nothing.
* The last row of a key also lands when raw's latest row of that key says something else. So a record that changes and
  changes back lands three times, although raw had seen its third state before.

A row without key (none in the contract, or blank in the row) is its own key: only the first rule can apply to it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sources.contract import Contract, raw_column
from sources.readers import Delivery, SourceError

LANDING = sql.Identifier("pg_temp", "landing")
VERSIONS = sql.Identifier("pg_temp", "versions")
UNIT, RECORD = "\x1f", "\x1e"  # ASCII's separators, between the columns of a row and between name and value
FIRST_VERSION_WITHOUT_END_MARKER = 180000  # PostgreSQL; before it, `copy` stops at a line that holds only \.

_MALFORMED = (
    ("missing data", "line {} has fewer fields than there are columns: is the file truncated, or the line broken?"),
    ("extra data", "line {} has more fields than there are columns: is a delimiter inside a value not quoted?"),
    ("unterminated", "line {} ends inside a quoted value: is the file truncated, or a quote not doubled?"),
    ("unquoted", "line {} ends otherwise than the lines before it: write one kind of line end."),
)


@dataclass(frozen=True)
class Landed:
    """What a delivery came to.

    Attributes:
        rows_read: Rows that it holds.
        rows_landed: Rows that were new.
        new_columns: Columns that raw did not have.
        nul_count: NUL bytes removed.
        is_open_ended: Whether its last line has no end, as when a file is cut inside its last value.
        content_sha256: Digest of its rows, whatever their order; None where nobody asked.
    """

    rows_read: int = 0
    rows_landed: int = 0
    new_columns: tuple[str, ...] = ()
    nul_count: int = 0
    is_open_ended: bool = False
    content_sha256: str | None = None


class RawTable:
    """The raw table of one entity of a contract."""

    def __init__(self, connection: psycopg.Connection[Any], contract: Contract, entity_code: str) -> None:
        """Look at the table; it is created when the first delivery lands."""
        entity = contract.entity(entity_code)
        self._connection = connection
        self._name = contract.raw_table(entity_code)
        self._comment = f"Rows of {contract.label} ({entity_code.replace('_', ' ')}) as they came. Append-only."
        self.identifier = sql.Identifier("raw", self._name)
        self.key = [raw_column(column, 0) for column in entity.key]
        self.required = [raw_column(column, 0) for column in entity.required_columns]

    def columns(self) -> list[str]:
        """List the table's columns; none when there is no table yet."""
        query = """
            select attname from pg_attribute
            where attrelid = to_regclass({name}) and attnum > 0 and not attisdropped
            order by attnum
        """
        return [row[0] for row in self._connection.execute(sql.SQL(query).format(name=_regclass(self._name)))]

    def is_empty(self) -> bool:
        """Say whether no row has landed yet."""
        return not self.columns() or bool(self._run("select not exists (select from {raw})"))

    def land(self, delivery: Delivery, batch_id: int, with_digest: bool = False) -> Landed:
        """Land what is new of a delivery, inside the caller's transaction; with a digest of all that it holds.

        Raises:
            SourceError: when a needed column is missing or the rows are malformed.
        """
        names = raw_columns(delivery.columns)
        if names:
            require_columns(self.required, names, delivery.columns)
        new_columns = self._prepare(names or self.required)
        if not names:
            return Landed(new_columns=new_columns)  # an empty file has not even a header
        read = fill(self._connection, LANDING, names, delivery)
        self._number()
        is_first = self.is_empty()
        if not is_first:
            self._index_for(read.rows_read)
            self._find_fresh()
        landed = self._insert(names, batch_id, only_fresh=not is_first)
        digest = self._run(_DIGEST, landing=LANDING) if with_digest else None
        self._drop_temporary()
        return replace(read, rows_landed=landed, new_columns=new_columns, content_sha256=digest)

    def prepare(self) -> None:
        """Make the table with the columns of the contract, when there is none yet."""
        self._prepare(self.required)

    def misses_a_version(self, delivery: Delivery, cursor: str) -> bool:
        """Say whether a source holds a version of a row (key and cursor, all that `delivery` has) that raw does not."""
        fill(self._connection, VERSIONS, raw_columns(delivery.columns), delivery)
        self._run("analyze {versions}", versions=VERSIONS)
        return bool(
            self._run(
                _MISSES_A_VERSION,
                versions=VERSIONS,
                version_key=native_key("version", self.key),
                held_key=native_key("held", self.key),
                cursor=sql.Identifier(raw_column(cursor, 0)),
            )
        )

    def _prepare(self, names: Sequence[str]) -> tuple[str, ...]:
        """Make the table, or add the columns that it does not have yet, which are returned."""
        held = self.columns()
        added = [name for name in names if name not in held]
        text_columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in added)
        if not held:
            self._run(_CREATE_RAW, columns=text_columns)
            self._run("comment on table {raw} is {comment}", comment=sql.Literal(self._comment))
            return ()
        if added:
            clauses = [sql.SQL("add column {} text").format(sql.Identifier(name)) for name in added]
            self._run("alter table {raw} {clauses}", clauses=sql.SQL(", ").join(clauses))
        return tuple(added)

    def _number(self) -> None:
        """Number the equal rows of the delivery, and find the rows that a later one of the same key follows."""
        self._run(_NUMBER, landing=LANDING, key=native_key("landing", self.key, "content_hash"))
        self._run("analyze {landing} (source_position)", landing=LANDING)
        self._run("analyze pg_temp.numbered")

    def _index_for(self, rows_read: int) -> None:
        """Index raw by key once a delivery is small beside it; a large one is compared with all of raw anyway."""
        digest = hashlib.md5(r"\|".join(self.key).encode(), usedforsecurity=False).hexdigest()[:4]
        name = f"{self._name}_{digest}"  # another key in the contract is another index
        if self._is_small(rows_read) and self._run("select to_regclass({name})", name=_regclass(name)) is None:
            key = native_key(None, self.key, "content_hash")
            self._run("create index {name} on {raw} using hash (({key}))", name=sql.Identifier(name), key=key)
            self._run("analyze {raw}")  # so that the planner knows the keys

    def _is_small(self, row_count: int) -> bool:
        """Say whether so many rows are less than a tenth of the table, by its statistics."""
        query = "select reltuples from pg_class where oid = to_regclass({name})"
        return bool(row_count * 10 < self._run(query, name=_regclass(self._name)))

    def _find_fresh(self) -> None:
        """Find what is new, looking up in raw only the keys that were delivered."""
        held_key = native_key("held", self.key, "content_hash")
        landing_key = native_key("landing", self.key, "content_hash")
        self._run(
            "create temporary table delivered_keys on commit drop as "
            "select distinct {key} as native_key from {landing} as landing",
            key=landing_key,
            landing=LANDING,
        )
        self._run("analyze pg_temp.delivered_keys")
        self._run(_FIND_FRESH, held_key=held_key, landing_key=landing_key, landing=LANDING)
        self._run("analyze pg_temp.fresh")

    def _insert(self, names: Sequence[str], batch_id: int, only_fresh: bool) -> int:
        query = sql.SQL(_INSERT).format(
            raw=self.identifier,
            landing=LANDING,
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            landing_columns=sql.SQL(", ").join(sql.Identifier("landing", name) for name in names),
            batch_id=sql.Literal(batch_id),
            fresh=sql.SQL("inner join pg_temp.fresh using (source_position)" if only_fresh else ""),
        )
        landed = self._connection.execute(query).rowcount
        if not self._is_small(landed):
            self._run("analyze {raw}")
        return landed

    def _drop_temporary(self) -> None:
        self._run("drop table {landing}, pg_temp.numbered", landing=LANDING)
        self._run("drop table if exists pg_temp.delivered_keys, pg_temp.fresh")

    def _run(self, query: LiteralString, **parts: sql.Composable) -> Any:
        """Run a statement on the table; return the first value of its first row, if it gives one."""
        cursor = self._connection.execute(sql.SQL(query).format(raw=self.identifier, **parts))
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def _regclass(name: str) -> sql.Literal:
    return sql.Literal(sql.Identifier("raw", name).as_string())


def raw_columns(source_names: Sequence[str]) -> list[str]:
    """Name the raw columns of a delivery.

    Raises:
        SourceError: when two of its columns have one name.
    """
    names = [raw_column(name, position) for position, name in enumerate(source_names, start=1)]
    twice = [position for position, name in enumerate(names, start=1) if names.count(name) > 1]
    if twice:  # by their places: without a header these are values
        places = ", ".join(map(str, twice))
        raise SourceError(f"columns {places}: a name stands twice. Give each column a name of its own.")
    return names


def require_columns(required: Sequence[str], names: Sequence[str], source_names: Sequence[str]) -> None:
    """Compare what a contract needs with what a delivery has.

    Raises:
        SourceError: when a column is missing; the text lists those that are there, but for what may be values: a file
            without a header, or with one that runs into the first row, has that row among them.
    """
    missing = [name for name in required if name not in names]
    if missing:
        hint = ""
        if len(names) == 1 and (marks := re.findall(r"[,;|\t]", names[0])):
            hint = f" There is only one column: is options.delimiter {marks[0]!r}?"
        there = _without_rows(required, names, source_names, len(missing))
        raise SourceError(f"column {', '.join(map(repr, missing))} is missing; there is {there}.{hint}")


def _without_rows(
    required: Sequence[str], names: Sequence[str], source_names: Sequence[str], missing_count: int
) -> str:
    """List the names of columns; those that no contract names only where they are as few as if some were renamed."""
    words = [{word.strip(" \"'") for word in re.split(r"[,;|\t]", name)} for name in names]
    shown = [repr(name) for name, found in zip(source_names, words, strict=True) if found & set(required)]
    others = len(names) - len(shown)
    if others <= 2 * missing_count and 2 * len(set().union(*words) & set(required)) >= len(required):
        return ", ".join(map(repr, source_names))
    there = f"{', '.join(shown)} and {others} more" if shown else f"{others}, none of which its contract names"
    return f"{there}; these are not shown, since they may be a row (options.header: has it a header?)"


def fill(
    connection: psycopg.Connection[Any], table: sql.Identifier, names: Sequence[str], delivery: Delivery
) -> Landed:
    """Copy a delivery into a new temporary table of text columns; count its rows and the NUL bytes it had.

    Raises:
        SourceError: when the rows are malformed; the text gives the line.
    """
    columns: list[sql.Composable] = [sql.SQL("{} text").format(sql.Identifier(name)) for name in names]
    if table == LANDING:
        columns += [sql.SQL(_POSITION), sql.SQL(_CONTENT_HASH).format(_content(names))]
    connection.execute(
        sql.SQL("create temporary table {} ({}) on commit drop").format(table, sql.SQL(", ").join(columns))
    )
    cleaner = _Cleaner(has_end_marker=connection.info.server_version < FIRST_VERSION_WITHOUT_END_MARKER)
    cursor = connection.cursor()
    try:
        with cursor.copy(_copy_statement(table, names, delivery)) as copy:
            for chunk in cleaner.clean(delivery.rows):
                copy.write(chunk)
    except psycopg.errors.BadCopyFileFormat as error:
        raise SourceError(_malformed(error)) from None
    except psycopg.DataError as error:
        raise SourceError(
            f"the warehouse cannot hold a value of it ({error.sqlstate}); see line {_line(error)}."
        ) from None
    return Landed(rows_read=cursor.rowcount, nul_count=cleaner.nul_count, is_open_ended=cleaner.is_open_ended)


def _content(names: Sequence[str]) -> sql.Composed:
    """Write all of a row as one text, to be hashed.

    A null adds nothing, so that a column that a source adds later, still empty, makes no row look new; and columns go
    in by name, so that their order does not matter.
    """
    parts = [
        sql.SQL("coalesce({} || {}, '')").format(sql.Literal(f"{UNIT}{name}{RECORD}"), sql.Identifier(name))
        for name in sorted(names)
    ]
    return sql.SQL(" || ").join(parts)


def _copy_statement(table: sql.Identifier, names: Sequence[str], delivery: Delivery) -> sql.Composed:
    options = delivery.options
    quote = options.quote or "\b"  # `copy` wants one: a backspace is in no file
    return sql.SQL(
        "copy {table} ({columns}) from stdin with (format csv, encoding 'UTF8', header {header}, "
        "delimiter {delimiter}, quote {quote}, escape {escape})"
    ).format(
        table=table,
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        header=sql.Literal(options.header),
        delimiter=sql.Literal(options.delimiter),
        quote=sql.Literal(quote),
        escape=sql.Literal(options.escape or quote),
    )


@dataclass
class _Cleaner:
    """Take out of a stream of CSV what PostgreSQL cannot hold, and stop at what it would take for the end."""

    has_end_marker: bool
    nul_count: int = 0
    is_open_ended: bool = False

    def clean(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        tail = b"\n"
        for chunk in chunks:
            if b"\0" in chunk:
                self.nul_count += chunk.count(b"\0")
                chunk = chunk.replace(b"\0", b"")  # noqa: PLW2901 - the cleaned chunk takes its place
            if self.has_end_marker:
                self._refuse_end_marker(tail + chunk)
                tail = (tail + chunk)[-3:]
            if chunk:
                self.is_open_ended = not chunk.endswith((b"\n", b"\r"))
            yield chunk
        if self.has_end_marker:
            self._refuse_end_marker(tail + b"\n")

    def _refuse_end_marker(self, content: bytes) -> None:
        if re.search(rb"[\r\n]\\\.[\r\n]", content):
            raise SourceError("a line holds only \\., which PostgreSQL before 18 takes for the end of the file.")


def _malformed(error: psycopg.Error) -> str:
    """Say what is wrong with the line; the server's own context would show its values."""
    message = error.diag.message_primary or ""
    template = next((text for start, text in _MALFORMED if message.startswith(start)), "line {} is no well-formed CSV.")
    return template.format(_line(error))


def _line(error: psycopg.Error) -> str:
    found = re.search(r"(\d+)", (error.diag.context or "").partition(",")[2])
    return found[1] if found else "?"


def native_key(table: str | None, columns: Sequence[str], fallback: str | None = None) -> sql.Composable:
    """Write the key of a row, as `key_text` of the dbt project does; the fallback column when one of its is blank.

    Bars and backslashes within one of several columns are escaped, so that no two keys read alike.
    """
    path = (table,) if table else ()
    parts = [sql.SQL("nullif(btrim({}), '')").format(sql.Identifier(*path, column)) for column in columns]
    if len(parts) > 1:
        parts = [sql.SQL(r"replace(replace({}, '\', '\\'), '|', '\|')").format(part) for part in parts]
    key = sql.SQL(" || '|' || ").join(parts)
    if fallback is None:
        return sql.SQL("({})").format(key)
    last = sql.Identifier(*path, fallback)
    return sql.SQL("coalesce({}, {})").format(key, last) if columns else last


_CREATE_RAW: LiteralString = """
    create table {raw} (
        raw_id bigint generated always as identity primary key,
        batch_id bigint not null,
        source_position bigint not null,
        occurrence integer not null,
        content_hash text not null,
        loaded_at timestamptz not null,
        {columns}
    )
"""
_POSITION: LiteralString = "source_position bigint generated always as identity primary key"
_CONTENT_HASH: LiteralString = "content_hash text generated always as (md5({})) stored"
# Few keys repeat in most deliveries; a row whose key does not is not written here: it is the first, and the last.
_NUMBER: LiteralString = """
    create temporary table numbered on commit drop as
    with keyed as not materialized (
        select source_position, content_hash, {key} as native_key from {landing} as landing
    ),
    repeated as (
        select native_key from keyed group by native_key having count(*) > 1
    )
    select
        source_position,
        row_number() over equal_rows as equal_rank,
        case
            when lag(content_hash) over versions = content_hash then row_number() over equal_rows else 1
        end as occurrence,
        lead(source_position) over versions is null as is_last
    from keyed
    inner join repeated using (native_key)
    window
        versions as (partition by native_key order by source_position),
        equal_rows as (partition by native_key, content_hash order by source_position)
"""
_FIND_FRESH: LiteralString = """
    create temporary table fresh on commit drop as
    with held as materialized (
        select delivered_keys.native_key, held.content_hash, held.raw_id
        from pg_temp.delivered_keys
        inner join {raw} as held on {held_key} = delivered_keys.native_key
    ),
    held_counts as (
        select native_key, content_hash, count(*) as held_count from held group by native_key, content_hash
    ),
    latest as (
        select distinct on (native_key) native_key, content_hash from held order by native_key, raw_id desc
    ),
    delivered as (
        select
            landing.source_position,
            landing.content_hash,
            {landing_key} as native_key,
            coalesce(numbered.equal_rank, 1) as equal_rank,
            coalesce(numbered.is_last, true) as is_last
        from {landing} as landing
        left join pg_temp.numbered using (source_position)
    )
    select delivered.source_position
    from delivered
    left join held_counts using (native_key, content_hash)
    left join latest on delivered.native_key = latest.native_key
    where
        delivered.equal_rank > coalesce(held_counts.held_count, 0)
        or (delivered.is_last and delivered.content_hash <> latest.content_hash)
"""
_MISSES_A_VERSION: LiteralString = """
    select exists (
        select from {versions} as version
        where {version_key} is not null and not exists (
            select from {raw} as held where {held_key} = {version_key} and held.{cursor} = version.{cursor}
        )
    )
"""
# In 4,096 parts, since one text holds no more than a gigabyte. No row at all has the digest of an empty file.
_DIGEST: LiteralString = """
    with parts as (
        select
            left(content_hash, 3) as part_code,
            md5(string_agg(content_hash, '' order by content_hash collate "C")) as part_hash
        from {landing}
        group by left(content_hash, 3)
    )
    select encode(
        sha256(convert_to(coalesce(string_agg(part_hash, '' order by part_code collate "C"), ''), 'UTF8')), 'hex'
    )
    from parts
"""
_INSERT: LiteralString = """
    insert into {raw} (batch_id, source_position, occurrence, content_hash, loaded_at, {columns})
    select
        {batch_id}, source_position, coalesce(numbered.occurrence, 1), landing.content_hash, now(), {landing_columns}
    from {landing} as landing
    left join pg_temp.numbered using (source_position)
    {fresh}
    order by source_position
"""
