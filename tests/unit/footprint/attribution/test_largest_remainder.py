"""Integers that keep their sum, whatever the weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.attribution.largest_remainder import cumulative_part, round_to_totals, split_integer, split_integers, sum_by_group

weights = st.lists(st.floats(0, 1e12, allow_nan=False), min_size=1, max_size=30)


@given(st.integers(-(10**17), 10**17), weights)
def test_the_parts_sum_to_the_whole_exactly(total: int, parts: list[float]) -> None:
    assert int(split_integer(total, np.array(parts)).sum()) == total


@given(st.integers(0, 10**12), st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_each_part_is_within_one_of_its_quota(total: int, parts: list[int]) -> None:
    found = split_integer(total, np.array(parts, dtype=float))
    quota = np.array(parts) / sum(parts) * total
    assert (np.abs(found - quota) < 1 + 1e-6 * total).all()


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**9), min_size=2, max_size=8))
def test_pieces_of_a_span_telescope(energy: int, cuts: list[int]) -> None:
    span = max(*cuts, 1)
    edges = np.array(sorted({0, *cuts, span}), dtype=np.int64)
    parts = np.diff(cumulative_part(np.full(len(edges), energy), edges, np.full(len(edges), span)))
    assert int(parts.sum()) == energy
    assert (parts >= 0).all()


def ints(*values: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(values, dtype=np.int64)


def floats(*values: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (10, (1, 2, 4), [1, 3, 6]),  # quotas 1.43, 2.86, 5.71: two left, to the two largest remainders
        (7, (1, 1, 2), [2, 2, 3]),  # 1.75, 1.75, 3.5
        (10, (3, 3, 3), [4, 3, 3]),  # a tie goes to the earlier part
        (7, (0, 0, 0), [3, 2, 2]),  # no weight: equal parts
        (7, (0, 0, 0.5), [0, 0, 7]),  # a weight below 1 bears all of it
        (-7, (1, 1, 2), [-2, -2, -3]),  # floors -2, -2, -4, and one back to the remainder of a half
        (5, (0, 1), [0, 5]),
        (0, (1, 1), [0, 0]),
    ],
)
def test_one_total(total: int, weights: tuple[float, ...], parts: list[int]) -> None:
    assert split_integer(total, floats(*weights)).tolist() == parts


def test_groups_are_divided_apart_wherever_their_parts_stand() -> None:
    found = split_integers(ints(10, -7, 0), floats(1, 1, 2, 1, 4, 2), ints(0, 1, 0, 1, 0, 1))
    assert found.tolist() == [1, -2, 3, -2, 6, -3]


def test_a_group_without_weight_is_divided_equally_beside_one_with() -> None:
    assert split_integers(ints(9, 9), floats(0, 0, 0, 1, 2), ints(0, 0, 0, 1, 1)).tolist() == [3, 3, 3, 3, 6]


@pytest.mark.parametrize("weights", [(1.0, -1.0), (1.0, float("nan")), (1.0, float("inf"))])
def test_weights_that_are_none_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        split_integer(1, floats(*weights))


def test_an_energy_needs_a_part_that_bears_it() -> None:
    with pytest.raises(ValueError, match="without any part"):
        split_integers(ints(3, 1), floats(1), ints(0))
    with pytest.raises(ValueError, match="without any part"):
        split_integers(ints(-1), floats(), ints())
    assert split_integers(ints(0, 4), floats(1), ints(1)).tolist() == [4]
    assert split_integers(ints(0), floats(), ints()).shape == (0,)
    assert split_integers(ints(3), floats(2), ints(0)).tolist() == [3]


def test_what_quotas_miss_is_given_evenly_then_by_remainder() -> None:
    assert round_to_totals(floats(1, 1), ints(7), ints(0, 0)).tolist() == [4, 3]
    assert round_to_totals(floats(0.4), ints(3), ints(0)).tolist() == [3]
    assert round_to_totals(floats(2.2, 2.9, 0.5, 0.6), ints(5, 1), ints(0, 0, 1, 1)).tolist() == [2, 3, 0, 1]


def test_sums_by_group_hold_negative_values_and_empty_groups() -> None:
    assert sum_by_group(ints(1, 5, -2, 7), ints(2, 0, 2, 2), 4).tolist() == [5, 0, 6, 0]


@pytest.mark.parametrize(
    ("energy", "elapsed", "span", "part"),
    [(100, 1, 3, 33), (100, 2, 3, 66), (10, 0, 4, 0), (10, 4, 4, 10), (10, 5, 4, 10), (2**53 + 1, 7, 7, 2**53 + 1), (6, 0, 0, 6)],
)
def test_the_first_part_of_a_span(energy: int, elapsed: int, span: int, part: int) -> None:
    assert cumulative_part(ints(energy), ints(elapsed), ints(span)).tolist() == [part]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=20),
    st.lists(st.integers(-1000, 1000), min_size=4, max_size=4),
)
def test_parts_of_a_group_are_within_one_of_their_quota(rows: list[tuple[int, int]], totals: list[int]) -> None:
    group, weight = ints(*(g for g, _ in rows)), floats(*(w for _, w in rows))
    there = np.isin(np.arange(4), group)
    whole = np.where(there, ints(*totals), 0)
    parts = split_integers(whole, weight, group)
    assert sum_by_group(parts, group, 4).tolist() == whole.tolist()
    for g in np.flatnonzero(there):
        mine = weight[group == g]
        quota = (mine / mine.sum() if mine.sum() else np.full(len(mine), 1 / len(mine))) * whole[g]
        assert (np.abs(parts[group == g] - quota) < 1 + 1e-9).all()
