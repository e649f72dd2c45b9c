"""This file is the charter: uses by what the committee decided, with their measured energy; what nobody decided on comes last."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards import parts
from dashboards.cards import ASIDE
from dashboards.view import Context
from dashboards.words import say
from footprint.config.facts import UNDECLARED, at
from footprint.wording.numbers import energy_unit, interval, number, percent

PATH, TITLE = "/charter", "nav_charter"
COLUMNS = ("recommended", "authorised", "under-study", "proscribed", UNDECLARED)


def content(context: Context) -> list[Any]:
    """Five columns of cards: four of the charter, and the undeclared."""
    view, language = context.view, context.view.language
    rows = {row["use_case"]: row for row in context.rows(group=("use_case",)) if not row["use_case"].startswith("(")}
    by_status: dict[str, list[str]] = {status: [] for status in COLUMNS}
    for name in sorted({*rows, *(use.name for use in context.config.use_cases)}):
        by_status.setdefault(context.config.charter_at(name, context.now_us), []).append(name)
    total = sum(row["energy_kwh"] or 0.0 for row in rows.values())
    undecided = sum(rows[name]["energy_kwh"] or 0.0 for name in by_status[UNDECLARED] if name in rows)
    title = say(language, "charter_all")
    if undecided and total:
        title = say(language, "charter_title", share=percent(undecided / total, language, floor=False))
    largest = max((row["energy_kwh"] or 0.0 for row in rows.values()), default=0.0)
    columns: list[Any] = [
        html.Section(
            [
                html.H2(say(language, status)),
                *[_card(context, name, rows.get(name), largest) for name in _ordered(names, rows)],
                *([] if names else [html.P(say(language, "no_use"), className="sub")]),
            ],
            className="charter-column",
        )
        for status, names in by_status.items()
    ]
    return [
        parts.filters(context),
        html.H1(title),
        html.P(say(language, "charter_lead", period=parts.period_words(context)), className="lead"),
        html.Div(columns, className="charter"),
        html.P(say(language, "committee"), className="committee"),
        html.P(
            html.A(f"{say(language, 'data')} CSV", href=view.data(context.config, context.now_us, group="use_case,charter")),
            className="source",
        ),
    ]


def _ordered(names: list[str], rows: dict[str, Any]) -> list[str]:
    return sorted(names, key=lambda name: -((rows.get(name) or {}).get("energy_kwh") or 0.0))


def _card(context: Context, name: str, row: dict[str, Any] | None, largest: float) -> html.Article:
    view, language = context.view, context.view.language
    fact = at(context.config.use_cases, name, context.now_us)
    said = [fact.decided, fact.owner] if fact is not None else [say(language, "not_decided")]
    told: list[Any] = [html.H3(html.A(name, href=view.link("/use-cases", name=name)))]
    told += [html.P(" · ".join(each for each in said if each), className="sub")]
    if row is None or row["energy_kwh"] is None:
        told.append(html.P(say(language, "unknown"), className="interval"))
    else:
        size, unit = energy_unit(row["energy_kwh"])
        width = 100 * row["energy_kwh"] / largest if largest > 0 else 0.0
        told.append(
            html.Div(
                html.Div(className=f"bar quality-{row['quality']}", style={"width": f"{width:.1f}%"}), className="track", **ASIDE
            )
        )
        shown = f"{number(row['energy_kwh'] / size, language)}\u00a0{unit} "
        told.append(
            html.P(
                [html.B(shown), interval(row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language)],
                className="interval",
            )
        )
    return html.Article(told, className="use")
