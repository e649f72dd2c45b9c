"""This file reads and writes instants: integer microseconds since 1970-01-01T00:00Z, always UTC.

Integers, because a cut in time must be the same cut whoever makes it. An instant without a
zone is refused: two hours of energy in the wrong quarter is an error that nobody would see.
"""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime, timedelta, timezone

from footprint.core.units import US_PER_S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# 0001-01-01 and 9999-12-31 bound what datetime can show; a counter of milliseconds or
# nanoseconds handed in as seconds lands far outside and is refused rather than believed.
_MIN_US = -62_135_596_800 * US_PER_S
_MAX_US = 253_402_300_799 * US_PER_S

_NOT_A_TIME = "not a time (RFC 3339 with an offset, or Unix seconds)"
_UNIX = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
# RFC 3339, 5.6: T and Z may be small, a space may stand for the T; beyond it, an offset may lack its
# colon or its minutes and a time its seconds, for no other instant can be meant.
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?:(:\d\d)(?:[.,](\d+))?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII | re.IGNORECASE
)


class BadTimestamp(ValueError):
    """A text that does not name one instant; the message says why."""


def now_us() -> int:
    """The wall clock [µs]; only the rim of a program reads it."""
    return time.time_ns() // 1000


def parse_instant(text: str) -> int:
    """Instant in µs since the epoch from RFC 3339 with an offset, or from Unix seconds; nearest µs.

    Raises
    ------
    BadInstant
        If the text has no zone, or is no time at all.
    """
    text = text.strip()
    if not text:
        raise BadTimestamp("empty time")
    if found := _UNIX.fullmatch(text):
        return _from_unix(*found.groups())
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise BadTimestamp(_NOT_A_TIME)
    day, clock, second, digits, zone = found.groups()
    if zone is None:
        raise BadTimestamp("time without a zone (append Z or an offset such as +02:00)")
    # A leap second has no place among 86,400 s days: it is the instant after it.
    leap = second == ":60"
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{':59' if leap else second or ''}{zone.upper()}")
    except ValueError:
        raise BadTimestamp(_NOT_A_TIME) from None
    return _in_range(from_datetime(moment) + leap * US_PER_S + (0 if leap else _micros(digits or "")))


def _micros(digits: str) -> int:
    """Fraction of a second [µs] from its decimals, whatever their number; half is rounded up."""
    return int((digits + "000000")[:6]) + (digits[6:7] >= "5")


def _from_unix(sign: str, whole: str, fraction: str | None, exponent: str | None) -> int:
    if exponent:
        seconds = float(f"{sign}{whole}.{fraction or 0}{exponent}")
        us = round(seconds * US_PER_S) if math.isfinite(seconds) else _MAX_US + 1
    else:
        # Digits, not floats: 1712155659.123457 has more than a double's worth of them.
        us = int(whole[:20]) * US_PER_S + _micros(fraction or "")
        us = -us if sign == "-" else us
    return _in_range(us)


def _in_range(us: int) -> int:
    if not _MIN_US <= us <= _MAX_US:
        raise BadTimestamp("time out of range (Unix seconds expected, not milliseconds)")
    return us


def from_datetime(moment: datetime) -> int:
    """Instant in µs since the epoch from an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant_us: int, zone: timezone | None = None) -> datetime:
    """Aware datetime (UTC unless a zone is given) from an instant in µs."""
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone or UTC)


def format_instant(instant_us: int) -> str:
    """RFC 3339 in UTC with ``Z``; fractional seconds only where there are any."""
    moment = _EPOCH + timedelta(microseconds=instant_us)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return text + "Z"
