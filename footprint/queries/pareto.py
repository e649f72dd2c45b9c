"""This file is the arithmetic of choices: what is not dominated, where a quantile lies, how one thing goes with another. Pure.

An option is dominated where another costs no more and is worth no less, and is better in one of the two (Pareto). It says
nothing of whether a difference can be measured: intervals stand beside it.
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
    """One thing that may be chosen: what it costs (less is better) and what it is worth (more is better)."""

    name: str
    cost: float
    worth: float

    def beats(self, other: Option) -> bool:
        """Whether it dominates another."""
        no_worse = self.cost <= other.cost and self.worth >= other.worth
        return no_worse and (self.cost < other.cost or self.worth > other.worth)


def pareto_front(options: Sequence[Option]) -> list[Option]:
    """Options that no other dominates, by rising cost; equal ones stay together."""
    found: list[Option] = []
    best = -math.inf
    for option in sorted(options, key=lambda each: (each.cost, -each.worth, each.name)):
        if option.worth > best or (found and (option.cost, option.worth) == (found[-1].cost, found[-1].worth)):
            found.append(option)
            best = option.worth
    return found


def quantile(values: Sequence[float], share: float) -> Estimate | None:
    """A quantile with about 95 % bounds, in the unit of the values; None where there are none.

    Bounds are the values at the ranks n p -+ 2 sqrt(n p (1 - p)), whatever the law of the values (Conover, Practical
    Nonparametric Statistics, 3rd ed., 3.2); where a rank lies outside, the bound is the outermost value.
    """
    ordered = sorted(map(float, values))
    count = len(ordered)
    if not count:
        return None
    spread = COVERAGE_FACTOR * math.sqrt(count * share * (1 - share))

    def at(rank: float) -> float:
        return ordered[min(max(math.ceil(rank) - 1, 0), count - 1)]

    return Estimate(at(count * share), at(count * share - spread), at(count * share + spread + 1))


@dataclass(frozen=True, slots=True)
class Bin:
    """What was seen where x lay in [low, high): how many, the median of x, the quartiles of y."""

    low: float
    high: float
    count: int
    x: float
    lower: float
    median: float
    upper: float


def bin_quartiles(x: Sequence[float], y: Sequence[float], edges: Sequence[float], least: int = 1) -> list[Bin]:
    """Medians and quartiles of y by bins of x between sorted edges; bins of fewer than ``least`` values are left out."""
    held: list[list[tuple[float, float]]] = [[] for _ in edges[1:]]
    for one, other in zip(x, y, strict=True):
        place = bisect.bisect_right(edges, one) - 1
        if 0 <= place < len(held):
            held[place].append((one, other))
    found = []
    for low, high, values in zip(edges, edges[1:], held, strict=False):
        if len(values) >= max(least, 1):
            lower, median, upper = _quartiles([other for _, other in values])
            found.append(Bin(low, high, len(values), _quartiles([one for one, _ in values])[1], lower, median, upper))
    return found


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    lower, median, upper = quantiles(values, n=4, method="inclusive")
    return lower, median, upper


def geometric_edges(low: float, high: float, factor: float) -> list[float]:
    """Edges from low, each ``factor`` times the one before, until one lies above high."""
    found = [low]
    while found[-1] <= high:
        found.append(found[-1] * factor)
    return found
