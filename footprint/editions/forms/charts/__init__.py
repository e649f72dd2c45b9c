"""Charts of an edition as SVG: one module a kind, one entry each in ``DRAWERS``.

A drawer takes a drawing, the figures by id and a language, and fills a canvas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from footprint.charts.canvas import Canvas
from footprint.editions.document import Chart, Figure
from footprint.editions.forms.charts import bars, dumbbell, shares, stacks, strip, tornado, trend, vintages, waterfall

__all__ = ["DRAWERS", "draw_chart", "strip"]

Drawer = Callable[[Any, Mapping[str, Figure], str, str, str], Canvas]
DRAWERS: dict[str, Drawer] = {
    "trend": trend.draw,
    "bars": bars.draw,
    "waterfall": waterfall.draw,
    "shares": shares.draw,
    "dumbbell": dumbbell.draw,
    "tornado": tornado.draw,
    "stacks": stacks.draw,
    "vintages": vintages.draw,
}


def draw_chart(chart: Chart, figures: Mapping[str, Figure], language: str, title: str) -> str:
    """A chart as an SVG document that contains its title and text alternative."""
    draw = DRAWERS[chart.drawing.kind]
    return draw(chart.drawing, figures, language, title, chart.alternative.in_(language)).svg()
