"""Stewards' corrections: append-only, and a file that is no list of corrections says so. The story is in end_to_end."""

from pathlib import Path

import psycopg
import pytest

from sevenfold.corrections import CorrectionError, CorrectionRequest, list_corrections, read_file, withdraw
from sevenfold.warehouse import connect

INSERT = """
    insert into mdm.steward_corrections (source_record_id, corrected_values, reason, decided_by)
    values ('crm:1', '{"phone": "1"}', 'she called', 'ana')
"""


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("publisher", "delete from mdm.steward_corrections"),
        ("publisher", 'update mdm.steward_corrections set corrected_values = \'{"phone": "2"}\''),
        ("publisher", "update mdm.steward_corrections set decided_by = 'eva'"),
        ("transformer", "update mdm.steward_corrections set withdrawn_by = 'eva', withdrawn_at = now()"),
        ("transformer", INSERT),
    ],
)
def test_a_correction_is_never_changed(warehouse: str, role: str, statement: str) -> None:
    with connect("publisher") as connection:
        connection.execute(INSERT.encode())
    with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.parametrize("values", ["{}", '["phone"]', "null"])
def test_a_correction_says_something(warehouse: str, values: str) -> None:
    with connect("publisher") as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(INSERT.replace('{"phone": "1"}', values).encode())


def test_of_several_withdrawals_all_happen_or_none(warehouse: str) -> None:
    with connect("publisher") as connection:
        connection.execute(INSERT.encode())
        connection.execute(INSERT.encode())
    withdraw([2], "eva")
    with pytest.raises(CorrectionError, match="No correction 2, 9 is in force"):
        withdraw([1, 2, 9], "eva")
    with connect("publisher") as connection:
        left = connection.execute("select correction_id from mdm.steward_corrections where withdrawn_at is null")
        assert left.fetchall() == [(1,)]


def test_before_the_first_publication_there_is_nothing_to_list(warehouse: str) -> None:
    with pytest.raises(CorrectionError, match="run the pipeline first"):
        list_corrections()


def test_a_file_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    file.write_text("\ufeffsource_record_id,attribute,value,reason\r\ncrm:1, city ,Puebla,letter came back\r\n")
    assert read_file(file) == [CorrectionRequest("", "crm:1", "city", "Puebla", "letter came back")]


@pytest.mark.parametrize(
    "text",
    ["", "customer_id,attribute,value,reason\n", "customer_id,attribute,value\nC1,phone,55\n", "a;b\n1;2\n"],
    ids=["empty", "no rows", "no reason", "other columns"],
)
def test_a_file_without_corrections_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "corrections.csv"
    file.write_text(text)
    with pytest.raises(CorrectionError, match="needs a header and rows"):
        read_file(file)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "corrections.xlsx"
    file.write_bytes(b"\x50\x4b\x03\x04\xff\xfe")
    with pytest.raises(CorrectionError, match="cannot be read as CSV in UTF-8"):
        read_file(file)
