"""The authored model: its order, its floors, and the shortcuts that must not change a result."""

import math

import duckdb
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splink_models import settings
from splink_models.settings import Comparison, one_edit

COMPARISONS = settings.comparisons()


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda comparison: comparison.name)
def test_authored_weights_fall_from_level_to_level(comparison: Comparison) -> None:
    weights = [math.log2(level.m / level.u) for level in comparison.levels if not level.is_rare]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 0 > weights[-1]


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda comparison: comparison.name)
def test_a_contradiction_is_floored_and_m_sums_to_one(comparison: Comparison) -> None:
    assert comparison.levels[-1].sql == "ELSE"
    assert comparison.levels[-1].m_floor >= 0.005
    assert sum(level.m for level in comparison.levels) == pytest.approx(1, abs=0.02)


def test_names_are_unique() -> None:
    for names in (
        [comparison.name for comparison in COMPARISONS],
        [rule.name for rule in settings.blocking_rules()],
        *[[level.label for level in comparison.levels] for comparison in COMPARISONS],
    ):
        assert len(names) == len(set(names))


@hypothesis.settings(deadline=None)
@given(
    st.text("ABC1é", max_size=10),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ABC1"), st.sampled_from("dir")), max_size=2),
)
def test_the_guard_of_one_edit_never_changes_the_result(text: str, edits: list[tuple[int, str, str]]) -> None:
    other = text
    for number, letter, kind in edits:
        place = min(number, len(other))
        other = other[:place] + (letter if kind != "d" else "") + other[place + (kind != "i") :]
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select {one_edit('v')}, damerau_levenshtein(v_l, v_r) <= 1 from (select ? as v_l, ? as v_r)",
            [text, other],
        ).fetchall()
    assert rows[0][0] == rows[0][1]


@pytest.mark.parametrize(
    ("left", "right", "is_swapped"),
    [
        (("ANA", "GARCIA"), ("GARCIA", "ANA"), True),
        (("GABRIELA", "GARCIA"), ("GARZIA", "GABRIELA"), True),
        (("GEORGE", "DAVIDSON"), ("DAVIES", "GEORGE"), False),  # two people
        (("ANA", "GARCIA"), ("ANA", "GARCIA"), False),
    ],
)
def test_names_in_each_others_field_bear_a_typing_error_and_no_more(
    left: tuple[str, str], right: tuple[str, str], is_swapped: bool
) -> None:
    names = ", ".join(
        f"'{given}' as written_given_{side}, '{surname}' as written_surname_{side}, "
        f"'{given}|{surname}' as name_as_written_{side}"
        for side, (given, surname) in (("l", left), ("r", right))
    )
    with duckdb.connect() as connection:
        assert connection.execute(f"select {settings.SWAPPED_NAMES_SQL} from (select {names})").fetchall() == [
            (is_swapped,)
        ]
