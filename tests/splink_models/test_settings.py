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


@pytest.mark.parametrize(
    ("left", "right", "outcome"),
    [
        ("19403407", "19430407", "one slip, or day and month swapped"),  # two digits change places
        ("19403407", "19403407", "unknown"),  # 99999999 is nobody's
        ("19403407", "19520619", "unknown"),
        ("19403407", None, "unknown"),
        ("19430407", "19430407", "same date"),
        ("19430407", "19520619", "within eleven years"),
    ],
)
def test_a_date_that_no_calendar_has_is_a_slip_or_tells_nothing(left: str, right: str | None, outcome: str) -> None:
    comparison = settings.birth_date()
    levels = " ".join(f"when {level.sql} then '{level.label}'" for level in comparison.levels if level.sql != "ELSE")
    with duckdb.connect() as connection:
        connection.execute("create table dates (side text, digits text)")
        connection.executemany("insert into dates values (?, ?)", [("l", left), ("r", right)])
        connection.execute("""
            create view sides as
            select
                side, digits as birth_digits, try_strptime(digits, '%Y%m%d')::date as birth_date,
                case when birth_date is not null then digits end as birth_text, year(birth_date)::integer as born_year
            from dates
        """)
        columns = ", ".join(
            f"{side}.{name} as {name}_{side}"
            for side in "lr"
            for name in ("birth_digits", "birth_date", "birth_text", "born_year")
        )
        pair = f"(select {columns} from sides as l cross join sides as r where l.side = 'l' and r.side = 'r')"
        found = connection.execute(f"select case when {comparison.null_sql} then 'unknown' {levels} end from {pair}")
        assert found.fetchall() == [(outcome,)]
