"""Section: terms of an edition from the registry of methods, and how to cite it."""

from __future__ import annotations

from footprint.editions.document import Column, Paragraphs, Section, Sentence, Table, TableRow, Text
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.texts import EMPTY_TEXT, long_period, tr
from footprint.queries.methods import METHODS


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """Terms with formulas, the citation, the licence."""
    rows = tuple(
        TableRow((tr(*method.label), tr(*method.words), tr(*(method.formula_in(language) for language in ("fr", "en")))))
        for method in METHODS
    )
    columns = (Column(tr("terme", "term")), Column(tr("définition", "definition")), Column(tr("formule", "formula"), "code"))
    rules, context, period = data.config.editions, data.context, long_period(data.period)
    producer = rules.producer or data.config.organisation or "Footprint"
    address = f" {rules.address}." if rules.address else ""
    citation = Text(
        f"{producer}, Empreinte des services d’IA, {period.fr[0].lower()}{period.fr[1:]}, version {context.version}.{address}",
        f"{producer}, Footprint of AI services, {period.en[0].lower()}{period.en[1:]}, version {context.version}.{address}",
    )
    sentences = (
        Sentence(tr("Citer ainsi :", "Cite as:")),
        Sentence(citation),
        Sentence(tr(f"Données publiées sous {rules.licence}.", f"Data published under {rules.licence}.")),
        Sentence(
            tr(
                "[c] confidentiel, [e] estimé, [p] provisoire, [r] révisé, [u] couverture sous 80 %, [x] inconnu, [z] sans objet.",
                "[c] confidential, [e] estimated, [p] provisional, [r] revised, [u] coverage below 80%, [x] unknown, [z] not applicable.",
            )
        ),
    )
    return Section(
        "definitions",
        tr("Définitions", "Definitions"),
        EMPTY_TEXT,
        tr("Définitions et citation", "Definitions and citation"),
        EMPTY_TEXT,
        (Paragraphs(sentences, "box"), Table("definitions", columns, rows, tr("Définitions", "Definitions"))),
        EMPTY_TEXT,
        annex=True,
    )
