"""Who is in flight when: a small log, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog, build_request_log, shift_log, widen_counts


def log(*rows: tuple[int, int, int, float], first: int = -1, arrival: tuple[int, ...] = ()) -> RequestLog:
    """From start, end, key and weight."""
    start, end, key, weight = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0, dtype=np.int64)] * 4
    )
    unknown = np.full(len(rows), -1)
    marked = np.isin(np.arange(len(rows)), arrival)
    return RequestLog(start, end, key, weight.astype(float), unknown, unknown, unknown, np.full(len(rows), first), marked)


THREE = log((10, 60, 0, 1), (40, 150, 1, 1), (120, 130, 0, 7))
EDGES = np.array([0, 100, 200])


def built(end: list[int], arrival_tokens: list[float], requests: list[int]) -> RequestLog:
    start = np.array([10, 25, 37, 48])
    columns = (np.full(4, n) for n in (11, 12, 13, 14))
    return build_request_log(start, np.array(end), np.arange(4), np.array(requests), *columns, 10, np.array(arrival_tokens))


def test_arrivals_stand_for_their_window_and_weigh_by_tokens() -> None:
    found = built([20, -1, 37, -1], [99.0, 4.0, 99.0, 12.0], [3, 1, 1, 1])
    assert found.start_us.tolist() == [10, 20, 37, 40]
    assert found.end_us.tolist() == [20, 30, 38, 50]
    assert found.weight.tolist() == [3, 0.5, 1, 1.5]
    assert found.arrival.tolist() == [False, True, False, True]
    for name, value in (("input_tokens", 11), ("cached_tokens", 12), ("output_tokens", 13), ("first_token_us", 14)):
        assert getattr(found, name).tolist() == [value] * 4
    assert found.key.tolist() == [0, 1, 2, 3]


def test_arrivals_without_tokens_keep_their_count_and_no_arrival_is_no_change() -> None:
    assert built([20, -1, 37, -1], [9.0, 0.0, 9.0, 0.0], [3, 2, 1, 4]).weight.tolist() == [3, 2, 1, 4]
    assert built([0, 26, 38, 60], [9.0] * 4, [3, 2, 1, 4]).weight.tolist() == [3, 2, 1, 4]
    assert built([0, 26, 38, 60], [9.0] * 4, [1] * 4).arrival.tolist() == [False] * 4
    assert built([20, -1, 37, -1], [0.0, 0.25, 0.0, 0.75], [1] * 4).weight.tolist() == [1, 0.5, 1, 1.5]


def test_counts_are_made_longer_by_their_length_at_both_ends() -> None:
    found = widen_counts(log((100, 130, 0, 1), (100, 130, 0, 2), (100, 140, 0, 1), (100, 105, 0, 0.5), arrival=(2,)))
    assert found.start_us.tolist() == [100, 70, 60, 95]
    assert found.end_us.tolist() == [130, 160, 180, 110]


def test_stamps_move_together_and_an_unknown_first_token_stays_unknown() -> None:
    for first, moved in ((12, 17), (0, 5), (-1, -1)):
        found = shift_log(log((10, 20, 0, 1), first=first), 5)
        assert (found.start_us[0], found.end_us[0], found.first_token_us[0]) == (15, 25, moved)


def test_a_log_is_chosen_from_by_place() -> None:
    some = THREE[np.array([2, 0])]
    assert (len(THREE), len(some), some.start_us.tolist(), some.weight.tolist()) == (3, 2, [120, 10], [7, 1])


def test_who_is_in_flight_between_instants() -> None:
    flight = ConcurrencyTimeline(THREE, EDGES)
    assert flight.grid_us.tolist() == [0, 10, 40, 60, 100, 120, 130, 150, 200]
    assert flight.in_flight.tolist() == [0, 1, 2, 1, 1, 8, 1, 0]
    assert flight.window.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_pairs_are_requests_within_windows() -> None:
    flight = ConcurrencyTimeline(THREE, EDGES)
    pairs = zip(flight.pair_request.tolist(), flight.pair_window.tolist(), flight.grid_us[flight.pair_begin].tolist(),
                flight.grid_us[flight.pair_finish].tolist(), strict=True)  # fmt: skip
    assert list(pairs) == [(0, 0, 10, 60), (1, 0, 40, 100), (1, 1, 100, 150), (2, 1, 120, 130)]


def test_what_lies_outside_the_edges_is_cut_off() -> None:
    flight = ConcurrencyTimeline(log((-50, 0, 0, 1), (-50, 30, 1, 1), (150, 900, 2, 1), (200, 900, 3, 1)), EDGES)
    assert flight.grid_us.tolist() == [0, 30, 100, 150, 200]
    assert flight.in_flight.tolist() == [1, 0, 0, 1]
    assert flight.pair_request.tolist() == [1, 2]
    assert flight.pair_window.tolist() == [0, 1]


def test_weights_whose_sum_does_not_come_back_leave_nobody_in_flight() -> None:
    flight = ConcurrencyTimeline(log((0, 30, 0, 0.1), (10, 20, 0, 0.2), (10, 40, 0, 0.3)), np.array([0, 60]))
    assert flight.in_flight[-1] == 0
    assert flight.in_flight[:-1] == pytest.approx([0.1, 0.6, 0.4, 0.3])


def test_overlaps_and_the_key_that_is_alone() -> None:
    spans = [
        (0, 10, 0, -1),
        (10, 40, 1, 0),
        (40, 60, 2, -1),
        (60, 120, 1, 1),
        (119, 121, 2, -1),
        (150, 170, 0, -1),
        (5, 11, 1, 0),
        (0, 200, 3, -1),
    ]
    start, end, counts, keys = (np.array(column) for column in zip(*spans, strict=True))
    count, key = ConcurrencyTimeline(THREE, EDGES).count_overlapping(start, end)
    assert (count.tolist(), key.tolist()) == (counts.tolist(), keys.tolist())


@pytest.mark.parametrize(
    ("keys", "alone"), [((3, 3), 3), ((0, 2), -1), ((1, 3), -1), ((2, 2, 2), 2), ((0, 3, 3), -1), ((1, 2, 3), -1), ((0, 0), 0)]
)
def test_several_requests_of_one_key_are_alone(keys: tuple[int, ...], alone: int) -> None:
    flight = ConcurrencyTimeline(
        log(*((10 + n, 50 - n, key, 1) for n, key in enumerate(keys)), (0, 5, 9, 1), (60, 70, 4, 1)), EDGES
    )
    count, key = flight.count_overlapping(np.array([20]), np.array([30]))
    assert (count.tolist(), key.tolist()) == ([len(keys)], [alone])


def test_share_of_busy_time_with_several() -> None:
    flight = ConcurrencyTimeline(THREE, EDGES)
    found = flight.concurrent_share(np.array([0, 10, 40, 0, 150, 55]), np.array([10, 60, 60, 200, 200, 65]))
    # The log is busy over [10, 150), with two over [40, 60) and [120, 130).
    assert found.tolist() == pytest.approx([0, 20 / 50, 1, 30 / 140, 0, 5 / 10])
    # A count of seven requests is one record; half a microsecond of busy time is busy.
    assert ConcurrencyTimeline(log((0, 50, 0, 7)), EDGES).concurrent_share(np.array([0]), np.array([50])).tolist() == [0]
    assert ConcurrencyTimeline(log((0, 1, 0, 1), (0, 1, 1, 1)), EDGES).concurrent_share(
        np.array([0]), np.array([1])
    ).tolist() == [1]


def test_in_flight_across_an_instant() -> None:
    assert ConcurrencyTimeline(THREE, EDGES).running_at(np.array([10, 11, 40, 41, 60, 125, 130, 150])).tolist() == [
        0,
        1,
        1,
        2,
        1,
        2,
        1,
        0,
    ]


def test_an_empty_log_has_nobody_in_flight() -> None:
    flight = ConcurrencyTimeline(log(), EDGES)
    assert (flight.in_flight.tolist(), flight.pair_request.tolist(), flight.window.tolist()) == ([0, 0], [], [0, 1])
    assert flight.count_overlapping(np.array([0]), np.array([9]))[0].tolist() == [0]
