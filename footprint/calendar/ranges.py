"""This file cuts time into the hours, days, months and quarters of the organisation's zone."""

from __future__ import annotations

import datetime
import itertools
from zoneinfo import ZoneInfo

from footprint.core.timestamps import from_datetime, to_datetime
from footprint.core.units import US_PER_HOUR, US_PER_S

_MONTHS = {"month": 1, "quarter": 3, "year": 12}


def cut_periods(every: str, start_us: int, end_us: int, zone: ZoneInfo) -> list[tuple[int, int]]:
    """Periods [start, end) of one kind in the zone's calendar that tile [start_us, end_us), clipped to it."""
    if every == "all":
        return [(start_us, end_us)]
    edges = [start_us]
    edge = _begin(every, start_us, zone)
    while edge < end_us:
        if edge > start_us:
            edges.append(edge)
        edge = _following(every, edge, zone)
    edges.append(end_us)
    return list(itertools.pairwise(edges))


def _begin(every: str, instant_us: int, zone: ZoneInfo) -> int:
    """Start of the period that an instant lies in."""
    local = to_datetime(instant_us).astimezone(zone)
    if every == "hour":
        # Hours of a zone that is not whole hours from UTC begin where its clock says so.
        offset = local.utcoffset() or datetime.timedelta(0)
        shift = int(offset.total_seconds()) * US_PER_S % US_PER_HOUR
        return (instant_us + shift) // US_PER_HOUR * US_PER_HOUR - shift
    day = local.date()
    if every == "week":
        day -= datetime.timedelta(days=day.weekday())
    elif every in _MONTHS:
        span = _MONTHS[every]
        day = datetime.date(day.year, (day.month - 1) // span * span + 1, 1)
    return _midnight(day, zone)


def _following(every: str, edge_us: int, zone: ZoneInfo) -> int:
    """Start of the period after the one that begins at ``edge_us``."""
    if every == "hour":
        return edge_us + US_PER_HOUR
    day = to_datetime(edge_us).astimezone(zone).date()
    if every in _MONTHS:
        month = day.month - 1 + _MONTHS[every]
        return _midnight(datetime.date(day.year + month // 12, month % 12 + 1, 1), zone)
    return _midnight(day + datetime.timedelta(days=7 if every == "week" else 1), zone)


def _midnight(day: datetime.date, zone: ZoneInfo) -> int:
    return from_datetime(datetime.datetime(day.year, day.month, day.day, tzinfo=zone))
