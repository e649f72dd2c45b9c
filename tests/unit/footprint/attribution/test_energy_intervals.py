"""Samples become intervals: resets, gaps, misreads, trapezoids."""

import numpy as np

from footprint.attribution.energy_intervals import (
    BRIDGED,
    COUNTER,
    Samples,
    cut_at_edges,
    fill_gaps,
    gap_limit_us,
    intervals_from_counter,
    intervals_from_power,
)

S = 1_000_000


def samples(times_s: list[float], values: list[int], epoch: list[int] | None = None) -> Samples:
    n = len(times_s)
    return Samples(
        np.array([round(t * S) for t in times_s], dtype=np.int64),
        np.array(values, dtype=np.int64),
        np.full(n, -1, dtype=np.int64),
        np.array(epoch or [0] * n, dtype=np.int64),
    )


def test_a_counter_that_falls_was_reset_and_that_time_has_no_interval() -> None:
    intervals = intervals_from_counter(samples([0, 1, 2, 3], [10, 20, 5, 9]), 5 * S)
    assert intervals.energy_uj.tolist() == [10, 4]
    assert intervals.start_us.tolist() == [0, 2 * S]


def test_one_misread_sample_is_no_reset() -> None:
    intervals = intervals_from_counter(samples([0, 1, 2, 3], [10, 20, 5, 40]), 5 * S)
    assert intervals.energy_uj.tolist() == [10, 20]


def test_a_counter_bridges_its_gap_and_says_so() -> None:
    intervals = intervals_from_counter(samples([0, 1, 100], [0, 1, 100]), 5 * S)
    assert intervals.energy_uj.tolist() == [1, 99]
    assert intervals.method.tolist() == [COUNTER, BRIDGED]
    assert intervals.covered_us.tolist() == [S, 0]


def test_a_power_does_not_bridge_a_gap() -> None:
    intervals = intervals_from_power(samples([0, 1, 100], [2 * S, 4 * S, 4 * S]), 5 * S)
    assert intervals.energy_uj.tolist() == [3 * S]


def test_the_limit_of_a_gap_is_three_medians_or_five_seconds() -> None:
    assert gap_limit_us(np.array([S, S, S])) == 5 * S
    assert gap_limit_us(np.array([10 * S, 10 * S, 90 * S])) == 30 * S


def test_a_second_kind_counts_only_where_the_first_is_silent() -> None:
    first = intervals_from_counter(samples([0, 2], [0, 10]), 5 * S)
    second = intervals_from_power(samples([0, 1, 2, 3, 4], [S] * 5), 5 * S)
    both = fill_gaps(first, second)
    assert int(both.energy_uj.sum()) == 10 + 2 * S
    pieces, _, _ = cut_at_edges(both, np.array([0, S, 3 * S, 4 * S]))
    assert int(pieces.energy_uj.sum()) == int(both.energy_uj.sum())
