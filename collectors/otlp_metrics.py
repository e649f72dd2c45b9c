"""Metrics of OTLP: windows of requests from tokens and durations, whatever type and temporality a library gives them.

A series is a metric with its whole set of attributes and those of its resource. A cumulative series counts from its last point;
from zero where it was reset, or where it appears after others of its resource, or began after this receiver did; else its first
point only sets where it begins. Series of one resource, model, use case and replica add up to one window.

Metrics
-------
gen_ai.client.token.usage          tokens by ``gen_ai.token.type``; the number of requests where it is a histogram or a summary
gen_ai.client.operation.duration   the number of requests where no metric of tokens gives it
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.otlp_spans import is_call_operation

MAX_SERIES = 10_000
DELTA, CUMULATIVE = 1, 2
EXPORT_INTERVAL_NS = 60 * 10**9  # the default interval of exporters
_CYCLE_NS = 10**9  # points of one collection bear about the same time, in one export or several
_FORGOTTEN_NS = 3_600 * 10**9  # a series that nothing was heard of for an hour may give way to another
_NO_VALUE = 1  # flag of a point: the series has ended
AGENT_METRICS = "metrics of agents and tools, whose calls count"
KINDS = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")
TOKENS, DURATION = "gen_ai_client_token_usage", "gen_ai_client_operation_duration"
_COLUMNS = {
    "input": "input_tokens",
    "prompt": "input_tokens",
    "output": "output_tokens",
    "completion": "output_tokens",
    "cached_input": "cached_input_tokens",
    "input_cached": "cached_input_tokens",
    "cache_read": "cached_input_tokens",
    "cached": "cached_input_tokens",
}
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """One data point: its metric with underscores for dots, attributes of the resource and its own, kind and temporality."""

    metric: str
    resource: dict[str, Any]
    attributes: dict[str, Any]
    kind: str
    temporality: int
    is_monotonic: bool
    value: dict[str, Any]

    def first(self, *names: str) -> str:
        """The first text that is there, of its own attributes, else of the resource's; names may have underscores for dots."""
        for attributes in (self.attributes, self.resource):
            for name in names:
                value = attributes.get(name) or attributes.get(name.replace(".", "_"))
                if value:
                    return str(value)
        return ""

    @property
    def series(self) -> bytes:
        """Identity of the series."""
        parts = (self.metric, self.kind, sorted(self.resource.items()), sorted(self.attributes.items()))
        return hashlib.blake2b(repr(parts).encode("utf-8", "replace"), digest_size=16).digest()

    @property
    def origin(self) -> bytes:
        """Identity of the resource."""
        return hashlib.blake2b(repr(sorted(self.resource.items())).encode("utf-8", "replace"), digest_size=16).digest()


@dataclass(slots=True)
class _Seen:
    start_ns: int
    at_ns: int
    count: float
    total: float


@dataclass(slots=True)
class _Amount:
    """What a series adds between two instants [ns]: requests (NaN where it does not count them) and tokens."""

    start_ns: int
    end_ns: int
    count: float
    total: float


class TokenWindows:
    """Windows of requests from the metrics of calls, between two exports of a process."""

    def __init__(self, now_ns: int | None = None) -> None:
        self._began_ns = time.time_ns() if now_ns is None else now_ns
        self._series: OrderedDict[bytes, _Seen] = OrderedDict()
        self._origins: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # first and latest time [ns] of each resource

    def add(self, points: Iterator[Point] | list[Point], reasons: Counter[str]) -> list[dict[str, Any]]:
        """Windows that an export closes; ``reasons`` counts points that are not taken."""
        windows: dict[tuple[Any, ...], dict[str, Any]] = {}
        before = {origin: times[1] for origin, times in self._origins.items()}
        for point in points:
            column = _column(point, reasons)
            if column is None:
                continue
            amount = self._amount(point, before, reasons)
            if amount is None:
                continue
            model = point.first("gen_ai.response.model", "gen_ai.request.model")
            use_case = point.first("footprint.use_case", "use_case", "service.name")
            replica = point.first("server.address")
            key = (point.origin, model, use_case, replica, amount.end_ns)
            window = windows.setdefault(
                key,
                {
                    "start_ns": amount.start_ns,
                    "model": model,
                    "use_case": use_case,
                    "replica": replica,
                    "counts": {},
                    "series": set(),
                },
            )
            window["series"].add(point.series)
            window["start_ns"] = min(window["start_ns"], amount.start_ns)
            if column:
                window[column] = window.get(column, 0.0) + amount.total
            if not math.isnan(amount.count):
                window["counts"][column] = window["counts"].get(column, 0.0) + amount.count
        return [_row(key, window) for key, window in windows.items()]

    def _amount(self, point: Point, before: Mapping[bytes, int], reasons: Counter[str]) -> _Amount | None:
        at_ns, start_ns = _number(point.value.get("timeUnixNano")), _number(point.value.get("startTimeUnixNano"))
        total = _total(point)
        count = _number(point.value.get("count")) if point.kind != "sum" else math.nan
        if at_ns <= 0 or not math.isfinite(total) or total < 0 or count < 0 or start_ns > at_ns:
            reasons["points without a time or an amount that can be"] += 1
            return None
        if point.kind != "summary" and point.temporality == DELTA:
            start_ns = start_ns if 0 < start_ns < at_ns else at_ns - EXPORT_INTERVAL_NS
            amount = _Amount(start_ns, at_ns, count, total)
        else:
            grown = self._grown(point, start_ns, at_ns, count, total, before, reasons)
            if grown is None:
                return None
            amount = grown
        return amount if amount.total > 0 or amount.count > 0 else None

    def _grown(
        self,
        point: Point,
        start_ns: int,
        at_ns: int,
        count: float,
        total: float,
        before: Mapping[bytes, int],
        reasons: Counter[str],
    ) -> _Amount | None:
        """What a cumulative series added since its last point."""
        series, origin = point.series, point.origin
        first_ns, last_ns = self._origins.get(origin, (at_ns, at_ns))
        self._origins[origin] = first_ns, max(last_ns, at_ns)
        self._origins.move_to_end(origin)
        while len(self._origins) > MAX_SERIES:
            self._origins.popitem(last=False)
        seen = self._series.get(series)
        if seen is None and not self._has_room(at_ns):
            reasons["more series of tokens than the agent remembers"] += 1
            return None
        if seen is not None and at_ns <= seen.at_ns:
            if (at_ns, total) != (seen.at_ns, seen.total):
                reasons["points that come after later ones"] += 1
            return None
        self._series[series] = _Seen(start_ns, at_ns, count, total)
        self._series.move_to_end(series)
        if seen is not None:
            return _since(seen, start_ns, at_ns, count, total)
        is_new = at_ns > first_ns + _CYCLE_NS and origin in before  # beside others that are known
        if is_new or self._began_ns <= start_ns < at_ns:
            earliest_ns = before[origin] if is_new else start_ns
            return _Amount(max(start_ns, earliest_ns) if start_ns < at_ns else earliest_ns, at_ns, count, total)
        return None

    def _has_room(self, at_ns: int) -> bool:
        """Whether another series can be remembered; one that was silent for long gives way."""
        if len(self._series) < MAX_SERIES:
            return True
        series, oldest = next(iter(self._series.items()))
        if at_ns - oldest.at_ns < _FORGOTTEN_NS:
            return False
        del self._series[series]
        return True


def _column(point: Point, reasons: Counter[str]) -> str | None:
    """Column that the total of a point belongs to; empty if only its count matters, None if it is not taken."""
    is_counter = point.kind == "sum"
    if point.metric not in (TOKENS, DURATION) or _number(point.value.get("flags")) == _NO_VALUE:
        return None
    fault = _fault(point)
    column = "" if point.metric == DURATION else _COLUMNS.get(point.first("gen_ai.token.type").lower())
    if not fault and column is None:
        fault = "tokens of a type that is not known"
    if fault:
        reasons[fault] += 1
    return None if fault or (is_counter and column == "") else column


def _fault(point: Point) -> str:
    operation = point.first("gen_ai.operation.name")
    faults = (
        (not is_call_operation(operation), AGENT_METRICS),
        (point.kind == "gauge", "gauges of tokens or calls, which do not add up"),
        (point.kind == "sum" and not point.is_monotonic, "sums of tokens or calls that may fall"),
        (
            point.kind not in ("summary", "gauge") and point.temporality not in (DELTA, CUMULATIVE),
            "metrics without a temporality",
        ),
    )
    return next((reason for is_fault, reason in faults if is_fault), "")


def _since(seen: _Seen, start_ns: int, at_ns: int, count: float, total: float) -> _Amount:
    """What a series added since it was seen; one that was reset counts from zero."""
    if start_ns > seen.at_ns or total < seen.total or count < seen.count:
        return _Amount(start_ns if seen.at_ns <= start_ns < at_ns else seen.at_ns, at_ns, count, total)
    return _Amount(seen.at_ns, at_ns, count - seen.count, total - seen.total)


def _row(key: tuple[Any, ...], window: dict[str, Any]) -> dict[str, Any]:
    """Row of a window in the columns of requests."""
    _, model, use_case, replica, end_ns = key
    counts = window["counts"]
    requests = max((counts[column] for column in counts if column), default=counts.get("", 1.0))
    name = repr((window["start_ns"], end_ns, sorted(window["series"]))).encode()
    row: dict[str, Any] = {
        "start": _seconds(window["start_ns"]),
        "end": _seconds(end_ns),
        "model": model,
        "use_case": use_case,
        "replica": replica,
        "requests": max(round(requests), 1),
        "id": hashlib.blake2b(name, digest_size=16).hexdigest(),
    }
    return row | {column: round(window[column]) for column in sorted(set(_COLUMNS.values())) if column in window}


def _seconds(at_ns: int) -> str:
    """Unix seconds as a text, to the microsecond."""
    return f"{at_ns // 10**9}.{at_ns % 10**9 // 1000:06d}"


def _total(point: Point) -> float:
    """Total of a point: its sum, or the value of a counter; not a number where it gives none."""
    value: Any = point.value.get("sum", 0.0) if point.kind != "sum" else point.value.get("asDouble", point.value.get("asInt"))
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | str) and not isinstance(value, bool) and value != "" else 0
