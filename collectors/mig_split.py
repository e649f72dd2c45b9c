"""This file shares the energy of a board over the instances that it is partitioned into; pure arithmetic.

A partitioned board has one sensor. Its energy is divided in proportion to the slices of the instances that
exist, at each sample, in whole µJ: the instances sum to the board exactly. That is a model, and their source
says so (``…-mig``): who holds two slices of seven may draw more or less than two sevenths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from footprint.core.counter_correction import Meter, start_meter
from footprint.core.samples import Channel, DevicePart, Sample
from footprint.core.units import PJ_PER_UJ

SUFFIX = "-mig"


def shares_uj(energy_uj: int, weights: Sequence[int]) -> list[int]:
    """Whole parts [µJ] of an energy in proportion to weights; they sum to it, whatever the rounding."""
    whole = sum(weights)
    found, running, before = [], 0, 0
    for weight in weights:
        running += weight
        upto = energy_uj * running // whole
        found.append(upto - before)
        before = upto
    return found


def begun(board: Meter, boot: str) -> dict[str, Meter]:
    """Meters of all parts of a board, beginning where its meter stands."""
    at = board.last
    return {part.device: start_meter(Sample(_channel(at.channel, part), at.at_us, at.mono_us), boot) for part in at.channel.parts}


def share(before: Meter, after: Meter, instances: Mapping[str, Meter]) -> dict[str, Meter]:
    """Meters of the parts of a board after its meter went from ``before`` to ``after`` within one epoch, by device."""
    at = after.last
    parts = before.last.channel.parts  # those that were there while the energy was used
    gained = shares_uj(after.energy_uj - before.energy_uj, [part.weight for part in parts])
    found = {}
    for part, energy_uj in zip(parts, gained, strict=True):
        meter = instances[part.device]
        found[part.device] = replace(
            meter,
            last=Sample(_channel(at.channel, part), at.at_us, at.mono_us),
            energy_pj=meter.energy_pj + energy_uj * PJ_PER_UJ,
            covered_us=meter.covered_us + after.covered_us - before.covered_us,
        )
    return found


def _channel(board: Channel, part: DevicePart) -> Channel:
    return replace(board, device=part.device, alias=part.alias, model=part.model, source=board.source + SUFFIX, parts=())
