"""``[editions]``: where editions are published, by whom, and on which days."""

from __future__ import annotations

from dataclasses import dataclass

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
    texts = {key: document.read_text(TABLE, key) for key in ("folder", "producer", "contact", "address", "decisions")}
    provisional = document.read_integer(TABLE, "provisional_day", 15, 1, 120)
    final = document.read_integer(TABLE, "final_day", 60, 1, 365)
    if final <= provisional:
        raise document.error("final_day must come after provisional_day", TABLE, 0, "final_day")
    if texts["address"] and not texts["address"].startswith(("https://", "http://")):
        raise document.error("address must begin with https:// or http://", TABLE, 0, "address")
    return EditionRules(
        **texts,
        licence=document.read_text(TABLE, "licence") or LICENCE,
        provisional_day=provisional,
        final_day=final,
        release_hour=document.read_integer(TABLE, "release_hour", 12, 0, 23),
        seen_before=_names(document),
    )


def _names(document: Document) -> tuple[str, ...]:
    value = document.data.get(TABLE, {}).get("seen_before", [])
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise document.error("seen_before must be a list of texts", TABLE, 0, "seen_before")
    return tuple(value)
