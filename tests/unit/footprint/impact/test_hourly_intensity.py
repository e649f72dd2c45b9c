"""Hours of carbon intensity from samples, and the mean of the month where an hour is not known."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from footprint.impact.hourly_intensity import HourlyIntensity, hourly_intensity
from footprint.impact.operational import operational_g

HOUR = 3600 * 1_000_000
MINUTE = HOUR // 60
PARIS = ZoneInfo("Europe/Paris")
START = int(datetime.datetime(2026, 6, 30, 20, tzinfo=datetime.UTC).timestamp()) * 1_000_000  # two hours before July in Paris


def hours(*samples: tuple[int, float, int]) -> HourlyIntensity:
    """From minutes since the start, intensity, and length in minutes."""
    at, value, length = zip(*samples, strict=True)
    return hourly_intensity(START + np.array(at) * MINUTE, np.array(value, dtype=float), np.array(length) * MINUTE, PARIS)


def test_an_hour_is_the_mean_of_its_samples_by_time() -> None:
    found = hours((0, 60, 15), (15, 20, 45), (60, 10, 60))
    assert found.known == {START: 30.0, START + HOUR: 10.0}
    assert found.at(START) == (pytest.approx(30), False)


def test_a_sample_holds_for_its_length_or_until_the_next() -> None:
    assert hours((0, 60, 500), (30, 20, 30)).known == {START: pytest.approx(40)}
    assert hours((0, 60, 90)).known == {START: pytest.approx(60), START + HOUR: pytest.approx(60)}
    assert hours((30, 60, 90)).known == {START: pytest.approx(60), START + HOUR: pytest.approx(60)}


def test_an_hour_needs_half_of_itself() -> None:
    assert hours((0, 60, 30)).known == {START: pytest.approx(60)}
    assert hours((0, 60, 29)).known == {}
    assert hours((0, 60, 10), (40, 30, 20)).known == {START: pytest.approx(40)}


def test_the_mean_of_the_month_stands_in_where_an_hour_is_not_known() -> None:
    found = hours((0, 60, 60), (60, 20, 60), (120, 90, 60))
    assert found.month_mean == {(2026, 6): pytest.approx(40), (2026, 7): pytest.approx(90)}
    assert found.at(START - HOUR) == (pytest.approx(40), True)
    assert found.at(START + 3 * HOUR) == (pytest.approx(90), True)
    assert found.at(START + 40 * 24 * HOUR) is None


def test_without_samples_nothing_is_known() -> None:
    empty = np.zeros(0, dtype=np.int64)
    found = hourly_intensity(empty, empty.astype(float), empty, PARIS)
    assert (found.known, found.month_mean, found.at(START)) == ({}, {}, None)


def test_operational_emissions_are_energy_times_intensity() -> None:
    assert operational_g(7_200_000_000_000, 50) == pytest.approx(100)
