"""Modelled consumption of services that are not measured here, and its check against measured services.

Modelled rows stand alone: a modelled figure is never added to a measured one.
"""

from __future__ import annotations

from typing import Any

from footprint.config import Config
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.impact.hosted import UnknownModel, estimate_hosted
from footprint.storage.database import Store

COLUMNS = (
    "service",
    "use_case",
    "modelled_as",
    "period_start",
    "period_end",
    "requests",
    "output_tokens",
    "modelled_kwh",
    "modelled_low_kwh",
    "modelled_high_kwh",
    "co2e_low_g",
    "co2e_high_g",
    "embodied_low_g",
    "embodied_high_g",
    "measured_kwh",
    "measured_over_modelled",
    "quality",
    "method_version",
)

_COPIED_COLUMNS = ("service", "use_case", "period_start", "period_end", "requests", "output_tokens")


def hosted_models(
    store: Store, config: Config, from_us: int | None, to_us: int | None, now_us: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Modelled energy and impacts of services declared ``modelled_as``, by service and use case.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    rows : list of dict
        Rows with the columns ``COLUMNS``: energies [kWh], emissions [gCO2e]; quality C. Modelled columns are missing if output
        tokens or the model are unknown.
    unknown : dict
        Why the model of a service is not known, by service.
    """
    names = {service.name: service.modelled_as for service in config.services if service.modelled_as}
    query = Query(group=("service", "use_case"), from_us=from_us, to_us=to_us)
    rows = run_query(store, config, query, now_us).rows if names else []
    unknown: dict[str, str] = {}
    hosted = [_row(names[row["service"]], row, unknown) for row in rows if row["service"] in names and row["requests"]]
    return hosted, unknown


def _row(model: str, row: dict[str, Any], unknown: dict[str, str]) -> dict[str, Any]:
    row_out = {column: row.get(column) for column in _COPIED_COLUMNS}
    row_out |= {"modelled_as": model, "quality": "C", "measured_kwh": row["energy_kwh"] or None}
    if row["output_tokens"] is None:
        return row_out  # the model needs output tokens
    try:
        estimate = estimate_hosted(model, row["requests"], row["output_tokens"])
    except UnknownModel as error:
        unknown[row["service"]] = str(error)
        return row_out
    ratio = row["energy_kwh"] / estimate.energy_kwh.value if row["energy_kwh"] else None
    return row_out | {
        "modelled_kwh": estimate.energy_kwh.value,
        "modelled_low_kwh": estimate.energy_kwh.low,
        "modelled_high_kwh": estimate.energy_kwh.high,
        "co2e_low_g": estimate.gwp_g.low,
        "co2e_high_g": estimate.gwp_g.high,
        "embodied_low_g": estimate.embodied_g.low,
        "embodied_high_g": estimate.embodied_g.high,
        "measured_over_modelled": ratio,
        "method_version": estimate.version,
    }
