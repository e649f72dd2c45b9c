"""This file says every sentence of the pages in French or English: gettext catalogues under ``locale/``, by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from footprint.i18n import catalogue as catalogues
from footprint.i18n.catalogue import LANGUAGES, NBSP, THIN

__all__ = ["LANGUAGES", "NBSP", "THIN", "catalogue", "missing_mark", "translate"]
_FOLDER = Path(__file__).parent / "locale"


def catalogue(language: str) -> dict[str, str]:
    """Sentences of a language by key."""
    return catalogues.load_catalogue(_FOLDER, language)


def missing_mark(row: Mapping[str, Any], language: str) -> str:
    """The mark of a row whose figure is not there: suppressed `[c]` with the reason, or unknown."""
    return translate(language, "suppressed" if row.get("conf_status") == "C" else "unknown")


def translate(language: str, key: str, **values: str) -> str:
    """A sentence of the pages in a language."""
    return catalogues.translate(_FOLDER, language, key, **values)
