"""Judgement of sensors: which sources of a device contradict each other, their load, their server or physics.

Standard library only and pure: energies by step of a window go in, verdicts come out. The agent judges its own sensors
with it, the server imported ones.

Rules
-----
Two sources agree if their energies over the window differ by at most ``RELATIVE_TOLERANCE`` of the larger (each is of a
class of 5 %, NVIDIA's own figure for board power), and half a watt of rounding, and what one of them shows later than the
other at the ends of the window. Sampling a bursty load makes honest sources differ by more, at random: the scatter of the
steps around their common ratio is measured, and a difference counts only beyond ``4 + 20 / (n - 2)`` times its standard
error over n steps (near the 0.9999 quantile of Student's distribution for few steps). A scaled sensor has no scatter, or
one that averages out; where it decides nothing, the window grows.

Physics alone refutes, and never confirms: a device that answers and counts nothing, a mean power above
the ceiling of the model, one below half its floor, a busy board that draws next to nothing, a power that is one and the
same value while the load moves. A sensor that nothing refutes and no second sensor confirms has no witness.

Where a counter and a power contradict each other while nothing tells which is right, the counter is doubted and the power
has no witness: every reported contradiction but those of physics and load was the counter's. Two sources of one kind are
both doubted. The range that both allow holds the truth as long as one of them does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from footprint.core.device_limits import floor_uw
from footprint.core.sensor_verdicts import Reason, Verdict, Witness
from footprint.core.units import PJ_PER_UJ, US_PER_S, UW_PER_W

MIN_WINDOW_US = 30 * US_PER_S
MIN_HOST_WINDOW_US = 120 * US_PER_S  # service processors average over a minute
MAX_WINDOW_US = 300 * US_PER_S
MIN_STEPS = 5
MIN_JOINED_STEPS = 4  # where the steps are shorter than a source is read
RELATIVE_TOLERANCE = 0.10
ROUNDING_UW = UW_PER_W // 2  # AMD and service processors give whole watts
LAG_US = US_PER_S  # NVIDIA's averaged power is the mean of the last second
SCATTER_ERRORS = 4  # of the range that a witness allows
LAST_ERRORS = 2.5  # beside the relative tolerance, which honest scatter over five minutes stays within
MAX_TOLERANCE = 0.25  # of the larger energy: a tolerance above it decides nothing
MIN_CONSTANT_US = 60 * US_PER_S
LOAD_MOVE = 0.5  # of the time busy, between two steps: a live power follows it
BUSY, IDLE = 0.9, 0.02
MIN_BUSY_UW = UW_PER_W  # the least that a computing board of unknown model draws
MIN_MIRRORED_UJ = 20 * PJ_PER_UJ
MAX_MIRROR_UJ = 100_000  # two registers are not read at one instant: 0.1 J is a kilowatt for 0.1 ms
MIN_MIRROR_VARIATION = 0.02
SWAP_RATIO = 1.5
MIN_RESETS = 2  # in one window: a driver is reloaded once
WHOLE_TOLERANCE = 0.10
# What a server draws beside its measured parts: fans, supplies, disks, network, parts without a sensor.
UNMEASURED_FACTOR, UNMEASURED_UW = 3, 3_000 * UW_PER_W
MIN_PARTS_MOVE_UW = 50 * UW_PER_W  # above the rounding of service processors


@dataclass(frozen=True, slots=True)
class SourceSteps:
    """Energy that one source of a device counted in each step of a window [µJ], and how its values looked.

    ``constant_us`` is for how long a power has been one and the same value, ``load_range`` the range of the share of busy
    time by step meanwhile (0 to 1). ``period_us`` is the reading period of a slow source. ``resets`` are the epochs of its
    counter that began in the window: increases that no device can draw, or decreases; their energy is missing.
    """

    device: str
    source: str
    component: str
    steps_uj: tuple[int, ...]
    is_counter: bool = True
    model: str = ""
    ceiling_uw: int = 0
    period_us: int = 0
    constant_us: int = 0
    load_range: float = 0.0
    resets: int = 0

    @property
    def energy_uj(self) -> int:
        """Energy of the window [µJ]."""
        return sum(self.steps_uj)


@dataclass(frozen=True, slots=True)
class Load:
    """Shares of busy time (0 to 1) of a window; None if unknown.

    ``device_share`` is that of the board itself, ``host_share`` that of all processors of the host.
    """

    device_share: float | None = None
    host_share: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Verdict on one source over a window, and the least and greatest energy that the witness allows [µJ].

    ``basis`` names the sources of the device that the range comes from; empty if it comes from bounds or other devices.
    ``margin_uj`` is the part of the range that does not grow with the energy: rounding, and what comes late at its ends.
    """

    verdict: Verdict
    witness: Witness = Witness.NONE
    reason: Reason = Reason.NONE
    low_uj: int = 0
    high_uj: int = 0
    basis: tuple[str, ...] = ()
    margin_uj: int = 0


NO_WITNESS = Outcome(Verdict.NO_WITNESS)
_UNKNOWN = Load()


def min_window_us(sources: Sequence[SourceSteps]) -> int:
    """Shortest window [µs] over which the sources of a device are judged."""
    is_host = any(source.component == "host" for source in sources)
    slowest_us = max((source.period_us for source in sources), default=0)
    return min(max(MIN_HOST_WINDOW_US if is_host else MIN_WINDOW_US, 4 * slowest_us), MAX_WINDOW_US)


def judge_device(
    sources: Sequence[SourceSteps], steps_us: Sequence[int], load: Load = _UNKNOWN, *, is_last: bool = False
) -> dict[str, Outcome] | None:
    """Outcome of each source of one device, by source; None if the window is too short to decide.

    Parameters
    ----------
    sources
        All sources of the device that cover the whole window, with one energy for each step.
    steps_us
        Duration of each step [µs].
    load
        Busy time of the device and its host in the window.
    is_last
        Decide now: pairs whose scatter still decides nothing do not witness for each other.
    """
    window_us = sum(steps_us)
    if not sources or window_us < min_window_us(sources) or len(steps_us) < MIN_STEPS:
        return None
    sources, steps_us = _join_steps(sources, steps_us)
    faults = {source.source: _fault(source, sources, steps_us, load) for source in sources}
    sound = [source for source in sources if faults[source.source] is None]
    relations: dict[tuple[str, str], bool | None] = {}
    for first, second in combinations(sound, 2):
        relation = agree(first, second, steps_us, is_last=is_last)
        if relation is None and not is_last:
            return None
        relations[first.source, second.source] = relations[second.source, first.source] = relation
    confirmed = [source for source in sound if any(relations.get((source.source, other.source)) for other in sound)]
    outcomes = {}
    for source in sources:
        fault = faults[source.source]
        if fault is not None:
            others = [other for other in (confirmed or sound) if other is not source]
            outcomes[source.source] = _outcome(fault, source, others, steps_us)
            continue
        partners = [other for other in sound if relations.get((source.source, other.source))]
        rivals = [other for other in (confirmed or sound) if relations.get((source.source, other.source)) is False]
        if partners:
            outcomes[source.source] = _outcome(
                (Verdict.AGREES, _witness(source, partners), Reason.NONE), source, partners, steps_us
            )
        elif rivals:
            witness = _witness(source, rivals)
            if not confirmed and not source.is_counter and all(rival.is_counter for rival in rivals):
                outcomes[source.source] = Outcome(Verdict.NO_WITNESS, reason=Reason.COUNTER_AGAINST_POWER)
                continue
            reason = Reason.COUNTER_AGAINST_POWER if witness == Witness.OWN_POWER else Reason.SOURCES_DIFFER
            pool = rivals if confirmed else [source, *rivals]
            outcomes[source.source] = _outcome((Verdict.DISAGREES, witness, reason), source, pool, steps_us)
        else:
            outcomes[source.source] = _unconfirmed(source, window_us, load)
    return outcomes


def _join_steps(sources: Sequence[SourceSteps], steps_us: Sequence[int]) -> tuple[Sequence[SourceSteps], Sequence[int]]:
    """Steps no shorter than the period of the slowest source, at least ``MIN_JOINED_STEPS``.

    A source that is read every other step shows nothing in one and twice its energy in the next, which is no scatter.
    """
    slowest_us, count = max(source.period_us for source in sources), len(steps_us)
    size = min(-(-slowest_us * count // sum(steps_us)), count // MIN_JOINED_STEPS)
    if size < 2:
        return sources, steps_us
    edges = [0, *range(size + count % size, count + 1, size)]

    def join(amounts: Sequence[int]) -> tuple[int, ...]:
        return tuple(sum(amounts[first:last]) for first, last in pairwise(edges))

    return [replace(source, steps_uj=join(source.steps_uj)) for source in sources], join(steps_us)


def agree(first: SourceSteps, second: SourceSteps, steps_us: Sequence[int], *, is_last: bool = False) -> bool | None:
    """Whether two sources of one device count the same energy; None if their scatter decides nothing.

    ``is_last``: no longer window will come, so that a difference counts from ``LAST_ERRORS`` standard errors on.
    """
    first_uj, second_uj = first.energy_uj, second.energy_uj
    larger_uj, count = max(first_uj, second_uj), len(steps_us)
    scatter_uj = _scatter_uj(first, second)
    tolerance_uj = RELATIVE_TOLERANCE * larger_uj + margin_uj((first, second), steps_us)
    difference_uj = abs(first_uj - second_uj)
    errors = LAST_ERRORS if is_last else 4 + 20 / (count - 2)
    if difference_uj > tolerance_uj + errors * scatter_uj:
        return False
    if difference_uj <= tolerance_uj and tolerance_uj + 2 * scatter_uj <= MAX_TOLERANCE * larger_uj:
        return True
    return None


def _scatter_uj(first: SourceSteps, second: SourceSteps) -> float:
    """Standard error [µJ] of the difference of two sources, by how the larger scatters around their common ratio."""
    if first.energy_uj < second.energy_uj:
        first, second = second, first
    count, second_uj = len(first.steps_uj), second.energy_uj
    ratio = first.energy_uj / second_uj if second_uj else 0.0
    residuals = [a - ratio * b for a, b in zip(first.steps_uj, second.steps_uj, strict=True)]
    return math.sqrt(count * sum(residual * residual for residual in residuals) / (count - 1))


def margin_uj(sources: Sequence[SourceSteps], steps_us: Sequence[int]) -> int:
    """By how much sources may differ whatever the energy [µJ]: rounding, and what one of them shows later at the ends."""
    rounding_uj = 0 if all(source.is_counter for source in sources) else ROUNDING_UW * sum(steps_us) // PJ_PER_UJ
    range_uw = max(_power_range_uw(source, steps_us) for source in sources)
    lag_us = LAG_US + max((source.period_us for source in sources), default=0)
    return rounding_uj + range_uw * lag_us // PJ_PER_UJ


_Finding = tuple[Verdict, Witness, Reason]


def _outcome(finding: _Finding, source: SourceSteps, pool: Sequence[SourceSteps], steps_us: Sequence[int]) -> Outcome:
    scatter_uj = max((_scatter_uj(source, other) for other in pool if other is not source), default=0.0)
    margin = margin_uj((source, *pool), steps_us) + round(
        SCATTER_ERRORS * scatter_uj if finding[0] != Verdict.STANDS_STILL else 0
    )
    low_uj, high_uj = allowed_range(source, pool, sum(steps_us), margin)
    return Outcome(*finding, low_uj, high_uj, tuple(other.source for other in pool), margin)


def _fault(source: SourceSteps, sources: Sequence[SourceSteps], steps_us: Sequence[int], load: Load) -> _Finding | None:
    """What refutes a source by itself: verdict, witness and reason."""
    window_us = sum(steps_us)
    mean_uw = source.energy_uj * PJ_PER_UJ // window_us
    floor = floor_uw(source.component, source.model, source.source)
    standing = Reason.COUNTER_STANDS if source.is_counter else Reason.POWER_STANDS
    if not source.resets and mean_uw == 0:
        witness = _witness_of_zero(source, sources, window_us, load)
        return None if witness is None else (Verdict.STANDS_STILL, witness, standing)
    if (witness := _witness_of_constant(source, sources, steps_us)) is not None:
        return Verdict.STANDS_STILL, witness, standing
    if source.resets >= MIN_RESETS or (source.ceiling_uw and mean_uw > source.ceiling_uw):
        return Verdict.DISAGREES, Witness.BOUNDS, Reason.ABOVE_CEILING
    if mean_uw < floor // 2:
        return Verdict.DISAGREES, Witness.BOUNDS, Reason.BELOW_FLOOR
    if load.device_share is not None and load.device_share >= BUSY and mean_uw < max(2 * floor, MIN_BUSY_UW):
        return Verdict.DISAGREES, Witness.UTILISATION, Reason.BUSY_WITHOUT_POWER
    return None


def _witness_of_constant(source: SourceSteps, sources: Sequence[SourceSteps], steps_us: Sequence[int]) -> Witness | None:
    """Evidence that a power changed while a source of it showed one and the same value; None without any.

    What moved before the power came to that value is none.
    """
    least_us = MAX_WINDOW_US if source.component == "host" else MIN_CONSTANT_US  # service processors average over minutes
    if source.is_counter or source.constant_us < max(least_us, 4 * source.period_us):
        return None
    others = [other for other in sources if other is not source]
    if any(agree(source, other, steps_us) for other in others):
        return None  # a board at rest
    first = next(step for step in range(len(steps_us) + 1) if sum(steps_us[step:]) <= source.constant_us)
    since, others_since = _steps_since(source, first), [_steps_since(other, first) for other in others]
    if len(steps_us) - first >= MIN_JOINED_STEPS and any(agree(since, other, steps_us[first:]) for other in others_since):
        return None  # at rest since then
    if source.load_range >= LOAD_MOVE:
        return Witness.HOST_LOAD if source.component == "host" else Witness.UTILISATION
    is_moving = any(_moves(other, steps_us[first:]) for other in others_since if other.is_counter)
    return Witness.OWN_POWER if is_moving else None


def _steps_since(source: SourceSteps, first: int) -> SourceSteps:
    return replace(source, steps_uj=source.steps_uj[first:])


def _witness_of_zero(source: SourceSteps, sources: Sequence[SourceSteps], window_us: int, load: Load) -> Witness | None:
    """Evidence that a device drew energy while a source of it counted none; None without any.

    To read a sensor wakes its device, or fails: one that answers is powered. Only counters of whole servers may be so coarse
    that they stand for minutes.
    """
    if any(other.energy_uj * PJ_PER_UJ > 2 * ROUNDING_UW * window_us for other in sources if other is not source):
        return Witness.OWN_POWER
    if load.device_share is not None and load.device_share > IDLE:
        return Witness.UTILISATION
    if source.component == "cpu" and load.host_share is not None and load.host_share > IDLE:
        return Witness.HOST_LOAD
    return None if source.component == "host" and source.is_counter else Witness.BOUNDS


def _moves(source: SourceSteps, steps_us: Sequence[int]) -> bool:
    """Whether the power of a source changed from step to step by a fifth of its mean and 5 W."""
    range_uw = _power_range_uw(source, steps_us)
    mean_uw = source.energy_uj * PJ_PER_UJ // max(sum(steps_us), 1)
    return mean_uw > 0 and range_uw >= max(mean_uw // 5, 5 * UW_PER_W)


def _power_range_uw(source: SourceSteps, steps_us: Sequence[int]) -> int:
    """Difference of the highest and the lowest power of a source by step [µW]."""
    powers_uw = [energy_uj * PJ_PER_UJ // step_us for energy_uj, step_us in zip(source.steps_uj, steps_us, strict=True)]
    return max(powers_uw, default=0) - min(powers_uw, default=0)


def _witness(source: SourceSteps, others: Sequence[SourceSteps]) -> Witness:
    """Kind of witness that other sources of the device are."""
    return Witness.OWN_POWER if any(other.is_counter != source.is_counter for other in others) else Witness.OTHER_SOURCE


def allowed_range(source: SourceSteps, pool: Sequence[SourceSteps], window_us: int, margin: int) -> tuple[int, int]:
    """Least and greatest energy [µJ] by sources with their tolerance and a margin [µJ]; without any by floor and ceiling."""
    if pool:
        energies = [other.energy_uj for other in pool]
        low_uj = round(min(energies) * (1 - RELATIVE_TOLERANCE)) - margin
        return max(low_uj, 0), round(max(energies) / (1 - RELATIVE_TOLERANCE)) + margin
    floor = floor_uw(source.component, source.model, source.source)
    return floor * window_us // PJ_PER_UJ, source.ceiling_uw * window_us // PJ_PER_UJ


def _unconfirmed(source: SourceSteps, window_us: int, load: Load) -> Outcome:
    """No witness; a hint where an idle board draws a third of its ceiling."""
    is_idle = load.device_share is not None and load.device_share <= IDLE
    if is_idle and source.ceiling_uw and 3 * source.energy_uj * PJ_PER_UJ > source.ceiling_uw * window_us:
        return Outcome(Verdict.NO_WITNESS, reason=Reason.POWER_WITHOUT_LOAD)
    return NO_WITNESS


def find_mirrors(
    sources: Sequence[SourceSteps], known: Mapping[tuple[str, str], str] | None = None
) -> dict[tuple[str, str], str]:
    """Sources that repeat another device's sensor, by (device, source), with that device.

    Two real sensors drift apart as soon as anything runs. Energies that are equal in every step, and not all equal, are those
    of one sensor that shows under two names; the first in the order of devices is taken for the real one. Those that were
    ``known`` before stay mirrors until they differ: a constant load does not make them two.
    """
    by_key = {(source.device, source.source): source for source in sources}
    mirrors = {
        key: first
        for key, first in (known or {}).items()
        if key in by_key and (first, key[1]) in by_key and is_mirrored(by_key[key], by_key[first, key[1]])
    }
    by_kind: dict[tuple[str, str], list[SourceSteps]] = {}
    for steps in sorted(sources, key=lambda source: (len(source.device), source.device)):
        is_telling = len(steps.steps_uj) >= MIN_STEPS and steps.energy_uj >= MIN_MIRRORED_UJ
        if is_telling and max(steps.steps_uj) - min(steps.steps_uj) >= max(
            MIN_MIRROR_VARIATION * max(steps.steps_uj), 2 * MAX_MIRROR_UJ
        ):
            by_kind.setdefault((steps.component, steps.source), []).append(steps)
    for of_kind in by_kind.values():
        for first, second in combinations(of_kind, 2):
            if is_mirrored(first, second) and (first.device, first.source) not in mirrors:
                mirrors.setdefault((second.device, second.source), first.device)
    return mirrors


def is_mirrored(first: SourceSteps, second: SourceSteps) -> bool:
    """Whether two sources count the same energy in every step."""
    return all(abs(a - b) <= MAX_MIRROR_UJ for a, b in zip(first.steps_uj, second.steps_uj, strict=True))


def find_swaps(sources: Sequence[SourceSteps], shares: Mapping[str, float]) -> set[tuple[str, str]]:
    """Sources of boards of one model of which a busy one draws far less than an idle one; ``shares`` is busy time by device."""
    swapped: set[tuple[str, str]] = set()
    by_kind: dict[tuple[str, str], list[SourceSteps]] = {}
    for steps in sources:
        if steps.model and steps.device in shares:
            by_kind.setdefault((steps.model, steps.source), []).append(steps)
    for of_kind in by_kind.values():
        for busy in (steps for steps in of_kind if shares[steps.device] >= BUSY):
            for idle in (steps for steps in of_kind if shares[steps.device] <= IDLE):
                if idle.energy_uj > SWAP_RATIO * busy.energy_uj:
                    swapped |= {(busy.device, busy.source), (idle.device, idle.source)}
    return swapped


@dataclass(frozen=True, slots=True)
class Part:
    """Energy of one device of a server over a window [µJ].

    ``is_confirmed`` if another source agrees with it, ``is_refuted`` if something other than the whole contradicts it: then it
    is no evidence. ``before_uw`` is its last mean power above zero, ``whole_before_uw`` that of the whole at that time [µW].
    """

    energy_uj: int
    is_confirmed: bool = False
    is_refuted: bool = False
    before_uw: int = 0
    whole_before_uw: int = 0


def judge_whole(
    whole: SourceSteps,
    parts: Mapping[tuple[str, str], Part],
    steps_us: Sequence[int],
    *,
    parts_moved_uw: int = 0,
    is_complete: bool = False,
) -> tuple[Outcome, dict[tuple[str, str], Outcome]]:
    """Outcome of the sensor of a whole server, and of the parts that it refutes.

    Parts draw no more than the whole, and the whole no more than ``UNMEASURED_FACTOR`` times the parts and a fixed power.
    Which of the whole and the unconfirmed parts is wrong stays open: each of these is doubted. ``parts_moved_uw``
    is by how much the power of all sound parts moved while the whole stood at one value. Without ``is_complete``, or with parts
    that are refuted or count nothing, the server may draw much that no part shows, and nothing is too much for the whole. A
    part that counts nothing since an instant at which the whole did not fall stands still.
    """
    window_us = sum(steps_us)
    sound = {key: part for key, part in parts.items() if not part.is_refuted and part.energy_uj > 0}
    parts_uj, whole_uj = sum(part.energy_uj for part in sound.values()), whole.energy_uj
    if not parts or window_us < min_window_us([whole]):
        return NO_WITNESS, {}
    is_complete = is_complete and len(sound) == len(parts)
    upper_uj = UNMEASURED_FACTOR * parts_uj + UNMEASURED_UW * window_us // PJ_PER_UJ
    moved_enough_uw = max(MIN_PARTS_MOVE_UW, whole_uj * PJ_PER_UJ // window_us // 10)
    if whole.constant_us >= max(MAX_WINDOW_US, 4 * whole.period_us) and parts_moved_uw > moved_enough_uw:
        return Outcome(Verdict.STANDS_STILL, Witness.PARTS, Reason.POWER_STANDS, parts_uj, upper_uj), {}
    lag_uj = _power_range_uw(whole, steps_us) * (LAG_US + whole.period_us) // PJ_PER_UJ
    excess_uj = parts_uj - whole_uj
    if excess_uj > WHOLE_TOLERANCE * whole_uj + lag_uj:
        doubted = {
            key: Outcome(
                Verdict.DISAGREES,
                Witness.WHOLE_HOST,
                Reason.PARTS_ABOVE_WHOLE,
                0,  # the rest of the server may draw all of the whole
                part.energy_uj,
            )
            for key, part in sound.items()
            if not part.is_confirmed
        }
        # The whole is at least its confirmed parts, and at most what all parts and the rest can be.
        return Outcome(Verdict.DISAGREES, Witness.PARTS, Reason.PARTS_ABOVE_WHOLE, whole_uj, upper_uj), doubted
    if is_complete and whole_uj > upper_uj + lag_uj:
        return Outcome(Verdict.DISAGREES, Witness.PARTS, Reason.WHOLE_ABOVE_PARTS, parts_uj, upper_uj), {}
    rest_uj = max(whole_uj - parts_uj, 0) + round(WHOLE_TOLERANCE * whole_uj) + lag_uj
    standing = {
        key: Outcome(Verdict.STANDS_STILL, Witness.WHOLE_HOST, Reason.COUNTER_STANDS, 0, rest_uj)
        for key, part in parts.items()
        if part.energy_uj == 0
        and part.before_uw >= MIN_PARTS_MOVE_UW
        and 2 * (part.whole_before_uw - whole_uj * PJ_PER_UJ // window_us) < part.before_uw
    }
    return NO_WITNESS, standing
