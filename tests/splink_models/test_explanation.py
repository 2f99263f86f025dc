"""An explanation adds up to the stored score, by the model that made it or not at all."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.explain import explanation
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect
from splink_models.explanation import Edge, bond_of, chain_between
from splink_models.model import DEFAULT_MODEL, SHIPPED_MODELS, ModelError, active_model
from splink_models.scoring import score_records
from tests.splink_models.conftest import LoadRecords
from tests.splink_models.people import people, record

SHARED_MAILBOX = "info@example.com"


@pytest.fixture
def scored(load_records: LoadRecords) -> Iterator[Any]:
    """A warehouse with scored pairs, of which some share an e-mail that too many have."""
    records, _ = people(60, seed=3)
    crowd = [record(f"shop:c{n:02d}", emails=[SHARED_MAILBOX], first_name_key=f"NAME{n:02d}") for n in range(40)]
    known = [
        {**row, "emails": [*(row["emails"] or []), SHARED_MAILBOX]} if number < 12 else row
        for number, row in enumerate(records)
    ]
    load_records([*known, *crowd])
    score_records("run-1")
    with connect("transformer") as connection:
        yield connection


def stored_pairs(connection: Any) -> list[tuple[str, str, float, float, dict[str, list[float]]]]:
    return list(
        connection.execute(
            "select left_record_id, right_record_id, match_weight, match_probability, evidence "
            "from intermediate.match_scores order by match_weight, left_record_id, right_record_id"
        ).fetchall()
    )


def test_an_explanation_adds_up_to_the_stored_score(scored: Any) -> None:
    pairs = stored_pairs(scored)
    assert len(pairs) > 30
    crowded = [pair for pair in pairs if "c" not in pair[0].split(":")[1] and pair[0] in first_records(scored)]
    levels = {name: found[::-1] for name, found in active_model().levels.items()}
    for left, right, weight, probability, evidence in [*pairs[:: max(len(pairs) // 6, 1)], *crowded[:2]]:
        found, stored = explanation(scored, [right, left])
        assert stored == weight
        assert found.match_weight == pytest.approx(weight, abs=1e-5)
        assert found.match_probability == pytest.approx(probability, abs=1e-8)
        assert evidence == {
            step.comparison: [pytest.approx(step.total, abs=1e-4), levels[step.comparison].index(step.level)]
            for step in found.steps
            if step.level != "absent"
        }


def first_records(connection: Any) -> set[str]:
    rows = connection.execute(
        "select source_record_id from intermediate.int_match_inputs where %s = any(emails)", (SHARED_MAILBOX,)
    )
    return {row[0] for row in rows}


def test_a_crowded_value_is_named_and_counts_for_nothing(scored: Any) -> None:
    found, stored = explanation(scored, ["shop:c01", "shop:c02"])
    assert stored is None or stored < 0
    assert found.crowded == ("emails",)
    (email,) = (step for step in found.steps if step.comparison == "email")
    assert (email.level, email.total) == ("absent", 0.0)


def test_another_model_of_the_same_name_is_refused(scored: Any, tmp_path: Path) -> None:
    left, right, *_ = stored_pairs(scored)[0]
    scored.execute(
        "update intermediate.match_scores set model_version = replace(model_version, 'retail_2', 'retail_9')"
    )
    with pytest.raises(ModelError, match="which is in none of"):
        explanation(scored, [left, right])
    folder = get_settings().home / "models" / "retail_9"
    shutil.copytree(SHIPPED_MODELS / DEFAULT_MODEL, folder)
    text = (folder / "model.json").read_text(encoding="utf-8")
    (folder / "model.json").write_text(text.replace('"name": "retail_2"', '"name": "retail_9"'), encoding="utf-8")
    with pytest.raises(ModelError, match="would not explain these scores"):
        explanation(scored, [left, right])
    scored.rollback()


def test_a_record_that_is_not_matched_is_an_error(scored: Any) -> None:
    with pytest.raises(SevenfoldError, match="shop:nobody is no current customer record"):
        explanation(scored, ["shop:nobody", "shop:c01"])


def test_the_command_writes_a_picture_without_values_and_without_requests(scored: Any) -> None:
    left, right, *_ = stored_pairs(scored)[-1]
    scored.execute("drop table intermediate.int_match_decisions")
    scored.execute("""
        create table intermediate.int_match_decisions as
        select left_record_id, right_record_id, match_weight, match_probability, 'review' as decision_code,
            'household_only' as guard_code, 'guard' as decided_by_code from intermediate.match_scores
    """)
    scored.execute("alter table rules.match_guards add column description text")
    scored.execute("insert into rules.match_guards values ('household_only', false, 'names and household alone')")
    scored.commit()
    values = scored.execute(
        "select first_last_name_key from intermediate.int_match_inputs where source_record_id = %s", (left,)
    ).fetchall()
    result = CliRunner().invoke(app, ["explain", left, right])
    assert result.exit_code == 0, result.output
    assert "held back by the guard household_only: names and household alone" in " ".join(result.output.split())
    (page,) = (get_settings().home / "reports" / "explanations").iterdir()
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    assert "<svg" in text
    assert not [mark for mark in ("http", "src=", "<script", "@import", "url(") if mark in text]
    assert values[0][0] not in text
    assert values[0][0] not in result.output
    assert CliRunner().invoke(app, ["explain", left, right, "--with-values"]).exit_code == 0
    assert values[0][0] in page.read_text(encoding="utf-8")


def edge(left: str, right: str, weight: float) -> Edge:
    return Edge(left, right, weight, 0.99, "join", None)


def test_a_chain_is_held_by_bridges_and_its_weakest_link() -> None:
    triangle = [edge("a", "b", 9), edge("b", "c", 8), edge("a", "c", 2)]
    bridge = edge("c", "d", 5)
    bond = bond_of(["a", "b", "c", "d"], [*triangle, bridge])
    assert bond.bridges == (bridge,)
    assert bond.weakest == bridge, "the weak side of the triangle holds nothing"
    assert bond.is_connected
    apart = bond_of(["a", "b", "c", "d"], triangle)
    assert (apart.bridges, apart.is_connected) == ((), False)
    assert bond_of(["a"], []).weakest is None


def test_two_records_without_a_join_hang_together_by_the_strongest_chain() -> None:
    joins = [edge("a", "b", 9), edge("b", "c", 8), edge("a", "d", 1), edge("d", "c", 2)]
    assert chain_between("a", "c", ["a", "b", "c", "d"], joins) == ["a", "b", "c"]
    assert chain_between("a", "b", ["a", "b"], []) == []
