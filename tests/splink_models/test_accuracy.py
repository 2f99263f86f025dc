"""Accuracy on data that the shipped model was neither trained nor tuned on, with floors under what was measured.

Everything is the model's own answer, its components resolved; guards come between, in SQL.
"""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from splink_models import training
from splink_models.model import DEFAULT_MODEL, SHIPPED_MODELS, Model, load_model
from splink_models.workspace import open_workspace
from tests.splink_models.people import Record, load_match_inputs, pairwise, record, resolved, score

REPOSITORY = Path(__file__).resolve().parents[2]
HISTORICAL = REPOSITORY / "tests/data/historical_50k/historical_figures_with_errors_50k.parquet"
FAKE = REPOSITORY / "../shared/data/fake_1000/fake_1000.csv"
NAME_KEY = "nullif(trim(regexp_replace(strip_accents(upper({})), '[^A-Z ]+', ' ', 'g')), '')"


def read(query: str, path: Path) -> tuple[list[Record], dict[str, Any]]:
    """Match inputs and the person of each, of a query that names the match inputs' columns and `person`."""
    with duckdb.connect() as connection:
        result = connection.execute(query, [str(path)])
        names = [column[0] for column in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    truth = {row["source_record_id"]: row.pop("person") for row in rows}
    return [record(row.pop("source_record_id"), country_code="GB", **row) for row in rows], truth


def historical_people() -> tuple[list[Record], dict[str, Any]]:
    """Real, long dead people: names, a birth date, a postal code and a gender, with errors and gaps."""
    return read(
        f"""
        select 'hist:' || unique_id as source_record_id, cluster as person,
            {NAME_KEY.format("first_name")} as first_name_key, {NAME_KEY.format("surname")} as first_last_name_key,
            try_cast(dob as date) as birth_date, try_cast(left(dob, 4) as integer) as birth_year,
            upper(postcode_fake) as postal_code, case gender when 'male' then 'M' when 'female' then 'F' end as gender,
            birth_place as city, occupation
        from read_parquet(?)
        """,
        HISTORICAL,
    )


def fake_people() -> tuple[list[Record], dict[str, Any]]:
    """Splink's demonstration set: heavy gaps, names written into each other's field."""
    return read(
        f"""
        select 'fake:' || unique_id as source_record_id, cluster as person,
            {NAME_KEY.format("first_name")} as first_name_key, {NAME_KEY.format("surname")} as first_last_name_key,
            dob as birth_date, city, case when email is not null then [lower(email)] end as emails
        from read_csv(?)
        """,
        FAKE,
    )


def accuracy(home: Path, model: Model, rows: list[Record], truth: dict[str, Any]) -> tuple[float, float]:
    """Pairwise precision and recall of the components."""
    return pairwise(resolved(model, score(home, model, rows), truth), truth)


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load_model(SHIPPED_MODELS / DEFAULT_MODEL)


def test_the_shipped_model_finds_historical_people(tmp_path: Path, shipped: Model) -> None:
    precision, recall = accuracy(tmp_path, shipped, *historical_people())
    assert precision > 0.9
    assert recall > 0.6


def test_a_model_trained_on_historical_people_alone_is_better(tmp_path: Path, shipped: Model) -> None:
    rows, truth = historical_people()
    with open_workspace(tmp_path) as connection:
        load_match_inputs(connection, rows)
        own, _ = training.train(connection, "historical_1", seed=1)
    assert own.comparison_names == (
        *("given_name", "surnames", "birth_date"),
        *("postal_code", "place", "gender", "occupation"),
    )
    precision, recall = accuracy(tmp_path, own, rows, truth)
    assert precision > 0.94
    assert recall > 0.72


@pytest.mark.skipif(not FAKE.exists(), reason="the full data sets are not beside the repository")
def test_the_shipped_model_finds_fake_people(tmp_path: Path, shipped: Model) -> None:
    precision, recall = accuracy(tmp_path, shipped, *fake_people())
    assert precision > 0.95
    assert recall > 0.85
