"""Sensor doubt: what the verdicts on the sources of a device make of their energy.

In a window in which a source disagrees with its witness, it ranks below every other source of the device. Where another one
covers the time, that one counts; unless a witness of its own confirms it, its interval also holds what the doubted source
counted. Where none does, the doubted energy is kept within what the witness allows, and its interval holds all that the
witness allows. A source that stands still while its device draws energy is no zero: that time is not covered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.energy_intervals import (
    BRIDGED,
    CONFIRMED,
    COUNTER,
    DISPUTED,
    POWER,
    STANDING,
    Doubt,
    EnergyIntervals,
    clip_to_windows,
    cut_at_edges,
    disbelieve,
    fill_gaps,
    in_order,
)
from footprint.attribution.largest_remainder import split_integers, sum_by_group
from footprint.core.sensor_judgement import RELATIVE_TOLERANCE
from footprint.core.sensor_verdicts import SensorVerdict, Verdict, Witness
from footprint.core.units import PJ_PER_UJ, US_PER_HOUR

HELD_US = 2 * US_PER_HOUR  # a verdict is repeated every hour; one lost repetition ends nothing
MIN_WATCHED = 0.99  # of an interval, for it to say when energy was drawn
_BAD = (Verdict.DISAGREES, Verdict.STANDS_STILL)
# Agreement allows more than the interval of a counter: a difference above this is seen, and widens it.
SEEN_DIFFERENCE = 0.05


@dataclass(frozen=True, slots=True)
class VerdictWindows:
    """Verdicts on one source as disjoint windows in order of time, arrays of shape (n,).

    ``low_uw`` and ``high_uw`` are the mean powers [µW] that the witness allows, ``judged_uw`` the one that the source showed;
    ``is_bounded`` is False where no witness bounds them. ``excess_uw`` is the mean power in suspense, neither counted nor
    refused. ``is_impossible``: what the source showed is beyond physics, so it is no candidate for the truth. ``offset_uw`` is by
    how much a source is above another one of the device that it agrees with; 0 where that is within its class.
    """

    start_us: Ints
    end_us: Ints
    verdict: NDArray[np.int8]
    judged_uw: Floats
    low_uw: Floats
    high_uw: Floats
    excess_uw: Floats
    is_bounded: NDArray[np.bool_]
    is_impossible: NDArray[np.bool_]
    offset_uw: Floats

    def __len__(self) -> int:
        return len(self.start_us)

    def __getitem__(self, index: NDArray[np.bool_] | Ints) -> VerdictWindows:
        return VerdictWindows(*(getattr(self, name)[index] for name in VerdictWindows.__slots__))

    @property
    def is_bad(self) -> NDArray[np.bool_]:
        """Windows whose source may not count as it stands."""
        return np.isin(self.verdict, _BAD) | (self.excess_uw > 0)

    @classmethod
    def of(cls, verdicts: Sequence[SensorVerdict], held_us: int = HELD_US) -> VerdictWindows:
        """Windows of the verdicts on one source, in order of time.

        A verdict reaches back to the start of its window, over older verdicts, but never makes a bad window good again. It holds
        until the next one, for ``held_us`` at most. One without a window repeats the one before, with its powers.
        """

        def column(name: str) -> Ints:
            return np.array([getattr(verdict, name) for verdict in verdicts], dtype=np.int64)

        verdicts = _with_windows(verdicts)
        at_us, window_us = column("at_us"), np.maximum(column("window_us"), 1)
        codes = column("verdict").astype(np.int8)
        bad = np.isin(codes, _BAD) | (column("doubt_since_us") > 0)
        bad_until = np.maximum.accumulate(np.where(bad, at_us, 0))
        start = np.where(bad, at_us - window_us, np.maximum(at_us - window_us, bad_until))
        start = np.minimum.accumulate(start[::-1])[::-1] if len(start) else start
        end = np.minimum(np.append(start[1:], np.iinfo(np.int64).max), at_us + held_us)
        judged, low, high = (column(name) * (PJ_PER_UJ / window_us) for name in ("judged_uj", "low_uj", "high_uj"))
        doubt_us = np.maximum(at_us - column("doubt_since_us"), 1)
        excess = np.where(column("doubt_since_us") > 0, column("doubt_uj") * (PJ_PER_UJ / doubt_us), 0.0)
        witness = column("witness")
        is_bounded = (witness != Witness.NONE) & (column("window_us") > 0)
        is_impossible = (witness == Witness.BOUNDS) & (judged > high)
        is_own = (codes == Verdict.AGREES) & np.isin(witness, (Witness.OWN_POWER, Witness.OTHER_SOURCE)) & (low > 0)
        offset = np.where(is_own, _offset_uw(judged, low, high), 0.0)
        windows = cls(start, end, codes, judged, low, high, excess, is_bounded, is_impossible, offset)
        return windows[end > start]

    def completed_by(self, other: VerdictWindows | None) -> VerdictWindows:
        """These windows, with those of ``other`` where these have no witness and nothing in suspense, or say nothing."""
        if other is None or not len(other) or not len(self):
            return self if other is None or len(self) else other
        edges = np.unique(np.concatenate([self.start_us, self.end_us, other.start_us, other.end_us]))
        middle = (edges[:-1] + edges[1:]) // 2
        own, others = self.at(middle), other.at(middle)
        says_nothing = (own < 0) | ((self.verdict[own] == Verdict.NO_WITNESS) & (self.excess_uw[own] == 0))
        from_other = says_nothing & (others >= 0)
        columns = [
            np.where(from_other, getattr(other, name)[others], getattr(self, name)[own])
            for name in VerdictWindows.__slots__
            if name not in ("start_us", "end_us")
        ]
        return VerdictWindows(edges[:-1], edges[1:], *columns)[from_other | (own >= 0)]

    def at(self, instant_us: Ints) -> Ints:
        """Window that holds each instant, -1 for none."""
        if not len(self):
            return np.full(len(instant_us), -1, dtype=np.int64)
        position = np.searchsorted(self.start_us, instant_us, side="right") - 1
        inside = (position >= 0) & (instant_us < self.end_us[np.maximum(position, 0)])
        return np.where(inside, position, -1)


def _offset_uw(judged: Floats, low: Floats, high: Floats) -> Floats:
    """By how much a source is above the other one [µW]; 0 where that is within its class and what is rounded or late.

    ``low`` and ``high`` are the power of the other source less and plus the relative tolerance, and a margin
    (``footprint.core.sensor_judgement.allowed_range``).
    """
    below, above = 1 - RELATIVE_TOLERANCE, 1 / (1 - RELATIVE_TOLERANCE)
    other = (low + high) / (below + above)
    margin = np.maximum((high - low - other * (above - below)) / 2, 0.0)
    offset: Floats = judged - other
    return np.where(np.abs(offset) > SEEN_DIFFERENCE * other + margin, offset, 0.0)


def _with_windows(verdicts: Sequence[SensorVerdict]) -> list[SensorVerdict]:
    """Verdicts in which one without a window has the time since the one before, and its powers if it is the same verdict."""
    result: list[SensorVerdict] = []
    for verdict in verdicts:
        before = result[-1] if result else None
        if not verdict.window_us and before is not None and before.window_us and before.verdict == verdict.verdict:
            length_us = min(verdict.at_us - before.at_us, HELD_US)
            energies = {
                name: getattr(before, name) * length_us // before.window_us for name in ("judged_uj", "low_uj", "high_uj")
            }
            result.append(replace(verdict, window_us=length_us, **energies))
        else:
            result.append(verdict)
    return result


@dataclass(frozen=True, slots=True)
class JudgedSource:
    """Energy intervals of one source of a device, its rank (the lowest counts), and the verdicts on it."""

    rank: int
    intervals: EnergyIntervals
    verdicts: VerdictWindows | None = None


def merge_sources(sources: Iterable[JudgedSource], edges_us: tuple[int, int], ceiling_uw: int) -> EnergyIntervals:
    """Intervals of a device from its sources: one source counts at a time, the best that is believed.

    Parameters
    ----------
    sources
        Sources of the device.
    edges_us
        First and last instant of the stretch wanted [µs]. Intervals are cut there where verdicts change anything, so that both
        neighbours of an edge divide an interval across it alike.
    ceiling_uw
        Highest mean power that the device can draw [µW].

    Returns
    -------
    EnergyIntervals
        Disjoint intervals, with the ``doubt`` that remains.
    """
    ranked = _watch_gaps(sorted(sources, key=lambda source: source.rank), edges_us, ceiling_uw)
    judged = [source for source in ranked if source.verdicts is not None and source.verdicts.is_bad.any()]
    if judged:
        edges = _edges(ranked, judged, edges_us)
        cut = [replace(source, intervals=cut_at_edges(source.intervals, edges)[0]) for source in ranked]
        levels = [_weigh(source, [other for other in cut if other is not source], edges, ceiling_uw) for source in cut]
    else:
        levels = [(_label(source), EnergyIntervals.empty()) for source in ranked]
    merged = EnergyIntervals.empty()
    for level in range(2):
        for of_source in levels:
            merged = fill_gaps(merged, of_source[level][of_source[level].is_believed])
    for level in range(2):
        for of_source in levels:
            merged = fill_gaps(merged, of_source[level][~of_source[level].is_believed])
    return merged


def _watch_gaps(ranked: Sequence[JudgedSource], edges_us: tuple[int, int], ceiling_uw: int) -> list[JudgedSource]:
    """Sources without the bridged time of their counters in which another source watched the device.

    What a counter shows after a silence is right, and nobody saw when it was drawn: where another source did, it counts. The
    energy that it did not see stays in the time in which nobody watched. Where the device cannot have drawn it there, the two
    contradict each other, and the counter stands as it is.
    """
    result = []
    for source in ranked:
        is_bridged = source.intervals.method == BRIDGED
        watched = EnergyIntervals.empty()
        if is_bridged.any():
            for other in ranked:
                watched = fill_gaps(watched, _watching(other)) if other is not source else watched
        if len(watched):
            # An integrated power holds nothing of the time in which it was not read.
            is_counter = not (source.intervals.method == POWER).any()
            rest = _unwatched(source.intervals[is_bridged], watched, edges_us, ceiling_uw, is_counter=is_counter)
            result.append(replace(source, intervals=in_order(source.intervals[~is_bridged], rest)))
        else:
            result.append(source)
    return result


def _watching(source: JudgedSource) -> EnergyIntervals:
    """Intervals that a source measured and watched throughout, and that nothing contradicts."""
    intervals = source.intervals
    is_whole = intervals.covered_us >= MIN_WATCHED * (intervals.end_us - intervals.start_us)
    watching = intervals[np.isin(intervals.method, (COUNTER, POWER)) & is_whole]
    codes = _codes(source, (watching.start_us + watching.end_us) // 2)
    return watching[~np.isin(codes, _BAD)]


def _unwatched(
    bridged: EnergyIntervals, watched: EnergyIntervals, edges_us: tuple[int, int], ceiling_uw: int, *, is_counter: bool
) -> EnergyIntervals:
    """Parts of bridged intervals that nobody watched, with the energy that the others did not see.

    Both neighbours of an edge must divide an interval across it alike, and each sees the watched time on its own side only.
    """
    inside = [edge for edge in edges_us if bridged.start_us[0] < edge < bridged.end_us[-1]]
    gaps = cut_at_edges(bridged, np.array([bridged.start_us[0], *inside, bridged.end_us[-1]], dtype=np.int64))[0]
    seen = clip_to_windows(watched, gaps.start_us, gaps.end_us)
    gap_of_seen = np.searchsorted(gaps.start_us, seen.start_us, side="right") - 1
    seen_uj, seen_us = (sum_by_group(amount, gap_of_seen, len(gaps)) for amount in (seen.energy_uj, seen.end_us - seen.start_us))
    unseen_uj, unseen_us = gaps.energy_uj - seen_uj, gaps.end_us - gaps.start_us - seen_us
    tolerance_uj = RELATIVE_TOLERANCE * gaps.energy_uj
    agrees = np.full(len(gaps), not is_counter) | (
        (unseen_uj >= -tolerance_uj) & (unseen_uj <= tolerance_uj + ceiling_uw * (unseen_us / PJ_PER_UJ))
    )
    seen = seen[agrees[gap_of_seen]]
    if not len(seen):
        return bridged
    edges = np.unique(np.concatenate([gaps.start_us, gaps.end_us, seen.start_us, seen.end_us]))
    pieces = cut_at_edges(gaps, edges)[0]
    at = np.searchsorted(seen.start_us, pieces.start_us, side="right") - 1
    is_seen = (at >= 0) & (pieces.start_us < seen.end_us[at])
    rest = pieces[~is_seen]
    if not is_counter:
        return rest
    gap_of_rest = np.searchsorted(gaps.start_us, rest.start_us, side="right") - 1
    length_us = (rest.end_us - rest.start_us).astype(np.float64)
    total_us = np.bincount(gap_of_rest, weights=length_us, minlength=len(gaps))
    rest_uj = np.where(total_us > 0, np.where(agrees, np.maximum(unseen_uj, 0), gaps.energy_uj), 0)
    energy_uj = split_integers(rest_uj, length_us / np.maximum(total_us[gap_of_rest], 1.0), gap_of_rest)
    return replace(rest, energy_uj=energy_uj)


def _edges(sources: Sequence[JudgedSource], judged: Sequence[JudgedSource], edges_us: tuple[int, int]) -> Ints:
    """Instants at which intervals are cut: those of bad windows, the edges of the stretch, and the ends of all readings."""
    bad = [source.verdicts[source.verdicts.is_bad] for source in judged if source.verdicts is not None]
    ends = [(source.intervals.start_us[:1], source.intervals.end_us[-1:]) for source in sources]
    outer = np.concatenate([part for pair in ends for part in pair])
    edges = np.concatenate([*(part for windows in bad for part in (windows.start_us, windows.end_us)), edges_us])
    inside = edges[(edges > outer.min()) & (edges < outer.max())]
    return np.unique(np.concatenate([inside, [outer.min(), outer.max()]]))


def _label(source: JudgedSource) -> EnergyIntervals:
    """Intervals of a source with what its witness says; as they are where none spoke."""
    if source.verdicts is None or not (source.verdicts.verdict == Verdict.AGREES).any():
        return source.intervals
    low, high = _seen_difference(source)
    return replace(source.intervals, doubt=Doubt(low, high, _witness(source)))


def _seen_difference(source: JudgedSource) -> tuple[Ints, Ints]:
    """By how much intervals may be too high and too low [µJ], by another source that agrees as far as it can be told."""
    intervals, windows = source.intervals, source.verdicts
    if windows is None or not windows.offset_uw.any():
        zero = np.zeros(len(intervals), dtype=np.int64)
        return zero, zero
    position = windows.at((intervals.start_us + intervals.end_us) // 2)
    offset_uj = np.append(windows.offset_uw, 0.0)[position] * ((intervals.end_us - intervals.start_us) / PJ_PER_UJ)
    return np.ceil(np.maximum(offset_uj, 0.0)).astype(np.int64), np.ceil(np.maximum(-offset_uj, 0.0)).astype(np.int64)


def _witness(source: JudgedSource) -> NDArray[np.int8]:
    """What the witness of a source says of each of its intervals."""
    intervals, windows = source.intervals, source.verdicts
    if windows is None:
        return np.zeros(len(intervals), dtype=np.int8)
    position = windows.at((intervals.start_us + intervals.end_us) // 2)
    agrees = (position >= 0) & (np.append(windows.verdict, -1)[position] == Verdict.AGREES)
    return np.where(agrees, CONFIRMED, 0).astype(np.int8)


def _weigh(
    source: JudgedSource, others: Sequence[JudgedSource], edges: Ints, ceiling_uw: int
) -> tuple[EnergyIntervals, EnergyIntervals]:
    """Intervals of a source that count first, and those that count only where no other source covers the time."""
    intervals = source.intervals
    middle = (edges[:-1] + edges[1:]) // 2
    window = np.searchsorted(edges, intervals.start_us, side="right") - 1
    codes, witness = _codes(source, middle)[window], _witness(source)
    is_doubted, is_standing = codes == Verdict.DISAGREES, codes == Verdict.STANDS_STILL
    length_us = intervals.end_us - intervals.start_us
    low, high, disputed = _contested(intervals, others, edges, window, witness)
    low, high, energy, disputed = _bounded(
        source, intervals, middle, window, (low, high, disputed), is_doubted, is_standing, ceiling_uw
    )
    at = source.verdicts.at(middle)[window] if source.verdicts is not None else np.full(len(intervals), -1)
    if source.verdicts is not None:  # energy in suspense may have been drawn
        excess = np.append(source.verdicts.excess_uw, 0.0)[at]
        high = high + np.ceil(excess * (length_us / PJ_PER_UJ)).astype(np.int64)
        disputed |= excess > 0
    seen_low, seen_high = _seen_difference(source)
    low, high = np.maximum(low, seen_low), np.maximum(high, seen_high)
    doubt = Doubt(low, high, np.where(disputed, DISPUTED, witness).astype(np.int8))
    weighed = disbelieve(replace(intervals, energy_uj=energy, doubt=doubt), is_standing, STANDING)
    is_last = is_doubted | is_standing
    return weighed[~is_last], weighed[is_last]


def _codes(source: JudgedSource, instants_us: Ints) -> NDArray[np.int8]:
    """Verdict on a source at instants; ``NO_WITNESS`` where none was given."""
    if source.verdicts is None:
        return np.full(len(instants_us), Verdict.NO_WITNESS, dtype=np.int8)
    codes: NDArray[np.int8] = np.append(source.verdicts.verdict, Verdict.NO_WITNESS).astype(np.int8)
    return codes[source.verdicts.at(instants_us)]


def _contested(
    intervals: EnergyIntervals, others: Sequence[JudgedSource], edges: Ints, window: Ints, witness: NDArray[np.int8]
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """By how much intervals may be too high and too low, because another source contradicts and nothing else decides."""
    size = len(edges) - 1
    energy_uj = sum_by_group(intervals.energy_uj, window, size)
    length_us = sum_by_group(intervals.end_us - intervals.start_us, window, size)
    low_uj, high_uj = np.zeros(size), np.zeros(size)
    contested = np.zeros(size, dtype=bool)
    middle = (edges[:-1] + edges[1:]) // 2
    for other in others:
        if other.verdicts is None:
            continue
        at = other.verdicts.at(middle)
        contradicts = (_codes(other, middle) == Verdict.DISAGREES) & ~np.append(other.verdicts.is_impossible, False)[at]
        claimed_uj = np.append(other.verdicts.judged_uw, 0.0)[at] * (length_us / PJ_PER_UJ)
        low_uj = np.where(contradicts, np.maximum(low_uj, energy_uj - claimed_uj), low_uj)
        high_uj = np.where(contradicts, np.maximum(high_uj, claimed_uj - energy_uj), high_uj)
        contested |= contradicts
    is_open = contested[window] & (witness != CONFIRMED)
    if not is_open.any():
        zero = np.zeros(len(intervals), dtype=np.int64)
        return zero, zero, is_open
    share = _shares(intervals, window, size)
    low, high = (np.where(is_open, np.ceil(side[window] * share), 0).astype(np.int64) for side in (low_uj, high_uj))
    return low, high, is_open


def _bounded(
    source: JudgedSource,
    intervals: EnergyIntervals,
    middle: Ints,
    window: Ints,
    contested: tuple[Ints, Ints, NDArray[np.bool_]],
    is_doubted: NDArray[np.bool_],
    is_standing: NDArray[np.bool_],
    ceiling_uw: int,
) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
    """Doubt towards low and high, and energy, where doubted energy is kept within what the witness allows."""
    low, high, disputed = contested
    windows = source.verdicts
    refused = is_doubted | is_standing
    if windows is None or not refused.any():
        return low, high, intervals.energy_uj, disputed
    at, size = windows.at(middle), len(middle)
    length_us = sum_by_group(intervals.end_us - intervals.start_us, window, size)
    energy_uj = sum_by_group(intervals.energy_uj, window, size)
    length_s = length_us / PJ_PER_UJ
    is_bounded = np.append(windows.is_bounded, False)[at]
    most_uj = np.floor(ceiling_uw * length_s)
    least_uj = np.where(is_bounded, np.floor(np.append(windows.low_uw, 0.0)[at] * length_s), 0.0)
    allowed_uj = np.where(is_bounded, np.minimum(np.ceil(np.append(windows.high_uw, 0.0)[at] * length_s), most_uj), most_uj)
    least_uj = np.minimum(least_uj, allowed_uj)
    total_uj = np.clip(energy_uj, least_uj, allowed_uj).astype(np.int64)
    is_candidate = ~np.append(windows.is_impossible, True)[at]
    bottom_uj = np.where(is_candidate, np.minimum(least_uj, energy_uj), least_uj)
    top_uj = np.where(is_candidate, np.maximum(allowed_uj, energy_uj), allowed_uj)
    share = _shares(intervals, window, size)
    parts = split_integers(np.where(length_us > 0, total_uj, 0), share, window)
    down, up = np.ceil((total_uj - bottom_uj)[window] * share), np.ceil((top_uj - total_uj)[window] * share)
    up = np.where(is_standing, np.ceil(np.where(is_bounded, allowed_uj, 0.0)[window] * share), up)
    return (
        np.where(is_standing, 0, np.where(is_doubted, down, low)).astype(np.int64),
        np.where(refused, up, high).astype(np.int64),
        np.where(is_doubted, parts, intervals.energy_uj),
        disputed | refused,
    )


def _shares(intervals: EnergyIntervals, window: Ints, size: int) -> Floats:
    """Share of each interval in its window, by energy, or by time where there is none."""
    length_us = intervals.end_us - intervals.start_us
    energy_uj = sum_by_group(intervals.energy_uj, window, size)
    weight = np.where(energy_uj[window] > 0, intervals.energy_uj, length_us).astype(np.float64)
    total = np.bincount(window, weights=weight, minlength=size)
    shares: Floats = weight / np.maximum(total[window], 1.0)
    return shares
