"""Sankey diagram of energy from hosts over services to uses, idle energy, the building and unattributed energy."""

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
from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.i18n.formatting import energy_unit, format_estimate, format_percent

MAX_NODES = 9  # of one column; the smallest are merged
FACILITY = "facility"
WIDTH, TOTAL_HEIGHT, TOP = 1100.0, 430.0, 30.0
NODE_WIDTH, NODE_GAP, OUTFLOW_GAP = 9.0, 14.0, 30.0
COLUMNS = (124.0, 450.0, 790.0)  # left edges of hosts, services, ends
MIN_HEIGHT = 1.5  # of a node [px]; keeps the smallest visible
LABEL_HEIGHT = 18.0  # of a label [px]
Amounts = dict[tuple[str, str, str], float]


def energy_flow_card(context: PageContext, total_row: Row) -> Any:
    """Card of the energy flows; None without energy, and for roles that may not see use cases."""
    language = context.view.language
    if not context.role.sees_uses or set(dict(context.view.filters)) & {"site"}:
        return None
    rows = [
        row for row in context.rows(group=("host", "service", "use_case"), view="active") if row["energy_kwh"] and row["host"]
    ]
    total = sum(row["energy_kwh"] for row in rows)
    if total <= 0:
        return None
    size, unit = energy_unit(total)
    amounts, unserved_kwh = _flow_amounts(rows, size)
    bounds = {row["use_case"]: row for row in context.rows(group=("use_case",), view="active") if row["energy_kwh"]}
    nodes = _nodes(amounts, bounds, unit, language)
    title = translate(language, "flows", share=format_percent(unserved_kwh / total, language, floor=False))
    subtitle = translate(language, "flows_sub", unit=unit, period=period_label(context))
    flows = [Flow(begin, end, amount, kind) for (begin, end, kind), amount in amounts.items()]
    heads = [translate(language, name) for name in ("flows_hosts", "flows_services", "flows_ends")]
    labels = {node.name: node.label for node in nodes}
    body = [
        (labels[flow.begin], labels[flow.end], format_estimate(flow.amount, None, None, language).value)
        for flow in sorted(flows, key=lambda flow: (flow.begin, -flow.amount))
    ]
    return card(
        title,
        subtitle,
        Drawing(draw_sankey(flows, nodes, heads), f"{title}. {subtitle}"),
        language,
        sentences=[
            translate(
                language,
                "flows_sum",
                aside=format_estimate(unserved_kwh / size, None, None, language).value,
                total=format_estimate(total / size, None, None, language).value,
                unit=unit,
            )
        ],
        table=table([translate(language, "from"), translate(language, "into"), unit], body, title),
        data=context.data_links(group="host,service,use_case"),
        source=source_line(total_row, language),
        wide=True,
        element_id="flows-card",
    )


def _flow_amounts(rows: list[Row], size: float) -> tuple[Amounts, float]:
    """Amounts by (from, to, kind) in units of ``size`` kWh, and the energy that serves no request [kWh]."""
    amounts: Amounts = {}
    unserved_kwh = 0.0

    def add(begin: str, end: str, kwh: float, kind: str) -> None:
        if kwh > 0:
            amounts[begin, end, kind] = amounts.get((begin, end, kind), 0.0) + kwh / size

    hosts, services, uses = (_merge_smallest(rows, column) for column in ("host", "service", "use_case"))
    kinds = {IDLE_NAME: "idle", UNATTRIBUTED_NAME: "unattributed"}
    for row in rows:
        host, service, use = f"h {hosts[row['host']]}", f"s {services[row['service']]}", f"u {uses[row['use_case']]}"
        it_kwh = row["energy_kwh"] - row["facility_kwh"]
        kind = kinds.get(row["use_case"], "data")
        add(host, f"u {FACILITY}", row["facility_kwh"], FACILITY)
        unserved_kwh += row["facility_kwh"] + (it_kwh if kind != "data" else 0.0)
        if row["service"] == UNATTRIBUTED_NAME:
            add(host, f"u {UNATTRIBUTED_NAME}", it_kwh, "unattributed")
        else:
            add(host, service, it_kwh, "data")
            add(service, use, it_kwh, kind)
    return amounts, unserved_kwh


def _nodes(amounts: Amounts, bounds: dict[str, Row], unit: str, language: str) -> list[Node]:
    sums: dict[str, float] = {}
    for (begin, end, _), amount in amounts.items():
        sums[end] = sums.get(end, 0.0) + amount
        if begin.startswith("h "):
            sums[begin] = sums.get(begin, 0.0) + amount
    last = {f"u {IDLE_NAME}": 1, f"u {UNATTRIBUTED_NAME}": 2, f"u {FACILITY}": 3}
    order = sorted(sums, key=lambda name: ("hsu".index(name[0]), last.get(name, 0), -sums[name], name))
    nodes = []
    for name in order:
        entity, interval = name[2:], ""
        value = format_estimate(sums[name], None, None, language).value
        row = bounds.get(entity)
        if name[0] == "u" and row is not None:
            # The relative interval of a use case holds for its part without the building too.
            low, high = (sums[name] * row[end] / row["energy_kwh"] for end in ("energy_low_kwh", "energy_high_kwh"))
            text = format_estimate(sums[name], low, high, language)
            value, interval = text.value, text.interval
        kind = {1: "idle", 2: "unattributed", 3: FACILITY}.get(last.get(name, 0), "data")
        label = translate(language, "building_losses") if entity == FACILITY else display_name(entity, language).strip("()")
        label = label[:1].upper() + label[1:] if name in last else label
        value_text = f"{value}\u00a0{unit}" if name[0] == "h" else value
        nodes.append(Node(name, "hsu".index(name[0]), label, value_text, interval, kind, outflow=name in last))
    return nodes


def _merge_smallest(rows: list[Row], column: str) -> dict[str, str]:
    """Label of each name; the smallest share one label if there are too many."""
    sums: dict[str, float] = {}
    for row in rows:
        sums[row[column]] = sums.get(row[column], 0.0) + row["energy_kwh"]
    largest = sorted(sums, key=lambda name: (not name.startswith("("), -sums[name]))[
        : MAX_NODES if len(sums) > MAX_NODES else None
    ]
    return {name: name if name in largest else f"… (+{len(sums) - len(largest)})" for name in sums}


@dataclass(frozen=True, slots=True)
class Flow:
    """Amount from one node to another; ``kind`` is data, idle, facility or unattributed."""

    begin: str
    end: str
    amount: float
    kind: str


@dataclass(frozen=True, slots=True)
class Node:
    """Node of the diagram: its column (0, 1, 2), its texts, and whether it lies below the hairline."""

    name: str
    column: int
    label: str
    value: str  # with its unit for hosts
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
    """Lay out and draw the diagram as SVG text."""
    amounts: dict[str, float] = defaultdict(float)
    for flow in flows:
        amounts[flow.end] += flow.amount
        if not flow.begin.startswith("s "):  # a service sends what it receives, so its amount is already counted
            amounts[flow.begin] += flow.amount
    total = sum(amounts[node.name] for node in nodes if node.column == 0) or 1.0
    scale = TOTAL_HEIGHT / total
    positions, height, hairline = _place_nodes(nodes, amounts, scale)
    elements = [
        _text(x, 14, words, "small", anchor) for x, words, anchor in zip(COLUMNS, heads, ("start", "start", "start"), strict=True)
    ]
    ranks = {node.name: rank for rank, node in enumerate(nodes)}
    elements += [
        _draw_ribbon(flow, positions, nodes, scale)
        for flow in sorted(flows, key=lambda ribbon: (ranks[ribbon.begin], ranks[ribbon.end]))
    ]
    if hairline:
        elements.append(_line(COLUMNS[2] + NODE_WIDTH + 8, hairline, WIDTH, hairline, "hairline"))
    for node in nodes:
        elements += _draw_node(node, positions[node.name])
    return svg_document(WIDTH, height, elements)


def _place_nodes(nodes: Sequence[Node], amounts: dict[str, float], scale: float) -> tuple[dict[str, _PlacedNode], float, float]:
    positions: dict[str, _PlacedNode] = {}
    hairline = 0.0
    bottom = TOP
    for column in range(3):
        y, below_hairline = TOP, False
        for node in (n for n in nodes if n.column == column):
            height = max(amounts[node.name] * scale, MIN_HEIGHT)
            if node.outflow and not below_hairline:
                hairline, below_hairline, y = y + OUTFLOW_GAP / 2 - NODE_GAP, True, y + OUTFLOW_GAP - NODE_GAP
            positions[node.name] = _PlacedNode(y + max(LABEL_HEIGHT - height, 0) / 2, height)
            y += max(height, LABEL_HEIGHT) + NODE_GAP
        bottom = max(bottom, y)
    return positions, bottom, hairline


def _draw_ribbon(flow: Flow, positions: dict[str, _PlacedNode], nodes: Sequence[Node], scale: float) -> str:
    begin, end = positions[flow.begin], positions[flow.end]
    columns = {node.name: node.column for node in nodes}
    width = max(flow.amount * scale, 0.6)
    x1, x2 = COLUMNS[columns[flow.begin]] + NODE_WIDTH, COLUMNS[columns[flow.end]]
    y1, y2 = begin.y + begin.sent + width / 2, end.y + end.received + width / 2
    begin.sent += flow.amount * scale
    end.received += flow.amount * scale
    middle = (x1 + x2) / 2
    return _path(f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}", f"flow {flow.kind}", width)


def _draw_node(node: Node, position: _PlacedNode) -> list[str]:
    x, middle = COLUMNS[node.column], position.y + position.height / 2
    elements = [_rect(x, position.y, NODE_WIDTH, position.height, f"node {node.kind}")]
    if node.column == 0:
        if position.height >= 2 * LABEL_HEIGHT:
            elements += [
                _text(x - 10, middle - 2, node.label, "strong", "end"),
                _text(x - 10, middle + 16, node.value, "quiet small", "end"),
            ]
        else:
            elements.append(_text(x - 10, middle + 5, f"{node.label} {node.value}", "strong", "end"))
        return elements
    halo = " halo" if node.column == 1 else ""
    elements.append(_text(x + NODE_WIDTH + 10, middle + 5, node.value, f"strong{halo}"))
    elements.append(_text(x + NODE_WIDTH + 22 + 8.2 * len(node.value), middle + 5, node.label, halo.strip()))
    if node.interval:
        elements.append(_text(WIDTH, middle + 5, node.interval, "quiet small", "end"))
    return elements


def _text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """SVG text; ``kind`` are CSS classes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    """SVG rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" class="{kind}"/>'


def _path(points: str, kind: str, width: float | None = None) -> str:
    """SVG path; ``width`` is that of its stroke [px]."""
    stroke = f' stroke-width="{width:.2f}"' if width is not None else ""
    return f'<path d="{points}" class="{kind}"{stroke}/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """SVG line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
