"""This file holds a value with its bounds, and the rule by which bounds become an interval.

Bounds are those of a rectangular law unless said otherwise: u = a / sqrt(3), and intervals are
stated at U = 2u, about 95 % (JCGM 100:2008, GUM, 4.3.7 and 6.3.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from footprint.core.stored_forms import stored_as

COVERAGE_FACTOR = 2.0  # k of the GUM, about 95 %


@stored_as("Estimate", "value low high")
@dataclass(frozen=True, slots=True)
class Estimate:
    """A value that lies between ``low`` and ``high``, in the unit that its name states."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.low <= self.value <= self.high and math.isfinite(self.high - self.low)):
            raise ValueError(f"bounds out of order: {self.low} <= {self.value} <= {self.high} expected")

    @classmethod
    def exactly(cls, value: float) -> Estimate:
        """A value without any spread."""
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
        """Value and bounds times a non-negative factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)
