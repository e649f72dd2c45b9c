"""Features of requests that the model charges for: tokens read and written, their context, and the request's share of the steps.

The share of the steps has shapes h(N)/N for N running requests: the whole pass over the weights (h = 1), and three that saturate
as 1 - exp(-(N - 1)/n), for mixtures of experts and batches that spill. Where one log is that of R hosts, two more are the number
of hosts that run steps: R (1 - (1 - 1/R)^N), if each request goes to any of them, and min(N, R), if to the least busy one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats
from footprint.attribution.step.decode_clock import RunningCount, integrate_rates
from footprint.attribution.step.request_timing import RequestPhases, TimedRequests

SATURATION_BATCHES = (2.0, 8.0, 32.0)
STEP_FEATURES = ("step", "step2", "step8", "step32", "random", "balanced")
REQUEST_FEATURES = ("in", "inctx", "request", "out", "outctx", *STEP_FEATURES)
PREFILL_FEATURES = 3  # number of leading features that lie in the prefill
CONTEXT_SCALE = 1000.0
MAX_PACE = 100.0  # tokens per tick; more is an answer that the clock cannot place


@dataclass(frozen=True, slots=True)
class HostCount:
    """Number of hosts that serve a log: ``count[i]`` from ``since_s[i]`` [s since the origin] on, and ``count[0]`` before."""

    since_s: Floats
    count: Floats

    @classmethod
    def constant(cls, count: int = 1) -> HostCount:
        """The same number at all times."""
        return cls(np.zeros(1), np.full(1, float(count)))

    def at(self, instant_s: Floats) -> Floats:
        """Number of hosts at instants [s]."""
        return self.count[np.maximum(np.searchsorted(self.since_s, instant_s, side="right") - 1, 0)]


ONE_HOST = HostCount.constant()


def batch_shapes(count: Floats, hosts: Floats) -> Floats:
    """h(N)/N of each shape for counts N and numbers of hosts (m,), shape (len(STEP_FEATURES), m).

    Examples
    --------
    >>> batch_shapes(np.array([2.0]), np.array([4.0])).round(3)[[0, 4, 5], 0].tolist()
    [0.5, 0.875, 1.0]
    """
    n = np.maximum(count, 1.0)
    saturating = [1.0 - np.exp(-(n - 1.0) / tau) for tau in SATURATION_BATCHES]
    several = hosts > 1
    random = np.where(several, hosts * (1.0 - (1.0 - 1.0 / hosts) ** n), 0.0)
    balanced = np.where(several, np.minimum(n, hosts), 0.0)
    return np.where(count > 0, np.stack([np.ones_like(n), *saturating, random, balanced]) / n, 0.0)


@dataclass(frozen=True, slots=True)
class RequestFeatures:
    """Features of requests, ``total`` of shape (n, len(REQUEST_FEATURES)), and their distribution in time.

    Prefill features lie evenly over [read, first); decode features follow the clock over [first, end): ``grid_s`` (m + 1,) are
    instants [s] between which ``count`` (m,) requests decode, ``ticks`` (m + 1,) the clock there [tokens], ``levels``
    (len(STEP_FEATURES), m + 1) the integral of each shape over the clock, ``pace`` (n,) a request's tokens per tick.
    """

    requests: TimedRequests
    timing: RequestPhases
    total: Floats
    grid_s: Floats
    ticks: Floats
    count: Floats
    levels: Floats
    pace: Floats


def request_features(
    requests: TimedRequests, timing: RequestPhases, edges_s: Floats, hosts: HostCount = ONE_HOST
) -> RequestFeatures:
    """Features of all requests; ``edges_s`` become part of the grid, so that windows are cut exactly."""
    first, end, out = timing.first_s, requests.end_s, requests.output
    decodes = (out > 0) & (end > first)
    running = RunningCount.from_intervals(first[decodes], end[decodes], np.concatenate([edges_s, timing.clock.edges_s]))
    grid = running.grid_s
    ticks = timing.clock.tokens_at(grid)
    shapes = batch_shapes(running.count, hosts.at(grid[:-1]))
    levels = np.concatenate([np.zeros((len(shapes), 1)), np.cumsum(shapes * np.diff(ticks), axis=1)], axis=1)
    decode_tokens = np.where(decodes, timing.clock.tokens_at(end) - timing.clock.tokens_at(first), 1.0)
    pace = np.where(decodes, out / np.maximum(decode_tokens, out / MAX_PACE), 0.0)
    steps = np.stack([pace * (np.interp(end, grid, level) - np.interp(first, grid, level)) for level in levels], axis=1)
    fresh = requests.fresh
    columns = [fresh, fresh * fresh / 2000.0, np.ones_like(fresh), out, out * (fresh + out / 2) / CONTEXT_SCALE]
    plain = np.stack(columns, axis=1)
    return RequestFeatures(requests, timing, np.concatenate([plain, steps], axis=1), grid, ticks, running.count, levels, pace)


def window_features(features: RequestFeatures, edges_s: Floats) -> Floats:
    """Features by window of sorted edges that are in the grid, shape (windows, len(REQUEST_FEATURES))."""
    requests, phases = features.requests, features.timing
    read_s = np.maximum(phases.first_s - phases.read_s, 1e-6)
    begin = phases.first_s - read_s
    prefill = [
        integrate_rates(edges_s, begin, phases.first_s, features.total[:, column] / read_s) for column in range(PREFILL_FEATURES)
    ]
    decodes = features.pace > 0
    first, end, pace = phases.first_s[decodes], requests.end_s[decodes], features.pace[decodes]
    pace_now = _piecewise_sum(features.grid_s, first, end, pace)
    elapsed_tokens = np.diff(features.ticks)
    window = np.searchsorted(edges_s, (features.grid_s[:-1] + features.grid_s[1:]) / 2, side="right") - 1
    inside = (window >= 0) & (window < len(edges_s) - 1)
    middle = (features.ticks[:-1] + features.ticks[1:]) / 2
    # The context of a token is the input and the output before it.
    written_at = features.timing.clock.tokens_at(first)
    context = _piecewise_sum(
        features.grid_s, first, end, pace * (requests.fresh[decodes] - pace * written_at)
    ) + middle * _piecewise_sum(features.grid_s, first, end, pace * pace)
    columns = [
        pace_now * elapsed_tokens,
        context * elapsed_tokens / CONTEXT_SCALE,
        *(pace_now * np.diff(level) for level in features.levels),
    ]
    size = len(edges_s) - 1
    decode = [np.bincount(window[inside], weights=column[inside], minlength=size) for column in columns]
    return np.stack([*prefill, *decode], axis=1)


def prefill_tokens_by_key(features: RequestFeatures, edges_s: Floats, key_count: int) -> Floats:
    """Fresh input tokens by window and key, shape (windows, keys)."""
    phases = features.timing
    read_s = np.maximum(phases.first_s - phases.read_s, 1e-6)
    rate = features.requests.fresh / read_s
    columns = []
    for key in range(key_count):
        of_key = features.requests.key == key
        columns.append(integrate_rates(edges_s, (phases.first_s - read_s)[of_key], phases.first_s[of_key], rate[of_key]))
    return np.stack(columns, axis=1) if columns else np.zeros((len(edges_s) - 1, 0))


def _piecewise_sum(grid_s: Floats, begin_s: Floats, end_s: Floats, value: Floats) -> Floats:
    """Sum of the values that hold between the instants of a grid that contains all begins and ends, shape (m,)."""
    size = len(grid_s)
    change = np.bincount(np.searchsorted(grid_s, begin_s), weights=value, minlength=size)
    change -= np.bincount(np.searchsorted(grid_s, end_s), weights=value, minlength=size)
    return np.asarray(np.cumsum(change)[:-1], dtype=np.float64)
