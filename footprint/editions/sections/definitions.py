"""This file defines the words of an edition, from the registry of methods, and says how to cite it."""

from __future__ import annotations

from footprint.editions.document import Column, Paragraphs, Row, Section, Sentence, Table, Text
from footprint.editions.facts import Facts
from footprint.editions.figures import FigureBook
from footprint.editions.words import NOTHING, long, t
from footprint.querying.methods import METHODS


def section(facts: Facts, book: FigureBook) -> Section:
    """Eleven words with their formulas, the citation, the licence."""
    rows = tuple(Row((t(*method.label), t(*method.words), t(*(method.formula_in(language) for language in ("fr", "en"))))) for method in METHODS)
    columns = (Column(t("terme", "term")), Column(t("définition", "definition")), Column(t("formule", "formula"), "code"))
    rules, context, period = facts.config.editions, facts.context, long(facts.period)
    who = rules.producer or facts.config.organisation or "Footprint"
    address = f" {rules.address}." if rules.address else ""
    cite = Text(
        f"{who}, Empreinte des services d’IA, {period.fr[0].lower()}{period.fr[1:]}, version {context.version}.{address}",
        f"{who}, Footprint of AI services, {period.en[0].lower()}{period.en[1:]}, version {context.version}.{address}",
    )
    told = (
        Sentence(t("Citer ainsi :", "Cite as:")), Sentence(cite),
        Sentence(t(f"Données publiées sous {rules.licence}.", f"Data published under {rules.licence}.")),
        Sentence(t("[c] confidentiel, [e] estimé, [p] provisoire, [r] révisé, [u] couverture sous 80 %, [x] inconnu, [z] sans objet.",
                   "[c] confidential, [e] estimated, [p] provisional, [r] revised, [u] coverage below 80%, [x] unknown, [z] not applicable.")),
    )  # fmt: skip
    return Section(
        "definitions", t("Définitions", "Definitions"), NOTHING, t("Définitions et citation", "Definitions and citation"), NOTHING,
        (Paragraphs(told, "box"), Table("definitions", columns, rows, t("Définitions", "Definitions"))), NOTHING, annex=True,
    )  # fmt: skip
