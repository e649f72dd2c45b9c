"""Query: groups, periods, filters and view of a request for figures, validated."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from footprint.calendar.periods import BadPeriod, parse_period
from footprint.calendar.slots import slot_length_us
from footprint.core.limits import FIRST_INSTANT_US, LAST_INSTANT_US, MAX_PERIODS, printable
from footprint.core.records import FootprintError
from footprint.core.timestamps import BadTimestamp, format_instant, from_datetime, parse_instant
from footprint.core.units import US_PER_DAY, US_PER_HOUR, US_PER_S

GROUPS = ("service", "use_case", "model", "device", "host", "site", "charter")
EVERY = ("hour", "day", "week", "month", "quarter", "year", "all")
VIEWS = ("active", "full")
PLACE_COLUMNS = frozenset({"device", "host", "site"})  # requests cannot be grouped by these
COLUMNS = (
    "period_start",
    "period_end",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "accelerator_active_kwh",
    "accelerator_idle_kwh",
    "host_kwh",
    "facility_kwh",
    "energy_kwh",
    "energy_low_kwh",
    "energy_high_kwh",
    "co2e_location_g",
    "co2e_location_low_g",
    "co2e_location_high_g",
    "co2e_market_g",
    "embodied_g",
    "water_l",
    "adpe_kgsb",
    "primary_energy_mj",
    "sci_g_per_request",
    "coverage",
    "quality",
    "method_version",
    "factor_version",
    "status",
    "flags",
    "cost_eur",
)


class BadQuery(FootprintError):
    """A query that cannot be understood; the message lists the allowed values."""


@dataclass(frozen=True, slots=True)
class Query:
    """Groups, period length, time range [µs, half-open], view; ``where`` holds (group, value) pairs.

    ``own_traffic``: show the requests of this server itself in its own row. ``undeclared_together``: show use cases that the
    configuration does not declare as one, ``(undeclared)``, which has no other name then. As a condition ``(undeclared)`` stands
    for all of them in any query.
    """

    group: tuple[str, ...] = ()
    every: str = "all"
    from_us: int | None = None
    to_us: int | None = None
    where: tuple[tuple[str, str], ...] = ()
    view: str = "active"
    own_traffic: bool = False
    undeclared_together: bool = False

    def __post_init__(self) -> None:
        for name in self.group:
            _check_known("group", name, GROUPS)
        if len(set(self.group)) < len(self.group):
            raise BadQuery("group names a column twice")
        _check_known("every", self.every, EVERY)
        _check_known("view", self.view, VIEWS)
        for name, _ in self.where:
            _check_known("where", name, GROUPS)
        for name, bound in (("from", self.from_us), ("to", self.to_us)):
            check_bound(name, bound)
        if self.from_us is not None and self.to_us is not None and self.from_us >= self.to_us:
            raise BadQuery("from must be before to")


def check_bound(name: str, bound_us: int | None) -> None:
    """Refuse a bound [µs] that no period of figures can have.

    Raises
    ------
    BadQuery
        If it is not between 1970 and 2100.
    """
    if bound_us is not None and not FIRST_INSTANT_US - US_PER_DAY <= bound_us <= LAST_INSTANT_US:
        raise BadQuery(f"{name} must lie between 1970 and 2100")


def check_period_count(every: str, start_us: int, end_us: int) -> None:
    """Refuse a range [µs] of too many periods.

    Raises
    ------
    BadQuery
        If there are more than ``MAX_PERIODS``.
    """
    if every != "all" and (end_us - start_us) // _SHORTEST_US[every] > MAX_PERIODS:
        raise BadQuery(
            f"more than {MAX_PERIODS:,} periods; choose a longer one than {every}, or from and to nearer to each other"
        )


def _check_known(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadQuery(f"{what} {value!r} is not known; it may be {', '.join(allowed)}")


def parse_query(
    zone: ZoneInfo,
    *,
    group: str | None = None,
    every: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    where: Iterable[str] = (),
    view: str | None = None,
) -> Query:
    """A query from the texts of a command line or an address.

    Raises
    ------
    BadQuery
        If a text cannot be understood.
    """
    pairs = []
    for condition in where:
        name, equals, value = condition.partition("=")
        if not equals:
            raise BadQuery(f"where {condition!r} must be written name=value")
        pairs.append((name.strip().replace("-", "_"), value))
    names = tuple(name.strip().replace("-", "_") for name in (group or "").split(",") if name.strip())
    return Query(
        names, every or "all", parse_bound("from", from_, zone), parse_bound("to", to, zone), tuple(pairs), view or "active"
    )


def check_bounds(query: Query, zone: ZoneInfo) -> None:
    """Refuse bounds inside a slot, because figures are stored by slot.

    Raises
    ------
    BadQuery
        If a bound is not the edge of a slot; the message names the two nearest edges.
    """
    slot_us = slot_length_us(zone)
    for name, bound in (("from", query.from_us), ("to", query.to_us)):
        if bound is not None and bound % slot_us:
            before = bound - bound % slot_us
            raise BadQuery(
                f"{name} {format_instant(bound)} lies inside a slot of {slot_us // US_PER_MINUTE} minutes, the smallest unit of "
                f"figures; the nearest edges are {format_instant(before)} and {format_instant(before + slot_us)}"
            )


def parse_bound(name: str, text: str | None, zone: ZoneInfo, now_us: int | None = None) -> int | None:
    """An instant [µs] from a text; None for an empty text.

    Parameters
    ----------
    name
        ``from`` or ``to``: a period such as 2026-Q3 stands for its first edge as ``from`` and its last as ``to``.
    text
        RFC 3339, Unix seconds, a date (midnight in ``zone``), a month (2026-10), a quarter (2026-Q3), a year (2026), or a time
        before now (now-7d, now-30h, now-90m; now), which is rounded outwards to whole slots.
    now_us
        The current instant [µs]; the clock by default.

    Raises
    ------
    BadQuery
        If the text is none of these.
    """
    if not text:
        return None
    try:
        if relative := _RELATIVE.fullmatch(text):
            bound_us = _relative_bound(name, relative, zone, time.time_ns() // 1000 if now_us is None else now_us)
        elif _PERIOD.fullmatch(text):
            bound_us = parse_period(text).bounds_us(zone)[name == "to"]
        elif len(text) == len("2026-01-01") and text[4] == "-":
            day = datetime.date.fromisoformat(text)
            bound_us = from_datetime(datetime.datetime(day.year, day.month, day.day, tzinfo=zone))
        else:
            bound_us = parse_instant(text)
        check_bound(name, bound_us)
    except (BadTimestamp, BadPeriod, ValueError, OverflowError) as bad:
        raise BadQuery(f"{name} {printable(text)[:60]!r}: {bad}") from None
    return bound_us


_SHORTEST_US = {
    "hour": US_PER_HOUR,
    "day": 23 * US_PER_HOUR,
    "week": 167 * US_PER_HOUR,
    "month": 28 * US_PER_DAY,
    "quarter": 90 * US_PER_DAY,
    "year": 365 * US_PER_DAY,
}
US_PER_MINUTE = 60 * US_PER_S
_RELATIVE = re.compile(r"now(?:-(\d{1,6})([mhdw]))?")
_PERIOD = re.compile(r"\d{4}(?:-Q[1-4]|-(?:0[1-9]|1[0-2]))?")
_UNIT_US = {"m": US_PER_MINUTE, "h": US_PER_HOUR, "d": US_PER_DAY, "w": 7 * US_PER_DAY}


def _relative_bound(name: str, match: re.Match[str], zone: ZoneInfo, now_us: int) -> int:
    instant_us = now_us - (int(match[1]) * _UNIT_US[match[2]] if match[1] else 0)
    slot_us = slot_length_us(zone)
    return instant_us + -instant_us % slot_us if name == "to" else instant_us - instant_us % slot_us
