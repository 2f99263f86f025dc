"""Placeholders that the data suggest: what looks struck to fill a field, and nobody's own value."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.suggestions import reason_by_form, suggest_placeholders
from sevenfold.warehouse import connect
from sources.normaliser.reference import SEED_FOLDER

INPUTS = """
    create table intermediate.int_match_inputs as
    select
        'a:' || n as source_record_id, 'MX' as country_code, name as given_name_canonical, name as first_name_key,
        name || ' CRUZ ' || n as full_name_key, null::text as national_identifier,
        array[
            case when n <= 2 then 'nodiocorreo1@x.example' when n <= 4 then 'ana@example.com' else n || '@x.example' end
        ] as emails,
        array[case when n <= 2 then '+525512345678' when n <= 9 then '+525591837264' else '+5255918' || 10000 + n end]
            as phones,
        case when n <= 25 then date '1980-01-01' else date '1980-01-01' + n end as birth_date
    from generate_series(1, 60) as n
    inner join unnest(array['ANA', 'BEATRIZ', 'CARLOS', 'DIEGO', 'ELENA', 'FELIPE', 'GLORIA'])
        with ordinality as names (name, place) on place = 1 + n % 7;
"""


@pytest.fixture
def records(warehouse: str) -> None:
    with connect("transformer") as connection:
        connection.execute(INPUTS)


def test_what_behaves_as_a_placeholder_is_suggested_and_a_family_s_values_are_not(records: None) -> None:
    found = {(each.field_kind, each.placeholder_value): each for each in suggest_placeholders()}
    assert set(found) == {
        ("email", "nodiocorreo1@x.example"),
        ("phone", "5512345678"),
        ("phone", "5591837264"),
        ("birth_date", "1980-01-01"),
    }
    assert found["phone", "5591837264"].evidence == "on 7 records with 7 given names"
    assert found["phone", "5512345678"].reason == "digits in order"


def test_the_file_has_the_columns_of_the_seed_and_the_screen_shows_no_value(records: None, tmp_path: Path) -> None:
    out = tmp_path / "suggested.csv"
    answer = CliRunner().invoke(app, ["suggest", "placeholders", "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    assert "5512345678" not in answer.output
    assert out.stat().st_mode & 0o077 == 0
    with out.open() as file, (SEED_FOLDER / "placeholder_values.csv").open() as seed:
        rows = list(csv.reader(file))
        assert rows[0] == next(csv.reader(seed))
    assert len(rows) == 5
    assert CliRunner().invoke(app, ["suggest", "placeholders", "--out", str(out)]).exit_code == 1


@pytest.mark.parametrize(
    ("kind", "value", "is_suspect"),
    [
        ("email", "noemail1@gmail.com", True),
        ("email", "nohay@hotmail.com", True),
        ("email", "anonimo@gmail.com", True),
        ("email", "prueba@gmail.com", True),
        ("email", "nora@gmail.com", False),
        ("email", "noe.sinclair@gmail.com", False),
        ("email", "nodal@gmail.com", False),
        ("phone", "5512222222", True),
        ("phone", "5598765432", True),
        ("phone", "5512123434", False),
        ("national_identifier", "XXXX010101000", True),
        ("national_identifier", "ZATA800304MDFMRN08", False),
        ("national_identifier", "AAAAAA010101AAA", True),
    ],
)
def test_the_form_of_a_value(kind: str, value: str, is_suspect: bool) -> None:
    assert (reason_by_form(kind, value) is not None) == is_suspect
