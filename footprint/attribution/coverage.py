"""This file says how much of the time each device was read: measured, bridged by a counter, or modelled.

What was expected and not read is missing; what is expected depends on placements and on the week
before, and is known to the query that asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.energy_intervals import BRIDGED, ESTIMATE, EnergyIntervals, cut_at_edges
from footprint.attribution.largest_remainder import Ints, sum_by_group


@dataclass(frozen=True, slots=True)
class Coverage:
    """Time of one device by slot [µs], arrays of shape (n,): the slot's index, and what was seen in it.

    ``modelled_us`` is the part of ``measured_us`` that an estimate, not a sensor, gave.
    """

    slot: Ints
    first_us: Ints
    last_us: Ints
    measured_us: Ints
    bridged_us: Ints
    modelled_us: Ints
    energy_uj: Ints


def device_coverage(intervals: EnergyIntervals, edges_us: Ints) -> Coverage:
    """Coverage of one device in the slots between edges; slots in which nothing was read are left out."""
    pieces, slot, _ = cut_at_edges(intervals, edges_us)
    slots, slot_index = np.unique(slot, return_inverse=True)
    size = len(slots)
    length_us = pieces.end_us - pieces.start_us
    bridged_us = np.where(pieces.method == BRIDGED, length_us - pieces.covered_us, 0)
    modelled_us = np.where(pieces.method == ESTIMATE, pieces.covered_us, 0)
    first_us = np.full(size, np.iinfo(np.int64).max)
    last_us = np.zeros(size, dtype=np.int64)
    np.minimum.at(first_us, slot_index, pieces.start_us)
    np.maximum.at(last_us, slot_index, pieces.end_us)
    return Coverage(
        slots,
        first_us,
        last_us,
        sum_by_group(pieces.covered_us, slot_index, size),
        sum_by_group(bridged_us, slot_index, size),
        sum_by_group(modelled_us, slot_index, size),
        sum_by_group(pieces.energy_uj, slot_index, size),
    )
