"""Named calendar periods: 2026, 2026-Q3, 2026-07, with bounds in an organisation's time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from footprint.core.records import FootprintError
from footprint.core.timestamps import from_datetime, to_datetime

_NAME = re.compile(r"(\d{4})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?")
MONTHS_PER_PERIOD = {"month": 1, "quarter": 3, "year": 12}


class BadPeriod(FootprintError):
    """A text that is not the name of a period."""


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A calendar month, quarter or year; ordered by its first month."""

    year: int
    month: int  # first month, 1 to 12
    length: int  # months: 1, 3 or 12

    def __str__(self) -> str:
        if self.length == MONTHS_PER_PERIOD["year"]:
            return f"{self.year:04}"
        if self.length == MONTHS_PER_PERIOD["quarter"]:
            return f"{self.year:04}-Q{(self.month + 2) // 3}"
        return f"{self.year:04}-{self.month:02}"

    def shifted(self, count: int) -> Period:
        """Period of the same length, ``count`` periods later (earlier if negative)."""
        months = self.year * 12 + self.month - 1 + count * self.length
        return Period(months // 12, months % 12 + 1, self.length)

    def periods_since(self, earlier: Period) -> int:
        """Number of periods of this length from an earlier one to this one."""
        return ((self.year - earlier.year) * 12 + self.month - earlier.month) // self.length

    def year_before(self) -> Period:
        """Same period of the previous year."""
        return Period(self.year - 1, self.month, self.length)

    def split(self, length: int) -> tuple[Period, ...]:
        """Split into periods of ``length`` months."""
        return tuple(Period(self.year, self.month + offset, length) for offset in range(0, self.length, length))

    def bounds_us(self, zone: ZoneInfo) -> tuple[int, int]:
        """Start and end [µs], half-open, at midnight in the zone."""
        following = self.shifted(1)
        return _midnight(self.year, self.month, zone), _midnight(following.year, following.month, zone)


def parse_period(text: str) -> Period:
    """Parse the name of a period.

    Raises
    ------
    BadPeriod
        If the text is not one.
    """
    match = _NAME.fullmatch(text.strip())
    if not match or not 1 <= int(match[1]) < 9999:
        raise BadPeriod(f"period {text!r} must be written 2026, 2026-Q3 or 2026-07")
    year, quarter, month = int(match[1]), match[2], match[3]
    if quarter:
        return Period(year, 3 * int(quarter) - 2, 3)
    return Period(year, int(month), 1) if month else Period(year, 1, 12)


def period_at(instant_us: int, zone: ZoneInfo, length: int = 3) -> Period:
    """Period of ``length`` months that contains an instant."""
    local = to_datetime(instant_us).astimezone(zone)
    return Period(local.year, (local.month - 1) // length * length + 1, length)


def _midnight(year: int, month: int, zone: ZoneInfo) -> int:
    return from_datetime(datetime(year, month, 1, tzinfo=zone))
