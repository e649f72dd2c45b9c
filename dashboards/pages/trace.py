"""Trace of a published figure: the levels that `footprint trace` prints, and the command to recompute it."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import card, message, page_title, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext, UrlState
from footprint.access.request_context import record_access
from footprint.editions import provenance
from footprint.editions.figure_format import format_figure
from footprint.editions.repository import NoSuchEdition
from footprint.i18n.formatting import format_number
from footprint.queries.lineage import LineageLevel

MAX_ROWS = 30
HEADER_FIELDS = ("figure", "label", "shown")  # shown above the table


def published_figure_id(view: UrlState) -> str:
    """Id of the published figure in the URL; empty for live figures."""
    return view.get("figure") if view.path == "/explain" and "F-" in view.get("figure") else ""


def content(context: PageContext, figure_id: str) -> list[Any]:
    """One card a level, from the definition to the source of readings, or a message if there is no such figure.

    Rows are unprotected (by device and hour), so roles that see only protected figures get the published text and no rows.
    """
    language = context.view.language
    assert context.store is not None
    try:
        traced = provenance.find_figure(
            context.store, context.config, figure_id, context.now_us, context.view.get("edition"), drafts=False
        )
    except (provenance.NoSuchFigure, NoSuchEdition):
        return [message(translate(language, "trace_unknown", figure=figure_id), translate(language, "trace_unknown_text"))]
    text = format_figure(traced.figure, language)
    levels = [provenance.definition_level(traced, language)]
    if context.role.sees_uses:
        levels = provenance.trace_figure(context.store, context.config, traced, context.now_us, language=language)
        record_access(f"trace {traced.figure.id}")
    masthead = traced.edition.masthead
    edition_link = html.A(traced.name, href=f"/editions/{masthead.period}/v{masthead.version}/{language}/report.html")
    return [
        page_title(translate(language, "explain_title", label=traced.figure.label.in_(language))),
        html.P([html.B(text.with_unit), f" {text.interval} {text.flags} · {figure_id} · ", edition_link], className="lead"),
        *(_level_card(number, level, traced.command, language) for number, level in enumerate(levels, 1)),
        *([html.P(translate(language, reason), role="status")] if (reason := _rows_hidden_key(context, traced)) else []),
        card(
            translate(language, "trace_again"),
            translate(language, "trace_again_text"),
            html.Pre(html.Code(f"{traced.command} --verify")),
            language,
            data=[("JSON", f"/api/v1/trace/{figure_id}?edition={traced.name}&verify=true&lang={language}")]
            if context.role.sees_uses
            else [],
        ),
    ]


def _rows_hidden_key(context: PageContext, traced: provenance.TracedFigure) -> str:
    """Catalogue key of the reason why no row is shown; empty if rows are shown."""
    if traced.figure.conf_status == "C":
        return "trace_confidential"
    return "" if context.role.sees_uses else "trace_protected"


def _level_card(number: int, level: LineageLevel, command: str, language: str) -> Any:
    title = f"{number}. {translate(language, f'trace_{level.name}')}"
    if level.name == "definition":
        (row,) = level.rows
        body = table(
            [translate(language, "name"), translate(language, "value")],
            [
                (name, _format_cell(value, language))
                for name, value in row.items()
                if name not in HEADER_FIELDS and value not in (None, "")
            ],
            title,
        )
    else:
        rows = level.rows[:MAX_ROWS]
        cells = [tuple(_format_cell(row[name], language) for name in level.columns) for row in rows]
        body = table(list(level.columns), cells, title)
    subtitle = translate(language, "trace_rows", count=format_number(len(level.rows), language), sha256=level.sha256[:16])
    if len(level.rows) > MAX_ROWS:
        full_command = f"{command} --level {level.name}"
        subtitle += " " + translate(language, "trace_first", count=str(MAX_ROWS), command=full_command)
    return card(title, subtitle, scrollable(body, title), language, wide=True)


def _format_cell(value: Any, language: str) -> str:
    if value is None:
        return translate(language, "unknown")
    return format_number(value, language, 6) if isinstance(value, float) else str(value)
