"""Coverage: how much of the time each device was read, by a measurement, by a counter across a gap, or by a model.

Time that was expected and not read is missing. What is expected depends on placements and the week before, so the query that
asks decides it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import BRIDGED, ESTIMATE, IMPLAUSIBLE, STANDING, EnergyIntervals, cut_at_edges
from footprint.attribution.largest_remainder import sum_by_group


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage of one device by slot, arrays of shape (n,); times in µs, energy in µJ.

    ``slot`` is the index of the slot, ``first_us`` and ``last_us`` are the first and last instant read in it.
    ``modelled_us`` is the part of ``measured_us`` that an estimate, not a sensor, gave. ``standing_us`` and
    ``implausible_us`` are the times, missing, in which the only source stood still while the device drew energy, or claimed more
    than it can draw.
    """

    slot: Ints
    first_us: Ints
    last_us: Ints
    measured_us: Ints
    bridged_us: Ints
    modelled_us: Ints
    energy_uj: Ints
    standing_us: Ints
    implausible_us: Ints


def device_coverage(intervals: EnergyIntervals, edges_us: Ints) -> Coverage:
    """Coverage of one device in slots; slots without a reading are left out.

    Parameters
    ----------
    intervals
        Energy intervals of the device.
    edges_us
        Sorted edges of the slots [µs], shape (slots + 1,).
    """
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
        *(sum_by_group(np.where(pieces.method == reason, length_us, 0), slot_index, size) for reason in (STANDING, IMPLAUSIBLE)),
    )
