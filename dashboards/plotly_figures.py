"""Plotly figures from rows; the style sheet sets the colours of lines and texts in both themes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
from babel.dates import format_date, format_datetime, get_day_names, get_month_names

from dashboards.translations import translate
from footprint.i18n.formatting import format_estimate

Rows = list[dict[str, Any]]
MAX_POINTS = 500  # of one trace
MAX_TICKS = 9
MIN_COVERAGE = 0.5
# Colours that CSS does not reach: contrast of at least 3:1 on light and dark backgrounds.
DATA, IDLE, FACILITY, PREFILL = "#4F8FD8", "#78828F", "#A87F6E", "#E05C14"
_LAYOUT: dict[str, Any] = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"size": 13},
    "dragmode": False,
    "showlegend": False,
}
_INVISIBLE_LINE: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One period of a series; ``value`` is None if its coverage is below one half."""

    at: datetime
    end: datetime
    value: float | None
    low: float | None
    high: float | None
    open: bool
    method: str


def trend_points(rows: Rows, size_kwh: float, zone: ZoneInfo) -> list[TrendPoint]:
    """Points in time order, with an empty point for each gap; periods with a coverage below one half have no value."""
    points: list[TrendPoint] = []
    full_length = _full_length(rows)
    for row, is_full in zip(rows, full_length, strict=True):
        start, end = (datetime.fromisoformat(row[f"period_{name}"]).astimezone(zone) for name in ("start", "end"))
        if points and start > points[-1].end:
            points.append(TrendPoint(points[-1].end, start, None, None, None, open=False, method=""))
        covered = row["energy_kwh"] is not None and (row.get("coverage") is None or row["coverage"] >= MIN_COVERAGE)
        value, low, high = (
            (row[name] / size_kwh if covered else None) for name in ("energy_kwh", "energy_low_kwh", "energy_high_kwh")
        )
        is_open = not is_full or "provisional" in (row.get("status") or "")
        points.append(TrendPoint(start, end, value, low, high, open=is_open, method=row.get("method_version") or ""))
    return points


def _full_length(rows: Rows) -> list[bool]:
    """Whether each period has full length, and is not cut by the bounds of the query or by now."""
    lengths = [
        (datetime.fromisoformat(row["period_end"]) - datetime.fromisoformat(row["period_start"])).total_seconds() for row in rows
    ]
    # A day of 23 hours, when clocks change, has full length.
    return [length > max(lengths) * 0.9 for length in lengths]


def trend_figure(
    rows: Rows, size_kwh: float, unit: str, zone: ZoneInfo, language: str, annotations: Sequence[tuple[datetime, str]] = ()
) -> go.Figure:
    """Energy by period with its interval; a period without readings is a shaded gap, never a zero.

    The line joins adjacent periods only. ``size_kwh`` is the unit shown [kWh]. Open periods are dashed with hollow points.
    """
    points = trend_points(rows, size_kwh, zone)
    figure = go.Figure()
    times = [p.at for p in points]
    figure.add_scatter(x=times, y=[p.low for p in points], **_INVISIBLE_LINE)
    figure.add_scatter(x=times, y=[p.high for p in points], fill="tonexty", fillcolor="rgba(79,143,216,.3)", **_INVISIBLE_LINE)
    near_open = [any(p.open for p in points[max(i - 1, 0) : i + 2]) for i in range(len(points))]
    hover = f"%{{x}}<br>%{{y:.4g}} {unit}<extra></extra>"
    solid = [None if p.open else p.value for p in points]
    dashed = [p.value if is_near else None for p, is_near in zip(points, near_open, strict=True)]
    hollow = {"size": 8, "symbol": "circle-open", "line": {"width": 2}, "opacity": [1.0 if p.open else 0.0 for p in points]}
    show_markers = len(points) <= 40
    figure.add_scatter(
        x=times,
        y=solid,
        mode="lines+markers" if show_markers else "lines",
        line={"color": DATA, "width": 2.5},
        marker={"size": 6},
        hovertemplate=hover,
    )
    figure.add_scatter(
        x=times,
        y=dashed,
        mode="lines+markers",
        line={"color": DATA, "width": 2.5, "dash": "6px,5px"},
        marker=hollow,
        hovertemplate=hover,
    )
    known = [p for p in points if p.value is not None]
    if len(known) == 1:
        # A band needs two points: a single one gets an error bar.
        p = known[0]
        error = {
            "type": "data",
            "array": [(p.high or 0) - (p.value or 0)],
            "arrayminus": [(p.value or 0) - (p.low or 0)],
            "thickness": 1.4,
        }
        figure.add_scatter(x=[p.at], y=[p.value], mode="markers", marker={"size": 8}, error_y=error, hovertemplate=hover)
    figure.update_layout(**_LAYOUT, height=340, margin={"l": 48, "r": 132, "t": 34, "b": 46}, uirevision="trend")
    figure.update_yaxes(rangemode="tozero", nticks=5, zeroline=True, showline=False, ticks="")
    figure.add_annotation(x=0, xref="paper", y=1.07, yref="paper", text=unit, showarrow=False, xanchor="right", xshift=-12)
    _mark_silences(figure, points, language)
    _mark_method_breaks(figure, points, language)
    _mark_annotations(figure, annotations)
    if known:
        _label_last_point(figure, known[-1], unit, language, len(rows))
        span = max(p.end for p in points) - times[0]
        figure.update_xaxes(range=[times[0] - span / 40, max(times) + span / 40], **time_axis())
    return figure


def _mark_silences(figure: go.Figure, points: list[TrendPoint], language: str) -> None:
    """Shade periods without a value and label them [x]."""
    for p in points:
        if p.value is not None:
            continue
        figure.add_vrect(x0=p.at, x1=p.end, fillcolor="#F3F1EB", line_width=0, layer="below")
        figure.add_annotation(
            x=p.at + (p.end - p.at) / 2,
            yref="paper",
            y=1,
            yanchor="bottom",
            text=f"{translate(language, 'trend_missing')}<br>[x]",
            showarrow=False,
        )


def _mark_method_breaks(figure: go.Figure, points: list[TrendPoint], language: str) -> None:
    """Draw a line where the method version changes, with both versions."""
    with_method = [p for p in points if p.method]
    for before, after in itertools.pairwise(with_method):
        if before.method != after.method:
            middle = before.at + (after.at - before.at) / 2
            figure.add_vline(x=middle, line={"width": 1, "color": IDLE}, layer="above")
            words = f"{translate(language, 'method').lower()} {before.method} | {after.method}"
            figure.add_annotation(x=middle, yref="paper", y=1.09, text=words, showarrow=False, yanchor="bottom")


# Not <b> in the text: Plotly writes tags as style attributes, which the content security policy forbids.
BOLD = {"weight": 700}


def _mark_annotations(figure: go.Figure, annotations: Sequence[tuple[datetime, str]]) -> None:
    for number, (at, _) in enumerate(annotations, 1):
        figure.add_vline(x=at, line={"width": 1, "dash": "2px,2px", "color": IDLE}, layer="above")
        figure.add_annotation(
            x=at, yref="paper", y=1, text=str(number), font=BOLD, showarrow=False, xanchor="left", yanchor="top", xshift=4
        )


def _label_last_point(figure: go.Figure, p: TrendPoint, unit: str, language: str, count: int) -> None:
    """Label the last point with its value, interval and period."""
    text = format_estimate(p.value or 0.0, p.low, p.high, language)
    when = format_date(p.at.date(), "MMM" if (p.end - p.at).days > 20 else "d MMM", locale=language)
    if (p.end - p.at).total_seconds() <= 5400 and count > 1:
        when = format_datetime(p.at, "HH:mm", locale=language)
    lines = [text.interval, f"{when}{', ' + translate(language, 'provisional_word') if p.open else ''}"]
    place: dict[str, Any] = {"x": p.at, "y": p.value, "showarrow": False, "xanchor": "left", "align": "left", "xshift": 14}
    figure.add_annotation(text=f"{text.value}\u00a0{unit}", font=BOLD, yanchor="bottom", **place)
    figure.add_annotation(text="<br>".join(filter(None, lines)), yanchor="top", **place)


def time_axis() -> dict[str, Any]:
    """Axis with ticks of hours, days or months by zoom, and the day or year below the first."""
    stops = (
        {"dtickrange": [None, 43_200_000], "value": "%H:%M\n%-d %b"},
        {"dtickrange": [43_200_000, "M1"], "value": "%-d %b\n%Y"},
        {"dtickrange": ["M1", None], "value": "%b\n%Y"},
    )
    return {"showgrid": False, "zeroline": False, "nticks": MAX_TICKS, "tickformatstops": list(stops), "tickangle": 0}


def plotly_locale(language: str) -> dict[str, Any]:
    """Plotly locale of a language from CLDR, so that no locale file is downloaded."""
    months = {width: list(get_month_names(width, locale=language).values()) for width in ("wide", "abbreviated")}
    days = {width: list(get_day_names(width, locale=language).values()) for width in ("wide", "abbreviated")}
    words = {
        "months": months["wide"],
        "shortMonths": months["abbreviated"],
        "days": days["wide"][-1:] + days["wide"][:-1],
        "shortDays": days["abbreviated"][-1:] + days["abbreviated"][:-1],
        "decimal": "," if language == "fr" else ".",
        "thousands": "\u202f" if language == "fr" else ",",
    }
    return {"locale": language, "locales": {language: {"dictionary": {}, "format": words}}}


def distribution_figure(slots: Sequence[tuple[str, float, float, float]], unit: str, zone_words: str) -> go.Figure:
    """Median and quartiles by slot; slots are (name, lower quartile, median, upper quartile)."""
    names = [slot[0] for slot in slots]
    figure = go.Figure()
    figure.add_scatter(x=names, y=[slot[1] for slot in slots], **_INVISIBLE_LINE)
    figure.add_scatter(x=names, y=[slot[3] for slot in slots], fill="tonexty", fillcolor="rgba(79,143,216,.3)", **_INVISIBLE_LINE)
    figure.add_scatter(
        x=names, y=[slot[2] for slot in slots], mode="lines+markers", line={"color": DATA, "width": 2.5}, marker={"size": 6}
    )
    figure.add_scatter(x=[names[0]], y=[None], mode="markers")
    figure.update_layout(**_LAYOUT, height=300, margin={"l": 48, "r": 16, "t": 28, "b": 40}, uirevision="spread")
    figure.update_yaxes(rangemode="tozero", nticks=5)
    figure.update_xaxes(showgrid=False, type="category", nticks=MAX_TICKS, title={"text": zone_words, "font": {"size": 12.5}})
    figure.add_annotation(x=0, xref="paper", y=1.1, yref="paper", text=unit, showarrow=False, xanchor="left", xshift=-40)
    return figure


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """Request under a power chart: its row, start, first token (if known) and end."""

    row: int
    start: datetime
    first: datetime | None
    end: datetime


def power_chart(
    traces: dict[str, tuple[list[datetime], list[float | None]]],
    requests: Sequence[RequestSpan],
    silences: Sequence[tuple[datetime, datetime]],
    language: str,
) -> go.Figure:
    """Power of devices [W] over time, and below it, on the same time axis, the requests."""
    figure = go.Figure()
    dashes = ("solid", "dash", "dot", "dashdot")
    labels: list[tuple[float, str]] = []
    for number, (name, (times, watts)) in enumerate(sorted(traces.items())):
        step = -(-len(times) // MAX_POINTS) or 1
        figure.add_scatter(
            x=times[::step],
            y=watts[::step],
            name=name,
            mode="lines",
            connectgaps=False,
            line={"width": 1.3, "color": DATA if number % 2 == 0 else FACILITY, "dash": dashes[number // 2 % 4]},
        )
        last = next((w for w in reversed(watts) if w is not None), None)
        if last is not None:
            labels.append((last, name))
    for prefill, colour in ((True, PREFILL), (False, DATA)):
        xs, ys = _request_segments(requests, prefill=prefill)
        figure.add_scatter(
            x=xs, y=ys, yaxis="y2", mode="lines", line={"width": 5, "color": colour}, connectgaps=False, hoverinfo="skip"
        )
    has_requests = bool(requests)
    figure.update_layout(
        **_LAYOUT, height=380 if has_requests else 300, margin={"l": 52, "r": 132, "t": 28, "b": 36}, uirevision="powers"
    )
    figure.update_layout(
        yaxis={"rangemode": "tozero", "nticks": 5, "domain": [0.3, 1] if has_requests else [0, 1]},
        yaxis2={"visible": False, "domain": [0, 0.2], "autorange": "reversed"},
        xaxis={**time_axis(), "anchor": "free", "position": 0},
    )
    figure.add_annotation(x=0, xref="paper", y=1.1, yref="paper", text="W", showarrow=False, xanchor="right", xshift=-12)
    if has_requests:
        figure.add_annotation(
            x=0,
            xref="paper",
            y=0.12,
            yref="paper",
            text=translate(language, "requests_short"),
            showarrow=False,
            xanchor="right",
            xshift=-8,
        )
    for begin, end in silences:
        figure.add_vrect(x0=begin, x1=end, fillcolor="#F3F1EB", line_width=0, layer="below")
        words = translate(language, "silent_for", seconds=f"{(end - begin).total_seconds():.0f}")
        figure.add_annotation(x=begin + (end - begin) / 2, yref="paper", y=1.02, text=words, showarrow=False, yanchor="bottom")
    _label_traces(figure, labels)
    return figure


def _label_traces(figure: go.Figure, labels: list[tuple[float, str]]) -> None:
    """Label traces at their ends without overlap."""
    if not labels:
        return
    largest = max(*(at for at, _ in labels), 1.0)
    y = -1.0
    for at, name in sorted(labels):
        y = max(at, y + largest * 0.09)
        figure.add_annotation(x=1, xref="paper", y=y, text=name, showarrow=False, xanchor="left", xshift=8)


def _request_segments(requests: Sequence[RequestSpan], *, prefill: bool) -> tuple[list[Any], list[Any]]:
    xs: list[Any] = []
    ys: list[Any] = []
    for request in requests:
        begin, end = (request.start, request.first) if prefill else (request.first or request.start, request.end)
        if begin is None or end is None or begin >= end:
            continue
        xs += [begin, end, None]
        ys += [request.row, request.row, None]
    return xs[:MAX_POINTS], ys[:MAX_POINTS]


def wall_figure(
    parts_w: Sequence[float], wall_w: Sequence[float], slope: float | None, intercept_w: float, language: str
) -> go.Figure:
    """Power of the whole server [W] over the sum of its parts [W], a point a window, with the fitted line."""
    figure = go.Figure()
    step = -(-len(parts_w) // MAX_POINTS) or 1
    hover = "%{x:.4g} W → %{y:.4g} W<extra></extra>"
    figure.add_scatter(
        x=list(parts_w)[::step],
        y=list(wall_w)[::step],
        mode="markers",
        marker={"size": 6, "color": DATA, "opacity": 0.6},
        hovertemplate=hover,
    )
    if slope is not None:
        ends = [min(parts_w), max(parts_w)]
        line = {"color": FACILITY, "width": 2}
        figure.add_scatter(x=ends, y=[slope * end + intercept_w for end in ends], mode="lines", line=line, hoverinfo="skip")
    _label_axes(figure, translate(language, "sens_parts_w"), translate(language, "sens_wall_w"))
    return figure


def residual_figure(parts_w: Sequence[float], residual_percent: Sequence[float], language: str) -> go.Figure:
    """What the line leaves of the whole server's power [%] over the sum of its parts [W], a point a window."""
    figure = go.Figure()
    step = -(-len(parts_w) // MAX_POINTS) or 1
    figure.add_scatter(
        x=list(parts_w)[::step],
        y=list(residual_percent)[::step],
        mode="markers",
        marker={"size": 6, "color": DATA, "opacity": 0.6},
        hovertemplate="%{x:.4g} W: %{y:.2f} %<extra></extra>",
    )
    figure.add_hline(y=0, line={"width": 1, "color": IDLE})
    _label_axes(figure, translate(language, "sens_parts_w"), translate(language, "sens_residual"))
    return figure


def _label_axes(figure: go.Figure, x_title: str, y_title: str) -> None:
    figure.update_layout(**_LAYOUT, height=340, margin={"l": 60, "r": 16, "t": 34, "b": 52})
    figure.update_xaxes(nticks=6, showgrid=False, zeroline=False, title={"text": x_title, "font": {"size": 12.5}})
    figure.update_yaxes(nticks=6, zeroline=False)
    figure.add_annotation(x=0, xref="paper", y=1.1, yref="paper", text=y_title, showarrow=False, xanchor="left", xshift=-48)
