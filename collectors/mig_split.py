"""Split of a partitioned GPU's energy over its instances (MIG); pure arithmetic.

A partitioned board has one sensor. At each sample its energy is divided in proportion to the slices of the existing
instances, in whole µJ: the instances sum to the board exactly. This is a model, marked in their source (``…-mig``): an
instance with two of seven slices may draw more or less than two sevenths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from footprint.core.counter_correction import Meter, start_meter
from footprint.core.samples import Channel, DevicePart, Sample
from footprint.core.units import PJ_PER_UJ

SOURCE_SUFFIX = "-mig"


def split_uj(energy_uj: int, weights: Sequence[int]) -> list[int]:
    """Integer parts [µJ] of an energy in proportion to weights; they sum to it exactly."""
    total_weight = sum(weights)
    parts_uj, cumulative_weight, previous_uj = [], 0, 0
    for weight in weights:
        cumulative_weight += weight
        cumulative_uj = energy_uj * cumulative_weight // total_weight
        parts_uj.append(cumulative_uj - previous_uj)
        previous_uj = cumulative_uj
    return parts_uj


def start_instances(board: Meter, boot: str) -> dict[str, Meter]:
    """New meters of all parts of a board, by device, starting at the last sample of its meter."""
    sample = board.last
    return {
        part.device: start_meter(Sample(part_channel(sample.channel, part), sample.at_us, sample.mono_us), boot)
        for part in sample.channel.parts
    }


def update_instances(before: Meter, after: Meter, instances: Mapping[str, Meter]) -> dict[str, Meter]:
    """Meters of the parts of a board, by device, after its meter went from ``before`` to ``after`` in one epoch."""
    sample = after.last
    parts = before.last.channel.parts  # those that existed while the energy was used
    deltas_uj = split_uj(after.energy_uj - before.energy_uj, [part.weight for part in parts])
    updated = {}
    for part, energy_uj in zip(parts, deltas_uj, strict=True):
        meter = instances[part.device]
        updated[part.device] = replace(
            meter,
            last=Sample(part_channel(sample.channel, part), sample.at_us, sample.mono_us),
            energy_pj=meter.energy_pj + energy_uj * PJ_PER_UJ,
            covered_us=meter.covered_us + after.covered_us - before.covered_us,
        )
    return updated


def part_channel(board: Channel, part: DevicePart) -> Channel:
    """Channel of a part of a board, with the source of a share."""
    return replace(board, device=part.device, alias=part.alias, model=part.model, source=board.source + SOURCE_SUFFIX, parts=())
