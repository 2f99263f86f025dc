"""The reference seeds are total: every row can be used, every code has a row."""

import csv
import re
from collections import Counter
from typing import get_args

import duckdb
import phonenumbers
import pytest
import yaml

from sevenfold.errors import SevenfoldError
from sources.normaliser import FailureCode, FieldKind, normalise, reference
from sources.normaliser.fields import NORMALISERS
from sources.normaliser.identifiers import checker
from sources.normaliser.reference import SEED_FOLDER, countries, country_rules, read_seed
from sources.normaliser.text import comparison_key

ONLINE_RETAIL = SEED_FOLDER.parents[2].parent / "shared" / "data" / "online_retail"
KINDS = set(get_args(FieldKind))
SEEDS = sorted(path.stem for path in SEED_FOLDER.glob("*.csv"))
PROPERTIES = yaml.safe_load((SEED_FOLDER / "_reference.yml").read_text(encoding="utf-8"))["seeds"]


def primary_key(seed: dict[str, str]) -> list[str]:
    """The columns that the description of a seed ends with."""
    match = re.search(r"Primary key `([a-z_, ]+)`\.$", seed["description"].strip())
    assert match, f"{seed['name']}: the description ends with its primary key"
    return match.group(1).split(", ")


def test_every_seed_is_described_with_all_its_columns() -> None:
    described = {seed["name"]: [column["name"] for column in seed["columns"]] for seed in PROPERTIES}
    headers = {}
    for seed_name in SEEDS:
        with (SEED_FOLDER / f"{seed_name}.csv").open(encoding="utf-8", newline="") as file:
            headers[seed_name] = next(csv.reader(file))
    assert described == headers


@pytest.mark.parametrize("seed", PROPERTIES, ids=lambda seed: seed["name"])
def test_the_primary_key_of_a_seed_is_unique(seed: dict[str, str]) -> None:
    columns = primary_key(seed)
    keys = Counter(tuple(row[column] for column in columns) for row in read_seed(seed["name"]))
    assert [key for key, count in keys.items() if count > 1] == []


def test_no_cell_is_read_as_null_by_dbt() -> None:
    cells = [(seed, cell) for seed in SEEDS for row in read_seed(seed) for cell in row.values()]
    assert [(seed, cell) for seed, cell in cells if cell.strip().lower() == "null"] == []


@pytest.mark.parametrize("country_code", sorted(countries()))
def test_every_country_can_be_normalised(country_code: str) -> None:
    country = country_rules(country_code)
    assert country.country_code == country_code
    assert country.calling_region in {None, *phonenumbers.SUPPORTED_REGIONS}
    assert country.national_identifier_kinds
    for kind in country.national_identifier_kinds:
        assert callable(checker(reference.identifier_checkers()[kind]))
    if country.postal_code_pattern and country.postal_code_length:
        assert country.postal_code_pattern.fullmatch("28013")
    for kind in NORMALISERS:
        result = normalise(kind, "Ana Lopez 12345678", country_code)
        assert (result.value is None) != (result.failure_code is None)


def test_mandatory_names_follow_the_order_of_names() -> None:
    for row in read_seed("countries"):
        assert row["name_order_code"] in {"given_first", "family_first"}
        assert (row["is_first_name_mandatory"], row["is_first_last_name_mandatory"]) == ("true", "true")
        assert row["is_second_last_name_mandatory"] == row["has_second_last_name"]
    mandatory = {
        row["country_code"] for row in read_seed("countries") if row["is_second_last_name_mandatory"] == "true"
    }
    assert {"MX", "ES", "CO", "PE"} <= mandatory
    assert not mandatory & {"US", "GB", "VN", "ZZ"}


def test_an_unknown_country_has_the_default_rules() -> None:
    assert country_rules("QQ") is country_rules("ZZ")


def test_every_failure_code_has_a_row() -> None:
    rows = {row["failure_code"] for row in read_seed("failure_codes")}
    assert rows == {*get_args(FailureCode), "in_the_future"}  # the last one is given in SQL, where the record's date is


def test_every_kind_of_field_has_a_normaliser_and_a_longest_length() -> None:
    assert set(NORMALISERS) == KINDS
    longest = {row["field_kind"] for row in read_seed("field_limits") if row["limit_code"] == "maximum_length"}
    assert longest == KINDS


@pytest.mark.parametrize("row", list(read_seed("placeholder_values")), ids=lambda row: row["placeholder_value"])
def test_every_placeholder_is_in_the_form_that_is_compared(row: dict[str, str]) -> None:
    kind, value = row["field_kind"], row["placeholder_value"]
    assert kind in KINDS | {"any"}
    assert row["country_code"] in {"", *countries()}
    assert row["reason"]
    assert row["evidence"]
    if row["match_code"] == "pattern":
        re.compile(value)
        return
    assert row["match_code"] == "exact"
    country_code = row["country_code"] or "MX"
    for checked_kind in KINDS if kind == "any" else {kind}:
        assert normalise(checked_kind, value, country_code).failure_code == "placeholder", checked_kind


def test_every_country_name_leads_to_a_country() -> None:
    for row in read_seed("country_names"):
        assert row["country_code"] in countries()
        assert normalise("country", row["country_name_key"], "ZZ").value == row["country_code"]


def test_short_forms_lead_to_a_name_in_one_step() -> None:
    rows = list(read_seed("nicknames"))
    short_forms = {(row["language_code"], comparison_key(row["nickname"])) for row in rows}
    for row in rows:
        assert row["word_type_code"] in {"nickname", "abbreviation"}
        assert (row["language_code"], comparison_key(row["given_name"])) not in short_forms, row["given_name"]


def test_every_phone_rule_makes_a_valid_number() -> None:
    samples = {
        "mexico_mobile_1": "5215512345678",
        "mexico_mobile_044_045": "0445512345678",
        "mexico_trunk_01": "015512345678",
        "mexico_trunk_after_52": "52015512345678",
    }
    for row in read_seed("phone_prefix_rules"):
        sample = samples.get(row["rule_code"]) or "0" + row["rule_code"].removeprefix("viet_nam_") + "2345671"
        assert re.fullmatch(row["pattern"], sample), row["rule_code"]
        assert normalise("phone", sample, row["calling_region"]).value, row["rule_code"]


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="the full online retail set is not beside the repository")
def test_the_countries_of_a_real_shop_are_known() -> None:
    rows = duckdb.execute(f"select distinct Country from '{ONLINE_RETAIL}/*.parquet'").fetchall()
    names = [name for (name,) in rows]
    failed = {name for name in names if not normalise("country", name, "GB").value}
    assert len(names) == 38
    assert failed == {"Channel Islands", "European Community", "Unspecified"}


def test_a_missing_or_ragged_seed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(reference, "SEED_FOLDER", tmp_path)
    with pytest.raises(SevenfoldError, match=r"countries\.csv is missing"):
        next(read_seed("countries"))
    (reference.SEED_FOLDER / "countries.csv").write_text("country_code,country_name\nMX\n", encoding="utf-8")
    with pytest.raises(SevenfoldError, match=r"countries\.csv.*columns of the header"):
        next(read_seed("countries"))


def test_an_error_never_shows_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(raw_value: str, *_: object) -> None:
        raise ValueError(raw_value)

    monkeypatch.setitem(NORMALISERS, "name", broken)
    with pytest.raises(SevenfoldError, match="normaliser of name broke") as caught:
        normalise("name", "Secreta", "MX")
    assert "Secreta" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
