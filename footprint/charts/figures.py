"""Charts of rows or frames as static SVG, for notebooks and pages.

Energy is navy, highlighted rows are orange and bold, idle energy is grey, the building sand. Every colour also has a label.
Whiskers are intervals of about 95 %. The style sheet of a page sets the colours of its theme by class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from footprint.i18n.formatting import format_estimate, format_number

Row = Mapping[str, Any]
WIDTH, ROW, RIGHT, TOP, FOOT = 760.0, 34.0, 170.0, 62.0, 46.0
LETTER = 7.4  # mean width of a bold letter
CLOSE = 15.0  # minimum distance of two lines of text
_TEXT = "13.5px 'Source Sans 3',Arial,sans-serif"
_HALO = "paint-order:stroke;stroke:#FBFAF7;stroke-width:3px"  # keeps lines below a text from running through it
_LOOKS = {
    "paper": "fill:#FBFAF7",
    "t": f"fill:#47515F;font:{_TEXT};{_HALO}",
    "strong": "fill:#16202E;font-weight:600",
    "muted": "fill:#626B79",
    "title": "fill:#16202E;font:600 17px 'Source Serif 4 Display',Georgia,serif",
    "data": "fill:#12436D",
    "host": "fill:#4F8FD8",
    "idle": "fill:#78828F",
    "facility": "fill:#A87F6E",
    "more": "fill:#E05C14",
    "band": "fill:#C9DAEC",
    "wash": "fill:#F3F1EB",
    "none": "fill:none;stroke:#78828F;stroke-dasharray:2 2",
    "hollow": "fill:none;stroke:#78828F;stroke-width:2",
    "grid": "stroke:#D9D6CD",
    "axis": "stroke:#827F77",
    "halo": "stroke:#FBFAF7;stroke-width:5",
    "whisker": "stroke:#16202E;stroke-width:1.5",
    "stair": "fill:none;stroke:#827F77;stroke-width:1.5",
    **{
        f"line-{name}": f"fill:none;stroke:{colour};stroke-width:2.5"
        for name, colour in (
            ("data", "#12436D"),
            ("more", "#E05C14"),
            ("idle", "#78828F"),
            ("host", "#4F8FD8"),
            ("facility", "#A87F6E"),
        )
    },
}
_STYLE = "".join(f".fp .{name}{{{look}}}" for name, look in _LOOKS.items())


@dataclass(frozen=True, slots=True)
class SvgFigure:
    """An SVG drawing: ``label`` is its text alternative, ``inner`` its content; sizes in px, of which ``top`` are empty."""

    label: str
    inner: str
    width: float
    height: float
    top: float = 0.0

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return self.label

    def svg(self, *, style: bool = True) -> str:
        """SVG element; without ``style``, the style sheet of the page colours its classes."""
        height = self.height - self.top
        size = f'viewBox="0 {self.top:g} {self.width:g} {height:g}" width="{self.width:g}" height="{height:g}"'
        background = f'<style>{_STYLE}</style><rect width="100%" height="100%" class="paper"/>' if style else ""
        attributes = f'class="fp" role="img" aria-label="{escape(self.label)}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {attributes}>{background}{self.inner}</svg>'


def ranked_bars(
    rows: Iterable[Row],
    name: str,
    value: str,
    *,
    unit: str,
    title: str,
    low: str = "",
    high: str = "",
    marked: str = "",
    factor: float = 1.0,
    language: str = "en",
) -> SvgFigure:
    """Horizontal bars, each with its value (times ``factor``) and interval; the row named ``marked`` is orange."""
    known = [row for row in _rows(rows) if _is_known(row[value])]
    ends = [row[high] if high and _is_known(row[high]) else row[value] for row in known]
    left = _label_width(known, name)
    scale = (WIDTH - left - RIGHT) / max(max(ends, default=0.0), 1e-300)
    shapes = []
    for index, row in enumerate(known):
        y = TOP + ROW * index
        css_class = "more" if row[name] == marked else "idle" if str(row[name]).startswith("(") else "data"
        shapes += [_text(left - 10, y + 15, str(row[name]), "strong" if row[name] == marked else "", "end")]
        shapes += [_rect(left, y + 3, row[value] * scale, 14, css_class)]
        if low and high and _is_known(row[low]):
            shapes += _whisker(left + row[low] * scale, left + row[high] * scale, y + 10)
        bounds = [row[end] * factor if end and _is_known(row[end]) else None for end in (low, high)]
        formatted = format_estimate(row[value] * factor, bounds[0], bounds[1], language)
        shapes += [_text(left + ends[index] * scale + 10, y + 15, formatted.value, "strong"), ""]
        shapes += [_text(left + ends[index] * scale + 16 + 8 * len(formatted.value), y + 15, formatted.interval, "muted")]
    return _framed(title, unit, shapes, TOP + ROW * len(known) + 8)


def stacked_bars(
    rows: Iterable[Row],
    name: str,
    parts: Mapping[str, tuple[str, str]],
    *,
    unit: str,
    title: str,
    factor: float = 1.0,
    language: str = "en",
) -> SvgFigure:
    """Stacked bars with their sums; ``parts`` maps each column to its label and CSS class, in drawing order."""
    table = _rows(rows)
    sums = [sum(row[column] or 0.0 for column in parts) for row in table]
    left = _label_width(table, name)
    scale = (WIDTH - left - 110) / max(max(sums, default=0.0), 1e-300)
    shapes, x, top = [], left, TOP - 2
    legend = {column: label for column, label in parts.items() if any(row[column] for row in table)}
    for label, css_class in legend.values():
        if x + 17 + LETTER * len(label) > WIDTH:
            x, top = left, top + 20
        shapes += [_rect(x, top, 12, 12, css_class), _text(x + 17, top + 11, label)]
        x += 36 + 6.4 * len(label)
    for index, (row, total) in enumerate(zip(table, sums, strict=True)):
        x, y = left, top + 26 + ROW * index
        shapes.append(_text(left - 10, y + 15, str(row[name]), "", "end"))
        for column, (_, css_class) in parts.items():
            # Two pixels separate neighbours, because their lightness is nearly the same.
            shapes.append(_rect(x, y + 2, max((row[column] or 0.0) * scale - 2, 0), 16, css_class))
            x += (row[column] or 0.0) * scale
        shapes.append(_text(x + 8, y + 15, format_number(total * factor, language), "strong"))
    return _framed(title, unit, shapes, top + 34 + ROW * len(table))


@dataclass(frozen=True, slots=True)
class Axis:
    """Linear or logarithmic axis; ``inverted`` puts small values on top, for measures of which less is better."""

    low: float
    high: float
    label: str
    log: bool = False
    inverted: bool = False

    def at(self, value: float, start: float, end: float) -> float:
        """Position of a value between two ends."""
        low, high, position = (math.log10(number) if self.log else number for number in (self.low, self.high, max(value, 1e-12)))
        share = (position - low) / (high - low)
        return start + (end - start) * (1 - share if self.inverted else share)

    def ticks(self) -> list[float]:
        """Three to seven round values within the axis."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [m * 10.0**p for p in powers for m in (1, 2, 5) if self.low <= m * 10.0**p <= self.high]
            return values if len(values) <= 7 else [value for value in values if math.log10(value) % 1 < 1e-9]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
        step = next(step * m for m in (1, 2, 5, 10) if (self.high - self.low) / (step * m) <= 5)
        return [step * n for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class ScatterPoint:
    """A point with its intervals, name and CSS class (``kind``; ``hollow`` for points that are not ranked)."""

    x: float
    y: float
    name: str = ""
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    kind: str = "data"
    bold: bool = False


def scatter_plot(
    points: Sequence[ScatterPoint],
    x: Axis,
    y: Axis,
    *,
    title: str,
    lines: Sequence[tuple[Sequence[tuple[float, float]], str]] = (),
    bands: Sequence[tuple[Sequence[tuple[float, float, float]], str]] = (),
    limit: tuple[float | None, str] = (None, ""),
    language: str = "en",
    height: float = 400.0,
) -> SvgFigure:
    """Points with intervals as crosses, above ``lines`` (points, class) and ``bands`` (points (x, low, high), class).

    ``limit`` is a limit of y with a label: the area on its worse side is shaded and labelled.
    """
    left, right, top, bottom = 74.0, WIDTH - 24, TOP + 6, height - FOOT

    def project(x_value: float, y_value: float) -> tuple[float, float]:
        return x.at(x_value, left, right), y.at(y_value, bottom, top)

    shapes = _limit_area(limit, y, (left, right, top, bottom))
    for tick in y.ticks():
        level = project(x.low, tick)[1]
        shapes += [
            _line(left, level, right, level, "grid"),
            _text(left - 8, level + 4, format_number(tick, language), "muted", "end"),
        ]
    for tick in x.ticks():
        at = project(tick, y.low)[0]
        shapes += [
            _line(at, bottom, at, bottom + 5, "axis"),
            _text(at, bottom + 20, format_number(tick, language), "muted", "middle"),
        ]
    shapes += [_line(left, bottom, right, bottom, "axis"), _text(right, height - 6, x.label, "muted", "end")]
    for line_points, css_class in bands:
        outline = [project(a, b) for a, b, _ in line_points] + [project(a, b) for a, _, b in reversed(line_points)]
        shapes.append(f'<path d="M{" L".join(f"{a:.1f} {b:.1f}" for a, b in outline)}Z" class="{css_class}"/>')
    for line, css_class in lines:
        shapes.append(f'<path d="M{" L".join("%.1f %.1f" % project(*point) for point in line)}" class="{css_class}"/>')  # noqa: UP031
    for point in points:
        shapes += _point(point, project)
    shapes += _point_labels(points, project, right)
    return _framed(title, y.label, shapes, height)


def _point(point: ScatterPoint, project: Any) -> list[str]:
    at, level = project(point.x, point.y)
    shapes = []
    if point.x_ends:
        shapes.append(_line(project(point.x_ends[0], point.y)[0], level, project(point.x_ends[1], point.y)[0], level, "whisker"))
    if point.y_ends:
        shapes.append(_line(at, project(point.x, point.y_ends[0])[1], at, project(point.x, point.y_ends[1])[1], "whisker"))
    shapes.append(f'<circle cx="{at:.1f}" cy="{level:.1f}" r="{7 if point.bold else 5.5}" class="{point.kind}"/>')
    return shapes


def _point_labels(points: Sequence[ScatterPoint], project: Any, right: float) -> list[str]:
    """Labels of points; a label that would overlap another moves below it."""
    labels: list[str] = []
    taken: list[tuple[float, float, float]] = []  # from, to, level
    for labelled in sorted((point for point in points if point.name), key=lambda point: project(point.x, point.y)[1]):
        at, level = project(labelled.x, labelled.y)
        width, level = LETTER * len(labelled.name), level - 9
        start, anchor = (at + 10, "start") if at + 14 + width <= right else (at - 10 - width, "end")
        for low, high, other in taken:
            if start < high and low < start + width and abs(other - level) < CLOSE:
                level = other + CLOSE
        taken.append((start, start + width, level))
        text_x = start if anchor == "start" else start + width
        labels.append(_text(text_x, level, labelled.name, "strong" if labelled.bold else "", anchor))
    return labels


def _limit_area(limit: tuple[float | None, str], y: Axis, frame: tuple[float, float, float, float]) -> list[str]:
    threshold, label = limit
    if threshold is None or not y.low < threshold < y.high:
        return []
    left, right, top, bottom = frame
    level = y.at(threshold, bottom, top)
    shapes = [_rect(left, level, right - left, bottom - level, "wash"), _line(left, level, right, level, "axis")]
    return [*shapes, _text(left + 8, bottom - 8, label, "muted")]


def staircase(points: Sequence[tuple[float, float]], far: float) -> list[tuple[float, float]]:
    """Step line through undominated points, by rising x, extended to ``far``."""
    steps = [point for (a, b), (c, _) in pairwise(points) for point in ((a, b), (c, b))]
    return [*steps, points[-1], (far, points[-1][1])] if points else []


def dumbbell_chart(
    rows: Iterable[Row], name: str, first: str, second: str, annotation: str, *, unit: str, title: str, legend: tuple[str, str]
) -> SvgFigure:
    """Two values of each row with intervals (columns ``…_low``, ``…_high``), the first hollow, the second solid.

    ``annotation`` is the column of the text at the end of each row, ``legend`` the labels of the two values.
    """
    table = _rows(rows)
    largest = max((row[f"{column}_high"] for row in table for column in (first, second)), default=1.0)
    left = _label_width(table, name)
    scale = (WIDTH - left - 250) / largest
    shapes = [
        f'<circle cx="{left + 6}" cy="{TOP + 4}" r="5.5" class="hollow"/>',
        _text(left + 18, TOP + 9, legend[0]),
        f'<circle cx="{left + 44 + 7.2 * len(legend[0])}" cy="{TOP + 4}" r="5.5" class="data"/>',
        _text(left + 56 + 7.2 * len(legend[0]), TOP + 9, legend[1]),
    ]
    for index, row in enumerate(table):
        y = TOP + 40 + ROW * index
        at = {column: left + row[column] * scale for column in (first, second)}
        shapes += [_text(left - 10, y + 5, str(row[name]), "", "end"), _line(min(at.values()), y, max(at.values()), y, "axis")]
        for column in (first, second):
            ends = [left + row[f"{column}_{end}"] * scale for end in ("low", "high")]
            shapes.append(_rect(ends[0], y - 5, ends[1] - ends[0], 10, "band"))
            css_class = "hollow" if column == first else "data"
            shapes.append(f'<circle cx="{at[column]:.1f}" cy="{y:.1f}" r="5.5" class="{css_class}"/>')
        shapes.append(_text(WIDTH - 6, y + 5, str(row[annotation]), "strong", "end"))
    return _framed(title, unit, shapes, TOP + 60 + ROW * len(table))


def _framed(title: str, unit: str, parts: list[str], height: float) -> SvgFigure:
    headings = [_text(8, 22, title, "title"), _text(8, 46, unit, "muted")]
    label = f"{title} ({unit})" if title and unit else title or unit
    # Without a title (pages have their own) its space is cut off.
    return SvgFigure(label, "".join([*headings, *parts]), WIDTH, height, 0.0 if title else 28.0)


def _whisker(low: float, high: float, y: float) -> list[str]:
    return [_line(low, y, high, y, "halo"), _line(low, y, high, y, "whisker")]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    # The class of a title replaces the common one, because its font differs.
    css_class = kind if kind == "title" else f"t {kind}".strip()
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css_class}" text-anchor="{anchor}">{escape(text)}</text>' if text else ""


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" class="{kind}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _label_width(rows: list[dict[str, Any]], name: str) -> float:
    """Width for the longest label."""
    return min(max(LETTER * max((len(str(row[name])) for row in rows), default=0) + 24, 120.0), 300.0)


def _rows(rows: Any) -> list[dict[str, Any]]:
    """Rows of a frame or of a list, as dictionaries."""
    return rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)


def _is_known(value: Any) -> bool:
    return value is not None and math.isfinite(value)
