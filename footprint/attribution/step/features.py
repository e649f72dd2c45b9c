"""Features of requests that the model charges for: tokens read and written, their context, and the request's share of the steps.

The share of the steps has four shapes h(N)/N for N running requests: the whole pass over the weights (h = 1), and three that
saturate as 1 - exp(-(N - 1)/n), for mixtures of experts, replicas behind one log and batches that spill.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats
from footprint.attribution.step.decode_clock import RunningCount, integrate_rates
from footprint.attribution.step.request_timing import RequestPhases, TimedRequests

SATURATION_BATCHES = (2.0, 8.0, 32.0)
STEP_FEATURES = ("step", "step2", "step8", "step32")
REQUEST_FEATURES = ("in", "inctx", "request", "out", "outctx", *STEP_FEATURES)
PREFILL_FEATURES = 3  # number of leading features that lie in the prefill
CONTEXT_SCALE = 1000.0


def batch_shapes(count: Floats) -> Floats:
    """h(N)/N of each shape for counts N (m,), shape (4, m)."""
    n = np.maximum(count, 1.0)
    shapes = [np.ones_like(n), *(1.0 - np.exp(-(n - 1.0) / tau) for tau in SATURATION_BATCHES)]
    return np.where(count > 0, np.stack(shapes) / n, 0.0)


@dataclass(frozen=True, slots=True)
class RequestFeatures:
    """Features of requests, ``total`` of shape (n, len(REQUEST_FEATURES)), and their distribution in time.

    Prefill features lie evenly over [read, first); decode features follow the clock over [first, end): ``grid_s`` (m + 1,) are
    instants [s] between which ``count`` (m,) requests decode, ``ticks`` (m + 1,) the clock there [tokens], ``levels`` (4, m +
    1) the integral of each shape over the clock, ``pace`` (n,) a request's tokens per tick.
    """

    requests: TimedRequests
    timing: RequestPhases
    total: Floats
    grid_s: Floats
    ticks: Floats
    count: Floats
    levels: Floats
    pace: Floats


def request_features(requests: TimedRequests, timing: RequestPhases, edges_s: Floats) -> RequestFeatures:
    """Features of all requests; ``edges_s`` become part of the grid, so that windows are cut exactly."""
    first, end, out = timing.first_s, requests.end_s, requests.output
    decodes = (out > 0) & (end > first)
    running = RunningCount.from_intervals(first[decodes], end[decodes], np.concatenate([edges_s, timing.clock.edges_s]))
    grid = running.grid_s
    ticks = timing.clock.tokens_at(grid)
    elapsed_tokens = np.diff(ticks)
    levels = np.concatenate([np.zeros((4, 1)), np.cumsum(batch_shapes(running.count) * elapsed_tokens, axis=1)], axis=1)
    decode_tokens = np.where(decodes, timing.clock.tokens_at(end) - timing.clock.tokens_at(first), 1.0)
    pace = np.where(decodes, out / np.maximum(decode_tokens, 1e-9), 0.0)
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
