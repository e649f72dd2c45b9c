"""This file helps: the words of these pages, keys, their accessibility, how to cite; and what is said where no page is."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import badge, block, message, scrolled, table
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.access import Role

PATH, TITLE = "/help", "nav_help"
WORDS = ("coverage", "idle", "unattributed", "pue", "location", "interval", "use_case")
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


def content(context: PageContext) -> list[Any]:
    """Glossary in both languages, letters and flags, keys, accessibility declaration, how to cite, about."""
    language = context.view.language
    return [
        html.H1(say(language, "help_title")),
        html.P(say(language, "share_link"), className="lead"),
        html.Div([_glossary(language), _signs(language)], className="row"),
        html.Div([_keys(language), _citing(context)], className="row"),
        html.Div(
            [
                block(say(language, "accessibility"), "", _accessibility(language), language, identity="accessibility"),
                block(say(language, "about"), "", html.P(say(language, "about_text"), className="sentence"), language),
            ],
            className="row",
        ),
    ]


def _glossary(language: str) -> html.Section:
    """The words in the other language too: readers of both meet over one figure."""
    other = "en" if language == "fr" else "fr"
    words = []
    for word in WORDS:
        twin = html.Span(say(other, f"g_{word}"), lang=other)
        words += [html.Dt([say(language, f"g_{word}"), " · ", twin]), html.Dd(say(language, f"g_{word}_text"))]
    return block(say(language, "glossary"), say(language, "glossary_sub"), html.Dl(words), language)


def _signs(language: str) -> html.Section:
    letters = html.P([badge(letter, language) for letter in "ABCD"], className="keys")
    flags = [(f"[{flag}]", say(language, f"flag_{flag}")) for flag in FLAGS]
    head = [say(language, "sign"), say(language, "meaning")]
    title = say(language, "signs_title")
    return block(title, "", [letters, scrolled(table(head, flags, title), title, "prose")], language)


def _keys(language: str) -> html.Section:
    pressed: dict[str, Any] = {"data-keys": "1", "aria-pressed": "false"}
    rows = [(key, say(language, words)) for key, words in KEYS]
    title = say(language, "keys_title")
    off = html.Button(say(language, "keys_off"), type="button", className="button", **pressed)
    shown = scrolled(table([say(language, "key"), say(language, "meaning")], rows, title), title, "prose")
    return block(title, "", [shown, html.P(off)], language)


def _citing(context: PageContext) -> html.Section:
    language = context.view.language
    cited = say(
        language, "cite_text", organisation=context.config.organisation or "Footprint", licence=context.config.editions.licence
    )
    return block(say(language, "cite_title"), "", html.P(cited, className="sentence"), language)


def _accessibility(language: str) -> list[Any]:
    told = [html.P(say(language, key), className="sentence") for key in ("accessibility_text", "accessibility_scope")]
    return [*told, html.P(say(language, "accessibility_contact"), className="sentence")]


def missing(context: PageContext) -> list[Any]:
    """What is said where there is no page."""
    view, language, public = context.view, context.view.language, context.role is Role.PUBLIC
    back = html.A(say(language, "nav_editions" if public else "nav_overview"), href=view.link("/editions" if public else "/"))
    text = say(language, "not_found_public" if public else "not_found_text")
    return [message(say(language, "not_found"), text), html.P(back)]
