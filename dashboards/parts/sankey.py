"""This file shows where energy goes: host -> service -> use, with idle, building and what nobody explains in sight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dashboards.components import Drawing, Row, card, display_name, svg_document, table
from dashboards.parts.filters import period_label
from dashboards.parts.headlines import source_line
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.i18n.formatting import energy_unit, format_estimate, format_percent

MAX_NODES = 9  # of one column; the smallest are drawn together
FACILITY = "facility"
Amounts = dict[tuple[str, str, str], float]


def energy_flow_card(context: PageContext, whole: Row | None = None) -> Any:
    """The card; None where a filter leaves nothing to divide."""
    language = context.view.language
    if not context.role.sees_uses or set(dict(context.view.filters)) & {"site"}:
        return None
    rows = [r for r in context.rows(group=("host", "service", "use_case"), view="active") if r["energy_kwh"] and r["host"]]
    total = sum(row["energy_kwh"] for row in rows)
    if total <= 0:
        return None
    size, unit = energy_unit(total)
    amounts, aside = _flow_amounts(rows, size)
    bounds = {row["use_case"]: row for row in context.rows(group=("use_case",), view="active") if row["energy_kwh"]}
    nodes = _nodes(amounts, bounds, unit, language)
    finding = translate(language, "flows", share=format_percent(aside / total, language, floor=False))
    sub = translate(language, "flows_sub", unit=unit, period=period_label(context))
    found = [Flow(begin, end, amount, kind) for (begin, end, kind), amount in amounts.items()]
    heads = [translate(language, name) for name in ("flows_hosts", "flows_services", "flows_ends")]
    told = {node.name: node.label for node in nodes}
    body = [
        (told[flow.begin], told[flow.end], format_estimate(flow.amount, None, None, language).value)
        for flow in sorted(found, key=lambda flow: (flow.begin, -flow.amount))
    ]
    return card(
        finding,
        sub,
        Drawing(draw_sankey(found, nodes, heads), f"{finding}. {sub}"),
        language,
        sentences=[
            translate(
                language,
                "flows_sum",
                aside=format_estimate(aside / size, None, None, language).value,
                total=format_estimate(total / size, None, None, language).value,
                unit=unit,
            )
        ],
        table=table([translate(language, "from"), translate(language, "into"), unit], body, finding),
        data=context.data_links(group="host,service,use_case"),
        source=source_line(whole, language) if whole else "",
        wide=True,
        identity="flows-card",
    )


def _flow_amounts(rows: list[Row], size: float) -> tuple[Amounts, float]:
    """(from, to, kind) -> amount in the unit shown, and what serves no request [kWh]."""
    amounts: Amounts = {}
    aside = 0.0

    def add(begin: str, end: str, kwh: float, kind: str) -> None:
        if kwh > 0:
            amounts[begin, end, kind] = amounts.get((begin, end, kind), 0.0) + kwh / size

    hosts, services, uses = (_merge_smallest(rows, column) for column in ("host", "service", "use_case"))
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
        label = translate(language, "building_losses") if words == FACILITY else display_name(words, language).strip("()")
        label = label[:1].upper() + label[1:] if name in last else label
        told = f"{value}\u00a0{unit}" if name[0] == "h" else value
        found.append(Node(name, "hsu".index(name[0]), label, told, bracket, kind, outflow=name in last))
    return found


def _merge_smallest(rows: list[Row], column: str) -> dict[str, str]:
    """Each name, or one word for the smallest where there are too many."""
    sums: dict[str, float] = {}
    for row in rows:
        sums[row[column]] = sums.get(row[column], 0.0) + row["energy_kwh"]
    kept = sorted(sums, key=lambda name: (not name.startswith("("), -sums[name]))[: MAX_NODES if len(sums) > MAX_NODES else None]
    return {name: name if name in kept else f"… (+{len(sums) - len(kept)})" for name in sums}


WIDTH, TOTAL_HEIGHT, TOP = 1100.0, 430.0, 30.0
NODE_WIDTH, NODE_GAP, OUTFLOW_GAP = 9.0, 14.0, 30.0
COLUMNS = (124.0, 450.0, 790.0)  # left edges of hosts, services, ends
MIN_HEIGHT = 1.5  # no flow is too thin to be seen
LABEL_HEIGHT = 18.0  # what a name needs


@dataclass(frozen=True, slots=True)
class Flow:
    """An amount from one node to another; ``kind`` is data, idle, facility or nobody."""

    begin: str
    end: str
    amount: float
    kind: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its column (0, 1, 2), its words, and whether it stands below the hairline."""

    name: str
    column: int
    label: str
    shown: str  # the value
    interval: str = ""
    kind: str = "data"
    outflow: bool = False


@dataclass(slots=True)
class _PlacedNode:
    y: float
    height: float
    sent: float = 0.0
    received: float = 0.0


def draw_sankey(flows: Sequence[Flow], nodes: Sequence[Node], heads: Sequence[str]) -> str:
    """The picture as SVG text."""
    amounts: dict[str, float] = defaultdict(float)
    for flow in flows:
        amounts[flow.end] += flow.amount
        if not flow.begin.startswith("s "):  # a service passes on what it received
            amounts[flow.begin] += flow.amount
    total = sum(amounts[node.name] for node in nodes if node.column == 0) or 1.0
    scale = TOTAL_HEIGHT / total
    placed, height, hairline = _place_nodes(nodes, amounts, scale)
    parts = [
        _text(x, 14, words, "small", anchor) for x, words, anchor in zip(COLUMNS, heads, ("start", "start", "start"), strict=True)
    ]
    order = {node.name: place for place, node in enumerate(nodes)}
    parts += [_draw_ribbon(flow, placed, nodes, scale) for flow in sorted(flows, key=lambda f: (order[f.begin], order[f.end]))]
    if hairline:
        parts.append(_line(COLUMNS[2] + NODE_WIDTH + 8, hairline, WIDTH, hairline, "hairline"))
    for node in nodes:
        parts += _draw_node(node, placed[node.name])
    return svg_document(WIDTH, height, parts)


def _place_nodes(nodes: Sequence[Node], amounts: dict[str, float], scale: float) -> tuple[dict[str, _PlacedNode], float, float]:
    placed: dict[str, _PlacedNode] = {}
    hairline = 0.0
    bottom = TOP
    for column in range(3):
        y, passed = TOP, False
        for node in (n for n in nodes if n.column == column):
            height = max(amounts[node.name] * scale, MIN_HEIGHT)
            if node.outflow and not passed:
                hairline, passed, y = y + OUTFLOW_GAP / 2 - NODE_GAP, True, y + OUTFLOW_GAP - NODE_GAP
            placed[node.name] = _PlacedNode(y + max(LABEL_HEIGHT - height, 0) / 2, height)
            y += max(height, LABEL_HEIGHT) + NODE_GAP
        bottom = max(bottom, y)
    return placed, bottom, hairline


def _draw_ribbon(flow: Flow, placed: dict[str, _PlacedNode], nodes: Sequence[Node], scale: float) -> str:
    begin, end = placed[flow.begin], placed[flow.end]
    columns = {node.name: node.column for node in nodes}
    width = max(flow.amount * scale, 0.6)
    x1, x2 = COLUMNS[columns[flow.begin]] + NODE_WIDTH, COLUMNS[columns[flow.end]]
    y1, y2 = begin.y + begin.sent + width / 2, end.y + end.received + width / 2
    begin.sent += flow.amount * scale
    end.received += flow.amount * scale
    middle = (x1 + x2) / 2
    return _path(f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}", f"flow {flow.kind}", width)


def _draw_node(node: Node, at: _PlacedNode) -> list[str]:
    x, middle = COLUMNS[node.column], at.y + at.height / 2
    parts = [_rect(x, at.y, NODE_WIDTH, at.height, f"node {node.kind}")]
    if node.column == 0:
        if at.height >= 2 * LABEL_HEIGHT:
            parts += [
                _text(x - 10, middle - 2, node.label, "strong", "end"),
                _text(x - 10, middle + 16, node.shown, "quiet small", "end"),
            ]
        else:
            parts.append(_text(x - 10, middle + 5, f"{node.label} {node.shown}", "strong", "end"))
        return parts
    halo = " halo" if node.column == 1 else ""
    parts.append(_text(x + NODE_WIDTH + 10, middle + 5, node.shown, f"strong{halo}"))
    parts.append(_text(x + NODE_WIDTH + 22 + 8.2 * len(node.shown), middle + 5, node.label, halo.strip()))
    if node.interval:
        parts.append(_text(WIDTH, middle + 5, node.interval, "quiet small", "end"))
    return parts


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words at a place; ``kind`` are classes of the style sheet."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" class="{kind}"/>'


def _path(points: str, kind: str, width: float | None = None) -> str:
    """A path; ``width`` is that of its stroke."""
    stroke = f' stroke-width="{width:.2f}"' if width is not None else ""
    return f'<path d="{points}" class="{kind}"{stroke}/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
