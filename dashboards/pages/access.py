"""Access log for administrators: which unprotected cells each role queried; no person is recorded."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import PageParts, whole_page
from dashboards.components import card, page_title, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.access.audit_log import read_accesses
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import format_local_time

PATH, TITLE = "/access", "nav_access"
MAX_DAYS, MAX_ROWS = 30, 200


def content(context: PageContext) -> PageParts:
    """Most recent accesses, newest first."""
    return whole_page(translate(context.view.language, TITLE), partial(_content, context))


def _content(context: PageContext) -> list[Any]:
    language = context.view.language
    since = context.now_us - MAX_DAYS * US_PER_DAY
    accesses = read_accesses(context.store, since, None) if context.store is not None else []
    title = translate(language, "access_title", number=str(len(accesses)), days=str(MAX_DAYS))
    rows = [
        (
            format_local_time(row["time"], context.config.timezone, language),
            translate(language, f"role_{row['role']}"),
            f"{row['path']}?{row['query']}" if row["query"] else row["path"],
            row["cells"],
        )
        for row in reversed(accesses[-MAX_ROWS:])
    ]
    head = [translate(language, name) for name in ("access_time", "access_role", "access_asked", "access_cells")]
    return [
        page_title(title),
        html.P(translate(language, "access_lead", days=str(context.config.access.log_days)), className="lead"),
        card(
            translate(language, "access_list"),
            "",
            scrollable(table(head, rows, title), title) if rows else html.P(translate(language, "access_none")),
            language,
            data=[(form.upper(), f"/api/v1/access?format={form}") for form in ("csv", "json")],
            wide=True,
        ),
    ]
