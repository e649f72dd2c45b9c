"""This file draws what Plotly draws best: flows and powers; the trend stands in figures.py. Colours hold on both papers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import plotly.graph_objects as go

# Of the visual tokens: at least 3:1 on the light and on the dark paper.
DATA, IDLE, BUILDING = "#4F8FD8", "#78828F", "#A87F6E"
_FAINT = {DATA: "rgba(79,143,216,.38)", IDLE: "rgba(120,130,143,.38)", BUILDING: "rgba(168,127,110,.38)"}
_LAYOUT: dict[str, Any] = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"size": 13.5},
    "dragmode": False,
}
MOST_POINTS = 500  # of one trace


def sankey(flows: Sequence[tuple[str, str, float, str]], labels: dict[str, str]) -> go.Figure:
    """Flows (from, to, amount, colour) between nodes; ``labels`` says what stands beside each node."""
    nodes = list(dict.fromkeys(name for flow in flows for name in flow[:2]))
    place = {name: number for number, name in enumerate(nodes)}
    colours = {
        name: next(flow[3] for flow in flows if name == flow[1]) if any(name == f[1] for f in flows) else DATA for name in nodes
    }
    figure = go.Figure(
        go.Sankey(
            arrangement="snap",
            hoverinfo="skip",
            node={
                "label": [labels[name] for name in nodes],
                "color": [colours[name] for name in nodes],
                "pad": 18,
                "thickness": 12,
                "line": {"width": 0},
            },
            link={
                "source": [place[f[0]] for f in flows],
                "target": [place[f[1]] for f in flows],
                "value": [f[2] for f in flows],
                "color": [_FAINT[f[3]] for f in flows],
            },
        )
    )
    figure.update_layout(**_LAYOUT, height=max(320, 46 * len(nodes)), margin={"l": 8, "r": 8, "t": 8, "b": 8})
    return figure


def powers(traces: dict[str, tuple[list[datetime], list[float | None]]]) -> go.Figure:
    """Watts of devices over time; a silence is a gap."""
    figure = go.Figure()
    dashes = ("solid", "dash", "dot", "dashdot")
    for number, (name, (times, watts)) in enumerate(sorted(traces.items())):
        step = max(len(times) // MOST_POINTS, 1)
        figure.add_scatter(
            x=times[::step],
            y=watts[::step],
            name=name,
            mode="lines",
            connectgaps=False,
            line={"width": 1.3, "color": DATA if number % 2 == 0 else BUILDING, "dash": dashes[number // 2 % 4]},
        )
    figure.update_layout(
        **_LAYOUT,
        height=300,
        margin={"l": 56, "r": 16, "t": 8, "b": 40},
        yaxis={"rangemode": "tozero", "title": "W", "nticks": 5},
        xaxis={"showgrid": False},
        showlegend=len(traces) > 1,
        legend={"orientation": "h", "y": 1.15},
        uirevision="powers",
    )
    return figure
