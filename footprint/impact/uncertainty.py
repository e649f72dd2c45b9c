"""Uncertainty budgets: first-order propagation in which common errors stay common.

Each source of error has a name. Contributions of one name add with their sign, names add in squares (JCGM 100:2008, GUM, 5.1
and 5.2). One sensor model errs alike on every board, and one assumed PUE is wrong for all its sites: more devices do not make
these errors smaller.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from footprint.core.assumptions import assumption
from footprint.core.estimate import COVERAGE_FACTOR, Estimate

# Causes whose error is common to two figures that share the name, so that it cancels in their ratio. The error of dividing
# energy is independent from day to day and does not cancel.
SYSTEMATIC_PREFIXES = ("gain ", "pue ", "uplift ", "factor ")


class UncertaintyBudget:
    """Standard uncertainties of one figure by cause, towards low and towards high, in the unit of the figure.

    References
    ----------
    JCGM 100:2008, Guide to the expression of uncertainty in measurement (GUM), 5.1 and 5.2; method in
    ``docs/explanation/method.md``, section 5.

    Examples
    --------
    >>> budget = UncertaintyBudget.from_uncertainties({"gain nvml": (3.0, 3.0), "pue ": (4.0, 4.0)})
    >>> budget.half_widths()
    (10.0, 10.0)
    >>> budget.interval(100.0)
    (90.0, 110.0)
    """

    def __init__(self) -> None:
        self._low: dict[str, float] = defaultdict(float)
        self._high: dict[str, float] = defaultdict(float)

    @classmethod
    def from_uncertainties(cls, uncertainties: Mapping[str, tuple[float, float]]) -> UncertaintyBudget:
        """Budget from standard uncertainties (towards low, towards high) by cause, in the unit of the figure."""
        budget = cls()
        for cause, (low, high) in uncertainties.items():
            budget._low[cause], budget._high[cause] = low, high
        return budget

    def add(self, cause: str, sensitivity: float, bounds: Estimate) -> None:
        """Add a contribution to a cause.

        Parameters
        ----------
        cause
            Name of the source of error.
        sensitivity
            Change of the figure for each unit of the cause.
        bounds
            Estimate of the cause; its standard uncertainties are multiplied by the sensitivity.
        """
        towards = (bounds.u_low, bounds.u_high) if sensitivity >= 0 else (bounds.u_high, bounds.u_low)
        self._low[cause] += abs(sensitivity) * towards[0]
        self._high[cause] += abs(sensitivity) * towards[1]

    def scale(self, prefix: str, factor: float) -> None:
        """Multiply the contributions of the causes that begin with a prefix."""
        for side in (self._low, self._high):
            for cause in [cause for cause in side if cause.startswith(prefix)]:
                side[cause] *= factor

    def causes(self) -> dict[str, tuple[float, float]]:
        """Half-widths U = 2u of each cause, towards low and towards high, in the unit of the figure."""
        names = sorted({*self._low, *self._high})
        return {name: (COVERAGE_FACTOR * self._low[name], COVERAGE_FACTOR * self._high[name]) for name in names}

    def filtered(self, factor: float = 1.0, only: tuple[str, ...] = ("",), without: tuple[str, ...] = ()) -> UncertaintyBudget:
        """Budget of the causes that begin with one of ``only`` and none of ``without``, multiplied by ``factor``."""
        budget = UncertaintyBudget()
        for target, source in ((budget._low, self._low), (budget._high, self._high)):
            for cause, u in source.items():
                if cause.startswith(only) and not (without and cause.startswith(without)):
                    target[cause] = u * factor
        return budget

    def half_widths(self) -> tuple[float, float]:
        """Half-widths U = 2u of the figure (about 95 %), towards low and towards high."""
        low = math.sqrt(math.fsum(u * u for u in self._low.values()))
        high = math.sqrt(math.fsum(u * u for u in self._high.values()))
        return COVERAGE_FACTOR * low, COVERAGE_FACTOR * high

    def interval(self, value: float) -> tuple[float, float]:
        """Interval of about 95 % of the figure: value - U and value + U, U = 2u."""
        low, high = self.half_widths()
        return value - low, value + high


def ratio_estimate(before: float, before_budget: UncertaintyBudget, after: float, after_budget: UncertaintyBudget) -> Estimate:
    """Ratio after / before with its interval of about 95 %, in which errors common to both figures cancel.

    u²(ln b/a) = u_a² + u_b² - 2 r u_a u_b. For systematic causes, r is the assumption ``stability_of_systematic_errors``: 1 less
    the part of a systematic error that changes from period to period. For other causes r is 0.

    Parameters
    ----------
    before, after
        The two figures, in one unit.
    before_budget, after_budget
        Their uncertainty budgets, in the unit of the figures.

    Raises
    ------
    ValueError
        If a figure is not above zero.

    References
    ----------
    JCGM 100:2008, GUM, 5.2.2.
    """
    if before <= 0 or after <= 0:
        raise ValueError("a ratio needs two figures above zero")
    first, second = before_budget.causes(), after_budget.causes()
    down = up = 0.0
    for cause in sorted({*first, *second}):
        b, a = second.get(cause, (0.0, 0.0)), first.get(cause, (0.0, 0.0))
        correlation = assumption("stability_of_systematic_errors").value if cause.startswith(SYSTEMATIC_PREFIXES) else 0.0
        a_low, a_high, b_low, b_high = a[0] / before, a[1] / before, b[0] / after, b[1] / after
        down += _difference_variance(b_low, a_low, correlation)
        up += _difference_variance(b_high, a_high, correlation)
    ratio = after / before
    return Estimate(ratio, max(ratio * (1 - math.sqrt(down)), 0.0), ratio * (1 + math.sqrt(up)))


def _difference_variance(one: float, other: float, correlation: float) -> float:
    """Variance of the difference of two errors with the given standard deviations and correlation."""
    return max(one * one + other * other - 2 * correlation * one * other, 0.0)
