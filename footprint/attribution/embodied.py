"""Embodied emissions of a host over the rows of its windows, by reserved time.

M = TE x (TiR / EL): by reserved time, idle included, not by use. Each accelerator bears the same part of its host. Within an
accelerator the running requests share its time equally, as they share its idle power, and the rest of the time is the row
``(idle)`` or ``(unattributed)``.
"""

from __future__ import annotations

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.largest_remainder import split_integers


def split_embodied(window: Ints, device: Ints, idle_uj: Ints, energy_uj: Ints, accelerator: Ints, total_ug: Ints) -> Ints:
    """Embodied emissions of the rows of one host.

    Parameters
    ----------
    window, device
        Window and device of each row, shape (n,).
    idle_uj, energy_uj
        Idle energy and all IT energy of each row [µJ], shape (n,). Idle energy stands for time in flight; where the idle energy
        of a device is unknown, its energy decides.
    accelerator
        1 for rows of an accelerator, shape (n,); a host without any is divided over all its rows.
    total_ug
        Embodied emissions of each window [µgCO2e], shape (windows,).

    Returns
    -------
    ndarray of int64
        Emissions of each row [µgCO2e], shape (n,), which sum to ``total_ug`` in each window.

    References
    ----------
    ISO/IEC 21031:2024, Software Carbon Intensity, 5.3.
    """
    windows = len(total_ug)
    devices = int(device.max(initial=0)) + 1
    has_accelerator = np.bincount(window, weights=accelerator, minlength=windows) > 0
    eligible = (accelerator > 0) | ~has_accelerator[window]
    cell = window * devices + device
    size = windows * devices
    eligible_idle_uj = np.where(eligible, idle_uj, 0)
    cell_idle_uj = np.bincount(cell, weights=eligible_idle_uj, minlength=size)
    cell_energy_uj = np.bincount(cell, weights=np.where(eligible, np.maximum(energy_uj, 0), 0), minlength=size)
    cell_rows = np.bincount(cell, weights=eligible.astype(np.float64), minlength=size)
    weight: Floats = np.where(cell_idle_uj[cell] > 0, eligible_idle_uj / np.maximum(cell_idle_uj[cell], 1.0), 0.0)
    by_energy = np.maximum(energy_uj, 0) / np.maximum(cell_energy_uj[cell], 1.0)
    weight = np.where((cell_idle_uj[cell] <= 0) & (cell_energy_uj[cell] > 0), by_energy, weight)
    weight = np.where((cell_idle_uj[cell] <= 0) & (cell_energy_uj[cell] <= 0), 1.0 / np.maximum(cell_rows[cell], 1.0), weight)
    weight = np.where(eligible, weight, 0.0)
    has_rows = np.bincount(window, minlength=windows) > 0
    return split_integers(np.where(has_rows, total_ug, 0), weight, window)
