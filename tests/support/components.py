"""Texts, labels, elements, links and drawings that a reader finds in the components of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from dash import html
from dash.development.base_component import Component

from dashboards.card_frames import FRAME_TYPE
from dashboards.components import Drawing
from dashboards.page_shell import render_card, render_shell
from dashboards.url_state import PageContext, UrlState
from footprint.access import Role
from footprint.config import Config
from footprint.figures import run_query
from footprint.storage.database import Store
from tests.support.contract_files import NOW_US

LABELS = ("title", "aria-label", "label", "alt")  # texts of tooltips and screen readers
SVG = "{http://www.w3.org/2000/svg}"


def page_context(
    store: Store, config: Config, path: str = "/", search: str = "", language: str = "en", now_us: int = NOW_US, **options: Any
) -> PageContext:
    """Context of a page over the figures of a store, by default for an administrator."""
    view = UrlState.parse(path, search, language)
    return PageContext(
        config,
        store,
        lambda query: run_query(store, config, query, now_us),
        now_us,
        view,
        **{"role": Role.ADMINISTRATOR} | options,
    )


def render_page(context: PageContext) -> list[Component]:
    """A page with every frame filled, as a browser assembles it."""
    shell = render_shell(context)
    for frame in elements(shell.body):
        frame_id = getattr(frame, "id", None)
        if isinstance(frame_id, dict) and frame_id["type"] == FRAME_TYPE:
            frame.children = render_card(context, frame_id["name"])
    main = html.Main([html.Div(shell.print_header), shell.filters, *shell.body])
    return [html.Header(shell.header), main, html.Footer(shell.footer)]


def page_text(*arguments: Any, **options: Any) -> str:
    """Text of the page of a :func:`page_context`."""
    return text_of(render_page(page_context(*arguments, **options)))


def nodes(part: Any) -> Iterator[Any]:
    """Components and strings of a part of a page, in reading order."""
    if isinstance(part, list | tuple):
        for member in part:
            yield from nodes(member)
    elif isinstance(part, Component):
        yield part
        yield from nodes(getattr(part, "children", None))
    elif part is not None:
        yield str(part)


def elements(part: Any, kind: str = "", css_class: str = "", **attributes: Any) -> list[Component]:
    """Components of a type, a CSS class and attributes; underscores in names of attributes stand for hyphens."""
    return [
        node
        for node in nodes(part)
        if isinstance(node, Component)
        and (not kind or type(node).__name__ == kind)
        and (not css_class or css_class in (getattr(node, "className", None) or "").split())
        and all(getattr(node, name.replace("_", "-"), None) == value for name, value in attributes.items())
    ]


def texts_of(part: Any) -> list[str]:
    """Texts of a part of a page: strings, labels, words of drawings and of charts."""
    texts: list[str] = []
    for node in nodes(part):
        if isinstance(node, str):
            texts.append(node)
            continue
        texts += [str(label) for name in LABELS if (label := getattr(node, name, None))]
        if isinstance(node, Drawing):
            texts += [text for text in drawing(node).itertext() if text]
        elif type(node).__name__ == "Graph":
            texts += [note.text or "" for note in node.figure.layout.annotations]
            texts += [trace.name or "" for trace in node.figure.data]
    return texts


def text_of(part: Any) -> str:
    """All texts, with a space between two; no-break spaces stay."""
    return re.sub(r"[ \n]+", " ", " ".join(texts_of(part)))


def ids(part: Any) -> set[str]:
    """Element ids."""
    return {node.id for node in elements(part) if isinstance(getattr(node, "id", None), str)}


def hrefs(part: Any) -> list[str]:
    """Targets of the links of a part."""
    return [node.href for node in elements(part) if getattr(node, "href", None)]


def drawing(node: Drawing) -> ElementTree.Element:
    """SVG document of a drawing."""
    return ElementTree.fromstring(node.svg)


def shapes(part: Any, tag: str, css_class: str = "", **attributes: str) -> list[ElementTree.Element]:
    """SVG elements of the drawings of a part, by tag, CSS class and attributes."""
    return [
        shape
        for node in nodes(part)
        if isinstance(node, Drawing)
        for shape in drawing(node).iter(f"{SVG}{tag}")
        if (not css_class or css_class in shape.get("class", "").split())
        and all(shape.get(name) == value for name, value in attributes.items())
    ]
