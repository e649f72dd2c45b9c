"""This file lists published editions; until the first one it says so."""

from __future__ import annotations

from typing import Any

from dashboards.cards import message
from dashboards.view import Context
from dashboards.words import say

PATH, TITLE = "/editions", "nav_editions"


def content(context: Context) -> list[Any]:
    """The state without an edition."""
    language = context.view.language
    return [message(say(language, "editions_title"), say(language, "editions_text"))]
