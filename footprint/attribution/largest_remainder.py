"""This file divides integers so that the parts sum to the whole, exactly.

Largest remainder (Hamilton): each part gets the floor of its quota, what is left goes one by one
to the largest remainders; ties go to the earlier part, so that the result does not depend on luck.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def split_integer(total: int, weights: Floats) -> Ints:
    """Integers in proportion to non-negative weights, shape (n,), that sum to ``total``.

    Weights that are all zero share equally.

    Raises
    ------
    ValueError
        If there is no weight at all, or one is negative or not finite.
    """
    groups = np.zeros(len(weights), dtype=np.int64)
    return split_integers(np.array([total], dtype=np.int64), weights, groups)


def split_integers(totals: Ints, weights: Floats, group: Ints) -> Ints:
    """Integers in proportion to weights within each group, shape (n,); part i belongs to ``group[i]``.

    The parts of group g sum to ``totals[g]`` exactly; totals may be negative. A group whose
    weights are all zero shares equally.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or a group has a total and no part to bear it.
    """
    if len(weights) and not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("weights must be finite and not negative")
    sizes = np.bincount(group, minlength=len(totals))
    if ((sizes == 0) & (totals != 0)).any():
        raise ValueError("an energy without any part to bear it")
    if not len(weights):
        return np.zeros(0, dtype=np.int64)
    group_weight = np.bincount(group, weights=weights, minlength=len(totals))[group]
    share = np.where(group_weight > 0, weights / np.where(group_weight > 0, group_weight, 1.0), 1.0 / sizes[group])
    return round_to_totals(share * totals[group].astype(np.float64), totals, group)


def round_to_totals(quota: Floats, totals: Ints, group: Ints) -> Ints:
    """Integers near the quotas, shape (n,), that sum to ``totals[g]`` within each group; signs are free.

    The quotas of a group should sum to its total but for rounding.
    """
    parts = np.floor(quota).astype(np.int64)
    sizes = np.bincount(group, minlength=len(totals))
    remainder = totals - sum_by_group(parts, group, len(totals))
    order = np.lexsort((np.arange(len(parts)), -(quota - parts), group))
    rank = np.empty(len(parts), dtype=np.int64)
    rank[order] = np.arange(len(parts)) - (np.cumsum(sizes) - sizes)[group[order]]
    # ``left`` is below the size of the group, but for the rounding of very large quotas.
    everyone, extra = np.divmod(remainder, np.maximum(sizes, 1))
    return parts + everyone[group] + (rank < extra[group])


def sum_by_group(values: Ints, group: Ints, size: int) -> Ints:
    """Sum of the values of each group, exactly, shape (size,)."""
    result = np.zeros(size, dtype=np.int64)
    np.add.at(result, group, values)
    return result


def cumulative_part(energy_uj: Ints, elapsed_us: Ints, length_us: Ints) -> Ints:
    """Energy [µJ] of the first ``elapsed_us`` of spans: floor(E x elapsed / span), in 64 bits.

    The same cut of the same span is the same integer whoever makes it, hence parts telescope.
    """
    fraction = elapsed_us / np.maximum(length_us, 1)
    part = np.floor(energy_uj * fraction).astype(np.int64)
    return np.where(elapsed_us >= length_us, energy_uj, np.clip(part, 0, energy_uj))
