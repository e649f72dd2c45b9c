"""Texts of the pages in French and English, by key, from the gettext catalogues in `locale/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from footprint.i18n import catalogue as catalogues
from footprint.i18n.catalogue import LANGUAGES, NBSP, THIN

__all__ = ["LANGUAGES", "NBSP", "THIN", "catalogue", "missing_mark", "translate"]
_FOLDER = Path(__file__).parent / "locale"


def catalogue(language: str) -> dict[str, str]:
    """Texts of a language by key."""
    return catalogues.load_catalogue(_FOLDER, language)


def missing_mark(row: Mapping[str, Any], language: str) -> str:
    """Mark of a row without a figure: `[c]` (suppressed) with the reason, or `[x]` (unknown)."""
    return translate(language, "suppressed" if row.get("conf_status") == "C" else "unknown")


def translate(language: str, key: str, **values: str) -> str:
    """Text of a key in a language, with ``values`` filled in."""
    return catalogues.translate(_FOLDER, language, key, **values)
