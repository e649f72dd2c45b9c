"""Judgement of sensors by the server, for imported files and Prometheus: no agent stood beside them.

Where the ledger holds several sources of a device, or a whole-server meter beside parts, they witness for each other, by the
rules of the agent (`footprint.core.sensor_judgement`). Windows follow the stretches in which a source stands still; where the
scatter of a window decides nothing, it grows. A single source is held against physics alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import EnergyIntervals, cut_at_edges
from footprint.attribution.largest_remainder import sum_by_group
from footprint.attribution.sensor_doubt import VerdictWindows
from footprint.core.counter_correction import MAX_STAND_US
from footprint.core.device_limits import floor_uw
from footprint.core.sensor_judgement import (
    MAX_TOLERANCE,
    MAX_WINDOW_US,
    MIN_STEPS,
    Outcome,
    Part,
    SourceSteps,
    allowed_range,
    judge_device,
    judge_whole,
    margin_uj,
)
from footprint.core.sensor_verdicts import Reason, SensorVerdict, Verdict, Witness
from footprint.core.units import PJ_PER_UJ, S_PER_HOUR, US_PER_DAY, US_PER_S
from footprint.ledger.ledger_view import StreamInfo

_STEP_S = (10, 15, 20, 30, 60, 300, 900, S_PER_HOUR)  # the first that is no shorter than the spacing of the readings
_MIN_COVERED = 0.99
_MIN_PRESENT = 0.3  # of the steps of a window, for a source to be judged in it
_MAX_GROWTH = 12  # windows that decide nothing are joined, an hour of five minutes
_JUDGED_GRADES = ("counter", "power", "witness")


@dataclass(frozen=True, slots=True)
class ReadStream:
    """A stream with its intervals and the ceiling of its device [µW]."""

    stream: StreamInfo
    intervals: EnergyIntervals
    ceiling_uw: int

    @property
    def is_counter(self) -> bool:
        """Whether it counts energy by itself."""
        return self.stream.quantity == "energy" and self.stream.grade == "counter"


@dataclass(frozen=True, slots=True)
class _Steps:
    """Energies [µJ] of a source by step of a day, shape (n,), and which steps it covers."""

    read: ReadStream
    energy_uj: Ints
    is_covered: NDArray[np.bool_]
    spacing_us: int
    step_us: int

    @classmethod
    def of(cls, read: ReadStream, day: int, step_us: int) -> _Steps:
        """Steps of one source."""
        edges = day * US_PER_DAY + step_us * np.arange(US_PER_DAY // step_us + 1, dtype=np.int64)
        pieces, step, _ = cut_at_edges(read.intervals, edges)
        energy, covered = (sum_by_group(amount, step, len(edges) - 1) for amount in (pieces.energy_uj, pieces.covered_us))
        return cls(read, energy, covered >= _MIN_COVERED * step_us, _spacing_us(read.intervals), step_us)

    def at(self, steps: Ints) -> SourceSteps:
        """The source in some steps."""
        stream = self.read.stream
        return SourceSteps(
            stream.device,
            _name(self),
            stream.component,
            tuple(self.energy_uj[steps].tolist()),
            self.read.is_counter,
            stream.model,
            self.read.ceiling_uw,
            self.spacing_us,
        )

    @property
    def stands(self) -> NDArray[np.bool_]:
        """Steps in which the source counts nothing for longer than a slow counter is refreshed."""
        is_zero = self.is_covered & (self.energy_uj == 0)
        least = max(MIN_STEPS, -(-MAX_STAND_US // self.step_us))
        starts, ends = _runs(is_zero.astype(np.int64))
        stands = np.zeros(len(is_zero), dtype=bool)
        for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
            stands[first:last] = is_zero[first] and last - first >= least
        return stands

    def is_suspicious(self, steps: Ints) -> bool:
        """Whether physics may refute the source without a second one."""
        stream, energy_uj = self.read.stream, int(self.energy_uj[steps].sum())
        floor = floor_uw(stream.component, stream.model, stream.source)
        if energy_uj == 0:  # what answers is powered, and what was read answered
            return True
        return energy_uj * PJ_PER_UJ < (floor // 2) * len(steps) * self.step_us


@dataclass(frozen=True, slots=True)
class _Window:
    """Steps [first, last) of a day, the sources that cover a good part of them, and the steps that all of these cover."""

    first: int
    last: int
    present: tuple[_Steps, ...]
    common: Ints

    @classmethod
    def of(cls, sources: Sequence[_Steps], first: int, last: int) -> _Window:
        """The window of all sources."""
        least = _MIN_PRESENT * (last - first)
        present = tuple(source for source in sources if source.is_covered[first:last].sum() >= max(least, 1))
        covered = np.all([source.is_covered[first:last] for source in present], axis=0) if present else np.zeros(0, dtype=bool)
        return cls(first, last, present, first + np.flatnonzero(covered))

    def judge(self, step_us: int, *, is_last: bool) -> dict[str, Outcome] | None:
        """Outcomes by name of the source; None where nothing is decided yet."""
        sources = [source.at(self.common) for source in self.present]
        return judge_device(sources, [step_us] * len(self.common), is_last=is_last)


_Verdicts = dict[int, list[SensorVerdict]]  # by stream id


def judge_ledger(streams: Sequence[ReadStream], day: int, judged_by_agents: Collection[str] = ()) -> dict[int, VerdictWindows]:
    """Verdicts by stream id on the sources of one host on a UTC day.

    Of devices that agents judged, only several sources that cover the same time are compared: an agent decides in minutes, and
    may find no witness where the whole day shows one.
    """
    by_device: dict[str, list[ReadStream]] = defaultdict(list)
    for read in streams:
        if read.stream.grade in _JUDGED_GRADES and len(read.intervals):
            by_device[read.stream.device].append(read)
    verdicts: _Verdicts = defaultdict(list)
    for device, sources in by_device.items():
        is_judged = device in judged_by_agents
        if not is_judged or len(sources) > 1:
            _judge_device(sources, day, verdicts, alone=not is_judged)
    walls = [sources for sources in by_device.values() if sources[0].stream.component == "host"]
    parts = [sources for sources in by_device.values() if sources[0].stream.component != "host"]
    if len(walls) == 1 and parts and walls[0][0].stream.device not in judged_by_agents:
        _judge_whole(walls[0], parts, day, verdicts)
    return {
        stream: VerdictWindows.of(sorted(judged, key=lambda verdict: verdict.at_us), held_us=0)
        for stream, judged in verdicts.items()
    }


def _judge_device(sources: Sequence[ReadStream], day: int, verdicts: _Verdicts, *, alone: bool) -> None:
    """Judge the sources of a device, single ones only if ``alone``."""
    step_us = _step_us(sources)
    steps = [_Steps.of(source, day, step_us) for source in sources]
    is_read = np.any([source.is_covered for source in steps], axis=0)
    state = is_read.astype(np.int64)
    for number, source in enumerate(steps):
        state += (2 << number) * source.stands
    for first, last in zip(*(edge.tolist() for edge in _runs(state)), strict=True):
        for window in _windows(steps, first, last, step_us) if is_read[first] else ():
            if len(window.present) < 2 and not alone:
                continue
            for source, outcome in _outcomes(window, step_us):
                _add(verdicts, source, window, day, outcome, is_read)


def _windows(sources: Sequence[_Steps], first: int, last: int, step_us: int) -> Iterator[_Window]:
    """Windows of a stretch: each the shortest that decides, and the rest."""
    need = max(MIN_STEPS, MAX_WINDOW_US // step_us)
    while last - first >= MIN_STEPS:
        end = first
        while True:
            end = last if last - end < 2 * need else end + need
            window = _Window.of(sources, first, end)
            is_final = end == last or end - first >= _MAX_GROWTH * need
            if is_final or len(window.present) < 2 or window.judge(step_us, is_last=False) is not None:
                break
        yield window
        first = end


def _outcomes(window: _Window, step_us: int) -> Iterator[tuple[_Steps, Outcome]]:
    """Outcomes of the sources in a window; two that differ grossly are both doubted where nothing else is decided."""
    present, common = window.present, window.common
    if not present or (len(present) == 1 and not present[0].is_suspicious(common)):
        return
    outcomes = window.judge(step_us, is_last=True)
    if outcomes is None:
        return
    undecided = [source for source in present if outcomes[_name(source)].verdict == Verdict.NO_WITNESS]
    energies = [int(source.energy_uj[common].sum()) for source in undecided]
    is_gross = len(undecided) > 1 and max(energies) - min(energies) > MAX_TOLERANCE * max(energies)
    for source in present:
        outcome = outcomes[_name(source)]
        yield source, _differing(source, undecided, common, step_us) if is_gross and source in undecided else outcome


def _differing(source: _Steps, undecided: Sequence[_Steps], common: Ints, step_us: int) -> Outcome:
    """Outcome of one of several sources of which nothing tells which is right: the range holds all of them."""
    pool, durations = [other.at(common) for other in undecided], [step_us] * len(common)
    is_own = any(other.read.is_counter != source.read.is_counter for other in undecided)
    witness = Witness.OWN_POWER if is_own else Witness.OTHER_SOURCE
    reason = Reason.COUNTER_AGAINST_POWER if is_own else Reason.SOURCES_DIFFER
    bounds = allowed_range(source.at(common), pool, sum(durations), margin_uj(pool, durations))
    return Outcome(Verdict.DISAGREES, witness, reason, *bounds)


def _judge_whole(wall: Sequence[ReadStream], parts: Sequence[Sequence[ReadStream]], day: int, verdicts: _Verdicts) -> None:
    """Hold the meter of the whole server against the sum of its parts, while all of them are read."""
    best = [min(sources, key=_rank) for sources in (wall, *parts)]
    step_us = _step_us(best)
    whole, *others = [_Steps.of(source, day, step_us) for source in best]
    complete = np.all([source.is_covered for source in (whole, *others)], axis=0)
    is_complete = any(source.read.stream.component == "gpu" for source in others)
    need = max(MIN_STEPS, MAX_WINDOW_US // step_us)
    for start, end in zip(*(edge.tolist() for edge in _runs(complete.astype(np.int64))), strict=True):
        for first in range(start, end - need + 1, need) if complete[start] else ():
            window = _Window.of((whole, *others), first, first + need if end - first >= 2 * need else end)
            at_us = day * US_PER_DAY + window.last * step_us
            of_parts = {
                (source.read.stream.device, _name(source)): Part(
                    int(source.energy_uj[window.common].sum()),
                    _is_confirmed(verdicts[source.read.stream.id], at_us),
                    _is_refuted(verdicts[source.read.stream.id], at_us),
                )
                for source in others
            }
            durations = [step_us] * len(window.common)
            outcome, doubted = judge_whole(whole.at(window.common), of_parts, durations, is_complete=is_complete)
            _add(verdicts, whole, window, day, outcome, complete)
            for source in others:
                doubt = doubted.get((source.read.stream.device, _name(source)), _NOTHING)
                _add(verdicts, source, window, day, doubt, complete)


_NOTHING = Outcome(Verdict.NO_WITNESS)


def _is_confirmed(judged: Sequence[SensorVerdict], at_us: int) -> bool:
    """Whether another source agrees with one just before an instant."""
    return any(verdict.verdict == Verdict.AGREES and verdict.start_us < at_us <= verdict.at_us for verdict in judged)


def _is_refuted(judged: Sequence[SensorVerdict], at_us: int) -> bool:
    """Whether something other than the whole server contradicts a source just before an instant."""
    return any(
        verdict.verdict in (Verdict.DISAGREES, Verdict.STANDS_STILL)
        and verdict.witness != Witness.WHOLE_HOST
        and verdict.start_us < at_us <= verdict.at_us
        for verdict in judged
    )


def _add(verdicts: _Verdicts, source: _Steps, window: _Window, day: int, outcome: Outcome, is_read: NDArray[np.bool_]) -> None:
    """Add a verdict with the powers of the common steps; it reaches a step further where readings end within one."""
    if outcome.verdict == Verdict.NO_WITNESS:
        return
    first, last = window.first, window.last
    first -= first > 0 and not is_read[first - 1]
    last += last < len(is_read) and not is_read[last]
    length, energy_uj = len(window.common), int(source.energy_uj[window.common].sum())
    judged_uj, low_uj, high_uj = (amount * (last - first) // length for amount in (energy_uj, outcome.low_uj, outcome.high_uj))
    verdict = SensorVerdict(
        day * US_PER_DAY + last * source.step_us,
        outcome.verdict,
        outcome.witness,
        outcome.reason,
        judged_uj,
        low_uj,
        high_uj,
        (last - first) * source.step_us,
    )
    verdicts[source.read.stream.id].append(verdict)


def _name(source: _Steps) -> str:
    return str(source.read.stream.id)


def _runs(state: Ints) -> tuple[Ints, Ints]:
    """Starts and ends of the stretches of equal values."""
    changes = np.flatnonzero(np.diff(state)) + 1
    return np.concatenate([[0], changes]), np.concatenate([changes, [len(state)]])


def _rank(read: ReadStream) -> tuple[int, str]:
    return _JUDGED_GRADES.index(read.stream.grade), read.stream.quantity


def _spacing_us(intervals: EnergyIntervals) -> int:
    return int(np.median(intervals.end_us - intervals.start_us))


def _step_us(sources: Sequence[ReadStream]) -> int:
    """Length of a step [µs] for the spacing of all sources."""
    widest = max(_spacing_us(source.intervals) for source in sources)
    return next((step for step in _STEP_S if step * US_PER_S >= widest), _STEP_S[-1]) * US_PER_S
