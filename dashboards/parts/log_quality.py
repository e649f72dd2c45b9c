"""Card of what was found in the logs of requests: quarantine, requests without work, attempts, and fields mended."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import card, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext, table_links
from footprint.i18n.formatting import format_local_time, format_number
from footprint.queries.log_quality import REFUSED, log_quality

MAX_ROWS = 50


def log_quality_card(context: PageContext) -> Any:
    """Card of the findings of the period of the page; what was refused has a card of its own."""
    language, query = context.view.language, context.query()
    assert context.store is not None
    rows = [row for row in log_quality(context.store, query.from_us, query.to_us) if row["outcome"] != REFUSED]
    title = translate(language, "log_quality_title")
    links = table_links("log-quality")
    if not rows:
        return card(title, "", html.P(translate(language, "log_quality_none")), language, data=links, wide=True)
    head = [
        translate(language, name) for name in ("log_quality_outcome", "refused_source", "reason", "refused_count", "refused_last")
    ]
    body = [
        (
            translate(language, f"log_{row['outcome']}"),
            row["source"],
            _reason(row["reason"], language),
            format_number(row["records"], language),
            format_local_time(row["last"], context.config.timezone, language),
        )
        for row in rows[:MAX_ROWS]
    ]
    content = scrollable(table(head, body, title), title, "prose")
    return card(title, translate(language, "log_quality_sub"), content, language, data=links, wide=True)


def _reason(reason: str, language: str) -> str:
    """The reason in the reader's language, where it is one of a fixed vocabulary."""
    key = f"log_{reason}"
    text = translate(language, key)
    return reason if text == key else text
