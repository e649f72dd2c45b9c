"""This file is the first page: energy, emissions and requests of the whole organisation, where they go, and how sure that is."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from dash import html

from dashboards import parts
from dashboards.components import error_boundary
from dashboards.pages.editions import latest
from dashboards.ranked_bars import bars
from dashboards.translations import say
from dashboards.url_state import PageContext

PATH, TITLE = "/", "nav_overview"


def content(context: PageContext) -> list[Any]:
    """The page; what cannot be read is said, and the page stays."""
    rows = context.rows()
    if not rows:
        return [parts.filters(context), *parts.nothing(context)]
    whole = rows[0]
    before, ratio, requests = parts.change_of(context)
    # Two cards each tell of these.
    finding, days = cache(partial(parts.change_in, context)), cache(partial(parts.day_states, context))
    return [
        parts.filters(context),
        error_boundary(lambda: parts.day_strip(context, whole, days), context),
        *parts.headline(context, whole, ratio, requests),
        parts.key_figures(context, whole, before, ratio, requests),
        _row(context, lambda: parts.trend(context, whole), lambda: parts.facts(context, whole, finding), kind="row wide"),
        _row(
            context, lambda: _ranked(context, whole, "use_case", "/use-cases"), lambda: parts.change(context, finding, wide=False)
        ),
        error_boundary(lambda: parts.flows(context, whole), context),
        _row(context, lambda: parts.calendar(context, whole), lambda: parts.seen(context, whole, days)),
        _row(context, lambda: _ranked(context, whole, "service", "/services"), lambda: parts.made_of(context, whole)),
        error_boundary(lambda: latest(context), context),
    ]


def _row(context: PageContext, *cards: Any, kind: str = "row") -> html.Div:
    return html.Div([error_boundary(make, context) for make in cards], className=kind)


def _ranked(context: PageContext, whole: dict[str, Any], column: str, path: str) -> html.Section:
    language = context.view.language
    rows = context.rows(group=(column,))
    return bars(
        rows,
        column,
        language,
        context.data(group=column),
        parts.shares_title(rows, column, language, say(language, f"by_{column}")),
        lambda name: context.view.link(path, name=name),
        source=parts.source(whole, language),
    )
