"""This file says what the same work would have cost under other facts: a scenario, not a measurement.

E' = (parts + added x (k' - 1)/(k - 1)) x PUE', O' = E' x I', M' = M x EL / EL': parts are what sensors read, added is what the
uplift k put on them. A whole-server meter's reading is not changed by an uplift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from footprint.config import Config
from footprint.core.assumptions import assumption
from footprint.core.timestamps import format_instant
from footprint.core.units import UG_PER_G, kwh_from_uj
from footprint.figures.cell_table import AMOUNTS
from footprint.figures.engine import open_result, run_query
from footprint.figures.query import BadQuery, Query
from footprint.figures.row_metrics import added_by_uplift, budgets
from footprint.impact.factor_book import FactorBook
from footprint.impact.operational import operational_g
from footprint.impact.uncertainty import UncertaintyBudget
from footprint.ledger.factor_store import load_factor_book
from footprint.queries.hourly_emissions import hourly_emissions
from footprint.storage.database import Store

LABEL = "scenario, not a measurement"
COLUMNS = (
    "period_start",
    "period_end",
    "energy_kwh",
    "scenario_energy_kwh",
    "scenario_energy_low_kwh",
    "scenario_energy_high_kwh",
    "co2e_location_g",
    "scenario_co2e_location_g",
    "embodied_g",
    "scenario_embodied_g",
    "formula",
    "label",
)
MODEL_COLUMNS = (
    "period_start",
    "period_end",
    "output_tokens",
    "energy_kwh",
    "scenario_energy_kwh",
    "scenario_energy_low_kwh",
    "scenario_energy_high_kwh",
    "co2e_location_g",
    "scenario_co2e_location_g",
    "formula",
    "label",
)
MODEL_FORMULA = "E' = T x E_B / T_B, T output tokens, B as it was measured and loaded in the same period"
SHIFT_COLUMNS = (
    "period_start",
    "period_end",
    "series",
    "energy_kwh",
    "co2e_hourly_g",
    "scenario_co2e_hourly_g",
    "filled_share",
    "formula",
    "label",
)
SHIFT_FORMULA = "O' = sum over hours of E(h) x I(h + {})"
FORMULA = "E' = (parts + added x (k' - 1)/(k - 1)) x PUE'; O' = E' x I'; M' = M x EL / EL'"


@dataclass(frozen=True, slots=True)
class ScenarioParameters:
    """What is asked for; None leaves what held."""

    zone: str | None = None
    pue: float | None = None
    uplift: float | None = None
    lifetime_years: float | None = None


def parameter_scenario(
    store: Store, config: Config, question: Query, facts: ScenarioParameters, now_us: int
) -> list[dict[str, Any]]:
    """Rows by group and period: as it was, and as it would have been.

    Raises
    ------
    MissingFactor
        If the zone asked for has no factor at the time.
    """
    rows: list[dict[str, Any]] = []
    book = load_factor_book(store)
    with open_result(store, config, question, now_us) as found:
        if found is None:
            return rows
        for (period, names), group in sorted(found.groups.items(), key=lambda item: (item[0][1], item[0][0])):
            if not group.cells:
                continue
            start, end = found.periods[period]
            rows.append(
                {
                    **dict(zip(question.group, names, strict=True)),
                    "period_start": format_instant(start),
                    "period_end": format_instant(end),
                    **_group_scenario(group.cells, config, book, facts, start, budgets(group.cells, apart=found.apart)[0]),
                    "formula": FORMULA,
                    "label": LABEL,
                }
            )
    return rows


def _group_scenario(
    cells: list[tuple[Any, list[int]]],
    config: Config,
    book: FactorBook,
    facts: ScenarioParameters,
    at_us: int,
    budget: UncertaintyBudget,
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
    # What the scenario sets is set; what sensors and the split leave open stays open, in proportion.
    replaced = [name for name, value in (("pue ", facts.pue), ("uplift ", facts.uplift)) if value is not None]
    left = [half for cause, half in budget.causes().items() if not cause.startswith(tuple(replaced))]
    scale = would / was if was else 0.0
    low, high = (scale * math.sqrt(math.fsum(half[side] ** 2 for half in left)) for side in (0, 1))
    would_kwh = kwh_from_uj(round(would))
    return {
        "energy_kwh": kwh_from_uj(round(was)),
        "scenario_energy_kwh": would_kwh,
        "scenario_energy_low_kwh": max(would_kwh - low, 0.0),
        "scenario_energy_high_kwh": would_kwh + high,
        "co2e_location_g": grams,
        "scenario_co2e_location_g": would_grams,
        "embodied_g": embodied,
        "scenario_embodied_g": would_embodied,
    }


def model_scenario(store: Store, config: Config, question: Query, model: str, now_us: int) -> list[dict[str, Any]]:
    """Rows by group and period: as it was, and as another model would have done it, by what that model took in the same period.

    The interval is that of the other model's energy. Tokens of two models are not the same text: the figure says nothing of
    quality.

    Raises
    ------
    BadQuestion
        If the other model made no output token in the period.
    """
    other = replace(question, group=(), where=(("model", model),), every=question.every)
    measured = {row["period_start"]: row for row in run_query(store, config, other, now_us).rows}
    if not any(row["output_tokens"] for row in measured.values()):
        raise BadQuery(f"model {model!r} made no output token in the period, so that nothing is known of it")
    rows = []
    for row in run_query(store, config, question, now_us).rows:
        would: dict[str, Any] = dict.fromkeys(MODEL_COLUMNS)
        would |= {name: row[name] for name in (*question.group, "period_start", "period_end", "output_tokens", "energy_kwh")}
        would |= {"co2e_location_g": row["co2e_location_g"], "formula": MODEL_FORMULA, "label": LABEL}
        there = measured.get(row["period_start"])
        if row["output_tokens"] and there is not None and there["output_tokens"]:
            part = row["output_tokens"] / there["output_tokens"]
            for name, of in (("", "energy_kwh"), ("low_", "energy_low_kwh"), ("high_", "energy_high_kwh")):
                would[f"scenario_energy_{name}kwh"] = part * there[of]
            grams = there["co2e_location_g"]
            would["scenario_co2e_location_g"] = None if grams is None else part * grams
        rows.append(would)
    return rows


def shift_scenario(store: Store, config: Config, question: Query, series: str, shift_hours: int) -> list[dict[str, Any]]:
    """Rows by group and period: hourly emissions as they were, and with every hour's work so many hours later.

    Its formula names the shift. The energy is the same; a marginal series may be asked here, for advice.
    """
    was = hourly_emissions(store, config, question, series, advice=True)
    would = hourly_emissions(store, config, question, series, shift_hours=shift_hours, advice=True)
    return [
        {
            **{name: row[name] for name in (*question.group, *SHIFT_COLUMNS[:5])},
            "scenario_co2e_hourly_g": there["co2e_hourly_g"],
            "filled_share": there["filled_share"],
            "formula": SHIFT_FORMULA.format(f"{shift_hours:+d} h"),
            "label": LABEL,
        }
        for row, there in zip(was, would, strict=True)
    ]
