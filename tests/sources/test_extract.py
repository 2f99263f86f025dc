"""An extract lands what is new, all of it, unchanged, once."""

import datetime as dt
import gzip
import hashlib
import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.settings import REPOSITORY, get_settings
from sevenfold.stages import input_fingerprint
from sources.check import check_contract
from sources.contract import Contract, ContractError, load_contract, load_contracts
from sources.extract import extract, step_back
from sources.readers import read_file
from tests.sources.deliveries import KEY_ONLY, batches, contract, raw

SAMPLES = REPOSITORY / "tests" / "data"
REAL_CONTRACTS = REPOSITORY / "tests" / "contracts" / "real"


def run(of: Contract, full: bool = False, entity_code: str = "customer_records") -> tuple[int, int, list[str]]:
    """Extract; return rows read, rows landed, and the status of each batch."""
    result = extract(of, entity_code, "run_1", full)
    return result.rows_read, result.rows_landed, [batch.status_code for batch in result.batches]


@pytest.fixture
def shop(tmp_path: Path) -> Contract:
    """A CSV source with a key."""
    return contract(tmp_path)


def deliver(of: Contract, *lines: str, name: str = "shop.csv") -> Path:
    """Write the source's file: a header and lines."""
    path = of.file.parent / name
    path.write_text("\n".join(["id,name", *lines, ""]), encoding="utf-8")
    return path


# --- what lands


def test_rows_land_unchanged_with_batch_position_and_hash(warehouse: str, tmp_path: Path) -> None:
    source = contract(tmp_path, key=["raw_id"])
    (tmp_path / "shop.csv").write_text('raw_id,name, Nota \n1, Ana  ,"a ""b"", c"\n2,,""\n', encoding="utf-8")
    assert run(source) == (2, 2, ["landed"])
    assert raw(warehouse, "source_raw_id", "name", " Nota ") == [("1", " Ana  ", 'a "b", c'), ("2", None, "")]
    assert raw(warehouse, "batch_id", "source_position", "occurrence") == [(1, 1, 1), (1, 2, 1)]
    hashes = [row[0] for row in raw(warehouse, "content_hash")]
    assert len(set(hashes)) == 2
    assert all(len(value) == 32 for value in hashes)
    columns = ("run_id", "status_code", "location", "size_bytes", "rows_read", "rows_landed", "message")
    assert batches(warehouse, *columns) == [
        ("run_1", "landed", str(tmp_path / "shop.csv"), (tmp_path / "shop.csv").stat().st_size, 2, 2, None)
    ]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"\xef\xbb\xbfid,name\n1,Ana\n", {}, "Ana"),
        (b"id,name\r\n1,Ana\r\n", {}, "Ana"),
        (b"id,name\r1,Ana\r", {}, "Ana"),
        (b'id,name\n1,"Ana\nMar\xc3\xada"\n', {}, "Ana\nMaría"),
        (b"id;name\n1;Mar\xeda\n", {"delimiter": ";", "encoding": "latin-1"}, "María"),
        ("id,name\n1,Łucja 😀\n".encode("utf-16"), {"encoding": "utf-16"}, "Łucja 😀"),
        (b'id\tname\n1\t5" nail\n', {"delimiter": "\t", "quote": None}, '5" nail'),
        (b"id,name\n1,'it\\'s, so'\n", {"quote": "'", "escape": "\\"}, "it's, so"),
        (b"1,Ana\n", {"header": False, "columns": ["id", "name"]}, "Ana"),
        (b"id,name\n1,Ana", {}, "Ana"),
        (b'id,name\n1,"\\."\n', {}, "\\."),
        (b"id,name\n1,\\N\n", {}, "\\N"),
        (b"id,name\n1,A\0na\n", {}, "Ana"),
        (b"id,name\n1," + b"x" * 1_000_000 + b"\n", {}, "x" * 1_000_000),
    ],
    ids=[
        *("byte_order_mark", "crlf", "cr", "embedded_newline", "latin_1", "utf_16", "tab_without_quotes", "escape"),
        *("no_header", "no_last_newline", "end_marker_quoted", "null_marker", "nul_byte", "one_megabyte"),
    ],
)
def test_csv_in_all_its_forms(
    warehouse: str, tmp_path: Path, content: bytes, options: dict[str, object], expected: str
) -> None:
    (tmp_path / "shop.csv").write_bytes(content)
    assert run(contract(tmp_path, options=options)) == (1, 1, ["landed"])
    assert raw(warehouse, "id", "name") == [("1", expected)]
    said = "1 NUL bytes removed." if b"\0" in content and "encoding" not in options else None
    if content.endswith(b"Ana"):
        said = "The last line has no end: was the file cut there? A manifest would tell."
    assert batches(warehouse, "message") == [(said,)]


def test_compressed_and_remote_files_are_read(warehouse: str, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/deliveries/shop.csv.gz", gzip.compress(b"id,name\n1,Ana\n"))
    source = contract(tmp_path, location="memory://deliveries/shop*.gz")
    assert run(source) == (1, 1, ["landed"])
    assert run(source) == (0, 0, ["unchanged"])
    assert raw(warehouse, "id", "name") == [("1", "Ana")]
    assert batches(warehouse, "location")[0] == ("memory:///deliveries/shop.csv.gz",)


def test_json_lines_keep_numbers_as_written_and_columns_that_come_late(warehouse: str, tmp_path: Path) -> None:
    lines = [
        '{"id": 1, "name": "Ana", "paid": 1.10, "ok": true}',
        "",
        '{"id": "2", "name": null, "tags": ["á", 1.50, {"a": null}], "name2": ""}',
        '{"id": 3, "paid": 1e3, "name": "\\u0000A\\n"}',
    ]
    (tmp_path / "shop.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert run(contract(tmp_path, location="shop.jsonl", format="json_lines")) == (3, 3, ["landed"])
    assert raw(warehouse, "id", "name", "paid", "ok", "tags", "name2") == [
        ("1", "Ana", "1.10", "true", None, None),
        ("2", None, None, None, '["á", 1.50, {"a": null}]', ""),
        ("3", "A\n", "1e3", None, None, None),
    ]


def test_parquet_values_are_written_as_postgresql_writes_them(warehouse: str, tmp_path: Path) -> None:
    moment = dt.datetime(2026, 6, 30, 8, 26)  # noqa: DTZ001 - a local time is what is tested
    table = pa.table(
        {
            "id": pa.array([17850.0, 0.1]),
            "name": pa.array(["Ana", None]).dictionary_encode(),
            "at": pa.array([moment, moment.replace(microsecond=120)], pa.timestamp("ns")),
            "zoned": pa.array([moment, None], pa.timestamp("us", "UTC")),
            "day": pa.array([moment.date(), None]),
            "blob": pa.array([b"caf\xc3\xa9", None]),
            "flag": pa.array([True, False]),
            "list": pa.array([["a", "b"], None]),
        }
    )
    pq.write_table(table, tmp_path / "shop.parquet")
    assert run(contract(tmp_path, location="shop.parquet", format="parquet")) == (2, 2, ["landed"])
    assert raw(warehouse, *table.column_names) == [
        *[("17850", "Ana", "2026-06-30 08:26:00", "2026-06-30 08:26:00Z", "2026-06-30", "café", "true", '["a", "b"]')],
        *[("0.1", None, "2026-06-30 08:26:00.00012", None, None, None, "false", None)],
    ]


# --- what is new


def test_the_same_file_again_lands_nothing_whatever_its_name(warehouse: str, tmp_path: Path) -> None:
    source = contract(tmp_path, location="shop*.csv")
    first = deliver(source, "1,Ana", "2,Luis")
    assert run(source) == (2, 2, ["landed"])
    assert run(source) == (0, 0, ["unchanged"])
    shutil.copy(first, tmp_path / "shop_again.csv")
    assert run(source) == (0, 0, ["unchanged", "duplicate_file"])
    assert batches(warehouse, "message")[-1] == ("The content of batch 1 under another name: nothing landed again.",)
    assert run(source, full=True) == (4, 0, ["unchanged", "unchanged"])
    assert len(raw(warehouse, "id")) == 2


def test_of_a_grown_file_only_the_new_lines_land(warehouse: str, shop: Contract) -> None:
    deliver(shop, "1,Ana", "2,Luis")
    run(shop)
    deliver(shop, "1,Ana", "2,Luis", "3,Eva", "1,Ana María")
    assert run(shop) == (4, 2, ["landed"])
    assert raw(warehouse, "id", "name", "source_position", "batch_id") == [
        *[("1", "Ana", 1, 1), ("2", "Luis", 2, 1)],
        *[("3", "Eva", 3, 2), ("1", "Ana María", 4, 2)],
    ]


def test_a_record_that_changes_back_lands_a_third_time(warehouse: str, shop: Contract) -> None:
    for name in ("Ana", "Ana María", "Ana"):
        deliver(shop, f"1,{name}", "2,Luis")
        assert run(shop)[2] == ["landed"]
    assert run(shop) == (0, 0, ["unchanged"])
    assert raw(warehouse, "id", "name") == [("1", "Ana"), ("2", "Luis"), ("1", "Ana María"), ("1", "Ana")]


def test_a_file_that_was_cut_and_is_whole_again_is_read_again(warehouse: str, shop: Contract) -> None:
    """Nothing of either is new, and yet how much was read says whether the delivery is whole."""
    for rows in (["1,Ana", "2,Luis"], ["1,Ana"], ["1,Ana", "2,Luis"], ["1,Ana"]):
        deliver(shop, *rows)
        assert run(shop)[0] == len(rows)
    assert [status for (status,) in batches(warehouse, "status_code")] == ["landed", *["unchanged"] * 3]


def test_a_file_is_known_by_the_batch_that_landed_it_and_not_because_somebody_says_so(
    warehouse: str, shop: Contract
) -> None:
    file = deliver(shop, "1,Ana")
    assert run(shop) == (1, 1, ["landed"])
    deliver(shop, "1,Ana", "2,Luis")
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            "insert into ops.extract_batches (run_id, source_code, entity_code, location, status_code, content_sha256) "
            "select run_id, source_code, entity_code, location, 'unchanged', %s from ops.extract_batches",
            (hashlib.sha256(file.read_bytes()).hexdigest(),),
        )
    assert run(shop) == (2, 1, ["landed"])
    assert run(shop) == (0, 0, ["unchanged"])


def test_the_versions_of_a_record_in_one_file_land_in_order_and_none_is_taken_for_a_duplicate(
    warehouse: str, shop: Contract
) -> None:
    deliver(shop, "1,Ana", "1,Ana María", "1,Ana", "1,Ana")
    run(shop)
    assert raw(warehouse, "name", "occurrence") == [("Ana", 1), ("Ana María", 1), ("Ana", 1), ("Ana", 3)]
    deliver(shop, "1,Ana", "1,Ana María", "1,Ana", "1,Ana", "2,Luis")
    assert run(shop) == (5, 1, ["landed"])


@pytest.mark.parametrize("key", [["id"], []], ids=["key", "no_key"])
def test_real_duplicates_land_once_each_and_sent_again_not_at_all(
    warehouse: str, tmp_path: Path, key: list[str]
) -> None:
    source = contract(tmp_path, key=key)
    deliver(source, "1,Ana", "1,Ana", "2,Luis")
    assert run(source)[1] == 3
    deliver(source, "1,Ana", "1,Ana", "2,Luis", "1,Ana", "3,Eva")
    assert run(source)[1] == 2
    assert raw(warehouse, "id", "occurrence", "batch_id") == [
        *[("1", 1, 1), ("1", 2, 1), ("2", 1, 1)],
        *[("1", 3, 2), ("3", 1, 2)],
    ]


def test_rows_with_a_blank_key_are_kept_and_told_apart_by_their_content(warehouse: str, shop: Contract) -> None:
    deliver(shop, ",Ana", " ,Luis", ",Ana")
    assert run(shop)[1] == 3
    deliver(shop, " ,Luis", ",Ana", ",Ana", ",Eva")
    assert run(shop)[1] == 1
    assert raw(warehouse, "name", "occurrence") == [("Ana", 1), ("Luis", 1), ("Ana", 2), ("Eva", 1)]


def test_a_new_column_is_added_and_reported_and_an_empty_one_makes_no_row_new(warehouse: str, shop: Contract) -> None:
    path = deliver(shop, "1,Ana", "2,Luis")
    run(shop)
    path.write_text("name,mail,id\nAna,,1\nLuis,luis@example.com,2\n")
    assert run(shop) == (2, 1, ["landed"])
    assert raw(warehouse, "id", "mail") == [("1", None), ("2", None), ("2", "luis@example.com")]
    assert batches(warehouse, "message")[-1] == ("New columns in the source: mail.",)


def test_files_are_read_in_the_order_of_their_names(warehouse: str, tmp_path: Path) -> None:
    source = contract(tmp_path, location="day_*.csv")
    for day, name in ((2, "Ana María"), (1, "Ana"), (3, "Ana")):
        deliver(source, f"1,{name}", name=f"day_{day}.csv")
    assert run(source) == (2, 2, ["landed", "landed", "duplicate_file"])
    deliver(source, "1,Eva", name="day_4.csv")
    assert run(source)[1:] == (1, ["unchanged", "unchanged", "unchanged", "landed"])
    assert [row[0] for row in raw(warehouse, "name")] == ["Ana", "Ana María", "Eva"]


def test_two_extracts_at_once_land_a_row_once(warehouse: str, shop: Contract) -> None:
    deliver(shop, *(f"{number},Ana" for number in range(5000)))
    start = threading.Barrier(2)

    def at_once(_: int) -> int:
        start.wait()
        return run(shop)[1]

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(at_once, range(2))) == [0, 5000]
    assert len(raw(warehouse, "id")) == 5000


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["copy %", "%insert into %raw%"], ids=["while_copying", "while_landing"])
def test_an_extract_that_is_killed_leaves_nothing_and_the_next_lands_all(
    warehouse: str, shop: Contract, statement: str
) -> None:
    deliver(shop, *(f"{number},Ana" for number in range(400_000)))
    program = (
        "import pathlib, sys; from sources.contract import load_contract; from sources.extract import extract; "
        "extract(load_contract(pathlib.Path(sys.argv[1])), 'customer_records', 'run_0')"
    )
    with psycopg.connect(warehouse, autocommit=True) as watcher:
        process = subprocess.Popen([sys.executable, "-c", program, str(shop.file)], cwd=REPOSITORY)
        working = "select from pg_stat_activity where state = 'active' and query ilike %s and pid <> pg_backend_pid()"
        while watcher.execute(working, [statement]).fetchone() is None:
            assert process.poll() is None, "the extract ended before it could be killed"
        process.kill()
        process.wait()
    result = extract(shop, "customer_records", "run_1")
    assert (result.rows_read, result.rows_landed) == (400_000, 400_000)
    assert batches(warehouse, "run_id", "status_code") == [("run_1", "landed")]
    assert len(set(raw(warehouse, "id"))) == len(raw(warehouse, "id")) == 400_000


def test_an_extract_needs_no_right_beyond_the_loaders(warehouse: str, shop: Contract) -> None:
    deliver(shop, "1,Ana")
    run(shop)
    with psycopg.connect(warehouse) as connection:
        row = connection.execute("select tableowner from pg_tables where schemaname = 'raw'").fetchone()
        connection.execute("set role sevenfold_transformer")
        assert connection.execute("select count(*) from raw.shop__customer_records").fetchone() == (1,)
    assert row == ("sevenfold_loader",)


# --- SQL


@pytest.fixture
def till(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An SQLite source with three people, changed on three days."""
    connection = sqlite3.connect(tmp_path / "till.sqlite")
    connection.execute("create table people (id integer primary key, name text, changed text, spent real, note blob)")
    connection.executemany(
        "insert into people values (?, ?, ?, ?, ?)",
        [
            (1, "Ana", "2026-06-01 10:00:00", 10.0, b"\xff"),
            (2, "", "2026-06-02 10:00:00", 0.1, b"a"),
            (3, None, *"3??"),
        ],
    )
    connection.execute("update people set changed = '2026-06-03 10:00:00', spent = null, note = null where id = 3")
    connection.commit()
    yield connection
    connection.close()


def till_contract(folder: Path, **changes: object) -> Contract:
    return contract(
        folder,
        **{
            "location": f"sqlite:///{folder}/till.sqlite",
            "format": "sql",
            "table": "people",
            "cursor": {"column": "changed", "lookback": "1 day"},
            **KEY_ONLY,
            **changes,
        },
    )


def test_sql_values_are_written_as_text(warehouse: str, tmp_path: Path, till: sqlite3.Connection) -> None:
    assert run(till_contract(tmp_path)) == (3, 3, ["landed"])
    assert raw(warehouse, "id", "name", "spent", "note") == [
        *[("1", "Ana", "10", "ff"), ("2", "", "0.1", "a"), ("3", None, None, None)],
    ]
    assert batches(warehouse, "cursor_from", "cursor_to") == [(None, "2026-06-03 10:00:00")]


def test_a_read_of_a_table_has_a_digest_of_its_rows_whatever_their_order(
    warehouse: str, tmp_path: Path, till: sqlite3.Connection
) -> None:
    source = till_contract(tmp_path, cursor=None, key=[])
    run(source)
    hashes = sorted(str(row[0]) for row in raw(warehouse, "content_hash"))
    parts = [list(part) for _, part in itertools.groupby(hashes, key=lambda value: value[:3])]
    digests = [hashlib.md5("".join(part).encode(), usedforsecurity=False).hexdigest() for part in parts]
    before = input_fingerprint()
    change(till, "create table turned as select * from people order by id desc")
    run(till_contract(tmp_path, cursor=None, key=[], table="turned"))
    assert input_fingerprint() == before
    change(till, "update people set name = 'Luis' where id = 2")
    run(source)
    assert input_fingerprint() != before
    first, turned, changed = batches(warehouse, "content_sha256", "status_code")
    assert first == (hashlib.sha256("".join(digests).encode()).hexdigest(), "landed")
    assert turned == (first[0], "unchanged")
    assert changed[0] not in {first[0], None}


def test_an_empty_table_stays_unchanged_and_is_no_news(
    warehouse: str, tmp_path: Path, till: sqlite3.Connection
) -> None:
    change(till, "delete from people")
    before = input_fingerprint()
    for cursor in (None, {"column": "changed"}):
        source = till_contract(tmp_path, cursor=cursor, expected={"minimum_rows": 0})
        assert [run(source), run(source)] == [(0, 0, ["unchanged"])] * 2
    assert set(batches(warehouse, "content_sha256")) == {(hashlib.sha256(b"").hexdigest(),)}
    assert input_fingerprint() == before


def change(till: sqlite3.Connection, statement: str) -> None:
    till.execute(statement)
    till.commit()


def test_a_cursor_reads_only_what_changed(warehouse: str, tmp_path: Path, till: sqlite3.Connection) -> None:
    source = till_contract(tmp_path)
    run(source)
    change(till, "update people set name = 'Luis', changed = '2026-06-05 09:00:00' where id = 2")
    assert run(source) == (2, 1, ["landed"])  # the third is within the lookback
    assert batches(warehouse, "cursor_from", "cursor_to")[-1] == ("2026-06-02 10:00:00", "2026-06-05 09:00:00")
    assert run(source) == (1, 0, ["unchanged"])
    assert raw(warehouse, "id", "name")[3:] == [("2", "Luis")]


@pytest.mark.parametrize(
    ("statement", "late"),
    [
        ("insert into people values (4, 'Eva', '2026-05-01 10:00:00', 1, 'a')", ("4", "Eva")),
        ("update people set name = 'Ana María', changed = '2026-06-01 10:00:01' where id = 1", ("1", "Ana María")),
        ("insert into people values (4, 'Eva', null, 1, 'a')", ("4", "Eva")),
    ],
    ids=["late_row", "late_change", "row_without_cursor"],
)
@pytest.mark.parametrize("meanwhile", ["", "delete from people where id = 2"], ids=["", "while_another_is_deleted"])
def test_rows_committed_later_than_the_lookback_are_not_lost(
    warehouse: str, till: sqlite3.Connection, statement: str, late: tuple[str, str], meanwhile: str
) -> None:
    tmp_path = Path(till.execute("pragma database_list").fetchone()[2]).parent
    source = till_contract(tmp_path)
    run(source)
    change(till, "insert into people values (9, 'Noé', '2026-06-20 10:00:00', 1, 'a')")
    run(source)
    change(till, statement)
    change(till, meanwhile)  # the number of rows alone would not show that one is missing
    assert run(source)[1] == 1
    assert raw(warehouse, "id", "name")[-1] == late
    after = run(source)
    assert after[1] == 0
    assert after[0] <= 2, "the source was read as a whole although nothing came late"


def test_a_table_is_compared_with_raw_only_when_its_rows_have_changed(
    warehouse: str, tmp_path: Path, till: sqlite3.Connection
) -> None:
    def compared_at() -> object:
        with psycopg.connect(warehouse) as connection:
            return connection.execute("select compared_at from ops.source_versions").fetchall()

    source = till_contract(tmp_path)
    run(source)
    first = compared_at()
    run(source)
    assert compared_at() == first
    change(till, "delete from people where id = 1")
    assert run(source)[1] == 0
    assert compared_at() != first
    with psycopg.connect(warehouse) as connection:
        connection.execute("delete from raw.shop__customer_records where id = '2'")
    assert run(till_contract(tmp_path, key=["id", "name"]))[1] == 1  # versions by another key are others


def test_what_is_added_is_read_and_not_compared_and_what_came_late_is_found(
    warehouse: str, tmp_path: Path, till: sqlite3.Connection
) -> None:
    """A row that raw has lost, which no source can cause, shows whether all rows were compared with it."""
    source = till_contract(tmp_path)
    run(source)
    with psycopg.connect(warehouse) as connection:
        connection.execute("delete from raw.shop__customer_records where id = '1'")
    change(till, "insert into people (id, name, changed) values (901, 'Inés', '2027-01-01 10:00:00')")
    assert run(source)[1] == 1
    change(till, "insert into people (id, name, changed) values (902, 'Hugo', '2027-01-02 10:00:00')")
    assert run(source)[1] == 1
    assert ("1",) not in raw(warehouse, "id")
    change(till, "insert into people (id, name, changed) values (903, 'Late', '2001-01-02 10:00:00')")
    assert run(source)[1] == 2
    assert {("1",), ("903",)} <= set(raw(warehouse, "id"))
    assert run(source)[1] == 0


def test_rows_that_commit_late_in_another_transaction_are_not_lost(warehouse: str, tmp_path: Path) -> None:
    with psycopg.connect(warehouse) as writer, psycopg.connect(warehouse, autocommit=True) as other:
        other.execute("create schema shop")
        other.execute(
            "create table shop.people (id bigint primary key, name text, changed bigint generated always as identity, "
            "born date, spent numeric, seen timestamptz, tags jsonb, is_member boolean)"
        )
        writer.execute("insert into shop.people (id, name) values (1, 'Ana')")  # change 1, not committed yet
        other.execute(
            "insert into shop.people (id, name, born, spent, seen, tags, is_member) values "
            "(2, 'Luis', '1980-02-29', 1.10, '2026-06-30 08:26:00+00', '{\"b\": 1, \"a\": [1.5]}', true)"
        )
        source = contract(
            tmp_path, location=warehouse, format="sql", table="shop.people", cursor={"column": "changed", "lookback": 0}
        )
        assert run(source)[1] == 1
        writer.commit()
        assert run(source)[1] == 1
    assert raw(warehouse, "id", "changed") == [("2", "2"), ("1", "1")]
    assert raw(warehouse, "born", "spent", "seen", "tags", "is_member")[0] == (
        *("1980-02-29", "1.10", "2026-06-30 08:26:00+00:00", '{"a": [1.5], "b": 1}', "true"),
    )
    assert "committed later than the lookback" in batches(warehouse, "message")[-1][0]
    assert "***" in batches(warehouse, "location")[0][0]


def test_a_new_column_of_a_table_is_read_for_all_its_rows(
    warehouse: str, tmp_path: Path, till: sqlite3.Connection
) -> None:
    source = till_contract(tmp_path)
    run(source)
    change(till, "alter table people add column mail text default 'x@example.com'")
    assert run(source)[:2] == (3, 3)
    assert raw(warehouse, "mail")[3:] == [("x@example.com",)] * 3


def test_a_table_without_cursor_is_read_as_a_whole_and_only_news_lands(
    warehouse: str, tmp_path: Path, till: sqlite3.Connection
) -> None:
    source = till_contract(tmp_path, cursor=None, key=[])
    assert run(source) == (3, 3, ["landed"])
    change(till, "insert into people values (4, 'Eva', null, 1, 'a')")
    assert run(source) == (4, 1, ["landed"])
    assert run(source) == (4, 0, ["unchanged"])


@pytest.mark.parametrize(
    ("value", "lookback", "kind", "begin"),
    [
        ("2026-06-05 09:00:00", dt.timedelta(days=1), str, "2026-06-04 09:00:00"),
        ("2026-06-05T09:00:00.25Z", dt.timedelta(hours=1), str, "2026-06-05T08:00:00"),
        ("2026-06-05", dt.timedelta(days=5), str, "2026-05-31"),
        ("anything", 0, str, "anything"),
        ("2026-06-05 09:00:00", dt.timedelta(days=1), dt.datetime, dt.datetime(2026, 6, 4, 9)),  # noqa: DTZ001
        ("2026-06-05", dt.timedelta(days=1), dt.date, dt.date(2026, 6, 4)),
        ("1000", 10, int, 990),
    ],
)
def test_the_lookback_is_taken_in_the_type_of_the_source(
    value: str, lookback: dt.timedelta | int, kind: type, begin: object
) -> None:
    assert step_back(value, lookback, kind) == begin


@pytest.mark.parametrize(("value", "lookback", "kind"), [("2026-06-05", 5, dt.date), ("7", dt.timedelta(1), int)])
def test_a_lookback_of_another_type_is_refused(value: str, lookback: dt.timedelta | int, kind: type) -> None:
    with pytest.raises(TypeError):
        step_back(value, lookback, kind)


# --- real input, and the check of a contract


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(SAMPLES, id="samples"),
        pytest.param(REPOSITORY.parent / "shared" / "data", id="full", marks=pytest.mark.slow),
    ],
)
def test_every_row_of_the_real_sources_lands(warehouse: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not folder.is_dir():
        pytest.skip("the full sets are not here; the samples were read")
    monkeypatch.setenv("SEVENFOLD_INPUT", str(folder))
    get_settings.cache_clear()
    for source in load_contracts(REAL_CONTRACTS):
        for code, entity in source.entities.items():
            expected = sum(1 for _ in rows_of(Path(source.location(code)), entity.format))
            assert run(source, entity_code=code) == (expected, expected, ["landed"]), source.source
            assert run(source, entity_code=code) == (0, 0, ["unchanged"]), source.source


def rows_of(path: Path, format_code: str) -> Iterator[object]:
    """Count rows by other means than the reader."""
    if format_code == "parquet":
        yield from range(pq.read_metadata(path).num_rows)
    else:
        yield from path.read_text(encoding="utf-8").splitlines()[1:]  # no line end inside a value


def test_equal_invoice_lines_are_numbered(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_INPUT", str(SAMPLES))
    source = load_contract(REAL_CONTRACTS / "online_retail.yml")
    run(source, entity_code="interactions")
    keys = raw(warehouse, "content_hash", "occurrence", entity_code="interactions", source="online_retail")
    assert len(set(keys)) == len(keys) == 19_727
    assert sum(occurrence > 1 for _, occurrence in keys) == 279
    customers = raw(warehouse, "CustomerID", entity_code="interactions", source="online_retail")
    assert sum(customer is None for (customer,) in customers) == 4_952
    assert len({customer for (customer,) in customers if customer}) == 75


def test_a_check_counts_without_showing_or_keeping_anything(warehouse: str, tmp_path: Path) -> None:
    source = contract(tmp_path, fields={"first_name": "name", "email": ["mail", "other"]}, location="s*.csv")
    (tmp_path / "s.csv").write_text("id,name,mail,other,note\n1,Ana,,a@example.com,x\n1,,,,\n,  ,,,\n2,Eva,e,,\n")
    (check,) = check_contract(source.file).entities
    assert (check.row_count, check.file_count, check.rows_without_key, check.repeated_keys) == (4, 1, 1, 1)
    assert {name: field.filled_share for name, field in check.fields.items()} == {"first_name": 0.5, "email": 0.5}
    assert check.fields["first_name"].readable_share == 1
    assert (check.fields["email"].readable_share, check.fields["email"].failures) == (0.5, (("malformed", 1),))
    assert check.unmapped_columns == ("note",)
    said = str(check_contract(source.file))
    assert "customer_records: 4 rows" in said
    assert "    50.0%     50.0%  email (1 malformed)" in said
    assert "1 rows have no key" in said
    assert "Ana" not in said
    with psycopg.connect(warehouse) as connection:
        assert connection.execute("select count(*) from pg_tables where schemaname = 'raw'").fetchone() == (0,)
    assert batches(warehouse, "batch_id") == []
    assert "the key is personal data" not in said
    told = str(check_contract(contract(tmp_path, fields={"email": "mail"}, location="s*.csv", key=["mail"]).file))
    assert "the key is personal data (mail)" in told


def test_a_check_reads_dates_as_a_run_would_and_says_how_old_the_newest_row_is(warehouse: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "id,% :born,changed,nation\n1,31/12/1980,01/02/2026 10:00,MX\n2,12/31/1980,02/02/2026 11:30,España\n3,,soon,\n",
        encoding="utf-8",
    )
    source = contract(
        tmp_path,
        fields={"birth_date": {"column": "% :born", "format": "%d/%m/%Y"}, "country": "nation"},
        location="s.csv",
        recorded_at={"column": "changed", "format": "%d/%m/%Y %H:%M"},
        expected={"freshness": "7 days"},
    )
    (check,) = check_contract(source.file).entities
    assert check.fields["birth_date"].readable_share == 0.5
    assert check.fields["country"].readable_share == 1
    assert check.fields["recorded_at"].readable_share == pytest.approx(2 / 3)
    assert check_contract(source.file).is_good
    assert check.newest == dt.datetime(2026, 2, 2, 17, 30, tzinfo=dt.UTC)
    assert "stale: the newest row is of 2026-02-02" in str(check)


@pytest.mark.parametrize(
    ("minimum_rows", "is_good", "said"),
    [
        (2, True, "can be used"),
        (3, False, "too few rows: the contract expects at least 3,"),
    ],
)
def test_a_check_judges_the_number_of_rows(
    warehouse: str, tmp_path: Path, minimum_rows: int, is_good: bool, said: str
) -> None:
    (tmp_path / "s.csv").write_text("id,name\n1,Ana\n2,Eva\n", encoding="utf-8")
    source = contract(tmp_path, location="s*.csv", expected={"minimum_rows": minimum_rows})
    found = check_contract(source.file)
    assert found.is_good == is_good
    assert said in str(found)
    answer = CliRunner().invoke(app, ["source", "check", str(source.file)])
    assert (answer.exit_code == 0) == is_good
    (tmp_path / "s2.csv").write_text("id,name\n3,Noé\n", encoding="utf-8")
    assert check_contract(source.file).is_good
    assert f"expects at least {minimum_rows} rows, in all files together" in str(check_contract(source.file))


def test_a_delivery_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text("".join(json.dumps({"id": number}) + "\n" for number in range(50_000)))
    delivery = read_file(path, "json_lines", contract(tmp_path).entity("customer_records").options)
    chunks = [chunk.count(b"\n") for chunk in delivery.rows]
    assert sum(chunks) == 50_000
    assert len(chunks) == 3


def test_a_check_says_when_no_time_can_be_read_and_a_format_that_is_none_is_refused(
    warehouse: str, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text("id,born,changed\n1,1980-12-31,soon\n2,1981-01-01,later\n", encoding="utf-8")
    source = contract(tmp_path, fields={"birth_date": "born"}, location="s.csv", recorded_at="changed")
    found = check_contract(source.file)
    assert not found.is_good
    assert "would stop a run" in str(found)
    assert "recorded_at can hardly be read, and rows without a time are quarantined" in str(found)
    with pytest.raises(ContractError, match="format 'dd/MM/yyyy' names no part of a date"):
        contract(tmp_path, fields={"birth_date": {"column": "born", "format": "dd/MM/yyyy"}}, location="s.csv")
