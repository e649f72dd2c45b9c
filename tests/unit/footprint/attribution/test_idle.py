"""Idle power: which spans are quiet, their histogram, and its densest place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from footprint.attribution.energy_intervals import BRIDGED, COUNTER, EnergyIntervals
from footprint.attribution.idle import LEARNING_DAYS, IdleHistograms, idle_histograms, idle_power_uw, merge_histograms
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog

S = 1_000_000
HOUR = 3600 * S
DAY = 24 * HOUR


def flight(*requests: tuple[int, int]) -> ConcurrencyTimeline:
    start, end = np.array(requests, dtype=np.int64).reshape(-1, 2).T
    n = len(start)
    unknown = np.full(n, -1)
    log = RequestLog(
        start, end, np.zeros(n, dtype=np.int64), np.ones(n), unknown, unknown, unknown, unknown, np.zeros(n, dtype=bool)
    )
    return ConcurrencyTimeline(log, np.array([0, DAY]))


def spans(*rows: tuple[int, int], method: int = COUNTER) -> EnergyIntervals:
    """Span number n has 2^n joules, so that a sum of energies says which spans it is of."""
    start, end = np.array(rows, dtype=np.int64).T
    energy = 2 ** np.arange(len(rows), dtype=np.int64) * S
    return EnergyIntervals(start, end, energy, end - start, np.full(len(rows), method, dtype=np.int8))


def members(histogram: dict[int, tuple[int, int]]) -> set[int]:
    energy = sum(e for _, e in histogram.values()) // S
    return {n for n in range(energy.bit_length()) if energy >> n & 1}


REQUEST = 2 * HOUR, 2 * HOUR + 100 * S


def test_quiet_begins_fifteen_seconds_after_a_request_and_ends_with_the_next() -> None:
    end = REQUEST[1]
    found = idle_histograms(
        spans((REQUEST[0] - S, REQUEST[0]), (REQUEST[0] - S, REQUEST[0] + 1), (end, end + S), (end + 15 * S - 1, end + 16 * S), (end + 15 * S, end + 16 * S)),
        flight(REQUEST), (0, DAY),
    )  # fmt: skip
    assert members(found.quiet) == {0, 4}
    assert members(found.near) == {0, 4}
    assert (found.busy_quiet, found.busy_near) == ({}, {})


def test_near_is_within_an_hour_of_a_request() -> None:
    before, after = REQUEST[0] - HOUR, REQUEST[1] + HOUR
    found = idle_histograms(
        spans((before - S, before), (before, before + S), (after - S, after), (after, after + S), (REQUEST[0], REQUEST[1])),
        flight(REQUEST), (0, DAY),
    )  # fmt: skip
    assert members(found.quiet) == {0, 1, 2, 3}
    assert members(found.near) == {1, 2}


def test_spans_of_the_day_count_and_bridged_ones_do_not() -> None:
    day = spans((0, 1), (HOUR - 1, HOUR), (HOUR, HOUR + 1), (2 * HOUR - 1, 2 * HOUR + 1), (2 * HOUR, 2 * HOUR + 1))
    assert members(idle_histograms(day, flight(), (HOUR, 2 * HOUR)).quiet) == {2, 3}
    assert idle_histograms(spans((0, 1), method=BRIDGED), flight(), (0, DAY)) == IdleHistograms()


def test_a_device_that_computed_for_more_than_two_percent_is_told_apart() -> None:
    second = [(n * 100, (n + 1) * 100) for n in range(6)]
    busy = EnergyIntervals(
        np.array([100, 200, 310, 500]),
        np.array([200, 300, 400, 600]),
        np.array([2, 3, 5, 100]),
        np.full(4, 0),
        np.zeros(4, dtype=np.int8),
    )
    found = idle_histograms(spans(*second), flight(), (0, DAY), busy)
    assert members(found.quiet) == {0, 1, 4}  # 2 of 100 is not notable
    assert members(found.busy_quiet) == {2, 3, 5}
    near = idle_histograms(spans(*second), flight((HOUR, HOUR + 1)), (0, DAY), busy)
    assert (members(near.near), members(near.busy_near)) == ({0, 1, 4}, {2, 3, 5})
    assert members(idle_histograms(spans(*second), flight(), (0, DAY), busy[:0]).quiet) == set(range(6))


def test_bins_are_half_a_percent_wide_and_add_time_and_energy() -> None:
    """Two spans at 100 W, one at 100.4 W in the same bin, one at 101 W, and one below a milliwatt."""
    rows = [(0, S, 100 * S), (S, 3 * S, 200 * S), (3 * S, 4 * S, 100_100_000), (4 * S, 5 * S, 101 * S), (5 * S, 6 * S, 3)]
    start, end, energy = np.array(rows).T
    found = idle_histograms(
        EnergyIntervals(start, end, energy, end - start, np.zeros(5, dtype=np.int8)), flight(), (0, DAY)
    ).quiet
    low, first, second = sorted(found)
    assert first == math.floor(math.log(100e6) / math.log(1.005))
    assert (second - first, low) == (2, 1385)
    assert found == {low: (S, 3), first: (4 * S, 400_100_000), second: (S, 101 * S)}


def test_days_are_kept_as_json_and_add_up() -> None:
    day = IdleHistograms({7: (1, 2)}, {8: (3, 4)}, {9: (5, 6)}, {10: (7, 8)})
    assert IdleHistograms.from_json(day.to_json()) == day
    assert day.to_json()["near"] == {"8": [3, 4]}
    assert IdleHistograms.from_json({"quiet": {"7": [1, 2]}}) == IdleHistograms({7: (1, 2)})
    assert merge_histograms([{1: (1, 2)}, {1: (10, 20), 2: (5, 6)}, {}]) == {1: (11, 22), 2: (5, 6)}
    assert LEARNING_DAYS == 28


def at(watts: int, seconds: float) -> dict[int, tuple[int, int]]:
    return {math.floor(math.log(watts * S) / math.log(1.005)): (round(seconds * S), round(watts * seconds * S))}


def test_the_first_histogram_with_time_enough_tells_idle_power() -> None:
    def learnt(*times: float) -> int | None:
        return idle_power_uw([IdleHistograms(at(20, times[0]), at(10, times[1]), at(40, times[2]), at(30, times[3]))])

    assert learnt(30, 600, 30, 600) == 10 * S
    assert learnt(30, 599.999999, 30, 600) == 20 * S
    assert learnt(29.999999, 599, 30, 600) == 30 * S
    assert learnt(29, 599, 30, 599.999999) == 40 * S
    assert learnt(29, 599, 29.999999, 599) is None
    assert idle_power_uw([]) is None
    assert idle_power_uw(IdleHistograms(at(20, 15)) for _ in range(2)) == 20 * S


CENTRE = math.floor(math.log(100e6) / math.log(1.005))


def mode(*cells: tuple[int, float, float]) -> int | None:
    """Idle power of bins relative to that of 100 W, seconds and watts."""
    return idle_power_uw([IdleHistograms({CENTRE + b: (round(s * S), round(s * w * S)) for b, s, w in cells})])


def test_the_mode_is_the_mean_within_ten_bins() -> None:
    found = mode((0, 1000, 100), (10, 30, 110), (-10, 10, 91), (11, 10, 9000), (-11, 10, 0), (-900, 900, 1))
    assert found == 104_210 * S // 1040


def test_the_densest_place_wins_over_the_highest_bin() -> None:
    assert mode((0, 60, 100), (5, 60, 100), (200, 100, 270)) == 100 * S
    assert mode((0, 60, 100), (200, 100, 270), (205, 30, 270)) == 270 * S


def test_the_centre_moves_until_it_stays() -> None:
    """All three lie within ten bins of the second; their mean does not, and leaves the third out."""
    assert mode((0, 100, 100), (8, 80, 100.3), (12, 100, 101)) == (10_000 + 8024) * S // 180


@pytest.mark.parametrize("watts", [0.0, 0.0005])
def test_a_device_that_is_off_has_an_idle_power_too(watts: float) -> None:
    assert idle_power_uw([IdleHistograms({1385: (100 * S, round(100 * watts * S))})]) == round(watts * S)
