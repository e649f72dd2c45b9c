"""Uplift of a host: windows that count, their least number, and the interval."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.attribution.wall_to_parts import WallBalance, compare_wall_to_parts


def spans(*rows: tuple[int, int, int, int]) -> EnergyIntervals:
    """From start, end, energy and time seen."""
    start, end, energy, seen = np.array(rows, dtype=np.int64).T
    return EnergyIntervals(start, end, energy, seen, np.zeros(len(rows), dtype=np.int8))


def test_a_window_counts_where_every_part_and_meter_saw_99_percent_of_it() -> None:
    edges = np.array([0, 100, 200, 300])
    wall = spans((0, 100, 30, 100), (100, 200, 60, 100), (200, 300, 90, 99))
    part = spans((0, 100, 10, 98), (100, 200, 40, 99), (200, 300, 50, 100))
    other = spans((0, 100, 5, 100), (100, 200, 6, 100), (200, 300, 7, 100))
    found = compare_wall_to_parts([part, other], [wall], edges)
    assert (found.wall_uj.tolist(), found.parts_uj.tolist()) == ([60, 90], [46, 57])


def test_two_meters_of_a_host_are_added() -> None:
    edges = np.array([0, 100])
    wall = spans((0, 100, 30, 100))
    assert compare_wall_to_parts([wall], [wall, wall], edges).wall_uj.tolist() == [60]
    assert compare_wall_to_parts([wall], [wall, spans((0, 100, 30, 90))], edges).wall_uj.tolist() == []


def test_the_uplift_is_the_ratio_of_sums_between_quantiles_of_windows() -> None:
    """Ten windows at 1.2 and one each at 1.1 and 1.5, the last twice as heavy; those without parts are left out."""
    parts = np.array([100] * 11 + [200, 0])
    wall = np.array([120] * 10 + [110, 300, 50])
    found = WallBalance(wall, parts).uplift
    assert found is not None
    assert found.value == pytest.approx(1610 / 1300)
    # Twelve ratios, sorted: the 2.5 % quantile lies at 0.275 of the way from the first to the second.
    assert found.low == pytest.approx(1.1 + 0.275 * 0.1)
    assert found.high == pytest.approx(1.2 + 0.725 * 0.3)


def test_twelve_windows_are_enough_and_eleven_are_not() -> None:
    assert WallBalance(np.full(11, 6), np.full(11, 4)).uplift is None
    found = WallBalance(np.full(12, 6), np.full(12, 4)).uplift
    assert found is not None
    assert (found.low, found.value, found.high) == (1.5, 1.5, 1.5)
    # A window in which the parts drew a microjoule counts, one in which they drew nothing does not.
    assert WallBalance(np.full(12, 6), np.array([4] * 11 + [1])).uplift is not None
    assert WallBalance(np.full(12, 6), np.array([4] * 11 + [0])).uplift is None


def test_the_value_lies_within_its_bounds_where_one_window_outweighs_all() -> None:
    parts, wall = np.array([1] * 60 + [10_000]), np.array([2] * 60 + [10_000])
    found = WallBalance(wall, parts).uplift
    assert found is not None
    assert found.low == found.value
    assert found.value == pytest.approx(10_120 / 10_060)
    wall = np.array([2] * 60 + [50_000])
    found = WallBalance(wall, parts).uplift
    assert found is not None
    assert found.high == found.value
