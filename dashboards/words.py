"""This file says every sentence of the pages in French or English: gettext catalogues under ``locale/``, by key."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = ("fr", "en")
NBSP, THIN = "\u00a0", "\u202f"


@cache
def catalogue(language: str) -> dict[str, str]:
    """Sentences of a language by key."""
    path = Path(__file__).parent / "locale" / f"{language}.po"
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def say(language: str, key: str, **values: str) -> str:
    """A sentence in a language, the key itself where there is none (a name from the data); French gets its no-break spaces."""
    text = catalogue(language).get(key, key)
    if text is not key and language == "fr":
        for mark in (" :", " ;", " !", " ?", " %"):
            text = text.replace(mark, NBSP + mark[1] if mark == " :" else THIN + mark[1])
        text = text.replace("1 000", f"1{THIN}000")
    return text.format(**values) if values else text
