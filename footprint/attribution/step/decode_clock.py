"""Decode clock: time in decode steps.

All sequences of a step advance together, so tokens per running sequence are one clock for all requests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats

MIN_OUTPUT_TOKENS = 8  # shorter answers do not determine the speed


@dataclass(frozen=True, slots=True)
class DecodeClock:
    """Tokens per running sequence since the first edge: piecewise linear between ``edges_s`` (m + 1,) [s]."""

    edges_s: Floats
    tokens: Floats

    def tokens_at(self, instant_s: Floats) -> Floats:
        """Reading of the clock [tokens] at instants [s]."""
        return np.interp(instant_s, self.edges_s, self.tokens)

    def time_at(self, tokens: Floats) -> Floats:
        """Instants [s] of readings of the clock [tokens]."""
        return np.interp(tokens, self.tokens, self.edges_s)


def fit_decode_clock(first_s: Floats, end_s: Floats, output: Floats, bin_s: float) -> DecodeClock:
    """Decode clock from requests, the mean speed of those that run by bin.

    Parameters
    ----------
    first_s, end_s
        First token and end of each request [s], shape (n,).
    output
        Output tokens of each request, shape (n,).
    bin_s
        Length of a bin [s]. Where no request runs the clock advances very slowly, so that it can be inverted.
    """
    usable = (output >= MIN_OUTPUT_TOKENS) & (end_s > first_s)
    low = float(np.floor(first_s.min(initial=0.0) / bin_s)) * bin_s if len(first_s) else 0.0
    high = float(end_s.max(initial=bin_s)) + bin_s
    edges: Floats = low + bin_s * np.arange(int((high - low) / bin_s) + 2, dtype=np.float64)
    first, end = first_s[usable], end_s[usable]
    speed = output[usable] / (end - first)
    total, running = integrate_rates(edges, first, end, speed), integrate_rates(edges, first, end, np.ones(len(first)))
    mean = np.where(running > 0, total / np.where(running > 0, running, 1.0), 1e-3)
    return DecodeClock(edges, np.concatenate([[0.0], np.cumsum(mean * bin_s)]))


def integrate_rates(edges_s: Floats, begin_s: Floats, end_s: Floats, rate: Floats) -> Floats:
    """Integral over each bin of the sum of rates over [begin, end), shape (bins,); exact at the edges.

    Examples
    --------
    >>> integrate_rates(np.array([0.0, 10.0, 20.0]), np.array([5.0]), np.array([12.0]), np.array([2.0])).tolist()
    [10.0, 4.0]
    """
    return np.diff(sum_ramps(edges_s, begin_s, rate) - sum_ramps(edges_s, end_s, rate))


def sum_ramps(edges_s: Floats, begin_s: Floats, rate: Floats) -> Floats:
    """Sum over i of rate_i x max(0, edge - begin_i), at each sorted edge."""
    size = len(edges_s)
    first_edge = np.searchsorted(edges_s, begin_s, side="left")
    inside = first_edge < size
    slope = np.cumsum(np.bincount(first_edge[inside], weights=rate[inside], minlength=size))
    level = np.cumsum(np.bincount(first_edge[inside], weights=(rate * begin_s)[inside], minlength=size))
    return slope * edges_s - level


@dataclass(frozen=True, slots=True)
class RunningCount:
    """Number of running requests between instants: ``grid_s`` (m + 1,) sorted [s], ``count`` (m,)."""

    grid_s: Floats
    count: Floats

    @classmethod
    def from_intervals(cls, begin_s: Floats, end_s: Floats, more_s: Floats) -> RunningCount:
        """Count from intervals [begin, end); the grid contains ``more_s`` too."""
        instants = np.concatenate([begin_s, end_s, more_s])
        change = np.concatenate([np.ones(len(begin_s)), -np.ones(len(end_s)), np.zeros(len(more_s))])
        order = np.argsort(instants, kind="stable")
        return cls(instants[order], np.cumsum(change[order])[:-1])

    def time_mean(self, begin_s: Floats, end_s: Floats) -> Floats:
        """Mean count over intervals, shape (n,)."""
        area = np.concatenate([[0.0], np.cumsum(self.count * np.diff(self.grid_s))])
        inside = np.interp(end_s, self.grid_s, area) - np.interp(begin_s, self.grid_s, area)
        return inside / np.maximum(end_s - begin_s, 1e-9)
