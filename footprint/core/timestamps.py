"""Timestamps: parse and format instants, integer microseconds since 1970-01-01T00:00Z, always UTC.

Integers make every boundary in time exact and equal for all programs. A timestamp without a zone
is refused: it could move two hours of energy into the wrong quarter without any visible error.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone

from footprint.core.units import US_PER_S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# datetime spans 0001-01-01 to 9999-12-31; milliseconds or nanoseconds given as seconds
# fall far outside and are refused.
_MIN_US = -62_135_596_800 * US_PER_S
_MAX_US = 253_402_300_799 * US_PER_S

_NOT_A_TIME = "not a time (RFC 3339 with an offset, or Unix seconds)"
_UNIX = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
# RFC 3339, 5.6: T and Z may be lower case, and a space may replace T. Also accepted, because they are
# unambiguous: an offset without colon or minutes, and a time without seconds.
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?:(:\d\d)(?:[.,](\d+))?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII | re.IGNORECASE
)


class BadTimestamp(ValueError):
    """A text that is not one unambiguous instant; the message says why."""


def now_us() -> int:
    """Wall-clock time [µs]; pure functions take it as an argument instead."""
    return time.time_ns() // 1000


def parse_instant(text: str) -> int:
    """Instant in µs since the epoch from RFC 3339 with an offset, or from Unix seconds; nearest µs.

    Raises
    ------
    BadTimestamp
        If the text has no zone, or is not a timestamp.
    """
    text = text.strip()
    if not text:
        raise BadTimestamp("empty time")
    if unix := _UNIX.fullmatch(text):
        return _from_unix(*unix.groups())
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise BadTimestamp(_NOT_A_TIME)
    day, clock, second, digits, zone = match.groups()
    if zone is None:
        raise BadTimestamp("time without a zone (append Z or an offset such as +02:00)")
    # Days have 86,400 s here: a leap second maps to the instant after it.
    leap = second == ":60"
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{':59' if leap else second or ''}{zone.upper()}")
    except ValueError:
        raise BadTimestamp(_NOT_A_TIME) from None
    return _in_range(from_datetime(moment) + leap * US_PER_S + (0 if leap else _micros(digits or "")))


def _micros(digits: str) -> int:
    """Fraction of a second [µs] from any number of decimals; half rounds up."""
    return int((digits + "000000")[:6]) + (digits[6:7] >= "5")


def _from_unix(sign: str, whole: str, fraction: str | None, exponent: str | None) -> int:
    if exponent:
        seconds = float(f"{sign}{whole}.{fraction or 0}{exponent}")
        us = round(seconds * US_PER_S) if abs(seconds) <= _MAX_US / US_PER_S else _MAX_US + 1
    else:
        # Digits, not floats: a double cannot hold 1712155659.123457 exactly.
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
    """Aware datetime, in UTC by default, from an instant in µs."""
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone or UTC)


def format_instant(instant_us: int) -> str:
    """RFC 3339 in UTC with ``Z``; fractional seconds only if not zero."""
    moment = _EPOCH + timedelta(microseconds=instant_us)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return text + "Z"
