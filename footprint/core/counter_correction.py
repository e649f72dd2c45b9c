"""Corrected cumulative energy counters from raw sensor samples: wraps, resets, misreadings and gaps.

Pure arithmetic, without clock or disk. A raw counter that wraps is unwrapped by its own range. An
increase that the device could not have drawn at all in the time (``Channel.ceiling_uw``), or a decrease that is no
wrap, makes a sample suspect until the next one: if the next sample follows from the one before, the suspect was misread;
if it follows from the suspect, the counter was reset, which opens a new epoch. Settings of the device bound nothing,
because people change them. A counter that stood still may make up for it: some are refreshed seconds later than they are
read. A power above the ceiling is no sample. Power is integrated by the trapezoidal rule. A spacing above the limit is a
gap: a power adds nothing for it, and ``covered_us`` does not grow. Energy is an exact integer [pJ] until it is recorded [µJ].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from footprint.core.limits import MAX_POWER_W, REFRESH_US
from footprint.core.records import EnergyReading
from footprint.core.samples import Sample
from footprint.core.units import PJ_PER_UJ, US_PER_S, UW_PER_W

MIN_GAP_US = 5 * US_PER_S
MAX_STAND_US = 120 * US_PER_S  # service processors refresh their counters once a minute at the latest
MIN_DOUBT_US = 60 * US_PER_S  # a doubt that lasts longer is a state of the sensor
GAP_PERIODS = 3
_DEFAULT_LIMIT_UW = MAX_POWER_W["gpu"] * UW_PER_W

OK, GAP, RESET, CLOSED = "ok", "gap", "reset", "closed"


@dataclass(frozen=True, slots=True)
class Meter:
    """State of one device's counter: its last accepted sample, and the totals of the current epoch.

    ``suspect`` is the newest sample that was not accepted: a counter that does not follow from ``last`` and awaits the next
    one, or a power above the ceiling. ``doubted_us`` is the wall clock at the first of them since ``last``, 0 without one.
    ``moved_us`` is the monotonic clock when the counter last increased. ``reported_us`` and ``reported_covered_us`` are the
    instant and the covered time of the last record, -1 before the first.
    """

    last: Sample
    epoch: str
    seq: int = 0
    energy_pj: int = 0
    covered_us: int = 0
    resets: int = 0
    suspect: Sample | None = None
    reported_us: int = -1
    reported_covered_us: int = -1
    moved_us: int = -1
    doubted_us: int = 0

    @property
    def energy_uj(self) -> int:
        """Energy of the current epoch so far [µJ]."""
        return self.energy_pj // PJ_PER_UJ

    @property
    def suspense_uj(self) -> int:
        """Energy that samples claim that are not accepted [µJ], at most what the ceiling allows since the last accepted one."""
        suspect = self.suspect
        if suspect is None:
            return 0
        elapsed_us = suspect.mono_us - self.last.mono_us
        ceiling_uj = max_energy_uj(suspect.channel.ceiling_uw, elapsed_us)
        if suspect.counter_uj is None or self.last.counter_uj is None:
            return min(ceiling_uj, (suspect.power_uw or 0) * elapsed_us // PJ_PER_UJ)
        return min(ceiling_uj, max(suspect.counter_uj - self.last.counter_uj, 0))


def start_meter(sample: Sample, boot: str, seq: int = 0, resets: int = 0) -> Meter:
    """Meter at its first sample; its epoch is named after the boot and the instant."""
    return Meter(sample, f"{boot}/{sample.at_us}", seq, resets=resets, moved_us=sample.mono_us)


def is_credible(sample: Sample) -> bool:
    """Whether a device can draw the power of a sample at all; counters are judged by their increase instead."""
    return sample.power_uw is None or sample.power_uw <= sample.channel.ceiling_uw


def max_energy_uj(limit_uw: int, elapsed_us: int) -> int:
    """Upper bound of the energy [µJ] that a device draws in a time [µs] if its power is at most a limit [µW]."""
    return (limit_uw or _DEFAULT_LIMIT_UW) * (elapsed_us + REFRESH_US) // PJ_PER_UJ


def delta_uj(last: Sample, sample: Sample, stood_us: int = 0) -> int | None:
    """Energy [µJ] between two samples of a counter; None if it is ambiguous or not credible.

    ``stood_us`` is how long the counter had stood still before ``last``: energy of that time may come late.
    """
    assert last.counter_uj is not None
    assert sample.counter_uj is not None
    channel = sample.channel
    elapsed_us = sample.mono_us - last.mono_us
    max_delta_uj = max_energy_uj(channel.ceiling_uw, elapsed_us)
    if channel.wrap_uj is not None and max_delta_uj >= channel.wrap_uj:
        return None  # it may have wrapped more than once
    delta = sample.counter_uj - last.counter_uj
    if delta < 0 and channel.wrap_uj is not None:
        delta += channel.wrap_uj
    elif delta > max_delta_uj and stood_us:
        max_delta_uj = max_energy_uj(channel.ceiling_uw, elapsed_us + min(stood_us, MAX_STAND_US))
    return delta if 0 <= delta <= max_delta_uj else None


def update_meter(meter: Meter, sample: Sample, boot: str, sample_us: int = US_PER_S) -> tuple[Meter, Meter | None]:
    """Meter after one more sample, and the meter of the epoch that the sample closed, if any.

    If an epoch was closed, the returned meter stands at the first sample of the new epoch: record it, then update it
    with the same sample. ``sample_us`` is the sampling period of the agent. Time is the monotonic clock's: a step of
    the wall clock changes no energy.
    """
    last, channel = meter.last, sample.channel
    elapsed_us = sample.mono_us - last.mono_us
    if elapsed_us <= 0:
        return meter, None
    gap_us = max(MIN_GAP_US, GAP_PERIODS * max(sample_us, channel.period_us))
    covered_us = elapsed_us if elapsed_us <= gap_us else 0
    if sample.counter_uj is not None and last.counter_uj is not None:
        delta = delta_uj(last, sample, last.mono_us - meter.moved_us)
        if delta is None:
            return _handle_inconsistent(meter, sample, boot)
        added_pj = delta * PJ_PER_UJ
        moved_us = sample.mono_us if delta else meter.moved_us
    elif sample.power_uw is not None and last.power_uw is not None:
        if not is_credible(sample):
            return replace(meter, suspect=sample, doubted_us=meter.doubted_us or sample.at_us), None  # misread
        # µW x µs = pJ; halving after the multiplication keeps the trapezoid an exact integer to within half a pJ.
        added_pj = (sample.power_uw + last.power_uw) * covered_us // 2
        moved_us = sample.mono_us
    else:
        return start_meter(sample, boot, meter.seq, meter.resets + 1), meter
    # Written out because dataclasses.replace is slow, and this runs for every device each second.
    return Meter(
        sample,
        meter.epoch,
        meter.seq,
        meter.energy_pj + added_pj,
        meter.covered_us + covered_us,
        meter.resets,
        None,
        meter.reported_us,
        meter.reported_covered_us,
        moved_us,
    ), None


def _handle_inconsistent(meter: Meter, sample: Sample, boot: str) -> tuple[Meter, Meter | None]:
    """Mark a sample as suspect; if it confirms an earlier suspect, open a new epoch at that one."""
    suspect = meter.suspect
    if suspect is None or suspect.counter_uj is None or sample.mono_us <= suspect.mono_us or delta_uj(suspect, sample) is None:
        return replace(meter, suspect=sample, doubted_us=meter.doubted_us or sample.at_us), None
    return start_meter(suspect, boot, meter.seq, meter.resets + 1), replace(meter, suspect=None, doubted_us=0)


def to_record(meter: Meter, host: str, sync: str, agent: str, status: str = "") -> tuple[EnergyReading | None, Meter]:
    """Record of the meter's current state, and the meter that remembers it as reported.

    The record is None if the last sample is not later than the last record: if the wall clock was set back, the
    energy waits until the clock has caught up.
    """
    last = meter.last
    if last.at_us <= meter.reported_us:
        return None, meter
    if not status:
        status = RESET if meter.reported_us < 0 and meter.resets else OK
        covered_us = meter.covered_us - max(meter.reported_covered_us, 0)
        if meter.reported_us >= 0 and 2 * covered_us < last.at_us - meter.reported_us:
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
    return reading, replace(meter, seq=meter.seq + 1, reported_us=last.at_us, reported_covered_us=meter.covered_us)
