"""Help: glossary, signs, keyboard shortcuts, accessibility, citation; and the page for unknown paths."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import PageParts, whole_page
from dashboards.components import card, message, page_title, quality_badge, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.access import Role

PATH, TITLE = "/help", "nav_help"
GLOSSARY = ("coverage", "idle", "unattributed", "pue", "location", "interval", "use_case")
FLAGS = ("x", "c", "e", "p", "r", "u", "z", "low")
KEYS = (
    ("g o", "nav_overview"),
    ("g u", "nav_use_cases"),
    ("g s", "nav_services"),
    ("g c", "nav_compare"),
    ("g q", "nav_quality"),
    ("g m", "nav_methods"),
    ("t", "key_table"),
    ("?", "nav_help"),
)


def content(context: PageContext) -> PageParts:
    """Cards of the help page."""
    return whole_page(translate(context.view.language, "help_title"), partial(_content, context))


def _content(context: PageContext) -> list[Any]:
    language = context.view.language
    return [
        page_title(translate(language, "help_title")),
        html.P(translate(language, "share_link"), className="lead"),
        html.Div([_glossary_card(language), _signs_card(language)], className="row"),
        html.Div([_keys_card(language), _citation_card(context)], className="row"),
        html.Div(
            [
                card(
                    translate(language, "accessibility"), "", _accessibility_text(language), language, element_id="accessibility"
                ),
                card(translate(language, "about"), "", html.P(translate(language, "about_text"), className="sentence"), language),
            ],
            className="row",
        ),
    ]


def _glossary_card(language: str) -> html.Section:
    """Glossary with each term in the other language too, for readers of both."""
    other = "en" if language == "fr" else "fr"
    entries = []
    for word in GLOSSARY:
        other_word = html.Span(translate(other, f"g_{word}"), lang=other)
        entries += [
            html.Dt([translate(language, f"g_{word}"), " · ", other_word]),
            html.Dd(translate(language, f"g_{word}_text")),
        ]
    return card(translate(language, "glossary"), translate(language, "glossary_sub"), html.Dl(entries), language)


def _signs_card(language: str) -> html.Section:
    letters = html.P([quality_badge(letter, language) for letter in "ABCD"], className="keys")
    flags = [(f"[{flag}]", translate(language, f"flag_{flag}")) for flag in FLAGS]
    head = [translate(language, "sign"), translate(language, "meaning")]
    title = translate(language, "signs_title")
    return card(title, "", [letters, scrollable(table(head, flags, title), title, "prose")], language)


def _keys_card(language: str) -> html.Section:
    attributes: dict[str, Any] = {"data-keys": "1", "aria-pressed": "false"}
    rows = [(key, translate(language, meaning)) for key, meaning in KEYS]
    title = translate(language, "keys_title")
    toggle = html.Button(translate(language, "keys_off"), type="button", className="button", **attributes)
    keys = scrollable(table([translate(language, "key"), translate(language, "meaning")], rows, title), title, "prose")
    return card(title, "", [keys, html.P(toggle)], language)


def _citation_card(context: PageContext) -> html.Section:
    language = context.view.language
    citation = translate(
        language, "cite_text", organisation=context.config.organisation or "Footprint", licence=context.config.editions.licence
    )
    return card(translate(language, "cite_title"), "", html.P(citation, className="sentence"), language)


def _accessibility_text(language: str) -> list[Any]:
    paragraphs = [html.P(translate(language, key), className="sentence") for key in ("accessibility_text", "accessibility_scope")]
    return [*paragraphs, html.P(translate(language, "accessibility_contact"), className="sentence")]


def not_found(context: PageContext) -> PageParts:
    """Message for a path without a page."""
    view, language, public = context.view, context.view.language, context.role is Role.PUBLIC
    title = translate(language, "not_found")
    back = html.A(
        translate(language, "nav_editions" if public else "nav_overview"), href=view.link("/editions" if public else "/")
    )
    text = translate(language, "not_found_public" if public else "not_found_text")
    return whole_page(title, lambda: [message(title, text), html.P(back)])
