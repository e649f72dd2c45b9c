"""Raw readings of one device on one day."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.card_frames import PageParts, whole_page
from dashboards.components import card, message, page_title, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import TABLE_FORMATS, PageContext
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.queries.raw_readings import raw_readings

PATH, TITLE = "/readings", "readings_of"
MAX_ROWS = 200


def content(context: PageContext) -> PageParts:
    """Table of the first readings, with links to all of them."""
    return whole_page(translate(context.view.language, TITLE), partial(_content, context))


def _content(context: PageContext) -> list[Any]:
    view, language = context.view, context.view.language
    host, device, day = view.get("of"), view.get("device"), view.get("day")
    back = html.P(html.A(f"← {translate(language, 'explain')}", href=view.link("/explain")), className="back")
    if context.store is None or not day.lstrip("-").isdigit():
        return [back, message(translate(language, "readings_none"), translate(language, "readings_none_text"))]
    readings = raw_readings(context.store, host, device, int(day) * US_PER_DAY, (int(day) + 1) * US_PER_DAY)
    if not readings:
        return [back, message(translate(language, "readings_none"), translate(language, "readings_none_text"))]
    date = datetime.fromtimestamp(int(day) * US_PER_DAY / US_PER_S, UTC).date().isoformat()
    title = translate(language, "readings_title", device=device, host=host)
    subtitle = translate(language, "readings_sub", date=date, count=str(len(readings)), shown=str(min(len(readings), MAX_ROWS)))
    head = [translate(language, name) for name in ("time", "quantity", "value", "unit", "status")]
    body = [(row["time"], row["quantity"], row["value"], row["unit"], row["grade"]) for row in readings[:MAX_ROWS]]
    address = "/api/v1/readings?" + urlencode(
        {
            "host": host,
            "device": device,
            "from": format_instant(int(day) * US_PER_DAY),
            "to": format_instant((int(day) + 1) * US_PER_DAY),
        }
    )
    data = [(form.upper(), f"{address}&format={form}") for form in TABLE_FORMATS]
    return [
        back,
        page_title(title),
        card(subtitle, "", scrollable(table(head, body, title), title, "tall"), language, data=data, wide=True),
    ]
