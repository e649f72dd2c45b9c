"""This file draws rows as Plotly figures; colours of lines and texts come from the style sheet, in both themes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import plotly.graph_objects as go

Rows = list[dict[str, Any]]


_DATES = {"fr": "%d/%m\n%H:%M", "en": "%b %d\n%H:%M"}
_DAYS = {"fr": "%d/%m", "en": "%b %d"}


def _whole(rows: Rows) -> list[bool]:
    """Which periods are as long as the longest; one that a period's edge or the clock cuts is not."""
    lengths = [
        (datetime.fromisoformat(row["period_end"]) - datetime.fromisoformat(row["period_start"])).total_seconds() for row in rows
    ]
    # A day of 23 hours, when clocks change, is a whole one.
    return [length > max(lengths) * 0.9 for length in lengths]


def trend(
    rows: Rows, size_kwh: float, unit: str, zone: ZoneInfo, language: str, notes: Sequence[tuple[datetime, str]] = ()
) -> go.Figure:
    """Energy by period with its interval; a period without a reading is a gap, never a zero.

    A line joins only neighbouring periods; ``size_kwh`` is the unit shown.
    """
    times, value, low, high = [], [], [], []
    for row in rows:
        times.append(datetime.fromisoformat(row["period_start"]).astimezone(zone))
        known = row["energy_kwh"] is not None
        value.append(row["energy_kwh"] / size_kwh if known else None)
        low.append(row["energy_low_kwh"] / size_kwh if known else None)
        high.append(row["energy_high_kwh"] / size_kwh if known else None)
    figure = go.Figure()
    quiet: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=times, y=low, **quiet)
    figure.add_scatter(x=times, y=high, fill="tonexty", fillcolor="rgba(79,143,216,.3)", **quiet)
    whole = _whole(rows)
    beside = [any(not w for w in whole[max(i - 1, 0) : i + 2]) for i in range(len(rows))]
    hover = f"%{{x}}<br>%{{y:.4g}} {unit}<extra></extra>"
    line = {"color": "#12436D", "width": 2.5}
    # A period that has only just begun is smaller for that alone: dashed, with a hollow point.
    figure.add_scatter(
        x=times, y=[v if near else None for v, near in zip(value, beside, strict=True)], mode="lines+markers",
        line={**line, "dash": "6px,5px"}, marker={"size": 8, "symbol": "circle-open", "line": {"width": 2}},
        showlegend=False, hovertemplate=hover,
    )  # fmt: skip
    figure.add_scatter(
        x=times, y=[v if w else None for v, w in zip(value, whole, strict=True)], mode="lines+markers", line=line,
        marker={"size": 7}, showlegend=False, hovertemplate=hover,
    )  # fmt: skip
    if len(rows) == 1 and value[0] is not None and high[0] is not None and low[0] is not None:
        # A band needs two points: a lone one bears its interval as a whisker.
        spread = {"type": "data", "array": [high[0] - value[0]], "arrayminus": [value[0] - low[0]], "thickness": 1.4}
        figure.data[-1].update(error_y=spread)
    figure.update_layout(
        template="none", height=300, margin={"l": 56, "r": 16, "t": 8, "b": 40}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"size": 13.5}, yaxis={"rangemode": "tozero", "title": unit, "nticks": 5},
        xaxis={"showgrid": False}, dragmode=False,
    )  # fmt: skip
    for number, (at, _) in enumerate(notes, 1):
        figure.add_vline(x=at, line={"width": 1, "dash": "2px,2px", "color": "#78828F"})
        figure.add_annotation(x=at, yref="paper", y=1, text=f" {number}", showarrow=False, xanchor="left", yanchor="top")
    if rows:
        midnights = all(time.hour == 0 for time in times[1:])
        figure.update_xaxes(tickformat=(_DAYS if midnights and len(rows) > 1 else _DATES)[language])
        ends = rows[0]["period_start"], rows[-1]["period_end"]
        first, last = (datetime.fromisoformat(end).astimezone(zone) for end in ends)
        margin = (last - first) / 20
        figure.update_xaxes(range=[first - margin, last + margin], nticks=8)
    return figure
