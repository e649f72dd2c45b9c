"""This file says what the same work would have cost under other facts: a scenario, not a measurement.

E' = (parts + added x (k' - 1)/(k - 1)) x PUE', O' = E' x I', M' = M x EL / EL': parts are what sensors read, added is what the
uplift k put on them. A whole-server meter's reading is not changed by an uplift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from footprint.assumptions import assumption
from footprint.config import Config
from footprint.impact.book import FactorBook
from footprint.impact.operational import operational_g
from footprint.instants import format_instant
from footprint.ledger.factors import book_of
from footprint.querying.answering import gathered
from footprint.querying.cells import AMOUNTS
from footprint.querying.figures import added_by_uplift
from footprint.querying.question import Question
from footprint.store import Store
from footprint.units import UG_PER_G, kwh_from_uj

LABEL = "scenario, not a measurement"
COLUMNS = (
    "period_start", "period_end", "energy_kwh", "scenario_energy_kwh", "co2e_location_g", "scenario_co2e_location_g",
    "embodied_g", "scenario_embodied_g", "formula", "label",
)  # fmt: skip
FORMULA = "E' = (parts + added x (k' - 1)/(k - 1)) x PUE'; O' = E' x I'; M' = M x EL / EL'"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is asked for; None leaves what held."""

    zone: str | None = None
    pue: float | None = None
    uplift: float | None = None
    lifetime_years: float | None = None


def scenario(store: Store, config: Config, question: Question, facts: Facts, now_us: int) -> list[dict[str, Any]]:
    """Rows by group and period: as it was, and as it would have been.

    Raises
    ------
    MissingFactor
        If the zone asked for has no factor at the time.
    """
    rows: list[dict[str, Any]] = []
    book = book_of(store)
    with gathered(store, config, question, now_us) as found:
        if found is None:
            return rows
        for (period, names), group in sorted(found.groups.items(), key=lambda item: (item[0][1], item[0][0])):
            if not group.cells:
                continue
            start, end = found.periods[period]
            rows.append({
                **dict(zip(question.group, names, strict=True)), "period_start": format_instant(start),
                "period_end": format_instant(end), **_sums(group.cells, config, book, facts, start), "formula": FORMULA,
                "label": LABEL,
            })  # fmt: skip
    return rows


def _sums(
    cells: list[tuple[Any, list[int]]], config: Config, book: FactorBook, facts: Facts, at_us: int
) -> dict[str, float | None]:
    was = would = 0.0
    grams: float | None = 0.0
    would_grams: float | None = 0.0
    embodied: float | None = 0.0
    would_embodied: float | None = 0.0
    for place, amounts in cells:
        of, basis = dict(zip(AMOUNTS, amounts, strict=True)), place.basis
        it = of["active_uj"] + of["idle_uj"] + of["host_uj"]
        added = added_by_uplift(basis, of) if basis.component == "host" else 0
        new_it = float(it)
        if facts.uplift is not None and added and basis.uplift[0] > 1:
            new_it += added * ((facts.uplift - 1) / (basis.uplift[0] - 1) - 1)
        energy = it + of["facility_uj"]
        new_energy = new_it * (facts.pue if facts.pue is not None else basis.pue[0])
        intensity = basis.factor[0] if basis.factor else None
        new = book.find(config.electricity, facts.zone, at_us, config.timezone).value if facts.zone else intensity
        was, would = was + energy, would + new_energy
        grams = None if grams is None or intensity is None else grams + operational_g(energy, intensity)
        would_grams = None if would_grams is None or new is None else would_grams + operational_g(new_energy, new)
        if not basis.embodied_known:
            embodied = would_embodied = None
        elif embodied is not None and would_embodied is not None:
            mine = of["embodied_ug"] / UG_PER_G
            lived = config.host_at(basis.host, at_us).lifetime_years or assumption("embodied_lifetime").value
            embodied += mine
            would_embodied += mine * (lived / facts.lifetime_years if facts.lifetime_years else 1.0)
    return {
        "energy_kwh": kwh_from_uj(round(was)), "scenario_energy_kwh": kwh_from_uj(round(would)), "co2e_location_g": grams,
        "scenario_co2e_location_g": would_grams, "embodied_g": embodied, "scenario_embodied_g": would_embodied,
    }  # fmt: skip
