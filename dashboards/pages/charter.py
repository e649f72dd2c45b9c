"""This file is the charter: uses by what the committee decided, with their measured energy; what nobody decided on comes last."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards import parts
from dashboards.components import ASIDE, block, error_boundary, scrolled, table
from dashboards.svg_component import Drawing, document
from dashboards.translations import absent, say
from dashboards.url_state import PageContext, protects
from footprint.access.authorization import CONFIDENTIAL
from footprint.config.models import UNDECLARED, fact_at
from footprint.i18n.formatting import energy_unit, format_estimate, format_percent

PATH, TITLE = "/charter", "nav_charter"
COLUMNS = ("recommended", "authorised", "under-study", "proscribed", UNDECLARED)


def content(context: PageContext) -> list[Any]:
    """Five columns of cards: four of the charter, and the undeclared."""
    language = context.view.language
    rows = {row["use_case"]: row for row in context.rows(group=("use_case",)) if not row["use_case"].startswith("(")}
    by_status: dict[str, list[str]] = {status: [] for status in COLUMNS}
    for name in sorted({*rows, *(use.name for use in context.config.use_cases)}):
        by_status.setdefault(context.config.charter_at(name, context.now_us), []).append(name)
    total = sum(row["energy_kwh"] or 0.0 for row in rows.values())
    undecided = sum(rows[name]["energy_kwh"] or 0.0 for name in by_status[UNDECLARED] if name in rows)
    title = say(language, "charter_all")
    hidden = any(row.get("conf_status") == CONFIDENTIAL for row in rows.values())  # a share of what is shown is none of all
    if undecided and total and not hidden:
        title = say(language, "charter_title", share=format_percent(undecided / total, language, floor=False))
    largest = max((row["energy_kwh"] or 0.0 for row in rows.values()), default=0.0)
    traces = _traces(context)
    columns: list[Any] = []
    for status, names in by_status.items():
        cards = [_card(context, name, rows.get(name), largest, traces.get(name, [])) for name in _ordered(names, rows)]
        shown = html.Div(cards, className="uses") if cards else html.P(say(language, "no_use"), className="sub")
        kind = "charter-column undecided" if status == UNDECLARED else "charter-column"
        columns.append(html.Section([html.H2(say(language, status)), shown], className=kind))
    head = [say(language, name) for name in ("use_case", "charter_status", "decided", "owner")]
    told = [
        (use.name, say(language, use.charter), use.decided or say(language, "unknown"), use.owner)
        for use in sorted(context.config.use_cases, key=lambda use: use.decided, reverse=True)
    ]
    return [
        parts.filters(context),
        html.H1(title),
        html.P(say(language, "charter_lead", period=parts.period_words(context)), className="lead"),
        html.Div(columns, className="charter"),
        error_boundary(lambda: parts.objectives(context), context),
        block(
            say(language, "decisions_title"),
            say(language, "decisions_sub"),
            scrolled(table(head, told, say(language, "decisions_title")), say(language, "decisions_title"), "prose"),
            language,
            data=[(form.upper(), context.data(form, group="use_case,charter")) for form in ("csv", "json", "parquet")],
            wide=True,
        ),
    ]


def _traces(context: PageContext) -> dict[str, list[float | None]]:
    """Energy of each use day by day, in order; a day without a reading is None. Nothing to who sees whole months only."""
    if protects(context.role, context.view):
        return {}
    days: dict[str, dict[str, float | None]] = {}
    for row in context.rows(group=("use_case",), every="day"):
        days.setdefault(row["period_start"], {})[row["use_case"]] = row["energy_kwh"]
    names = {name for found in days.values() for name in found}
    return {name: [days[day].get(name) for day in sorted(days)] for name in names}


def _spark(values: list[float | None], language: str) -> Any:
    """The course of a use over the period, its own scale from zero; gaps stay open."""
    known = [value for value in values if value is not None]
    if len(known) < 3 or max(known) <= 0:
        return None
    points, pen = [], "M"
    for n, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        points.append(f"{pen}{100 * n / (len(values) - 1):.1f} {27 - 25 * value / max(known):.1f}")
        pen = "L"
    return Drawing(document(100, 28, [f'<path d="{" ".join(points)}"/>'], stretched=True), say(language, "spark"), "spark")


def _ordered(names: list[str], rows: dict[str, Any]) -> list[str]:
    return sorted(names, key=lambda name: -((rows.get(name) or {}).get("energy_kwh") or 0.0))


def _card(context: PageContext, name: str, row: dict[str, Any] | None, largest: float, trace: list[float | None]) -> html.Article:
    view, language = context.view, context.view.language
    fact = fact_at(context.config.use_cases, name, context.now_us)
    said = [fact.decided, fact.owner] if fact is not None else [say(language, "not_decided")]
    told: list[Any] = [html.H3(html.A(name, href=view.link("/use-cases", name=name)))]
    told += [html.P(" · ".join(each for each in said if each), className="sub")]
    if row is None or row["energy_kwh"] is None:
        told.append(html.P(absent(row or {}, language), className="interval"))
    else:
        size, unit = energy_unit(row["energy_kwh"])
        width = 100 * row["energy_kwh"] / largest if largest > 0 else 0.0
        told.append(
            html.Div(
                html.Div(className=f"bar quality-{row['quality']}", style={"width": f"{width:.1f}%"}), className="track", **ASIDE
            )
        )
        shown = format_estimate(row["energy_kwh"] / size, row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language)
        told.append(html.P([html.B(f"{shown.value}\u00a0{unit} "), shown.interval], className="interval"))
        told.append(_spark(trace, language))
    return html.Article(told, className="use")
