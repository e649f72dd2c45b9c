"""Slots: the stretches of time that stored figures are made of."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

from footprint.core.units import S_PER_HOUR, US_PER_HOUR

QUARTER_HOUR_US = US_PER_HOUR // 4
_WINTER, _SUMMER = datetime.datetime(2026, 1, 1), datetime.datetime(2026, 7, 1)  # noqa: DTZ001 - local by definition


def slot_length_us(zone: ZoneInfo) -> int:
    """Length of a slot [µs]: an hour, or a quarter of an hour where the zone is not whole hours from UTC."""
    offsets = {zone.utcoffset(_WINTER), zone.utcoffset(_SUMMER)}
    whole = all(offset is not None and offset.total_seconds() % S_PER_HOUR == 0 for offset in offsets)
    return US_PER_HOUR if whole else QUARTER_HOUR_US


def widen_to_slots(start_us: int, end_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """Edges [µs] of the slots that contain the ends of a range."""
    length_us = slot_length_us(zone)
    return start_us - start_us % length_us, end_us + -end_us % length_us
