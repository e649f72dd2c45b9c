"""``[editions]``: where editions are published, by whom, and on which days."""

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
    """Publication of editions; days count from the end of the period (C5 of the revisions policy)."""

    folder: str = ""  # or a URL; empty: beside the store
    producer: str = ""
    contact: str = ""
    address: str = ""  # public URL of the editions; empty if none is declared
    licence: str = LICENCE  # of the published data
    provisional_day: int = 15
    final_day: int = 60
    release_hour: int = 12  # in the organisation's time zone
    decisions: str = ""  # TOML file of the committee; empty: decisions.toml beside the editions
    seen_before: tuple[str, ...] = ()  # who gets an edition before its release; empty: nobody


def read_editions(document: Document) -> EditionRules:
    """Read the [editions] section; paths are as written.

    Raises
    ------
    ConfigError
        If a value is invalid.
    """
    texts = {key: _text(document, key) for key in ("folder", "producer", "contact", "address", "decisions")}
    provisional = _integer(document, "provisional_day", 15, 1, 120)
    final = _integer(document, "final_day", 60, 1, 365)
    if final <= provisional:
        raise document.error("final_day must come after provisional_day", TABLE, 0, "final_day")
    if texts["address"] and not texts["address"].startswith(("https://", "http://")):
        raise document.error("address must begin with https:// or http://", TABLE, 0, "address")
    return EditionRules(
        **texts,
        licence=_text(document, "licence") or LICENCE,
        provisional_day=provisional,
        final_day=final,
        release_hour=_integer(document, "release_hour", 12, 0, 23),
        seen_before=_names(document),
    )


def _value(document: Document, key: str, default: Any) -> Any:
    return document.data.get(TABLE, {}).get(key, default)


def _text(document: Document, key: str) -> str:
    value = _value(document, key, "")
    if not isinstance(value, str):
        raise document.error(f"{key} must be a text in quotes", TABLE, 0, key)
    return value


def _integer(document: Document, key: str, default: int, minimum: int, maximum: int) -> int:
    value = _value(document, key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise document.error(f"{key} must be a whole number from {minimum} to {maximum}", TABLE, 0, key)
    return value


def _names(document: Document) -> tuple[str, ...]:
    value = _value(document, "seen_before", [])
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise document.error("seen_before must be a list of texts", TABLE, 0, "seen_before")
    return tuple(value)
