"""Training: it learns without labels, copes with odd sources, and refuses what makes no sense."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from sevenfold.settings import get_settings
from splink_models import training
from splink_models.model import Model, ModelError, active_model
from splink_models.model_card import ModelCard
from splink_models.settings import DERIVED_COLUMNS, Comparison, comparisons
from splink_models.workspace import open_workspace, prepare_records
from tests.splink_models.conftest import LoadRecords
from tests.splink_models.people import (
    JOIN_PROBABILITY,
    Record,
    load_match_inputs,
    pairwise,
    people,
    record,
    resolved,
    score,
)


def train(home: Path, records: Iterable[Record]) -> tuple[Model, ModelCard]:
    with open_workspace(home) as connection:
        load_match_inputs(connection, records)
        return training.train(connection, "test_1", seed=1)


def test_it_learns_people_it_has_not_seen(tmp_path: Path) -> None:
    model, card = train(tmp_path, people(500, seed=11)[0])
    assert len(card.blocks) >= 3
    assert {row.m_origin for row in card.parameters} >= {"trained", "floored"}
    for comparison in model.comparison_names:
        seen = [row.m for row in card.parameters if row.comparison == comparison and row.m_origin != "authored"]
        assert sum(seen) == pytest.approx(1, abs=1e-6) or not seen
    others, truth = people(500, seed=12)
    precision, recall = pairwise(resolved(model, score(tmp_path, model, others), truth), truth)
    assert precision > 0.98
    assert recall > 0.95


def test_training_twice_gives_the_same_model(tmp_path: Path) -> None:
    rows, _ = people(200, seed=13)
    assert train(tmp_path, rows)[0].fingerprint == train(tmp_path, reversed(rows))[0].fingerprint


def test_surnames_are_learned_where_nobody_gives_a_second(tmp_path: Path) -> None:
    rows = [row | {"second_last_name_key": None} for row in people(500, seed=15)[0]]
    _, card = train(tmp_path, rows)
    origins = {row.level: row.m_origin for row in card.parameters if row.comparison == "surnames"}
    assert origins["first surname, second missing"] == "trained"
    assert origins["both surnames"] == "authored"


def test_the_records_of_one_person_do_not_make_a_name_common(tmp_path: Path) -> None:
    names = ["ANA", "LUZ", "EVA"] * 40 + ["XOCHITL"] * 4
    with open_workspace(tmp_path) as connection:
        load_match_inputs(connection, [record(f"crm:{n}", first_name_key=name) for n, name in enumerate(names)])
        prepare_records(connection, DERIVED_COLUMNS)
        _, frequencies = training.count_terms(connection, {"given_name": 3.0})
    found = {row["value"]: row["frequency"] for row in frequencies.to_pylist() if row["kind"] == "given_name"}
    assert found == pytest.approx({"ANA": 37 / 124, "LUZ": 37 / 124, "EVA": 37 / 124, "XOCHITL": 1 / 124})


def test_a_source_without_duplicates_trains_and_joins_nobody(tmp_path: Path) -> None:
    rows, _ = people(400, seed=14, records_per_person=(1,))
    model, _ = train(tmp_path, rows)
    expected_pairs = model.match_prior * model.record_count / 2
    assert expected_pairs == pytest.approx(training.MINIMUM_PAIRS_PER_RECORD, rel=0.1)
    assert [pair for pair in score(tmp_path, model, rows) if pair[5] >= JOIN_PROBABILITY] == []


def test_absent_fields_and_a_field_that_never_agrees_train(tmp_path: Path) -> None:
    absent = {"national_identifier": None, "emails": None, "gender": None}
    rows = [
        record(row["source_record_id"], **kept_fields(row) | absent | {"phones": [f"+5281{number:08d}"]})
        for number, row in enumerate(people(300, seed=15)[0])
    ]
    model, card = train(tmp_path, rows)
    assert model.comparison_names == ("given_name", "surnames", "birth_date", "phone", "household", "postal_code")
    assert all(math.isfinite(row.weight) for row in card.parameters)


def kept_fields(row: Record) -> Record:
    dropped = {"source_record_id", "source_code", "match_hash", "birth_year"}
    return {name: value for name, value in row.items() if name not in dropped}


def test_too_few_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="1 records"):
        train(tmp_path, [record("a:1", first_name_key="ANA")])


@pytest.fixture
def gender() -> Comparison:
    return next(comparison for comparison in comparisons() if comparison.name == "gender")


def learned(*levels: tuple[float, float]) -> list[dict[str, object]]:
    return [
        {"comparison_levels": [{"is_null_level": True}, *({"m_probability": m, "u_probability": u} for m, u in levels)]}
    ]


def test_a_town_or_a_gender_that_tells_nothing_is_left_out(gender: Comparison) -> None:
    place = next(comparison for comparison in comparisons() if comparison.name == "place")
    silent = learned((0.01, 0.01), (0.0001, 0.0001), (0.0001, 0.0001), (0.99, 0.99))
    telling = learned((0.6, 0.01), (0.01, 0.001), (0.01, 0.001), (0.38, 0.99))
    genders = learned((0.9, 0.5), (0.1, 0.5))
    assert training.without_silent((gender, place), genders + silent)[0] == (gender,)
    assert training.without_silent((gender, place), genders + telling)[0] == (gender, place)
    assert training.without_silent((gender, place), learned((0.48, 0.5), (0.52, 0.5)) + telling)[0] == (place,)


def test_a_field_whose_agreement_speaks_against_a_match_is_refused(gender: Comparison) -> None:
    telling = replace(gender, may_be_silent=False)
    against = learned((0.4, 0.5), (0.6, 0.5))
    assert training.without_silent((telling,), against)[0] == (telling,)
    with pytest.raises(ModelError, match=r"'gender'.*does not tell people apart"):
        training.settle_parameters((telling,), against)


def test_a_contradiction_cannot_fall_below_its_floor(gender: Comparison) -> None:
    agreement, contradiction = training.settle_parameters((gender,), learned((0.99999, 0.5), (0.00001, 0.5)))
    assert (contradiction.m, contradiction.m_origin) == (0.02, "floored")
    assert agreement.m + contradiction.m == pytest.approx(1)


def test_what_few_records_teach_is_mixed_with_what_is_authored() -> None:
    birth_date = next(comparison for comparison in comparisons() if comparison.name == "birth_date")
    shares = [(level.m, level.u) for level in birth_date.levels[:-1]] + [(0.024, 0.65)]

    def contradiction(records: int) -> float:
        mixed = training.with_what_is_authored((birth_date,), learned(*shares), records)
        return float(mixed[0]["comparison_levels"][-1]["m_probability"])

    assert contradiction(1_000) == pytest.approx(0.012)  # between 0.006 and 0.024 at the middle of their ratio
    assert contradiction(10**7) == pytest.approx(0.024, rel=1e-3)


def test_levels_out_of_order_are_pooled(gender: Comparison) -> None:
    strong, weak = replace(gender.levels[0], label="strong"), replace(gender.levels[0], label="weak")
    comparison = replace(gender, levels=(strong, weak, gender.levels[-1]))
    rows = training.settle_parameters((comparison,), learned((0.1, 0.1), (0.85, 0.1), (0.05, 0.8)))
    assert [row.m_origin for row in rows] == ["pooled", "pooled", "trained"]
    assert rows[0].weight == pytest.approx(rows[1].weight)
    assert sum(row.m for row in rows) == pytest.approx(1)


def test_a_level_never_outweighs_the_one_that_it_may_not(gender: Comparison) -> None:
    strong = replace(gender.levels[0], label="strong")
    swapped = replace(strong, label="swapped", u=1e-5, is_u_fixed=True, is_rare=True, never_above="strong")
    comparison = replace(gender, levels=(strong, swapped, gender.levels[-1]))
    rows = training.settle_parameters((comparison,), learned((0.8, 0.1), (0.1, 1e-5), (0.1, 0.9)))
    assert rows[1].weight == pytest.approx(rows[0].weight) == pytest.approx(3)
    assert [(row.m, row.u_origin) for row in rows] == [(0.8, "trained"), (0.1, "bounded"), (0.1, "trained")]


def test_a_trained_model_can_be_made_the_active_one(load_records: LoadRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    load_records(people(200, seed=16)[0])
    card = training.train_model("shop", run_id="run-7")
    assert training.train_model("shop", max_records=150).model.name == "shop_2"
    folder = get_settings().home / "models" / "shop_1"
    assert "run-7" in (folder / "model_card.md").read_text()
    monkeypatch.setenv("SEVENFOLD_MODEL", "shop_1")
    get_settings.cache_clear()
    assert active_model().fingerprint == card.model.fingerprint
