"""Balance of a host: its whole-server meter against the sensors of its parts.

wall = parts + unseen. The uplift k = wall / parts of a host replaces the meter of a host that has none. It is measured only over
windows that the meter and all sensors cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import EnergyIntervals, cut_at_edges
from footprint.attribution.largest_remainder import sum_by_group
from footprint.core.estimate import Estimate

MIN_WINDOWS = 12  # an hour of five-minute windows; fewer give no meaningful spread


@dataclass(frozen=True, slots=True)
class WallBalance:
    """Energies [µJ] of a host in the windows that its meter and all its parts cover, arrays of shape (n,)."""

    wall_uj: Ints
    parts_uj: Ints

    @property
    def uplift(self) -> Estimate | None:
        """Wall over parts: ratio of the sums, with the 2.5 and 97.5 % quantiles over windows; None below ``MIN_WINDOWS``."""
        positive = self.parts_uj > 0
        if positive.sum() < MIN_WINDOWS:
            return None
        ratio = float(self.wall_uj[positive].sum() / self.parts_uj[positive].sum())
        low, high = np.quantile(self.wall_uj[positive] / self.parts_uj[positive], [0.025, 0.975])
        return Estimate(ratio, min(float(low), ratio), max(float(high), ratio))


def compare_wall_to_parts(parts: Sequence[EnergyIntervals], walls: Sequence[EnergyIntervals], edges_us: Ints) -> WallBalance:
    """Energies of the windows that every meter and every part covers to 99 %.

    Parameters
    ----------
    parts
        Energy intervals of each part.
    walls
        Energy intervals of each whole-server meter.
    edges_us
        Sorted edges of the windows [µs], shape (windows + 1,).
    """
    complete = np.ones(len(edges_us) - 1, dtype=bool)
    totals = []
    for meters in (walls, parts):
        energy = np.zeros(len(edges_us) - 1, dtype=np.int64)
        for intervals in meters:
            pieces, window, _ = cut_at_edges(intervals, edges_us)
            energy += sum_by_group(pieces.energy_uj, window, len(energy))
            covered_us = sum_by_group(pieces.covered_us, window, len(energy))
            complete &= covered_us >= 0.99 * np.diff(edges_us)
        totals.append(energy)
    return WallBalance(totals[0][complete], totals[1][complete])
