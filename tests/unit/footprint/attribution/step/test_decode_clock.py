"""The step clock, ramps and running counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.attribution.step.decode_clock import MIN_OUTPUT_TOKENS, RunningCount, fit_decode_clock, integrate_rates, sum_ramps


def floats(*values: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(values, dtype=float)


def test_ramps_and_overlap_are_exact_at_edges() -> None:
    edges = floats(0, 2, 5, 10)
    assert sum_ramps(edges, floats(1, 5), floats(3, 2)).tolist() == [0, 3, 12, 37]
    assert integrate_rates(edges, floats(1, 4, 20, -4), floats(4, 6, 30, 1), floats(3, 1, 9, 2)).tolist() == pytest.approx(
        [3 + 2, 6 + 1, 1]
    )
    assert integrate_rates(edges, floats(), floats(), floats()).tolist() == [0, 0, 0]


def test_the_clock_is_the_mean_speed_of_those_that_run() -> None:
    """20 tokens over 10 s, 40 over the second half: 2 a second, then 5; nobody for a bin, where it creeps."""
    clock = fit_decode_clock(floats(0, 5), floats(10, 10), floats(20, 40), 5.0)
    assert clock.edges_s.tolist() == [0, 5, 10, 15, 20]
    assert clock.tokens.tolist() == pytest.approx([0, 10, 35, 35.005, 35.01])
    assert clock.tokens_at(floats(2.5, 7)).tolist() == pytest.approx([5, 20])
    assert clock.time_at(floats(5, 20)).tolist() == pytest.approx([2.5, 7])


def test_bins_begin_at_a_whole_one_before_the_first() -> None:
    clock = fit_decode_clock(floats(7), floats(17), floats(30), 5.0)
    assert clock.edges_s.tolist() == [0, 5, 10, 15, 20, 25]
    assert clock.tokens.tolist() == pytest.approx([0, 0.005, 15.005, 30.005, 45.005, 45.01])
    clock = fit_decode_clock(floats(-7), floats(3), floats(30), 5.0)
    assert clock.edges_s.tolist() == [-10, -5, 0, 5, 10, 15]
    assert fit_decode_clock(floats(7), floats(17), floats(30), 0.5).edges_s[0] == 0
    late = fit_decode_clock(floats(1007), floats(1017), floats(30), 5.0)
    assert late.edges_s[0] == 0  # never after the origin


def test_short_answers_and_those_of_no_time_say_nothing() -> None:
    assert MIN_OUTPUT_TOKENS == 8
    said = fit_decode_clock(floats(0, 0, 5), floats(10, 10, 5), floats(8, 7, 99), 10.0)
    assert said.tokens.tolist() == pytest.approx([0, 8, 8.01, 8.02])
    nobody = fit_decode_clock(floats(), floats(), floats(), 10.0)
    assert nobody.tokens.tolist() == pytest.approx([0, 0.01, 0.02, 0.03])


def test_how_many_run_and_their_mean_over_time() -> None:
    found = RunningCount.from_intervals(floats(0, 2), floats(4, 6), floats(5))
    assert found.grid_s.tolist() == [0, 2, 4, 5, 6]
    assert found.count.tolist() == [1, 2, 1, 1]
    assert found.time_mean(floats(0, 1, 3), floats(6, 3, 5)).tolist() == pytest.approx([8 / 6, 3 / 2, 3 / 2])
    assert found.time_mean(floats(3), floats(3)).tolist() == [0]
    assert found.time_mean(floats(2.25), floats(2.75)).tolist() == [2]


def test_half_a_second_of_a_bin_tells_its_speed() -> None:
    clock = fit_decode_clock(floats(0), floats(0.5), floats(10), 10.0)
    assert clock.tokens[1] == pytest.approx(20 * 10)
