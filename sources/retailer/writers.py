"""Writing the retailer's tables and files in bulk, and adding a later delivery to them."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi as adbc_sqlite
import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from sources.retailer.systems import DATASETS, Dataset

SQLITE_TYPES = {pa.float64(): "real"}


class Delivery:
    """Tables and files that are made, or grow, part by part; none is read back whole.

    What takes the whole, the indexes of SQL and the end of a Parquet file, is written by `complete`.
    """

    def __init__(self, folder: Path) -> None:
        """Deliver into a folder; what it holds already grows."""
        self.folder = folder
        self._earlier = {dataset.name for dataset in DATASETS if (folder / dataset.file).exists()}
        self._tables: dict[str, Dataset] = {}
        self._writers: dict[Path, pq.ParquetWriter] = {}
        self._engine = duckdb.connect(config={"threads": 1})

    def write(self, dataset: Dataset, rows: pa.Table) -> None:
        """Write a table or file, or add rows to it.

        In a table of SQL, a row whose key was there before the delivery makes way.
        """
        path = self.folder / dataset.file
        if dataset.format == "sql":
            self._write_sql(dataset, rows, path)
        elif dataset.format == "csv":
            _write_csv(dataset, rows, path)
        elif dataset.format == "json_lines":
            self._write_json_lines(rows, path)
        else:
            self._write_parquet(rows, path)

    def complete(self) -> None:
        """Index the tables of SQL and close the files."""
        self._engine.close()
        for dataset in self._tables.values():
            with _sqlite(self.folder / dataset.file) as cursor:
                key, time = dataset.column_names["native_key"], dataset.time_column
                for column in (key, time) if dataset.entity == "customer_records" else (time,):
                    cursor.execute(f"create index if not exists {dataset.table}_{column} on {dataset.table} ({column})")
        for path, writer in self._writers.items():
            writer.close()
            _part(path).rename(path)

    def _write_sql(self, dataset: Dataset, rows: pa.Table, path: Path) -> None:
        with _sqlite(path) as cursor:
            if dataset.name not in self._tables:
                columns = ", ".join(f"{field.name} {SQLITE_TYPES.get(field.type, 'text')}" for field in rows.schema)
                cursor.execute(f"create table if not exists {dataset.table} ({columns})")
                self._tables[dataset.name] = dataset
            if dataset.name in self._earlier and dataset.entity == "customer_records":
                key = dataset.column_names["native_key"]
                keys = rows.select([key]).filter(rows[key].is_valid())
                cursor.executemany(f"delete from {dataset.table} where {key} = ?", keys)  # noqa: S608
            cursor.adbc_ingest(dataset.table, rows, mode="append")

    def _write_json_lines(self, rows: pa.Table, path: Path) -> None:
        # DuckDB writes whole files only, so rows are written apart and then added.
        part = _part(path)
        self._engine.register("delivered", rows)
        self._engine.table("delivered").query("delivered", f"copy delivered to '{_quoted(part)}' (format json)")
        with path.open("ab") as file:
            file.write(part.read_bytes())
        part.unlink()

    def _write_parquet(self, rows: pa.Table, path: Path) -> None:
        if path not in self._writers:
            self._writers[path] = pq.ParquetWriter(_part(path), rows.schema, compression="zstd")
            if path.exists():
                earlier = pq.ParquetFile(path)
                for number in range(earlier.num_row_groups):
                    self._writers[path].write_table(earlier.read_row_group(number))
        self._writers[path].write_table(rows)


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


@contextmanager
def _sqlite(path: Path) -> Iterator[Any]:
    """Open a SQLite file for bulk writing; sound settings are not needed while it is being made."""
    with adbc_sqlite.connect(str(path), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("pragma synchronous = off")
        cursor.execute("pragma journal_mode = off")
        yield cursor


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


def _write_csv(dataset: Dataset, rows: pa.Table, path: Path) -> None:
    options = pa_csv.WriteOptions(include_header=not path.exists(), delimiter=dataset.delimiter, quoting_style="needed")
    text = io.BytesIO()
    pa_csv.write_csv(rows, text, write_options=options)
    data = text.getvalue()
    with path.open("ab") as file:
        file.write(data if dataset.encoding == "utf-8" else data.decode("utf-8").encode(dataset.encoding))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
