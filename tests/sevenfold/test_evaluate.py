"""`sevenfold evaluate` on files as people have them: its answers, and what it says of files it cannot use."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.evaluate import LabelFile, read_labelled


def write(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


ASSIGNED = [("shop", 1, "C1"), ("shop", 2, "C1"), ("till", 1, "C2"), ("till", 2, ""), ("till", 9, "C9")]
TRUE = [("shop:1", "p"), ("shop:2", "p"), ("till:1", "p"), ("till:2", "q")]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return (
        write(tmp_path / "assigned.csv", ["source_code", "native_key", "customer_id"], ASSIGNED),
        write(tmp_path / "truth.csv", ["source_record_id", "cluster"], TRUE),
    )


def test_files_with_the_usual_columns_need_no_options(files: tuple[Path, Path], tmp_path: Path) -> None:
    fields = write(
        tmp_path / "records.csv",
        ["source_code", "native_key", "email", "phone"],
        [
            ("shop", 1, "a@example.com", ""),
            ("shop", 2, "", "55"),
            ("till", 1, "b@example.com", ""),
            ("till", 2, "", ""),
        ],
    )
    out = tmp_path / "figures.json"
    arguments = ["evaluate", "--assignments", *map(str, files[:1]), "--truth", str(files[1])]
    result = CliRunner().invoke(app, [*arguments, "--records", str(fields), "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "4 records with a truth, 1 without, 1 in no cluster" in result.output
    figures = json.loads(out.read_text())
    assert (figures["pairs_found"], figures["pairs_true"], figures["pairs_correct"]) == (1, 3, 1)
    assert {pattern["name"]: pattern["records"] for pattern in figures["patterns"]} == {
        "email": 2,
        "phone": 1,
        "nothing": 1,
    }
    assert {pair["name"] for pair in figures["source_pairs"]} == {"shop - shop", "shop - till"}


def read(assignments: LabelFile, truth: LabelFile, missing_are_single: bool = False) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        read_labelled(connection, assignments, truth, missing_are_single=missing_are_single)
        return connection.execute("from labelled order by all").fetchall()


def test_parquet_and_other_column_names_are_read(files: tuple[Path, Path], tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.read_csv(str(files[0])).project("source_code as a, native_key as b, customer_id as c").write_parquet(
            str(tmp_path / "assigned.parquet")
        )
    assert read(LabelFile(tmp_path / "assigned.parquet", ("a", "b"), "c"), LabelFile(files[1])) == read(
        LabelFile(files[0]), LabelFile(files[1])
    )


def test_a_record_that_the_assignments_lack_is_an_error_unless_it_stands_alone(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    fewer = LabelFile(write(tmp_path / "fewer.csv", ["source_record_id", "customer_id"], [("shop:1", "C1")]))
    with pytest.raises(SevenfoldError, match=r"3 records of .*truth.csv are not in .*fewer.csv.*--missing-are-single"):
        read(fewer, LabelFile(files[1]))
    assert len(read(fewer, LabelFile(files[1]), missing_are_single=True)) == 4


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            ["source_record_id", "group"],
            [("shop:1", "x")],
            "no cluster column .one of party_id, customer_id.*source_record_id, group",
        ),
        (
            ["key", "cluster"],
            [("shop:1", "x")],
            "no record column .one of source_record_id, source_code and native_key",
        ),
        (["source_record_id", "cluster"], [("shop:1", "x"), ("shop:1", "y")], "1 records stand on several rows"),
        (["source_record_id", "cluster"], [("a", "x"), ("b", "x")], "2 records of"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    files: tuple[Path, Path], tmp_path: Path, header: list[str], rows: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(SevenfoldError, match=message):
        read(LabelFile(files[0]), LabelFile(write(tmp_path / "bad.csv", header, rows)))


def test_files_that_name_records_differently_are_told_apart_from_empty_ones(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "other.csv", ["source_record_id", "cluster"], [("1", "x"), ("2", "x")])
    with pytest.raises(SevenfoldError, match="they name records differently"):
        read(LabelFile(files[0]), LabelFile(other), missing_are_single=True)


def test_a_file_that_is_no_parquet_says_so(files: tuple[Path, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    bad.write_text("no parquet")
    with pytest.raises(SevenfoldError, match="cannot be read as Parquet"):
        read(LabelFile(files[0]), LabelFile(bad))


def test_one_file_alone_is_an_error(files: tuple[Path, Path]) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--assignments", str(files[0])])
    assert isinstance(result.exception, SevenfoldError)
    assert "Give both files" in str(result.exception)
