"""Message catalogues (gettext) and French typography."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = ("fr", "en")
NBSP, THIN = "\u00a0", "\u202f"


@cache
def load_catalogue(folder: Path, language: str) -> dict[str, str]:
    """Messages of a language by key, from ``folder/LANGUAGE.po``."""
    with (folder / f"{language}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def translate(folder: Path, language: str, key: str, **values: str) -> str:
    """Message of a key in a language, with French no-break spaces; the key itself if it has none (a name from the data)."""
    text = load_catalogue(folder, language).get(key, key)
    if text is not key and language == "fr":
        text = add_french_spaces(text)
    return text.format(**values) if values else text


def add_french_spaces(text: str) -> str:
    """French text with no-break spaces before double punctuation and percent signs, and within thousands."""
    for mark in (" :", " ;", " !", " ?", " %"):
        text = text.replace(mark, NBSP + mark[1] if mark == " :" else THIN + mark[1])
    return text.replace("1 000", f"1{THIN}000").replace("« ", f"«{NBSP}").replace(" »", f"{NBSP}»")
