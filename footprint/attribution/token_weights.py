"""Token weights: the proportions in which energy above idle is divided over requests.

Only proportions count, because the divided energy is measured. The declared weights are the fall-back where no step model fits:
w_in x uncached input + w_cached x cached input + w_out x output tokens, spread evenly over the request. Their values and sources
are assumptions (``data/assumptions.csv``, docs/explanation/method.md, section 3).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.request_log import RequestLog
from footprint.core.assumptions import assumption


class EnergyWeights(Protocol):
    """Model energy of requests within intervals of time."""

    method: str
    has_coarse_stamps: bool  # too coarse to attribute a single interval to one use case
    is_pooled: bool  # whether the log is that of several hosts and does not name them

    def model_energy(self, request: Ints, start_us: Ints, end_us: Ints) -> Floats:
        """Model energy (any unit, not negative) of requests within [start, end), shape (n,)."""


def token_weight(input_tokens: Ints, cached_tokens: Ints, output_tokens: Ints, weight_input: float | None = None) -> Floats:
    """Declared weight of requests, in output tokens.

    Parameters
    ----------
    input_tokens, cached_tokens, output_tokens
        Token counts, shape (n,); unknown ones (-1) weigh nothing. Cached tokens are part of the input.
    weight_input
        Weight of an uncached input token; None for the assumption ``weight_input_token``.

    Returns
    -------
    ndarray of float64
        Weights, shape (n,).
    """
    w_in = assumption("weight_input_token").value if weight_input is None else weight_input
    w_out = assumption("weight_output_token").value
    w_cached = assumption("weight_cached_token").value
    inputs, cached = np.maximum(input_tokens, 0), np.maximum(cached_tokens, 0)
    return w_in * np.maximum(inputs - cached, 0) + w_cached * cached + w_out * np.maximum(output_tokens, 0)


class DeclaredWeights:
    """Declared token weights over one log; a request of unknown tokens weighs as the mean request of its duration."""

    method, has_coarse_stamps, is_pooled = "declared", False, False

    def __init__(self, log: RequestLog, weight_input: float | None = None) -> None:
        self._start_us, self._end_us = log.start_us, log.end_us
        length_us = (log.end_us - log.start_us).astype(np.float64)
        tokens = token_weight(log.input_tokens, log.cached_tokens, log.output_tokens, weight_input)
        unknown = (log.input_tokens < 0) & (log.output_tokens < 0)
        known_time = float((length_us * log.weight)[~unknown].sum())
        rate = float(tokens[~unknown].sum()) / known_time if known_time > 0 else 1.0
        # Energy per microsecond of each request.
        self._rate = np.where(unknown, rate * log.weight, tokens / length_us)

    def model_energy(self, request: Ints, start_us: Ints, end_us: Ints) -> Floats:
        """Model energy in output tokens within [start, end), shape (n,)."""
        begin = np.maximum(start_us, self._start_us[request])
        finish = np.minimum(end_us, self._end_us[request])
        return self._rate[request] * np.maximum(finish - begin, 0)
