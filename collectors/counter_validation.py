"""This file tries an energy counter against the power of the same device before it is believed; pure arithmetic.

Some counters are frozen, count in another unit, or belong to another part of the board. Over half a minute a
counter that counts agrees with the integrated power well within a factor of two.
"""

from __future__ import annotations

from dataclasses import dataclass

from footprint.core.units import PJ_PER_UJ, US_PER_S

MIN_US = 30 * US_PER_S
MIN_UJ = 100 * 1_000_000  # 100 J: below it, resolution says nothing
FACTOR = 2


@dataclass(slots=True)
class CounterValidation:
    """One counter on trial; ``trusted`` is None while it is not known yet."""

    begun_us: int = -1
    began_uj: int = 0
    last_us: int = 0
    last_uw: int = 0
    power_pj: int = 0
    trusted: bool | None = None

    def add(self, mono_us: int, counter_uj: int, power_uw: int) -> None:
        """One more pair of values [µJ, µW] at an instant of the monotonic clock [µs]."""
        if self.trusted is not None:
            return
        if self.begun_us < 0 or counter_uj < self.began_uj:
            self.begun_us, self.began_uj, self.power_pj = mono_us, counter_uj, 0
        else:
            self.power_pj += (power_uw + self.last_uw) * (mono_us - self.last_us) // 2
        self.last_us, self.last_uw = mono_us, power_uw
        power_uj = self.power_pj // PJ_PER_UJ
        if mono_us - self.begun_us >= MIN_US and power_uj >= MIN_UJ:
            counted = counter_uj - self.began_uj
            self.trusted = power_uj <= FACTOR * counted and counted <= FACTOR * power_uj
