"""Embodied emissions of a server: what it took to make it, spread over its expected life.

TE / EL of the Software Carbon Intensity (ISO/IEC 21031:2024, 5.3): total embodied emissions over expected lifespan. Past the
declared life there is nothing left to spread.
"""

from __future__ import annotations

from collections.abc import Sequence

from footprint.core.assumptions import assumption
from footprint.core.units import G_PER_KG, HOURS_PER_YEAR, S_PER_HOUR, UG_PER_G, US_PER_S
from footprint.impact.factor_book import FactorBook

ACCELERATOR_PREFIX = "embodied_accelerator_"


def lifetime_s(lifetime_years: float | None) -> float:
    """Expected life [s], in years of 8,760 h; the assumption ``embodied_lifetime`` where none is declared (None)."""
    years = lifetime_years if lifetime_years is not None else assumption("embodied_lifetime").value
    return years * HOURS_PER_YEAR * S_PER_HOUR


def end_of_life_us(in_service_us: int | None, lifetime_years: float | None) -> int | None:
    """Instant [µs] at which the declared life of a host ends; None where its first day of service is not declared."""
    return None if in_service_us is None else in_service_us + round(lifetime_s(lifetime_years) * US_PER_S)


def accelerator_kgco2e(model: str, book: FactorBook) -> float:
    """Embodied emissions of one accelerator [kgCO2e].

    The row ``embodied_accelerator_NAME`` of the factor book whose NAME the model contains, the last one where several do;
    0.0 where no row does: the accelerator is then not in the figure.
    """
    matching = [
        factor
        for factor in book.factors
        if factor.kind.startswith(ACCELERATOR_PREFIX) and factor.kind.removeprefix(ACCELERATOR_PREFIX) in model.lower()
    ]
    return matching[-1].value if matching else 0.0


def embodied_ug_per_s(server_kgco2e: float, accelerators_kgco2e: Sequence[float], lifetime_years: float | None) -> float:
    """Embodied emissions charged for each second of a host's life [µgCO2e/s].

    Parameters
    ----------
    server_kgco2e
        The server without its accelerators [kgCO2e].
    accelerators_kgco2e
        Each of its accelerators [kgCO2e].
    lifetime_years
        Declared life; None for the assumption ``embodied_lifetime``.
    """
    total_kg = server_kgco2e + sum(accelerators_kgco2e)
    return total_kg * G_PER_KG * UG_PER_G / lifetime_s(lifetime_years)
