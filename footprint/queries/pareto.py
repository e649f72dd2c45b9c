"""Pareto front, quantiles with bounds, and binned quartiles: pure arithmetic.

An option is dominated if another costs no more and is worth no less, and is better in one of the two (Pareto). Whether a
difference is measurable is another question: see the intervals.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from footprint.core.estimate import COVERAGE_FACTOR, Estimate


@dataclass(frozen=True, slots=True)
class Option:
    """An option with its cost (less is better) and worth (more is better)."""

    name: str
    cost: float
    worth: float

    def dominates(self, other: Option) -> bool:
        """Whether this option dominates another."""
        no_worse = self.cost <= other.cost and self.worth >= other.worth
        return no_worse and (self.cost < other.cost or self.worth > other.worth)


def pareto_front(options: Sequence[Option]) -> list[Option]:
    """Options that no other dominates, by rising cost; equal options are all included."""
    front: list[Option] = []
    best = -math.inf
    for option in sorted(options, key=lambda candidate: (candidate.cost, -candidate.worth, candidate.name)):
        if option.worth > best or (front and (option.cost, option.worth) == (front[-1].cost, front[-1].worth)):
            front.append(option)
            best = option.worth
    return front


def quantile(values: Sequence[float], share: float) -> Estimate | None:
    """Quantile of values with about 95 % bounds, in their unit; None without values.

    Parameters
    ----------
    share : float
        Probability of the quantile, 0.95 for the 95th percentile.

    References
    ----------
    Bounds are the values at the ranks n p -+ 2 sqrt(n p (1 - p)), for any distribution (Conover, Practical Nonparametric
    Statistics, 3rd ed., 3.2). A rank outside of the values takes the outermost one.
    """
    ordered = sorted(map(float, values))
    count = len(ordered)
    if not count:
        return None
    spread = COVERAGE_FACTOR * math.sqrt(count * share * (1 - share))

    def value_at_rank(rank: float) -> float:
        return ordered[min(max(math.ceil(rank) - 1, 0), count - 1)]

    return Estimate(
        value_at_rank(count * share), value_at_rank(count * share - spread), value_at_rank(count * share + spread + 1)
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """Values with x in [low, high): their count, the median of x, and the quartiles of y."""

    low: float
    high: float
    count: int
    x: float
    lower: float
    median: float
    upper: float


def bin_quartiles(x: Sequence[float], y: Sequence[float], edges: Sequence[float], min_count: int = 1) -> list[Bin]:
    """Median of x and quartiles of y by bins of x between sorted edges; bins of fewer than ``min_count`` values are omitted."""
    bins: list[list[tuple[float, float]]] = [[] for _ in edges[1:]]
    for x_value, y_value in zip(x, y, strict=True):
        index = bisect.bisect_right(edges, x_value) - 1
        if 0 <= index < len(bins):
            bins[index].append((x_value, y_value))
    filled = []
    for low, high, values in zip(edges, edges[1:], bins, strict=False):
        if len(values) >= max(min_count, 1):
            lower, median, upper = _quartiles([y_value for _, y_value in values])
            filled.append(Bin(low, high, len(values), _quartiles([x_value for x_value, _ in values])[1], lower, median, upper))
    return filled


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    lower, median, upper = quantiles(values, n=4, method="inclusive")
    return lower, median, upper


def geometric_edges(low: float, high: float, factor: float) -> list[float]:
    """Edges from ``low``, each ``factor`` times the one before, until one exceeds ``high``."""
    edges = [low]
    while edges[-1] <= high:
        edges.append(edges[-1] * factor)
    return edges
