"""This file adds up what is not known for sure: first-order, with everything that errs together kept together.

Each source of error has a name; contributions to one name add with their sign, names add in squares
(JCGM 100:2008, GUM, 5.1 and 5.2). One sensor model errs the same way on every board, one assumed PUE is wrong for
all its sites: more devices do not make these smaller.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from footprint.core.assumptions import assumption
from footprint.core.estimate import COVERAGE_FACTOR, Estimate

# Causes whose error is the same in two figures that name it alike: it cancels in their ratio. How energy was divided
# on one day says nothing of another, so that its error does not.
SYSTEMATIC_PREFIXES = ("gain ", "pue ", "uplift ", "factor ")


class UncertaintyBudget:
    """Standard uncertainties of one figure by name of their cause, towards low and towards high, in its unit."""

    def __init__(self) -> None:
        self._low: dict[str, float] = defaultdict(float)
        self._high: dict[str, float] = defaultdict(float)

    @classmethod
    def from_uncertainties(cls, uncertainties: Mapping[str, tuple[float, float]]) -> UncertaintyBudget:
        """From standard uncertainties (towards low, towards high) by cause, in the unit of the figure."""
        budget = cls()
        for cause, (low, high) in uncertainties.items():
            budget._low[cause], budget._high[cause] = low, high
        return budget

    def add(self, cause: str, sensitivity: float, bounds: Estimate) -> None:
        """A contribution of ``sensitivity`` (figure per unit of the cause) times the spread of the cause."""
        towards = (bounds.u_low, bounds.u_high) if sensitivity >= 0 else (bounds.u_high, bounds.u_low)
        self._low[cause] += abs(sensitivity) * towards[0]
        self._high[cause] += abs(sensitivity) * towards[1]

    def scale(self, prefix: str, factor: float) -> None:
        """Enlarge what causes of one kind contribute."""
        for side in (self._low, self._high):
            for cause in [cause for cause in side if cause.startswith(prefix)]:
                side[cause] *= factor

    def causes(self) -> dict[str, tuple[float, float]]:
        """Half-widths U = 2u towards low and towards high of each cause, in the unit of the figure."""
        names = sorted({*self._low, *self._high})
        return {name: (COVERAGE_FACTOR * self._low[name], COVERAGE_FACTOR * self._high[name]) for name in names}

    def filtered(self, factor: float = 1.0, only: tuple[str, ...] = ("",), without: tuple[str, ...] = ()) -> UncertaintyBudget:
        """A budget of the causes that begin with one of ``only`` and none of ``without``, times a factor."""
        budget = UncertaintyBudget()
        for target, source in ((budget._low, self._low), (budget._high, self._high)):
            for cause, u in source.items():
                if cause.startswith(only) and not (without and cause.startswith(without)):
                    target[cause] = u * factor
        return budget

    def half_widths(self) -> tuple[float, float]:
        """About 95 %: U = 2u towards low and towards high."""
        low = math.sqrt(math.fsum(u * u for u in self._low.values()))
        high = math.sqrt(math.fsum(u * u for u in self._high.values()))
        return COVERAGE_FACTOR * low, COVERAGE_FACTOR * high

    def interval(self, value: float) -> tuple[float, float]:
        """About 95 %: value - U and value + U, U = 2u."""
        low, high = self.half_widths()
        return value - low, value + high


def ratio_estimate(before: float, before_budget: UncertaintyBudget, after: float, after_budget: UncertaintyBudget) -> Estimate:
    """after / before with its interval of about 95 %, where what errs alike in both cancels (JCGM 100:2008, 5.2.2).

    u²(ln b/a) = u_a² + u_b² - 2 r u_a u_b, with r = 1 less what a systematic error changes from period to period.

    Raises
    ------
    ValueError
        If one of the figures is not above zero.
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
    """Variance of the difference of two errors of correlation r."""
    return max(one * one + other * other - 2 * correlation * one * other, 0.0)
