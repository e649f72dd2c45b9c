"""This file reads ``[editions]``: where published editions stand, who publishes them, and on which days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from footprint.config.toml_document import Document

TABLE = "editions"
KEYS = {
    "folder",
    "producer",
    "contact",
    "address",
    "licence",
    "provisional_day",
    "final_day",
    "release_hour",
    "decisions",
    "seen_before",
}
LICENCE = "Licence Ouverte 2.0"


@dataclass(frozen=True, slots=True)
class EditionRules:
    """How editions of a period are published; days are counted from the period's end (C5 of the revisions policy)."""

    folder: str = ""  # or a URL; empty: beside the store
    producer: str = ""
    contact: str = ""
    address: str = ""  # under which the editions can be reached; empty where none was declared
    licence: str = LICENCE  # of the published data
    provisional_day: int = 15
    final_day: int = 60
    release_hour: int = 12  # of the organisation's clock
    decisions: str = ""  # a TOML file that the committee fills; empty: decisions.toml beside the editions
    seen_before: tuple[str, ...] = ()  # who sees an edition before its release; empty: nobody


def read_editions(document: Document) -> EditionRules:
    """The rules that a document declares; places are as written.

    Raises
    ------
    ConfigError
        If one of them cannot be right.
    """
    texts = {key: _text(document, key) for key in ("folder", "producer", "contact", "address", "decisions")}
    provisional = _whole(document, "provisional_day", 15, 1, 120)
    final = _whole(document, "final_day", 60, 1, 365)
    if final <= provisional:
        raise document.error("final_day must come after provisional_day", TABLE, 0, "final_day")
    if texts["address"] and not texts["address"].startswith(("https://", "http://")):
        raise document.error("address must begin with https:// or http://", TABLE, 0, "address")
    return EditionRules(
        **texts,
        licence=_text(document, "licence") or LICENCE,
        provisional_day=provisional,
        final_day=final,
        release_hour=_whole(document, "release_hour", 12, 0, 23),
        seen_before=_names(document),
    )


def _given(document: Document, key: str, default: Any) -> Any:
    return document.data.get(TABLE, {}).get(key, default)


def _text(document: Document, key: str) -> str:
    value = _given(document, key, "")
    if not isinstance(value, str):
        raise document.error(f"{key} must be a text in quotes", TABLE, 0, key)
    return value


def _whole(document: Document, key: str, default: int, least: int, most: int) -> int:
    value = _given(document, key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise document.error(f"{key} must be a whole number from {least} to {most}", TABLE, 0, key)
    return value


def _names(document: Document) -> tuple[str, ...]:
    value = _given(document, "seen_before", [])
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise document.error("seen_before must be a list of texts", TABLE, 0, "seen_before")
    return tuple(value)
