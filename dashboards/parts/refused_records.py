"""Card of what the doors did not take: by host and reason, with the last time."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import card, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext, table_links
from footprint.i18n.formatting import format_local_time, format_number
from footprint.queries.refused_records import refused_records

MAX_ROWS = 50


def refused_records_card(context: PageContext) -> Any:
    """Card of the latest refusals, whatever the period of the page; it says so when there is none."""
    language = context.view.language
    assert context.store is not None
    rows = refused_records(context.store)
    title = translate(language, "refused_title")
    if not rows:
        return card(title, "", html.P(translate(language, "refused_none")), language, data=table_links("refused"), wide=True)
    head = [translate(language, name) for name in ("refused_source", "reason", "refused_count", "refused_last")]
    body = [
        (
            row["source"],
            row["reason"],
            format_number(row["records"], language),
            format_local_time(row["last"], context.config.timezone, language),
        )
        for row in rows[:MAX_ROWS]
    ]
    content = scrollable(table(head, body, title), title, "prose")
    return card(title, translate(language, "refused_sub"), content, language, data=table_links("refused"), wide=True)
