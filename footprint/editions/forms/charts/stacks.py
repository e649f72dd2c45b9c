"""Stacked bars by quarter, one layer a charter status, distinguished by pattern as well as by colour."""

from __future__ import annotations

from collections.abc import Mapping

from footprint.charts.canvas import WIDTH, Canvas, text_width
from footprint.editions.document import Figure, Stacks
from footprint.editions.figure_format import format_figure

ROW, BAR, TOP, LEFT, RIGHT = 30.0, 18.0, 30.0, 76.0, 560.0
LOOKS = (("data", "solid"), ("data-2", "solid"), ("data", "hatched"), ("increase", "solid"), ("idle", "dotted"))


def draw(drawing: Stacks, figures: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """A row a quarter, newest last."""
    lines = _legend_lines(drawing, language)
    top = TOP + 20 * (lines - 1)
    canvas = Canvas(WIDTH, top + ROW * len(drawing.columns) + 6, title, alternative)
    _legend(canvas, drawing, language)
    sums = [sum(figures[figure_id].value or 0.0 for figure_id in ids if figure_id) for _, ids in drawing.columns]
    scale = (RIGHT - LEFT) / (max(sums, default=0.0) or 1.0)
    for index, (name, ids) in enumerate(drawing.columns):
        middle, left = top + ROW * (index + 0.5), LEFT
        if not any(ids):
            canvas.text(left + 8, middle + 4.5, "[x]", colour="ink-2")
        canvas.text(0, middle + 4.5, _quarter(name, language), bold=index == len(drawing.columns) - 1)
        confidential = ""
        for layer, identity in enumerate(ids):
            if not identity:
                continue
            figure = figures[identity]
            if figure.value is None:
                confidential = format_figure(figure, language).value
            elif figure.value > 0:
                colour, look = LOOKS[layer % len(LOOKS)]
                width = figure.value * scale
                canvas.bar(left, middle - BAR / 2, max(width - 2, 0.6), BAR, colour=colour, look=look)
                left += width
        if confidential:
            canvas.text(left + 8, middle + 4.5, confidential, colour="ink-2")
    return canvas


def _quarter(name: str, language: str) -> str:
    year, _, rest = name.partition("-")
    return f"{'T' if language == 'fr' else 'Q'}{rest[1:]}\u00a0{year}" if rest.startswith("Q") else name


def _items(drawing: Stacks, language: str) -> list[tuple[int, str, float]]:
    return [(layer, part.in_(language), text_width(part.in_(language)) + 38) for layer, part in enumerate(drawing.parts)]


def _legend_lines(drawing: Stacks, language: str) -> int:
    lines, left = 1, 0.0
    for _, _, width in _items(drawing, language):
        if left + width > WIDTH and left:
            lines, left = lines + 1, 0.0
        left += width
    return lines


def _legend(canvas: Canvas, drawing: Stacks, language: str) -> None:
    left, top = 0.0, 4.0
    for layer, label, width in _items(drawing, language):
        if left + width > WIDTH and left:
            left, top = 0.0, top + 20
        colour, look = LOOKS[layer % len(LOOKS)]
        canvas.bar(left, top, 14, 11, colour=colour, look=look)
        canvas.text(left + 20, top + 10, label, colour="ink-2")
        left += width
