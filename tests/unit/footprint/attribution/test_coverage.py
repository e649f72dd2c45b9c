"""Time read of one device by slot: measured, bridged, modelled."""

from __future__ import annotations

import numpy as np

from footprint.attribution.coverage import device_coverage
from footprint.attribution.energy_intervals import BRIDGED, COUNTER, ESTIMATE, EnergyIntervals


def test_time_by_slot() -> None:
    """A counter, a gap that it bridges (a tenth of it watched), an estimate, nothing, a counter."""
    spans = EnergyIntervals(
        np.array([2, 10, 20, 70]), np.array([10, 20, 30, 75]), np.array([8, 50, 30, 5]), np.array([8, 1, 10, 5]),
        np.array([COUNTER, BRIDGED, ESTIMATE, COUNTER], dtype=np.int8),
    )  # fmt: skip
    found = device_coverage(spans, np.array([0, 20, 40, 60, 80]))
    assert found.slot.tolist() == [0, 1, 3]
    assert found.first_us.tolist() == [2, 20, 70]
    assert found.last_us.tolist() == [20, 30, 75]
    assert found.measured_us.tolist() == [9, 10, 5]
    assert found.bridged_us.tolist() == [9, 0, 0]
    assert found.modelled_us.tolist() == [0, 10, 0]
    assert found.energy_uj.tolist() == [58, 30, 5]
    assert found.standing_us.tolist() == found.implausible_us.tolist() == [0, 0, 0]


def test_nothing_read_is_no_slot() -> None:
    assert device_coverage(EnergyIntervals.empty(), np.array([0, 20])).slot.tolist() == []
