"""Statistics of one placement's day for a fit: its timed requests, and windows of energy and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.energy_intervals import EnergyIntervals, cut_at_edges
from footprint.attribution.largest_remainder import sum_by_group
from footprint.attribution.request_log import RequestLog
from footprint.attribution.step.clock_offset import MAX_OFFSET_S, MAX_RESIDUAL_RATIO, MIN_OFFSET_S, find_clock_offset
from footprint.attribution.step.count_windows import WindowCounts, count_features, window_counts
from footprint.attribution.step.decode_clock import integrate_rates
from footprint.attribution.step.features import (
    ONE_HOST,
    REQUEST_FEATURES,
    HostCount,
    RequestFeatures,
    prefill_tokens_by_key,
    request_features,
    window_features,
)
from footprint.attribution.step.regression import AWAKE_TAUS_S, METER_NOISE, FitWindows, ModelForm, fit_form, relative_residual
from footprint.attribution.step.request_timing import TimedRequests, has_whole_second_stamps, request_phases, timed_requests
from footprint.core.stored_forms import stored_as
from footprint.core.units import UJ_PER_J, US_PER_DAY, US_PER_S

MAX_KEYS = 12  # use cases; above it, none has columns of its own
MIN_OFFSET_REQUESTS = 200  # requests
LATE_ENDS_S = (0.5, 0.25, 1.0, 2.0)  # candidate delays of ends stamped where the answer arrived
MAX_FIRST_LATE_RATIO = 0.9  # of the residual; if the first delay does not reach it, the others are not tried
MAX_LATE_RATIO = 0.6  # of the residual without delay; above it, ends count as on time
MIN_WINDOW_COVERAGE = 0.99  # of a window, by every device


@dataclass(frozen=True, slots=True)
class MeteredSpan:
    """Devices that serve one log together over [since, until) [µs since 1970], read as one meter.

    ``size`` is their number, where a device that is shared counts for its share; ``hosts`` is the number of their hosts.
    """

    devices: tuple[EnergyIntervals, ...]
    since_us: int = -(2**62)
    until_us: int = 2**62
    size: float = 1.0
    hosts: int = 1


@dataclass(frozen=True, slots=True)
class TimedLog:
    """The records of one service around a day that the model can use, placed in time.

    ``untokened`` are positions of single records without tokens (training, images). ``column`` is the index in ``keys`` of each
    key of the log. ``shift_s`` is added to the timestamps, ``late_s`` is how late the ends are stamped.
    """

    singles: TimedRequests
    features: RequestFeatures
    counts: WindowCounts
    untokened: Ints
    keys: tuple[str, ...]
    column: Ints
    origin_us: int
    shift_s: float
    late_s: float


@stored_as("DayStatistics", "windows requests lag_s lag_gain prefill_s slots misfit logged_first whole_seconds late_s counted")
@dataclass(frozen=True, slots=True)
class DayStatistics:
    """Statistics of one day of a placement, additive over days; stored, so that a fit reads no request twice.

    ``lag_s`` is what was added to the timestamps of the log [s], ``lag_gain`` the ratio of residuals with and without it;
    ``prefill_s``, ``slots`` and ``misfit`` are those of ``RequestPhases``; ``late_s`` is how long after the work ends are
    stamped [s].
    """

    windows: FitWindows
    requests: int
    lag_s: float
    lag_gain: float
    prefill_s: float
    slots: int
    misfit: float
    logged_first: bool
    whole_seconds: bool
    late_s: float
    counted: bool


def time_log(
    log: RequestLog,
    names: Sequence[str],
    day_us: int,
    edges_us: Ints,
    shift_s: float = 0.0,
    late_s: float = 0.0,
    hosts: HostCount = ONE_HOST,
) -> TimedLog:
    """Place the records of a log in time.

    Parameters
    ----------
    log
        Requests of one service.
    names
        Names of the keys of the log.
    day_us
        Begin of the day [µs since 1970], the origin of all times.
    edges_us
        Edges of the windows that are needed later [µs since 1970].
    shift_s
        Seconds to add to the timestamps.
    late_s
        Seconds to subtract from the ends.
    hosts
        Number of hosts that serve the log, where it does not name them.
    """
    has_own_columns = 0 < len(names) <= MAX_KEYS
    keys = tuple(names) if has_own_columns else ("",)
    column = np.arange(len(names)) if has_own_columns else np.zeros(len(names), dtype=np.int64)
    singles = timed_requests(log, day_us, shift_s, late_s)
    edges_s = (edges_us - day_us) / US_PER_S
    features = request_features(singles, request_phases(singles, int(hosts.count.max())), edges_s, hosts)
    counts = window_counts(log, day_us, shift_s)
    unknown = (log.input_tokens < 0) & (log.output_tokens < 0)
    untokened = np.flatnonzero(unknown & ~log.arrival & (log.weight == 1))
    return TimedLog(singles, features, counts, untokened, keys, column, day_us, shift_s, late_s)


def host_count(spans: Sequence[MeteredSpan], day_us: int) -> HostCount:
    """Number of hosts by the time since the begin of the day."""
    if not spans:
        return ONE_HOST
    since = np.array([(span.since_us - day_us) / US_PER_S for span in spans])
    return HostCount(since, np.array([float(span.hosts) for span in spans]))


def day_statistics(
    log: RequestLog, names: Sequence[str], spans: Sequence[MeteredSpan], day_us: int, window_us: int
) -> tuple[DayStatistics, TimedLog]:
    """Statistics of one UTC day of a service on its devices.

    Parameters
    ----------
    log, names
        Requests of the service, and the names of their keys.
    spans
        Devices of the service in order of time; more than one span where they change during the day.
    day_us
        Begin of the day [µs since 1970].
    window_us
        Length of a window [µs]; a window counts where one span holds all of it and every device of that covers it.

    Returns
    -------
    statistics : DayStatistics
        Statistics of the day.
    timed : TimedLog
        The log with the clock offset and the late ends that fit best.
    """
    edges = np.arange(day_us, day_us + US_PER_DAY + 1, window_us, dtype=np.int64)
    hosts = host_count(spans, day_us)
    timed = time_log(log, names, day_us, edges, hosts=hosts)
    offset_s, residual_ratio = _clock_offset(timed, spans, hosts)
    if offset_s:
        timed = time_log(log, names, day_us, edges, offset_s, hosts=hosts)
    windows = _fit_windows(log, timed, spans, edges)
    if _count_of_day(timed) >= MIN_OFFSET_REQUESTS and len(windows):
        residual = _residual(windows)
        if residual > METER_NOISE:
            candidates = []
            for late in LATE_ENDS_S:
                candidate = time_log(log, names, day_us, edges, offset_s, late, hosts)
                candidate_windows = _fit_windows(log, candidate, spans, edges)
                candidates.append((_residual(candidate_windows), late, candidate, candidate_windows))
                if candidates[-1][0] > MAX_FIRST_LATE_RATIO * residual:
                    break
            best = min(candidates, key=lambda entry: entry[:2])
            if best[0] < MAX_LATE_RATIO * residual:
                _, _, timed, windows = best
    inside = (log.start_us >= day_us) & (log.start_us < day_us + US_PER_DAY)
    timing = timed.features.timing
    return DayStatistics(
        windows,
        int(inside.sum()),
        offset_s,
        residual_ratio,
        timing.prefill_s,
        timing.slots,
        timing.misfit,
        timing.logged,
        has_whole_second_stamps(log),
        timed.late_s,
        len(timed.counts) > 0,
    ), timed


def _residual(windows: FitWindows) -> float:
    return relative_residual(windows, fit_form(windows, ModelForm()).residual)


def _fit_windows(log: RequestLog, timed: TimedLog, spans: Sequence[MeteredSpan], edges: Ints) -> FitWindows:
    energy, size = np.zeros(len(edges) - 1, dtype=np.int64), np.zeros(len(edges) - 1)
    complete = np.zeros(len(edges) - 1, dtype=bool)
    for span in spans:
        inside = (edges[:-1] >= span.since_us) & (edges[1:] <= span.until_us)
        span_energy = np.zeros(len(energy), dtype=np.int64)
        for intervals in span.devices:
            pieces, window, _ = cut_at_edges(intervals, edges)
            span_energy += sum_by_group(pieces.energy_uj, window, len(energy))
            covered_us = np.bincount(window, weights=pieces.covered_us, minlength=len(energy))
            inside &= covered_us >= MIN_WINDOW_COVERAGE * np.diff(edges)
        complete |= inside & (span_energy > 0)
        energy[inside], size[inside] = span_energy[inside], span.size
    edges_s = (edges - timed.origin_us) / US_PER_S
    return FitWindows(
        start_s=edges[:-1] / US_PER_S,
        length_s=np.diff(edges) / US_PER_S,
        energy_j=energy / UJ_PER_J,
        features=np.concatenate([window_features(timed.features, edges_s), count_features(timed.counts, edges_s)], axis=1),
        awake_s=_awake_seconds(log, timed, edges_s),
        reading=_sum_by_column(timed, prefill_tokens_by_key(timed.features, edges_s, len(timed.column))),
        held_s=_sum_by_column(timed, _untokened_seconds(log, timed, edges_s)),
        keys=timed.keys,
        size=size,
    )[complete]


def _sum_by_column(timed: TimedLog, values: Floats) -> Floats:
    result = np.zeros((len(values), len(timed.keys)))
    for key, column in enumerate(timed.column.tolist()):
        result[:, column] += values[:, key]
    return result


def _untokened_seconds(log: RequestLog, timed: TimedLog, edges_s: Floats) -> Floats:
    start = (log.start_us[timed.untokened] - timed.origin_us) / US_PER_S + timed.shift_s
    end = (log.end_us[timed.untokened] - timed.origin_us) / US_PER_S + timed.shift_s
    key, ones = log.key[timed.untokened], np.ones(len(timed.untokened))
    columns = [
        integrate_rates(edges_s, start[key == number], end[key == number], ones[key == number])
        for number in range(len(timed.column))
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(edges_s) - 1, 0))


def _awake_seconds(log: RequestLog, timed: TimedLog, edges_s: Floats) -> Floats:
    """Seconds of windows in which a request runs or ended at most tau ago, shape (windows, taus)."""
    order = np.argsort(log.start_us, kind="stable")
    start = (log.start_us[order] - timed.origin_us) / US_PER_S + timed.shift_s
    end = (log.end_us[order] - timed.origin_us) / US_PER_S + timed.shift_s
    columns = []
    for tau in AWAKE_TAUS_S:
        until = np.maximum.accumulate(end + tau) if len(end) else end
        starts_run = np.ones(len(start), dtype=bool)
        starts_run[1:] = start[1:] > until[:-1]
        first = start[starts_run]
        last = until[np.append(np.flatnonzero(starts_run)[1:] - 1, len(until) - 1)] if len(start) else start
        columns.append(integrate_rates(edges_s, first, last, np.ones(len(first))))
    return np.stack(columns, axis=1)


def _count_of_day(timed: TimedLog) -> int:
    """Number of single requests that start on the day; the log reaches beyond it."""
    return int(((timed.singles.start_s >= 0) & (timed.singles.start_s < US_PER_DAY / US_PER_S)).sum())


def _clock_offset(timed: TimedLog, spans: Sequence[MeteredSpan], hosts: HostCount) -> tuple[float, float]:
    """Clock offset [s] and residual ratio over the longest span, where every device covers it; 0 and 1 with few requests."""
    if _count_of_day(timed) < MIN_OFFSET_REQUESTS or not spans:
        return 0.0, 1.0
    span = max(spans, key=lambda span: min(span.until_us, timed.origin_us + US_PER_DAY) - max(span.since_us, timed.origin_us))
    if not span.devices or not all(len(intervals) for intervals in span.devices):
        return 0.0, 1.0
    seconds = US_PER_DAY // US_PER_S
    at = timed.origin_us + US_PER_S * np.arange(seconds + 1, dtype=np.int64)
    total = np.where((at >= span.since_us) & (at <= span.until_us), 0.0, np.nan)
    for intervals in span.devices:
        level = np.concatenate([[0], np.cumsum(intervals.energy_uj)]).astype(np.float64)
        total += np.interp(at, np.append(intervals.start_us, intervals.end_us[-1]), level) / UJ_PER_J
        interval = np.searchsorted(intervals.start_us, at, side="right") - 1
        covered = (at >= intervals.start_us[0]) & (at <= intervals.end_us[-1]) & (at <= intervals.end_us[np.maximum(interval, 0)])
        total[~covered] = np.nan
    grid = np.arange(-MAX_OFFSET_S, seconds + MAX_OFFSET_S + 1, dtype=np.float64)
    fine = request_features(timed.singles, timed.features.timing, grid, hosts)
    columns = [REQUEST_FEATURES.index(name) for name in ("in", "out", "outctx", "step", "step8")]
    work = np.concatenate([np.zeros((1, len(columns))), np.cumsum(window_features(fine, grid)[:, columns], axis=0)])
    offset_s, residual_ratio = find_clock_offset(total, work)
    return (offset_s, residual_ratio) if abs(offset_s) >= MIN_OFFSET_S and residual_ratio < MAX_RESIDUAL_RATIO else (0.0, 1.0)
