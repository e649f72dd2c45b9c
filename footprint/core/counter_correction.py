"""Counter correction: samples of a sensor to a corrected cumulative energy. Pure arithmetic, no clock, no disk.

A raw counter that wraps is unwrapped by its own range. A gain above what the device can draw, or a
fall that is no wrap, makes a sample suspect until the next one: if that follows from the last good
sample, the suspect one was a misreading; if it follows from the suspect one, the counter was reset,
and a new epoch starts. Power is integrated by the trapezoidal rule; a spacing above the limit is a
gap, which adds neither energy nor ``covered_us``. Energy is an exact integer in pJ, reported in µJ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from footprint.core.records import EnergyReading
from footprint.core.samples import Sample
from footprint.core.units import PJ_PER_UJ, US_PER_S

MIN_GAP_US = 5 * US_PER_S
GAP_PERIODS = 3
# Counters refresh only every 10 to 100 ms, so two samples may span that much more time than lies between them.
REFRESH_US = US_PER_S // 4
_NO_LIMIT_UW = 5_000 * 1_000_000  # no single package or board draws 5 kW

OK, GAP, RESET, CLOSED = "ok", "gap", "reset", "closed"


@dataclass(frozen=True, slots=True)
class Meter:
    """State of one counter: its last good sample and the energy of the current epoch.

    ``suspect`` is a sample that awaits confirmation. ``reported_us`` and ``reported_covered_us`` are those
    of the last record, -1 before the first.
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

    @property
    def energy_uj(self) -> int:
        """Energy of this epoch so far [µJ]."""
        return self.energy_pj // PJ_PER_UJ


def start_meter(sample: Sample, boot: str, seq: int = 0, resets: int = 0) -> Meter:
    """Meter at its first sample; the epoch is named after the boot and the instant."""
    return Meter(sample, f"{boot}/{sample.at_us}", seq, resets=resets)


def is_credible(sample: Sample) -> bool:
    """Whether the power of a sample is below the limit of its channel; a counter is judged by its gain, see ``delta_uj``."""
    return not (sample.power_uw and 0 < sample.channel.limit_uw < sample.power_uw)


def max_energy_uj(limit_uw: int, elapsed_us: int) -> int:
    """Most energy [µJ] that a device with a power limit [µW] can draw in a time [µs]."""
    return (limit_uw or _NO_LIMIT_UW) * (elapsed_us + REFRESH_US) // PJ_PER_UJ


def delta_uj(last: Sample, sample: Sample) -> int | None:
    """Energy [µJ] between two samples of a counter; None if it is ambiguous or implausible."""
    assert last.counter_uj is not None
    assert sample.counter_uj is not None
    channel = sample.channel
    max_uj = max_energy_uj(channel.limit_uw, sample.mono_us - last.mono_us)
    if channel.wrap_uj is not None and max_uj >= channel.wrap_uj:
        return None  # it may have wrapped more than once
    delta = sample.counter_uj - last.counter_uj
    if delta < 0 and channel.wrap_uj is not None:
        delta += channel.wrap_uj
    return delta if 0 <= delta <= max_uj else None


def update_meter(meter: Meter, sample: Sample, boot: str, sample_us: int = US_PER_S) -> tuple[Meter, Meter | None]:
    """Meter after one more sample, and the meter whose epoch this sample closed (None if none).

    If an epoch was closed, the returned meter is at the first sample of the new one: report it, then update it
    with the same sample. ``sample_us`` is the agent's sampling period [µs]. Durations come from the monotonic
    clock, so a step of the wall clock changes no energy.
    """
    last, channel = meter.last, sample.channel
    elapsed_us = sample.mono_us - last.mono_us
    if elapsed_us <= 0:
        return meter, None
    gap_us = max(MIN_GAP_US, GAP_PERIODS * max(sample_us, channel.period_us))
    covered_us = elapsed_us if elapsed_us <= gap_us else 0
    if sample.counter_uj is not None and last.counter_uj is not None:
        energy_uj = delta_uj(last, sample)
        if energy_uj is None:
            return _update_suspect(meter, sample, boot)
        added_pj = energy_uj * PJ_PER_UJ
    elif sample.power_uw is not None and last.power_uw is not None:
        if not is_credible(sample):
            return meter, None  # a misreading
        # µW x µs = pJ; sum, multiply and only then halve, to stay in integers.
        added_pj = (sample.power_uw + last.power_uw) * covered_us // 2
    else:
        return start_meter(sample, boot, meter.seq, meter.resets + 1), meter
    # Faster than dataclasses.replace: this runs for every device each second.
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
    ), None


def _update_suspect(meter: Meter, sample: Sample, boot: str) -> tuple[Meter, Meter | None]:
    """Mark a sample that does not follow from the last one as suspect; start a new epoch if it confirms the suspect before it."""
    suspect = meter.suspect
    if suspect is None or suspect.counter_uj is None or sample.mono_us <= suspect.mono_us or delta_uj(suspect, sample) is None:
        return replace(meter, suspect=sample), None
    return start_meter(suspect, boot, meter.seq, meter.resets + 1), replace(meter, suspect=None)


def to_record(meter: Meter, host: str, sync: str, agent: str, status: str = "") -> tuple[EnergyReading | None, Meter]:
    """Reading of a meter (None if there is nothing new to report), and the meter with that reading marked as reported.

    Readings of a meter strictly increase in time: after the wall clock was set back, the energy waits until the
    clock has caught up.
    """
    last = meter.last
    if last.at_us <= meter.reported_us:
        return None, meter
    if not status:
        status = RESET if meter.reported_us < 0 and meter.resets else OK
        new_covered_us = meter.covered_us - max(meter.reported_covered_us, 0)
        if meter.reported_us >= 0 and 2 * new_covered_us < last.at_us - meter.reported_us:
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
