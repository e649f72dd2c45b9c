"""Trend: a line of months with its band, gaps for missing months, dashes for provisional ones."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise

from babel.dates import format_date

from footprint.charts.canvas import WIDTH, Canvas, Scale, text_width, ticks
from footprint.editions.document import Figure, MonthPoint, Trend
from footprint.i18n.formatting import format_estimate, format_number

LEFT, RIGHT, TOP, BOTTOM = 48.0, 498.0, 34.0, 206.0
HEIGHT = 250.0
CIRCLE = 7.5  # radius of the circle around an event's number
_WORDS = {"fr": ("manquant", "provisoire", "méthode"), "en": ("missing", "provisional", "method")}


def draw(drawing: Trend, _: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """The trend; y begins at 0."""
    canvas = Canvas(WIDTH, HEIGHT, title, alternative)
    points = drawing.points
    marks = ticks(max((point.high or point.value or 0.0 for point in points), default=0.0), 4)
    step = (RIGHT - LEFT) / max(len(points) - 1, 1)

    def x(index: float) -> float:
        return LEFT + step * index

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * value / marks[-1]

    canvas.text(0, 14, drawing.unit, colour="ink-3")
    for mark in marks:
        canvas.line(LEFT, y(mark), RIGHT, y(mark), colour="rule-strong" if mark == 0 else "rule")
        canvas.text(LEFT - 8, y(mark) + 4.5, format_number(mark, language), colour="ink-2", anchor="end")
    _months(canvas, points, x, language)
    _missing(canvas, points, x, language)
    for first, run in _runs(points):
        _band(canvas, run, first, x, y)
    for first, run in _runs(points):
        for (left, here), (right, next_point) in pairwise(enumerate(run, first)):
            dash = "6 5" if "provisional" in (here.state, next_point.state) else ""
            canvas.path([(x(left), y(here.value or 0.0)), (x(right), y(next_point.value or 0.0))], colour="data", dash=dash)
        for index, point in enumerate(run, first):
            if point.state == "provisional" or len(run) == 1:
                canvas.dot(x(index), y(point.value or 0.0), 4, colour="data", hollow=point.state == "provisional")
    _breaks(canvas, drawing, x, language)
    _events(canvas, drawing, x)
    _last_value(canvas, drawing, x, y, language)
    return canvas


def _runs(points: tuple[MonthPoint, ...]) -> Iterator[tuple[int, list[MonthPoint]]]:
    """Stretches of months with a value."""
    run: list[MonthPoint] = []
    for index, point in enumerate(points):
        if point.value is not None:
            run.append(point)
        elif run:
            yield index - len(run), run
            run = []
    if run:
        yield len(points) - len(run), run


def _band(canvas: Canvas, run: list[MonthPoint], first: int, x: Scale, y: Scale) -> None:
    bounds = [
        (x(index), point.low, point.high, point.state)
        for index, point in enumerate(run, first)
        if point.low is not None and point.high is not None
    ]
    for (left, low, high, state), (right, next_low, next_high, next_state) in pairwise(bounds):
        provisional = "provisional" in (state, next_state)
        shape = [(left, y(high)), (right, y(next_high)), (right, y(next_low)), (left, y(low))]
        canvas.area(shape, colour="band", opacity=0.5 if provisional else 1.0)
        if provisional:
            for edge in ((shape[0], shape[1]), (shape[3], shape[2])):
                canvas.path(edge, colour="data-2", width=0.8, dash="3 3")
    if len(bounds) == 1:
        at, low, high, _ = bounds[0]
        canvas.line(at, y(low), at, y(high), colour="data", width=1.4)


def _months(canvas: Canvas, points: tuple[MonthPoint, ...], x: Scale, language: str) -> None:
    """Label every third month by name, and the first month of a year with the year in bold below."""
    labelled_year, interval = "", 1 if len(points) <= 8 else 3
    for index, point in enumerate(points):
        year, month = point.month.split("-")
        if (int(month) - 1) % interval and index:
            continue
        if index and index < interval and interval > 1:
            continue  # too close to the first
        canvas.text(
            x(index),
            BOTTOM + 19,
            format_date(date(int(year), int(month), 1), "MMM", locale=language),
            colour="ink-2",
            anchor="middle",
        )
        if year != labelled_year:
            canvas.text(x(index), BOTTOM + 37, year, anchor="middle", bold=True)
            labelled_year = year


def _missing(canvas: Canvas, points: tuple[MonthPoint, ...], x: Scale, language: str) -> None:
    index = 0
    while index < len(points):
        length = next((n for n, point in enumerate(points[index:]) if point.value is not None), len(points) - index)
        if length:
            flag = "[c]" if any(point.state == "suppressed" for point in points[index : index + length]) else "[x]"
            left, right = max(x(index - 0.5), LEFT), min(x(index + length - 0.5), RIGHT)
            canvas.area([(left, TOP), (right, TOP), (right, BOTTOM), (left, BOTTOM)], colour="wash")
            middle, word = (left + right) / 2, _WORDS[language][0]
            half = text_width(word) / 2
            if flag == "[x]":
                canvas.text(min(max(middle, half), WIDTH - half), TOP - 6, word, colour="ink-2", anchor="middle")
            canvas.text(middle, TOP + 20, flag, colour="ink-2", anchor="middle")
        index += max(length, 1)


def _breaks(canvas: Canvas, drawing: Trend, x: Scale, language: str) -> None:
    months = [point.month for point in drawing.points]
    for month, before, after in drawing.breaks:
        if month in months:
            at = x(months.index(month) - 0.5)
            canvas.line(at, TOP - 16, at, BOTTOM, width=1.4)
            canvas.text(at - 5, TOP - 8, f"{_WORDS[language][2]} {before}", colour="ink-2", anchor="end")
            canvas.text(at + 5, TOP - 8, after, colour="ink-2")


def _events(canvas: Canvas, drawing: Trend, x: Scale) -> None:
    """A numbered circle on the axis with a dotted line above it; circles that would touch are stacked."""
    first, *_ = (point.month.split("-") for point in drawing.points)
    previous_at, height = -1e9, 0
    for event in drawing.events:
        day = date.fromisoformat(event.start)
        months = (day.year - int(first[0])) * 12 + day.month - int(first[1])
        share = (day.day - 1) / monthrange(day.year, day.month)[1]
        centre = min(max(x(months - 0.5 + share), LEFT), RIGHT)  # a month is centred on its point
        height = height + 1 if centre - previous_at < 2 * CIRCLE + 1 else 0
        previous_at = centre
        middle = BOTTOM - height * (2 * CIRCLE + 1)
        if not height:
            canvas.line(centre, BOTTOM - CIRCLE, centre, TOP, colour="ink-3", dash="1 3")
        canvas.dot(centre, middle, CIRCLE, colour="ink", hollow=True, width=1.2)
        canvas.text(centre, middle + 3.8, str(event.number), anchor="middle", bold=True, size=11)


def _last_value(canvas: Canvas, drawing: Trend, x: Scale, y: Scale, language: str) -> None:
    """Value, interval and month beside the last point."""
    known = [(index, point) for index, point in enumerate(drawing.points) if point.value is not None]
    if not known:
        return
    index, point = known[-1]
    assert point.value is not None
    formatted = format_estimate(point.value, point.low, point.high, language)
    baseline = min(max(y(point.value), TOP + 6), BOTTOM - 34)
    year, month = (int(part) for part in point.month.split("-"))
    when = format_date(date(year, month, 1), "MMM y", locale=language)
    left = x(index) + 12
    canvas.dot(x(index), y(point.value), 4, colour="data", hollow=point.state == "provisional")
    canvas.text(left, baseline - 1, f"{formatted.value}\u00a0{drawing.unit}", bold=True)
    canvas.text(left, baseline + 16, formatted.interval, colour="ink-2")
    canvas.text(left, baseline + 33, f"{when}, {_WORDS[language][1]}" if point.state == "provisional" else when, colour="ink-2")
