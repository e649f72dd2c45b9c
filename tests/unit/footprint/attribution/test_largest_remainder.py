"""Integers that keep their sum, whatever the weights."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from footprint.attribution.largest_remainder import cumulative_part, split_integer

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
