"""The replay's tables and what follows from them, from figures made by hand."""

import datetime as dt
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from sevenfold import beyond_paper, replay
from sevenfold.errors import SevenfoldError
from sevenfold.snapshot import quarters_between

QUARTERS = quarters_between(replay.MONTH_ZERO, replay.LAST_QUARTER)


def compared(pipeline: dict[str, list[float]]) -> list[replay.Row]:
    """The comparison with a truth that is the paper's table."""
    paper = replay.published_state_shares()
    return [
        {
            "snapshot_date": quarter,
            "population_code": "closed_cohort",
            "state_code": state,
            "true_share": paper[3 * number, state],
            "pipeline_share": pipeline.get(state, [0.0] * 6)[number],
            "difference": pipeline.get(state, [0.0] * 6)[number] - paper[3 * number, state],
        }
        for number, quarter in enumerate(QUARTERS)
        for state in replay.STATES
    ]


def flows(*moves: tuple[str, str, int]) -> list[replay.Row]:
    """The same moves in every quarter."""
    return [
        {"from_date": begin, "from_state_code": before, "to_state_code": after, "party_count": count}
        for begin in QUARTERS[:-1]
        for before, after, count in moves
    ]


def test_the_papers_table_is_whole() -> None:
    paper = replay.published_state_shares()
    assert set(paper) == {(month, state) for month in range(0, 16, 3) for state in replay.STATES}
    for month in range(0, 16, 3):
        assert sum(paper[month, state] for state in replay.STATES) == pytest.approx(1, abs=0.0002)
    assert sum(replay.published_contributions().values()) == pytest.approx(1)


def test_paper_truth_and_pipeline_stand_side_by_side() -> None:
    rows = replay.state_shares(compared({"A": [0.2] * 6}))
    assert len(rows) == 6 * 7
    last = next(row for row in rows if row["month"] == 15 and row["state_code"] == "A")
    assert last["snapshot_date"] == dt.date(2026, 7, 1)
    assert (last["paper_share"], last["truth_minus_paper"]) == (0.3137, 0)
    assert last["pipeline_minus_truth"] == pytest.approx(-0.1137)


def test_contributions_are_shares_of_the_rises_that_strategies_made() -> None:
    true: list[replay.Row] = [
        {"strategy_code": "loyalty_programme", "rise_count": 3},
        {"strategy_code": None, "rise_count": 9},
    ]
    true.append({"strategy_code": "digital_record", "rise_count": 1})
    ours = [{"strategy_code": "loyalty_programme", "rise_count": 2}, {"strategy_code": "none", "rise_count": 5}]
    rows = {row["strategy_code"]: row for row in replay.contributions(true, ours)}
    assert len(rows) == 8
    assert rows["loyalty_programme"]["true_share"] == 0.75
    assert rows["loyalty_programme"]["pipeline_share"] == 1
    assert rows["loyalty_programme"]["paper_share"] == 0.1712


def test_the_fits_of_the_papers_points_are_those_of_the_reference() -> None:
    rows = {(row["origin"], row["points"]): row for row in replay.fits(replay.state_shares(compared({})))}
    assert rows["published", "as printed"]["saturation"] == 0.3246
    assert rows["paper", "all points"]["saturation"] == pytest.approx(0.3349, abs=0.0001)
    assert rows["paper", "without month 0"]["time_constant"] == pytest.approx(4.93, abs=0.01)
    assert rows["true", "all points"]["saturation"] == rows["paper", "all points"]["saturation"]


def test_transitions_forecast_what_goes_on_and_the_naive_forecast_what_stops() -> None:
    # Each quarter a tenth of X rises to A.
    x = [0.8 * 0.9**number for number in range(6)]
    shares = replay.state_shares(compared({"A": [1 - value for value in x], "X": x}))
    moves = flows(("A", "A", 100), ("X", "A", 10), ("X", "X", 90))
    tested = beyond_paper.backtest(shares, moves)
    assert {row["from_month"] for row in tested} == {6, 9, 12}
    by_method = {name: [row["error"] for row in tested if row["method"] == name] for name in beyond_paper.METHODS}
    assert by_method["transitions_of_the_last_quarter"] == pytest.approx([0] * 6, abs=1e-9)
    assert min(by_method["naive"]) < -0.05
    best = [row for row in beyond_paper.forecast(shares, moves) if row["is_best"]]
    assert [row["month"] for row in best] == [18, 21, 24]
    assert best[0]["forecast_share"] == pytest.approx(1 - 0.9 * x[-1], abs=1e-6)


def test_a_strategy_alone_lifts_and_its_absence_lowers_the_share_of_a() -> None:
    (strong,) = beyond_paper.strategy_effects(1_000, seed=5, seeds=2, measured=("sweepstake_or_digital_activation",))
    assert strong["alone_effect"] > 0.015
    assert strong["missing_effect"] > 0.01
    assert strong["alone_low"] < strong["alone_effect"] < strong["alone_high"]
    assert beyond_paper.strategy_effects(1_000, seed=5, seeds=0) == []


def test_two_replays_in_one_home_do_not_meet(tmp_path: Path) -> None:
    again = pytest.raises(SevenfoldError, match="Another replay is at work")
    with replay._alone(tmp_path), again, replay._alone(tmp_path):
        pass
    with replay._alone(tmp_path):
        pass


def test_the_tables_of_an_earlier_replay_stay_until_there_are_others(tmp_path: Path) -> None:
    said = StringIO()
    console = Console(file=said)
    replay._clear(tmp_path, console)
    assert said.getvalue() == ""
    for name in ("input/truth", "tables"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tables" / "replay.html").touch()
    replay._clear(tmp_path, console)
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]
    assert "begins at month 0" in said.getvalue()
