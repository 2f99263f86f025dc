"""The saturation curve of state A: y = A - B * exp(-t / tau).

The paper (section on the results of the strategies) fits this curve to the share of state A in the quarterly
snapshots: ``A`` is the share at which growth stops, ``A - B`` the share at month 0, ``tau`` the months in which 63 % of
the gap closes. This module is the fit as a pure function; the snapshot stores it and the run report draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import SevenfoldError

FitStatus = Literal["fitted", "too_few_points", "no_saturation"]
Vector = NDArray[np.float64]

PARAMETER_COUNT = 3
CONFIDENCE = 0.95
# A share lies in 0..1; a time constant under a week or over a century says that the points do not saturate.
LOWER_BOUNDS = np.array([0.0, -1.0, 0.25])
UPPER_BOUNDS = np.array([1.0, 1.0, 1200.0])


@dataclass(frozen=True)
class Estimate:
    """One fitted parameter and its 95 % confidence interval; no interval where the points do not carry one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SaturationFit:
    """The fitted curve.

    Attributes:
        status_code: ``fitted``; ``too_few_points`` (under four: no interval, and under three no estimate either); or
            ``no_saturation`` (the best curve lies on a bound, or the points cannot tell its parameters apart).
        saturation: A, the share at which growth stops; None without an estimate.
        amplitude: B, the distance between saturation and the share at month 0.
        time_constant: tau, in months.
        r_squared: Share of the variance the curve explains; None where the shares do not vary.
        point_count: Points that were fitted.
        covariance: Of (A, B, tau), where there is an interval.
    """

    status_code: FitStatus
    saturation: Estimate | None
    amplitude: Estimate | None
    time_constant: Estimate | None
    r_squared: float | None
    point_count: int
    covariance: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class BandPoint:
    """The curve at one month, with the 95 % band of the curve itself (not of a new observation)."""

    month: float
    share: float
    low: float | None
    high: float | None


def fit_saturation(months: Sequence[float], shares: Sequence[float], exclude_month_zero: bool = False) -> SaturationFit:
    """Fit the curve by bounded least squares; the same points give the same fit, in any order.

    Args:
        months: Months since the first snapshot, one per point.
        shares: Share of state A, 0 to 1, one per point.
        exclude_month_zero: Leave out the points of month 0, as the published curve did.

    Raises:
        SevenfoldError: The two sequences differ in length, or a value is not finite or not a share.
    """
    points = _checked_points(months, shares, exclude_month_zero)
    if len(np.unique(points[:, 0])) < PARAMETER_COUNT:
        return SaturationFit("too_few_points", None, None, None, None, len(points))
    return _fitted(points[:, 0], points[:, 1])


def saturation_curve(fit: SaturationFit, months: Sequence[float]) -> list[BandPoint]:
    """The fitted curve at the given months, with its band where the fit has intervals; empty without an estimate."""
    if fit.saturation is None or fit.amplitude is None or fit.time_constant is None:
        return []
    parameters = np.array([fit.saturation.value, fit.amplitude.value, fit.time_constant.value])
    at = np.asarray(months, dtype=np.float64)
    shares = _curve(parameters, at)
    if fit.covariance is None:
        return [BandPoint(float(month), float(share), None, None) for month, share in zip(at, shares, strict=True)]
    gradient = _gradient(parameters, at)
    variance = np.einsum("ij,jk,ik->i", gradient, np.array(fit.covariance), gradient)
    half = _quantile(fit.point_count) * np.sqrt(np.clip(variance, 0, None))
    low, high = np.clip(shares - half, 0, 1), np.clip(shares + half, 0, 1)
    return [BandPoint(*map(float, row)) for row in zip(at, shares, low, high, strict=True)]


def _checked_points(months: Sequence[float], shares: Sequence[float], exclude_month_zero: bool) -> Vector:
    if len(months) != len(shares):
        raise SevenfoldError(
            f"saturation fit: {len(months)} months but {len(shares)} shares; give one share for each month"
        )
    points = np.array(sorted(zip(months, shares, strict=True)), dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(points).all() or (points[:, 1] < 0).any() or (points[:, 1] > 1).any():
        raise SevenfoldError("saturation fit: months must be finite and shares between 0 and 1 (not per cent)")
    return points[points[:, 0] != 0] if exclude_month_zero else points


def _fitted(months: Vector, shares: Vector) -> SaturationFit:
    from scipy.optimize import least_squares  # a second and a half of imports, and every stage imports this module

    def residuals(parameters: Vector) -> Vector:
        return _curve(parameters, months) - shares

    def gradient(parameters: Vector) -> Vector:
        return _gradient(parameters, months)

    solution = least_squares(
        residuals,
        _start(months, shares),
        jac=gradient,
        bounds=(LOWER_BOUNDS, UPPER_BOUNDS),
        x_scale=np.array([0.1, 0.1, 5.0]),
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    parameters: Vector = np.asarray(solution.x, dtype=np.float64)
    residual_sum = float(np.sum(np.square(solution.fun)))
    status, covariance = _covariance(parameters, months, residual_sum)
    half: list[float | None] = [None] * PARAMETER_COUNT
    if covariance is not None:
        half = list(_quantile(len(months)) * np.sqrt(np.diag(covariance)))
    saturation, amplitude, time_constant = map(_estimate, parameters, half)
    total = float(np.sum(np.square(shares - shares.mean())))
    return SaturationFit(
        status_code=status,
        saturation=saturation,
        amplitude=amplitude,
        time_constant=time_constant,
        r_squared=1 - residual_sum / total if total > 0 else None,
        point_count=len(months),
        covariance=None if covariance is None else tuple(tuple(map(float, row)) for row in covariance),
    )


def _start(months: Vector, shares: Vector) -> Vector:
    """The best curve over a grid of time constants: for a given tau the curve is linear, so there is no local trap."""
    candidates: list[tuple[float, Vector]] = []
    for time_constant in np.geomspace(0.5, 240, 60):
        design = np.column_stack([np.ones_like(months), -np.exp(-months / time_constant)])
        (saturation, amplitude), *_ = np.linalg.lstsq(design, shares, rcond=None)
        inside = np.clip(np.array([saturation, amplitude, time_constant]), LOWER_BOUNDS + 1e-6, UPPER_BOUNDS - 1e-6)
        candidates.append((float(np.sum(np.square(_curve(inside, months) - shares))), inside))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _covariance(parameters: Vector, months: Vector, residual_sum: float) -> tuple[FitStatus, Vector | None]:
    degrees_of_freedom = len(months) - PARAMETER_COUNT
    if degrees_of_freedom < 1:
        return "too_few_points", None
    tolerance = 1e-4 * (UPPER_BOUNDS - LOWER_BOUNDS)
    on_bound = (parameters - LOWER_BOUNDS < tolerance) | (UPPER_BOUNDS - parameters < tolerance)
    gradient = _gradient(parameters, months)
    # The time constant's lower bound needs its own measure: a ten-thousandth of a century is more than a month.
    on_bound[2] = parameters[2] < LOWER_BOUNDS[2] * 1.01 or parameters[2] > UPPER_BOUNDS[2] * 0.99
    information = gradient.T @ gradient
    if on_bound.any() or np.linalg.cond(information) > 1e14:
        return "no_saturation", None
    return "fitted", np.linalg.inv(information) * residual_sum / degrees_of_freedom


def _curve(parameters: Vector, months: Vector) -> Vector:
    saturation, amplitude, time_constant = parameters
    curve: Vector = saturation - amplitude * np.exp(-months / time_constant)
    return curve


def _gradient(parameters: Vector, months: Vector) -> Vector:
    _, amplitude, time_constant = parameters
    decay = np.exp(-months / time_constant)
    return np.column_stack([np.ones_like(months), -decay, -amplitude * decay * months / time_constant**2])


def _quantile(point_count: int) -> float:
    from scipy.stats import t as student_t

    return float(student_t.ppf((1 + CONFIDENCE) / 2, point_count - PARAMETER_COUNT))


def _estimate(value: float, half: float | None) -> Estimate:
    return Estimate(float(value)) if half is None else Estimate(float(value), float(value - half), float(value + half))
