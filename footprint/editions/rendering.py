"""This file makes the files of an edition: what is published, and nothing else; the same edition gives the same bytes."""

from __future__ import annotations

from footprint.editions.document import Edition
from footprint.editions.forms import annexes, page
from footprint.editions.forms import print as printing
from footprint.editions.forms.sheet import lay_out
from footprint.editions.serial import to_json

REPORT, ANNEXES = "report.json", "annexes.zip"
LANGUAGES = ("fr", "en")
_DESCRIPTION = {"fr": "Données de l’édition", "en": "Data of the edition"}


def files_of(edition: Edition) -> dict[str, bytes]:
    """Bytes by name: ``report.json``, each language as HTML and PDF, and the data, which the PDF holds too.

    Raises
    ------
    ModuleNotFoundError
        If the extra ``report`` is not installed.
    """
    sheets = {language: lay_out(edition, language) for language in LANGUAGES}
    data = annexes.pack(edition, sheets)
    files = {REPORT: to_json(edition), ANNEXES: data}
    for language, sheet in sheets.items():
        attached = printing.Attached(ANNEXES, data, _DESCRIPTION[language])
        files[f"{language}/report.html"] = page.render(sheet).encode()
        files[f"{language}/report.pdf"] = printing.render(sheet, edition.masthead.released, [attached])
    return files
