"""This file follows a published figure by its id: the levels that ``footprint trace`` prints, and how to compute it again."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import card, message, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext, UrlState
from footprint.access.middleware import record_access
from footprint.editions import provenance
from footprint.editions.figure_format import format_figure
from footprint.editions.repository import NoSuchEdition
from footprint.i18n.formatting import format_number
from footprint.queries.lineage import LineageLevel

MAX_ROWS = 30
HEADER_FIELDS = ("figure", "label", "shown")  # they stand above


def published_figure_id(view: UrlState) -> str:
    """The id of the published figure that an address is about; empty where it is about live figures."""
    return view.get("figure") if view.path == "/explain" and "F-" in view.get("figure") else ""


def content(context: PageContext, identity: str) -> list[Any]:
    """A card a level, from the definition to where readings came from; the state where there is no such figure.

    Rows tell of every use of a device and hour: who sees protected figures is shown what the edition says, and no row.
    """
    language = context.view.language
    assert context.store is not None
    try:
        found = provenance.find_figure(
            context.store, context.config, identity, context.now_us, context.view.get("edition"), drafts=False
        )
    except (provenance.NoSuchFigure, NoSuchEdition):
        return [message(translate(language, "trace_unknown", figure=identity), translate(language, "trace_unknown_text"))]
    told = format_figure(found.figure, language)
    levels = [provenance.definition_level(found, language)]
    if context.role.sees_uses:
        levels = provenance.trace_figure(context.store, context.config, found, context.now_us, language=language)
        record_access(f"trace {found.figure.id}")
    head = found.edition.masthead
    stands = html.A(found.name, href=f"/editions/{head.period}/v{head.version}/{language}/report.html")
    return [
        html.H1(translate(language, "explain_title", label=found.figure.label.in_(language))),
        html.P([html.B(told.with_unit), f" {told.interval} {told.flags} · {identity} · ", stands], className="lead"),
        *(_level_card(number_, level, found.command, language) for number_, level in enumerate(levels, 1)),
        *([html.P(translate(language, why), role="status")] if (why := _rows_hidden_key(context, found)) else []),
        card(
            translate(language, "trace_again"),
            translate(language, "trace_again_text"),
            html.Pre(html.Code(f"{found.command} --verify")),
            language,
            data=[("JSON", f"/api/v1/trace/{identity}?edition={found.name}&verify=true&lang={language}")]
            if context.role.sees_uses
            else [],
        ),
    ]


def _rows_hidden_key(context: PageContext, found: provenance.TracedFigure) -> str:
    """Why no row is shown; empty where they are."""
    if found.figure.conf_status == "C":
        return "trace_confidential"
    return "" if context.role.sees_uses else "trace_protected"


def _level_card(place: int, level: LineageLevel, command: str, language: str) -> Any:
    title = f"{place}. {translate(language, f'trace_{level.name}')}"
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
    sub = translate(language, "trace_rows", count=format_number(len(level.rows), language), sha256=level.sha256[:16])
    if len(level.rows) > MAX_ROWS:
        whole = f"{command} --level {level.name}"
        sub += " " + translate(language, "trace_first", count=str(MAX_ROWS), command=whole)
    return card(title, sub, scrollable(body, title), language, wide=True)


def _format_cell(value: Any, language: str) -> str:
    if value is None:
        return translate(language, "unknown")
    return format_number(value, language, 6) if isinstance(value, float) else str(value)
