"""Largest-remainder division (Hamilton's method): integers in proportion to weights that sum to the total exactly.

Each part gets the floor of its quota; the rest goes one by one to the largest remainders. Ties go to the earlier part, so that
the result is reproducible.

References
----------
M. L. Balinski and H. P. Young, Fair Representation: Meeting the Ideal of One Man, One Vote, 2nd ed., Brookings 2001.
"""

from __future__ import annotations

import numpy as np

from footprint.attribution.array_types import Floats, Ints


def split_integer(total: int, weights: Floats) -> Ints:
    """Integers in proportion to weights that sum to ``total``.

    Parameters
    ----------
    total
        Amount to divide, of any sign.
    weights
        Weights, not negative, shape (n,); all zero means equal shares.

    Returns
    -------
    ndarray of int64
        Parts, shape (n,).

    Raises
    ------
    ValueError
        If there is no weight, or one is negative or not finite.

    Examples
    --------
    >>> split_integer(10, np.array([1.0, 1.0, 1.0])).tolist()
    [4, 3, 3]
    """
    groups = np.zeros(len(weights), dtype=np.int64)
    return split_integers(np.array([total], dtype=np.int64), weights, groups)


def split_integers(totals: Ints, weights: Floats, group: Ints) -> Ints:
    """Integers in proportion to weights within groups.

    Parameters
    ----------
    totals
        Amount of each group, of any sign, shape (groups,).
    weights
        Weights, not negative, shape (n,); a group whose weights are all zero shares equally.
    group
        Group of each part, shape (n,).

    Returns
    -------
    ndarray of int64
        Parts, shape (n,); those of group g sum to ``totals[g]`` exactly.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or a group has a total and no part to bear it.

    Examples
    --------
    >>> split_integers(np.array([10, -7]), np.array([3.0, 1.0, 1.0]), np.array([0, 0, 1])).tolist()
    [8, 2, -7]
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
    """Integers near the quotas that sum to the total of each group.

    Parameters
    ----------
    quota
        Exact parts, of any sign, shape (n,); those of a group sum to its total but for rounding.
    totals
        Total of each group, shape (groups,).
    group
        Group of each part, shape (n,).

    Returns
    -------
    ndarray of int64
        Parts, shape (n,).
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
    """Exact sum of the values of each group, shape (size,).

    Examples
    --------
    >>> sum_by_group(np.array([1, 2, 3]), np.array([0, 2, 0]), 3).tolist()
    [4, 0, 2]
    """
    result = np.zeros(size, dtype=np.int64)
    np.add.at(result, group, values)
    return result


def cumulative_part(energy_uj: Ints, elapsed_us: Ints, length_us: Ints) -> Ints:
    """Amount of the first ``elapsed_us`` of intervals: floor(amount x elapsed / length), in 64 bits.

    The same cut of the same interval gives the same integer to every caller, so that parts telescope.

    Parameters
    ----------
    energy_uj
        Energy [µJ] or another amount of each interval, shape (n,).
    elapsed_us, length_us
        Time up to the cut, and length of the interval [µs], shape (n,).
    """
    fraction = elapsed_us / np.maximum(length_us, 1)
    part = np.floor(energy_uj * fraction).astype(np.int64)
    return np.where(elapsed_us >= length_us, energy_uj, np.clip(part, 0, energy_uj))
