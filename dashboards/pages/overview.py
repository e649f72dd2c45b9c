"""This file is the first page: energy, emissions and requests of the whole organisation, where they go, and how sure that is."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards import charts, parts
from dashboards.cards import bars, block, graph, name_of, safely, table
from dashboards.view import Context
from dashboards.words import say
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.wording.numbers import energy_unit, number, percent

PATH, TITLE = "/", "nav_overview"
MOST_NODES = 9  # of one column of the flows; the smallest are drawn together


def content(context: Context) -> list[Any]:
    """The page; what cannot be read is said, and the page stays."""
    view, language = context.view, context.view.language
    rows = context.rows()
    if not rows:
        return [parts.filters(context), *parts.nothing(context)]
    whole = rows[0]
    before, ratio, requests = parts.change_of(context)
    use_cases, services = context.rows(group=("use_case",)), context.rows(group=("service",))
    return [
        parts.filters(context),
        safely(lambda: parts.day_strip(context, whole), context),
        *parts.headline(context, whole, ratio, requests),
        parts.key_figures(context, whole, before, ratio, requests),
        html.Div([safely(lambda: parts.trend(context, whole), context), parts.facts(context, whole)], className="row wide"),
        html.Div(
            [
                bars(
                    use_cases,
                    "use_case",
                    language,
                    context.data(group="use_case"),
                    shares_title(use_cases, "use_case", language, "by_use_case"),
                    lambda name: view.link("/use-cases", name=name),
                ),
                bars(
                    services,
                    "service",
                    language,
                    context.data(group="service"),
                    shares_title(services, "service", language, "by_service"),
                    lambda name: view.link("/services", name=name),
                ),
            ],
            className="row",
        ),
        safely(lambda: flows(context), context),
        html.Div(
            [safely(lambda: parts.calendar(context, whole), context), safely(lambda: parts.seen(context), context)],
            className="row",
        ),
    ]


def shares_title(rows: list[dict[str, Any]], column: str, language: str, otherwise: str) -> str:
    """Who makes up most of the energy, as a finding."""
    known = sorted((r for r in rows if r["energy_kwh"] and not r[column].startswith("(")), key=lambda r: -r["energy_kwh"])
    total = sum(row["energy_kwh"] or 0.0 for row in rows)
    if not known or total <= 0:
        return say(language, otherwise)
    first = name_of(known[0][column], language)
    if column == "use_case":  # a phrase; names of services, models and hosts stay as they are written
        first = first[:1].upper() + first[1:]
    if len(known) < 3:
        return say(language, "share_one", first=first, share=percent(known[0]["energy_kwh"] / total, language, floor=False))
    share = (known[0]["energy_kwh"] + known[1]["energy_kwh"]) / total
    return say(
        language,
        "share_two",
        first=first,
        second=name_of(known[1][column], language),
        share=percent(share, language, floor=False),
    )


def flows(context: Context) -> Any:
    """Host -> service -> use case, with idle, building and what nobody explains in sight."""
    language = context.view.language
    if set(dict(context.view.filters)) & {"site"}:
        return None
    rows = [
        row for row in context.rows(group=("host", "service", "use_case"), view="active") if row["energy_kwh"] and row["host"]
    ]
    total = sum(row["energy_kwh"] for row in rows)
    if total <= 0:
        return None
    size, unit = energy_unit(total)
    amounts: dict[tuple[str, str, str], float] = {}
    building = say(language, "building")
    aside = 0.0

    def add(begin: str, end: str, kwh: float, colour: str) -> None:
        if kwh > 0:
            amounts[begin, end, colour] = amounts.get((begin, end, colour), 0.0) + kwh / size

    hosts, services, uses = (_largest(rows, column) for column in ("host", "service", "use_case"))
    for row in rows:
        host, service, use = f"h {hosts[row['host']]}", f"s {services[row['service']]}", f"u {uses[row['use_case']]}"
        it = row["energy_kwh"] - row["facility_kwh"]
        colour = charts.IDLE if row["use_case"] in (IDLE_NAME, UNATTRIBUTED_NAME) else charts.DATA
        add(host, "u building", row["facility_kwh"], charts.BUILDING)
        aside += row["facility_kwh"] + (it if colour == charts.IDLE else 0.0)
        if row["service"] == UNATTRIBUTED_NAME:
            add(host, f"u {UNATTRIBUTED_NAME}", it, charts.IDLE)
        else:
            add(host, service, it, charts.DATA)
            add(service, use, it, colour)
    found = [(begin, end, amount, colour) for (begin, end, colour), amount in sorted(amounts.items())]
    sums: dict[str, float] = {}
    for begin, end, amount, _ in found:
        sums[end] = sums.get(end, 0.0) + amount
        if begin.startswith("h "):
            sums[begin] = sums.get(begin, 0.0) + amount
    labels = {
        node: f"{building if node == 'u building' else name_of(node[2:], language)} {number(amount, language)}"
        for node, amount in sums.items()
    }
    share = percent(aside / total, language, floor=False)
    finding = say(language, "flows", share=share)
    head = [say(language, "from"), say(language, "into"), unit]
    told = [
        (labels[begin].rsplit(" ", 1)[0], labels[end].rsplit(" ", 1)[0], number(amount, language))
        for begin, end, amount, _ in found
    ]
    sub = say(language, "flows_sub", unit=unit)
    return block(
        finding,
        sub,
        graph(charts.sankey([(*flow,) for flow in found], labels), "flows", finding),
        language,
        table=table(head, told, finding, first=True),
        data=[("CSV", context.data(group="host,service,use_case"))],
        wide=True,
        identity="flows-card",
    )


def _largest(rows: list[dict[str, Any]], column: str) -> dict[str, str]:
    """Each name, or one word for the smallest where there are too many."""
    sums: dict[str, float] = {}
    for row in rows:
        sums[row[column]] = sums.get(row[column], 0.0) + row["energy_kwh"]
    kept = sorted(sums, key=lambda name: (not name.startswith("("), -sums[name]))[
        : MOST_NODES if len(sums) > MOST_NODES else None
    ]
    return {name: name if name in kept else f"… (+{len(sums) - len(kept)})" for name in sums}
