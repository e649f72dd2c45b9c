"""Bar of 100 %: shares by how the energy is known, and the missing share."""

from __future__ import annotations

from collections.abc import Mapping

from footprint.charts.canvas import WIDTH, Canvas, text_width
from footprint.editions.document import Figure, Shares
from footprint.editions.figure_format import format_figure

TOP, BAR = 26.0, 26.0
_WORDS = {  # (French, English)
    "A": ("mesuré (A)", "measured (A)"),
    "B": ("en partie modélisé (B)", "partly modelled (B)"),
    "C": ("estimé (C)", "estimated (C)"),
    "D": ("fournisseur (D)", "supplier’s word (D)"),
    "missing": ("manquant", "missing"),
}
_LOOKS = {
    "A": ("data", "solid"),
    "B": ("data-2", "solid"),
    "C": ("data", "hatched"),
    "D": ("data", "outline"),
    "missing": ("ink", "dotted"),
}


def draw(drawing: Shares, figures: Mapping[str, Figure], language: str, title: str, alternative: str) -> Canvas:
    """Draw the parts in order; labels go above their part if there is room, else on a line below."""
    parts = [(look, figures[identity]) for look, identity in drawing.parts if figures[identity].value]
    total = sum(figure.value or 0.0 for _, figure in parts) or 1.0
    canvas = Canvas(WIDTH, TOP + BAR + 4, title, alternative)
    left, label_end, labels_below = 0.0, 0.0, []
    for look, figure in parts:
        width = WIDTH * (figure.value or 0.0) / total
        colour, pattern = _LOOKS[look]
        canvas.bar(left, TOP, max(width - 2, 1.0), BAR, colour=colour, look=pattern)  # 2 px of paper between neighbours
        label = f"{format_figure(figure, language).value} {_WORDS[look][language != 'fr']}"
        if text_width(label) < max(width, 0) and left >= label_end:
            canvas.text(left, TOP - 8, label, bold=True)
            label_end = left + text_width(label) + 8
        else:
            labels_below.append(label)
        left += width
    if labels_below:
        canvas.height += 22
        canvas.text(WIDTH, TOP + BAR + 19, ", ".join(labels_below), colour="ink-2", anchor="end")
    return canvas
