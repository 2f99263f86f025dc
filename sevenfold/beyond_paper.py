"""What the paper names as future work: each strategy's own effect, and a forecast that is tried on what came after."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from sevenfold.saturation import fit_saturation, saturation_curve

Row = dict[str, Any]
Vector = NDArray[np.float64]

STATES = ("A", "B", "C", "D", "X", "Y", "Z")
QUARTER_MONTHS = 3
FEWEST_POINTS = 3
QUARTERS_AHEAD = 3
CONFIDENCE = 0.95


class History:
    """The shares of the states by quarter (rows in the order of time), and how parties moved from each to the next."""

    def __init__(self, shares: Sequence[Row], flows: Sequence[Row]) -> None:
        by_key = {(row["month"], row["state_code"]): row["pipeline_share"] for row in shares}
        self.months = sorted({month for month, _ in by_key})
        self.shares = np.array([[by_key[month, state] or 0.0 for state in STATES] for month in self.months])
        dates = sorted({row["from_date"] for row in flows})
        self.moves = np.zeros((len(dates), len(STATES), len(STATES)))
        for row in flows:
            if row["from_state_code"] in STATES and row["to_state_code"] in STATES:
                place = (STATES.index(row["from_state_code"]), STATES.index(row["to_state_code"]))
                self.moves[(dates.index(row["from_date"]), *place)] += row["party_count"]


Method = Callable[[History, int, int], float | None]


def _naive(history: History, known: int, ahead: int) -> float:  # noqa: ARG001
    """Nothing changes any more."""
    return float(history.shares[known - 1, 0])


def _by_transitions(history: History, known: int, ahead: int, quarters: int) -> float:
    """Parties go on to move as they did in the last quarters."""
    counts = history.moves[max(known - 1 - quarters, 0) : known - 1].sum(axis=0)
    totals = counts.sum(axis=1, keepdims=True)
    # A state that nobody was in keeps whom it gets.
    matrix = np.where(totals > 0, counts / np.maximum(totals, 1), np.eye(len(STATES)))
    forecast: Vector = history.shares[known - 1] @ np.linalg.matrix_power(matrix, ahead)
    return float(forecast[0])


def _exponential(history: History, known: int, ahead: int) -> float | None:
    """The share of A follows the curve that is fitted to what is known."""
    months = history.months[:known]
    fit = fit_saturation(months, history.shares[:known, 0].tolist())
    curve = saturation_curve(fit, [months[-1] + QUARTER_MONTHS * ahead])
    return curve[0].share if curve else None


METHODS: Mapping[str, Method] = {
    "naive": _naive,
    "transitions_of_the_last_quarter": lambda history, known, ahead: _by_transitions(history, known, ahead, 1),
    "transitions_of_two_quarters": lambda history, known, ahead: _by_transitions(history, known, ahead, 2),
    "exponential_fit": _exponential,
}


def backtest(shares: Sequence[Row], flows: Sequence[Row]) -> list[Row]:
    """Forecast the share of A from every quarter with enough history, and compare with what came.

    Returns:
        One row per method, quarter of the forecast and quarters ahead: forecast, actual share, error.
    """
    history = History(shares, flows)
    rows = []
    for known in range(FEWEST_POINTS, len(history.months)):
        for ahead in range(1, len(history.months) - known + 1):
            actual = float(history.shares[known + ahead - 1, 0])
            for name, method in METHODS.items():
                forecast = method(history, known, ahead)
                rows.append(
                    {
                        "method": name,
                        "from_month": history.months[known - 1],
                        "months_ahead": QUARTER_MONTHS * ahead,
                        "forecast_share": forecast,
                        "actual_share": actual,
                        "error": None if forecast is None else forecast - actual,
                    }
                )
    return rows


def forecast(shares: Sequence[Row], flows: Sequence[Row]) -> list[Row]:
    """Forecast the quarters after the last by every method; the one with the least mean error so far is the best.

    Returns:
        One row per method and quarter: forecast share of A, mean absolute error of the back-test, whether it is best.
    """
    history, tested = History(shares, flows), backtest(shares, flows)
    errors = {
        name: float(
            np.mean([abs(row["error"]) for row in tested if row["method"] == name and row["error"] is not None])
        )
        for name in METHODS
        if any(row["method"] == name and row["error"] is not None for row in tested)
    }
    best = min(errors, key=lambda name: errors[name], default=None)
    known = len(history.months)
    return [
        {
            "method": name,
            "month": history.months[-1] + QUARTER_MONTHS * ahead,
            "forecast_share": method(history, known, ahead),
            "mean_absolute_error": errors.get(name),
            "is_best": name == best,
        }
        for name, method in METHODS.items()
        for ahead in range(1, QUARTERS_AHEAD + 1)
    ]


def strategy_effects(people: int, seed: int, seeds: int, measured: Sequence[str] = ()) -> list[Row]:
    """Measure what each strategy does alone, and what is missing without it, in the simulator's truth.

    The same people meet the same chance under every set of strategies; so the difference is the strategies'. Where one
    is switched off, others win some of its people.

    Args:
        people: Size of each simulation.
        seed: Of the first; the others follow.
        seeds: How many.
        measured: The strategies; all when none is given.

    Returns:
        One row per strategy: effect on the share of A at the last month, alone and missing, with 95 % intervals over
        the seeds (null for fewer than two).
    """
    from dataclasses import replace

    from sources.retailer.parameters import REPLAY, STRATEGIES
    from sources.retailer.truth import final_share_of_a

    if seeds == 0:
        return []
    sets = {("all", ""): STRATEGIES, ("none", ""): ()}
    measured = measured or STRATEGIES
    sets |= {("alone", code): (code,) for code in measured}
    sets |= {("without", code): tuple(other for other in STRATEGIES if other != code) for code in measured}
    found = {
        key: np.array(
            [final_share_of_a(people, seed + number, replace(REPLAY, strategies=chosen)) for number in range(seeds)]
        )
        for key, chosen in sets.items()
    }
    everything, nothing = found["all", ""], found["none", ""]
    return [
        {"strategy_code": code}
        | _mean("alone", found["alone", code] - nothing)
        | _mean("missing", everything - found["without", code])
        for code in measured
    ]


def _mean(name: str, values: Vector) -> Row:
    row: Row = {f"{name}_effect": float(values.mean()), f"{name}_low": None, f"{name}_high": None}
    if len(values) > 1:
        half = float(student_t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        row |= {f"{name}_low": float(values.mean()) - half, f"{name}_high": float(values.mean()) + half}
    return row
