"""Registers that exporters show as they are: the range after which they start again, and their corrected counters. Pure.

An energy register of 32 bits starts again after its range, and the range differs by processor and zone: 262 143 J on most
Intel packages, 65 533 J on AMD's, 65 713 J for the memory of Xeons. Few exporters give it. It is then inferred: each fall of
the register, and the power around it, bear out some ranges and rule out others. A fall that no range explains, or an
interval in which the register may have wrapped unseen, opens a new epoch: energy is never added that the power around it
does not bear out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from footprint.core.limits import REFRESH_US
from footprint.core.units import PJ_PER_UJ, UJ_PER_J, UW_PER_W

_UNITS_NJ = (15_300, *(10**9 >> bits for bits in range(8, 21)))  # of the counter: 1/2^n J, or Xeon memory's own
# The kernel computes the range from the unit in whole nanojoules: 2^32 - 1 of them.
KNOWN_RANGES_UJ = tuple(sorted((2**32 - 1) * unit_nj // 1000 for unit_nj in _UNITS_NJ))
_XEON_MEMORY_UJ = (2**32 - 1) * 15_300 // 1000
MAX_FALLS = 50
MIN_FALLS = 3  # by which a known range is ruled out
NEIGHBOURS = 5  # spans on each side whose power bears out an interval
GAP_PERIODS = 3
MAX_SPANS = 20  # by which the usual period of samples is known
_SLACK_UW = 10 * UW_PER_W
MIN_CHECKS = 10  # samples by which two series are known for readings of one counter
MIN_RISE_UJ = 100 * UJ_PER_J
_LOOK_AHEAD = 20
MAX_RANGE_ERROR = 0.01  # of a range that only the falls show
_SPREAD = 0.02  # least tolerance between a known range and where the falls show it


@dataclass(frozen=True, slots=True)
class CorrectedCounter:
    """State of a corrected counter: last raw value [µJ] and instant [µs], corrected value [µJ] and start of its epoch [µs]."""

    raw_uj: int
    at_us: int
    value_uj: int
    epoch_us: int


def start_counter(raw_uj: int, at_us: int) -> CorrectedCounter:
    """Counter at its first sample, which starts the epoch."""
    return CorrectedCounter(raw_uj, at_us, raw_uj, at_us)


@dataclass(frozen=True, slots=True)
class PowerAround:
    """Power [µW] of the spans around an interval: lowest, highest, and mean of those next to it; None if there are none.

    ``is_gap``: the interval is longer than usual.
    """

    low_uw: int | None = None
    high_uw: int | None = None
    near_uw: int | None = None
    is_gap: bool = False

    def bears_out(self, energy_uj: int, elapsed_us: int) -> bool:
        """Whether an energy is not far above what the power around it gives: twice as much, in a gap a quarter more."""
        if self.high_uw is None:
            return True
        highest_uw = self.high_uw * 5 // 4 if self.is_gap else 2 * self.high_uw
        return energy_uj * PJ_PER_UJ <= (highest_uw + _SLACK_UW) * elapsed_us

    def is_like(self, energy_uj: int, elapsed_us: int) -> bool:
        """Whether an energy is neither far above nor far below what the power around it gives."""
        low_uw = self.low_uw or 0
        lowest_uw = low_uw * 4 // 5 if self.is_gap else low_uw // 2
        return self.bears_out(energy_uj, elapsed_us) and energy_uj * PJ_PER_UJ >= (lowest_uw - _SLACK_UW) * elapsed_us


@dataclass(frozen=True, slots=True)
class _Fall:
    drop_uj: int
    elapsed_us: int
    around: PowerAround

    @property
    def range_uj(self) -> int | None:
        """Range that the power next to the fall gives."""
        if self.around.near_uw is None:
            return None
        return self.drop_uj + self.around.near_uw * self.elapsed_us // PJ_PER_UJ


@dataclass(slots=True)
class Register:
    """What is known of one register: the range that its device gave, else that of the table, and what its samples showed."""

    default_uj: int
    component: str = "cpu"
    device_uj: int | None = None
    largest_uj: int = 0
    falls: list[_Fall] = field(default_factory=list)

    def add_fall(self, drop_uj: int, elapsed_us: int, around: PowerAround) -> None:
        """Learn from a decrease."""
        self.falls = [*self.falls, _Fall(drop_uj, elapsed_us, around)][-MAX_FALLS:]

    @property
    def range_uj(self) -> int | None:
        """Range [µJ]; None if the falls fit none, so that each of them opens an epoch."""
        if self.device_uj is not None:
            return self.device_uj
        candidates = [range_uj for range_uj in KNOWN_RANGES_UJ if range_uj >= self.largest_uj]
        if not any(fall.range_uj is not None for fall in self.falls):
            return self.default_uj if self.default_uj >= self.largest_uj else min(candidates, default=None)
        return self._known_range(candidates) or self._shown_range()

    def _known_range(self, candidates: Sequence[int]) -> int | None:
        """The known range that explains most falls, and at least half of them unless it is the table's; the others are resets."""
        ranked = [(self._explained(range_uj), -self._distance(range_uj), range_uj) for range_uj in candidates]
        explained, _, range_uj = max(ranked, default=(0, 0, 0))
        is_shown = 2 * explained >= len(self.falls) or range_uj == self.default_uj
        return range_uj if explained and is_shown and self._agrees(range_uj) else None

    def _agrees(self, range_uj: int) -> bool:
        """Whether a range lies where several falls show it, to within their own scatter."""
        shown = [fall.range_uj for fall in self.falls if fall.range_uj is not None]
        middle = median(shown)
        scatter = median(abs(value - middle) for value in shown)
        return len(shown) < MIN_FALLS or abs(range_uj - middle) <= max(2 * scatter, _SPREAD * range_uj)

    def _explained(self, range_uj: int) -> int:
        return sum(
            fall.range_uj is not None
            and range_uj > fall.drop_uj
            and fall.around.is_like(range_uj - fall.drop_uj, fall.elapsed_us)
            for fall in self.falls
        )

    def _distance(self, range_uj: int) -> int:
        """How far a range lies from what the falls show; nearly equal ranges are told apart by the kind of their zone."""
        shown = [fall.range_uj for fall in self.falls if fall.range_uj is not None]
        distance = abs(median(shown) - range_uj) if shown else 0
        is_of_zone = (range_uj == _XEON_MEMORY_UJ) == (self.component == "dram")
        return round(distance) if is_of_zone else round(distance) + range_uj // 200

    def _shown_range(self) -> int | None:
        """Range that the falls themselves agree on to within a hundredth, for registers of no known range; two at least."""
        shown = [fall.range_uj for fall in self.falls if fall.range_uj is not None]
        if len(shown) < 2:
            return None
        middle = median(shown)
        error = 1.9 * median(abs(value - middle) for value in shown) / len(shown) ** 0.5  # of the median of normal values
        return max(round(middle), self.largest_uj) if error <= MAX_RANGE_ERROR * middle else None


@dataclass(slots=True)
class CounterCorrection:
    """Correction of one counter, over consecutive pieces of its samples; ``limit_uw`` bounds the power of its device."""

    limit_uw: int
    register: Register | None = None  # None: a decrease is a reset
    state: CorrectedCounter | None = None
    unseen_wraps: int = 0  # intervals in which the register may have wrapped unseen
    unexplained_falls: int = 0
    _recent_uw: list[int] = field(default_factory=list)
    _spans_us: list[int] = field(default_factory=list)

    def correct(self, times_us: Sequence[int], raw_uj: Sequence[int]) -> list[CorrectedCounter]:
        """Corrected states at consecutive samples; those not later than the last one give none."""
        first = [] if self.state is None else [self.state]
        begun_us = first[0].at_us if first else -1
        later = [(at_us, raw) for at_us, raw in zip(times_us, raw_uj, strict=True) if at_us > begun_us]
        times = [*(state.at_us for state in first), *(at_us for at_us, _ in later)]
        values = [*(state.raw_uj for state in first), *(raw for _, raw in later)]
        if self.register is not None and values:
            self.register.largest_uj = max(self.register.largest_uj, *values)
        range_uj = None if self.register is None else self.register.range_uj
        around, recent = self._power_around(times, values, range_uj)
        if self.register is not None:
            for index in range(1, len(values)):
                if values[index] < values[index - 1]:
                    drop_uj, elapsed_us = values[index - 1] - values[index], times[index] - times[index - 1]
                    self.register.add_fall(drop_uj, elapsed_us, around[index])
            if self.register.range_uj != range_uj:  # which spans can hide a wrap depends on it
                range_uj = self.register.range_uj
                around, recent = self._power_around(times, values, range_uj)
        self._recent_uw = recent
        self._spans_us = [*self._spans_us, *(after - before for before, after in pairwise(times))][-MAX_SPANS:]
        corrected = []
        for index in range(len(first), len(times)):
            self.state = self._next(times[index], values[index], around[index], range_uj)
            corrected.append(self.state)
        return corrected

    def _next(self, at_us: int, raw_uj: int, around: PowerAround, range_uj: int | None) -> CorrectedCounter:
        before = self.state
        delta_uj = None if before is None else self._delta_uj(before, at_us, raw_uj, around, range_uj)
        if before is None or delta_uj is None:
            return start_counter(raw_uj, at_us)
        return CorrectedCounter(raw_uj, at_us, before.value_uj + delta_uj, before.epoch_us)

    def _delta_uj(
        self, before: CorrectedCounter, at_us: int, raw_uj: int, around: PowerAround, range_uj: int | None
    ) -> int | None:
        """Energy since the sample before; None if it is not credible, or ambiguous."""
        elapsed_us = at_us - before.at_us
        max_uj = self._max_uj(elapsed_us)
        delta_uj = raw_uj - before.raw_uj
        if self.register is None:
            return delta_uj if 0 <= delta_uj <= max_uj else None
        if delta_uj < 0:
            # Where no power is known around it, a fall is a wrap if hardly another one would look like it.
            is_clear = around.high_uw is not None or self.register.device_uj is not None or 4 * max_uj <= (range_uj or 0)
            if range_uj is None or not is_clear or not around.bears_out(delta_uj + range_uj, elapsed_us):
                self.unexplained_falls += 1
                return None
            delta_uj += range_uj
        if not 0 <= delta_uj <= max_uj:
            return None
        if range_uj is None or delta_uj + range_uj > max_uj:
            return delta_uj
        # By its ceiling alone the device might have gone round once more. The power around tells, where it is known.
        if (
            around.high_uw is not None
            and around.bears_out(delta_uj, elapsed_us)
            and not around.bears_out(delta_uj + range_uj, elapsed_us)
        ):
            return delta_uj
        self.unseen_wraps += 1
        return None

    def _max_uj(self, elapsed_us: int) -> int:
        return self.limit_uw * (elapsed_us + REFRESH_US) // PJ_PER_UJ

    def _power_around(
        self, times: Sequence[int], values: Sequence[int], range_uj: int | None
    ) -> tuple[list[PowerAround], list[int]]:
        """Power around each sample's interval, from spans at the usual period that cannot hide a wrap; and the last of them."""
        spans = [after - before for before, after in pairwise(times)]
        usual_us = GAP_PERIODS * median([*self._spans_us, *spans]) if spans else 0
        plain: list[tuple[int, int]] = []  # number of a span, and its power
        for index, elapsed_us in enumerate(spans, 1):
            rise_uj, max_uj = values[index] - values[index - 1], self._max_uj(elapsed_us)
            is_plain = 0 <= rise_uj <= max_uj and elapsed_us <= usual_us and (range_uj is None or rise_uj + range_uj > max_uj)
            if is_plain:
                plain.append((index, rise_uj * PJ_PER_UJ // elapsed_us))
        around = []
        position, recent = 0, list(self._recent_uw)
        for index in range(len(times)):
            while position < len(plain) and plain[position][0] < index:
                recent = [*recent, plain[position][1]][-NEIGHBOURS:]
                position += 1
            later = position + (position < len(plain) and plain[position][0] == index)
            following = [power for _, power in plain[later : later + NEIGHBOURS]]
            is_gap = index > 0 and spans[index - 1] > usual_us
            if recent or following:
                near, nearby = [*recent[-1:], *following[:1]], [*recent, *following]
                around.append(PowerAround(min(nearby), max(nearby), sum(near) // len(near), is_gap))
            else:
                around.append(PowerAround(is_gap=is_gap))
        return around, [*recent, *(power for _, power in plain[position:])][-NEIGHBOURS:]


def median(values: Iterable[int]) -> int:
    """Middle of some whole numbers; the module ``statistics`` would cost the agent a megabyte."""
    ordered = sorted(values)
    return (ordered[len(ordered) // 2] + ordered[(len(ordered) - 1) // 2]) // 2


def shows_same_counter(first: Iterable[tuple[int, int]], second: Iterable[tuple[int, int]]) -> bool | None:
    """Whether two series of (instant [µs], value [µJ]) are readings of one counter; None if they do not tell.

    A counter only rises between wraps, so each sample of one lies between the samples of the other around it, to within a
    quarter of a second; and on average it does not drift away from the line between them, as counters of two machines do
    that started together. One sample in fifty may be a misreading.
    """
    samples = sorted([(at_us, value, 0) for at_us, value in first] + [(at_us, value, 1) for at_us, value in second])
    last: list[tuple[int, int] | None] = [None, None]
    checked: list[int] = []
    distances: list[int] = []
    misses = 0
    for index, (at_us, value, series) in enumerate(samples):
        before = last[1 - series]
        after = next(((t, v) for t, v, s in samples[index + 1 : index + 1 + _LOOK_AHEAD] if s != series), None)
        last[series] = at_us, value
        if before is None or after is None or after[1] <= before[1] or after[0] == before[0]:
            continue
        rise_uj, elapsed_us = after[1] - before[1], after[0] - before[0]
        tolerance_uj = rise_uj * REFRESH_US // elapsed_us + 1
        distance_uj = value - before[1] - rise_uj * (at_us - before[0]) // elapsed_us
        is_simultaneous = min(at_us - before[0], after[0] - at_us) < REFRESH_US
        is_between = before[1] - tolerance_uj <= value <= after[1] + tolerance_uj
        misses += abs(distance_uj) > 2 * tolerance_uj if is_simultaneous else not is_between
        checked.append(value)
        distances.append(distance_uj if series else -distance_uj)
    if 50 * misses > len(checked):
        return False
    if len(checked) < MIN_CHECKS or max(checked) - min(checked) < MIN_RISE_UJ:
        return None
    return not _drifts(distances, (max(checked) - min(checked)) // len(checked))


def _drifts(distances: Sequence[int], step_uj: int) -> bool:
    """Whether distances lie off zero, or their second half apart from the first, by more than chance and part of a step."""
    half = len(distances) // 2
    (before, before_error), (after, after_error) = _mean(distances[:half]), _mean(distances[half:])
    mean, error = _mean(distances)
    is_apart = abs(after - before) > 3 * (before_error**2 + after_error**2) ** 0.5 + step_uj / 50
    return is_apart or abs(mean) > 4 * error + step_uj / 10


def _mean(values: Sequence[int]) -> tuple[float, float]:
    """Mean and its standard error."""
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) ** 0.5 / len(values)
