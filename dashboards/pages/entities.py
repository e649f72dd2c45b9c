"""This file is the page of one entity (use case, service, model, host, site), and the list of all of a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dash import html

from dashboards import parts
from dashboards.components import Row, block, error_boundary, message, name_of, scrolled, table
from dashboards.parts.power import power, power_figure
from dashboards.parts.request_distribution import spread
from dashboards.ranked_bars import bars, shown_of
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.access.authorization import CONFIDENTIAL
from footprint.config.models import ALWAYS, UNDECLARED, UseCaseFact, fact_at
from footprint.core.timestamps import format_instant
from footprint.i18n.formatting import energy_unit, format_local_time, format_number, format_percent


@dataclass(frozen=True, slots=True)
class Entities:
    """The pages of one kind; ``beside`` are the groupings that its page shows."""

    PATH: str
    TITLE: str
    column: str
    beside: tuple[str, ...]

    def content(self, context: PageContext) -> list[Any]:
        """The list, or the entity that ``name`` names."""
        name = context.view.get("name")
        return _one(self, context, name) if name else _all(self, context)


FIRST = (
    Entities("/use-cases", "nav_use_cases", "use_case", ("service", "model")),
    Entities("/services", "nav_services", "service", ("use_case", "model")),
)
MORE = (
    Entities("/models", "nav_models", "model", ("use_case", "service")),
    Entities("/hosts", "nav_hosts", "host", ("service", "device")),
    Entities("/sites", "nav_sites", "site", ("host", "service")),
)
PAGES = (*FIRST, *MORE)
PLACES = ("host", "site")  # requests cannot be divided over these


def _all(kind: Entities, context: PageContext) -> list[Any]:
    view, language = context.view, context.view.language
    rows = context.rows(group=(kind.column,))
    if not rows:
        return [parts.filters(context), *parts.nothing(context)]
    named = say(language, kind.column).lower()
    title = parts.shares_title(rows, kind.column, language, say(language, "all_of", kind=named))
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    counted = kind.column not in PLACES
    head = [say(language, kind.column), unit, say(language, "interval"), say(language, "quality")]
    head += [say(language, "requests"), say(language, "per_request")] if counted else []
    head += [say(language, "coverage_short")]
    head += [say(language, "charter_status")] if kind.column == "use_case" else []
    body = [_line(kind, context, row, size) for row in sorted(rows, key=lambda row: -(row["energy_kwh"] or 0.0))]
    whole = context.rows()[0]
    return [
        parts.filters(context),
        error_boundary(lambda: parts.day_strip(context, whole), context),
        html.H1(title),
        html.P(parts.period_words(context), className="lead"),
        html.Div(
            bars(
                rows,
                kind.column,
                language,
                context.data(group=kind.column),
                say(language, "all_of", kind=named),
                lambda name: view.link(kind.PATH, name=name),
                source=parts.source(whole, language),
            ),
            className="row single",
        ),
        block(
            say(language, "all_table", kind=named),
            parts.period_words(context),
            scrolled(table(head, body, title, intervals=(2,)), title),
            language,
            data=[(form.upper(), context.data(form, group=kind.column)) for form in ("csv", "json", "parquet")],
            source=parts.source(whole, language),
            wide=True,
        ),
    ]


def _line(kind: Entities, context: PageContext, row: Row, size: float) -> list[Any]:
    view, language = context.view, context.view.language
    name = row[kind.column]
    bracketed = name.startswith("(") or not name
    shown: Any = name_of(name, language) if bracketed else html.A(name, href=view.link(kind.PATH, name=name))
    cells: list[Any] = [shown or say(language, "unknown"), *shown_of(row, size, language), row["quality"]]
    hidden = row.get("conf_status") == CONFIDENTIAL
    if hidden:
        cells += ([] if kind.column in PLACES else ["[c]", ""]) + ["[c]"]
    elif kind.column not in PLACES:
        counted = row["requests"] and not bracketed
        cells.append(format_number(row["requests"], language, 9) if counted else say(language, "not_applicable"))
        known = counted and row["energy_kwh"] is not None
        cells.append(format_number(1000 * row["energy_kwh"] / row["requests"], language) if known else "")
    if not hidden:
        cells.append(format_percent(row["coverage"], language) if row["coverage"] is not None else say(language, "unknown"))
    if kind.column == "use_case":
        cells.append("" if bracketed else say(language, context.config.charter_at(name, context.now_us)))
    return cells


def _one(kind: Entities, context: PageContext, name: str) -> list[Any]:
    view, language = context.view, context.view.language
    inside = replace(context, view=replace(view, filters=(*view.filters, (kind.column, name))))
    rows = inside.rows()
    back = html.P([html.A(say(language, kind.TITLE), href=view.link(kind.PATH, name="")), f" / {name}"], className="back")
    if not rows:
        return [parts.filters(context), back, message(say(language, "entity_none"), say(language, "entity_none_text"))]
    whole = rows[0]
    if whole.get("conf_status") == CONFIDENTIAL:
        hidden = say(language, "entity_hidden", period=parts.period_words(context))
        return [
            parts.filters(context),
            back,
            *_stamp(kind, context, name),
            html.H1(name),
            html.P(f"[c] {hidden}", className="lead"),
            _decisions(context, name) if kind.column == "use_case" else None,
        ]
    before, ratio, requests = parts.change_of(inside)
    cards = [_beside(inside, column, whole, context) for column in kind.beside]
    cards += [lambda: parts.made_of(inside, whole), lambda: spread(inside, whole)]
    cards += [lambda: parts.seen(inside, whole)] if kind.column in PLACES else []
    cards += [lambda: parts.calendar(inside, whole)]
    shown = [made for make in cards if (made := error_boundary(make, inside)) is not None]
    return [
        parts.filters(context),
        back,
        *_stamp(kind, context, name),
        html.H1(name),
        html.P(_lead(kind, inside, context, whole), className="lead"),
        error_boundary(lambda: parts.day_strip(inside, whole), inside) if kind.column in PLACES else None,
        parts.key_figures(inside, whole, before, ratio, requests),
        html.Div([error_boundary(lambda: parts.trend(inside, whole), inside), parts.facts(inside, whole)], className="row wide"),
        error_boundary(lambda: power(inside, name), inside) if kind.column == "host" else None,
        html.Div(shown, className="row"),
        error_boundary(lambda: parts.flows(inside, whole), inside),
        _decisions(context, name) if kind.column == "use_case" else None,
    ]


def _lead(kind: Entities, inside: PageContext, context: PageContext, whole: Row) -> str:
    """Which part of all energy this is."""
    language = context.view.language
    everything = context.rows()
    if not everything or not everything[0]["energy_kwh"] or whole["energy_kwh"] is None:
        return parts.period_words(context)
    share = format_percent(whole["energy_kwh"] / everything[0]["energy_kwh"], language, floor=False)
    return say(language, "part_of", kind=say(language, kind.column), share=share, period=parts.period_words(context))


def _beside(inside: PageContext, column: str, whole: Row, context: PageContext) -> Callable[[], Any]:
    return lambda: _ranked(inside, column, whole, context)


def _ranked(inside: PageContext, column: str, whole: Row, context: PageContext) -> Any:
    view, language = context.view, context.view.language
    rows = inside.rows(group=(column,))
    path = next((each.PATH for each in PAGES if each.column == column), None)
    title = parts.shares_title(rows, column, language, say(language, "all_of", kind=say(language, column).lower()))
    link = (lambda value: view.link(path, name=value)) if path else None
    sub = say(language, "all_of", kind=say(language, column).lower())
    return bars(rows, column, language, inside.data(group=column), title, link, sub=sub, source=parts.source(whole, language))


def _stamp(kind: Entities, context: PageContext, name: str) -> list[Any]:
    """What the charter says of a use case, in a frame above its name."""
    if kind.column != "use_case":
        return []
    language = context.view.language
    fact = fact_at(context.config.use_cases, name, context.now_us)
    status = say(language, fact.charter if fact else UNDECLARED)
    told = (
        say(language, "stamp_since", status=status, date=fact.decided)
        if fact and fact.decided
        else say(language, "stamp", status=status)
    )
    return [html.P(told, className="stamp")]


def _decisions(context: PageContext, name: str) -> Any:
    """The history of decisions on a use case, in the committee's words, apart from statistics."""
    language, zone = context.view.language, context.config.timezone
    facts: list[UseCaseFact] = [fact for fact in context.config.use_cases if fact.name == name]
    if not facts:
        return None
    body = []
    for fact in sorted(facts, key=lambda fact: -fact.since_us):
        since = "" if fact.since_us == ALWAYS else format_local_time(format_instant(fact.since_us), zone, language)
        body.append((fact.decided or since or say(language, "unknown"), say(language, fact.charter), fact.owner or "", since))
    head = [say(language, each) for each in ("decided", "charter_status", "owner", "holds_since")]
    title = say(language, "decisions_title")
    return block(title, say(language, "decisions_sub"), scrolled(table(head, body, title), title, "prose"), language, wide=True)


__all__ = ["FIRST", "MORE", "PAGES", "Entities", "power_figure"]
