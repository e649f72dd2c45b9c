"""Samples become intervals: resets, gaps, misreads, trapezoids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.attribution.energy_intervals import (
    BRIDGED,
    COUNTER,
    ESTIMATE,
    METHODS,
    MODELLED,
    POWER,
    EnergyIntervals,
    Samples,
    clip_to_windows,
    cut_at_edges,
    expand_ranges,
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


DAY = 86_400 * S


def samples_at(
    times_us: list[int], values: list[int], *, covered: list[int] | None = None, epoch: list[int] | None = None
) -> Samples:
    n = len(times_us)
    columns = times_us, values, covered or [-1] * n, epoch or [0] * n
    return Samples(*(np.array(column, dtype=np.int64) for column in columns))


def spans(*rows: tuple[int, int, int], method: int = COUNTER) -> EnergyIntervals:
    start, end, energy = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return EnergyIntervals(start, end, energy, end - start, np.full(len(rows), method, dtype=np.int8))


def rows(found: EnergyIntervals) -> list[tuple[int, int, int]]:
    return list(zip(found.start_us.tolist(), found.end_us.tolist(), found.energy_uj.tolist(), strict=True))


def test_numbers_of_methods_are_those_of_their_names() -> None:
    assert [METHODS[n] for n in (COUNTER, POWER, ESTIMATE, BRIDGED, MODELLED)] == [
        "counter",
        "power",
        "estimate",
        "bridged",
        "modelled",
    ]


@pytest.mark.parametrize(
    ("spacings", "limit"),
    [([], 5 * S), ([S], 5 * S), ([2 * S, 2 * S, 99 * S], 6 * S), ([4 * S, 2 * S], 9 * S), ([5 * S // 3], 5 * S)],
)
def test_limit_of_a_gap(spacings: list[int], limit: int) -> None:
    assert gap_limit_us(np.array(spacings, dtype=np.int64)) == limit


def test_fewer_than_two_samples_are_no_span() -> None:
    for count in (0, 1):
        for make in (intervals_from_counter, intervals_from_power):
            found = make(samples_at([S] * count, [7] * count), 5 * S)
            assert (len(found), found.method.shape) == (0, (0,))
    assert rows(intervals_from_counter(samples_at([0, S], [3, 7]), 5 * S)) == [(0, S, 4)]
    assert rows(intervals_from_power(samples_at([0, S], [3, 7]), 5 * S)) == [(0, S, 5)]


def test_a_counter_that_stands_still_is_a_span_of_nothing() -> None:
    assert rows(intervals_from_counter(samples_at([0, S, 2 * S], [5, 5, 6]), 5 * S)) == [(0, S, 0), (S, 2 * S, 1)]


def test_an_epoch_that_ends_and_samples_of_one_instant_are_no_span() -> None:
    assert rows(intervals_from_counter(samples_at([0, S, 2 * S], [1, 2, 9], epoch=[0, 1, 1]), 5 * S)) == [(S, 2 * S, 7)]
    assert rows(intervals_from_counter(samples_at([0, 0, S], [1, 2, 9]), 5 * S)) == [(0, S, 7)]


def test_a_spacing_of_the_limit_is_no_gap_and_one_above_is_bridged() -> None:
    found = intervals_from_counter(samples_at([70, 75, 81], [0, 1, 2]), 5, ESTIMATE)
    assert found.method.tolist() == [ESTIMATE, BRIDGED]
    assert found.covered_us.tolist() == [5, 0]


def test_a_limit_by_sample_is_that_of_the_span_it_begins() -> None:
    found = intervals_from_counter(samples_at([0, 6, 12, 18], [0, 1, 2, 3]), np.array([9, 1, 9, 1]))
    assert found.method.tolist() == [COUNTER, BRIDGED, COUNTER]
    found = intervals_from_power(samples_at([0, 6, 12, 18], [S, S, S, S]), np.array([9, 1, 6, 1]))
    assert found.start_us.tolist() == [0, 12]


def test_limits_of_misread_samples_go_with_them() -> None:
    found = intervals_from_counter(samples_at([0, 6, 12, 20], [10, 3, 12, 13]), np.array([12, 1, 8, 1]))
    assert rows(found) == [(0, 12, 2), (12, 20, 1)]
    assert found.method.tolist() == [COUNTER, COUNTER]


@pytest.mark.parametrize(
    ("covered", "seen", "method"),
    [
        ([0, 20], 20, COUNTER),  # the agent watched all of it
        ([0, 10], 10, COUNTER),  # half of it
        ([0, 9], 9, BRIDGED),
        ([4, 40], 20, COUNTER),  # no more than the span
        ([9, 3], 0, BRIDGED),  # no less than nothing
        ([-1, 20], 0, BRIDGED),  # nobody said
        ([0, -1], 0, BRIDGED),
    ],
)
def test_what_an_agent_watched_tells_a_gap(covered: list[int], seen: int, method: int) -> None:
    found = intervals_from_counter(samples_at([100, 120], [0, 8], covered=covered), 5)
    assert (found.covered_us.tolist(), found.method.tolist()) == ([seen], [method])


def test_what_an_agent_watched_of_a_short_span_is_kept() -> None:
    found = intervals_from_counter(samples_at([0, 4, 8, 12], [0, 8, 9, 9], covered=[0, 0, 1, -1]), 5)
    assert (found.covered_us.tolist(), found.method.tolist()) == ([0, 1, 4], [COUNTER] * 3)


@pytest.mark.parametrize(
    ("values", "epoch", "expected"),
    [
        ([10, 5, 10], [0, 0, 0], [(0, 2, 0)]),  # back where it stood: misread
        ([10, 5, 11], [0, 0, 0], [(0, 2, 1)]),
        ([10, 5, 9], [0, 0, 0], [(1, 2, 4)]),  # a reset
        ([10, 10, 12], [0, 0, 0], [(0, 1, 0), (1, 2, 2)]),
        ([10, 5, 11], [0, 1, 1], [(1, 2, 6)]),  # a new epoch begins lower and is no misread
        ([10, 5, 11], [0, 0, 1], []),
        ([10, 5, 11], [1, 0, 1], []),
        ([10, 5], [0, 0], []),
    ],
)
def test_misreads(values: list[int], epoch: list[int], expected: list[tuple[int, int, int]]) -> None:
    assert rows(intervals_from_counter(samples_at(list(range(len(values))), values, epoch=epoch), 5)) == expected


def test_the_first_and_the_last_of_many_can_be_misread_too() -> None:
    assert rows(intervals_from_counter(samples_at([0, 1, 2, 3, 4], [10, 2, 11, 3, 12]), 5)) == [(0, 2, 1), (2, 4, 1)]


def test_half_microjoules_are_rounded_as_a_running_sum() -> None:
    """1 µW over half seconds: 0.5, 1, 1.5, 2 µJ, to the even integer 0, 1, 2, 2."""
    found = intervals_from_power(samples_at([0, S // 2, S, 3 * S // 2, 2 * S], [1] * 5), 5 * S)
    assert found.energy_uj.tolist() == [0, 1, 1, 0]
    assert found.method.tolist() == [POWER] * 4
    assert found.covered_us.tolist() == [S // 2] * 4


def test_a_gap_of_a_power_has_no_energy_and_adds_none_to_the_rounding() -> None:
    found = intervals_from_power(samples_at([0, S // 2, 9 * S, 9 * S + S // 2], [1] * 4), S, ESTIMATE)
    assert rows(found) == [(0, S // 2, 0), (9 * S, 9 * S + S // 2, 1)]
    assert found.method.tolist() == [ESTIMATE, ESTIMATE]
    assert rows(intervals_from_power(samples_at([0, 0, S], [5, 7, 9]), S)) == [(0, S, 8)]


def test_rounding_begins_again_each_day_and_a_span_across_midnight_is_rounded_alone() -> None:
    """0.6 µJ a span. First day 0.6, 1.2; across midnight 0.6; second day 0.6, 1.2."""
    step = 6 * S // 10
    times = [DAY - 5 * step // 2 + n * step for n in range(6)]
    found = intervals_from_power(samples_at(times, [1] * 6), S)
    assert found.energy_uj.tolist() == [1, 0, 1, 1, 0]
    # A span that ends at midnight is of the day before it, one that begins there of the day after.
    found = intervals_from_power(samples_at([DAY - 2 * step, DAY - step, DAY, DAY + step, DAY + 2 * step], [1] * 5), S)
    assert found.energy_uj.tolist() == [1, 0, 1, 0]
    assert intervals_from_power(samples_at([DAY + 1 - 2 * step, DAY + 1 - step, DAY + 1], [1] * 3), S).energy_uj.tolist() == [
        1,
        1,
    ]


def test_a_span_of_one_microsecond_is_a_span() -> None:
    assert rows(intervals_from_power(samples_at([7, 8], [2 * S, 2 * S]), S)) == [(7, 8, 2)]


def test_a_second_kind_fills_before_between_and_after_the_first() -> None:
    found = fill_gaps(spans((10, 20, 100), (30, 40, 200)), spans((0, 50, 500), method=POWER))
    assert rows(found) == [(0, 10, 100), (10, 20, 100), (20, 30, 100), (30, 40, 200), (40, 50, 100)]
    assert found.method.tolist() == [POWER, COUNTER, POWER, COUNTER, POWER]
    assert found.covered_us.tolist() == [10] * 5


def test_fill_with_nothing_is_the_other() -> None:
    one, none = spans((0, 5, 3)), EnergyIntervals.empty()
    assert rows(fill_gaps(one, none)) == [(0, 5, 3)]
    assert rows(fill_gaps(none, one)) == [(0, 5, 3)]
    assert rows(fill_gaps(spans((0, 9, 4)), spans((2, 5, 7)))) == [(0, 9, 4)]
    assert rows(fill_gaps(spans((0, 4, 4)), spans((4, 8, 7)))) == [(0, 4, 4), (4, 8, 7)]
    assert rows(fill_gaps(spans((4, 8, 4)), spans((0, 4, 7)))) == [(0, 4, 7), (4, 8, 4)]
    touching = fill_gaps(spans((10, 20, 1), (20, 30, 1)), spans((0, 40, 400)))
    assert rows(touching) == [(0, 10, 100), (10, 20, 1), (20, 30, 1), (30, 40, 100)]


def test_clip_keeps_what_lies_in_windows() -> None:
    found = clip_to_windows(spans((0, 10, 100), (10, 20, 10), (25, 26, 7)), np.array([2, 8, 20]), np.array([4, 12, 25]))
    assert rows(found) == [(2, 4, 20), (8, 10, 20), (10, 12, 2)]


def test_expand_counts_on_from_each_first() -> None:
    index, value = expand_ranges(np.array([5, 0, 8]), np.array([2, 0, 3]))
    assert (index.tolist(), value.tolist()) == ([0, 0, 2, 2, 2], [5, 6, 8, 9, 10])


def test_cut_at_edges_drops_what_is_outside() -> None:
    pieces, window, span = cut_at_edges(spans((0, 10, 100), (10, 20, 7), (20, 30, 9), (45, 50, 3)), np.array([5, 10, 13, 25]))
    assert rows(pieces) == [(5, 10, 50), (10, 13, 2), (13, 20, 5), (20, 25, 4)]
    assert (window.tolist(), span.tolist()) == ([0, 1, 2, 2], [0, 1, 1, 2])
    assert pieces.covered_us.tolist() == [5, 3, 7, 5]
    assert len(cut_at_edges(spans((0, 5, 1), (25, 30, 1)), np.array([5, 10, 25]))[0]) == 0


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10**6)), min_size=1, max_size=8),
    st.lists(st.integers(0, 400), min_size=2, max_size=6, unique=True),
)
def test_pieces_hold_what_lies_between_the_outer_edges(steps: list[tuple[int, int]], edges: list[int]) -> None:
    at, made = 0, []
    for length, energy in steps:
        made.append((at, at + length, energy))
        at += length
    whole = spans(*made)
    edges = sorted(edges)
    pieces, window, span = cut_at_edges(whole, np.array(edges))
    assert (pieces.end_us > pieces.start_us).all()
    assert (pieces.start_us >= np.array(edges)[window]).all()
    assert (pieces.end_us <= np.array(edges)[window + 1]).all()
    inside = (whole.start_us >= edges[0]) & (whole.end_us <= edges[-1])
    for number in np.flatnonzero(inside):
        assert int(pieces.energy_uj[span == number].sum()) == made[number][2]
        assert int(pieces.covered_us[span == number].sum()) == made[number][1] - made[number][0]


def test_choosing_spans_and_samples_keeps_their_columns() -> None:
    some = spans((0, 1, 5), (2, 3, 6), (4, 5, 7))[np.array([0, 2])]
    assert (rows(some), some.covered_us.tolist(), some.method.tolist()) == ([(0, 1, 5), (4, 5, 7)], [1, 1], [COUNTER, COUNTER])
    one = samples_at([1, 2], [3, 4], covered=[5, 6], epoch=[7, 8])[1:]
    assert (one.time_us.tolist(), one.value.tolist(), one.covered_us.tolist(), one.epoch.tolist()) == ([2], [4], [6], [8])
