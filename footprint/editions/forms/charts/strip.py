"""Day strip: a cell a day, full if measured, hatched if estimated in part, empty if missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from footprint.charts.canvas import Canvas, hatch
from footprint.editions.document import Day

WIDTH, HEIGHT = 832.0, 9.0  # the full width of the paper's text


def draw(days: Sequence[Day], title: str, alternative: str) -> Canvas:
    """Draw the days, merged into runs of one state."""
    canvas = Canvas(WIDTH, HEIGHT, title, alternative)
    cell, left = WIDTH / max(len(days), 1), 0.0
    for state, run in groupby(days, key=lambda day: day.state):
        width = cell * len(list(run))
        if state == "measured":
            canvas.bar(left, 0, width, HEIGHT, colour="data")
        elif state == "estimated":
            canvas.bar(left, 0, width, HEIGHT, colour="band")
            for x1, y1, x2, y2 in hatch(left, 0, width, HEIGHT, 4):
                canvas.line(x1, y1, x2, y2, colour="data", width=1.4)
        else:
            canvas.bar(left + 0.75, 0.75, width - 1.5, HEIGHT - 1.5, colour="ink-3", look="dotted")
        left += width
    return canvas
