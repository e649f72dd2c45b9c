"""Calendar ranges: a range of time split into whole months, whole days and slots, by the midnights of a zone."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from footprint.core.timestamps import from_datetime, to_datetime
from footprint.core.units import US_PER_S

SLOTS, DAYS, MONTHS = 0, 1, 2  # what a range consists of
_FIRST, _LAST = datetime.date(2015, 1, 1), datetime.date(2045, 1, 1)  # the midnights of these years identify the rules of a zone


@dataclass(frozen=True, slots=True)
class CalendarRange:
    """Whole slots, days or months in [first, last) [s]."""

    kind: int
    first: int
    last: int


@lru_cache(maxsize=100_000)
def midnight_s(zone: ZoneInfo, day: int) -> int:
    """Instant [s] at which a day starts in the zone; ``day`` is a proleptic ordinal, as of ``date.toordinal``."""
    date = datetime.date.fromordinal(day)
    return from_datetime(datetime.datetime(date.year, date.month, date.day, tzinfo=zone)) // US_PER_S


def local_day(zone: ZoneInfo, instant_s: int) -> int:
    """Day of the zone that contains an instant [s]."""
    return to_datetime(instant_s * US_PER_S).astimezone(zone).date().toordinal()


def month_bounds(day: int) -> tuple[int, int]:
    """First day of the month of a day, and first day of the next month."""
    date = datetime.date.fromordinal(day)
    following = date.replace(day=1) + datetime.timedelta(days=32)
    return date.replace(day=1).toordinal(), following.replace(day=1).toordinal()


def split_range(zone: ZoneInfo | None, first: int, last: int) -> Iterator[CalendarRange]:
    """Split [first, last) [s] into the fewest ranges, in order; without a zone, into slots only."""
    if first >= last:
        return
    begin, end = (0, 0) if zone is None else _whole_days(zone, first, last)
    if zone is None or begin >= end:
        yield CalendarRange(SLOTS, first, last)
        return
    low, high = _whole_months(begin, end)
    ends = first, midnight_s(zone, begin), midnight_s(zone, end), last
    if ends[0] < ends[1]:
        yield CalendarRange(SLOTS, ends[0], ends[1])
    if low < high:
        middle = ends[1], midnight_s(zone, low), midnight_s(zone, high), ends[2]
        for kind, start, stop in ((DAYS, *middle[:2]), (MONTHS, *middle[1:3]), (DAYS, *middle[2:])):
            if start < stop:
                yield CalendarRange(kind, start, stop)
    else:
        yield CalendarRange(DAYS, ends[1], ends[2])
    if ends[2] < ends[3]:
        yield CalendarRange(SLOTS, ends[2], ends[3])


def _whole_days(zone: ZoneInfo, first: int, last: int) -> tuple[int, int]:
    begin = local_day(zone, first)
    begin += midnight_s(zone, begin) < first
    return begin, local_day(zone, last)


def _whole_months(begin: int, end: int) -> tuple[int, int]:
    first, following = month_bounds(begin)
    return (first if first == begin else following), month_bounds(end)[0]


@cache
def zone_fingerprint(zone: ZoneInfo) -> str:
    """Name of a zone with a digest of its midnights: changes if the daylight-saving rules of the zone change."""
    days = range(_FIRST.toordinal(), _LAST.toordinal())
    midnights = ",".join(str(midnight_s(zone, day)) for day in days)
    return f"{zone.key} {hashlib.blake2b(midnights.encode(), digest_size=8).hexdigest()}"
