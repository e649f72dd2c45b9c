"""Badge of a merge request: a label and a result, in neutral colours."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

_UNIT, _MARGIN = 7, 12  # px: width of a character, and padding of each half


def draw_badge(label: str, text: str) -> str:
    """Badge as SVG, 20 px high, with a text alternative."""
    left, right = _UNIT * len(label) + _MARGIN, _UNIT * len(text) + _MARGIN
    title = f"{label}: {text}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label={quoteattr(title)}>'
        f"<title>{escape(title)}</title>"
        f'<rect width="{left}" height="20" fill="#16202E"/><rect x="{left}" width="{right}" height="20" fill="#12436D"/>'
        f'<g fill="#FFFFFF" font-family="Arial, sans-serif" font-size="12"><text x="6" y="14">{escape(label)}</text>'
        f'<text x="{left + 6}" y="14">{escape(text)}</text></g></svg>\n'
    )
