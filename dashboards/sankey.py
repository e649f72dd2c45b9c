"""This file lays out flows from hosts over services to uses, with what goes elsewhere last, below a hairline. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.svg_component import document, line, path, rect, text

WIDTH, BAND, TOP = 1100.0, 430.0, 30.0
NODE, GAP, OUT_GAP = 9.0, 14.0, 30.0
COLUMNS = (124.0, 450.0, 790.0)  # left edges of hosts, services, ends
MIN = 1.5  # no flow is too thin to be seen
LABEL = 18.0  # what a name needs


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
class _Placed:
    y: float
    height: float
    sent: float = 0.0
    received: float = 0.0


def draw(flows: Sequence[Flow], nodes: Sequence[Node], heads: Sequence[str]) -> str:
    """The picture as SVG text."""
    amounts: dict[str, float] = defaultdict(float)
    for flow in flows:
        amounts[flow.end] += flow.amount
        if not flow.begin.startswith("s "):  # a service passes on what it received
            amounts[flow.begin] += flow.amount
    total = sum(amounts[node.name] for node in nodes if node.column == 0) or 1.0
    scale = BAND / total
    placed, height, hairline = _place(nodes, amounts, scale)
    parts = [
        text(x, 14, words, "small", anchor) for x, words, anchor in zip(COLUMNS, heads, ("start", "start", "start"), strict=True)
    ]
    order = {node.name: place for place, node in enumerate(nodes)}
    parts += [_ribbon(flow, placed, nodes, scale) for flow in sorted(flows, key=lambda f: (order[f.begin], order[f.end]))]
    if hairline:
        parts.append(line(COLUMNS[2] + NODE + 8, hairline, WIDTH, hairline, "hairline"))
    for node in nodes:
        parts += _node(node, placed[node.name])
    return document(WIDTH, height, parts)


def _place(nodes: Sequence[Node], amounts: dict[str, float], scale: float) -> tuple[dict[str, _Placed], float, float]:
    placed: dict[str, _Placed] = {}
    hairline = 0.0
    bottom = TOP
    for column in range(3):
        y, passed = TOP, False
        for node in (n for n in nodes if n.column == column):
            height = max(amounts[node.name] * scale, MIN)
            if node.outflow and not passed:
                hairline, passed, y = y + OUT_GAP / 2 - GAP, True, y + OUT_GAP - GAP
            placed[node.name] = _Placed(y + max(LABEL - height, 0) / 2, height)
            y += max(height, LABEL) + GAP
        bottom = max(bottom, y)
    return placed, bottom, hairline


def _ribbon(flow: Flow, placed: dict[str, _Placed], nodes: Sequence[Node], scale: float) -> str:
    begin, end = placed[flow.begin], placed[flow.end]
    columns = {node.name: node.column for node in nodes}
    width = max(flow.amount * scale, 0.6)
    x1, x2 = COLUMNS[columns[flow.begin]] + NODE, COLUMNS[columns[flow.end]]
    y1, y2 = begin.y + begin.sent + width / 2, end.y + end.received + width / 2
    begin.sent += flow.amount * scale
    end.received += flow.amount * scale
    middle = (x1 + x2) / 2
    return path(f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}", f"flow {flow.kind}", width)


def _node(node: Node, at: _Placed) -> list[str]:
    x, middle = COLUMNS[node.column], at.y + at.height / 2
    parts = [rect(x, at.y, NODE, at.height, f"node {node.kind}")]
    if node.column == 0:
        if at.height >= 2 * LABEL:
            parts += [
                text(x - 10, middle - 2, node.label, "strong", "end"),
                text(x - 10, middle + 16, node.shown, "quiet small", "end"),
            ]
        else:
            parts.append(text(x - 10, middle + 5, f"{node.label} {node.shown}", "strong", "end"))
        return parts
    halo = " halo" if node.column == 1 else ""
    parts.append(text(x + NODE + 10, middle + 5, node.shown, f"strong{halo}"))
    parts.append(text(x + NODE + 22 + 8.2 * len(node.shown), middle + 5, node.label, halo.strip()))
    if node.interval:
        parts.append(text(WIDTH, middle + 5, node.interval, "quiet small", "end"))
    return parts
