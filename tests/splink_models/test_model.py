"""The model artefact: self-contained, named by its content, scaled to the number of records."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sevenfold.settings import REPOSITORY, get_settings
from splink_models.model import DEFAULT_MODEL, SHIPPED_MODELS, ModelError, active_model, load_model, size_class
from splink_models.settings import comparisons

SEED = REPOSITORY / "dbt_project" / "seeds" / "rules" / "match_comparison_levels.csv"


@pytest.fixture
def shipped() -> Path:
    return SHIPPED_MODELS / DEFAULT_MODEL


def test_the_shipped_model_is_complete_small_and_described_by_its_card(shipped: Path) -> None:
    model = load_model(shipped)
    assert model.name == DEFAULT_MODEL
    assert sum(file.stat().st_size for file in shipped.iterdir()) < 3_000_000
    card = (shipped / "model_card.md").read_text()
    assert model.fingerprint in card
    for comparison in model.splink["comparisons"]:
        levels = [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]
        assert all(0 < level["m_probability"] <= 1 and 0 < level["u_probability"] <= 1 for level in levels)
        assert levels[0]["m_probability"] > levels[0]["u_probability"]
        assert levels[-1]["m_probability"] < levels[-1]["u_probability"]


def test_guards_name_the_levels_of_the_models(shipped: Path) -> None:
    with SEED.open(encoding="utf-8", newline="") as file:
        rows = [(row["comparison"], int(row["level_number"]), row["level"]) for row in csv.DictReader(file)]
    authored = {comparison.name: [level.label for level in comparison.levels] for comparison in comparisons()}
    of_the_records = [("name_suffix", 0, "otherwise"), ("name_suffix", 1, "same")]  # int_match_decisions asks it
    of_the_model = [(name, *row) for name, levels in authored.items() for row in enumerate(reversed(levels))]
    assert rows == of_the_model + of_the_records
    for name, levels in load_model(shipped).levels.items():
        assert list(levels) == authored[name]


def test_a_model_of_other_levels_is_refused(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_model(shipped).save(tmp_path / "other")
    file = tmp_path / "other" / "model.json"
    file.write_text(file.read_text().replace('"label_for_charts": "typing error"', '"label_for_charts": "two errors"'))
    monkeypatch.setenv("SEVENFOLD_MODEL", str(tmp_path / "other"))
    get_settings.cache_clear()
    with pytest.raises(ModelError, match="compares given_name by other levels than the guards name"):
        active_model()
    get_settings.cache_clear()


def test_saving_and_loading_gives_the_same_model(shipped: Path, tmp_path: Path) -> None:
    model = load_model(shipped)
    model.save(tmp_path / "copy")
    assert load_model(tmp_path / "copy").fingerprint == model.fingerprint


def test_any_change_of_the_model_changes_its_version(shipped: Path) -> None:
    model = load_model(shipped)
    fewer_terms = replace(model, term_frequencies=model.term_frequencies.slice(1))
    versions = {each.version_for(1000) for each in (model, model.with_prior(0.001), fewer_terms)}
    assert len(versions) == 3


def test_the_prior_follows_the_number_of_records_in_steps(shipped: Path) -> None:
    model = load_model(shipped)
    assert size_class(0) == size_class(1000) == 10
    assert model.version_for(100_000) == model.version_for(101_000)
    assert model.prior_for(100_000) == model.prior_for(101_000)
    assert model.prior_for(2**20) == pytest.approx(model.prior_for(2**16) / 16)


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_MODEL", "no_such_model")
    get_settings.cache_clear()
    with pytest.raises(ModelError, match=r"no_such_model.*retail_2"):
        active_model()
    get_settings.cache_clear()


def test_a_damaged_model_is_named(shipped: Path, tmp_path: Path) -> None:
    load_model(shipped).save(tmp_path / "damaged")
    content = json.loads((tmp_path / "damaged" / "model.json").read_text())
    del content["match_prior"]
    (tmp_path / "damaged" / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="match_prior"):
        load_model(tmp_path / "damaged")
