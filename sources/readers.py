"""Read files and SQL tables as what `copy` takes: text in CSV, streamed, values unchanged.

Every reader gives a `Delivery`: the names of the columns and the rows. Nothing here knows the warehouse.
"""

import codecs
import contextlib
import csv
import datetime as dt
import decimal
import hashlib
import io
import json
import lzma
import marshal
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice, repeat
from pathlib import Path
from typing import Any, cast

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import sqlalchemy as sa

from sevenfold.errors import SevenfoldError
from sevenfold.privacy import without_values
from sources.contract import Contract, CsvOptions, mask_password

CHUNK_BYTES = 1 << 20
CHUNK_ROWS = 20_000
RAISED_BY_FUNCTION = "P0001"  # SQLSTATE of a `raise exception`
MARSHAL_VERSION = 2  # later ones write a reference for an object that they met before


class SourceError(SevenfoldError):
    """A source cannot be read; the text says where and what to do, and shows no value of a row."""


@dataclass(frozen=True)
class Delivery:
    """The rows of one file or one query.

    Attributes:
        columns: Names as the source writes them; none when the file holds not even a header.
        rows: The rows as CSV in UTF-8, to be read once.
        options: How that CSV is written; when `options.header`, its first line is to be skipped.
    """

    columns: list[str]
    rows: Iterable[bytes]
    options: CsvOptions


# What this module writes itself: every value quoted, so that a null and an empty text stay two things.
_OWN_CSV = CsvOptions(header=False, columns=["-"])


@dataclass(frozen=True)
class SourceFile:
    """A file somewhere that fsspec reaches, local ones included."""

    filesystem: Any
    path: str

    @property
    def name(self) -> str:
        """Path or URL for people, without password."""
        return mask_password(str(self.filesystem.unstrip_protocol(self.path)).removeprefix("file://"))

    @contextlib.contextmanager
    def local(self) -> Iterator[Path]:
        """Give the file on this machine: itself when it is here, otherwise a copy for as long as it is needed."""
        if "file" in self.filesystem.protocol:
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / Path(self.path).name
            with self.filesystem.open(self.path, "rb") as remote, copy.open("wb") as file:
                shutil.copyfileobj(remote, file, CHUNK_BYTES)
            yield copy


def find_files(contract: Contract, entity_code: str) -> list[SourceFile]:
    """List the files of an entity, sorted by name; their manifests are none of them.

    Raises:
        SourceError: when the location cannot be reached.
        ContractError: when a variable in it is not set.
    """
    location = contract.location(entity_code)
    manifest = contract.entity(entity_code).manifest
    try:
        filesystem, path = fsspec.core.url_to_fs(location)
        paths = [path] if filesystem.isfile(path) else filesystem.glob(path)  # a name may hold brackets
        paths = [found for found in paths if manifest is None or not found.endswith(manifest)]
        return [SourceFile(filesystem, found) for found in sorted(paths) if filesystem.isfile(found)]
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(f"{mask_password(location)} cannot be reached: {type(error).__name__}: {error}") from None


def sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: Path, format_code: str, options: CsvOptions) -> Delivery:
    """Read a CSV, JSON lines or Parquet file; CSV and JSON lines may be compressed.

    Raises:
        SourceError: when the file is not what its contract says it is; a fault further down is raised while the rows
            are read.
    """
    if path.stat().st_size == 0:
        return Delivery([], (), _OWN_CSV)
    if format_code == "csv":
        return _read_csv(path, options)
    return _read_json_lines(path) if format_code == "json_lines" else _read_parquet(path)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file that may be compressed.

    Raises:
        SourceError: when it cannot be decompressed to its end.
    """
    try:
        with fsspec.open(str(path), "rb", compression="infer") as file:
            yield cast("io.BufferedReader", file)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile):
        raise SourceError("it cannot be decompressed to its end: is the file truncated or damaged?") from None


# --- CSV: the bytes go through as they are, re-coded into UTF-8


def _read_csv(path: Path, options: CsvOptions) -> Delivery:
    columns = _header(path, options) if options.header else options.columns
    rows = _in_utf8(path, options.encoding)
    return Delivery(columns, _well_quoted(rows, options) if options.quote else rows, options)


def _header(path: Path, options: CsvOptions) -> list[str]:
    """Read the names in the first line."""
    with _open(path) as file, io.TextIOWrapper(file, _codec(options.encoding), "replace", newline="") as text:
        lines = csv.reader(
            text,
            delimiter=options.delimiter,
            quotechar=options.quote,
            quoting=csv.QUOTE_NONE if options.quote is None else csv.QUOTE_MINIMAL,
            escapechar=options.escape,
            doublequote=options.escape is None,
        )
        try:
            names = next(lines, [])
        except csv.Error as error:
            raise SourceError(f"line 1 is no header: {error}. See options in its contract.") from None
    if any("\ufffd" in name or "\0" in name for name in names):
        raise SourceError(_not_encoded(1, options.encoding))
    return names


def _not_encoded(line: int, encoding: str) -> str:
    return (
        f"line {line} is not {encoding}. Set options.encoding in the contract to what the file is "
        f"(latin-1, cp1252 and utf-16 are frequent), or have it written as {encoding}."
    )


def _codec(encoding: str) -> str:
    """Name the Python codec; the one for UTF-8 drops a byte order mark."""
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _in_utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """Re-code a file.

    An encoding of one byte per letter takes every byte, so that a file in UTF-8 would land as other letters unseen.
    """
    decoder = codecs.getincrementaldecoder(_codec(encoding))()
    utf8 = _Utf8Watch() if _has_one_byte_per_letter(encoding) else None
    line = 1
    with _open(path) as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            if utf8 and utf8.is_all_of_it(chunk):
                raise SourceError(
                    f"its letters beyond ASCII are UTF-8, and its contract says {encoding}: they would land as others. "
                    f"Set options.encoding to utf-8, or have it written as {encoding}."
                )
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                raise SourceError(_not_encoded(line, encoding)) from None
            if text:
                line += text.count("\n")
                yield text.encode()
            if not chunk:
                return


def _has_one_byte_per_letter(encoding: str) -> bool:
    """Whether bytes beyond ASCII are letters by themselves, but for the few that an encoding leaves out."""
    upper_bytes = bytes(range(160, 256))
    return len(upper_bytes.decode(encoding, "ignore")) > len(upper_bytes) / 2


class _Utf8Watch:
    """Whether the letters beyond ASCII of what is read chunk by chunk are all UTF-8, and there are any."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_possible, self._has_letters = True, False

    def is_all_of_it(self, chunk: bytes) -> bool:
        """Take the next chunk; tell at the last, which is empty."""
        if self._is_possible:
            try:
                self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                self._is_possible = False
            self._has_letters |= not chunk.isascii()
        return not chunk and self._is_possible and self._has_letters


def _well_quoted(chunks: Iterable[bytes], options: CsvOptions) -> Iterator[bytes]:
    watch = _QuoteWatch(options)
    for chunk in chunks:
        watch.check(chunk)
        yield chunk
    watch.check(b"", is_end=True)


class _QuoteWatch:
    """Refuse a quote inside a value: `copy` would take it for the beginning of one that goes on to the next quote.

    The rows between the two would be one value, and nobody would miss them. So what is quoted over line breaks has to
    begin and end where a field does. Quotes within a line lose no row.
    """

    def __init__(self, options: CsvOptions) -> None:
        self._quote, self._escape = (options.quote or "").encode(), (options.escape or "").encode()
        self._escaped = re.compile(re.escape(self._escape) + b"[" + re.escape(self._escape + self._quote) + b"]")
        self._edges = [*options.delimiter.encode(), *b"\r\n", *self._quote]  # two quotes are one within a quoted value
        self._before, self._held = b"\n", b""
        self._line = 1
        self._open: tuple[int, bool, bool] | None = None  # at which line, whether where a field begins, over a break

    def check(self, chunk: bytes, is_end: bool = False) -> None:
        """Take the next chunk; quotes at its end are held until it is known what follows them."""
        content = self._held + chunk
        kept = content if is_end else content.rstrip(self._quote + self._escape)
        self._held = content[len(kept) :]
        if not kept:
            return
        if self._escape and self._escape != self._quote:
            kept = self._escaped.sub(b"--", kept)
        if self._quote in kept:
            self._check_pairs(kept)
        elif self._open:
            self._open = (*self._open[:2], self._open[2] or b"\n" in kept or b"\r" in kept)
        self._before = kept[-1:]
        self._line += kept.count(b"\n")

    def _check_pairs(self, content: bytes) -> None:
        around = np.frombuffer(self._before + content + b"\n", np.uint8)
        places = np.flatnonzero(around[1:-1] == self._quote[0])
        breaks = np.flatnonzero(np.isin(around[1:-1], list(b"\r\n")))
        passed = np.searchsorted(breaks, places)
        begins, ends = np.isin(around[places], self._edges), np.isin(around[places + 2], self._edges)
        if self._open:
            line, is_begin, is_broken = self._open
            self._open = None
            if (is_broken or passed[0]) and not (is_begin and ends[0]):
                raise SourceError(_stray_quote(line))
            places, passed, begins, ends = places[1:], passed[1:], begins[1:], ends[1:]
        pairs = len(places) // 2 * 2
        is_stray = (passed[1:pairs:2] > passed[:pairs:2]) & ~(begins[:pairs:2] & ends[1:pairs:2])
        if is_stray.any():
            raise SourceError(_stray_quote(self._line_at(content, places[:pairs:2][is_stray][0])))
        if pairs < len(places):
            self._open = (self._line_at(content, places[-1]), bool(begins[-1]), bool(passed[-1] < len(breaks)))

    def _line_at(self, content: bytes, place: int) -> int:
        return self._line + content.count(b"\n", 0, place)


def _stray_quote(line: int) -> str:
    return (
        f"line {line}: a quote stands inside a value, and the rows from there to the next quote would be one value. "
        "Have quotes doubled within quoted values, or, where the source quotes nothing, say so in the contract "
        "(options.quote: null)."
    )


# --- JSON lines


class _Number(str):
    """A number as it is written: 1.10 stays 1.10."""


_JSON = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_Number)


def _read_json_lines(path: Path) -> Delivery:
    """Read one object per line; it is read twice, for a column may first appear in the last line."""
    columns = list(dict.fromkeys(chain.from_iterable(_json_objects(path))))
    return Delivery(columns, _json_rows(path, columns), _OWN_CSV)


def _json_objects(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as file:
        for line, content in enumerate(file, start=1):
            try:
                text = content.decode("utf-8-sig" if line == 1 else "utf-8").strip()
                row = _JSON.decode(text) if text else None
            except UnicodeDecodeError:
                raise SourceError(f"line {line} is not UTF-8, which JSON lines are written in.") from None
            except json.JSONDecodeError:
                raise SourceError(f"line {line} is not complete JSON: is the file truncated?") from None
            if isinstance(row, dict):
                yield row
            elif text:
                raise SourceError(f"line {line} is JSON but no object: write one {{...}} per line.")


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[bytes]:
    rows = _json_objects(path)
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield _csv_of([_text_array(_json_column([row.get(name) for row in chunk])) for name in columns])


def _json_column(values: list[Any]) -> list[str | None]:
    is_text = set(map(type, values)) <= {str, _Number, type(None)}
    return values if is_text else [_json_text(value) for value in values]


def _json_text(value: object) -> str | None:
    """Give a JSON value as text: strings and numbers as written, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json_source(value)


def _json_source(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_json_source(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json_source, value)) + "]"
    return value if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


# --- Parquet


def _read_parquet(path: Path) -> Delivery:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        raise SourceError("it is no complete Parquet file: is it truncated?") from None
    return Delivery(list(file.schema_arrow.names), _parquet_rows(file), _OWN_CSV)


def _parquet_rows(file: pq.ParquetFile) -> Iterator[bytes]:
    names = file.schema_arrow.names
    try:
        for batch in file.iter_batches(CHUNK_ROWS):
            yield _csv_of([_arrow_text(name, column) for name, column in zip(names, batch.columns, strict=True)])
    except (pa.ArrowException, OSError):
        raise SourceError("its data cannot be decoded: is the Parquet file damaged?") from None


def _arrow_text(name: str, column: pa.Array) -> pa.Array:
    """Cast to text as PostgreSQL would write it: 17850 for a whole float, no trailing zeros in a time."""
    if pa.types.is_nested(column.type):
        return _text_array([sql_text(value) for value in column.to_pylist()])
    try:
        text = column.cast(pa.string())
    except pa.ArrowInvalid:
        raise SourceError(f"column {name!r} holds bytes that are no UTF-8 text.") from None
    if pa.types.is_timestamp(column.type) or pa.types.is_time(column.type):
        text = pc.replace_substring_regex(text, r"(\.\d*?)0+(Z|[+-]\d+)?$", r"\1\2")
        text = pc.replace_substring_regex(text, r"\.(Z|[+-]\d+)?$", r"\1")
    return text


# --- SQL

_Parts = Iterator[list[Any]]  # of rows


class SqlSource:
    """An SQL table or view of a source, through SQLAlchemy."""

    def __init__(self, contract: Contract, entity_code: str) -> None:
        """Prepare to read; nothing is opened yet.

        Raises:
            SourceError: when the location is no SQLAlchemy URL, its driver is missing, or its file is not there.
            ContractError: when a variable in it is not set.
        """
        entity = contract.entity(entity_code)
        location = contract.location(entity_code)
        self.name = f"{mask_password(location)} table {entity.table}"
        try:
            url = sa.make_url(location)
            self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        except (sa.exc.ArgumentError, ImportError) as error:
            problem = error if isinstance(error, ImportError) else "it is no SQLAlchemy URL"
            raise SourceError(f"{self.name} cannot be read: {problem}.") from None
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
            raise SourceError(f"{self.name} cannot be read: there is no such file.")
        schema, _, table = (entity.table or "").rpartition(".")
        self._table = sa.table(table, schema=schema or None)
        self._key: list[sa.ColumnClause[Any]] = [sa.column(name) for name in entity.key]

    def maximum(self, column: str) -> Any:
        """Return the largest value of a column, in the type that the database gives it; None when there is none."""
        with self._errors(), self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(sa.column(column))).select_from(self._table)).scalar()

    @contextlib.contextmanager
    def rows(self, cursor: str | None = None, begin: object = None) -> Iterator[Delivery]:
        """Read the table, or what its cursor says is new since `begin`; ordered by key, where there is one.

        Rows whose cursor or key is null are always read: no cursor can say whether they are new.
        """
        query: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(self._table).order_by(*self._key)
        if cursor is not None:
            blanks = [column.is_(None) for column in (sa.column(cursor), *self._key)]
            query = query.where(sa.or_(sa.column(cursor) >= begin, *blanks))
        with self._run(query) as delivery:
            yield delivery

    @contextlib.contextmanager
    def versions(self, cursor: str, end: object, digest: "hashlib._Hash") -> Iterator[Delivery]:
        """Read only key and cursor of all rows until `end`: which version of which row the table holds.

        What is read goes into the digest too.
        """
        with self._run(self._versions(cursor, end), digest) as delivery:
            yield delivery

    def digests_of_versions(self, cursor: str, earlier_end: object, end: object) -> tuple[str, str]:
        """Give the SHA-256 of key and cursor of all rows until an earlier end, and of those until `end`.

        In the order in which the source gives them, and in one reading: the source says of each row where it belongs.
        """
        is_earlier = sa.case((sa.column(cursor) <= earlier_end, 1), else_=0)
        with self._read(self._versions(cursor, end).add_columns(is_earlier), None) as (columns, parts):
            earlier, all_rows = (hashlib.sha256(_bytes_of([columns[:-1]])[0]) for _ in range(2))
            for rows in parts:
                versions = _bytes_of([row[:-1] for row in rows])
                all_rows.update(b"".join(versions))
                earlier.update(b"".join(compress(versions, [row[-1] for row in rows])))
        return earlier.hexdigest(), all_rows.hexdigest()

    def _versions(self, cursor: str, end: object) -> sa.Select[Any]:
        column: sa.ColumnClause[Any] = sa.column(cursor)
        columns = {name.name: name for name in (*self._key, column)}  # the cursor may be part of the key
        return sa.select(*columns.values()).select_from(self._table).where(column <= end)

    @contextlib.contextmanager
    def _run(self, query: sa.Select[Any], digest: "hashlib._Hash | None" = None) -> Iterator[Delivery]:
        with self._read(query, digest) as (columns, parts):
            yield Delivery(columns, (_csv_of(_sql_columns(rows)) for rows in parts), _OWN_CSV)

    @contextlib.contextmanager
    def _read(self, query: sa.Select[Any], digest: "hashlib._Hash | None") -> Iterator[tuple[list[str], _Parts]]:
        """Give names of columns, and the rows part by part."""
        with self._errors(), self._engine.connect() as connection:
            result = connection.execution_options(stream_results=True, max_row_buffer=CHUNK_ROWS).execute(query)
            columns = list(result.keys())
            if digest:
                digest.update(_bytes_of([columns])[0])
            yield columns, self._parts(result, digest)

    def _parts(self, result: sa.CursorResult[Any], digest: "hashlib._Hash | None") -> _Parts:
        """Take the driver's rows as they are: SQLAlchemy's own cost as much again as reading them."""
        while rows := result.cursor_strategy.fetchmany(result, cast("Any", result.cursor), CHUNK_ROWS):
            if digest:
                digest.update(b"".join(_bytes_of([row[:] for row in rows])))
            yield rows

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            first_line = without_values(str(cause)) or type(cause).__name__
            reason = re.sub(r"'.*'?", "'...'", first_line)  # other drivers than PostgreSQL's quote values so
            if getattr(cause, "sqlstate", None) == RAISED_BY_FUNCTION:
                reason = "a function of the source raised an exception, whose words may hold a value and are not shown"
            raise SourceError(f"{self.name} cannot be read: {reason}.") from None


def _bytes_of(rows: list[Any]) -> list[bytes]:
    """Give the same bytes for the same row, and others for another."""
    try:
        return list(map(marshal.dumps, rows, repeat(MARSHAL_VERSION)))
    except ValueError:  # types that are not Python's own, such as times
        return [marshal.dumps([sql_text(value) for value in row], MARSHAL_VERSION) for row in rows]


def _sql_columns(rows: list[Any]) -> list[pa.Array]:
    return [_text_array(_sql_column(column)) for column in zip(*rows, strict=True)]


def _sql_column(column: Sequence[Any]) -> Sequence[str | None]:
    if set(map(type, column)) <= {str, type(None)}:
        return column
    return [sql_text(value) for value in column]


def _bytes_text(value: bytes | bytearray | memoryview) -> str:
    content = bytes(value)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.hex()


# By exact type: a subclass (an enumeration, a driver's own type) is written by str().
_SQL_TEXT: dict[type, Callable[[Any], str | None]] = {
    type(None): lambda _: None,
    bool: lambda value: "true" if value else "false",
    float: lambda value: repr(value).removesuffix(".0"),
    decimal.Decimal: lambda value: format(value, "f"),
    dt.datetime: lambda value: value.isoformat(sep=" "),
    bytes: _bytes_text,
    bytearray: _bytes_text,
    memoryview: _bytes_text,
    dict: lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True, default=sql_text),
    list: lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True, default=sql_text),
}


def sql_text(value: Any) -> str | None:
    """Write a database value as the raw tables hold it: the same for the same value in every read; null stays None."""
    return _SQL_TEXT.get(type(value), str)(value)


# --- shared


def _text_array(values: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        raise SourceError("a text holds half a character (a lone surrogate), which no database stores.") from None


def _csv_of(columns: Sequence[pa.Array]) -> bytes:
    """Write columns of text as CSV: nulls bare, everything else quoted."""
    batch = pa.RecordBatch.from_arrays(list(columns), [str(position) for position in range(len(columns))])
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(batch, sink, pa_csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    return cast("bytes", sink.getvalue().to_pybytes())


def state_of(path: Path) -> tuple[int, int]:
    """Give size and change time of a file, to notice that somebody writes to it while it is read."""
    status = os.stat(path)  # noqa: PTH116 - one call
    return status.st_size, status.st_mtime_ns
