"""Calendar ranges: hours, days, weeks, months, quarters and years between two instants, in an organisation's time zone."""

from __future__ import annotations

import datetime
import itertools
from zoneinfo import ZoneInfo

from footprint.calendar.periods import MONTHS_PER_PERIOD
from footprint.core.timestamps import from_datetime, to_datetime
from footprint.core.units import US_PER_DAY, US_PER_HOUR, US_PER_S


def split_by_period(every: str, start_us: int, end_us: int, zone: ZoneInfo) -> list[tuple[int, int]]:
    """Calendar periods [start, end) in µs that tile [start_us, end_us), the first and the last clipped to it.

    ``every`` is ``hour``, ``day``, ``week``, ``month``, ``quarter``, ``year`` or ``all``.
    """
    if every == "all":
        return [(start_us, end_us)]
    edges = [start_us]
    edge = _period_start(every, start_us, zone)
    while edge < end_us:
        if edge > start_us:
            edges.append(edge)
        edge = _next_period_start(every, edge, zone)
    edges.append(end_us)
    return list(itertools.pairwise(edges))


def clip_to_data(every: str, start_us: int, end_us: int, data_us: tuple[int, int], zone: ZoneInfo) -> tuple[int, int]:
    """The part of a range [µs] whose calendar periods may hold data between two instants; the whole range for ``all``."""
    if every == "all":
        return start_us, end_us
    if end_us <= data_us[0] or start_us > data_us[1]:
        return start_us, min(end_us, start_us + US_PER_HOUR)
    first, last = _period_start(every, data_us[0], zone), _period_start(every, data_us[1], zone)
    return max(start_us, first), min(end_us, _next_period_start(every, last, zone))


def widen_to_months(start_us: int, end_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """Start of the month that contains ``start_us`` and end of the month that contains the end of the range [µs]."""
    months = split_by_period("month", start_us, end_us, zone)
    first_us, last_us = months[0][0], months[-1][0]
    start = split_by_period("month", first_us - 32 * US_PER_DAY, first_us + 1, zone)[-1][0]
    end = split_by_period("month", last_us, last_us + 64 * US_PER_DAY, zone)[0][1]
    return start, end


def _period_start(every: str, instant_us: int, zone: ZoneInfo) -> int:
    """Start [µs] of the period that contains an instant."""
    local = to_datetime(instant_us).astimezone(zone)
    if every == "hour":
        # Where the UTC offset is not a whole number of hours, hours start on the local clock's hour.
        offset = local.utcoffset() or datetime.timedelta(0)
        shift = int(offset.total_seconds()) * US_PER_S % US_PER_HOUR
        return (instant_us + shift) // US_PER_HOUR * US_PER_HOUR - shift
    day = local.date()
    if every == "week":
        day -= datetime.timedelta(days=day.weekday())
    elif every in MONTHS_PER_PERIOD:
        months = MONTHS_PER_PERIOD[every]
        day = datetime.date(day.year, (day.month - 1) // months * months + 1, 1)
    return _midnight(day, zone)


def _next_period_start(every: str, edge_us: int, zone: ZoneInfo) -> int:
    """Start [µs] of the period after the one that starts at ``edge_us``."""
    if every == "hour":
        return edge_us + US_PER_HOUR
    day = to_datetime(edge_us).astimezone(zone).date()
    if every in MONTHS_PER_PERIOD:
        month = day.month - 1 + MONTHS_PER_PERIOD[every]
        return _midnight(datetime.date(day.year + month // 12, month % 12 + 1, 1), zone)
    return _midnight(day + datetime.timedelta(days=7 if every == "week" else 1), zone)


def _midnight(day: datetime.date, zone: ZoneInfo) -> int:
    return from_datetime(datetime.datetime(day.year, day.month, day.day, tzinfo=zone))
