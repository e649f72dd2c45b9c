"""This file widens a time to the calendar months of the organisation that it touches."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from footprint.calendar.ranges import cut_periods
from footprint.core.units import US_PER_DAY


def month_span(start_us: int, end_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """First instant of the month in which [start, end) begins, and the one after the month in which it ends [µs]."""
    clipped = cut_periods("month", start_us, end_us, zone)
    first = cut_periods("month", clipped[0][0] - 32 * US_PER_DAY, clipped[0][0] + 1, zone)[-1][0]
    last = cut_periods("month", clipped[-1][0], clipped[-1][0] + 64 * US_PER_DAY, zone)[0][1]
    return first, last
