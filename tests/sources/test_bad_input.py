"""Bad input is refused with words that help; nothing of it lands, nothing that landed before is lost."""

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sevenfold.errors import SevenfoldError
from sources import extract as extract_module
from sources.batches import ExtractRefused
from sources.contract import Contract, ContractError, CsvOptions, load_contract
from sources.extract import extract
from sources.landing import _Cleaner
from sources.readers import Delivery, SourceError, _well_quoted, read_file
from tests.sources.deliveries import batches, contract, has_raw_table, raw

SECRET = "Zaragoza"  # a value that no message may show


def refuse(url: str, of: Contract) -> str:
    """Extract what cannot be taken; check that it is recorded and nothing landed; return what is said."""
    with pytest.raises(ExtractRefused) as caught:
        extract(of, "customer_records", "run_1")
    text = str(caught.value)
    assert text.startswith("shop customer_records, ")
    assert SECRET not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert batches(url, "status_code", "rows_landed", "message")[-1] == ("refused", 0, text)
    return text


def write(folder: Path, content: bytes, **changes: Any) -> Contract:
    (folder / "shop.csv").write_bytes(content)
    return contract(folder, **changes)


LONG = b"".join(b"%d,%s\n" % (number, SECRET.encode()) for number in range(100_000))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,nombre\n1,Zaragoza\n", "column 'name' is missing; there is 'id', 'nombre'."),
        (b"id;name\n1;Zaragoza\n", "column 'id', 'name' is missing; there is 'id;name'. There is only one column"),
        (b"id,name,name\n1,Zaragoza,b\n", "columns 2, 3: a name stands twice"),
        (
            b"1,Zaragoza\n2,Ana\n",
            "there is 2, none of which its contract names; these are not shown",
        ),
        (b"id,name2,Zaragoza,x,y\n1,Ana\n", "is missing; there is 'id' and 4 more; these are not shown"),
        (b"Zaragoza,Zaragoza\n", "columns 1, 2: a name stands twice"),
        (b"id,name\n1,Zaragoza\n2,Mar\xeda\n", "line 3 is not utf-8. Set options.encoding"),
        ("id,name\n1,Zaragoza\n".encode("utf-16"), "line 1 is not utf-8. Set options.encoding"),
        (b"id,name\n" + LONG + b"2,Mar\xeda\n", "line 100002 is not utf-8"),
        (b"id,name\n1,Zaragoza\n2", "line 3 has fewer fields than there are columns: is the file truncated"),
        (b"id,name\n" + LONG + b"2", "line 100002 has fewer fields"),
        (b'id,name\n1,Zaragoza\n2,"Mar', "line 3 ends inside a quoted value: is the file truncated"),
        (b'id,name\n1,Zar"agoza\n2,b\n3,Jo"e\n4,c\n', "line 2: a quote stands inside a value, and the rows from there"),
        (b'id,name\n1,b\n2,"Zaragoza\n3,c\n4,"Jo\n', "line 3: a quote stands inside a value"),
        (b"id,name\n1,Zaragoza\n2,Ana,b\n", "line 3 has more fields than there are columns"),
        (b"id,name\n1,Zaragoza\n\n3,Ana\n", "line 3 has fewer fields"),
        (b"id,name\n1,Zaragoza\r\n2,b\n", "ends otherwise than the lines before it"),
        (b"", "the file holds no row, and its contract expects at least 1 rows"),
        (b"\xef\xbb\xbf", "the file holds no row"),
        (b"id,name\n", "the file holds no row, and its contract expects at least 1 rows"),
    ],
    ids=[
        *("missing_column", "other_delimiter", "column_twice", "no_header", "header_in_row", "no_header_twice"),
        *("wrong_encoding", "utf_16", "wrong_encoding_late", "truncated_line", "truncated_line_late"),
        *("truncated_quote", "stray_quote", "stray_opening_quote", "ragged_line", "blank_line", "mixed_line_ends"),
        *("zero_bytes", "byte_order_mark_only", "header_only"),
    ],
)
def test_a_bad_csv_is_refused(warehouse: str, tmp_path: Path, content: bytes, said: str) -> None:
    text = refuse(warehouse, write(tmp_path, content))
    assert said in text
    assert str(tmp_path / "shop.csv") in text
    assert not has_raw_table(warehouse)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_file_in_utf_8_whose_contract_says_one_byte_per_letter_is_refused(
    warehouse: str, tmp_path: Path, encoding: str
) -> None:
    content = b"id,name\n" + LONG + "2,María\n".encode()
    text = refuse(warehouse, write(tmp_path, content, options={"encoding": encoding}))
    assert f"its letters beyond ASCII are UTF-8, and its contract says {encoding}" in text
    assert batches(warehouse, "content_sha256", "size_bytes") == [(hashlib.sha256(content).hexdigest(), len(content))]
    extract(write(tmp_path, b"id,name\n1,Mar\xeda\n", options={"encoding": encoding}), "customer_records", "run_2")
    extract(write(tmp_path, b"id,name\n1,Ana\n", options={"encoding": encoding}), "customer_records", "run_3")
    assert raw(warehouse, "name") == [("María",), ("Ana",)]


MANIFEST = ".manifest.json"
WHOLE = b"id,name\n1,Ana\n2,Zaragoza\n"


def promise(folder: Path, **promised: object) -> Contract:
    """A contract that asks for a manifest, and the manifest."""
    (folder / f"shop.csv{MANIFEST}").write_text(json.dumps(promised), encoding="utf-8")
    return contract(folder, manifest=MANIFEST, location="shop.csv*")


def test_a_file_that_is_what_its_manifest_says_is_taken(warehouse: str, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_bytes(WHOLE)
    digest = hashlib.sha256(WHOLE).hexdigest().upper()
    source = promise(tmp_path, row_count=2, size_bytes=len(WHOLE), sha256=digest, written_by="shop")
    assert extract(source, "customer_records", "run_1").rows_landed == 2
    assert batches(warehouse, "location", "status_code") == [(str(tmp_path / "shop.csv"), "landed")]


@pytest.mark.parametrize(
    ("promised", "said"),
    [
        ({"row_count": 3}, "its manifest says 3 rows, and it holds 2. Deliver file and manifest again"),
        ({"size_bytes": 40}, f"its manifest says 40 bytes, and it has {len(WHOLE)}."),
        ({"sha256": "0" * 64, "row_count": 2}, "its SHA-256 is not the one of its manifest."),
        ({"rows": 2}, "its manifest shop.csv.manifest.json says nothing that can be compared"),
        ({"row_count": "2"}, "says nothing that can be compared"),
    ],
    ids=["rows", "bytes", "digest", "says_nothing", "no_number"],
)
def test_a_file_cut_between_two_lines_is_refused_by_its_manifest(
    warehouse: str, tmp_path: Path, promised: dict[str, object], said: str
) -> None:
    (tmp_path / "shop.csv").write_bytes(WHOLE)
    assert said in refuse(warehouse, promise(tmp_path, **promised))
    assert not has_raw_table(warehouse)


def test_a_file_whose_last_line_has_no_end_says_so(warehouse: str, tmp_path: Path) -> None:
    for content in (b"id,name\n1,Ana\n2,Zarag", b"id,name\n1,Ana\n2,Zaragoza\n3,Eva\n"):
        extract(write(tmp_path, content), "customer_records", "run_1")
    said = "The last line has no end: was the file cut there? A manifest would tell."
    assert [row[0] for row in batches(warehouse, "message")] == [said, None]


def test_a_file_without_the_manifest_that_its_contract_asks_for_is_refused(warehouse: str, tmp_path: Path) -> None:
    source = write(tmp_path, WHOLE, manifest=MANIFEST)
    assert "its manifest shop.csv.manifest.json is not there" in refuse(warehouse, source)
    (tmp_path / f"shop.csv{MANIFEST}").write_bytes(b"\xff{")
    assert "says nothing that can be compared" in refuse(warehouse, source)
    assert not has_raw_table(warehouse)


def test_what_landed_before_stays_and_the_corrected_file_lands(warehouse: str, tmp_path: Path) -> None:
    extract(write(tmp_path, b"id,name\n1,Ana\n"), "customer_records", "run_1")
    refuse(warehouse, write(tmp_path, b"id,name\n1,Ana\n2,Zaragoza\n3"))
    assert raw(warehouse, "id") == [("1",)]
    result = extract(write(tmp_path, b"id,name\n1,Ana\n2,Zaragoza\n3,Eva\n"), "customer_records", "run_1")
    assert (result.rows_read, result.rows_landed) == (3, 2)
    assert [row[0] for row in batches(warehouse, "status_code")] == ["landed", "refused", "landed"]


def test_files_before_a_refused_one_stay_and_those_after_it_wait(warehouse: str, tmp_path: Path) -> None:
    for name, content in {"1": "id,name\n1,Ana\n", "2": "id,name\n2", "3": "id,name\n3,Eva\n"}.items():
        (tmp_path / f"day_{name}.csv").write_text(content)
    source = contract(tmp_path, location="day_*.csv")
    assert "day_2.csv" in refuse(warehouse, source)
    assert raw(warehouse, "id") == [("1",)]
    (tmp_path / "day_2.csv").write_text("id,name\n2,Luis\n")
    assert extract(source, "customer_records", "run_2").rows_landed == 2


def test_a_needed_column_that_disappears_is_refused_and_another_is_not(warehouse: str, tmp_path: Path) -> None:
    extract(write(tmp_path, b"id,name,mail\n1,Ana,a@example.com\n"), "customer_records", "run_1")
    assert extract(write(tmp_path, b"id,name\n2,Luis\n"), "customer_records", "run_1").rows_landed == 1
    assert raw(warehouse, "id", "mail") == [("1", "a@example.com"), ("2", None)]
    assert "column 'name' is missing; there is 'id', 'mail'" in refuse(warehouse, write(tmp_path, b"id,mail\n3,x\n"))


def test_a_contract_that_needs_another_column_reads_a_known_file_again(warehouse: str, tmp_path: Path) -> None:
    extract(write(tmp_path, b"id,name\n1,Ana\n"), "customer_records", "run_1")
    source = contract(tmp_path, recorded_at="changed")
    assert "column 'changed' is missing" in refuse(warehouse, source)


@pytest.mark.parametrize("content", [b"", b"id,name\n", None], ids=["zero_bytes", "header_only", "no_file"])
def test_an_empty_file_is_taken_where_the_contract_allows_it(
    warehouse: str, tmp_path: Path, content: bytes | None
) -> None:
    source = contract(tmp_path, expected={"minimum_rows": 0})
    if content is not None:
        (tmp_path / "shop.csv").write_bytes(content)
    result = extract(source, "customer_records", "run_1")
    assert [batch.status_code for batch in result.batches] == ["unchanged"]
    assert raw(warehouse, "id", "name") == []  # the table is there for who reads it
    (tmp_path / "shop.csv").write_bytes(b"id,name,more\n1,Ana,b\n")
    assert extract(source, "customer_records", "run_2").rows_landed == 1
    assert raw(warehouse, "id", "name", "more") == [("1", "Ana", "b")]


def test_a_missing_file_or_an_unset_variable_is_refused(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"there is no file {tmp_path / 'shop.csv'}" in refuse(warehouse, contract(tmp_path))
    monkeypatch.delenv("SHOP_FOLDER", raising=False)
    source = contract(tmp_path, location="${SHOP_FOLDER}/shop.csv")
    assert "needs the variable SHOP_FOLDER" in refuse(warehouse, source)
    assert "cannot be reached" in refuse(warehouse, contract(tmp_path, location="nowhere://shop.csv"))


def test_a_file_that_is_written_while_it_is_read_is_refused(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, b"id,name\n1,Ana\n")

    def read_and_be_overtaken(path: Path, *arguments: Any) -> Delivery:
        delivery = read_file(path, *arguments)
        path.write_bytes(b"id,name\n1,Ana\n2,Luis\n")
        return delivery

    monkeypatch.setattr(extract_module, "read_file", read_and_be_overtaken)
    assert "the file changed while it was read" in refuse(warehouse, source)
    assert not has_raw_table(warehouse)


def test_an_unknown_country_stops_before_anything_is_read(tmp_path: Path) -> None:
    path = contract(tmp_path).file
    path.write_text(path.read_text().replace("country: MX", "country: XZ"))
    with pytest.raises(ContractError, match=r"country 'XZ' is not in dbt_project/seeds/reference/countries\.csv"):
        load_contract(path)


def json_lines(folder: Path, *lines: bytes) -> Contract:
    (folder / "shop.jsonl").write_bytes(b"\n".join(lines))
    return contract(folder, location="shop.jsonl", format="json_lines")


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (b'{"id": 2, "name": "Zara', "line 30002 is not complete JSON: is the file truncated?"),
        (b'["Zaragoza"]', "line 30002 is JSON but no object"),
        (b'{"id": 2, "name": "Mar\xeda"}', "line 30002 is not UTF-8"),
        (b'{"id": 2, "name": "\\ud800"}', "half a character"),
    ],
    ids=["truncated", "no_object", "wrong_encoding", "lone_surrogate"],
)
def test_a_bad_json_line_is_refused(warehouse: str, tmp_path: Path, last: bytes, said: str) -> None:
    good = b'{"id": 1, "name": "Zaragoza"}'
    assert said in refuse(warehouse, json_lines(tmp_path, *[good] * 30_001, last))
    assert not has_raw_table(warehouse)


def test_json_lines_without_a_needed_column_are_refused(warehouse: str, tmp_path: Path) -> None:
    assert "column 'id' is missing; there is 'name'" in refuse(warehouse, json_lines(tmp_path, b'{"name": "Ana"}'))


def parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "shop.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_a_bad_parquet_file_is_refused(warehouse: str, tmp_path: Path) -> None:
    source = contract(tmp_path, location="shop.parquet", format="parquet")
    path = parquet(tmp_path, id=["1"] * 1000, name=[SECRET] * 1000)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    assert "no complete Parquet file: is it truncated?" in refuse(warehouse, source)
    path.write_bytes(content[:4] + b"\xff" * 40 + content[44:])
    assert "is the Parquet file damaged?" in refuse(warehouse, source)
    parquet(tmp_path, id=["1"], name=[b"\xff"])
    assert "column 'name' holds bytes that are no UTF-8 text" in refuse(warehouse, source)
    parquet(tmp_path, name=["a"])
    assert "column 'id' is missing; there is 'name'" in refuse(warehouse, source)


@given(
    rows=st.lists(st.lists(st.text('a",\n\r ', max_size=6), min_size=2, max_size=2), min_size=1, max_size=6),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(1, 9),
)
def test_no_well_formed_file_is_taken_for_one_with_a_stray_quote(
    rows: list[list[str]], quoting: Literal[0, 1], line_end: str, size: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=line_end).writerows(rows)
    content = text.getvalue().encode()
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    assert list(_well_quoted(chunks, CsvOptions())) == chunks


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("escape", [None, "\\"])
def test_a_stray_quote_is_found_wherever_the_chunks_end(size: int, escape: str | None) -> None:
    good = b'id,name\n1,"a ""b""\nc"\n' if escape is None else rb'id,name%1,"a \"b\"%\\"%'.replace(b"%", b"\n")
    for content, is_good in ((good, True), (good + b'2,Jo"e\n3,b\n4,Jo"e\n', False)):
        chunks = [content[start : start + size] for start in range(0, len(content), size)]
        with nullcontext() if is_good else pytest.raises(SourceError, match="line 4: a quote stands inside a value"):
            assert list(_well_quoted(chunks, CsvOptions(escape=escape))) == chunks


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
@pytest.mark.parametrize("format_code", ["csv", "json_lines"])
def test_a_compressed_file_that_is_damaged_is_refused(
    warehouse: str, tmp_path: Path, ending: str, compress: Callable[[bytes], bytes], format_code: str
) -> None:
    form = '{{"id": {0}, "name": {0}}}' if format_code == "json_lines" else "{0},{0}"
    header = [] if format_code == "json_lines" else ["id,name"]
    content = compress("\n".join([*header, *map(form.format, range(9_000))]).encode())
    for damaged in (content[: len(content) // 2], content[:4] + b"what is no archive"):
        (tmp_path / f"shop.{ending}").write_bytes(damaged)
        source = contract(tmp_path, location=f"shop.{ending}", format=format_code)
        assert "cannot be decompressed to its end: is the file truncated or damaged?" in refuse(warehouse, source)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "till.sqlite")
    connection.execute("create table people (id integer, name text, changed text)")
    yield connection
    connection.close()


def till_contract(folder: Path, **changes: Any) -> Contract:
    return contract(
        folder, **{"location": f"sqlite:///{folder}/till.sqlite", "format": "sql", "table": "people", **changes}
    )


def test_a_bad_table_is_refused(warehouse: str, tmp_path: Path, till: sqlite3.Connection) -> None:
    assert "the table holds no row" in refuse(warehouse, till_contract(tmp_path))
    assert "no such table: persons" in refuse(warehouse, till_contract(tmp_path, table="persons"))
    elsewhere = till_contract(tmp_path, location=f"sqlite:///{tmp_path}/none.sqlite")
    assert "there is no such file" in refuse(warehouse, elsewhere)
    assert not (tmp_path / "none.sqlite").exists()
    assert "no SQLAlchemy URL" in refuse(warehouse, till_contract(tmp_path, location="shop.csv"))
    till.execute("insert into people values (1, cast(x'5a61ff' as text), 'now')")
    till.commit()
    assert "Could not decode to UTF-8" in (text := refuse(warehouse, till_contract(tmp_path)))
    assert "Za" not in text


def test_what_a_server_says_is_told_without_the_value(warehouse: str, tmp_path: Path) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            """create view people as select id, name, name::date as born from (values (1, 'Ana')) as rows (id, name)"""
        )
    text = refuse(warehouse, till_contract(tmp_path, location=warehouse, table="people"))
    assert "invalid input syntax for type date: (value hidden)" in text
    assert "Ana" not in text
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            "create function born(text) returns date language plpgsql as $$begin raise exception 'No: %', $1; end$$;"
            "create or replace view people as "
            "select id, name, born(name) as born from (values (1, 'Ana')) as rows (id, name)"
        )
    text = refuse(warehouse, till_contract(tmp_path, location=warehouse, table="people"))
    assert "a function of the source raised an exception" in text
    assert "Ana" not in text


def test_a_missing_column_of_a_table_is_refused(warehouse: str, tmp_path: Path, till: sqlite3.Connection) -> None:
    till.execute("insert into people values (1, 'Ana', '2026-06-01')")
    till.commit()
    source = till_contract(tmp_path, fields={"first_name": "nombre"})
    assert "column 'nombre' is missing; there is 'id', 'name', 'changed'" in refuse(warehouse, source)
    source = till_contract(tmp_path, cursor={"column": "updated", "lookback": "1 day"})
    assert "updated" in refuse(warehouse, source)


def test_a_lookback_that_does_not_fit_the_cursor_is_refused(
    warehouse: str, tmp_path: Path, till: sqlite3.Connection
) -> None:
    till.execute("insert into people values (1, 'Ana', '2026-06-01')")
    till.commit()
    source = till_contract(tmp_path, cursor={"column": "id", "lookback": "1 day"})
    extract(source, "customer_records", "run_1")
    assert "a number takes a number" in refuse(warehouse, source)


def test_a_password_is_in_no_message(warehouse: str, tmp_path: Path) -> None:
    location = warehouse.rpartition("/")[0] + "/no_such_database"
    password = location.partition("://")[2].partition(":")[2].partition("@")[0]
    text = refuse(warehouse, till_contract(tmp_path, location=location))
    assert password
    assert password not in text
    assert password not in str(batches(warehouse, "location"))


def test_a_line_that_older_servers_take_for_the_end_is_refused_there() -> None:
    for chunks in (
        [b"id\n1\n\\.\n2\n"],
        [b"id\n1\n\\", b".\n2\n"],
        [b"id\n1\n\\.", b"\n2\n"],
        [b"id\n1\n\\."],
        [b"\\.\n"],
    ):
        with pytest.raises(SourceError, match="takes for the end of the file"):
            list(_Cleaner(has_end_marker=True).clean(chunks))
        assert b"".join(_Cleaner(has_end_marker=False).clean(chunks)) == b"".join(chunks)
    harmless = [b'id\n"\\."\n', b"a\\.\n"]
    assert list(_Cleaner(has_end_marker=True).clean(harmless)) == harmless


def test_what_the_warehouse_refuses_is_said_without_values(warehouse: str, tmp_path: Path) -> None:
    source = write(tmp_path, b"id,name\n1,Zaragoza\n")
    with psycopg.connect(warehouse) as connection:
        connection.execute("revoke create on schema raw from sevenfold_loader")
    with pytest.raises(SevenfoldError, match="permission denied for schema raw") as caught:
        extract(source, "customer_records", "run_1")
    assert SECRET not in str(caught.value)
    assert batches(warehouse, "batch_id") == []
