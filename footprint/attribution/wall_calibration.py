"""Calibration of a host on a wall meter: uplift and sensor gains with their uncertainty, and the reasons to refuse.

Windows hold the mean power of the meter and of the sensors. Uncertainties are standard ones after the GUM (JCGM 100:2008):
the meter's limit of error, the scatter over windows, and what the ratio changes by over the range of load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.core.estimate import COVERAGE_FACTOR
from footprint.core.units import US_PER_S

MIN_WINDOWS = 12
MIN_LOAD_RANGE = 0.15  # of the largest load, between the 5 and 95 % quantiles of the windows
MIN_SHARE_OF_RANGE = 0.5  # of the range of load seen in the ledger that the windows must cover
MIN_CORRELATION = 0.8  # of two series of one machine under steps of load, at the best lag
MAX_LAG_S = 120.0
MAX_RATIO = 4.0  # wall over parts: above it the parts are not those of the metered server
MIN_COMPONENT_RANGE = 0.10  # change of a component's power over windows, of its largest, that makes its slope visible
MAX_COLLINEARITY = 10.0  # variance inflation of a slope by the others, above which they cannot be told apart


class CannotCalibrate(ValueError):
    """The comparison supports no certificate; the message gives the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratio of two energies with its standard uncertainties by cause, towards low and high."""

    value: float
    windows: int
    causes: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def u(self) -> tuple[float, float]:
        """Combined standard uncertainty towards low and high."""
        low, high = (math.sqrt(math.fsum(pair[side] ** 2 for pair in self.causes.values())) for side in (0, 1))
        return low, high

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds at U = 2u, about 95 %."""
        low, high = self.u
        return self.value - COVERAGE_FACTOR * low, self.value + COVERAGE_FACTOR * high


@dataclass(frozen=True, slots=True)
class Slope:
    """Wall power per power of one component, separated by steps of load, with its standard uncertainty; else the reason."""

    component: str
    value: float | None
    u: float = 0.0
    reason: str = ""


def mean_powers(intervals: EnergyIntervals, edges_us: Ints, shift_us: int = 0) -> Floats:
    """Mean power [W] in windows; NaN where less than 99 % of a window is covered.

    Energy within an interval is taken as even; ``shift_us`` is added to the times of the intervals.

    Examples
    --------
    >>> start, end, energy = np.array([0]), np.array([4_000_000]), np.array([8_000_000])
    >>> one = EnergyIntervals(start, end, energy, end, np.zeros(1, np.int8))
    >>> mean_powers(one, np.array([0, 2_000_000, 4_000_000, 6_000_000])).tolist()
    [2.0, 2.0, nan]
    """
    if not len(intervals):
        return np.full(len(edges_us) - 1, np.nan)
    times = np.column_stack([intervals.start_us, intervals.end_us]).ravel() + shift_us
    energy = _running(intervals.energy_uj)
    covered = _running(np.where(intervals.covered_us > 0, intervals.end_us - intervals.start_us, 0))
    energy_uj, covered_us = (np.diff(np.interp(edges_us, times, series)) for series in (energy, covered))
    length_us = np.diff(edges_us).astype(np.float64)
    return np.where(covered_us >= 0.99 * length_us, energy_uj / length_us, np.nan)


def _running(amounts: Ints) -> Floats:
    """Running sum at the start and the end of each interval."""
    after = np.cumsum(amounts, dtype=np.float64)
    return np.column_stack([after - amounts, after]).ravel()


def estimate_lag_s(meter: EnergyIntervals, sensors: Sequence[EnergyIntervals], edges_us: Ints) -> tuple[float, float]:
    """Time [s] by which the meter's clock is behind the sensors' (add it to the meter), and the correlation there.

    ``edges_us`` are those of short windows of one length; the lag is found to a quarter of it or better.

    Raises
    ------
    CannotCalibrate
        If the meter does not follow the sensors at any lag within ``MAX_LAG_S``.
    """
    reference = np.sum([mean_powers(intervals, edges_us) for intervals in sensors], axis=0)
    step_s = float(edges_us[1] - edges_us[0]) / US_PER_S if len(edges_us) > 1 else MAX_LAG_S
    lags = np.arange(-MAX_LAG_S, MAX_LAG_S + 1e-9, max(step_s / 4, 0.5))
    scores = np.array([_correlation(mean_powers(meter, edges_us, round(lag * US_PER_S)), reference) for lag in lags])
    if np.isnan(scores).all():
        _refuse_even_power(mean_powers(meter, edges_us), reference)
        raise CannotCalibrate(
            "meter and sensors share no time; give readings of the same hours (--from, --to, and check the zone of the times)"
        )
    best = int(np.nanargmax(scores))
    if scores[best] < MIN_CORRELATION:
        raise CannotCalibrate(
            f"the meter does not follow the sensors (correlation {scores[best]:.2f} at the best lag, "
            f"{MIN_CORRELATION} is needed): "
            "is it on another server, or the load too even? Put steps of load on the host while the meter reads"
        )
    if best in (0, len(lags) - 1):
        raise CannotCalibrate(
            f"the clock of the meter is {MAX_LAG_S:.0f} s or more away from the host's; set it, or correct its "
            "times, and read again"
        )
    return float(lags[best]) + _vertex(scores[best - 1 : best + 2]) * float(lags[1] - lags[0]), float(scores[best])


def _refuse_even_power(meter_w: Floats, sensors_w: Floats) -> None:
    """Refuse series that share time, and of which one does not change at all."""
    both = ~(np.isnan(meter_w) | np.isnan(sensors_w))
    if both.sum() < MIN_WINDOWS:
        return
    name = "meter" if meter_w[both].std() == 0 else "sum of the sensors"
    raise CannotCalibrate(
        f"the power of the {name} does not change at all while both read; put steps of load on the host, and look "
        "whether it moves"
    )


def check_follows(wall_w: Floats, parts_w: Floats) -> None:
    """Refuse windows in which the meter does not follow the sensors; even loads and too few windows are refused elsewhere.

    Raises
    ------
    CannotCalibrate
        If their correlation is below ``MIN_CORRELATION``.
    """
    correlation = _correlation(wall_w, parts_w)
    if correlation < MIN_CORRELATION:
        raise CannotCalibrate(
            f"the meter does not follow the sensors over the windows (correlation {correlation:.2f}, "
            f"{MIN_CORRELATION} is needed): is it "
            "on another server, or does something that no sensor sees change its load?"
        )


def _vertex(around: Floats) -> float:
    """Place of the largest value of a parabola through three points, in steps from the middle one."""
    curvature = around[0] - 2 * around[1] + around[2]
    return float(0.5 * (around[0] - around[2]) / curvature) if curvature < 0 else 0.0


def _correlation(first: Floats, second: Floats) -> float:
    both = ~(np.isnan(first) | np.isnan(second))
    if both.sum() < MIN_WINDOWS or first[both].std() == 0 or second[both].std() == 0:
        return math.nan
    return float(np.corrcoef(first[both], second[both])[0, 1])


def energy_ratio(wall_w: Floats, parts_w: Floats, meter_class_percent: float, seen_w: tuple[float, float] | None = None) -> Ratio:
    """Ratio of the wall's energy to that of the parts, over windows of one length.

    Parameters
    ----------
    wall_w, parts_w
        Mean powers [W] by window, shape (n,).
    meter_class_percent
        Limit of error of the meter [% of the reading], a rectangular distribution.
    seen_w
        Range of load of the parts that the host is used in [W]; the fitted line is followed to its ends.

    Returns
    -------
    Ratio
        With the causes ``meter``, ``repeatability`` and ``load``.

    Raises
    ------
    CannotCalibrate
        If there are too few windows, too little range of load, or a ratio that cannot be.

    References
    ----------
    JCGM 100:2008, 4.2 (repeatability), 4.3.7 (rectangular distribution), 5.1 (combination).
    """
    if len(wall_w) < MIN_WINDOWS:
        raise CannotCalibrate(
            f"{len(wall_w)} windows are covered by the meter and by every sensor, {MIN_WINDOWS} are needed; read for "
            "longer, or give "
            "a meter's file without gaps"
        )
    low_w, high_w = np.quantile(parts_w, [0.05, 0.95])
    if high_w <= 0 or (high_w - low_w) / high_w < MIN_LOAD_RANGE:
        raise CannotCalibrate(
            f"the load changes from {low_w:.0f} to {high_w:.0f} W only ({MIN_LOAD_RANGE:.0%} of the largest are "
            "needed): the ratio at "
            "another load would be unknown. Put steps of load on the host, from idle to full, while the meter reads"
        )
    if seen_w is not None and seen_w[1] > seen_w[0]:
        share = (min(high_w, seen_w[1]) - max(low_w, seen_w[0])) / (seen_w[1] - seen_w[0])
        if share < MIN_SHARE_OF_RANGE:
            raise CannotCalibrate(
                f"the windows cover loads from {low_w:.0f} to {high_w:.0f} W, {max(share, 0):.0%} of the range in "
                "which the host works "
                f"({seen_w[0]:.0f} to {seen_w[1]:.0f} W), {MIN_SHARE_OF_RANGE:.0%} are needed; put the missing loads "
                "on it while the meter reads"
            )
    value = float(wall_w.sum() / parts_w.sum())
    if not 0 < value <= MAX_RATIO:
        raise CannotCalibrate(
            f"the meter reads {value:.2f} times the sensors, which cannot be one server: is the meter on this host alone?"
        )
    ends = np.array([low_w, high_w] if seen_w is None else [min(low_w, seen_w[0]), max(high_w, seen_w[1])])
    slope, intercept = np.polyfit(parts_w, wall_w, 1)
    at_ends = slope + intercept / np.maximum(ends, 1e-9)
    # The ratio at the load of another day lies between those at the ends.
    load = max(value - float(at_ends.min()), 0.0) / math.sqrt(3), max(float(at_ends.max()) - value, 0.0) / math.sqrt(3)
    meter = value * meter_class_percent / 100 / math.sqrt(3)
    scatter = _standard_error(wall_w - slope * parts_w - intercept) / float(parts_w.mean())
    return Ratio(value, len(wall_w), {"meter": (meter, meter), "repeatability": (scatter, scatter), "load": load})


def _standard_error(residuals: Floats) -> float:
    """Standard error of a mean of residuals, of which neighbours may be alike (autocorrelation of first order)."""
    count = len(residuals)
    centred = residuals - residuals.mean()
    variance = float((centred**2).sum()) / (count - 1)
    if variance == 0:
        return 0.0
    alike = float((centred[1:] * centred[:-1]).sum() / (centred**2).sum())
    effective = count * (1 - alike) / (1 + alike) if alike > 0 else count
    return math.sqrt(variance / max(effective, 2.0))


def component_slopes(wall_w: Floats, parts_w: dict[str, Floats], meter_class_percent: float) -> list[Slope]:
    """Slopes of the wall's power over that of each component, by least squares with an intercept.

    A slope holds what a watt of the component costs at the wall: the gain of its sensor over the efficiency of the supply.
    """
    names = sorted(parts_w)
    reasons = {name: _cannot_separate(name, parts_w) for name in names}
    design = np.column_stack([np.ones(len(wall_w)), *(parts_w[name] for name in names)])
    freedom = len(wall_w) - design.shape[1]
    if freedom < MIN_WINDOWS - 2 or np.linalg.matrix_rank(design) < design.shape[1]:
        return [Slope(name, None, reason=reasons[name] or "too few windows for as many components") for name in names]
    solution, *_ = np.linalg.lstsq(design, wall_w, rcond=None)
    residuals = wall_w - design @ solution
    covariance = np.linalg.inv(design.T @ design) * float((residuals**2).sum()) / freedom
    slopes = []
    for number, name in enumerate(names, 1):
        value = float(solution[number])
        u = math.hypot(math.sqrt(float(covariance[number, number])), value * meter_class_percent / 100 / math.sqrt(3))
        reason = reasons[name]
        if not reason and value - COVERAGE_FACTOR * u <= 0:
            reason = "its load does not show at the wall above the scatter"
        slopes.append(Slope(name, None, reason=reason) if reason else Slope(name, value, u))
    return slopes


def _cannot_separate(name: str, parts_w: dict[str, Floats]) -> str:
    """Why a component's slope cannot be told apart; empty where it can."""
    own = parts_w[name]
    low, high = np.quantile(own, [0.05, 0.95])
    if high <= 0 or (high - low) / high < MIN_COMPONENT_RANGE:
        return f"its load hardly changes ({low:.0f} to {high:.0f} W)"
    others = [parts_w[other] for other in parts_w if other != name]
    design = np.column_stack([np.ones(len(own)), *others])
    solution, *_ = np.linalg.lstsq(design, own, rcond=None)
    unexplained = float(((own - design @ solution) ** 2).sum() / ((own - own.mean()) ** 2).sum())
    if unexplained < 1 / MAX_COLLINEARITY:
        return "its load rises and falls with that of the other components; load them one after the other"
    return ""
