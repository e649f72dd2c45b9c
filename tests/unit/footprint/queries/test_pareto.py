"""What is not dominated, quantiles with their bounds, binned medians: laws that hold for any numbers."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.queries.pareto import Option, bin_quartiles, geometric_edges, pareto_front, quantile

SMALL = st.integers(0, 6).map(float)  # so that ties happen
OPTIONS = st.lists(st.tuples(SMALL, SMALL), max_size=12).map(
    lambda pairs: [Option(f"m{number}", cost, worth) for number, (cost, worth) in enumerate(pairs)]
)


@given(OPTIONS)
def test_the_frontier_is_all_that_nothing_beats_and_nothing_else(options: list[Option]) -> None:
    free = {option.name for option in options if not any(other.dominates(option) for other in options)}
    assert {option.name for option in pareto_front(options)} == free
    assert [option.cost for option in pareto_front(options)] == sorted(option.cost for option in pareto_front(options))


@given(OPTIONS)
def test_what_is_beaten_is_beaten_by_one_of_the_frontier(options: list[Option]) -> None:
    frontier = pareto_front(options)
    for option in options:
        assert option in frontier or any(other.dominates(option) for other in frontier)


def test_equal_options_stand_side_by_side_and_order_does_not_matter() -> None:
    twins = [Option("b", 1.0, 2.0), Option("a", 1.0, 2.0), Option("dear", 2.0, 2.0), Option("good", 3.0, 5.0)]
    assert [option.name for option in pareto_front(twins)] == ["a", "b", "good"]
    assert pareto_front(twins[::-1]) == pareto_front(twins)
    assert pareto_front([]) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80), st.floats(0.05, 0.95))
def test_a_quantile_is_a_value_and_lies_within_its_bounds(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found is not None
    assert {found.low, found.value, found.high} <= {float(value) for value in values}
    assert sum(value < found.value for value in values) <= share * len(values) + 1


def test_bounds_of_a_quantile_hold_the_truth_as_often_as_they_say() -> None:
    luck = random.Random(5)
    held = 0
    for _ in range(400):
        found = quantile([luck.random() for _ in range(300)], 0.95)
        assert found is not None
        held += found.low <= 0.95 <= found.high
    assert 0.92 <= held / 400 <= 0.995
    assert quantile([], 0.95) is None


def test_bins_hold_medians_and_quartiles_and_leave_out_the_few() -> None:
    x = [1.0, 1.1, 1.2, 1.3, 1.4, 2.6, 9.0]
    found = bin_quartiles(x, [10.0, 20.0, 30.0, 40.0, 50.0, 7.0, 1.0], [1.0, 2.0, 4.0], min_count=2)
    assert [(each.low, each.count, each.x) for each in found] == [(1.0, 5, 1.2)]
    assert (found[0].lower, found[0].median, found[0].upper) == (20.0, 30.0, 40.0)
    assert [each.count for each in bin_quartiles(x, x, [1.0, 2.0, 4.0])] == [5, 1]
    assert bin_quartiles([], [], [1.0, 2.0]) == []


@given(st.floats(1.0, 1e4))
def test_geometric_edges_reach_beyond_the_largest(high: float) -> None:
    edges = geometric_edges(1.0, high, 1.25)
    assert edges[-1] > high
    assert all(b / a == pytest.approx(1.25) for a, b in itertools.pairwise(edges))
