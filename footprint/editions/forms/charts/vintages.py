"""Versions of one period's value: a point with its interval for each version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from babel.dates import format_date

from footprint.charts.canvas import WIDTH, Canvas
from footprint.editions.document import Figure, Vintages
from footprint.i18n.formatting import format_estimate

ROW, TOP, LEFT, RIGHT, VALUE = 30.0, 4.0, 190.0, 470.0, 532.0


def draw(drawing: Vintages, _: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """A row a version, oldest first, on one scale that need not begin at 0."""
    canvas = Canvas(WIDTH, TOP + ROW * len(drawing.published) + 4, title, alternative)
    low = min((version_row[3] for version_row in drawing.published), default=0.0)
    high = max((version_row[4] for version_row in drawing.published), default=1.0)
    scale = (RIGHT - LEFT) / (high - low or 1.0)
    for index, (version, day, value, below, above) in enumerate(drawing.published):
        middle, last = TOP + ROW * (index + 0.5), index == len(drawing.published) - 1
        when = format_date(datetime.fromisoformat(day).date(), "d MMM y", locale=language) if day else ""
        canvas.text(0, middle + 4.5, f"{version}  {when}".strip(), bold=last)
        canvas.line(LEFT, middle, RIGHT, middle, colour="rule")
        canvas.whisker(LEFT + (below - low) * scale, LEFT + (above - low) * scale, middle)
        canvas.dot(LEFT + (value - low) * scale, middle, 4.5, colour="data", hollow=not last)
        formatted = format_estimate(value, below, above, language)
        canvas.text(VALUE, middle + 4.5, formatted.value, anchor="end", bold=True)
        canvas.text(VALUE + 8, middle + 4.5, formatted.interval, colour="ink-2")
    return canvas
