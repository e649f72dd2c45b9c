"""This file helps: the words of these pages, their accessibility, what this program is; and what is said where no page is."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.cards import badge, block, message
from dashboards.view import Context
from dashboards.words import say

PATH, TITLE = "/help", "nav_help"
WORDS = ("coverage", "idle", "unattributed", "pue", "location", "interval", "use_case")


def content(context: Context) -> list[Any]:
    """Glossary, quality letters, accessibility declaration, about."""
    language = context.view.language
    glossary = html.Dl(
        [part for word in WORDS for part in (html.Dt(say(language, f"g_{word}")), html.Dd(say(language, f"g_{word}_text")))]
    )
    letters = html.P([badge(letter, language) for letter in "ABCD"], className="keys")
    return [
        html.H1(say(language, "help_title")),
        html.P(say(language, "share_link"), className="lead"),
        html.Div(
            [
                block(say(language, "glossary"), "", [glossary, letters], language),
                block(say(language, "about"), "", html.P(say(language, "about_text")), language),
            ],
            className="row",
        ),
        block(
            say(language, "accessibility"),
            "",
            html.P(say(language, "accessibility_text")),
            language,
            wide=True,
            identity="accessibility",
        ),
    ]


def missing(context: Context) -> list[Any]:
    """What is said where there is no page."""
    language = context.view.language
    return [message(say(language, "not_found"), say(language, "not_found_text"))]
