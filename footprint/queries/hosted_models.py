"""This file tells what services that nobody here measures are modelled to consume, and how the model fares on those measured.

Rows of their own: a modelled figure is never added to a measured one.
"""

from __future__ import annotations

from typing import Any

from footprint.config import Config
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.impact.hosted import estimate_hosted
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


def hosted_models(store: Store, config: Config, from_us: int | None, to_us: int | None, now_us: int) -> list[dict[str, Any]]:
    """Rows by service and use case of the services that are declared ``modelled_as`` something.

    Raises
    ------
    UnknownModel
        If EcoLogits does not know what one is declared as.
    """
    names = {service.name: service.modelled_as for service in config.services if service.modelled_as}
    question = Query(group=("service", "use_case"), from_us=from_us, to_us=to_us)
    rows = run_query(store, config, question, now_us).rows if names else []
    return [_row(names[row["service"]], row) for row in rows if row["service"] in names and row["requests"]]


def _row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    found = {column: row.get(column) for column in _COPIED_COLUMNS}
    found |= {"modelled_as": name, "quality": "C", "measured_kwh": row["energy_kwh"] or None}
    if row["output_tokens"] is None:
        return found  # the model knows nothing but tokens
    said = estimate_hosted(name, row["requests"], row["output_tokens"])
    ratio = row["energy_kwh"] / said.energy_kwh.value if row["energy_kwh"] else None
    return found | {
        "modelled_kwh": said.energy_kwh.value,
        "modelled_low_kwh": said.energy_kwh.low,
        "modelled_high_kwh": said.energy_kwh.high,
        "co2e_low_g": said.gwp_g.low,
        "co2e_high_g": said.gwp_g.high,
        "embodied_low_g": said.embodied_g.low,
        "embodied_high_g": said.embodied_g.high,
        "measured_over_modelled": ratio,
        "method_version": said.version,
    }
