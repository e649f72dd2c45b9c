"""Idle power of a loaded device, learnt from the intervals in which no request runs.

Each day leaves histograms of the power of its quiet intervals: whole µs and µJ in bins of half a percent, so that days add up
exactly in any order. Idle power is the mode of the histogram of up to 28 days; brief warm tails, unlogged traffic and empty hours
of an unloaded device lie elsewhere. The method is described in docs/explanation/method.md, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import BRIDGED, EnergyIntervals
from footprint.attribution.largest_remainder import sum_by_group
from footprint.attribution.request_log import ConcurrencyTimeline
from footprint.core.stored_forms import from_plain, keys_of, stored_as
from footprint.core.units import PJ_PER_UJ, US_PER_HOUR, US_PER_S

LEARNING_DAYS = 28  # idle power of a day is learnt from it and the 27 days before
BIN_RATIO = math.log(1.005)
HALF_WIDTH_BINS = 10  # the mode is the mean within about 5 % of itself
WARM_TAIL_US = 15 * US_PER_S  # after a request the device is still warm
LOADED_WITHIN_US = US_PER_HOUR  # the model is surely loaded within an hour of a request
MIN_BUSY_SHARE = 0.02  # of an interval; drivers report utilisation in whole percent
MIN_QUIET_US = 30 * US_PER_S
MIN_NEAR_US = 600 * US_PER_S
MIN_MODE_SHARE = 0.1  # of the time, at the lowest mode of intervals in which one of several hosts was quiet

Histogram = dict[int, tuple[int, int]]  # bin -> (time [µs], energy [µJ])


@stored_as("QuietDay", "quiet near busy_quiet busy_near few")
@dataclass(frozen=True, slots=True)
class IdleHistograms:
    """Power histograms of the quiet intervals of one placed device on one day; additive over days.

    ``near`` are the quiet intervals within an hour of a request, when the model was surely loaded. ``busy_quiet`` and
    ``busy_near`` are the same for intervals in which the device computed although no request is known: unlogged traffic, or a
    program that spins while it waits. ``few`` are intervals of one of several hosts behind one log in which fewer requests ran
    than there are hosts, so that one host at least was quiet.
    """

    quiet: Histogram = field(default_factory=dict)
    near: Histogram = field(default_factory=dict)
    busy_quiet: Histogram = field(default_factory=dict)
    busy_near: Histogram = field(default_factory=dict)
    few: Histogram = field(default_factory=dict)

    def to_json(self) -> dict[str, dict[str, list[int]]]:
        """Plain JSON, for the store."""
        histograms = {key: getattr(self, name) for name, key in keys_of(type(self))}
        return {
            key: {str(b): list(pair) for b, pair in sorted(histogram.items())}
            for key, histogram in histograms.items()
            if histogram or key != "few"  # a service on one host has none
        }

    @classmethod
    def from_json(cls, value: dict[str, dict[str, list[int]]]) -> IdleHistograms:
        """Histograms from the output of ``to_json``."""
        return from_plain(cls, {key: {int(b): (p[0], p[1]) for b, p in bins.items()} for key, bins in value.items()})


def idle_histograms(
    intervals: EnergyIntervals,
    timeline: ConcurrencyTimeline,
    day: tuple[int, int],
    busy: EnergyIntervals | None = None,
    hosts: int = 1,
) -> IdleHistograms:
    """Power histograms of the quiet intervals of a device on one day.

    An interval is quiet where no request of any service on the device overlaps it or ended in the 15 s before.

    Parameters
    ----------
    intervals
        Energy intervals of the device.
    timeline
        Requests of all services on the device.
    day
        Begin and end of the day [µs since 1970].
    busy
        Intervals whose "energy" is the time in which the device computed [µs]; None where no agent reports it.
    hosts
        Number of hosts that serve the requests, where the log does not name them.
    """
    inside = (intervals.start_us >= day[0]) & (intervals.start_us < day[1]) & (intervals.method != BRIDGED)
    inside &= intervals.is_believed
    intervals = intervals[inside]
    if not len(intervals):
        return IdleHistograms()
    running, _ = timeline.count_overlapping(intervals.start_us - WARM_TAIL_US, intervals.end_us)
    running_nearby, _ = timeline.count_overlapping(intervals.start_us - LOADED_WITHIN_US, intervals.end_us + LOADED_WITHIN_US)
    quiet, near, computing = running == 0, (running == 0) & (running_nearby > 0), _is_computing(intervals, busy)
    # A record of several requests may run on any number of hosts.
    few = (running > 0) & (running < hosts) & bool((timeline.log.weight == 1).all())
    selections = quiet & ~computing, near & ~computing, quiet & computing, near & computing, few
    return IdleHistograms(*(_power_histogram(intervals[selection]) for selection in selections))


def _is_computing(intervals: EnergyIntervals, busy: EnergyIntervals | None) -> NDArray[np.bool_]:
    """Intervals that overlap one in which the device computed for more than ``MIN_BUSY_SHARE`` of the time."""
    if busy is None or not len(busy):
        return np.zeros(len(intervals), dtype=bool)
    busy = busy[busy.energy_uj > MIN_BUSY_SHARE * (busy.end_us - busy.start_us)]
    first = np.searchsorted(busy.end_us, intervals.start_us, side="right")
    return np.searchsorted(busy.start_us, intervals.end_us, side="left") > first


def _power_histogram(intervals: EnergyIntervals) -> Histogram:
    length_us = intervals.end_us - intervals.start_us
    power_uw = intervals.energy_uj * (PJ_PER_UJ / np.maximum(length_us, 1))
    # Below a milliwatt a device is off, not idle.
    bins = np.floor(np.log(np.maximum(power_uw, 1000.0)) / BIN_RATIO).astype(np.int64)
    distinct_bins, bin_index = np.unique(bins, return_inverse=True)
    time, energy = (
        sum_by_group(length_us, bin_index, len(distinct_bins)),
        sum_by_group(intervals.energy_uj, bin_index, len(distinct_bins)),
    )
    return {int(b): (int(t), int(e)) for b, t, e in zip(distinct_bins, time, energy, strict=True)}


def merge_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """Sum of histograms.

    Examples
    --------
    >>> merge_histograms([{1: (10, 100)}, {1: (5, 50), 2: (1, 1)}])
    {1: (15, 150), 2: (1, 1)}
    """
    total: Histogram = {}
    for histogram in histograms:
        for bin_, (time, energy) in histogram.items():
            sum_so_far = total.get(bin_, (0, 0))
            total[bin_] = (sum_so_far[0] + time, sum_so_far[1] + energy)
    return total


def idle_power_uw(days: Iterable[IdleHistograms]) -> int | None:
    """Idle power learnt from days.

    Intervals in which the device computed count only where there are no others, because it may have spun. Without any quiet
    interval, the lowest mode of those in which fewer requests ran than hosts serve them is the idle power.

    Parameters
    ----------
    days
        Histograms of up to ``LEARNING_DAYS`` days.

    Returns
    -------
    int or None
        Idle power [µW]; None where the days hold less than half a minute of quiet.
    """
    days = list(days)
    for near, quiet in (("near", "quiet"), ("busy_near", "busy_quiet")):
        for name, min_time_us in ((near, MIN_NEAR_US), (quiet, MIN_QUIET_US)):
            histogram = merge_histograms(getattr(day, name) for day in days)
            if _total_time_us(histogram) >= min_time_us:
                return _mode_uw(histogram)
    few = merge_histograms(day.few for day in days)
    return _mode_uw(few, lowest=True) if _total_time_us(few) >= MIN_NEAR_US else None


def _total_time_us(histogram: Histogram) -> int:
    return sum(time for time, _ in histogram.values())


def _mode_uw(histogram: Histogram, *, lowest: bool = False) -> int:
    """Mode of a histogram [µW]: the window of bins with most time, or the lowest with much, then its mean until it is stable."""
    bins = np.array(sorted(histogram), dtype=np.int64)
    time = np.array([histogram[int(b)][0] for b in bins], dtype=np.int64)
    energy = np.array([histogram[int(b)][1] for b in bins], dtype=np.int64)
    time_around = _sums_between(bins, time, bins - HALF_WIDTH_BINS, bins + HALF_WIDTH_BINS)
    best = int(np.argmax(time_around))
    if lowest:
        tops = [
            index
            for index in np.flatnonzero(time_around >= MIN_MODE_SHARE * time.sum()).tolist()
            if time_around[index] == time_around[np.abs(bins - bins[index]) <= HALF_WIDTH_BINS].max()
        ]
        best = min([best, *tops])
    centre = int(bins[best])
    for _ in range(20):
        around = np.array([centre - HALF_WIDTH_BINS]), np.array([centre + HALF_WIDTH_BINS])
        mean_uw = int(_sums_between(bins, energy, *around)[0]) * PJ_PER_UJ // int(_sums_between(bins, time, *around)[0])
        moved = math.floor(math.log(max(mean_uw, 1000)) / BIN_RATIO)
        if moved == centre:
            break
        centre = moved
    return mean_uw


def _sums_between(bins: Ints, values: Ints, low: Ints, high: Ints) -> Ints:
    running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values)])
    return running[np.searchsorted(bins, high, side="right")] - running[np.searchsorted(bins, low, side="left")]
