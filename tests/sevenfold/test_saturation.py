"""The saturation curve against the paper's own table, and what it says when the points cannot carry an answer."""

import numpy as np
import pytest

from sevenfold.errors import SevenfoldError
from sevenfold.saturation import SaturationFit, fit_saturation, saturation_curve

# Valdez Mendia & Flores-Cuautle (2022), table of the state shares over time, row of state A.
MONTHS = [0, 3, 6, 9, 12, 15]
SHARES = [0.1653, 0.2172, 0.2653, 0.2911, 0.3019, 0.3137]


def rounded(fit: SaturationFit) -> tuple[float, float, float, float]:
    assert fit.saturation
    assert fit.amplitude
    assert fit.time_constant
    assert fit.r_squared is not None
    return (
        round(100 * fit.saturation.value, 2),
        round(100 * fit.amplitude.value, 2),
        round(fit.time_constant.value, 2),
        round(fit.r_squared, 3),
    )


def test_all_points_of_the_paper_give_the_reference_fit() -> None:
    fit = fit_saturation(MONTHS, SHARES)
    assert rounded(fit) == (33.49, 17.15, 7.01, 0.996)
    assert (fit.status_code, fit.point_count) == ("fitted", 6)


def test_without_month_zero_the_published_curve_comes_back() -> None:
    fit = fit_saturation(MONTHS, SHARES, exclude_month_zero=True)
    assert rounded(fit) == (32.12, 19.07, 4.93, 0.998)
    assert fit.point_count == 5


def test_every_interval_holds_its_estimate_and_more_noise_widens_it() -> None:
    fit = fit_saturation(MONTHS, SHARES)
    noisy = fit_saturation(MONTHS, [share + 0.01 * (-1) ** number for number, share in enumerate(SHARES)])
    for one, other in ((fit.saturation, noisy.saturation), (fit.time_constant, noisy.time_constant)):
        assert one
        assert other
        assert one.low is not None
        assert one.high is not None
        assert other.low is not None
        assert other.high is not None
        assert one.low < one.value < one.high
        assert other.high - other.low > one.high - one.low


def test_the_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    months = np.arange(0, 36, 3)
    truth = 0.33 - 0.17 * np.exp(-months / 7)
    covered = 0
    for _ in range(200):
        fit = fit_saturation(months.tolist(), (truth + random.normal(0, 0.003, len(months))).tolist())
        assert fit.saturation
        covered += (fit.saturation.low or 1) <= 0.33 <= (fit.saturation.high or 0)
    assert 180 <= covered <= 199


def test_the_order_of_the_points_does_not_matter() -> None:
    assert fit_saturation(MONTHS[::-1], SHARES[::-1]) == fit_saturation(MONTHS, SHARES)


def test_a_falling_share_is_fitted_too() -> None:
    months = list(range(0, 30, 3))
    fit = fit_saturation(months, [0.2 + 0.2 * float(np.exp(-month / 5)) for month in months])
    assert rounded(fit) == (20.0, -20.0, 5.0, 1.0)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_under_three_points_there_is_no_estimate(count: int) -> None:
    fit = fit_saturation(MONTHS[:count], SHARES[:count])
    assert (fit.status_code, fit.saturation, fit.point_count) == ("too_few_points", None, count)
    assert saturation_curve(fit, MONTHS) == []


def test_three_points_give_a_curve_without_interval() -> None:
    fit = fit_saturation(MONTHS[:3], [0.1, 0.2, 0.25])
    assert fit.status_code == "too_few_points"
    assert fit.saturation
    assert (round(fit.saturation.value, 6), fit.saturation.low) == (0.3, None)
    assert saturation_curve(fit, [0])[0].low is None


@pytest.mark.parametrize("shares", [[0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.2, 0.2], [0.1, 0.1, 0.2, 0.5]])
def test_points_that_do_not_saturate_are_called_so(shares: list[float]) -> None:
    fit = fit_saturation([0, 3, 6, 9], shares)
    assert fit.status_code == "no_saturation"
    assert fit.saturation
    assert fit.saturation.low is None


def test_the_band_holds_the_curve_and_widens_where_nothing_was_seen() -> None:
    seen, unseen = saturation_curve(fit_saturation(MONTHS, SHARES), [9, 60])
    for point in (seen, unseen):
        assert point.low is not None
        assert point.high is not None
        assert point.low < point.share < point.high
    assert (unseen.high or 0) - (unseen.low or 0) > (seen.high or 1) - (seen.low or 0)


@pytest.mark.parametrize(
    ("months", "shares"), [([0, 3], [0.1]), ([0, 3, 6], [10.0, 20.0, 30.0]), ([0, 3, 6], [0.1, float("nan"), 0.2])]
)
def test_what_is_no_share_is_refused(months: list[float], shares: list[float]) -> None:
    with pytest.raises(SevenfoldError, match="saturation fit"):
        fit_saturation(months, shares)
