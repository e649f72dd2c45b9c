"""Windows of counts, where no single request is known: tokens per minute and use case, from counters.

The power of a server saturates with the rate of its tokens. A mixture of 1 - exp(-rate/q) terms follows any such curve; each term
is divided over the use cases by their output tokens. Counts do not tell which requests ran together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.request_log import RequestLog
from footprint.attribution.step.decode_clock import integrate_rates
from footprint.attribution.step.features import CONTEXT_SCALE
from footprint.attribution.token_weights import token_weight
from footprint.core.units import US_PER_S

SATURATION_RATES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # tokens per second at which a term saturates
COUNT_FEATURES = (
    "counted-in",
    "counted-inctx",
    "counted-out",
    "counted-outctx",
    *(f"rate{int(rate)}" for rate in SATURATION_RATES),
)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Records of counts, arrays of shape (n, …).

    ``index`` is the position in the log, ``start_s`` and ``end_s`` are seconds since the origin, ``total`` the features
    (n, len(COUNT_FEATURES)), ``key`` the key of the log.
    """

    index: Ints
    start_s: Floats
    end_s: Floats
    total: Floats
    key: Ints

    def __len__(self) -> int:
        return len(self.start_s)


def window_counts(log: RequestLog, origin_us: int, shift_s: float = 0.0) -> WindowCounts:
    """Records of a log that stand for several requests, or for one of unknown duration, and whose tokens are known.

    Parameters
    ----------
    log
        Requests of one service.
    origin_us
        Origin of the times [µs since 1970].
    shift_s
        Seconds to add to the timestamps.
    """
    known = (log.input_tokens >= 0) | (log.output_tokens >= 0)
    index = np.flatnonzero(known & (log.arrival | (log.weight != 1)))
    start = (log.start_us[index] - origin_us) / US_PER_S + shift_s
    end = (log.end_us[index] - origin_us) / US_PER_S + shift_s
    fresh = np.maximum(log.input_tokens[index], 0) - np.maximum(log.cached_tokens[index], 0)
    out = np.maximum(log.output_tokens[index], 0).astype(np.float64)
    # Records of one window share its rate; windows that do not line up each have a rate of their own.
    length = np.maximum(end - start, 1e-6)
    tokens = token_weight(log.input_tokens[index], log.cached_tokens[index], log.output_tokens[index])
    produced = np.where(out > 0, out, 1e-9 * tokens)
    window, window_index = np.unique(np.stack([start, end]), axis=1, return_inverse=True)
    window_index = window_index.ravel()
    window_tokens = np.bincount(window_index, weights=produced, minlength=window.shape[1])[window_index]
    window_share = np.where(window_tokens > 0, produced / np.where(window_tokens > 0, window_tokens, 1.0), 0.0)
    rate = window_tokens / length
    shapes = [window_share * length * (1.0 - np.exp(-rate / scale)) for scale in SATURATION_RATES]
    fresh = np.maximum(fresh, 0).astype(np.float64)
    requests = np.maximum(log.weight[index], 1.0)
    context = (fresh + out / 2) / requests / CONTEXT_SCALE
    features = np.stack([fresh, fresh * fresh / requests / 2000.0, out, out * context, *shapes], axis=1)
    return WindowCounts(index, start, end, features, log.key[index])


def count_features(counts: WindowCounts, edges_s: Floats) -> Floats:
    """Features by window, shape (windows, len(COUNT_FEATURES)): each record evenly over its time."""
    length = np.maximum(counts.end_s - counts.start_s, 1e-6)
    return np.stack(
        [integrate_rates(edges_s, counts.start_s, counts.end_s, column / length) for column in counts.total.T], axis=1
    )
