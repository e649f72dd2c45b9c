"""This file cuts a stretch of time into whole months, whole days and what is left at its ends, by the midnights of a zone."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from footprint.core.timestamps import from_datetime, to_datetime
from footprint.core.units import US_PER_S

SLOTS, DAYS, MONTHS = 0, 1, 2  # what a stretch is made of
_QUARTER_S = 900
_FIRST, _LAST = datetime.date(2015, 1, 1), datetime.date(2045, 1, 1)  # over these a zone's midnights are its identity


@dataclass(frozen=True, slots=True)
class RollupRange:
    """Whole slots, days or months in [first, last), in seconds."""

    kind: int
    first: int
    last: int


@lru_cache(maxsize=100_000)
def midnight_s(zone: ZoneInfo, day: int) -> int:
    """The instant [s] at which a day of the zone begins; ``day`` as ``date.toordinal`` counts."""
    date = datetime.date.fromordinal(day)
    return from_datetime(datetime.datetime(date.year, date.month, date.day, tzinfo=zone)) // US_PER_S


@lru_cache(maxsize=2_000)
def clock_hours(zone: ZoneInfo, day: int) -> dict[int, tuple[int, int]]:
    """[first, last) in seconds of each hour of the clock on a day; one that the clock shows twice lasts longer."""
    found: dict[int, tuple[int, int]] = {}
    start, end = midnight_s(zone, day), midnight_s(zone, day + 1)
    for at in range(start, end, _QUARTER_S):
        hour = to_datetime(at * US_PER_S).astimezone(zone).hour
        found[hour] = min(found.get(hour, (at, at))[0], at), at + _QUARTER_S
    return found


def local_day(zone: ZoneInfo, instant_s: int) -> int:
    """The day of the zone that an instant lies in."""
    return to_datetime(instant_s * US_PER_S).astimezone(zone).date().toordinal()


def days_touched(zone: ZoneInfo, first: int, last: int) -> list[int]:
    """Days of the zone that [first, last) [s] touches."""
    return list(range(local_day(zone, first), local_day(zone, last - 1) + 1))


def month_bounds(day: int) -> tuple[int, int]:
    """The first day of a day's month, and of the month after it."""
    date = datetime.date.fromordinal(day)
    following = date.replace(day=1) + datetime.timedelta(days=32)
    return date.replace(day=1).toordinal(), following.replace(day=1).toordinal()


def split_range(zone: ZoneInfo | None, first: int, last: int) -> Iterator[RollupRange]:
    """[first, last) in seconds as the fewest stretches, in order; without a zone all of it is slots."""
    if first >= last:
        return
    begin, end = (0, 0) if zone is None else _whole_days(zone, first, last)
    if zone is None or begin >= end:
        yield RollupRange(SLOTS, first, last)
        return
    low, high = _whole_months(begin, end)
    ends = first, midnight_s(zone, begin), midnight_s(zone, end), last
    if ends[0] < ends[1]:
        yield RollupRange(SLOTS, ends[0], ends[1])
    if low < high:
        middle = ends[1], midnight_s(zone, low), midnight_s(zone, high), ends[2]
        for kind, start, stop in ((DAYS, *middle[:2]), (MONTHS, *middle[1:3]), (DAYS, *middle[2:])):
            if start < stop:
                yield RollupRange(kind, start, stop)
    else:
        yield RollupRange(DAYS, ends[1], ends[2])
    if ends[2] < ends[3]:
        yield RollupRange(SLOTS, ends[2], ends[3])


def _whole_days(zone: ZoneInfo, first: int, last: int) -> tuple[int, int]:
    begin = local_day(zone, first)
    begin += midnight_s(zone, begin) < first
    return begin, local_day(zone, last)


def _whole_months(begin: int, end: int) -> tuple[int, int]:
    first, following = month_bounds(begin)
    return (first if first == begin else following), month_bounds(end)[0]


@cache
def zone_fingerprint(zone: ZoneInfo) -> str:
    """What sums by day rest on: the zone's name, and a digest of its midnights, which rules of summer time may move."""
    days = range(_FIRST.toordinal(), _LAST.toordinal())
    said = ",".join(str(midnight_s(zone, day)) for day in days)
    return f"{zone.key} {hashlib.blake2b(said.encode(), digest_size=8).hexdigest()}"
