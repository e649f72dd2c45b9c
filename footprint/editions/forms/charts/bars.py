"""Ranked bars with whiskers; idle and unattributed come last, below a hairline."""

from __future__ import annotations

from collections.abc import Mapping

from footprint.charts.canvas import WIDTH, Canvas
from footprint.editions.document import Bar, Bars, Figure
from footprint.editions.figure_format import format_figure

ROW, BAR, TOP = 27.0, 14.0, 4.0
LABELS, LEFT, RIGHT, VALUE, LETTER = 178.0, 188.0, 470.0, 532.0, 636.0
LOOKS = {"A": "solid", "B": "solid", "C": "hatched", "D": "outline", "": "solid"}


def draw(drawing: Bars, figures: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """The bars; they start at 0."""
    first_apart = next((index for index, bar in enumerate(drawing.bars) if bar.look in ("idle", "unattributed")), None)
    gap = 14.0 if first_apart else 0.0
    canvas = Canvas(WIDTH, TOP + ROW * len(drawing.bars) + gap + 4, title, alternative)
    maximum = max((_end(figures[bar.figure]) for bar in drawing.bars), default=0.0) or 1.0
    top = TOP
    for index, bar in enumerate(drawing.bars):
        if first_apart and index == first_apart:
            canvas.line(0, top + gap / 2, WIDTH, top + gap / 2, colour="rule")
            top += gap
        _bar(canvas, bar, figures[bar.figure], top, (RIGHT - LEFT) / maximum, language)
        top += ROW
    return canvas


def _end(figure: Figure) -> float:
    return max(figure.high or 0.0, figure.value or 0.0)


def _bar(canvas: Canvas, bar: Bar, figure: Figure, top: float, scale: float, language: str) -> None:
    middle = top + ROW / 2
    canvas.label(LABELS, middle, bar.label.in_(language), LABELS)
    formatted = format_figure(figure, language)
    if figure.value is None:
        canvas.text(LEFT, middle + 4.5, formatted.value, colour="ink-2")  # the flag, at the start of the bar
        return
    look = "dotted" if bar.look == "unattributed" else LOOKS[figure.quality]
    colour = {"idle": "idle", "unattributed": "ink"}.get(bar.look, "data")
    canvas.bar(LEFT, middle - BAR / 2, figure.value * scale, BAR, colour=colour, look=look)
    if figure.low is not None and figure.high is not None:
        canvas.whisker(LEFT + max(figure.low, 0.0) * scale, LEFT + figure.high * scale, middle)
    canvas.text(VALUE, middle + 4.5, formatted.value, anchor="end", bold=True)
    canvas.text(VALUE + 8, middle + 4.5, formatted.interval, colour="ink-2")
    canvas.text(LETTER, middle + 4.5, formatted.badge, anchor="end", bold=True)
