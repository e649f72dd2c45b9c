"""This file holds pictures drawn on the server: SVG text as a component, in the colours of the theme (assets/drawing.js)."""

from __future__ import annotations

from html import escape
from typing import Any

from dash.development.base_component import Component

_Component: Any = Component


class Drawing(_Component):  # type: ignore[misc]
    """SVG that a screen reader hears as one sentence; the table beside it says the rest."""

    _namespace = "footprint_pages"
    _type = "Drawing"
    _prop_names = ("id", "svg", "label", "className")
    _valid_wildcard_attributes: tuple[str, ...] = ()
    _base_nodes = ("children",)
    available_properties = _prop_names
    available_wildcard_properties: tuple[str, ...] = ()

    def __init__(self, svg: str, label: str = "", more: str = "") -> None:
        super().__init__(svg=svg, label=label, className=f"drawing {more}".strip())


def document(width: float, height: float, parts: list[str], *, stretched: bool = False) -> str:
    """An SVG of a size; ``stretched`` fills whatever place it has."""
    ratio = ' preserveAspectRatio="none"' if stretched else ""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"{ratio} aria-hidden="true">'
    return f"{head}{''.join(parts)}</svg>"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words at a place; ``kind`` are classes of the style sheet."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" class="{kind}"/>'


def path(points: str, kind: str, width: float | None = None) -> str:
    """A path; ``width`` is that of its stroke."""
    stroke = f' stroke-width="{width:.2f}"' if width is not None else ""
    return f'<path d="{points}" class="{kind}"{stroke}/>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
