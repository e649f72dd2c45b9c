"""This file draws rows as Plotly figures; colours of lines and texts come from the style sheet, in both themes."""

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
# Marks that the style sheet does not reach: at least 3:1 on the light and on the dark paper.
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
    """One period of a series; ``value`` is None where it was not seen."""

    at: datetime
    end: datetime
    value: float | None
    low: float | None
    high: float | None
    open: bool
    method: str


def trend_points(rows: Rows, size_kwh: float, zone: ZoneInfo) -> list[TrendPoint]:
    """Rows in order of time, with a point without a value for each silence; under half seen is not drawn."""
    found: list[TrendPoint] = []
    whole = _full_length(rows)
    for row, long_enough in zip(rows, whole, strict=True):
        begin, end = (datetime.fromisoformat(row[f"period_{name}"]).astimezone(zone) for name in ("start", "end"))
        if found and begin > found[-1].end:
            found.append(TrendPoint(found[-1].end, begin, None, None, None, open=False, method=""))
        seen = row["energy_kwh"] is not None and (row.get("coverage") is None or row["coverage"] >= MIN_COVERAGE)
        value, low, high = (
            (row[name] / size_kwh if seen else None) for name in ("energy_kwh", "energy_low_kwh", "energy_high_kwh")
        )
        unfinished = not long_enough or "provisional" in (row.get("status") or "")
        found.append(TrendPoint(begin, end, value, low, high, open=unfinished, method=row.get("method_version") or ""))
    return found


def _full_length(rows: Rows) -> list[bool]:
    """Which periods are as long as the longest; one that a period's edge or the clock cuts is not."""
    lengths = [
        (datetime.fromisoformat(row["period_end"]) - datetime.fromisoformat(row["period_start"])).total_seconds() for row in rows
    ]
    # A day of 23 hours, when clocks change, is a whole one.
    return [length > max(lengths) * 0.9 for length in lengths]


def trend_figure(
    rows: Rows, size_kwh: float, unit: str, zone: ZoneInfo, language: str, notes: Sequence[tuple[datetime, str]] = ()
) -> go.Figure:
    """Energy by period with its interval; a period without a reading is a washed gap, never a zero.

    A line joins only neighbouring periods; ``size_kwh`` is the unit shown. What is not over yet is dashed, its points hollow.
    """
    points = trend_points(rows, size_kwh, zone)
    figure = go.Figure()
    times = [p.at for p in points]
    figure.add_scatter(x=times, y=[p.low for p in points], **_INVISIBLE_LINE)
    figure.add_scatter(x=times, y=[p.high for p in points], fill="tonexty", fillcolor="rgba(79,143,216,.3)", **_INVISIBLE_LINE)
    beside = [any(p.open for p in points[max(i - 1, 0) : i + 2]) for i in range(len(points))]
    hover = f"%{{x}}<br>%{{y:.4g}} {unit}<extra></extra>"
    solid = [None if p.open else p.value for p in points]
    opened = [p.value if near else None for p, near in zip(points, beside, strict=True)]
    hollow = {"size": 8, "symbol": "circle-open", "line": {"width": 2}, "opacity": [1.0 if p.open else 0.0 for p in points]}
    few = len(points) <= 40
    figure.add_scatter(
        x=times,
        y=solid,
        mode="lines+markers" if few else "lines",
        line={"color": DATA, "width": 2.5},
        marker={"size": 6},
        hovertemplate=hover,
    )
    figure.add_scatter(
        x=times,
        y=opened,
        mode="lines+markers",
        line={"color": DATA, "width": 2.5, "dash": "6px,5px"},
        marker=hollow,
        hovertemplate=hover,
    )
    known = [p for p in points if p.value is not None]
    if len(known) == 1:
        # A band needs two points: a lone one bears its interval as a whisker.
        p = known[0]
        spread = {
            "type": "data",
            "array": [(p.high or 0) - (p.value or 0)],
            "arrayminus": [(p.value or 0) - (p.low or 0)],
            "thickness": 1.4,
        }
        figure.add_scatter(x=[p.at], y=[p.value], mode="markers", marker={"size": 8}, error_y=spread, hovertemplate=hover)
    figure.update_layout(**_LAYOUT, height=340, margin={"l": 48, "r": 132, "t": 34, "b": 46}, uirevision="trend")
    figure.update_yaxes(rangemode="tozero", nticks=5, zeroline=True, showline=False, ticks="")
    figure.add_annotation(x=0, xref="paper", y=1.07, yref="paper", text=unit, showarrow=False, xanchor="right", xshift=-12)
    _mark_silences(figure, points, language)
    _mark_method_breaks(figure, points, language)
    _mark_annotations(figure, notes)
    if known:
        _label_last_point(figure, known[-1], unit, language, len(rows))
        span = max(p.end for p in points) - times[0]
        figure.update_xaxes(range=[times[0] - span / 40, max(times) + span / 40], **time_axis())
    return figure


def _mark_silences(figure: go.Figure, points: list[TrendPoint], language: str) -> None:
    """What was not seen: a wash and [x], never a line."""
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
    """Where the method changed: a rule, and both versions by name."""
    told = [p for p in points if p.method]
    for before, after in itertools.pairwise(told):
        if before.method != after.method:
            middle = before.at + (after.at - before.at) / 2
            figure.add_vline(x=middle, line={"width": 1, "color": IDLE}, layer="above")
            words = f"{translate(language, 'method').lower()} {before.method} | {after.method}"
            figure.add_annotation(x=middle, yref="paper", y=1.09, text=words, showarrow=False, yanchor="bottom")


def _mark_annotations(figure: go.Figure, notes: Sequence[tuple[datetime, str]]) -> None:
    for number, (at, _) in enumerate(notes, 1):
        figure.add_vline(x=at, line={"width": 1, "dash": "2px,2px", "color": IDLE}, layer="above")
        figure.add_annotation(
            x=at, yref="paper", y=1, text=f"<b>{number}</b>", showarrow=False, xanchor="left", yanchor="top", xshift=4
        )


def _label_last_point(figure: go.Figure, p: TrendPoint, unit: str, language: str, count: int) -> None:
    """The last point says its value, its interval, and what it is of."""
    shown = format_estimate(p.value or 0.0, p.low, p.high, language)
    when = format_date(p.at.date(), "MMM" if (p.end - p.at).days > 20 else "d MMM", locale=language)
    if (p.end - p.at).total_seconds() <= 5400 and count > 1:
        when = format_datetime(p.at, "HH:mm", locale=language)
    words = [
        f"<b>{shown.value}\u00a0{unit}</b>",
        shown.interval,
        f"{when}{', ' + translate(language, 'provisional_word') if p.open else ''}",
    ]
    figure.add_annotation(
        x=p.at, y=p.value, text="<br>".join(filter(None, words)), showarrow=False, xanchor="left", align="left", xshift=14
    )


def time_axis() -> dict[str, Any]:
    """Hours, days or months as the width allows, and below the first of them the day or the year."""
    stops = (
        {"dtickrange": [None, 43_200_000], "value": "%H:%M\n%-d %b"},
        {"dtickrange": [43_200_000, "M1"], "value": "%-d %b\n%Y"},
        {"dtickrange": ["M1", None], "value": "%b\n%Y"},
    )
    return {"showgrid": False, "zeroline": False, "nticks": MAX_TICKS, "tickformatstops": list(stops), "tickangle": 0}


def plotly_locale(language: str) -> dict[str, Any]:
    """How Plotly writes months and numbers, from CLDR: nothing is fetched."""
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
    """Median and interquartile range by slot (name, low quartile, median, high quartile)."""
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
    """A request as it lies under a power trace: its row, its begin, where reading ends (if known), its end."""

    row: int
    start: datetime
    first: datetime | None
    end: datetime


def power_chart(
    traces: dict[str, tuple[list[datetime], list[float | None]]],
    ran: Sequence[RequestSpan],
    silences: Sequence[tuple[datetime, datetime]],
    language: str,
) -> go.Figure:
    """Watts of devices over time, and the requests under them on the same time: two panels, never two axes."""
    figure = go.Figure()
    dashes = ("solid", "dash", "dot", "dashdot")
    ends: list[tuple[float, str]] = []
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
            ends.append((last, name))
    for reading, colour in ((True, PREFILL), (False, DATA)):
        xs, ys = _request_segments(ran, reading=reading)
        figure.add_scatter(
            x=xs, y=ys, yaxis="y2", mode="lines", line={"width": 5, "color": colour}, connectgaps=False, hoverinfo="skip"
        )
    below = bool(ran)
    figure.update_layout(
        **_LAYOUT, height=380 if below else 300, margin={"l": 52, "r": 132, "t": 28, "b": 36}, uirevision="powers"
    )
    figure.update_layout(
        yaxis={"rangemode": "tozero", "nticks": 5, "domain": [0.3, 1] if below else [0, 1]},
        yaxis2={"visible": False, "domain": [0, 0.2], "autorange": "reversed"},
        xaxis={**time_axis(), "anchor": "free", "position": 0},
    )
    figure.add_annotation(x=0, xref="paper", y=1.1, yref="paper", text="W", showarrow=False, xanchor="right", xshift=-12)
    if below:
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
    _label_traces(figure, ends)
    return figure


def _label_traces(figure: go.Figure, ends: list[tuple[float, str]]) -> None:
    """The names of traces at their ends, kept apart from each other."""
    if not ends:
        return
    most = max(*(at for at, _ in ends), 1.0)
    place = -1.0
    for at, name in sorted(ends):
        place = max(at, place + most * 0.09)
        figure.add_annotation(x=1, xref="paper", y=place, text=name, showarrow=False, xanchor="left", xshift=8)


def _request_segments(ran: Sequence[RequestSpan], *, reading: bool) -> tuple[list[Any], list[Any]]:
    xs: list[Any] = []
    ys: list[Any] = []
    for each in ran:
        begin, end = (each.start, each.first) if reading else (each.first or each.start, each.end)
        if begin is None or end is None or begin >= end:
            continue
        xs += [begin, end, None]
        ys += [each.row, each.row, None]
    return xs[:MAX_POINTS], ys[:MAX_POINTS]
