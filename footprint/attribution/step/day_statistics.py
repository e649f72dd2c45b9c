"""This file turns one placement's day into what a fit needs: its requests laid in time, and windows of energy and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footprint.attribution.energy_intervals import Spans, cut
from footprint.attribution.largest_remainder import Floats, Ints
from footprint.attribution.request_log import Log
from footprint.attribution.step.clock_offset import GAIN, MAX_S, NOTABLE_S, find_lag
from footprint.attribution.step.count_windows import WindowCounts, count_totals, counts_of
from footprint.attribution.step.decode_clock import overlap
from footprint.attribution.step.features import NAMES, Features, features_of, reading_by_key, window_totals
from footprint.attribution.step.regression import NOISE, TAUS_S, Form, Windows, fit, relative
from footprint.attribution.step.request_timing import RequestTimings, in_whole_seconds, requests_of, timing_of
from footprint.core.units import UJ_PER_J, US_PER_DAY, US_PER_S

MAX_KEYS = 12  # use cases, above which none has columns of its own
MIN_FOR_LAG = 200  # requests
LATE_S = (0.5, 0.25, 1.0, 2.0)  # ends stamped where the answer arrived, not where it was made
LATE_HOPE = 0.9  # what it must fall to with the first, for the others to be tried
LATE_GAIN = 0.6  # what the residual must fall to, before ends are believed to be late
WHOLE = 0.99  # of a window, that every device must have been read in


@dataclass(frozen=True, slots=True)
class Laid:
    """The records of one service around a day, laid in time: what the model can say something of.

    ``held`` are places of single records without tokens (training, images), ``column`` which column of ``keys`` each
    key of the log has.
    """

    singles: RequestTimings
    features: Features
    counts: WindowCounts
    held: Ints
    keys: tuple[str, ...]
    column: Ints
    origin_us: int
    shift_s: float
    late_s: float


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """What one day of a placement says, additive over days; stored, so that a fit reads no request twice.

    ``lag_s`` is what was added to the stamps of the log, ``lag_gain`` what the residual fell to; ``prefill_s``,
    ``slots`` and ``misfit`` are of the timing; ``late_s`` is by how much ends are stamped after the work was done.
    """

    windows: Windows
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


def lay(log: Log, names: Sequence[str], day_us: int, edges_us: Ints, shift_s: float = 0.0, late_s: float = 0.0) -> Laid:
    """Lay a log in time; ``names`` are those of its keys, ``edges_us`` the windows that will be asked for."""
    few = 0 < len(names) <= MAX_KEYS
    keys = tuple(names) if few else ("",)
    column = np.arange(len(names)) if few else np.zeros(len(names), dtype=np.int64)
    singles = requests_of(log, day_us, shift_s, late_s)
    edges_s = (edges_us - day_us) / US_PER_S
    features = features_of(singles, timing_of(singles), edges_s)
    counts = counts_of(log, day_us, shift_s)
    unknown = (log.input_tokens < 0) & (log.output_tokens < 0)
    held = np.flatnonzero(unknown & ~log.arrival & (log.weight == 1))
    return Laid(singles, features, counts, held, keys, column, day_us, shift_s, late_s)


def day_statistics(
    log: Log, names: Sequence[str], devices: Sequence[Spans], held: tuple[int, int], day_us: int, window_us: int
) -> tuple[DayStatistics, Laid]:
    """Statistics of the UTC day that begins at ``day_us``, of a service on devices that it holds over ``held`` [µs, µs).

    A window counts where every device was read in it from end to end.
    """
    edges = np.arange(day_us, day_us + US_PER_DAY + 1, window_us, dtype=np.int64)
    laid = lay(log, names, day_us, edges)
    lag, gain = _lag(laid, devices, day_us)
    if lag:
        laid = lay(log, names, day_us, edges, lag)
    windows = _windows(log, laid, devices, held, edges)
    if len(laid.singles) >= MIN_FOR_LAG and len(windows):
        residual = _residual(windows)
        if residual > NOISE:
            tried = []
            for late in LATE_S:
                other = lay(log, names, day_us, edges, lag, late)
                found = _windows(log, other, devices, held, edges)
                tried.append((_residual(found), late, other, found))
                if tried[-1][0] > LATE_HOPE * residual:
                    break
            best = min(tried, key=lambda each: each[:2])
            if best[0] < LATE_GAIN * residual:
                _, _, laid, windows = best
    inside = (log.start_us >= day_us) & (log.start_us < day_us + US_PER_DAY)
    timing = laid.features.timing
    return DayStatistics(
        windows,
        int(inside.sum()),
        lag,
        gain,
        timing.prefill_s,
        timing.slots,
        timing.misfit,
        timing.logged,
        in_whole_seconds(log),
        laid.late_s,
        len(laid.counts) > 0,
    ), laid


def _residual(windows: Windows) -> float:
    return relative(windows, fit(windows, Form()).residual)


def _windows(log: Log, laid: Laid, devices: Sequence[Spans], held: tuple[int, int], edges: Ints) -> Windows:
    energy, whole = np.zeros(len(edges) - 1, dtype=np.int64), np.ones(len(edges) - 1, dtype=bool)
    for spans in devices:
        pieces, window, _ = cut(spans, edges)
        np.add.at(energy, window, pieces.energy_uj)
        seen = np.bincount(window, weights=pieces.seen_us, minlength=len(energy))
        whole &= seen >= WHOLE * np.diff(edges)
    whole &= (edges[:-1] >= held[0]) & (edges[1:] <= held[1]) & (energy > 0)
    edges_s = (edges - laid.origin_us) / US_PER_S
    return Windows(
        start_s=edges[:-1] / US_PER_S,
        length_s=np.diff(edges) / US_PER_S,
        energy_j=energy / UJ_PER_J,
        features=np.concatenate([window_totals(laid.features, edges_s), count_totals(laid.counts, edges_s)], axis=1),
        awake_s=_awake(log, laid, edges_s),
        reading=_by_column(laid, reading_by_key(laid.features, edges_s, len(laid.column))),
        held_s=_by_column(laid, _held(log, laid, edges_s)),
        keys=laid.keys,
    )[whole]


def _by_column(laid: Laid, values: Floats) -> Floats:
    result = np.zeros((len(values), len(laid.keys)))
    for key, column in enumerate(laid.column.tolist()):
        result[:, column] += values[:, key]
    return result


def _held(log: Log, laid: Laid, edges_s: Floats) -> Floats:
    start = (log.start_us[laid.held] - laid.origin_us) / US_PER_S + laid.shift_s
    end = (log.end_us[laid.held] - laid.origin_us) / US_PER_S + laid.shift_s
    key, ones = log.key[laid.held], np.ones(len(laid.held))
    found = [overlap(edges_s, start[key == each], end[key == each], ones[key == each]) for each in range(len(laid.column))]
    return np.stack(found, axis=1) if found else np.zeros((len(edges_s) - 1, 0))


def _awake(log: Log, laid: Laid, edges_s: Floats) -> Floats:
    """Seconds of windows in which a request is in flight or ended at most tau ago, shape (windows, taus)."""
    order = np.argsort(log.start_us, kind="stable")
    start = (log.start_us[order] - laid.origin_us) / US_PER_S + laid.shift_s
    end = (log.end_us[order] - laid.origin_us) / US_PER_S + laid.shift_s
    columns = []
    for tau in TAUS_S:
        until = np.maximum.accumulate(end + tau) if len(end) else end
        new = np.ones(len(start), dtype=bool)
        new[1:] = start[1:] > until[:-1]
        first = start[new]
        last = until[np.append(np.flatnonzero(new)[1:] - 1, len(until) - 1)] if len(start) else start
        columns.append(overlap(edges_s, first, last, np.ones(len(first))))
    return np.stack(columns, axis=1)


def _lag(laid: Laid, devices: Sequence[Spans], day_us: int) -> tuple[float, float]:
    """Lag [s] and its gain, over the part of the day that every device was read in; 0 where there is too little to tell."""
    if len(laid.singles) < MIN_FOR_LAG or not devices or not all(len(spans) for spans in devices):
        return 0.0, 1.0
    seconds = US_PER_DAY // US_PER_S
    at = day_us + US_PER_S * np.arange(seconds + 1, dtype=np.int64)
    total = np.zeros(seconds + 1)
    for spans in devices:
        level = np.concatenate([[0], np.cumsum(spans.energy_uj)]).astype(np.float64)
        total += np.interp(at, np.append(spans.start_us, spans.end_us[-1]), level) / UJ_PER_J
        place = np.searchsorted(spans.start_us, at, side="right") - 1
        known = (at >= spans.start_us[0]) & (at <= spans.end_us[-1]) & (at <= spans.end_us[np.maximum(place, 0)])
        total[~known] = np.nan
    grid = np.arange(-MAX_S, seconds + MAX_S + 1, dtype=np.float64)
    fine = features_of(laid.singles, laid.features.timing, grid)
    columns = [NAMES.index(name) for name in ("in", "out", "outctx", "step", "step8")]
    work = np.concatenate([np.zeros((1, len(columns))), np.cumsum(window_totals(fine, grid)[:, columns], axis=0)])
    lag, gain = find_lag(total, work)
    return (lag, gain) if abs(lag) >= NOTABLE_S and gain < GAIN else (0.0, 1.0)
