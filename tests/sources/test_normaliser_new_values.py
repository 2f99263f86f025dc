"""The batch edge: distinct new values of staging are normalised once, in bulk, and again when a rule changes."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sevenfold.errors import WarehouseError
from sevenfold.warehouse import connect
from sources.normaliser import new_values, normalise, normalise_new_values, normaliser_version

RECORD_FIELDS = (
    *("full_name", "first_name", "middle_name", "first_last_name", "second_last_name"),
    *("birth_date", "national_identifier", "gender", "email", "phone", "street_address", "postal_code", "country"),
)
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def connection(warehouse: str) -> Iterator[Connection]:
    """A connection as the transformer to a warehouse with empty staging tables."""
    with connect("transformer", autocommit=True) as connection:
        columns = ", ".join(f"{field} text" for field in ("source_record_id", *RECORD_FIELDS))
        connection.execute(
            f"create table staging.stg_customer_records (source_code text, country_code text, {columns})"
        )
        connection.execute(
            "create table staging.stg_interactions (source_code text, country_code text, email text, phone text)"
        )
        yield connection


def add_record(connection: Connection, source_code: str = "crm", country_code: str = "MX", **fields: str) -> None:
    names = ", ".join(["source_code", "country_code", *fields])
    marks = ", ".join(["%s"] * (len(fields) + 2))
    connection.execute(
        f"insert into staging.stg_customer_records ({names}) values ({marks})",
        [source_code, country_code, *fields.values()],
    )


def normalised(connection: Connection) -> dict[tuple[str, str, str, str], tuple[Any, ...]]:
    rows = connection.execute(
        "select field_kind, country_code, value_format, raw_value, normalised_value, failure_code, parts "
        "from intermediate.normalised_values"
    ).fetchall()
    return {row[:4]: row[4:] for row in rows}


def test_every_distinct_value_gets_one_row(connection: Connection) -> None:
    add_record(connection, first_name="MA. JOSÉ", first_last_name="PÉREZ", second_last_name="PÉREZ", phone="5512345678")
    add_record(connection, first_name="MA. JOSÉ", email="ana@example.com;sin correo", gender="F", postal_code="6700")
    add_record(connection, full_name="Ana Ruiz", national_identifier="XAXX010101000", street_address="C. Uno 1")
    connection.execute("insert into staging.stg_interactions values ('pos', 'MX', 'ana@example.com', '5512345678')")

    counts = normalise_new_values(connection)

    expected = {"email": 2, "full_name": 1, "gender": 1, "name": 2, "national_identifier": 1}
    assert counts == expected | {"phone": 1, "postal_code": 1, "street_address": 1}
    rows = normalised(connection)
    assert rows["name", "MX", "", "MA. JOSÉ"][0] == "María José"
    assert rows["national_identifier", "MX", "", "XAXX010101000"] == (None, "placeholder", None)
    assert rows["full_name", "MX", "", "Ana Ruiz"][2]["first_last_name"] == "Ruiz"
    for (kind, country_code, value_format, raw_value), row in rows.items():
        result = normalise(kind, raw_value, country_code, value_format)  # type: ignore[arg-type]
        assert row == (result.value, result.failure_code, result.parts)


def test_a_second_run_writes_nothing_and_a_new_value_costs_itself(connection: Connection) -> None:
    add_record(connection, first_name="Ana", email="ana@example.com")
    assert normalise_new_values(connection) == {"email": 1, "name": 1}
    before = connection.execute("select xmin::text from intermediate.normalised_values order by 1").fetchall()
    assert normalise_new_values(connection) == {}
    assert connection.execute("select xmin::text from intermediate.normalised_values order by 1").fetchall() == before
    add_record(connection, first_name="Luis", email="ana@example.com")
    assert normalise_new_values(connection) == {"name": 1}


def test_the_same_value_is_read_by_country_and_format(connection: Connection) -> None:
    for source_code, value_format in (("crm", "%d/%m/%Y"), ("shop", "%m/%d/%Y")):
        connection.execute("reset role")
        connection.execute(
            "insert into ops.source_contract_fields values (%s, 'customer_records', 'birth_date', '{born}', %s)",
            [source_code, value_format],
        )
        connection.execute("set role sevenfold_transformer")
        add_record(connection, source_code, birth_date="03/04/1980")
    add_record(connection, country_code="US", phone="5512345678")
    add_record(connection, country_code="MX", phone="5512345678")

    assert normalise_new_values(connection) == {"birth_date": 2, "phone": 2}

    rows = normalised(connection)
    assert rows["birth_date", "MX", "%d/%m/%Y", "03/04/1980"][0] == "1980-04-03"
    assert rows["birth_date", "MX", "%m/%d/%Y", "03/04/1980"][0] == "1980-03-04"
    assert rows["phone", "MX", "", "5512345678"][0] == "+525512345678"
    assert rows["phone", "US", "", "5512345678"][0] == "+15512345678"


def test_what_a_steward_says_is_read_by_the_country_of_the_record(connection: Connection) -> None:
    add_record(connection, country_code="US", source_record_id="crm:1")
    add_record(connection, country_code="US", source_record_id="crm:1")
    with connect("publisher") as publisher:
        publisher.execute(
            "insert into mdm.steward_corrections (source_record_id, corrected_values, reason, decided_by) values "
            """('crm:1', '{"phone": "5512345678", "birth_date": "1980-04-03", "city": "Austin"}', 'called', 'ana'), """
            """('crm:9', '{"phone": "5500000001"}', 'a record that is not there', 'ana')"""
        )

    assert normalise_new_values(connection) == {"birth_date": 1, "phone": 1}

    rows = normalised(connection)
    assert rows["phone", "US", "", "5512345678"][0] == "+15512345678"
    assert rows["birth_date", "US", "", "1980-04-03"][0] == "1980-04-03"
    with connect("publisher") as publisher:
        publisher.execute("update mdm.steward_corrections set withdrawn_by = 'ana', withdrawn_at = now()")
    connection.execute("delete from intermediate.normalised_values")
    assert normalise_new_values(connection) == {}


def test_a_changed_rule_normalises_every_value_anew(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    add_record(connection, first_name="Ana")
    normalise_new_values(connection)
    monkeypatch.setattr(new_values, "normaliser_version", lambda: "next")
    assert normalise_new_values(connection) == {"name": 1}
    assert connection.execute("select normaliser_version from intermediate.normalised_values").fetchall() == [("next",)]


def test_values_of_any_shape_survive_the_way_there_and_back(connection: Connection) -> None:
    values = [
        'Ana "la" Ruiz',
        "a,b;c",
        "line\nbreak\r\nend",
        "\\N",
        "\\.",
        "'; drop table x; --",
        "😀",
        "x" * 1_000_000,
    ]
    for value in values:
        add_record(connection, street_address=value)
    assert normalise_new_values(connection) == {"street_address": len(values)}
    assert {key[3] for key in normalised(connection)} == set(values)
    assert normalise_new_values(connection) == {}


def test_several_processes_give_what_one_gives(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.execute(
        "insert into staging.stg_customer_records (source_code, country_code, first_name, phone) "
        "select 'crm', 'MX', 'NAME ' || chr(65 + i % 26) || chr(65 + i / 26 % 26) || 'A', '55' || 12340000 + i "
        "from generate_series(1, 600) as i"
    )
    counts = normalise_new_values(connection)
    one = normalised(connection)
    connection.execute("truncate intermediate.normalised_values")
    monkeypatch.setattr(new_values, "VALUES_WORTH_PROCESSES", 100)
    monkeypatch.setattr(new_values, "VALUES_PER_TASK", 50)
    monkeypatch.setattr(new_values, "VALUES_PER_TRANSACTION", 500)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert normalise_new_values(connection) == counts
    assert normalised(connection) == one
    assert len(one) > 1000


def test_a_killed_run_goes_on_where_it_stopped(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        add_record(connection, phone=f"55123400{number:02}")
    monkeypatch.setattr(new_values, "VALUES_PER_TRANSACTION", 10)
    write, calls = new_values.csv_lines, 0

    def killed_at_the_third_chunk(rows: list[tuple[str, str, str, str]]) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return write(rows)

    monkeypatch.setattr(new_values, "csv_lines", killed_at_the_third_chunk)
    with pytest.raises(KeyboardInterrupt):
        normalise_new_values(connection)
    assert len(normalised(connection)) == 20
    monkeypatch.setattr(new_values, "csv_lines", write)
    with connect("transformer") as again:
        assert normalise_new_values(again) == {"phone": 10}
    assert len(normalised(connection)) == 30


def test_two_writers_at_once_get_a_message_without_values(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_record(connection, phone="5512345678")
    write = new_values.csv_lines

    def beaten_by_another(rows: list[tuple[str, str, str, str]]) -> bytes:
        with connect("transformer") as other, other.cursor().copy(new_values._COPY) as copy:
            copy.write(write(rows))
        return write(rows)

    monkeypatch.setattr(new_values, "csv_lines", beaten_by_another)
    with pytest.raises(WarehouseError, match="Another process writes") as caught:
        normalise_new_values(connection)
    assert "5512345678" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_version_names_everything_that_decides() -> None:
    assert len(normaliser_version()) == 12
    assert normaliser_version() == normaliser_version()
