"""Estimate: a value with its bounds, and their conversion to standard uncertainties.

Bounds are those of a rectangular distribution unless stated otherwise: u = a / sqrt(3). Intervals
are stated at U = 2u, about 95 % (JCGM 100:2008, GUM, 4.3.7 and 6.3.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from footprint.core.stored_forms import stored_as

COVERAGE_FACTOR = 2.0  # k of the GUM, about 95 %


@stored_as("Estimate", "value low high")
@dataclass(frozen=True, slots=True)
class Estimate:
    """A value between ``low`` and ``high``, in the unit of the name that holds it."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.low <= self.value <= self.high and math.isfinite(self.high - self.low)):
            raise ValueError(f"bounds out of order: {self.low} <= {self.value} <= {self.high} expected")

    @classmethod
    def exactly(cls, value: float) -> Estimate:
        """A value without uncertainty."""
        return cls(value, value, value)

    @property
    def u_low(self) -> float:
        """Standard uncertainty towards ``low``, same unit as the value."""
        return (self.value - self.low) / math.sqrt(3)

    @property
    def u_high(self) -> float:
        """Standard uncertainty towards ``high``, same unit as the value."""
        return (self.high - self.value) / math.sqrt(3)

    def scaled(self, factor: float) -> Estimate:
        """The value and its bounds times a non-negative factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)
