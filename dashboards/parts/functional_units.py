"""Card of functional units other than tokens, with the energy of each."""

from __future__ import annotations

from typing import Any

from dashboards.components import card, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext, table_links
from footprint.i18n.formatting import format_number
from footprint.queries.functional_units import functional_units


def functional_units_card(context: PageContext) -> Any:
    """Units of the period by service and model; None where no request bears any."""
    language, query = context.view.language, context.query()
    assert context.store is not None
    rows = functional_units(context.store, context.config, query.from_us, query.to_us, context.now_us)
    if not rows:
        return None
    head = [translate(language, name) for name in ("service", "model", "unit_name", "unit_amount", "requests", "unit_energy")]
    body = [
        (
            row["service"],
            row["model"],
            row["unit"],
            format_number(row["units"], language),
            format_number(row["requests"], language),
            _energy(row, language),
        )
        for row in rows
    ]
    title = translate(language, "units_title")
    content = scrollable(table(head, body, title), title)
    return card(title, translate(language, "units_sub"), content, language, data=table_links("units"), wide=True)


def _energy(row: dict[str, Any], language: str) -> str:
    if row["wh_per_unit"] is None:
        return translate(language, "unit_shared")
    value, low, high = (format_number(row[f"wh_per_unit{end}"], language) for end in ("", "_low", "_high"))
    return f"{value} [{low} ; {high}]"
