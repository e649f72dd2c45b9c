"""Odd requests: bounds of what a request in quarantine may bear, and which are far from the others of their service.

Nobody knows when the work of a request was done whose end came a day late, nor how much was done for tokens that no model writes
in the time. Such a request counts, and its share is bounded: by the pace of its service, or by physics where the service has too
few requests. Quantiles are those of the requests that are read together, in any order, so that a day has one answer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Floats, Ints
from footprint.core.request_checks import (
    LONGEST_WAIT_US,
    TOO_LONG,
    UNLIKE_SERVICE,
    at_most_us,
    fresh_tokens,
    longest_us,
    most_input_tokens,
    most_output_tokens,
)
from footprint.core.units import US_PER_S
from footprint.ledger.ledger_view import DOUBTS, RequestColumns

MIN_REQUESTS = 30  # of a service, from which on its own durations say what is odd
MIN_ODD_US = 600 * US_PER_S  # clients of models give up after ten minutes by default; what is shorter is never odd
FAR = 20  # times the slow twentieth of the service, or its usual pace
MIN_OUTPUT_TOKENS, MIN_ODD_TOKENS_PER_S = 16, 5_000  # fewer tokens, or a pace that some machine reaches, are never odd
_SLOW_QUANTILE = 0.95
_TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")
_EACH_TOKENS, _INPUT_WEIGHT = 50.0, 0.05  # size of a request in output tokens: a part of each, and of what it reads


def bound_odd_requests(requests: RequestColumns) -> RequestColumns:
    """Requests of a service, with those in quarantine bounded, among them those that are far slower or faster than its others."""
    requests = _bound_tokens(requests)
    is_single = (requests.requests == 1) & (requests.end_us >= 0)
    duration_us = np.where(is_single, requests.end_us - requests.start_us, 0)
    requests = _bound_untokened(requests, is_single, duration_us)
    has_tokens = (requests.input_tokens >= 0) | (requests.output_tokens >= 0)
    usual = is_single & (requests.doubt == 0) & (duration_us > 0) & has_tokens
    duration_us = np.where(has_tokens, duration_us, 0)
    if usual.sum() < MIN_REQUESTS:
        return _bound_stuck(requests)
    return _bound_slow(_bound_fast(requests, is_single, usual), duration_us, usual)


def _bound_tokens(requests: RequestColumns) -> RequestColumns:
    doubted = requests.doubt > 0
    if not doubted.any():
        return requests
    numbers = requests.numbers()
    doubted &= requests.end_us >= 0
    outputs = _at_most(requests.output_tokens, most_output_tokens(numbers), doubted)
    fresh = fresh_tokens(numbers)
    inputs = requests.input_tokens - fresh + _at_most(fresh, most_input_tokens(numbers), doubted)
    return replace(requests, output_tokens=outputs, input_tokens=inputs)


def _at_most(counts: Ints, most: Floats, chosen: NDArray[np.bool_]) -> Ints:
    return np.where(chosen & (counts > most), np.floor(np.minimum(most, 2.0**62)).astype(np.int64), counts)


def _bound_fast(requests: RequestColumns, is_single: NDArray[np.bool_], usual: NDArray[np.bool_]) -> RequestColumns:
    """Answers written far faster than the others, as from a cache that the log does not name: tokens of the usual pace."""
    writes = requests.output_tokens >= MIN_OUTPUT_TOKENS
    seconds = np.where(is_single, at_most_us(requests.numbers()), US_PER_S) / US_PER_S
    pace = requests.output_tokens / np.maximum(seconds, 1e-6)
    if (writes & usual).sum() < MIN_REQUESTS:
        return requests
    usual_pace = float(np.quantile(pace[writes & usual], 0.5, method="higher"))
    odd = is_single & writes & (pace > max(FAR * usual_pace, MIN_ODD_TOKENS_PER_S))
    part = np.where(odd, np.minimum(usual_pace / np.maximum(pace, 1e-6), 1.0), 1.0)
    tokens = {name: _part_of(getattr(requests, name), part) for name in _TOKENS}
    return replace(requests, **tokens, doubt=_with_doubt(requests.doubt, odd))


def _part_of(counts: Ints, part: Floats) -> Ints:
    return np.where((counts > 0) & (part < 1), np.ceil(counts * part).astype(np.int64), counts)


def _bound_untokened(requests: RequestColumns, is_single: NDArray[np.bool_], duration_us: Ints) -> RequestColumns:
    """Requests of unknown tokens that lasted far longer than the slow twentieth of their use case: as long as that.

    A job (a training run, a film) has a use case of its own, whose few rows say nothing of each other.
    """
    untokened = (requests.input_tokens < 0) & (requests.output_tokens < 0)
    candidates = is_single & untokened & (duration_us > MIN_ODD_US)
    doubt, end_us = requests.doubt, requests.end_us
    for use_case in np.unique(requests.use_case[candidates]).tolist():
        of_use_case = is_single & (requests.use_case == use_case)
        if of_use_case.sum() < MIN_REQUESTS:
            continue
        slow_us = int(np.quantile(duration_us[of_use_case], _SLOW_QUANTILE, method="higher"))
        odd = candidates & of_use_case & (duration_us > FAR * slow_us)
        doubt = _with_doubt(doubt, odd)
        end_us = np.where(odd, requests.start_us + max(slow_us, 1), end_us)
    return replace(requests, end_us=end_us, doubt=doubt)


def _bound_stuck(requests: RequestColumns) -> RequestColumns:
    """Requests of incredible duration in a service too small to have a pace: ten minutes of waiting, and the slowest work."""
    stuck = requests.doubt == DOUBTS.index(TOO_LONG) + 1
    credible_us = longest_us(requests.numbers()) - LONGEST_WAIT_US + MIN_ODD_US
    end_us = np.where(stuck, np.minimum(requests.end_us, requests.start_us + credible_us), requests.end_us)
    return replace(requests, end_us=end_us)


def _bound_slow(requests: RequestColumns, duration_us: Ints, usual: NDArray[np.bool_]) -> RequestColumns:
    """Requests that lasted far longer than the slow twentieth would for their tokens: they last as long as that."""
    candidates = duration_us > MIN_ODD_US
    if not candidates.any():
        return requests
    size = _EACH_TOKENS + np.maximum(requests.output_tokens, 0) + _INPUT_WEIGHT * np.maximum(requests.input_tokens, 0)
    slow_pace_us = float(np.quantile(duration_us[usual] / size[usual], _SLOW_QUANTILE, method="higher"))
    slow_us = np.ceil(slow_pace_us * size).astype(np.int64)
    odd = candidates & (duration_us > FAR * slow_us)
    end_us = np.where(odd, requests.start_us + np.maximum(slow_us, 1), requests.end_us)
    return replace(requests, end_us=end_us, doubt=_with_doubt(requests.doubt, odd))


def _with_doubt(doubt: Ints, odd: NDArray[np.bool_]) -> Ints:
    return np.where(odd & (doubt == 0), DOUBTS.index(UNLIKE_SERVICE) + 1, doubt)
