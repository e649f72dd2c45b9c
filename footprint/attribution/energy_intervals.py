"""Energy intervals: samples of one device turned into disjoint intervals with their energy. Only this module takes differences.

A counter (energy since an epoch) gives the difference of consecutive samples; power is integrated by the trapezoidal rule. Where
neither is valid there is no interval: absence is not zero. Where a source reads and cannot be believed, the interval holds no
energy and no covered time, and its method names the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Ints
from footprint.attribution.largest_remainder import cumulative_part
from footprint.core.limits import REFRESH_US
from footprint.core.units import PJ_PER_UJ, US_PER_DAY, US_PER_S

# How the energy of an interval was obtained; the numbers are stored, their order has no meaning.
COUNTER, POWER, ESTIMATE, BRIDGED, MODELLED = 0, 1, 2, 3, 4
# A source that read and is not believed: it stands still while the device draws energy, or claims more than the device can draw.
STANDING, IMPLAUSIBLE = 5, 6
METHODS = ("counter", "power", "estimate", "bridged", "modelled", "standing", "implausible")
NOT_BELIEVED = (STANDING, IMPLAUSIBLE)
# What an independent witness says of the energy of an interval.
NO_WITNESS, CONFIRMED, DISPUTED = 0, 1, 2

MIN_GAP_US = 5 * US_PER_S
GAP_MEDIAN_FACTOR = 3
MAX_STAND_US = 120 * US_PER_S  # service processors refresh their counters once a minute at the latest
MAX_CLOCK_STEP_US = 600 * US_PER_S  # by which the time between two samples may exceed what the wall clock shows


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one stream in time order, arrays of shape (n,).

    ``time_us`` is µs since 1970. ``value`` is a cumulative energy [µJ] or a power [µW]. ``covered_us`` is the cumulative time
    watched since the epoch [µs], -1 where the source does not report it. ``epoch`` changes with each reset that the source
    knows of.
    """

    time_us: Ints
    value: Ints
    covered_us: Ints
    epoch: Ints

    def __len__(self) -> int:
        return len(self.time_us)

    def __getitem__(self, index: NDArray[np.bool_] | Ints | slice) -> Samples:
        return Samples(self.time_us[index], self.value[index], self.covered_us[index], self.epoch[index])


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a witness says of intervals, arrays of shape (n,).

    ``low_uj`` and ``high_uj`` are the energies [µJ] by which an interval may be too high and too low; ``witness`` is
    ``NO_WITNESS``, ``CONFIRMED`` or ``DISPUTED``.
    """

    low_uj: Ints
    high_uj: Ints
    witness: NDArray[np.int8]

    def __getitem__(self, index: NDArray[np.bool_] | Ints | slice) -> Doubt:
        return Doubt(self.low_uj[index], self.high_uj[index], self.witness[index])

    @classmethod
    def none(cls, size: int) -> Doubt:
        """No doubt and no witness."""
        zero = np.zeros(size, dtype=np.int64)
        return cls(zero, zero, np.zeros(size, dtype=np.int8))


@dataclass(frozen=True, slots=True)
class EnergyIntervals:
    """Disjoint intervals of one device in time order, arrays of shape (n,); times in µs since 1970, energy in µJ.

    ``covered_us`` is the time of an interval that was really watched: all of it between neighbouring samples, 0 where a counter
    bridged a gap. ``method`` is an index into ``METHODS``. ``doubt`` is None where no witness spoke.
    """

    start_us: Ints
    end_us: Ints
    energy_uj: Ints
    covered_us: Ints
    method: NDArray[np.int8]
    doubt: Doubt | None = None

    def __len__(self) -> int:
        return len(self.start_us)

    def __getitem__(self, index: NDArray[np.bool_] | Ints | slice) -> EnergyIntervals:
        return EnergyIntervals(
            self.start_us[index],
            self.end_us[index],
            self.energy_uj[index],
            self.covered_us[index],
            self.method[index],
            None if self.doubt is None else self.doubt[index],
        )

    @property
    def doubts(self) -> Doubt:
        """What witnesses say, also where none spoke."""
        return Doubt.none(len(self)) if self.doubt is None else self.doubt

    @property
    def is_believed(self) -> NDArray[np.bool_]:
        """Intervals whose energy was measured or estimated; in the others a source read and is not believed."""
        return ~np.isin(self.method, NOT_BELIEVED)

    @classmethod
    def empty(cls) -> EnergyIntervals:
        """No interval."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, empty, empty, np.zeros(0, dtype=np.int8))


def gap_limit_us(spacings_us: Ints) -> int:
    """Spacing [µs] above which two samples have a gap between them: max(5 s, 3 x the median spacing).

    Examples
    --------
    >>> gap_limit_us(np.array([1_000_000, 1_000_000, 4_000_000])), gap_limit_us(np.array([10_000_000]))
    (5000000, 30000000)
    """
    if not len(spacings_us):
        return MIN_GAP_US
    return max(MIN_GAP_US, GAP_MEDIAN_FACTOR * int(np.median(spacings_us)))


def intervals_from_counter(
    samples: Samples, limit_us: int | Ints, method: int = COUNTER, ceiling_uw: int | None = None
) -> EnergyIntervals:
    """Intervals of a cumulative counter.

    A decrease is a reset: the energy around it is unknown, so there is no interval. Where the next sample is again at or above
    the value before the decrease, the decrease was a misread sample and is dropped. The same goes for a step above the ceiling
    from which the next sample comes back. A step above it that stays is ``IMPLAUSIBLE``.

    Parameters
    ----------
    samples
        Samples of the counter [µJ], in time order.
    limit_us
        Spacing [µs] above which an interval is bridged and marked ``BRIDGED``; one for all, or by sample (n,) for the interval
        that it begins.
    method
        Method of the other intervals, an index into ``METHODS``.
    ceiling_uw
        Highest mean power that the device can draw [µW]; None for series that are no energy.

    Returns
    -------
    EnergyIntervals
        At most n - 1 intervals.

    Examples
    --------
    >>> second = 1_000_000
    >>> none = np.full(3, -1)
    >>> samples = Samples(np.array([0, 1, 2]) * second, np.array([0, 300, 200]), none, np.zeros(3, dtype=np.int64))
    >>> intervals_from_counter(samples, 5 * second).energy_uj.tolist()
    [300]
    """
    valid_sample = ~_is_misread(samples, ceiling_uw)
    limit_us = np.broadcast_to(limit_us, len(samples))[valid_sample][:-1]
    samples = samples[valid_sample]
    if len(samples) < 2:
        return EnergyIntervals.empty()
    start, end = samples.time_us[:-1], samples.time_us[1:]
    energy = np.diff(samples.value)
    valid = (energy >= 0) & (samples.epoch[1:] == samples.epoch[:-1]) & (end > start)
    bridged = (end - start) > limit_us
    has_coverage = (samples.covered_us[:-1] >= 0) & (samples.covered_us[1:] >= 0)
    covered = np.where(has_coverage, np.diff(samples.covered_us), np.where(bridged, 0, end - start))
    covered = np.clip(covered, 0, end - start)
    # A long interval that the agent watched throughout has no gap.
    bridged &= ~(has_coverage & (2 * covered >= end - start))
    kind = np.where(bridged, BRIDGED, method).astype(np.int8)
    intervals = EnergyIntervals(start, end, energy, covered, kind)
    # The wall clock may have been set back meanwhile: the time watched is that of the monotonic clock.
    watched_us = np.where(has_coverage, np.minimum(np.diff(samples.covered_us), end - start + MAX_CLOCK_STEP_US), 0)
    exceeds = _exceeds(energy, np.maximum(end - start, watched_us) + _stood_us(start, end, energy), ceiling_uw)
    return (disbelieve(intervals, exceeds, IMPLAUSIBLE) if exceeds.any() else intervals)[valid]


def _stood_us(start_us: Ints, end_us: Ints, energy_uj: Ints) -> Ints:
    """Time [µs] for which a counter had stood still before each interval: energy of that time may come late."""
    moved_us = np.maximum.accumulate(np.where(energy_uj != 0, end_us, start_us[0]))
    return np.minimum(start_us - np.concatenate([start_us[:1], moved_us[:-1]]), MAX_STAND_US)


def _is_misread(samples: Samples, ceiling_uw: int | None) -> NDArray[np.bool_]:
    """Samples below the one before, or too far above it, where the next one follows from the one before."""
    misread = np.zeros(len(samples), dtype=bool)
    if len(samples) > 2:
        before, value, after = samples.value[:-2], samples.value[1:-1], samples.value[2:]
        same_epoch = (samples.epoch[:-2] == samples.epoch[1:-1]) & (samples.epoch[1:-1] == samples.epoch[2:])
        is_dip = (value < before) & (after >= before)
        time_us = samples.time_us
        is_spike = (after < value) & (after >= before) & _exceeds(value - before, time_us[1:-1] - time_us[:-2], ceiling_uw)
        misread[1:-1] = (is_dip | is_spike) & same_epoch
    return misread


def _exceeds(energy_uj: Ints, length_us: Ints, ceiling_uw: int | None) -> NDArray[np.bool_]:
    """Whether a device would have drawn more than its ceiling; counters are refreshed late, by ``REFRESH_US`` at most."""
    if ceiling_uw is None:
        return np.zeros(len(energy_uj), dtype=bool)
    exceeds: NDArray[np.bool_] = energy_uj > ceiling_uw * ((length_us + REFRESH_US) / PJ_PER_UJ)
    return exceeds


def disbelieve(intervals: EnergyIntervals, refused: NDArray[np.bool_], method: int) -> EnergyIntervals:
    """Intervals in which the ``refused`` ones hold no energy and no covered time; ``method`` names the reason."""
    return replace(
        intervals,
        energy_uj=np.where(refused, 0, intervals.energy_uj),
        covered_us=np.where(refused, 0, intervals.covered_us),
        method=np.where(refused, method, intervals.method).astype(np.int8),
    )


def intervals_from_power(
    samples: Samples, limit_us: int | Ints, method: int = POWER, ceiling_uw: int | None = None
) -> EnergyIntervals:
    """Intervals of a power, integrated by the trapezoidal rule; those of a sample above the ceiling are ``IMPLAUSIBLE``.

    Energies are rounded as a running sum over the UTC day, so that their sum is right to 1 µJ. An interval across midnight is
    rounded by itself, because both days must compute the same integer for it.

    Parameters
    ----------
    samples
        Samples of the power [µW], in time order.
    limit_us
        Spacing [µs] above which there is a gap, which is not bridged; one for all, or by sample (n,).
    method
        Method of the intervals, an index into ``METHODS``.
    ceiling_uw
        Highest power that the device can draw [µW]; None for no ceiling.

    Returns
    -------
    EnergyIntervals
        At most n - 1 intervals.

    Examples
    --------
    >>> samples = Samples(np.array([0, 2_000_000]), np.array([10, 20]), np.full(2, -1), np.zeros(2, dtype=np.int64))
    >>> intervals_from_power(samples, 5_000_000).energy_uj.tolist()
    [30]
    """
    if len(samples) < 2:
        return EnergyIntervals.empty()
    start, end = samples.time_us[:-1], samples.time_us[1:]
    length = end - start
    mean_uw = (samples.value[:-1] + samples.value[1:]) / 2.0
    valid = (length > 0) & (length <= np.broadcast_to(limit_us, len(samples))[:-1])
    exact_uj = np.where(valid, mean_uw * (length / PJ_PER_UJ), 0.0)
    energy = _round_running_sum(exact_uj, start // US_PER_DAY, (end - 1) // US_PER_DAY)
    kind = np.full(len(start), method, dtype=np.int8)
    intervals = EnergyIntervals(start, end, energy, length, kind)
    if ceiling_uw is not None and len(intervals):
        exceeds = samples.value > ceiling_uw
        intervals = disbelieve(intervals, exceeds[:-1] | exceeds[1:], IMPLAUSIBLE)
    return intervals[valid]


def _round_running_sum(exact_uj: NDArray[np.float64], first_day: Ints, last_day: Ints) -> Ints:
    """Integers whose running sum within each day is the rounded running sum of ``exact_uj``."""
    rounded = np.rint(exact_uj).astype(np.int64)
    for day in np.unique(first_day):
        inside = (first_day == day) & (last_day == day)
        running = np.rint(np.cumsum(exact_uj[inside])).astype(np.int64)
        rounded[inside] = np.diff(running, prepend=0)
    return rounded


def fill_gaps(first: EnergyIntervals, second: EnergyIntervals) -> EnergyIntervals:
    """``first``, completed by ``second`` where ``first`` has no interval.

    One kind of reading counts at a time; the others cross-check it.
    """
    if not len(first):
        return second
    if not len(second):
        return first
    free_start, free_end = _uncovered_ranges(first, int(second.start_us[0]), int(second.end_us[-1]))
    fillers = clip_to_windows(second, free_start, free_end)
    if not len(fillers):
        return first
    return in_order(first, fillers)


def in_order(*series: EnergyIntervals) -> EnergyIntervals:
    """The intervals of several series, which do not overlap, in order of time."""
    names = ("start_us", "end_us", "energy_uj", "covered_us", "method")
    start, end, energy, covered, method = (np.concatenate([getattr(part, name) for part in series]) for name in names)
    joined = EnergyIntervals(start, end, energy, covered, method)
    if any(part.doubt is not None for part in series):
        doubts = [part.doubts for part in series]
        low, high, witness = (
            np.concatenate([getattr(part, name) for part in doubts]) for name in ("low_uj", "high_uj", "witness")
        )
        joined = replace(joined, doubt=Doubt(low, high, witness))
    return joined[np.argsort(joined.start_us, kind="stable")]


def _uncovered_ranges(intervals: EnergyIntervals, start_us: int, end_us: int) -> tuple[Ints, Ints]:
    """Starts and ends [µs] of the time between intervals, within [start, end)."""
    starts = np.concatenate([[start_us], np.maximum(intervals.end_us, start_us)])
    ends = np.concatenate([np.minimum(intervals.start_us, end_us), [end_us]])
    not_empty = ends > starts
    return starts[not_empty], ends[not_empty]


def clip_to_windows(intervals: EnergyIntervals, window_start: Ints, window_end: Ints) -> EnergyIntervals:
    """Parts of intervals within disjoint sorted windows; the parts of one interval sum to their part of it exactly."""
    first = np.searchsorted(window_end, intervals.start_us, side="right")
    last = np.searchsorted(window_start, intervals.end_us, side="left")
    count = np.maximum(last - first, 0)
    index, window = expand_ranges(first, count)
    start = np.maximum(intervals.start_us[index], window_start[window])
    end = np.minimum(intervals.end_us[index], window_end[window])
    return _partial_intervals(intervals, index, start, end)


def expand_ranges(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Index i repeated ``count[i]`` times, and ``first[i], first[i] + 1, …``; both of shape (sum of counts,).

    Examples
    --------
    >>> [array.tolist() for array in expand_ranges(np.array([5, 8]), np.array([2, 1]))]
    [[0, 0, 1], [5, 6, 8]]
    """
    index = np.repeat(np.arange(len(count)), count)
    offset = np.cumsum(count) - count
    return index, np.arange(len(index)) + np.repeat(first - offset, count)


def _partial_intervals(intervals: EnergyIntervals, index: Ints, start_us: Ints, end_us: Ints) -> EnergyIntervals:
    """Parts [start, end) of the intervals at ``index``; the parts of a whole interval sum to it exactly."""
    length = intervals.end_us[index] - intervals.start_us[index]
    lead, tail = start_us - intervals.start_us[index], end_us - intervals.start_us[index]

    def part(amount: Ints) -> Ints:
        return cumulative_part(amount[index], tail, length) - cumulative_part(amount[index], lead, length)

    doubt = None
    if intervals.doubt is not None:
        doubt = Doubt(part(intervals.doubt.low_uj), part(intervals.doubt.high_uj), intervals.doubt.witness[index])
    energy, covered = part(intervals.energy_uj), part(intervals.covered_us)
    return EnergyIntervals(start_us, end_us, energy, covered, intervals.method[index], doubt)


def cut_at_edges(intervals: EnergyIntervals, edges_us: Ints) -> tuple[EnergyIntervals, Ints, Ints]:
    """Intervals cut at sorted edges; those outside are dropped.

    Parameters
    ----------
    intervals
        Intervals of one device.
    edges_us
        Sorted edges [µs], shape (windows + 1,); window w is [edges[w], edges[w + 1]).

    Returns
    -------
    pieces : EnergyIntervals
        Pieces, whose energies sum to that of each whole interval.
    window, index : ndarray of int64
        Window and source interval of each piece, shape (pieces,).
    """
    first = np.searchsorted(edges_us, intervals.start_us, side="right") - 1
    last = np.searchsorted(edges_us, intervals.end_us, side="left") - 1
    first = np.maximum(first, 0)
    last = np.minimum(last, len(edges_us) - 2)
    count = np.maximum(last - first + 1, 0)
    index, window = expand_ranges(first, count)
    start = np.maximum(intervals.start_us[index], edges_us[window])
    end = np.minimum(intervals.end_us[index], edges_us[window + 1])
    return _partial_intervals(intervals, index, start, end), window, index
