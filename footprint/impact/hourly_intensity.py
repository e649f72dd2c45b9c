"""Hourly carbon intensity from a series of samples; hours without enough samples take the mean of their month, flagged.

The time-aware figure is O = sum over hours of E x I (ISO/IEC 21031:2024, Software Carbon Intensity, 5.2, with I of the hour). It
stands beside the yearly figure; the two are never added.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_HOUR

MIN_HOUR_COVERAGE = 0.5  # of an hour that samples must cover


@dataclass(frozen=True, slots=True)
class HourlyIntensity:
    """Intensity [gCO2e/kWh] by UTC hour.

    ``known`` is keyed by the first instant of an hour [µs since 1970], ``month_mean`` by (year, month) of ``zone``.
    """

    known: dict[int, float]
    month_mean: dict[tuple[int, int], float]
    zone: ZoneInfo

    def at(self, hour_us: int) -> tuple[float, bool] | None:
        """Intensity [gCO2e/kWh] of an hour, and whether it is the mean of its month.

        None where the whole month is unknown.
        """
        if hour_us in self.known:
            return self.known[hour_us], False
        mean = self.month_mean.get(_month(hour_us, self.zone))
        return None if mean is None else (mean, True)


def hourly_intensity(start_us: Ints, g_per_kwh: Floats, length_us: Ints, zone: ZoneInfo) -> HourlyIntensity:
    """Hourly intensity from samples, each of which holds for its length or until the next one.

    Parameters
    ----------
    start_us
        Begin of each sample [µs since 1970], in order, shape (n,).
    g_per_kwh
        Intensity of each sample [gCO2e/kWh], shape (n,).
    length_us
        Length of each sample [µs], shape (n,).
    zone
        Time zone whose months fill missing hours.

    Returns
    -------
    HourlyIntensity
        Time-weighted means of the hours that samples cover by at least ``MIN_HOUR_COVERAGE``.
    """
    if not len(start_us):
        return HourlyIntensity({}, {}, zone)
    end = np.minimum(start_us + length_us, np.append(start_us[1:], start_us[-1] + length_us[-1]))
    covered_us: dict[int, float] = {}
    weighted: dict[int, float] = {}
    for begin, finish, value in zip(start_us.tolist(), end.tolist(), g_per_kwh.tolist(), strict=True):
        at = begin
        while at < finish:
            hour = at - at % US_PER_HOUR
            part_us = min(finish, hour + US_PER_HOUR) - at
            covered_us[hour] = covered_us.get(hour, 0.0) + part_us
            weighted[hour] = weighted.get(hour, 0.0) + part_us * value
            at += part_us
    known = {
        hour: weighted[hour] / covered_us[hour] for hour in covered_us if covered_us[hour] >= MIN_HOUR_COVERAGE * US_PER_HOUR
    }
    by_month: dict[tuple[int, int], list[float]] = {}
    for hour, value in known.items():
        by_month.setdefault(_month(hour, zone), []).append(value)
    return HourlyIntensity(known, {month: float(np.mean(values)) for month, values in by_month.items()}, zone)


def _month(hour_us: int, zone: ZoneInfo) -> tuple[int, int]:
    local: datetime.datetime = to_datetime(hour_us).astimezone(zone)
    return local.year, local.month
