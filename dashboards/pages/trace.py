"""This file follows a published figure by its id: the levels that ``footprint trace`` prints, and how to compute it again."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.cards import block, message, scrolled, table
from dashboards.view import Context
from dashboards.words import say
from footprint.editions import tracing
from footprint.editions.gathering import NoData
from footprint.editions.showing import shown
from footprint.querying.lineage import Level
from footprint.wording.numbers import number

MOST_ROWS = 30
LEFT_OUT = ("figure", "label", "shown")  # they stand above


def content(context: Context, identity: str) -> list[Any]:
    """A card a level, from the definition to where readings came from; the state where there is no such figure."""
    language = context.view.language
    assert context.store is not None
    try:
        found = tracing.find(context.store, context.config, identity, context.now_us, context.view.get("edition"))
    except (tracing.NoSuchFigure, NoData):
        found = None
    if found is None or found.published is None:
        return [message(say(language, "trace_unknown", figure=identity), say(language, "trace_unknown_text"))]
    told = shown(found.figure, language)
    levels = tracing.follow(context.store, context.config, found, context.now_us, language=language)
    head = found.edition.masthead
    stands = html.A(found.name, href=f"/editions/{head.period}/v{head.version}/{language}/report.html")
    return [
        html.H1(say(language, "explain_title", label=found.figure.label.in_(language))),
        html.P([html.B(told.with_unit), f" {told.interval} {told.flags} · {identity} · ", stands], className="lead"),
        *(_level(number_, level, identity, language) for number_, level in enumerate(levels, 1)),
        *([] if len(levels) > 1 else [html.P(say(language, "trace_confidential"), role="status")]),
        block(
            say(language, "trace_again"), say(language, "trace_again_text"),
            html.Pre(html.Code(f"footprint trace {identity} --verify")), language,
            data=[("JSON", f"/api/v1/trace/{identity}?verify=true&lang={language}")],
        ),
    ]  # fmt: skip


def _level(place: int, level: Level, identity: str, language: str) -> Any:
    title = f"{place}. {say(language, f'trace_{level.name}')}"
    if level.name == "definition":
        (row,) = level.rows
        body = table(
            [say(language, "name"), say(language, "value")],
            [(name, _cell(value, language)) for name, value in row.items() if name not in LEFT_OUT and value not in (None, "")],
            title,
        )
    else:
        rows = level.rows[:MOST_ROWS]
        cells = [tuple(_cell(row[name], language) for name in level.columns) for row in rows]
        body = table(list(level.columns), cells, title)
    sub = say(language, "trace_rows", count=number(len(level.rows), language), sha256=level.sha256[:16])
    if len(level.rows) > MOST_ROWS:
        whole = f"footprint trace {identity} --level {level.name}"
        sub += " " + say(language, "trace_first", count=str(MOST_ROWS), command=whole)
    return block(title, sub, scrolled(body, title), language, wide=True)


def _cell(value: Any, language: str) -> str:
    if value is None:
        return say(language, "unknown")
    return number(value, language, 6) if isinstance(value, float) else str(value)
