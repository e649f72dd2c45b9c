"""This file shows where energy goes: host -> service -> use, with idle, building and what nobody explains in sight."""

from __future__ import annotations

from typing import Any

from dashboards import sankey
from dashboards.components import Row, block, name_of, table
from dashboards.parts.filters import period_words
from dashboards.parts.headlines import source
from dashboards.sankey import Flow, Node
from dashboards.svg_component import Drawing
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.i18n.formatting import energy_unit, format_estimate, format_percent

MAX_NODES = 9  # of one column; the smallest are drawn together
FACILITY = "facility"
Amounts = dict[tuple[str, str, str], float]


def flows(context: PageContext, whole: Row | None = None) -> Any:
    """The card; None where a filter leaves nothing to divide."""
    language = context.view.language
    if not context.role.sees_uses or set(dict(context.view.filters)) & {"site"}:
        return None
    rows = [r for r in context.rows(group=("host", "service", "use_case"), view="active") if r["energy_kwh"] and r["host"]]
    total = sum(row["energy_kwh"] for row in rows)
    if total <= 0:
        return None
    size, unit = energy_unit(total)
    amounts, aside = _amounts(rows, size)
    bounds = {row["use_case"]: row for row in context.rows(group=("use_case",), view="active") if row["energy_kwh"]}
    nodes = _nodes(amounts, bounds, unit, language)
    finding = say(language, "flows", share=format_percent(aside / total, language, floor=False))
    sub = say(language, "flows_sub", unit=unit, period=period_words(context))
    found = [Flow(begin, end, amount, kind) for (begin, end, kind), amount in amounts.items()]
    heads = [say(language, name) for name in ("flows_hosts", "flows_services", "flows_ends")]
    told = {node.name: node.label for node in nodes}
    body = [
        (told[flow.begin], told[flow.end], format_estimate(flow.amount, None, None, language).value)
        for flow in sorted(found, key=lambda flow: (flow.begin, -flow.amount))
    ]
    return block(
        finding,
        sub,
        Drawing(sankey.draw(found, nodes, heads), f"{finding}. {sub}"),
        language,
        sentences=[
            say(
                language,
                "flows_sum",
                aside=format_estimate(aside / size, None, None, language).value,
                total=format_estimate(total / size, None, None, language).value,
                unit=unit,
            )
        ],
        table=table([say(language, "from"), say(language, "into"), unit], body, finding),
        data=[(form.upper(), context.data(form, group="host,service,use_case")) for form in ("csv", "json", "parquet")],
        source=source(whole, language) if whole else "",
        wide=True,
        identity="flows-card",
    )


def _amounts(rows: list[Row], size: float) -> tuple[Amounts, float]:
    """(from, to, kind) -> amount in the unit shown, and what serves no request [kWh]."""
    amounts: Amounts = {}
    aside = 0.0

    def add(begin: str, end: str, kwh: float, kind: str) -> None:
        if kwh > 0:
            amounts[begin, end, kind] = amounts.get((begin, end, kind), 0.0) + kwh / size

    hosts, services, uses = (_largest(rows, column) for column in ("host", "service", "use_case"))
    kinds = {IDLE_NAME: "idle", UNATTRIBUTED_NAME: "nobody"}
    for row in rows:
        host, service, use = f"h {hosts[row['host']]}", f"s {services[row['service']]}", f"u {uses[row['use_case']]}"
        it = row["energy_kwh"] - row["facility_kwh"]
        kind = kinds.get(row["use_case"], "data")
        add(host, f"u {FACILITY}", row["facility_kwh"], FACILITY)
        aside += row["facility_kwh"] + (it if kind != "data" else 0.0)
        if row["service"] == UNATTRIBUTED_NAME:
            add(host, f"u {UNATTRIBUTED_NAME}", it, "nobody")
        else:
            add(host, service, it, "data")
            add(service, use, it, kind)
    return amounts, aside


def _nodes(amounts: Amounts, bounds: dict[str, Row], unit: str, language: str) -> list[Node]:
    sums: dict[str, float] = {}
    for (begin, end, _), amount in amounts.items():
        sums[end] = sums.get(end, 0.0) + amount
        if begin.startswith("h "):
            sums[begin] = sums.get(begin, 0.0) + amount
    last = {f"u {IDLE_NAME}": 1, f"u {UNATTRIBUTED_NAME}": 2, f"u {FACILITY}": 3}
    order = sorted(sums, key=lambda name: ("hsu".index(name[0]), last.get(name, 0), -sums[name], name))
    found = []
    for name in order:
        words, bracket = name[2:], ""
        value = format_estimate(sums[name], None, None, language).value
        row = bounds.get(words)
        if name[0] == "u" and row is not None:
            # What its own interval says of the whole holds in proportion for the part without the building.
            low, high = (sums[name] * row[end] / row["energy_kwh"] for end in ("energy_low_kwh", "energy_high_kwh"))
            shown = format_estimate(sums[name], low, high, language)
            value, bracket = shown.value, shown.interval
        kind = {1: "idle", 2: "nobody", 3: FACILITY}.get(last.get(name, 0), "data")
        label = say(language, "building_losses") if words == FACILITY else name_of(words, language).strip("()")
        label = label[:1].upper() + label[1:] if name in last else label
        told = f"{value}\u00a0{unit}" if name[0] == "h" else value
        found.append(Node(name, "hsu".index(name[0]), label, told, bracket, kind, outflow=name in last))
    return found


def _largest(rows: list[Row], column: str) -> dict[str, str]:
    """Each name, or one word for the smallest where there are too many."""
    sums: dict[str, float] = {}
    for row in rows:
        sums[row[column]] = sums.get(row[column], 0.0) + row["energy_kwh"]
    kept = sorted(sums, key=lambda name: (not name.startswith("("), -sums[name]))[: MAX_NODES if len(sums) > MAX_NODES else None]
    return {name: name if name in kept else f"… (+{len(sums) - len(kept)})" for name in sums}
