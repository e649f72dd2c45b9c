"""Tornado chart: how far each cause moves the published value, sorted."""

from __future__ import annotations

from collections.abc import Mapping

from footprint.charts.canvas import WIDTH, Canvas
from footprint.editions.document import Figure, Tornado
from footprint.editions.figure_format import format_figure
from footprint.i18n.formatting import format_number

ROW, BAR, TOP = 28.0, 16.0, 4.0
LABELS, LEFT, RIGHT = 208.0, 262.0, 586.0
_WORDS = {"fr": "valeur publiée", "en": "published value"}


def draw(drawing: Tornado, figures: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """Bars to the left and right of the value, with their size at either end."""
    bottom = TOP + ROW * len(drawing.swings)
    canvas = Canvas(WIDTH, bottom + 26, title, alternative)
    left = max((-min(swing.low, 0.0) for swing in drawing.swings), default=0.0)
    right = max((max(swing.high, 0.0) for swing in drawing.swings), default=0.0)
    scale = (RIGHT - LEFT) / (left + right) if left + right else 0.0
    zero = LEFT + left * scale
    for index, swing in enumerate(drawing.swings):
        middle = TOP + ROW * (index + 0.5)
        canvas.label(LABELS, middle, swing.label.in_(language), LABELS)
        low, high = min(swing.low, 0.0) * scale, max(swing.high, 0.0) * scale
        canvas.bar(zero + low, middle - BAR / 2, -low, BAR, colour="data-2")
        canvas.bar(zero, middle - BAR / 2, high, BAR, colour="data")
        canvas.text(
            zero + low - 6,
            middle + 4.5,
            f"−{format_number(-swing.low, language, 2)}" if swing.low else "0",
            anchor="end",
            colour="ink-2",
        )
        canvas.text(
            zero + high + 6, middle + 4.5, f"+{format_number(swing.high, language, 2)}" if swing.high else "0", colour="ink-2"
        )
    canvas.line(zero, TOP - 2, zero, bottom + 4, width=1.4)
    centre = format_figure(figures[drawing.centre], language)
    canvas.text(zero, bottom + 20, f"{centre.with_unit} ({_WORDS[language]})", anchor="middle", colour="ink-2")
    return canvas
