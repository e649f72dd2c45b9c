"""This file turns energy into operational emissions: what the grid emitted for it, where the host stands."""

from __future__ import annotations

from footprint.core.units import UJ_PER_KWH


def operational_g(energy_uj: float, intensity_g_per_kwh: float) -> float:
    """Operational emissions [gCO2e] of facility energy: O = E x I (Software Carbon Intensity, ISO/IEC 21031, 5.2)."""
    return energy_uj / UJ_PER_KWH * intensity_g_per_kwh
