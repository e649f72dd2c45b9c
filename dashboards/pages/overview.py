"""Overview: energy, emissions and requests of the organisation, by use case and service."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from dash import html

from dashboards.components import error_boundary
from dashboards.pages.editions import latest_edition_card
from dashboards.parts.calendar import calendar_card
from dashboards.parts.change_waterfall import change_card, change_effects
from dashboards.parts.day_strip import coverage_card, day_states, day_strip
from dashboards.parts.energy_breakdown import energy_breakdown_card
from dashboards.parts.filters import filter_bar
from dashboards.parts.headlines import empty_state, headline, largest_shares_title, source_line
from dashboards.parts.key_figures import compare_with_reference, key_figures
from dashboards.parts.notices import notices_card
from dashboards.parts.ranked_bars import ranked_bars_card
from dashboards.parts.sankey import energy_flow_card
from dashboards.parts.trend import trend_card
from dashboards.translations import translate
from dashboards.url_state import PageContext

PATH, TITLE = "/", "nav_overview"


def content(context: PageContext) -> list[Any]:
    """Headline, key figures and cards of the organisation."""
    rows = context.rows()
    if not rows:
        return [filter_bar(context), *empty_state(context)]
    total = rows[0]
    before, ratio, requests = compare_with_reference(context)
    # Two cards share each of these.
    load_effects, load_states = cache(partial(change_effects, context)), cache(partial(day_states, context))
    return [
        filter_bar(context),
        error_boundary(lambda: day_strip(context, total, load_states), context),
        *headline(context, total, ratio, requests),
        key_figures(context, total, before, ratio, requests),
        _card_row(
            context, lambda: trend_card(context, total), lambda: notices_card(context, total, load_effects), kind="row wide"
        ),
        _card_row(
            context,
            lambda: _ranked_card(context, total, "use_case", "/use-cases"),
            lambda: change_card(context, load_effects, wide=False),
        ),
        error_boundary(lambda: energy_flow_card(context, total), context),
        _card_row(context, lambda: calendar_card(context, total), lambda: coverage_card(context, total, load_states)),
        _card_row(
            context, lambda: _ranked_card(context, total, "service", "/services"), lambda: energy_breakdown_card(context, total)
        ),
        error_boundary(lambda: latest_edition_card(context), context),
    ]


def _card_row(context: PageContext, *cards: Any, kind: str = "row") -> html.Div:
    return html.Div([error_boundary(build, context) for build in cards], className=kind)


def _ranked_card(context: PageContext, total: dict[str, Any], column: str, path: str) -> html.Section:
    language = context.view.language
    rows = context.rows(group=(column,))
    return ranked_bars_card(
        rows,
        column,
        language,
        context.data_links(group=column),
        largest_shares_title(rows, column, language, translate(language, f"by_{column}")),
        lambda name: context.view.link(path, name=name),
        source=source_line(total, language),
    )
