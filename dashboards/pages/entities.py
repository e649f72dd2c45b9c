"""This file is the page of one entity (service, use case, model, host), and the list of all of a kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from dash import dcc, html

from dashboards import charts, parts
from dashboards.cards import bars, block, graph, message, name_of, safely, scrolled, table
from dashboards.pages.overview import shares_title
from dashboards.view import Context
from dashboards.words import say
from footprint.config.facts import UNDECLARED, at
from footprint.ledger.reading import LedgerView
from footprint.units import US_PER_HOUR, US_PER_S
from footprint.wording.numbers import energy_unit, interval, number

LIVE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Entities:
    """The pages of one kind; ``beside`` are the groupings that its page shows."""

    PATH: str
    TITLE: str
    column: str
    beside: tuple[str, ...]

    def content(self, context: Context) -> list[Any]:
        """The list, or the entity that ``name`` names."""
        name = context.view.get("name")
        return _one(self, context, name) if name else _all(self, context)


PAGES = (
    Entities("/use-cases", "nav_use_cases", "use_case", ("service", "model")),
    Entities("/services", "nav_services", "service", ("use_case", "model")),
    Entities("/models", "nav_models", "model", ("use_case", "service")),
    Entities("/hosts", "nav_hosts", "host", ("service", "device")),
)


def _all(kind: Entities, context: Context) -> list[Any]:
    view, language = context.view, context.view.language
    rows = context.rows(group=(kind.column,))
    if not rows:
        return [parts.filters(context), *parts.nothing(context)]
    title = shares_title(rows, kind.column, language, "list_title")
    named = say(language, kind.column).lower()
    if "{" in title or title == say(language, "list_title"):
        title = say(language, "all_of", kind=named)
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    counted = kind.column != "host"
    head = [say(language, kind.column), unit, say(language, "interval"), say(language, "quality")]
    head += [say(language, "requests"), say(language, "per_request")] if counted else []
    head += [say(language, "charter_status")] if kind.column == "use_case" else []
    body = []
    for row in sorted(rows, key=lambda row: -(row["energy_kwh"] or 0.0)):
        name = row[kind.column]
        shown: Any = (
            name_of(name, language) if name.startswith("(") or not name else html.A(name, href=view.link(kind.PATH, name=name))
        )
        known = row["energy_kwh"] is not None
        cells: list[Any] = [
            shown or say(language, "unknown"),
            number(row["energy_kwh"] / size, language) if known else say(language, "unknown"),
            interval(row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language) if known else "",
            row["quality"],
        ]
        if counted:
            cells.append(number(row["requests"], language) if row["requests"] else "")
            cells.append(number(1000 * row["energy_kwh"] / row["requests"], language) if known and row["requests"] else "")
        if kind.column == "use_case":
            cells.append("" if name.startswith("(") else say(language, context.config.charter_at(name, context.now_us)))
        body.append(cells)
    return [
        parts.filters(context),
        html.H1(title),
        html.P(parts.period_words(context), className="lead"),
        block(
            say(language, "all_of", kind=named),
            say(language, "bars_sub"),
            scrolled(table(head, body, title), title),
            language,
            data=[(form.upper(), context.data(form, group=kind.column)) for form in ("csv", "json", "parquet")],
            wide=True,
        ),
    ]


def _one(kind: Entities, context: Context, name: str) -> list[Any]:
    view, language = context.view, context.view.language
    inside = replace(context, view=replace(view, filters=(*view.filters, (kind.column, name))))
    rows = inside.rows()
    back = html.P(html.A(f"← {say(language, kind.TITLE)}", href=view.link(kind.PATH, name="")), className="back")
    if not rows:
        return [parts.filters(context), back, message(say(language, "entity_none"), say(language, "entity_none_text"))]
    whole = rows[0]
    before, ratio, requests = parts.change_of(inside)
    found: list[Any] = [
        parts.filters(context),
        back,
        html.P(say(language, kind.column), className="kind"),
        html.H1(name),
        *_decision(kind, context, name),
        parts.key_figures(inside, whole, before, ratio, requests),
        html.Div([safely(lambda: parts.trend(inside, whole), inside), parts.facts(inside, whole)], className="row wide"),
    ]
    if kind.column == "host":
        found.append(safely(lambda: _power(inside, name), inside))
    shown = []
    for column in kind.beside:
        beside = inside.rows(group=(column,))
        path = next((each.PATH for each in PAGES if each.column == column), None)
        link = (lambda value, path=path: view.link(path, name=value)) if path else None
        title = shares_title(beside, column, language, "all_of")
        title = say(language, "all_of", kind=say(language, column).lower()) if "{" in title else title
        shown.append(bars(beside, column, language, inside.data(group=column), title, link))
    found.append(html.Div(shown, className="row"))
    found.append(safely(lambda: parts.calendar(inside, whole), inside))
    return [each for each in found if each is not None]


def _decision(kind: Entities, context: Context, name: str) -> list[Any]:
    """What the charter says of a use case, in the committee's words."""
    if kind.column != "use_case":
        return []
    language = context.view.language
    fact = at(context.config.use_cases, name, context.now_us)
    status = say(language, fact.charter if fact else UNDECLARED)
    told = [f"{say(language, 'charter_status')} : {status}"]
    if fact is not None:
        told += [f"{say(language, 'decided')} {fact.decided}"] if fact.decided else []
        told += [f"{say(language, 'owner')} : {fact.owner}"] if fact.owner else []
    return [
        html.P(" · ".join(told), className="lead"),
        html.P(say(language, "committee"), className="committee") if fact else None,
    ]


def _power(context: Context, host: str) -> Any:
    """Watts of each device over the last hour that was read; goes on by itself, until it is paused."""
    language = context.view.language
    found = power_figure(context, host)
    if found is None:
        return None
    figure, traces = found
    largest = max((w for _, ws in traces.values() for w in ws if w is not None), default=0.0)
    title = say(language, "power_title")
    head = [say(language, "device"), "W"]
    told = [
        (device, number(next((w for w in reversed(ws) if w is not None), 0.0), language))
        for device, (_, ws) in sorted(traces.items())
    ]
    live = [html.Button(say(language, "pause"), id="pause", type="button"), dcc.Interval(id="live", interval=LIVE_MS)]
    return block(
        title,
        say(language, "power_sub"),
        [graph(figure, "power", title), *live],
        language,
        sentences=[say(language, "power_note", watts=number(largest, language)), say(language, "live")],
        table=table(head, told, title),
        wide=True,
    )


def power_figure(context: Context, host: str) -> Any:
    """The chart of the powers of a host, and its traces; None where nothing was read."""
    if context.store is None:
        return None
    traces: dict[str, tuple[list[datetime], list[float | None]]] = {}
    with context.store.read() as connection:
        view = LedgerView(context.store, connection)
        mine = [
            s
            for s in view.streams().get(host, [])
            if s.quantity in ("energy", "power") and s.grade in ("counter", "power", "modelled")
        ]
        ends = [int(view.days_of(s.id).last_us.max()) for s in mine if len(view.days_of(s.id).day)]
        if not ends:
            return None
        end = max(ends)
        for stream in mine:
            samples = view.samples(stream.id, end - US_PER_HOUR, end + 1)
            if len(samples) < 2:
                continue
            times, watts = _watts(samples.time_us, samples.value, counter=stream.quantity == "energy")
            device = next((alias.place for alias in view.aliases(host) if alias.device == stream.device), stream.device)
            traces[device] = (
                [datetime.fromtimestamp(at / US_PER_S, UTC).astimezone(context.config.timezone) for at in times],
                watts,
            )
    return (charts.powers(traces), traces) if traces else None


def _watts(time_us: Any, value: Any, *, counter: bool) -> tuple[list[int], list[float | None]]:
    """Powers [W]; of a counter between samples, a reset or a gap of ten steps is a silence."""
    if not counter:
        return time_us.tolist(), (value / 1e6).tolist()
    step, rise = np.diff(time_us), np.diff(value)
    usual = float(np.median(step))
    watts = [None if r < 0 or s > 10 * usual else r / s for r, s in zip(rise.tolist(), step.tolist(), strict=True)]
    return time_us[1:].tolist(), watts


__all__ = ["PAGES", "Entities"]
