"""This file turns samples into corrected cumulative counters; pure arithmetic, no clock, no disk.

A raw counter that wraps is unwrapped by its own range; one that falls otherwise was reset, which
opens an epoch. A power is integrated by trapezoid; a spacing above the limit is a gap: nothing is
added for it and ``covered_us`` does not grow. Energy is an exact integer in pJ until it is told in µJ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from collectors.base import Sample
from footprint.readings import EnergyReading
from footprint.units import PJ_PER_UJ, US_PER_S

MIN_GAP_US = 5 * US_PER_S
# How much above its power limit a device may be believed for a moment.
BELIEVED = 3
_NO_LIMIT_UW = 5_000 * 1_000_000  # no single package or board draws 5 kW


@dataclass(frozen=True, slots=True)
class Meter:
    """What is known of one device: the sample before, and what was counted in this epoch so far."""

    last: Sample
    epoch: str
    seq: int = 0
    energy_pj: int = 0
    covered_us: int = 0
    resets: int = 0


def begin(sample: Sample, epoch: str) -> Meter:
    """A meter at its first sample."""
    return Meter(sample, epoch)


def advance(meter: Meter, sample: Sample, new_epoch: str, gap_us: int = MIN_GAP_US) -> Meter:
    """The meter after one more sample; ``new_epoch`` names the epoch that a reset would open."""
    elapsed_us = sample.mono_us - meter.last.mono_us
    if elapsed_us <= 0 or sample.at_us <= meter.last.at_us:
        return meter  # the wall clock was set back: wait until it has caught up
    seen_us = elapsed_us if elapsed_us <= gap_us else 0
    if sample.counter_uj is None or meter.last.counter_uj is None:
        if sample.power_uw is None or meter.last.power_uw is None:
            return Meter(sample, new_epoch, meter.seq, resets=meter.resets + 1)
        # µW x µs = pJ; the mean of two integers in halves, so twice the sum is kept whole.
        added_pj = (sample.power_uw + meter.last.power_uw) * seen_us // 2
    else:
        difference = sample.counter_uj - meter.last.counter_uj
        if difference < 0 and sample.wrap_uj is not None:
            difference = _unwrapped(meter.last, sample, elapsed_us)
        if difference < 0:
            return Meter(sample, new_epoch, meter.seq, resets=meter.resets + 1)
        added_pj = difference * PJ_PER_UJ
    return replace(
        meter, last=sample, energy_pj=meter.energy_pj + added_pj, covered_us=meter.covered_us + seen_us
    )


def _unwrapped(last: Sample, sample: Sample, elapsed_us: int) -> int:
    """Energy across the end of the range, or -1 where that would be more than the device can draw."""
    assert last.counter_uj is not None
    assert sample.counter_uj is not None
    assert sample.wrap_uj is not None
    energy_uj = sample.counter_uj + sample.wrap_uj - last.counter_uj
    most_uw = BELIEVED * sample.limit_uw or _NO_LIMIT_UW
    return energy_uj if energy_uj * PJ_PER_UJ <= most_uw * elapsed_us else -1


def reading(meter: Meter, host: str, sync: str = "unknown", agent: str = "") -> tuple[EnergyReading, Meter]:
    """What the meter says now, as one record, and the meter with its next number."""
    last = meter.last
    record = EnergyReading(
        host=host, device=last.device, component=last.component, source=last.source, epoch=meter.epoch, seq=meter.seq,
        at_us=last.at_us, energy_uj=meter.energy_pj // PJ_PER_UJ, covered_us=meter.covered_us, mono_us=last.mono_us,
        alias=last.alias, model=last.model, sync=sync, agent=agent,
    )  # fmt: skip
    return record, replace(meter, seq=meter.seq + 1)
