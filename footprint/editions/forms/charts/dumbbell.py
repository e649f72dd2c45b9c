"""Dumbbell chart: current option against the best one measured; overlapping intervals claim nothing."""

from __future__ import annotations

from collections.abc import Mapping

from footprint.charts.canvas import WIDTH, Canvas, Scale, ticks
from footprint.editions.document import Dumbbell, Figure, Pair
from footprint.editions.figure_format import format_figure
from footprint.i18n.formatting import format_number

ROW, TOP = 40.0, 26.0
LABELS, LEFT, RIGHT, END = 168.0, 182.0, 500.0, 638.0
_WORDS = {
    "fr": ("meilleur mesuré", "actuel", ("pas d’écart", "mesurable")),
    "en": ("best measured", "current", ("no measurable", "difference")),
}


def draw(drawing: Dumbbell, figures: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """A row a use; x from 0."""
    bottom = TOP + ROW * len(drawing.pairs)
    canvas = Canvas(WIDTH, bottom + 26, title, alternative)
    options = [figures[identity] for pair in drawing.pairs for identity in (pair.current, pair.best)]
    marks = ticks(max((figure.high or figure.value or 0.0 for figure in options), default=0.0), 4)

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value / marks[-1]

    canvas.text(0, 14, drawing.unit, colour="ink-3")
    for mark in marks:
        canvas.line(x(mark), TOP, x(mark), bottom, colour="rule-strong" if mark == 0 else "rule")
        canvas.text(x(mark), bottom + 18, format_number(mark, language), colour="ink-2", anchor="middle")
    best, current, no_difference = _WORDS[language]
    if drawing.pairs:
        canvas.dot(LEFT + 6, 10, 4.5, colour="data")
        canvas.text(LEFT + 16, 14.5, best, bold=True)
        canvas.dot(LEFT + 156, 10, 4.5, colour="ink", hollow=True)
        canvas.text(LEFT + 166, 14.5, current, bold=True)
    for index, pair in enumerate(drawing.pairs):
        _pair(canvas, pair, figures, TOP + ROW * (index + 0.5), x, language, no_difference)
    return canvas


def _pair(
    canvas: Canvas,
    pair: Pair,
    figures: Mapping[str, Figure],
    middle: float,
    x: Scale,
    language: str,
    no_difference: tuple[str, str],
) -> None:
    canvas.label(LABELS, middle, pair.label.in_(language), LABELS)
    best, current, ratio = figures[pair.best], figures[pair.current], figures[pair.ratio]
    if best.value is None or current.value is None:
        canvas.text(LEFT + 8, middle + 4.5, format_figure(current, language).value, colour="ink-2")
        return
    for figure, colour in ((best, "band"), (current, "rule")):
        if figure.low is not None and figure.high is not None:
            canvas.bar(x(figure.low), middle - 7, x(figure.high) - x(figure.low), 14, colour=colour)
    canvas.line(x(best.value), middle, x(current.value), middle, colour="ink-3", width=1.4)
    canvas.dot(x(best.value), middle, 5, colour="data")
    canvas.dot(x(current.value), middle, 5, colour="ink", hollow=True)
    differs = ratio.value is not None and (ratio.low is None or ratio.high is None or not ratio.low <= 1 <= ratio.high)
    if differs:
        canvas.text(END, middle - 3, format_figure(ratio, language).value, anchor="end", bold=True)
        canvas.text(END, middle + 13, f"n\u00a0=\u00a0{format_number(pair.n, language, 12)}", colour="ink-2", anchor="end")
    else:
        canvas.text(END, middle - 3, no_difference[0], anchor="end", bold=True)
        canvas.text(END, middle + 13, no_difference[1], anchor="end", bold=True)
