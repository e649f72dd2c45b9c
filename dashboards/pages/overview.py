"""This file is the first page: energy, emissions and requests of the whole organisation, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from dash import dcc, html
from sqlalchemy.exc import DBAPIError

from dashboards import figures
from dashboards.cards import badge, bars, card, message
from dashboards.numbers import energy_unit, interval, mass_unit, moment, number, percent
from dashboards.words import say
from footprint.config import Config
from footprint.instants import format_instant, from_datetime, parse_instant, to_datetime
from footprint.querying import Answer, Question

PATH, TITLE = "/", "title"
PERIODS = ("today", "7d", "30d", "quarter", "all")
VIEWS = ("active", "full")
FEW_DAYS = 3  # up to so many, the trend is shown by hour
CURRENT: dict[str, Any] = {"aria-current": "true"}
Ask = Callable[[Question], Answer]


def begin_of(period: str, config: Config, now_us: int) -> int | None:
    """Where a period begins, at a midnight of the organisation; None for all there is."""
    today = to_datetime(now_us).astimezone(config.timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": 0, "7d": 6, "30d": 29}
    if period in days:
        day = (today - timedelta(days=days[period])).date()
    elif period == "quarter":
        day = today.date().replace(month=(today.month - 1) // 3 * 3 + 1, day=1)
    else:
        return None
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=config.timezone))


def content(config: Config, ask: Ask, now_us: int, language: str, period: str, view: str) -> Any:
    """The page; what cannot be read is said, and the page stays."""
    controls = _controls(language, period, view)
    begin = begin_of(period, config, now_us)
    try:
        whole = ask(Question(view=view)).rows
        if begin is not None and whole and parse_instant(whole[0]["period_start"]) < begin:
            whole = ask(Question(from_us=begin, view=view)).rows
        else:
            begin = None  # all there is lies within the period: before it nothing was expected
        if not whole:
            return [controls, message(say(language, "empty_title"), say(language, "empty"))]
        every = "day"
        steps = ask(Question(every=every, from_us=begin, view=view)).rows
        if len(steps) <= FEW_DAYS:
            every = "hour"
            steps = ask(Question(every=every, from_us=begin, view=view)).rows
        services = ask(Question(group=("service",), from_us=begin, view=view)).rows
        use_cases = ask(Question(group=("use_case",), from_us=begin, view=view)).rows
    except DBAPIError:
        return [controls, message(say(language, "away_title"), say(language, "away"))]
    address = {"view": view, **({"from": format_instant(begin)} if begin is not None else {})}
    return [
        controls,
        *_head(whole[0], config, language),
        _cards(whole[0], language),
        html.Div([_trend(steps, every, config, language, address), _seen(whole[0], language)], className="row wide"),
        html.Div(
            [
                bars(services, "service", language, _data(address, group="service"), say(language, "by_service")),
                bars(use_cases, "use_case", language, _data(address, group="use_case"), say(language, "by_use_case")),
            ],
            className="row",
        ),
    ]


def _data(address: dict[str, str], **more: str) -> str:
    return f"/api/v1/footprint?{urlencode({**address, **more, 'format': 'csv'})}"


def _controls(language: str, period: str, view: str) -> html.Nav:
    def links(name: str, current: str, values: tuple[str, ...]) -> list[Any]:
        state = {"lang": language, "period": period, "view": view}
        return [
            html.A(say(language, value), href=f"?{urlencode({**state, name: value})}", className="choice",
                   **(CURRENT if value == current else {}))
            for value in values
        ]  # fmt: skip

    named: dict[str, Any] = {"aria-label": say(language, "periods")}
    return html.Nav(
        [
            html.Span(say(language, "periods"), className="label"), *links("period", period, PERIODS),
            html.Span(say(language, "views"), className="label"), *links("view", view, VIEWS),
        ],
        className="controls", **named,
    )  # fmt: skip


def _head(row: dict[str, Any], config: Config, language: str) -> list[Any]:
    dates = {name: moment(row[f"period_{name}"], config.timezone, language) for name in ("start", "end")}
    if row["energy_kwh"] is None:
        title = say(language, "empty_title")
    else:
        size, unit = energy_unit(row["energy_kwh"])
        energy = f"{number(row['energy_kwh'] / size, language)}\u00a0{unit}"
        key = "headline" if row["requests"] else "headline_alone"
        title = say(language, key, energy=energy, requests=number(row["requests"] or 0, language))
    return [html.H1(title), html.P(say(language, "lead", zone=str(config.timezone), **dates), className="lead")]


def _cards(row: dict[str, Any], language: str) -> html.Div:
    mark = badge(row["quality"], language)
    unknown = say(language, "unknown")
    found = []
    for title, name, unit_of in (("energy", "energy_{}kwh", energy_unit), ("co2e", "co2e_location_{}g", mass_unit)):
        value, low, high = (row[name.format(part)] for part in ("", "low_", "high_"))
        if value is None:
            found.append(card(say(language, title), unknown, "", "", None))
            continue
        size, unit = unit_of(value)
        bounds = interval(low / size, high / size, language)
        found.append(card(say(language, title), number(value / size, language), unit, bounds, mark))
    requests = row["requests"]
    shown = unknown if requests is None else number(requests, language)
    found.append(card(say(language, "requests"), shown, "", say(language, "counted"), badge("A" if requests else None, language)))
    if requests and row["energy_kwh"] is not None:
        # Thousand requests, and Wh in a kWh: the two thousands are not the same one.
        each, low, high = (row[f"energy_{part}kwh"] * 1000 * 1000 / requests for part in ("", "low_", "high_"))
        found.append(card(say(language, "per_thousand"), number(each, language), "Wh", interval(low, high, language), mark))
    else:
        found.append(card(say(language, "per_thousand"), unknown, "", "", None))
    return html.Div(found, className="cards")


def _trend(rows: list[dict[str, Any]], every: str, config: Config, language: str, address: dict[str, str]) -> html.Section:
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    title = say(language, "trend")
    body = [
        html.Tr([
            html.Td(moment(row["period_start"], config.timezone, language)),
            html.Td(number(row["energy_kwh"] / size, language)),
            html.Td(interval(row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language)),
        ])
        for row in rows if row["energy_kwh"] is not None
    ]  # fmt: skip
    head = [say(language, "period"), unit, say(language, "interval")]
    return html.Section(
        [
            html.H2(title),
            html.P(say(language, "trend_sub", unit=unit, step=say(language, every)), className="sub"),
            dcc.Graph(
                figure=figures.trend(rows, size, unit, config.timezone, language), id="trend",
                config={"displayModeBar": False, "responsive": True}, style={"height": "300px"},
            ),
            html.Details([
                html.Summary(say(language, "table")),
                html.Table([
                    html.Caption(title, className="hidden"),
                    html.Thead(html.Tr([html.Th(text, scope="col") for text in head])), html.Tbody(body),
                ]),
            ]),
            html.P(html.A(say(language, "data"), href=_data(address, every=every)), className="source"),
        ],
        className="block",
    )  # fmt: skip


def _seen(row: dict[str, Any], language: str) -> html.Section:
    covered = say(language, "not_covered")
    if row["coverage"] is not None:
        covered = say(language, "covered", share=percent(row["coverage"], language))
    status = say(language, "provisional" if "provisional" in row["status"] else "final")
    flags = [say(language, flag) for flag in row["flags"].split("+") if flag]
    source = say(language, "source", method=row["method_version"] or "–", factors=row["factor_version"] or "–")
    return html.Section(
        [
            html.H2(say(language, "coverage")),
            html.Ol([html.Li(text) for text in (covered, status, *flags)], className="facts"),
            html.P(source, className="source"),
        ],
        className="block",
    )
