"""This file turns samples into corrected cumulative counters; pure arithmetic, no clock, no disk.

A raw counter that wraps is unwrapped by its own range. What no device could have drawn in the time,
or a fall that is no wrap, is doubted until the sample after: if that agrees with the one before, the
doubted one was misread; if it agrees with the doubted one, the counter was set anew, which opens an
epoch. A power is integrated by trapezoid; a spacing above the limit is a gap: nothing is added for
it and ``covered_us`` does not grow. Energy is an exact integer in pJ until it is told in µJ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from footprint.core.records import EnergyReading
from footprint.core.samples import Sample
from footprint.core.units import PJ_PER_UJ, US_PER_S

MIN_GAP_US = 5 * US_PER_S
GAP_PERIODS = 3
# A counter is refreshed every 10 to 100 ms only, so that two samples may hold that much more time than lies between.
REFRESH_US = US_PER_S // 4
_NO_LIMIT_UW = 5_000 * 1_000_000  # no single package or board draws 5 kW

OK, GAP, RESET, CLOSED = "ok", "gap", "reset", "closed"


@dataclass(frozen=True, slots=True)
class Meter:
    """What is known of one device: the sample before, and what was counted in this epoch so far.

    ``doubt`` is a sample that is not believed yet. ``told_us`` and ``told_covered_us`` are those of the
    last record, -1 before the first.
    """

    last: Sample
    epoch: str
    seq: int = 0
    energy_pj: int = 0
    covered_us: int = 0
    resets: int = 0
    doubt: Sample | None = None
    told_us: int = -1
    told_covered_us: int = -1

    @property
    def energy_uj(self) -> int:
        """Energy of this epoch so far [µJ]."""
        return self.energy_pj // PJ_PER_UJ


def start_meter(sample: Sample, boot: str, seq: int = 0, resets: int = 0) -> Meter:
    """A meter at its first sample; its epoch is named after the boot and the instant."""
    return Meter(sample, f"{boot}/{sample.at_us}", seq, resets=resets)


def is_credible(sample: Sample) -> bool:
    """Whether a device can draw the power that a sample says; a counter is judged by what it gains."""
    return not (sample.power_uw and 0 < sample.channel.limit_uw < sample.power_uw)


def max_energy_uj(limit_uw: int, elapsed_us: int) -> int:
    """The most energy [µJ] that a device of a power limit [µW] can have drawn in a time [µs]."""
    return (limit_uw or _NO_LIMIT_UW) * (elapsed_us + REFRESH_US) // PJ_PER_UJ


def delta_uj(last: Sample, sample: Sample) -> int | None:
    """Energy [µJ] between two samples of a counter, None where it cannot be known or believed."""
    assert last.counter_uj is not None
    assert sample.counter_uj is not None
    channel = sample.channel
    most = max_energy_uj(channel.limit_uw, sample.mono_us - last.mono_us)
    if channel.wrap_uj is not None and most >= channel.wrap_uj:
        return None  # it may have wrapped more than once: nobody can tell
    gained = sample.counter_uj - last.counter_uj
    if gained < 0 and channel.wrap_uj is not None:
        gained += channel.wrap_uj
    return gained if 0 <= gained <= most else None


def update_meter(meter: Meter, sample: Sample, boot: str, sample_us: int = US_PER_S) -> tuple[Meter, Meter | None]:
    """The meter after one more sample, and the meter that this closed, None if none.

    Where one was closed, the meter returned stands at the first sample of its epoch: tell it, then advance it by
    the same sample. ``sample_us`` is how often the agent samples. Time is the monotonic clock's: a step of the
    wall clock changes no energy.
    """
    last, channel = meter.last, sample.channel
    elapsed_us = sample.mono_us - last.mono_us
    if elapsed_us <= 0:
        return meter, None
    gap_us = max(MIN_GAP_US, GAP_PERIODS * max(sample_us, channel.period_us))
    seen_us = elapsed_us if elapsed_us <= gap_us else 0
    if sample.counter_uj is not None and last.counter_uj is not None:
        gained = delta_uj(last, sample)
        if gained is None:
            return _doubted(meter, sample, boot)
        added_pj = gained * PJ_PER_UJ
    elif sample.power_uw is not None and last.power_uw is not None:
        if not is_credible(sample):
            return meter, None  # misread
        # µW x µs = pJ; the mean of two integers in halves, so twice the sum is kept whole.
        added_pj = (sample.power_uw + last.power_uw) * seen_us // 2
    else:
        return start_meter(sample, boot, meter.seq, meter.resets + 1), meter
    # Written out rather than replaced: this is done for every device each second.
    return Meter(
        sample,
        meter.epoch,
        meter.seq,
        meter.energy_pj + added_pj,
        meter.covered_us + seen_us,
        meter.resets,
        None,
        meter.told_us,
        meter.told_covered_us,
    ), None


def _doubted(meter: Meter, sample: Sample, boot: str) -> tuple[Meter, Meter | None]:
    """A sample that does not follow from the one before: doubted, or, where it bears out an earlier doubt, a new epoch."""
    doubt = meter.doubt
    if doubt is None or doubt.counter_uj is None or sample.mono_us <= doubt.mono_us or delta_uj(doubt, sample) is None:
        return replace(meter, doubt=sample), None
    return start_meter(doubt, boot, meter.seq, meter.resets + 1), replace(meter, doubt=None)


def to_record(meter: Meter, host: str, sync: str, agent: str, status: str = "") -> tuple[EnergyReading | None, Meter]:
    """What the meter says now, and the meter that remembers having said it.

    Nothing is said twice, nor at an instant that is not after the last one told: where the wall clock was set
    back, the energy waits until the clock has caught up.
    """
    last = meter.last
    if last.at_us <= meter.told_us:
        return None, meter
    if not status:
        status = RESET if meter.told_us < 0 and meter.resets else OK
        watched_us = meter.covered_us - max(meter.told_covered_us, 0)
        if meter.told_us >= 0 and 2 * watched_us < last.at_us - meter.told_us:
            status = GAP
    channel = last.channel
    reading = EnergyReading(
        host=host,
        device=channel.device,
        component=channel.component,
        source=channel.source,
        epoch=meter.epoch,
        seq=meter.seq,
        at_us=last.at_us,
        energy_uj=meter.energy_uj,
        covered_us=meter.covered_us,
        mono_us=last.mono_us,
        alias=channel.alias,
        model=channel.model,
        sync=sync,
        status=status,
        agent=agent,
    )
    return reading, replace(meter, seq=meter.seq + 1, told_us=last.at_us, told_covered_us=meter.covered_us)
