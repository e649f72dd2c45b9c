"""Embodied emissions of a server, spread evenly over its expected life.

TE / EL of the Software Carbon Intensity (ISO/IEC 21031:2024, 5.3): total embodied emissions over expected lifespan. After the
declared life nothing is left to spread.
"""

from __future__ import annotations

from collections.abc import Sequence

from footprint.core.assumptions import assumption
from footprint.core.units import G_PER_KG, HOURS_PER_YEAR, S_PER_HOUR, UG_PER_G, US_PER_S
from footprint.impact.factor_book import FactorBook

ACCELERATOR_PREFIX = "embodied_accelerator_"


def lifetime_s(lifetime_years: float | None) -> float:
    """Expected life of a host [s], in years of 8,760 h.

    Parameters
    ----------
    lifetime_years
        Declared life [years]; None for the assumption ``embodied_lifetime``.

    Examples
    --------
    >>> lifetime_s(1.0)
    31536000.0
    """
    years = lifetime_years if lifetime_years is not None else assumption("embodied_lifetime").value
    return years * HOURS_PER_YEAR * S_PER_HOUR


def end_of_life_us(in_service_us: int | None, lifetime_years: float | None) -> int | None:
    """Instant [µs since 1970] at which the declared life of a host ends; None where its first day of service is not declared.

    Examples
    --------
    >>> end_of_life_us(0, 1.0)
    31536000000000
    """
    return None if in_service_us is None else in_service_us + round(lifetime_s(lifetime_years) * US_PER_S)


def accelerator_kgco2e(model: str, book: FactorBook) -> float:
    """Embodied emissions of one accelerator by the factor book.

    Parameters
    ----------
    model
        Name of the accelerator as its driver reports it, such as ``NVIDIA H100 80GB HBM3``.
    book
        Factor book; rows of the kind ``embodied_accelerator_NAME`` apply to models that contain NAME, the last of them wins.

    Returns
    -------
    float
        Emissions [kgCO2e]; 0.0 where no row applies, so that the figure leaves the accelerator out.
    """
    matching = [
        factor
        for factor in book.factors
        if factor.kind.startswith(ACCELERATOR_PREFIX) and factor.kind.removeprefix(ACCELERATOR_PREFIX) in model.lower()
    ]
    return matching[-1].value if matching else 0.0


def embodied_ug_per_s(server_kgco2e: float, accelerators_kgco2e: Sequence[float], lifetime_years: float | None) -> float:
    """Embodied emissions for each second of a host's life, (server + accelerators) / expected life.

    Parameters
    ----------
    server_kgco2e
        Server without its accelerators [kgCO2e].
    accelerators_kgco2e
        Each of its accelerators [kgCO2e].
    lifetime_years
        Declared life [years]; None for the assumption ``embodied_lifetime``.

    Returns
    -------
    float
        Rate [µgCO2e/s].

    References
    ----------
    ISO/IEC 21031:2024, Software Carbon Intensity, 5.3.

    Examples
    --------
    >>> round(embodied_ug_per_s(1000.0, [150.0, 150.0], 4.0))
    10306
    """
    total_kg = server_kgco2e + sum(accelerators_kgco2e)
    return total_kg * G_PER_KG * UG_PER_G / lifetime_s(lifetime_years)
