"""This file adds up what is not known for sure: first-order, with everything that errs together kept together.

Each source of error has a name; contributions to one name add with their sign, names add in squares
(JCGM 100:2008, GUM, 5.1 and 5.2). One sensor model errs the same way on every board, one assumed PUE is wrong for
all its sites: more devices do not make these smaller.
"""

from __future__ import annotations

import math
from collections import defaultdict

from footprint.estimate import COVERAGE_FACTOR, Estimate


class Budget:
    """Standard uncertainties of one figure by name of their cause, towards low and towards high, in its unit."""

    def __init__(self) -> None:
        self._low: dict[str, float] = defaultdict(float)
        self._high: dict[str, float] = defaultdict(float)

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

    def interval(self, value: float) -> tuple[float, float]:
        """About 95 %: value - U and value + U, U = 2u."""
        low = math.sqrt(math.fsum(u * u for u in self._low.values()))
        high = math.sqrt(math.fsum(u * u for u in self._high.values()))
        return value - COVERAGE_FACTOR * low, value + COVERAGE_FACTOR * high
