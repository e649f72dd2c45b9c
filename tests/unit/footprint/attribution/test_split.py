"""Energy of one placement over keys: idle by instants, measured spans, cells, ranges; microseconds and microjoules by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog
from footprint.attribution.split import IDLE, UNATTRIBUTED, SplitRows, idle_energy, split_placement
from footprint.attribution.token_weights import DeclaredWeights

S = 1_000_000
HOUR = 3600 * S
Rows = dict[tuple[int, int], tuple[int, int, int]]


def spans(*rows: tuple[int, int, int]) -> EnergyIntervals:
    start, end, energy = np.array(rows, dtype=np.int64).T
    return EnergyIntervals(start, end, energy, end - start, np.zeros(len(rows), dtype=np.int8))


def log(*rows: tuple[int, int, int, int], weight: float = 1.0, arrival: bool = False) -> RequestLog:
    """From start, end, key and output tokens (-1: unknown)."""
    start, end, key, output = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    unknown = np.full(len(start), -1)
    return RequestLog(
        start, end, key, np.full(len(start), weight), unknown, unknown, output, unknown, np.full(len(start), arrival)
    )


class Tokens:
    """Output tokens over a request, ``times`` as much for key 0; by the hour where coarse."""

    method, is_pooled = "tokens", False

    def __init__(self, log: RequestLog, times: float = 1.0, *, coarse: bool = False) -> None:
        self.log, self.times, self.has_coarse_stamps = log, times, coarse

    def model_energy(self, request: Ints, start_us: Ints, end_us: Ints) -> Floats:
        length = (self.log.end_us - self.log.start_us)[request]
        factor = np.where(self.log.key[request] == 0, self.times, 1.0)
        return self.log.output_tokens[request] * factor * (end_us - start_us) / length


def found(rows: SplitRows) -> Rows:
    """(active, idle, modelled) by window and key."""
    columns = (rows.window, rows.key, rows.active_uj, rows.idle_uj, rows.modelled_uj)
    return {(w, k): (a, i, m) for w, k, a, i, m in zip(*(each.tolist() for each in columns), strict=True)}


def split(
    given: EnergyIntervals,
    requests: RequestLog,
    edges: list[int],
    idle_uw: int | None = None,
    window_us: int = 1000,
    **more: object,
) -> Rows:
    flight = ConcurrencyTimeline(requests, np.array(edges))
    return found(split_placement(given, idle_uw, flight, Tokens(requests), window_us, **more))  # type: ignore[arg-type]


def test_idle_is_power_times_time_and_never_more_than_was_read() -> None:
    given = spans((0, 2 * S, 100), (2 * S, 3 * S, 20), (3 * S, 3 * S + S // 2, 100))
    assert idle_energy(given, 30).tolist() == [60, 20, 15]
    assert idle_energy(given, 31, 0.5).tolist() == [31, 10, 7]
    assert idle_energy(given, None).tolist() == [0, 0, 0]


def test_a_span_of_one_key_is_measured_and_what_nobody_ran_in_is_nobodys() -> None:
    given = spans((0, S, 10), (S, 2 * S, 30), (2 * S, 3 * S, 30), (3 * S, 4 * S, 10))
    rows = split(given, log((S, 3 * S, 0, 5)), [0, 4 * S], 4)
    assert rows == {(0, UNATTRIBUTED): (12, 0, 0), (0, IDLE): (0, 8, 0), (0, 0): (52, 8, 0)}


def test_idle_is_shared_equally_at_each_instant_by_those_in_flight() -> None:
    """1 µJ a second: key 0 alone for 5 s, both for 5 s, key 1 alone for 5 s, nobody for 5 s; a tie goes to the earlier key."""
    given = spans((0, 20 * S, 20))
    rows = split(given, log((0, 10 * S, 0, 1), (5 * S, 15 * S, 1, 1)), [0, 20 * S], 1)
    assert rows == {(0, IDLE): (0, 5, 0), (0, 0): (0, 8, 0), (0, 1): (0, 7, 0)}


def test_a_microjoule_of_idle_is_his_who_runs() -> None:
    assert split(spans((0, S, 5)), log((0, S, 0, 1)), [0, S], 1) == {(0, 0): (4, 1, 0)}


def test_idle_of_counts_is_shared_by_weight_and_by_window() -> None:
    requests = log((0, 20 * S, 0, 10), (10 * S, 30 * S, 1, 10), weight=3.0)
    rows = split(spans((0, 40 * S, 40)), requests, [0, 20 * S, 40 * S], 1)
    assert rows == {(0, 0): (0, 15, 0), (0, 1): (0, 5, 0), (1, 1): (0, 10, 0), (1, IDLE): (0, 10, 0)}


def test_idle_follows_the_spans_that_drew_it() -> None:
    """Half a microjoule each of two spans, nothing in the gap and in the third: 2 and 3 to the keys, the rest to nobody."""
    given = spans((0, 10, 10), (30, 40, 10), (40, 50, 0))
    rows = split(given, log((0, 4, 0, 1), (20, 36, 1, 1), (45, 50, 2, 1)), [0, 50], S // 2)
    assert rows == {(0, IDLE): (0, 5, 0), (0, 0): (5, 2, 0), (0, 1): (5, 3, 0)}


def test_a_shared_span_is_divided_by_model_energy() -> None:
    rows = split(spans((0, 40, 100)), log((0, 40, 0, 30), (0, 40, 1, 10)), [0, 40])
    assert rows == {(0, 0): (75, 0, 75), (0, 1): (25, 0, 25)}


def test_only_time_within_a_cell_counts() -> None:
    """Key 0 has 10 of its 40 units in the span, key 1 half of its 20, key 2 none."""
    requests = log((-20, 20, 0, 80), (10, 50, 1, 40), (20, 30, 2, 9), (-9, 0, 2, 9))
    rows = split(spans((0, 20, 100)), requests, [0, 20])
    assert rows == {(0, 0): (80, 0, 80), (0, 1): (20, 0, 20)}


def test_where_one_hands_over_to_the_next_time_divides() -> None:
    assert split(spans((0, 40, 100)), log((0, 10, 0, 30), (10, 40, 1, 10)), [0, 40]) == {(0, 0): (25, 0, 25), (0, 1): (75, 0, 75)}
    # With a tenth of the busy time together the model divides, with less it does not.
    assert split(spans((0, 20, 100)), log((0, 11, 0, 30), (9, 20, 1, 10)), [0, 20])[0, 0] == (75, 0, 75)
    assert split(spans((0, 200, 100)), log((0, 109, 0, 30), (90, 200, 1, 10)), [0, 200])[0, 0] == (50, 0, 50)


def test_a_model_that_gives_nothing_leaves_it_to_time() -> None:
    assert split(spans((0, 40, 100)), log((0, 10, 0, 0), (0, 40, 1, 0)), [0, 40]) == {(0, 0): (20, 0, 20), (0, 1): (80, 0, 80)}
    assert split(spans((0, 40, 100)), log((0, 10, 0, 0), (0, 40, 1, 1)), [0, 40]) == {(0, 1): (100, 0, 100)}


# Key 0 runs evenly; key 1 has 30 tokens in the first ten, 10 in the next: over one cell 1 to 2, over two 1 to 3 and 1 to 1.
ONE = {(0, 0): (53, 0, 53), (0, 1): (107, 0, 107)}
TWO = {(0, 0): (60, 0, 60), (0, 1): (100, 0, 100)}


@pytest.mark.parametrize(
    ("key_0", "given", "window_us", "expected"),
    [
        ([(0, 20, 0, 20)], [(0, 10, 80), (10, 20, 80)], 1000, ONE),
        ([(0, 10, 0, 10), (10, 20, 0, 10)], [(0, 10, 80), (10, 20, 80)], 1000, TWO),  # nobody runs across the instant
        ([(0, 20, 0, 20)], [(0, 10, 80), (10, 20, 80)], 20, ONE),
        ([(0, 20, 0, 20)], [(0, 5, 40), (5, 10, 40), (10, 15, 40), (15, 20, 40)], 1000, ONE),
        ([(0, 20, 0, 20)], [(0, 10, 80), (10, 20, 80)], 10, TWO),  # two windows
        ([(0, 20, 0, 20)], [(0, 9, 72), (10, 20, 80)], 1000, None),  # a moment between them
    ],
)
def test_what_breaks_a_cell(
    key_0: list[tuple[int, int, int, int]], given: list[tuple[int, int, int]], window_us: int, expected: Rows | None
) -> None:
    requests = log(*key_0, (0, 10, 1, 30), (10, 20, 1, 10))
    rows = split(spans(*given), requests, [0, 20], window_us=window_us)
    # 72 as 1 to 3 and 80 as 1 to 1, where the two do not touch.
    assert rows == (expected or {(0, 0): (58, 0, 58), (0, 1): (94, 0, 94)})


def test_a_span_across_windows_is_a_cell_alone() -> None:
    """Windows of 10: spans [0, 5), [5, 15), [15, 20), each with a proportion of its own."""
    requests = log((0, 20, 0, 20), (0, 5, 1, 15), (5, 15, 1, 10), (15, 20, 1, 20))
    rows = split(spans((0, 5, 80), (5, 15, 80), (15, 20, 100)), requests, [0, 20], window_us=10)
    assert rows == {(0, 0): (20 + 40 + 20, 0, 80), (0, 1): (60 + 40 + 80, 0, 180)}
    assert split(spans((0, 5, 80), (5, 15, 80), (15, 20, 100)), requests, [0, 20], window_us=100)[0, 0] == (80, 0, 80)


def test_a_span_that_ends_a_microsecond_after_its_window_is_across_it() -> None:
    requests = log((0, 11, 0, 11), (0, 5, 1, 15), (5, 11, 1, 6))
    assert split(spans((0, 5, 80), (5, 11, 80)), requests, [0, 20], window_us=10) == {(0, 0): (60, 0, 60), (0, 1): (100, 0, 100)}


def test_a_span_of_one_key_between_shared_ones_breaks_the_cell() -> None:
    requests = log((0, 30, 0, 30), (0, 10, 1, 30), (20, 30, 1, 10))
    rows = split(spans((0, 10, 80), (10, 20, 7), (20, 30, 80)), requests, [0, 30])
    assert rows == {(0, 0): (20 + 7 + 40, 0, 60), (0, 1): (100, 0, 100)}


def test_a_cell_that_an_edge_cuts_has_rows_in_both_windows() -> None:
    requests = log((0, 40, 0, 30), (0, 40, 1, 10))
    rows = split(spans((0, 40, 200)), requests, [0, 10, 40])
    assert rows == {(0, 0): (38, 0, 38), (0, 1): (12, 0, 12), (1, 0): (113, 0, 113), (1, 1): (37, 0, 37)}


def coarse(given: EnergyIntervals, requests: RequestLog, edges: list[int]) -> Rows:
    return found(
        split_placement(given, None, ConcurrencyTimeline(requests, np.array(edges)), Tokens(requests, coarse=True), 300 * S)
    )


def test_coarse_stamps_share_whole_hours() -> None:
    """Spans of one key are shared too, with all of the hour; one that nobody overlaps is nobody's."""
    minute = 60 * S
    requests = log((0, minute, 0, 30), (30 * minute, 31 * minute, 1, 10), (0, minute, 2, 0))
    rows = coarse(spans((0, minute, 50), (30 * minute, 31 * minute, 30), (40 * minute, 41 * minute, 9)), requests, [0, HOUR])
    assert rows == {(0, 0): (60, 0, 60), (0, 1): (20, 0, 20), (0, UNATTRIBUTED): (9, 0, 0)}


def test_hours_are_apart_and_a_span_across_two_is_a_cell_alone() -> None:
    first, across, second = (0, HOUR - 10, 90), (HOUR - 10, HOUR + 10, 80), (HOUR + 10, HOUR + 20, 70)
    whole = (0, HOUR + 20, 2, 0)
    requests = log(
        whole,
        (0, HOUR - 10, 0, 1),
        (0, HOUR - 10, 1, 2),
        (HOUR - 10, HOUR + 10, 0, 1),
        (HOUR - 10, HOUR + 10, 1, 3),
        (HOUR + 10, HOUR + 20, 0, 5),
        (HOUR + 10, HOUR + 20, 1, 2),
    )
    assert coarse(spans(first, across, second), requests, [0, 2 * HOUR]) == {(0, 0): (100, 0, 100), (0, 1): (140, 0, 140)}
    rows = coarse(
        spans((0, HOUR, 90), (HOUR, HOUR + 20, 70)),
        log((0, HOUR, 0, 1), (0, HOUR, 1, 2), (HOUR, HOUR + 20, 0, 5), (HOUR, HOUR + 20, 1, 2)),
        [0, 2 * HOUR],
    )
    assert rows == {(0, 0): (30 + 50, 0, 80), (0, 1): (60 + 20, 0, 80)}


def test_a_part_of_a_device_and_of_a_time() -> None:
    given, requests = spans((0, 10, 101), (10, 20, 101)), log((0, 20, 0, 1))
    assert split(given, requests, [0, 10, 20], share=0.5) == {(0, 0): (50, 0, 0), (1, 0): (50, 0, 0)}
    assert split(given, requests, [0, 10, 20], 4 * S, share=0.5) == {(0, 0): (30, 20, 0), (1, 0): (30, 20, 0)}
    assert split(given, requests, [0, 10, 20], placed=np.array([False, True])) == {(1, 0): (101, 0, 0)}
    assert split(given, requests, [0, 10, 20], 4 * S, placed=np.array([True, False])) == {(0, 0): (61, 40, 0)}
    big = 2**53 + 1  # a whole share keeps every microjoule
    assert split(spans((0, 10, big)), requests, [0, 20]) == {(0, 0): (big, 0, 0)}


def test_other_weights_and_half_widths_tell_how_sure_a_split_is() -> None:
    given, requests = spans((0, 40, 100), (40, 50, 11)), log((0, 40, 0, 30), (0, 50, 1, 10))
    flight, weights = ConcurrencyTimeline(requests, np.array([0, 50])), Tokens(requests)
    rows = split_placement(given, None, flight, weights, 1000, (Tokens(requests, 0.0), Tokens(requests, 1e9)))
    part = rows.modelled_uj.tolist()
    assert (rows.key.tolist(), part) == ([0, 1], [79, 21])
    assert rows.active_uj.tolist() == [79, 32]
    assert rows.spread_uj.tolist() == [[-79, 21], [79, -21]]
    rows = split_placement(given, None, flight, weights, 1000, half_widths=np.array([0.1, 0.5]))
    bound = math.sqrt(3) / 2
    assert rows.spread_uj.tolist() == [
        [-round(79 * 0.1 * bound), round(79 * 0.1 * bound)],
        [-round(21 * 0.5 * bound), round(21 * 0.5 * bound)],
    ]
    assert split_placement(given, None, flight, weights, 1000).spread_uj.shape == (2, 0)


def test_half_widths_are_those_of_their_keys_in_each_window() -> None:
    requests = log((0, 20, 0, 30), (0, 20, 1, 10))
    rows = split_placement(
        spans((0, 20, 4000)),
        None,
        ConcurrencyTimeline(requests, np.array([0, 10, 20])),
        Tokens(requests),
        1000,
        half_widths=np.array([0.0, 1.0, 9.0]),
    )
    assert (rows.window.tolist(), rows.key.tolist()) == ([0, 0, 1, 1], [0, 1, 0, 1])
    assert rows.spread_uj[:, 1].tolist() == [0, 433, 0, 433]


def test_an_empty_log_leaves_all_to_nobody() -> None:
    assert split(spans((0, 10, 50)), log(), [0, 10], 2 * S) == {(0, UNATTRIBUTED): (30, 0, 0), (0, IDLE): (0, 20, 0)}


def ranged(requests: RequestLog, edges: list[int], given: EnergyIntervals) -> dict[tuple[int, int], tuple[int, int, list[int]]]:
    weights = DeclaredWeights(requests)
    rows = split_placement(given, 1 * S, ConcurrencyTimeline(requests, np.array(edges)), weights, 1000, (weights, weights))
    columns = (rows.window, rows.key, rows.active_uj, rows.idle_uj, rows.spread_uj)
    return {(w, k): (a, i, s) for w, k, a, i, s in zip(*(each.tolist() for each in columns), strict=True)}


@pytest.mark.parametrize(("weight", "arrival"), [(2.0, False), (1.0, True)])
def test_counts_without_tokens_that_ran_together_have_a_range_and_no_value(weight: float, arrival: bool) -> None:
    """Key 0 shares the first window, so that it has no value in the second either; key 2 is alone in the third."""
    requests = log((0, 10, 0, -1), (0, 10, 1, -1), (10, 20, 0, -1), (20, 30, 2, -1), weight=weight, arrival=arrival)
    found_ = ranged(requests, [0, 10, 20, 30], spans((0, 10, 100), (10, 20, 60), (20, 30, 40)))
    most = [round(100 * math.sqrt(3) / 2), round(60 * math.sqrt(3) / 2)]
    assert found_ == {
        (0, UNATTRIBUTED): (90, 10, [0, 0]), (0, 0): (0, 0, [0, most[0]]), (0, 1): (0, 0, [0, most[0]]),
        (1, UNATTRIBUTED): (50, 10, [0, 0]), (1, 0): (0, 0, [0, most[1]]),
        (2, 2): (30, 10, [0, 0]),
    }  # fmt: skip


@pytest.mark.parametrize("known", ["input_tokens", "output_tokens"])
def test_a_count_of_no_token_is_known(known: str) -> None:
    requests = replace(log((0, 10, 0, -1), (0, 10, 1, -1), weight=2.0), **{known: np.array([0, 0])})
    assert all(spread == [0, 0] for _, _, spread in ranged(requests, [0, 10], spans((0, 10, 100))).values())


def test_single_requests_without_tokens_keep_their_value() -> None:
    found_ = ranged(log((0, 10, 0, -1), (0, 10, 1, -1)), [0, 10], spans((0, 10, 100)))
    assert found_ == {(0, 0): (45, 5, [0, 0]), (0, 1): (45, 5, [0, 0])}


def test_a_count_with_tokens_beside_one_without_keeps_its_value() -> None:
    found_ = ranged(log((0, 10, 0, -1), (0, 10, 1, 0), weight=2.0), [0, 10], spans((0, 10, 100)))
    assert found_[0, 1][0] + found_[0, 1][1] + found_[0, UNATTRIBUTED][0] + found_[0, UNATTRIBUTED][1] == 100
    assert found_[0, 0] == (0, 0, [0, round((100 - sum(found_[0, 1][:2])) * math.sqrt(3) / 2)])
    assert found_[0, 1][1] == 5
