"""This file reads and writes instants: integer microseconds since 1970-01-01T00:00Z, always UTC.

Integers, because a cut in time must be the same cut whoever makes it. An instant without a
zone is refused: two hours of energy in the wrong quarter is an error that nobody would see.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

from footprint.units import US_PER_S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# 0001-01-01 and 9999-12-31 bound what datetime can show; a counter of milliseconds or
# nanoseconds handed in as seconds lands far outside and is refused rather than believed.
_MIN_US = -62_135_596_800 * US_PER_S
_MAX_US = 253_402_300_799 * US_PER_S


class BadInstant(ValueError):
    """A text that does not name one instant; the message says why."""


def parse_instant(text: str) -> int:
    """Instant in µs since the epoch from RFC 3339 with an offset, or from Unix seconds.

    Raises
    ------
    BadInstant
        If the text has no zone, or is no time at all.
    """
    text = text.strip()
    if not text:
        raise BadInstant("empty time")
    if text[-1].isdigit() and not any(c in text for c in ":T "):
        return _from_unix(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInstant("not a time (RFC 3339 with an offset, or Unix seconds)") from None
    if moment.tzinfo is None:
        raise BadInstant("time without a zone (append Z or an offset such as +02:00)")
    return from_datetime(moment)


def _from_unix(text: str) -> int:
    whole, _, fraction = text.partition(".")
    try:
        if "e" in text.lower():
            seconds = float(text)
            if not math.isfinite(seconds):
                raise ValueError
            us = round(seconds * US_PER_S)
        else:
            # Digits, not floats: 1712155659.123457 has more than a double's worth of them.
            sign = -1 if whole.startswith("-") else 1
            micros = int((fraction + "000000")[:6] or "0")
            us = int(whole) * US_PER_S + sign * micros
            us += sign * (len(fraction) > 6 and fraction[6] >= "5")
    except ValueError:
        raise BadInstant("not a time (RFC 3339 with an offset, or Unix seconds)") from None
    if not _MIN_US <= us <= _MAX_US:
        raise BadInstant("time out of range (Unix seconds expected, not milliseconds)")
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
