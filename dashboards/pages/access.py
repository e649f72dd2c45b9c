"""This file shows administrators the access log: in which role unprotected cells were asked for, and which; never who."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.cards import block, scrolled, table
from dashboards.view import Context
from dashboards.words import say
from footprint.access.noting import accesses
from footprint.units import US_PER_DAY
from footprint.wording.numbers import moment

PATH, TITLE = "/access", "nav_access"
SHOWN_DAYS, MOST_ROWS = 30, 200


def content(context: Context) -> list[Any]:
    """The last accesses, newest first."""
    language = context.view.language
    since = context.now_us - SHOWN_DAYS * US_PER_DAY
    found = accesses(context.store, since, None) if context.store is not None else []
    title = say(language, "access_title", number=str(len(found)), days=str(SHOWN_DAYS))
    rows = [
        (
            moment(row["time"], context.config.timezone, language),
            say(language, f"role_{row['role']}"),
            f"{row['path']}?{row['query']}" if row["query"] else row["path"],
            row["cells"],
        )
        for row in reversed(found[-MOST_ROWS:])
    ]
    head = [say(language, name) for name in ("access_time", "access_role", "access_asked", "access_cells")]
    return [
        html.H1(title),
        html.P(say(language, "access_lead", days=str(context.config.access.log_days)), className="lead"),
        block(
            say(language, "access_list"),
            "",
            scrolled(table(head, rows, title), title) if rows else html.P(say(language, "access_none")),
            language,
            data=[(form.upper(), f"/api/v1/access?format={form}") for form in ("csv", "json")],
            wide=True,
        ),
    ]
