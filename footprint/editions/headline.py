"""This file writes the headline of an edition as plain words, for lists of editions and for messages."""

from __future__ import annotations

from footprint.editions.document import Edition, Figure
from footprint.i18n.formatting import format_estimate, format_percent


def headline_text(edition: Edition, language: str) -> str:
    """The finding in one line."""
    sentence = edition.headline
    values = {name: _shown(edition.figure(ref.figure), language) for name, ref in sentence.refs.items()}
    return sentence.text.in_(language).format(**values)


def _shown(figure: Figure, language: str) -> str:
    if figure.value is None:
        return f"[{figure.flags[0]}]"
    if figure.kind == "share":
        return format_percent(figure.value, language, floor=False)
    size, unit = figure.display
    low, high = (None if bound is None else bound / size for bound in (figure.low, figure.high))
    return f"{format_estimate(figure.value / size, low, high, language).value}\u00a0{unit}"
