"""This file says what it took to make a host, and by how much of that it is charged for each second of its life.

TE / EL of the Software Carbon Intensity (ISO/IEC 21031:2024, 5.3): total embodied over expected lifespan. Past the declared
life there is nothing left to spread.
"""

from __future__ import annotations

from collections.abc import Sequence

from footprint.config.models import HostFact
from footprint.core.assumptions import assumption
from footprint.core.units import G_PER_KG, HOURS_PER_YEAR, S_PER_HOUR, UG_PER_G, US_PER_S
from footprint.impact.factor_book import FactorBook

ACCELERATOR = "embodied_accelerator_"


def lifetime_s(fact: HostFact) -> float:
    """Expected life [s], years of 8,760 h; assumption ``embodied_lifetime`` where none is declared."""
    years = fact.lifetime_years if fact.lifetime_years is not None else assumption("embodied_lifetime").value
    return years * HOURS_PER_YEAR * S_PER_HOUR


def end_of_life_us(fact: HostFact) -> int | None:
    """Instant [µs] at which the declared life of a host ends; None where nobody said when it began."""
    return None if fact.in_service_us is None else fact.in_service_us + round(lifetime_s(fact) * US_PER_S)


def is_over(fact: HostFact, instant_us: int) -> bool:
    """Whether a host is past its declared life."""
    end_us = end_of_life_us(fact)
    return end_us is not None and instant_us >= end_us


def embodied_ug_per_s(fact: HostFact, accelerators: Sequence[str], book: FactorBook, instant_us: int) -> float:
    """Embodied emissions of a host for each second [µg/s]; 0 where its server is not declared or its life is over.

    ``accelerators`` are the models of its accelerators. Each counts as declared (``accelerator_kgco2e``), else by the row
    ``embodied_accelerator_NAME`` of the factor book whose name its model holds, else it is not in the figure.
    """
    if fact.server_embodied_kgco2e is None or is_over(fact, instant_us):
        return 0.0
    each = [_accelerator_kg(fact, model, book) for model in accelerators]
    total_kg = fact.server_embodied_kgco2e + sum(each)
    return total_kg * G_PER_KG * UG_PER_G / lifetime_s(fact)


def _accelerator_kg(fact: HostFact, model: str, book: FactorBook) -> float:
    if fact.accelerator_embodied_kgco2e is not None:
        return fact.accelerator_embodied_kgco2e
    named = [f for f in book.factors if f.kind.startswith(ACCELERATOR) and f.kind.removeprefix(ACCELERATOR) in model.lower()]
    return named[-1].value if named else 0.0
