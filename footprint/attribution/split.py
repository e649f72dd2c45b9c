"""Division of the energy of one placement (a service on a device) over the service's use cases.

Idle energy is cut exactly at request starts and ends, and divided equally over the requests that run at each instant; while
none runs it is ``(idle)``. Of the energy above idle, an interval that requests of one use case overlap is that use case's,
measured. An interval that several overlap is shared: its energy goes into a cell, a run of shared intervals within a window,
which is divided by the model energies of the requests in it. An interval that no request overlaps is ``(unattributed)``. The
method is described in docs/explanation/method.md, section 3.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.energy_intervals import EnergyIntervals, cut_at_edges, expand_ranges
from footprint.attribution.largest_remainder import cumulative_part, split_integers, sum_by_group
from footprint.attribution.request_log import ConcurrencyTimeline
from footprint.attribution.token_weights import EnergyWeights
from footprint.core.units import PJ_PER_UJ, US_PER_HOUR

MIN_CONCURRENT_SHARE = 0.1  # share of a cell's busy time with two requests or more, above which a model divides it
BOUND_PER_HALF_WIDTH = math.sqrt(3) / 2  # bound of the rectangular distribution whose U = 2u is the half-width
IDLE, UNATTRIBUTED = -1, -2  # keys of the rows that no request bears


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Rows of one placement, arrays of shape (n,): window, key (a use case, IDLE or UNATTRIBUTED), energies [µJ].

    ``modelled_uj`` is the part of ``active_uj`` that model energies divided, rather than measured alone. ``spread_uj`` (n,
    scenarios) is how much it would differ under each of the other weights.
    """

    window: Ints
    key: Ints
    active_uj: Ints
    idle_uj: Ints
    modelled_uj: Ints
    spread_uj: Ints


def idle_energy(intervals: EnergyIntervals, idle_uw: int | None, share: float = 1.0) -> Ints:
    """Idle energy of intervals: min(reading, idle power x time), times a share.

    Parameters
    ----------
    intervals
        Energy intervals of the device.
    idle_uw
        Idle power [µW]; None where it is unknown, which gives 0.
    share
        Part of the device that is counted.

    Returns
    -------
    ndarray of int64
        Energy [µJ], shape (n,).
    """
    if idle_uw is None:
        return np.zeros(len(intervals), dtype=np.int64)
    length = intervals.end_us - intervals.start_us
    idle_uj = np.minimum(intervals.energy_uj, idle_uw * (length / PJ_PER_UJ))
    return np.floor(idle_uj * share).astype(np.int64)


def split_placement(
    intervals: EnergyIntervals,
    idle_uw: int | None,
    timeline: ConcurrencyTimeline,
    weights: EnergyWeights,
    window_us: int,
    scenarios: Sequence[EnergyWeights] = (),
    half_widths: Floats | None = None,
    placed: NDArray[np.bool_] | None = None,
    share: float = 1.0,
) -> SplitRows:
    """Rows of a placement whose energies sum, within each window, to those of the device's intervals there.

    Parameters
    ----------
    intervals
        Energy intervals of the device, disjoint and in time order.
    idle_uw
        Idle power [µW] of the loaded device; None where it cannot be learnt.
    timeline
        Requests of the service, cut at the windows of the rows.
    weights
        Model energy of the requests.
    window_us
        Length of a window of attribution [µs].
    scenarios
        Other weights, whose difference gives the uncertainty of the division.
    half_widths
        Relative half-width (about 95 %) of each key's shared energy, shape (keys,); replaces ``scenarios`` where a fit gives it.
    placed
        Windows in which the service is placed on the device, shape (windows,); all if None.
    share
        Part of the device that is the service's; each piece is rounded down to it.

    Returns
    -------
    SplitRows
        Rows that are not all zero.
    """
    windows = len(timeline.edges_us) - 1
    keys = 2 + (int(timeline.log.key.max()) + 1 if len(timeline.log) else 0)
    idle = idle_energy(intervals, idle_uw, share)
    pieces, window, source = cut_at_edges(intervals, timeline.edges_us)
    energy = pieces.energy_uj if share >= 1 else np.floor(pieces.energy_uj * share).astype(np.int64)
    if placed is not None:
        energy = np.where(placed[window], energy, 0)
    length = intervals.end_us[source] - intervals.start_us[source]
    lead, tail = pieces.start_us - intervals.start_us[source], pieces.end_us - intervals.start_us[source]
    idle_share = cumulative_part(idle[source], tail, length) - cumulative_part(idle[source], lead, length)
    piece_idle = np.minimum(idle_share, energy)
    piece_active = energy - piece_idle

    instants = hashlib.blake2b(intervals.start_us.tobytes() + intervals.end_us.tobytes()).digest()
    running, key = timeline.memoize(
        ("overlapping", instants), lambda: timeline.count_overlapping(intervals.start_us, intervals.end_us)
    )
    by_hour = weights.has_coarse_stamps or weights.is_pooled
    shared = (running > 0) & ((key < 0) | by_hour)
    owner = np.where(running == 0, UNATTRIBUTED, key)[source]
    alone = ~shared[source]
    active = sum_by_group(piece_active[alone], window[alone] * keys + owner[alone] + 2, windows * keys)
    cell = timeline.memoize(
        ("cells", instants, by_hour, window_us),
        lambda: _hourly_cells(intervals, shared) if by_hour else _shared_cells(intervals, shared, timeline, window_us),
    )
    shared_energy, *scenario_energies = (
        _split_cells(cell[source], window, piece_active, intervals, cell, timeline, model, keys, (instants, by_hour, window_us))
        for model in (weights, *scenarios)
    )
    active += shared_energy
    idle_rows = _split_idle(piece_idle, window, intervals, idle, timeline, keys)
    if half_widths is not None:
        bound = np.concatenate([[0.0, 0.0], half_widths[: keys - 2]]) * BOUND_PER_HALF_WIDTH
        half_range = np.rint(np.abs(shared_energy) * np.tile(bound, windows)).astype(np.int64)
        spread = np.stack([-half_range, half_range], axis=1)
    else:
        spread = (
            np.stack([scenario_energy - shared_energy for scenario_energy in scenario_energies], axis=1)
            if scenario_energies
            else np.zeros((len(shared_energy), 0), np.int64)
        )
    _withhold_untokened(timeline, keys, active, idle_rows, shared_energy, spread)
    cells_with_energy = np.flatnonzero((active != 0) | (idle_rows != 0) | (spread != 0).any(axis=1))
    return SplitRows(
        cells_with_energy // keys,
        cells_with_energy % keys - 2,
        active[cells_with_energy],
        idle_rows[cells_with_energy],
        shared_energy[cells_with_energy],
        spread[cells_with_energy],
    )


def _withhold_untokened(
    timeline: ConcurrencyTimeline, keys: int, active: Ints, idle: Ints, shared_energy: Ints, spread: Ints
) -> None:
    """Move the energy of counts without tokens to ``(unattributed)``, with a range from 0 to all of it, where several ran.

    Arrays by (window, key), flat, are changed in place. A number of requests does not determine how they divide energy.
    """
    log = timeline.log
    untokened = (log.input_tokens < 0) & (log.output_tokens < 0)
    # A count of one request over a minute looks like a request of a minute; other records show that they are counts.
    if not (untokened & (log.arrival | (log.weight != 1))).any() or not spread.shape[1]:
        return
    present, unknown = np.zeros(len(active), dtype=bool), np.zeros(len(active), dtype=bool)
    pair_cell = timeline.pair_window * keys + log.key[timeline.pair_request] + 2
    present[pair_cell] = True
    unknown[pair_cell[untokened[timeline.pair_request]]] = True
    is_shared = present.reshape(-1, keys).sum(axis=1) > 1
    ranged = (unknown.reshape(-1, keys) & is_shared[:, None]).any(axis=0)
    # A use case that shares one window has no value in any: readers would take a partial sum for the whole.
    withheld = np.flatnonzero(unknown & np.tile(ranged, len(is_shared)))
    if not len(withheld):
        return
    window = withheld // keys
    total = sum_by_group(active[withheld] + idle[withheld], window, len(is_shared))
    for values in (active, idle, shared_energy):
        np.add.at(values, window * keys + UNATTRIBUTED + 2, values[withheld])
        values[withheld] = 0
    spread[withheld, 0], spread[withheld, 1] = 0, np.rint(total[window] * BOUND_PER_HALF_WIDTH).astype(np.int64)


def _shared_cells(intervals: EnergyIntervals, shared: NDArray[np.bool_], timeline: ConcurrencyTimeline, window_us: int) -> Ints:
    """Cell of each interval, -1 where it is not shared.

    A cell ends where time is not contiguous, where no request runs across the instant between two intervals, and at windows. An
    interval across the edge of a window is a cell by itself, so that two days agree on it.
    """
    cell = np.full(len(intervals), -1, dtype=np.int64)
    index = np.flatnonzero(shared)
    if not len(index):
        return cell
    first, last = intervals.start_us[index] // window_us, (intervals.end_us[index] - 1) // window_us
    starts_cell = np.ones(len(index), dtype=bool)
    starts_cell[1:] = (
        (np.diff(index) != 1)
        | (intervals.start_us[index][1:] != intervals.end_us[index][:-1])
        | (first[1:] != last[:-1])
        | (first[1:] != last[1:])
        | (first[:-1] != last[:-1])
        | (timeline.running_at(intervals.start_us[index][1:]) == 0)
    )
    cell[index] = np.cumsum(starts_cell) - 1
    return cell


def _hourly_cells(intervals: EnergyIntervals, shared: NDArray[np.bool_]) -> Ints:
    """Cell of each interval as in ``_shared_cells``, where nobody knows what ran in an interval: one cell an hour."""
    cell = np.full(len(intervals), -1, dtype=np.int64)
    index = np.flatnonzero(shared)
    first, last = intervals.start_us[index] // US_PER_HOUR, (intervals.end_us[index] - 1) // US_PER_HOUR
    starts_cell = np.ones(len(index), dtype=bool)
    starts_cell[1:] = (first[1:] != first[:-1]) | (first[1:] != last[1:]) | (first[:-1] != last[:-1])
    cell[index] = np.cumsum(starts_cell) - 1
    return cell


def _split_cells(
    piece_cell: Ints,
    window: Ints,
    piece_active: Ints,
    intervals: EnergyIntervals,
    cell: Ints,
    timeline: ConcurrencyTimeline,
    weights: EnergyWeights,
    keys: int,
    pattern: tuple[object, ...],
) -> Ints:
    """Energy of shared intervals by (window, key), flat, shape (windows x keys,)."""
    windows = len(timeline.edges_us) - 1
    result = np.zeros(windows * keys, dtype=np.int64)
    inside = piece_cell >= 0
    if not inside.any():
        return result
    # A cell of an hour may contain intervals in which no request ran.
    shared_intervals = np.flatnonzero(cell >= 0)
    first = shared_intervals[np.diff(cell[shared_intervals], prepend=-1) != 0]
    last = shared_intervals[np.diff(cell[shared_intervals], append=-1) != 0]
    cell_start, cell_end = intervals.start_us[first], intervals.end_us[last]
    share = timeline.memoize(("shares", weights, *pattern), lambda: _cell_shares(cell_start, cell_end, timeline, weights, keys))

    # A cell that an edge cuts (a period of a query, a change of facts) bears rows in each window.
    pair, pair_index = np.unique(piece_cell[inside] * windows + window[inside], return_inverse=True)
    energy = sum_by_group(piece_active[inside], pair_index, len(pair))
    group, key = np.nonzero(share[pair // windows])
    parts = split_integers(energy, share[pair // windows][group, key], group)
    np.add.at(result, (pair % windows)[group] * keys + key, parts)
    return result


def _cell_shares(cell_start: Ints, cell_end: Ints, timeline: ConcurrencyTimeline, weights: EnergyWeights, keys: int) -> Floats:
    """Model energy by cell and key, shape (cells, keys); time in flight where the model gives none."""
    log = timeline.log
    first = np.searchsorted(cell_end, log.start_us, side="right")
    last = np.searchsorted(cell_start, log.end_us, side="left")
    request, cell = expand_ranges(first, np.maximum(last - first, 0))
    start, end = np.maximum(cell_start[cell], log.start_us[request]), np.minimum(cell_end[cell], log.end_us[request])
    size = len(cell_start) * keys
    cell_key = cell * keys + log.key[request] + 2
    model_energy = np.bincount(cell_key, weights=weights.model_energy(request, start, end), minlength=size)
    time_in_flight = np.bincount(cell_key, weights=(end - start) * log.weight[request], minlength=size)
    model_energy, time_in_flight = model_energy.reshape(-1, keys), time_in_flight.reshape(-1, keys)
    # Where one request follows another within an interval, time alone divides it.
    is_concurrent = weights.is_pooled | (timeline.concurrent_share(cell_start, cell_end) >= MIN_CONCURRENT_SHARE)
    return np.where(is_concurrent[:, None] & (model_energy.sum(axis=1, keepdims=True) > 0), model_energy, time_in_flight)


def _split_idle(
    piece_idle: Ints, window: Ints, intervals: EnergyIntervals, idle: Ints, timeline: ConcurrencyTimeline, keys: int
) -> Ints:
    """Idle energy by (window, key), flat, shape (windows x keys,)."""
    windows = len(timeline.edges_us) - 1
    total = sum_by_group(piece_idle, window, windows)
    result = np.zeros(windows * keys, dtype=np.int64)
    if not total.any():
        return result
    instants = np.stack([intervals.start_us, intervals.end_us], axis=1).ravel().astype(np.float64)
    level = np.concatenate([[0], np.cumsum(idle)]).astype(np.float64)
    levels = np.stack([level[:-1], level[1:]], axis=1).ravel()
    drawn = np.diff(np.interp(timeline.grid_us.astype(np.float64), instants, levels))
    busy = timeline.in_flight > 0
    empty = np.bincount(timeline.window, weights=np.where(busy, 0.0, drawn), minlength=windows)
    per_request = np.concatenate([[0.0], np.cumsum(np.where(busy, drawn / np.where(busy, timeline.in_flight, 1.0), 0.0))])
    request = timeline.pair_request
    request_idle = timeline.log.weight[request] * (per_request[timeline.pair_finish] - per_request[timeline.pair_begin])
    quota = np.bincount(
        timeline.pair_window * keys + timeline.log.key[request] + 2,
        weights=np.maximum(request_idle, 0.0),
        minlength=windows * keys,
    ).astype(np.float64)  # bincount of empty arrays returns integers
    quota[np.arange(windows) * keys + IDLE + 2] += empty
    quota_cell = np.flatnonzero(quota > 0)
    has_quota = np.bincount(quota_cell // keys, minlength=windows) > 0
    # Rounding can leave a microjoule of idle energy in a window whose quotas are all 0.
    without_quota = np.flatnonzero((total != 0) & ~has_quota)
    quota_cell = np.concatenate([quota_cell, without_quota * keys + IDLE + 2])
    result[quota_cell] += split_integers(total, quota[quota_cell], quota_cell // keys)
    return result
