"""Operational emissions: facility energy times the intensity of the grid."""

from __future__ import annotations

from footprint.core.units import UJ_PER_KWH


def operational_g(energy_uj: float, intensity_g_per_kwh: float) -> float:
    """Operational emissions O = E x I of facility energy.

    Parameters
    ----------
    energy_uj
        Facility energy [µJ].
    intensity_g_per_kwh
        Intensity of the electricity at the place of the host [gCO2e/kWh].

    Returns
    -------
    float
        Emissions [gCO2e].

    References
    ----------
    ISO/IEC 21031:2024, Software Carbon Intensity, 5.2.

    Examples
    --------
    >>> operational_g(3.6e12, 50.0)
    50.0
    """
    return energy_uj / UJ_PER_KWH * intensity_g_per_kwh
