"""Request log of one service: requests with their use case and model, and a timeline of how many run when.

A request runs over [start, end). A record of n requests over a window counts as n running requests throughout. An arrival of
unknown duration stands for its whole window of attribution, with its tokens as weight, so that tokens alone divide the energy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.energy_intervals import expand_ranges

MAX_MEMOIZED = 12
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestLog:
    """Requests of one service, arrays of shape (n,); times in µs since 1970.

    ``key`` is the index of the request's (use case, model) pair; ``weight`` is the number of requests that a record counts for
    while it runs; tokens and ``first_token_us`` are -1 where unknown; ``arrival`` marks records without a duration.
    """

    start_us: Ints
    end_us: Ints
    key: Ints
    weight: Floats
    input_tokens: Ints
    cached_tokens: Ints
    output_tokens: Ints
    first_token_us: Ints
    arrival: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start_us)

    def __getitem__(self, index: NDArray[np.bool_] | Ints) -> RequestLog:
        return RequestLog(*(getattr(self, name)[index] for name in self.__slots__))


def build_request_log(
    start_us: Ints,
    end_us: Ints,
    key: Ints,
    requests: Ints,
    input_tokens: Ints,
    cached_tokens: Ints,
    output_tokens: Ints,
    first_token_us: Ints,
    window_us: int,
    arrival_tokens: Floats,
) -> RequestLog:
    """Request log from columns in which -1 means unknown.

    Parameters
    ----------
    start_us, end_us, first_token_us
        Instants [µs since 1970], shape (n,); ``end_us`` -1 marks an arrival.
    key
        Index of the (use case, model) pair, shape (n,).
    requests
        Number of requests of each record, shape (n,).
    input_tokens, cached_tokens, output_tokens
        Token counts, shape (n,).
    window_us
        Length of a window of attribution [µs].
    arrival_tokens
        Weight of arrivals against each other, shape (n,).
    """
    arrival = end_us < 0
    window_start = start_us - start_us % window_us
    weight = requests.astype(np.float64)
    if arrival.any():
        mean = arrival_tokens[arrival].mean()
        weight[arrival] = arrival_tokens[arrival] / mean if mean > 0 else weight[arrival]
    return RequestLog(
        start_us=np.where(arrival, window_start, start_us),
        # A request of no duration runs for one microsecond.
        end_us=np.where(arrival, window_start + window_us, np.maximum(end_us, start_us + 1)),
        key=key,
        weight=weight,
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
        first_token_us=first_token_us,
        arrival=arrival,
    )


def widen_counts(log: RequestLog) -> RequestLog:
    """The log with each count longer by its own length at both ends, because its requests may run before and after it."""
    margin_us = np.where((log.weight != 1) | log.arrival, log.end_us - log.start_us, 0)
    return replace(log, start_us=log.start_us - margin_us, end_us=log.end_us + margin_us)


def shift_log(log: RequestLog, shift_us: int) -> RequestLog:
    """The log with its timestamps moved by ``shift_us`` [µs]."""
    has_first_token = log.first_token_us >= 0
    first_token_us = np.where(has_first_token, log.first_token_us + shift_us, log.first_token_us)
    return replace(log, start_us=log.start_us + shift_us, end_us=log.end_us + shift_us, first_token_us=first_token_us)


class ConcurrencyTimeline:
    """How many requests of a service run when, cut at the edges of windows; built once and used for each of its devices.

    ``grid_us`` (m + 1,) are the instants [µs] at which anything changes, ``in_flight`` (m,) the weight of the running requests
    between them, ``window`` (m,) the window. A pair is a request within a window: ``pair_request``, ``pair_window``, and
    ``pair_begin`` and ``pair_finish`` as indices into the grid.
    """

    def __init__(self, log: RequestLog, edges_us: Ints) -> None:
        self.log = log
        self.edges_us = edges_us
        low, high = edges_us[0], edges_us[-1]
        start, end = np.clip(log.start_us, low, high), np.clip(log.end_us, low, high)
        self.grid_us = np.unique(np.concatenate([start, end, edges_us]))
        begin, finish = np.searchsorted(self.grid_us, start), np.searchsorted(self.grid_us, end)
        change = np.zeros(len(self.grid_us))
        count = np.zeros(len(self.grid_us), dtype=np.int64)
        np.add.at(change, begin, log.weight)
        np.add.at(change, finish, -log.weight)
        np.add.at(count, begin, 1)
        np.add.at(count, finish, -1)
        # Weights are floats whose running sum need not come back to zero; counts do.
        self.in_flight = np.where(np.cumsum(count)[:-1] > 0, np.cumsum(change)[:-1], 0.0)
        self.window = np.searchsorted(edges_us, self.grid_us[:-1], side="right") - 1
        length = np.diff(self.grid_us)
        self._busy_us = _running_sum(np.where(np.cumsum(count)[:-1] > 0, length, 0))
        self._concurrent_us = _running_sum(np.where(np.cumsum(count)[:-1] > 1, length, 0))
        self._pairs(start, end)
        by_start, by_end = np.argsort(log.start_us, kind="stable"), np.argsort(log.end_us, kind="stable")
        self._starts, self._ends = log.start_us[by_start], log.end_us[by_end]
        self._key_started = _running_sum(log.key[by_start])
        self._key_ended = _running_sum(log.key[by_end])
        self._square_started = _running_sum(log.key[by_start] ** 2)
        self._square_ended = _running_sum(log.key[by_end] ** 2)
        self._memo: OrderedDict[tuple[object, ...], Any] = OrderedDict()

    def memoize(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        """What ``compute`` returned for a key: devices of one host are mostly read at the same instants."""
        if key not in self._memo:
            self._memo[key] = compute()
            while len(self._memo) > MAX_MEMOIZED:
                self._memo.popitem(last=False)
        return cast(T, self._memo[key])

    def _pairs(self, start: Ints, end: Ints) -> None:
        first = np.searchsorted(self.edges_us, start, side="right") - 1
        last = np.searchsorted(self.edges_us, end, side="left") - 1
        inside = end > start
        self.pair_request, self.pair_window = expand_ranges(first, np.where(inside, last - first + 1, 0))
        begin = np.maximum(start[self.pair_request], self.edges_us[self.pair_window])
        finish = np.minimum(end[self.pair_request], self.edges_us[self.pair_window + 1])
        self.pair_begin = np.searchsorted(self.grid_us, begin)
        self.pair_finish = np.searchsorted(self.grid_us, finish)

    def count_overlapping(self, start_us: Ints, end_us: Ints) -> tuple[Ints, Ints]:
        """Number of requests that overlap each interval [start, end), and their key where all have the same (else -1)."""
        started = np.searchsorted(self._starts, end_us, side="left")
        ended = np.searchsorted(self._ends, start_us, side="right")
        count = started - ended
        key = self._key_started[started] - self._key_ended[ended]
        square = self._square_started[started] - self._square_ended[ended]
        # All keys are the same exactly where the sum of squares reaches the Cauchy-Schwarz bound.
        single_key = (count > 0) & (count * square == key * key)
        return count, np.where(single_key, key // np.maximum(count, 1), -1)

    def concurrent_share(self, start_us: Ints, end_us: Ints) -> Floats:
        """Share of the busy time of each interval [start, end) in which two requests or more run, shape (n,)."""
        grid = self.grid_us.astype(np.float64)
        busy_us = np.interp(end_us, grid, self._busy_us) - np.interp(start_us, grid, self._busy_us)
        concurrent_us = np.interp(end_us, grid, self._concurrent_us) - np.interp(start_us, grid, self._concurrent_us)
        return np.where(busy_us > 0, concurrent_us / np.maximum(busy_us, 1.0), 0.0)

    def running_at(self, instant_us: Ints) -> Ints:
        """Number of requests that run both just before and just after each instant."""
        started = np.searchsorted(self._starts, instant_us, side="left")
        ended = np.searchsorted(self._ends, instant_us, side="right")
        return started - ended


def _running_sum(values: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values)])
