"""Times and durations as logs and spreadsheets write them, to microseconds.

RFC 3339 and Unix seconds are those of `timestamps.parse_instant`. Here are the other forms: times without a zone, whose zone a
map or a person names, dates with slashes, the common log format, and durations with units. Standard library only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from footprint.core.timestamps import BadTimestamp, from_datetime, parse_instant
from footprint.core.units import S_PER_HOUR, US_PER_S

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DATE_ORDERS = ("dmy", "mdy")
NO_ZONE = 'time without a zone (append Z or an offset such as +02:00, or name the zone: --timezone, zone = "…" in a map)'
NO_ORDER = 'a date whose day and month cannot be told apart (--dates dmy or mdy, dates = "…" in a map)'
TWICE = "a local time that occurs twice, when clocks go back (write the offset)"
NEVER = "a local time that does not occur, when clocks go forward"

_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12
}  # fmt: skip
_WRITTEN = re.compile(
    r"(?:[a-z]{3,9},? )?"  # a weekday
    r"(?P<first>\d{1,4})(?P<mark>[-/. ])(?P<second>\d{1,2}|[a-z]{3})(?P=mark)(?P<third>\d{1,4})"
    r"(?:T|:|,? | - )"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<whole>\d\d)(?:[.,](?P<digits>\d+))?)?\s?(?P<half>[ap]m)?"
    r"\s?(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_CTIME = re.compile(
    r"[a-z]{3} (?P<month>[a-z]{3}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)(?: (?P<early>UTC|GMT))? "
    r"(?P<year>\d{4})(?: (?P<late>UTC|GMT))?",
    re.ASCII | re.IGNORECASE,
)
_CLOCK_SPAN = re.compile(r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)", re.ASCII)
_UNIT_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s?(h|min|m|sec|s|ms|us|µs|μs|ns)(?![a-z])", re.ASCII | re.IGNORECASE)
_NS_PER_US = 1000
_NS_PER_S = US_PER_S * _NS_PER_US
_NS_PER_UNIT = {
    "h": S_PER_HOUR * _NS_PER_S, "min": 60 * _NS_PER_S, "m": 60 * _NS_PER_S, "sec": _NS_PER_S, "s": _NS_PER_S,
    "ms": _NS_PER_S // 1000, "us": _NS_PER_US, "µs": _NS_PER_US, "μs": _NS_PER_US, "ns": 1,
}  # fmt: skip


@cache
def zone_of(name: str) -> tzinfo:
    """Time zone of an IANA name, ``UTC`` or an offset such as ``+02:00``.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    if offset := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name, re.ASCII):
        minutes = 60 * int(offset[2]) + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # also a path outside of the database
        raise ValueError(f"no time zone is named {name!r}; such are Europe/Paris, UTC and +02:00") from None


def parse_time(text: str, zone: tzinfo | None = None, order: str = "") -> int:
    """Instant [µs] of a time in any of the forms; ``zone`` is that of times without one, ``order`` that of dates with slashes.

    Raises
    ------
    BadTimestamp
        If it is not one unambiguous instant; the message says why, with the remedy.
    """
    try:
        return parse_instant(text)
    except BadTimestamp as error:
        unread = error
    text = text.strip().strip("[]")
    if match := _CTIME.fullmatch(text):
        month = _MONTHS.get(match["month"].lower(), 0)
        text = f"{match['year']}-{month:02d}-{int(match['day']):02d} {match['clock']}{match['early'] or match['late'] or ''}"
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise unread
    moment = _moment(match, order)
    if match["zone"]:
        name = match["zone"].upper()
        moment = moment.replace(tzinfo=zone_of(name if len(name) != 3 or name[0] not in "+-" else name + "00"))
    elif zone is None:
        raise BadTimestamp(NO_ZONE)
    else:
        moment = _localised(moment, zone)
    digits = match["digits"] or ""
    return from_datetime(moment) + int((digits + "000000")[:6]) + (digits[6:7] >= "5")


def _moment(match: re.Match[str], order: str) -> datetime:
    first, second, third = match["first"], match["second"], match["third"]
    month_name = _MONTHS.get(second.lower())
    if len(first) == 4:
        year, month, day = first, month_name or second, third
    elif len(third) != 4:
        raise BadTimestamp(NO_ORDER)
    elif month_name:
        day, month, year = first, month_name, third
    elif match["mark"] == "." or order == "dmy":
        day, month, year = first, second, third
    elif order == "mdy":
        month, day, year = first, second, third
    else:
        raise BadTimestamp(NO_ORDER)
    hour = int(match["hour"])
    if match["half"]:
        hour = hour % 12 + 12 * (match["half"].lower() == "pm")
    try:
        return datetime(int(year), int(month), int(day), hour, int(match["minute"]), int(match["whole"] or 0))  # noqa: DTZ001
    except ValueError:
        raise BadTimestamp("not a time: no such day or hour") from None


def _localised(moment: datetime, zone: tzinfo) -> datetime:
    """A local time in its zone, unless clocks show it twice or never.

    Raises
    ------
    BadTimestamp
        If they do.
    """
    earlier, later = moment.replace(tzinfo=zone), moment.replace(tzinfo=zone, fold=1)
    if earlier.utcoffset() == later.utcoffset():
        return earlier
    exists = earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
    raise BadTimestamp(TWICE if exists else NEVER)


def parse_span_us(value: Any, unit: str) -> int:
    """Duration [µs] from a number in ``unit``, or from a text such as ``4.7s``, ``1m30s`` or ``00:00:02.15``.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a duration")
    if isinstance(value, int):
        return (value * US_PER_S + PER_SECOND[unit] // 2) // PER_SECOND[unit]
    if isinstance(value, float):
        return _rounded(value * US_PER_S / PER_SECOND[unit])
    text = value.strip()
    try:
        return _rounded(float(text) * US_PER_S / PER_SECOND[unit])
    except ValueError:
        pass
    if clock := _CLOCK_SPAN.fullmatch(text):
        return _rounded((int(clock[1] or 0) * S_PER_HOUR + int(clock[2]) * 60 + float(clock[3])) * US_PER_S)
    text = text.removeprefix("PT").replace(",", "")
    parts = _UNIT_SPAN.findall(text)
    if not parts or _UNIT_SPAN.sub("", text).strip():
        raise ValueError("not a duration")
    return _rounded(sum(float(number) * _NS_PER_UNIT[name.lower()] for number, name in parts) / _NS_PER_US)


def _rounded(us: float) -> int:
    if not abs(us) < 2.0**62:
        raise ValueError("not a duration")
    return round(us)
