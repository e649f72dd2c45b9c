"""Times of each request's prefill and decode: as logged, else inferred from all requests together.

Requests wait for one of M slots in the order of their arrival, are read one after the other at c0 seconds per token, and then
produce tokens by the common clock. (c0, M) are the values under which the clock's tokens over each request are nearest to the
tokens that it produced.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.request_log import RequestLog
from footprint.attribution.step.decode_clock import DecodeClock, RunningCount, fit_decode_clock
from footprint.core.units import US_PER_S

BIN_S, SEARCH_BIN_S = 10.0, 5.0
MIN_LONG_OUTPUT = 16  # output tokens from which the clock determines when an answer began
MIN_DURATION_S, MIN_DURATION_WHOLE_S = 1e-3, 0.1  # shortest request; the second where timestamps are whole seconds
MIN_STAMPS = 20


@dataclass(frozen=True, slots=True)
class TimedRequests:
    """Single requests of known tokens, sorted by start; arrays of shape (n,), times in seconds since an origin.

    ``index`` is the position of each in the log; ``fresh`` are input tokens that no cache held; ``first_s`` is NaN where nobody
    logged the first token.
    """

    index: Ints
    start_s: Floats
    end_s: Floats
    first_s: Floats
    fresh: Floats
    output: Floats
    key: Ints

    def __len__(self) -> int:
        return len(self.start_s)


def has_whole_second_stamps(log: RequestLog) -> bool:
    """Whether the timestamps of a log have no fraction of a second, so that they are too coarse for short requests."""
    single = ~log.arrival & (log.weight == 1)
    starts = log.start_us[single]
    return len(starts) >= MIN_STAMPS and float((starts % US_PER_S == 0).mean()) > 0.95


def timed_requests(log: RequestLog, origin_us: int, shift_s: float = 0.0, late_s: float = 0.0) -> TimedRequests:
    """Requests of a log that the model can use.

    Parameters
    ----------
    log
        Requests of one service.
    origin_us
        Origin of the times [µs since 1970].
    shift_s
        Seconds to add to the timestamps.
    late_s
        Seconds to subtract from the ends.
    """
    known = (log.input_tokens >= 0) | (log.output_tokens >= 0)
    chosen = np.flatnonzero(known & ~log.arrival & (log.weight == 1))
    chosen = chosen[np.argsort(log.start_us[chosen], kind="stable")]
    # A timestamp in whole seconds stands for the middle of the second.
    middle = 0.5 if has_whole_second_stamps(log) else 0.0
    start = (log.start_us[chosen] - origin_us) / US_PER_S + shift_s + middle
    end = (log.end_us[chosen] - origin_us) / US_PER_S + shift_s + middle - late_s
    end = np.maximum(end, start + (MIN_DURATION_WHOLE_S if middle else MIN_DURATION_S))
    first_token_us = log.first_token_us[chosen]
    first = np.where(first_token_us >= 0, (first_token_us - origin_us) / US_PER_S + shift_s, np.nan)
    fresh = np.maximum(log.input_tokens[chosen], 0) - np.maximum(log.cached_tokens[chosen], 0)
    return TimedRequests(
        chosen,
        start,
        end,
        first,
        np.maximum(fresh, 0).astype(np.float64),
        np.maximum(log.output_tokens[chosen], 0).astype(np.float64),
        log.key[chosen],
    )


@dataclass(frozen=True, slots=True)
class RequestPhases:
    """Prefill [read, first) and decode [first, end) of requests [s], with the clock.

    ``prefill_s`` is seconds per fresh token, ``slots`` the number of requests that run at once (0: no limit seen), ``misfit``
    the mean of |log ratio| of the clock's tokens to those produced, each at most 1.
    """

    read_s: Floats
    first_s: Floats
    clock: DecodeClock
    prefill_s: float
    slots: int
    misfit: float
    logged: bool


def request_phases(requests: TimedRequests, hosts: int = 1) -> RequestPhases:
    """Phases of requests: from logged first tokens where more than 90 % have them, else inferred.

    Each of ``hosts`` hosts reads one request after the other; they are taken in turn, because the log does not name them.
    """
    logged = np.isfinite(requests.first_s)
    decodes = requests.output > 0
    if decodes.any() and logged[decodes].mean() > 0.9:
        return _phases_from_log(requests)
    if not decodes.any():
        # Embeddings and rerankers: prefill only.
        clock = DecodeClock(np.array([0.0, 1.0]), np.array([0.0, 1e-3]))
        return RequestPhases(requests.start_s, requests.end_s, clock, 0.0, 0, 0.0, logged=True)
    return _inferred_phases(requests, hosts)


def _phases_from_log(requests: TimedRequests) -> RequestPhases:
    first = np.where(np.isfinite(requests.first_s), requests.first_s, requests.start_s)
    first = np.clip(first, requests.start_s, requests.end_s)
    rate = float(np.quantile((first - requests.start_s) / np.maximum(requests.fresh, 64), 0.25))
    first = np.where(requests.output > 0, first, requests.end_s)
    clock = fit_decode_clock(first, requests.end_s, requests.output, BIN_S)
    read = np.maximum(first - 1.2 * rate * requests.fresh, requests.start_s)
    return RequestPhases(read, first, clock, rate, 0, _misfit(requests, first, clock, 0.0), logged=True)


def _inferred_phases(requests: TimedRequests, hosts: int) -> RequestPhases:
    rate, least_step = _latency_law(requests)
    admission_by_slots = {0: requests.start_s}

    def misfit_of(c0: float, slots: int) -> float:
        if slots not in admission_by_slots:
            admission_by_slots[slots] = admission_times(requests.start_s, requests.end_s, slots)
        first = _serial_ends(admission_by_slots[slots], c0 * requests.fresh, hosts)
        clipped = np.minimum(first, requests.end_s - 1e-4)
        return _misfit(requests, first, fit_decode_clock(clipped, requests.end_s, requests.output, SEARCH_BIN_S), least_step)

    best = min((misfit_of(rate * scale, 0), rate * scale, 0) for scale in (0.1, 0.25, 0.5, 0.75, 1.0, 1.3, 1.7, 2.2, 3.0))
    peak = int(RunningCount.from_intervals(requests.start_s, requests.end_s, np.zeros(0)).count.max(initial=0))
    grid = np.unique(np.rint(np.geomspace(2, max(peak, 2), 14)).astype(int))
    best = min([best, *((misfit_of(best[1], int(m)), best[1], int(m)) for m in grid if m < peak)])
    for factors in ((0.5, 0.7, 0.85, 1.2, 1.5, 2.0), (0.93, 0.97, 1.03, 1.08)):
        best = min([best, *((misfit_of(best[1] * f, best[2]), best[1] * f, best[2]) for f in factors)])
        if best[2]:
            near = {max(2, round(best[2] * f)) for f in (0.75, 0.85, 0.93, 1.08, 1.15, 1.25)} | {best[2] - 1, best[2] + 1}
            best = min([best, *((misfit_of(best[1], m), best[1], m) for m in sorted(near) if 2 <= m < peak)])
    misfit, c0, slots = best
    begin = admission_by_slots[slots]
    first = np.minimum(_serial_ends(begin, c0 * requests.fresh, hosts), requests.end_s - 1e-4)
    clock = fit_decode_clock(first, requests.end_s, requests.output, BIN_S)
    first_by_clock = clock.time_at(clock.tokens_at(requests.end_s) - requests.output)
    is_long = requests.output >= MIN_LONG_OUTPUT
    first = np.where(is_long, (first + first_by_clock) / 2, first)
    low, high = begin + c0 * requests.fresh, requests.end_s - 0.9 * requests.output * least_step
    first = np.clip(first, np.minimum(low, requests.end_s - 1e-4), np.maximum(np.minimum(high, requests.end_s - 1e-4), low))
    first = np.minimum(first, requests.end_s - 1e-4)
    first = np.where(requests.output > 0, first, requests.end_s)
    clock = fit_decode_clock(first, requests.end_s, requests.output, BIN_S)
    read = np.maximum(first - 1.2 * c0 * requests.fresh, requests.start_s)
    return RequestPhases(read, first, clock, c0, slots, misfit, logged=False)


def _latency_law(requests: TimedRequests) -> tuple[float, float]:
    """Seconds per input token, and least seconds per step, of latency = c0 x input + step x output + more x output x concurrency.

    By non-negative least squares without the slow tail.
    """
    concurrency = RunningCount.from_intervals(requests.start_s, requests.end_s, np.zeros(0)).time_mean(
        requests.start_s, requests.end_s
    )
    latency = requests.end_s - requests.start_s
    columns = np.stack([requests.fresh, requests.output, requests.output * concurrency], axis=1)
    typical = latency > 0
    coefficients = np.zeros(3)
    for _ in range(4):
        weight = 1 / np.sqrt(np.maximum(latency[typical], 1e-3))
        scale = np.maximum(np.abs(columns[typical]).max(axis=0, initial=1e-9), 1e-9)
        rows = np.column_stack([columns[typical] / scale, latency[typical]]) * weight[:, None]
        # The triangle of the rows has the same least squares in three equations.
        triangle = np.asarray(np.linalg.qr(rows, mode="r"))
        coefficients = nnls(triangle[:, :3], triangle[:, 3])[0] / scale
        ratio = latency / np.maximum(columns @ coefficients, 1e-6)
        limit = np.quantile(ratio[latency > 0], 0.7)
        typical = (latency > 0) & (ratio <= limit)
    return max(float(coefficients[0]), 1e-7), max(float(coefficients[1]), 1e-6)


def admission_times(start_s: Floats, end_s: Floats, slots: int) -> Floats:
    """When each request got one of ``slots`` slots, first come first served; requests are sorted by start.

    Examples
    --------
    >>> admission_times(np.array([0.0, 1.0, 2.0]), np.array([5.0, 6.0, 9.0]), 2).tolist()
    [0.0, 1.0, 5.0]
    """
    if slots <= 0 or len(start_s) <= slots:
        return start_s
    begin = np.empty(len(start_s))
    busy_until = end_s[:slots].tolist()
    heapq.heapify(busy_until)
    begin[:slots] = start_s[:slots]
    last_admission = float(start_s[:slots].max())
    times = []
    # Millions of turns a day: comparisons are twice as fast as min and max.
    for start, end in zip(start_s[slots:].tolist(), end_s[slots:].tolist(), strict=True):
        freed = heapq.heappushpop(busy_until, end) if end > busy_until[0] else end
        if freed > end:  # noqa: PLR1730
            freed = end
        if freed > last_admission:  # noqa: PLR1730
            last_admission = freed
        if start > last_admission:  # noqa: PLR1730
            last_admission = start
        times.append(last_admission)
    begin[slots:] = times
    return np.minimum(begin, end_s)


def _serial_ends(begin_s: Floats, seconds: Floats, lanes: int = 1) -> Floats:
    """Ends of serial work that may begin at ``begin_s``, in order: f_i = max(begin_i, f_(i-lanes)) + seconds_i."""
    rows = -(-len(begin_s) // lanes)
    missing = (0, rows * lanes - len(begin_s))
    begin = np.pad(begin_s, missing, constant_values=np.inf).reshape(rows, lanes)
    work = np.pad(seconds, missing).reshape(rows, lanes)
    done = np.cumsum(work, axis=0)
    ends: Floats = (done + np.maximum.accumulate(begin - (done - work), axis=0)).ravel()
    return ends[: len(begin_s)]


def _misfit(requests: TimedRequests, first_s: Floats, clock: DecodeClock, least_step_s: float) -> float:
    is_long = requests.output >= MIN_LONG_OUTPUT
    if not is_long.any():
        return 1.0
    first, end, output = first_s[is_long], requests.end_s[is_long], requests.output[is_long]
    counted = clock.tokens_at(end) - clock.tokens_at(np.minimum(first, end))
    deviation = np.minimum(1.0, np.abs(np.log(output / np.maximum(counted, 1e-6))))
    # Without this the search ends at absurd prefill speeds, which leave no time to decode.
    impossible = first > end - 0.8 * output * least_step_s
    return float(np.where(impossible, 1.0, deviation).mean())
