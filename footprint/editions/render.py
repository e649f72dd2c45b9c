"""Rendering of an edition to its files; the same edition gives the same bytes."""

from __future__ import annotations

from footprint.editions.document import Edition
from footprint.editions.forms import data_package, html, pdf
from footprint.editions.forms.layout import lay_out
from footprint.editions.serialization import to_json
from footprint.i18n.catalogue import LANGUAGES

REPORT, ANNEXES = "report.json", "annexes.zip"
_DESCRIPTION = {"fr": "Données de l’édition", "en": "Data of the edition"}


def render_files(edition: Edition) -> dict[str, bytes]:
    """Files by name: ``report.json``, each language as HTML and PDF, and the data package, which the PDF embeds.

    Raises
    ------
    ModuleNotFoundError
        If the extra ``report`` is not installed.
    """
    sheets = {language: lay_out(edition, language) for language in LANGUAGES}
    data = data_package.build_data_package(edition, sheets)
    files = {REPORT: to_json(edition), ANNEXES: data}
    for language, sheet in sheets.items():
        attached = pdf.AttachedFile(ANNEXES, data, _DESCRIPTION[language])
        files[f"{language}/report.html"] = html.render(sheet).encode()
        files[f"{language}/report.pdf"] = pdf.render(sheet, edition.masthead.released, [attached])
    return files
