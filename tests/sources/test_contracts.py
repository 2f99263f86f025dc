"""A contract says all that is wrong with it, and what it says reaches the warehouse, differences only."""

import datetime as dt
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from sevenfold.errors import SevenfoldError
from sources.contract import (
    ContractError,
    load_contract,
    load_contracts,
    mask_password,
    raw_column,
    register_contracts,
    require_registered,
    time_pattern,
)
from tests.sources.deliveries import contract, document

REAL_CONTRACTS = Path(__file__).parent.parent / "contracts" / "real"


def load(folder: Path, text: str) -> str:
    """Load a contract that cannot be used; return what the error says."""
    path = folder / "shop.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_short_and_long_forms_of_a_field_mean_the_same(tmp_path: Path) -> None:
    loaded = contract(
        tmp_path,
        recorded_at="changed",
        fields={
            "first_name": "name",
            "email": ["mail", "other_mail"],
            "birth_date": {"column": "born", "format": "%d/%m/%Y"},
            "phone": {"columns": ["mobile"]},
        },
        expected={"freshness": "2 days"},
    )
    entity = loaded.entity("customer_records")
    assert {name: mapping.columns for name, mapping in entity.mappings.items()} == {
        "first_name": ["name"],
        "email": ["mail", "other_mail"],
        "birth_date": ["born"],
        "phone": ["mobile"],
        "recorded_at": ["changed"],
    }
    assert entity.fields["birth_date"].format == "%d/%m/%Y"
    assert entity.expected.freshness == dt.timedelta(days=2)
    assert entity.required_columns == ["born", "changed", "id", "mail", "mobile", "name", "other_mail"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, ["unknown colour", "allowed here: source, label"]),
        ({"country": "QQ"}, ["country 'QQ' is not in dbt_project/seeds/reference/countries.csv"]),
        ({"country": False}, ["country: Input should be a valid string", "in quotes"]),
        ({"touchpoint": "shop_window"}, ["touchpoint 'shop_window' is not in", "touchpoints.csv"]),
        ({"strategy": "hope"}, ["strategy 'hope' is not in", "strategies.csv"]),
        ({"time_zone": "Mexico"}, ["time_zone 'Mexico' is not an IANA time zone"]),
        ({"mode": "sometimes"}, ["mode", "real_time"]),
        ({"source": "Shop 1"}, ["source: String should match pattern"]),
        ({"entities": {}}, ["entities: Dictionary should have at least 1 item"]),
    ],
)
def test_what_is_wrong_with_a_source_is_named(tmp_path: Path, change: dict[str, Any], said: list[str]) -> None:
    text = load(tmp_path, yaml.safe_dump(document() | change))
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 1}, ["entities.customer_records: unknown colour", "allowed here: location, format"]),
        ({"fields": {"forename": "name"}}, ["customer_records.fields: unknown forename", "full_name, first_name"]),
        ({"fields": {}}, ["fields: Dictionary should have at least 1 item"]),
        ({"options": {"delimeter": ";"}}, ["options: unknown delimeter", "allowed here: delimiter"]),
        ({"options": {"encoding": "utf-9"}}, ["encoding 'utf-9' is unknown"]),
        ({"options": {"header": False}}, ["header: false and its columns"]),
        ({"options": {"delimiter": "§"}}, ["are ASCII characters"]),
        ({"format": "sql"}, ["table is for format sql, and needed there"]),
        ({"format": "excel"}, ["format: Input should be 'sql', 'csv', 'json_lines' or 'parquet'"]),
        ({"format": "parquet", "options": {"delimiter": ";"}}, ["options are for format csv"]),
        ({"format": "sql", "table": "t", "manifest": ".ok"}, ["a manifest is for files"]),
        ({"manifest": "*.json"}, ["manifest: String should match pattern"]),
        ({"cursor": {"column": "changed"}}, ["a cursor needs format sql and a key"]),
        (
            {"format": "sql", "table": "t", "cursor": {"column": "c", "lookback": "a day"}},
            ["'a day' is no duration", "2 days or 15 minutes"],
        ),
        ({"expected": {"freshness": "soon"}}, ["expected.freshness: 'soon' is no duration"]),
        ({"expected": {"minimum_rows": -1}}, ["minimum_rows: Input should be greater than or equal to 0"]),
        (
            {"recorded_at": "a", "fields": {"first_name": "name", "recorded_at": "b"}},
            ["recorded_at stands twice"],
        ),
        ({"recorded_at": {"column": "a", "format": "%Q"}}, ["format '%Q': %Q is none of %Y"]),
    ],
)
def test_what_is_wrong_with_an_entity_is_named(tmp_path: Path, change: dict[str, Any], said: list[str]) -> None:
    text = load(tmp_path, yaml.safe_dump(document(**change)))
    assert all(part in text for part in said), text


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    broken = document(format="excel") | {"mode": "sometimes"}
    del broken["owner"]
    text = load(tmp_path, yaml.safe_dump(broken))
    assert all(part in text for part in ("owner: Field required", "mode:", "entities.customer_records.format:"))


def test_yaml_that_loses_a_key_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "line 2 cannot be read as YAML: 'source' stands twice" in load(tmp_path, "source: a\nsource: b\n")
    assert "cannot be read as YAML" in load(tmp_path, "source: [a\n")
    assert "is empty. A contract begins with source" in load(tmp_path, "# nothing yet\n")
    assert "holds no keys" in load(tmp_path, "- source: a\n")
    path = tmp_path / "latin.yml"
    path.write_bytes("label: Teléfono".encode("latin-1"))
    with pytest.raises(ContractError, match="the file is not UTF-8"):
        load_contract(path)
    with pytest.raises(ContractError, match="cannot be read"):
        load_contract(tmp_path / "none.yml")


def test_one_source_has_one_contract(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text(yaml.safe_dump(document()))
    with pytest.raises(ContractError, match=r"b\.yml and a\.yml .* both describe source 'shop'"):
        load_contracts(tmp_path)


def test_a_folder_without_contracts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="holds no contract"):
        load_contracts(tmp_path)


def test_a_missing_variable_names_contract_and_entity(tmp_path: Path) -> None:
    loaded = contract(tmp_path, location="${SHOP_FOLDER}/shop.csv")
    with pytest.raises(ContractError, match=r"shop\.yml: entities\.customer_records\.location needs .* SHOP_FOLDER"):
        loaded.location("customer_records")


def test_variables_are_replaced_and_a_password_may_hold_any_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "p@ss/wörd")
    monkeypatch.setenv("SHOP_HOST", "db.example")
    loaded = contract(
        tmp_path, format="sql", table="people", location="postgresql://reader:${SHOP_PASSWORD}@${SHOP_HOST}/shop"
    )
    assert loaded.location("customer_records") == "postgresql://reader:p%40ss%2Fw%C3%B6rd@db.example/shop"


@pytest.mark.parametrize(
    ("location", "masked"),
    [
        ("postgresql://me:secret@db/shop", "postgresql://me:***@db/shop"),
        ("postgresql://me:${PASSWORD}@db/shop?sslpassword=x&a=b", "postgresql://me:***@db/shop?sslpassword=***&a=b"),
        ("postgresql://me:a/b@c?d@db/shop", "postgresql://me:***@db/shop"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dabc", "mssql+pyodbc:///?odbc_connect=***"),
        ("s3://bucket/file.csv?secret=abc", "s3://bucket/file.csv?secret=***"),
        ("${SEVENFOLD_INPUT}/shop.csv", "${SEVENFOLD_INPUT}/shop.csv"),
        ("sqlite:///${SEVENFOLD_INPUT}/shop.sqlite", "sqlite:///${SEVENFOLD_INPUT}/shop.sqlite"),
        ("postgresql://db:5432/shop", "postgresql://db:5432/shop"),
    ],
)
def test_passwords_are_masked(location: str, masked: str) -> None:
    assert mask_password(location) == masked


@pytest.mark.parametrize(
    ("name", "column"),
    [("Correo electrónico", "Correo electrónico"), ("raw_id", "source_raw_id"), (" ", "column_3"), ("a\0b", "ab")],
)
def test_raw_columns_keep_the_source_name_where_they_can(name: str, column: str) -> None:
    assert raw_column(name, 3) == column


def test_long_names_stay_different_in_what_postgresql_keeps_of_a_name() -> None:
    first, second = raw_column("ñ" * 60 + "a", 1), raw_column("ñ" * 60 + "b", 2)
    assert first != second
    assert max(len(first.encode()), len(second.encode())) <= 63


def test_times_are_written_as_strptime_and_read_by_postgresql(warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        for value, value_format in [
            ("30/06/2026 23:59:01", "%d/%m/%Y %H:%M:%S"),
            ("2026-06-30T23:59:01.000", "%Y-%m-%dT%H:%M:%S.%f"),
            ("6/30/26 11:59:01 pm", "%m/%d/%y %I:%M:%S %p"),
        ]:
            row = connection.execute(
                "select to_timestamp(%s, %s)::timestamp", [value, time_pattern(value_format)]
            ).fetchone()
            assert row == (dt.datetime(2026, 6, 30, 23, 59, 1),), value_format  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "value_format", "is_one"),
    [
        ("0001-01-01T00:00:00", "", False),
        ("1900-01-01", "", False),
        ("1970-01-01T00:00:00Z", "", False),
        ("1970-01-01 00:00:00", "", False),
        ("01/07/26", "%d/%m/%Y", False),
        ("01/07/26", "%d/%m/%y", True),
        ("1970-01-02", "", True),
        ("2026-07-01T08:00:00+02:00", "", True),
    ],
)
def test_what_stands_for_no_time_is_none(warehouse: str, value: str, value_format: str, is_one: bool) -> None:
    query = "select staging.parse_timestamp(%s, %s, 'America/Mexico_City') is not null"
    with psycopg.connect(warehouse) as connection:
        assert connection.execute(query, [value, time_pattern(value_format)]).fetchone() == (is_one,)


def test_times_in_the_usual_form_are_the_moments_that_all_others_are(warehouse: str) -> None:
    """The short way and the long way, on days of all years and on times around those that stand for none."""
    query = """
        with texts as (
            select to_char(day, 'YYYY-MM-DD') || separator || time as text
            from generate_series(timestamp '1899-12-25', '2101-01-05', '11 days 1 hour') as days (day)
            cross join unnest(array[' ', 'T']) as separators (separator)
            cross join unnest(array['00:00:00', '02:30', '18:00:00', '23:59:59', '24:00:00', '23:59:60', '7:00'])
                as times (time)
            union all
            values ('1969-12-31 18:00:00'), ('1970-01-01 00:00:00'), ('2026-02-28 10:00:00'), ('2026-02-30 10:00:00'),
                ('2024-02-29 10:00:00'), ('2026-13-01 10:00'), ('2026-00-10 10:00'), ('2026-01-00 10:00'),
                (' 2026-01-01 10:00')
        )
        select count(*), count(parse_timestamp), bool_and(parse_timestamp is not distinct from parse_unusual_timestamp)
        from texts
        cross join unnest(array['America/Mexico_City', 'Asia/Ho_Chi_Minh', 'Pacific/Apia']) as zones (time_zone)
        cross join staging.parse_timestamp(text, '', time_zone)
        cross join staging.parse_unusual_timestamp(text, '', time_zone)
    """
    with psycopg.connect(warehouse) as connection:
        looked_at, moments, are_equal = connection.execute(query).fetchone() or (0, 0, False)
    assert are_equal
    assert looked_at > moments > looked_at / 2


def registered(url: str) -> list[tuple[Any, ...]]:
    query = """
        select source_code, entity_code, raw_table, location, key_columns, recorded_at_column, cursor_column,
            minimum_rows, freshness, is_active
        from ops.source_contracts order by 1, 2
    """
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def written(url: str) -> list[tuple[Any, ...]]:
    """Row versions: they change when a row is written, even by the same values."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select xmin::text, source_code, '' from ops.source_contracts union all "
            "select xmin::text, source_code, field_name from ops.source_contract_fields order by 1, 2, 3"
        ).fetchall()


def test_registration_writes_differences_only(warehouse: str, tmp_path: Path) -> None:
    first = contract(
        tmp_path,
        format="sql",
        table="people",
        location="postgresql://me:secret@db/shop",
        recorded_at={"column": "raw_id", "format": "%d/%m/%Y"},
        cursor={"column": "changed", "lookback": "1 day"},
        expected={"freshness": "2 days", "minimum_rows": 7},
    )
    with psycopg.connect(warehouse) as connection:
        connection.execute("set role sevenfold_loader")
        register_contracts(connection, [first])
    assert registered(warehouse) == [
        (
            *("shop", "customer_records", "raw.shop__customer_records", "postgresql://me:***@db/shop", ["id"]),
            *("source_raw_id", "changed", 7, dt.timedelta(days=2), True),
        )
    ]
    before = written(warehouse)
    with psycopg.connect(warehouse) as connection:
        register_contracts(connection, [first])
    assert written(warehouse) == before

    with psycopg.connect(warehouse) as connection:
        assert connection.execute(
            "select field_name, source_columns, value_format from ops.source_contract_fields order by 1"
        ).fetchall() == [("first_name", ["name"], None), ("recorded_at", ["source_raw_id"], "DD/MM/YYYY")]


def test_a_changed_contract_replaces_its_fields_and_a_removed_one_becomes_inactive(
    warehouse: str, tmp_path: Path
) -> None:
    with psycopg.connect(warehouse) as connection:
        register_contracts(connection, [contract(tmp_path, fields={"first_name": "name", "email": "mail"})])
        register_contracts(connection, [contract(tmp_path, fields={"first_name": "forename"})])
        assert connection.execute("select field_name, source_columns from ops.source_contract_fields").fetchall() == [
            ("first_name", ["forename"])
        ]
        register_contracts(connection, load_contracts(REAL_CONTRACTS))
        active = connection.execute(
            "select source_code from ops.source_contracts where is_active order by 1"
        ).fetchall()
    assert active == [
        (source,)
        for source in ("historical_50k", "online_retail", "senzing_customers", "senzing_reference", "senzing_watchlist")
    ]
    assert registered(warehouse)[-1][0] == "shop"


def test_an_interaction_is_recorded_when_it_occurs_where_nothing_else_is_said(warehouse: str, tmp_path: Path) -> None:
    visits = {"location": "v.csv", "format": "csv", "key": ["id"], "fields": {"occurred_at": "at"}}
    written = document() | {"entities": {"interactions": visits}}
    (tmp_path / "shop.yml").write_text(yaml.safe_dump(written), encoding="utf-8")
    with psycopg.connect(warehouse) as connection:
        register_contracts(connection, [load_contract(tmp_path / "shop.yml")])
        assert connection.execute("select recorded_at_column from ops.source_contracts").fetchall() == [("at",)]


def test_nothing_is_read_by_a_contract_that_was_edited_since_it_was_registered(warehouse: str, tmp_path: Path) -> None:
    first, edited = (contract(tmp_path, fields={"first_name": column}) for column in ("name", "forename"))
    with psycopg.connect(warehouse) as connection:
        for contracts in ([], [first]):
            register_contracts(connection, contracts)
            with pytest.raises(SevenfoldError, match="The contract of shop customer_records was edited since this run"):
                require_registered(connection, edited, "customer_records")
        require_registered(connection, first, "customer_records")
