"""What-if scenarios: what the same work would cost under other facts. Scenarios, not measurements.

E' = (parts + added x (k' - 1)/(k - 1)) x PUE', O' = E' x I', M' = M x EL / EL': ``parts`` is what sensors read, ``added`` is what
the uplift k adds. An uplift does not change the reading of a whole-server meter.
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
from footprint.figures.row_metrics import added_by_uplift
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
    """Parameters of a scenario; None keeps the actual value."""

    zone: str | None = None
    pue: float | None = None
    uplift: float | None = None
    lifetime_years: float | None = None


def parameter_scenario(
    store: Store, config: Config, query: Query, parameters: ScenarioParameters, now_us: int
) -> list[dict[str, Any]]:
    """Actual figures and figures under other parameters, by group and period.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    parameters : ScenarioParameters
        Zone, PUE [1], uplift [1], lifetime [years].
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows of the groups and ``COLUMNS``: energies [kWh] with about 95 % bounds, emissions [gCO2e].

    Raises
    ------
    MissingFactor
        If the zone has no factor at the time.
    """
    rows: list[dict[str, Any]] = []
    book = load_factor_book(store)
    with open_result(store, config, query, now_us) as result:
        if result is None:
            return rows
        for (period, names), group in sorted(result.groups.items(), key=lambda item: (item[0][1], item[0][0])):
            if not group.cells:
                continue
            start, end = result.periods[period]
            rows.append(
                {
                    **dict(zip(query.group, names, strict=True)),
                    "period_start": format_instant(start),
                    "period_end": format_instant(end),
                    **_group_scenario(group.cells, config, book, parameters, start, result.budgets(group)[0]),
                    "formula": FORMULA,
                    "label": LABEL,
                }
            )
    return rows


def _group_scenario(
    cells: list[tuple[Any, list[int]]],
    config: Config,
    book: FactorBook,
    parameters: ScenarioParameters,
    at_us: int,
    budget: UncertaintyBudget,
) -> dict[str, float | None]:
    energy_uj = scenario_uj = 0.0
    grams: float | None = 0.0
    scenario_grams: float | None = 0.0
    embodied_g: float | None = 0.0
    scenario_embodied_g: float | None = 0.0
    for key, values in cells:
        amounts, basis = dict(zip(AMOUNTS, values, strict=True)), key.basis
        it_uj = amounts["active_uj"] + amounts["idle_uj"] + amounts["host_uj"]
        added_uj = added_by_uplift(amounts) if basis.component == "host" else 0
        scenario_it_uj = float(it_uj)
        if parameters.uplift is not None and added_uj and basis.uplift[0] > 1:
            scenario_it_uj += added_uj * ((parameters.uplift - 1) / (basis.uplift[0] - 1) - 1)
        cell_uj = it_uj + amounts["facility_uj"]
        scenario_cell_uj = scenario_it_uj * (parameters.pue if parameters.pue is not None else basis.pue[0])
        intensity = basis.factor[0] if basis.factor else None
        scenario_intensity = (
            book.find(config.electricity, parameters.zone, at_us, config.timezone).value if parameters.zone else intensity
        )
        energy_uj, scenario_uj = energy_uj + cell_uj, scenario_uj + scenario_cell_uj
        grams = None if grams is None or intensity is None else grams + operational_g(cell_uj, intensity)
        scenario_grams = (
            None
            if scenario_grams is None or scenario_intensity is None
            else scenario_grams + operational_g(scenario_cell_uj, scenario_intensity)
        )
        if not basis.embodied_known:
            embodied_g = scenario_embodied_g = None
        elif embodied_g is not None and scenario_embodied_g is not None:
            cell_embodied_g = amounts["embodied_ug"] / UG_PER_G
            lifetime_years = config.host_at(basis.host, at_us).lifetime_years or assumption("embodied_lifetime").value
            embodied_g += cell_embodied_g
            scenario_embodied_g += cell_embodied_g * (
                lifetime_years / parameters.lifetime_years if parameters.lifetime_years else 1.0
            )
    # Parameters set by the scenario are exact; errors of sensors and of the split remain, in proportion.
    replaced = [name for name, value in (("pue ", parameters.pue), ("uplift ", parameters.uplift)) if value is not None]
    half_widths = [half_width for cause, half_width in budget.causes().items() if not cause.startswith(tuple(replaced))]
    scale = scenario_uj / energy_uj if energy_uj else 0.0
    low, high = (scale * math.sqrt(math.fsum(half_width[side] ** 2 for half_width in half_widths)) for side in (0, 1))
    scenario_kwh = kwh_from_uj(round(scenario_uj))
    return {
        "energy_kwh": kwh_from_uj(round(energy_uj)),
        "scenario_energy_kwh": scenario_kwh,
        "scenario_energy_low_kwh": max(scenario_kwh - low, 0.0),
        "scenario_energy_high_kwh": scenario_kwh + high,
        "co2e_location_g": grams,
        "scenario_co2e_location_g": scenario_grams,
        "embodied_g": embodied_g,
        "scenario_embodied_g": scenario_embodied_g,
    }


def model_scenario(store: Store, config: Config, query: Query, model: str, now_us: int) -> list[dict[str, Any]]:
    """Actual figures and figures if another model had produced the output tokens, by group and period.

    Uses the energy per output token of the other model in the same period; the interval is that of its energy. Tokens of two
    models are not the same text, so the figure says nothing about quality.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    model : str
        Name of the other model.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows of the groups and ``MODEL_COLUMNS``: energies [kWh], emissions [gCO2e].

    Raises
    ------
    BadQuery
        If the other model produced no output token in the period.
    """
    model_query = replace(query, group=(), where=(("model", model),), every=query.every)
    measured = {row["period_start"]: row for row in run_query(store, config, model_query, now_us).rows}
    if not any(row["output_tokens"] for row in measured.values()):
        raise BadQuery(f"model {model!r} made no output token in the period, so that nothing is known of it")
    rows = []
    for row in run_query(store, config, query, now_us).rows:
        scenario: dict[str, Any] = dict.fromkeys(MODEL_COLUMNS)
        scenario |= {name: row[name] for name in (*query.group, "period_start", "period_end", "output_tokens", "energy_kwh")}
        scenario |= {"co2e_location_g": row["co2e_location_g"], "formula": MODEL_FORMULA, "label": LABEL}
        model_row = measured.get(row["period_start"])
        if row["output_tokens"] and model_row is not None and model_row["output_tokens"]:
            token_ratio = row["output_tokens"] / model_row["output_tokens"]
            for name, column in (("", "energy_kwh"), ("low_", "energy_low_kwh"), ("high_", "energy_high_kwh")):
                scenario[f"scenario_energy_{name}kwh"] = token_ratio * model_row[column]
            grams = model_row["co2e_location_g"]
            scenario["scenario_co2e_location_g"] = None if grams is None else token_ratio * grams
        rows.append(scenario)
    return rows


def shift_scenario(store: Store, config: Config, query: Query, series: str, shift_hours: int) -> list[dict[str, Any]]:
    """Hourly emissions as they were, and with all work moved by some hours, by group and period.

    The energy stays the same. Marginal series are allowed, because the result is advice.

    Parameters
    ----------
    query : Query
        Groups and periods, active view, no filters.
    series : str
        Name of the intensity series.
    shift_hours : int
        HourlyIntensity [h] by which the work is moved; the formula column names them.

    Returns
    -------
    list of dict
        Rows of the groups and ``SHIFT_COLUMNS``: energies [kWh], emissions [gCO2e].
    """
    actual = hourly_emissions(store, config, query, series, advice=True)
    shifted = hourly_emissions(store, config, query, series, shift_hours=shift_hours, advice=True)
    return [
        {
            **{name: row[name] for name in (*query.group, *SHIFT_COLUMNS[:5])},
            "scenario_co2e_hourly_g": shifted_row["co2e_hourly_g"],
            "filled_share": shifted_row["filled_share"],
            "formula": SHIFT_FORMULA.format(f"{shift_hours:+d} h"),
            "label": LABEL,
        }
        for row, shifted_row in zip(actual, shifted, strict=True)
    ]
