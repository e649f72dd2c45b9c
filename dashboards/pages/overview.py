"""Overview: energy, emissions and requests of the organisation, by use case and service."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import CardFrame, FrameRow, PageParts, figure_frame, head_frame, key_figures_frame, strip_frame
from dashboards.components import Row
from dashboards.pages.editions import latest_edition_card
from dashboards.parts.calendar import calendar_card
from dashboards.parts.change_waterfall import change_card
from dashboards.parts.day_strip import coverage_card, day_strip
from dashboards.parts.energy_breakdown import energy_breakdown_card
from dashboards.parts.filters import filter_bar
from dashboards.parts.headlines import empty_state, headline, largest_shares_title, source_line
from dashboards.parts.key_figures import key_figures
from dashboards.parts.notices import notices_card
from dashboards.parts.ranked_bars import ranked_bars_card
from dashboards.parts.sankey import energy_flow_card
from dashboards.parts.trend import trend_card
from dashboards.translations import translate
from dashboards.url_state import PageContext

PATH, TITLE = "/", "nav_overview"


def content(context: PageContext) -> PageParts:
    """Headline, key figures and cards of the organisation."""
    language = context.view.language
    frame = partial(figure_frame, context)

    def title(key: str) -> str:
        return translate(language, key)

    return PageParts(
        [
            strip_frame(context, partial(day_strip, context)),
            head_frame(title(TITLE), partial(_head, context)),
            key_figures_frame(context, partial(key_figures, context)),
            FrameRow(
                [
                    frame("trend", partial(trend_card, context), title("trend")),
                    frame("notices", partial(notices_card, context), title("facts_title")),
                ],
                "row wide",
            ),
            FrameRow(
                [
                    frame("use-cases", partial(_ranked_card, context, "use_case", "/use-cases"), title("by_use_case")),
                    frame("change", lambda total: change_card(context, wide=False), title("change_of_what")),
                ]
            ),
            frame("flows", partial(energy_flow_card, context), title("frame_flows"), height_px=680, kind="wide"),
            FrameRow(
                [
                    frame("calendar", partial(calendar_card, context), title("frame_hours")),
                    frame("coverage", partial(coverage_card, context), title("seen_title")),
                ]
            ),
            FrameRow(
                [
                    frame("services", partial(_ranked_card, context, "service", "/services"), title("by_service")),
                    frame("breakdown", partial(energy_breakdown_card, context), title("frame_parts"), height_px=300),
                ]
            ),
            CardFrame("edition", lambda: latest_edition_card(context), height_px=0),
        ],
        partial(filter_bar, context),
    )


def _head(context: PageContext) -> list[Any]:
    rows = context.rows()
    return headline(context, rows[0]) if rows else empty_state(context)


def _ranked_card(context: PageContext, column: str, path: str, total: Row) -> html.Section:
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
