"""Writing the retailer's tables and files in bulk, and adding a later delivery to them."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from sources.retailer.systems import Dataset

ROWS_AT_A_TIME = 100_000
SQLITE_TYPES = {pa.float64(): "real"}


def write(dataset: Dataset, rows: pa.Table, folder: Path) -> None:
    """Write a table or file, or add rows to the one that is there.

    In a table of SQL, a row whose key is there already takes its place.
    """
    path = folder / dataset.file
    if dataset.format == "sql":
        _write_sql(dataset, rows, path)
    elif dataset.format == "csv":
        _write_csv(dataset, rows, path)
    elif dataset.format == "json_lines":
        _write_json_lines(rows, path)
    else:
        _write_parquet(rows, path)


def read(dataset: Dataset, folder: Path) -> pa.Table:
    """Read a table or file back, all values as text."""
    path = folder / dataset.file
    names = list(dataset.columns)
    if dataset.format == "sql":
        with closing(sqlite3.connect(path)) as connection:
            # The names are this package's own.
            values = connection.execute(f"select {', '.join(names)} from {dataset.table}").fetchall()  # noqa: S608
        return pa.table({name: [row[place] for row in values] for place, name in enumerate(names)})
    if dataset.format == "parquet":
        return pq.read_table(path)
    if dataset.format == "json_lines":
        with duckdb.connect() as connection:
            columns = dict.fromkeys(names, "varchar")
            return connection.read_json(str(path), columns=columns, format="newline_delimited").to_arrow_table()
    return pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(encoding=dataset.encoding),
        parse_options=pa_csv.ParseOptions(delimiter=dataset.delimiter),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""]
        ),
    )


def _write_sql(dataset: Dataset, rows: pa.Table, path: Path) -> None:
    """Fill a SQLite table; sound settings are not needed while the file is being made."""
    key, time = dataset.column_names["native_key"], dataset.time_column
    columns = ", ".join(f"{field.name} {SQLITE_TYPES.get(field.type, 'text')}" for field in rows.schema)
    marks = ", ".join("?" * rows.num_columns)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = memory")
        connection.execute("pragma synchronous = off")
        connection.execute("begin")
        connection.execute(f"create table if not exists {dataset.table} ({columns})")
        is_new = connection.execute(f"select 1 from {dataset.table} limit 1").fetchone() is None  # noqa: S608
        if not is_new and dataset.entity == "customer_records":
            keys = ((value,) for value in rows[key].to_pylist() if value is not None)
            connection.executemany(f"delete from {dataset.table} where {key} = ?", keys)  # noqa: S608
        connection.executemany(f"insert into {dataset.table} values ({marks})", _values(rows))  # noqa: S608
        if is_new:
            if dataset.entity == "customer_records":
                connection.execute(f"create index {dataset.table}_{key} on {dataset.table} ({key})")
            connection.execute(f"create index {dataset.table}_{time} on {dataset.table} ({time})")
        connection.commit()


def _values(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    for batch in rows.to_batches(max_chunksize=ROWS_AT_A_TIME):
        yield from zip(*(column.to_numpy(zero_copy_only=False).tolist() for column in batch.columns), strict=True)


def _write_csv(dataset: Dataset, rows: pa.Table, path: Path) -> None:
    options = pa_csv.WriteOptions(include_header=not path.exists(), delimiter=dataset.delimiter, quoting_style="needed")
    text = io.BytesIO()
    pa_csv.write_csv(rows, text, write_options=options)
    data = text.getvalue()
    with path.open("ab") as file:
        file.write(data if dataset.encoding == "utf-8" else data.decode("utf-8").encode(dataset.encoding))


def _write_json_lines(rows: pa.Table, path: Path) -> None:
    # DuckDB writes whole files only, so a later delivery is written apart and then added.
    part = path.with_suffix(".part")
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        connection.register("delivered", rows)
        connection.table("delivered").query("delivered", f"copy delivered to '{_quoted(part)}' (format json)")
    with path.open("ab") as file:
        file.write(part.read_bytes())
    part.unlink()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _write_parquet(rows: pa.Table, path: Path) -> None:
    if path.exists():
        rows = pa.concat_tables([pq.read_table(path), rows])
    pq.write_table(rows, path, compression="zstd")
