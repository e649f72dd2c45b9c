"""This file lists the versions behind the figures: method, factors with source and licence, sealed days, program."""

from __future__ import annotations

from footprint.editions.document import Column, Paragraphs, Row, Section, Sentence, Table
from footprint.editions.facts import Facts
from footprint.editions.figures import FigureBook
from footprint.editions.words import NOTHING, cited, same, t
from footprint.wording.numbers import number


def section(facts: Facts, book: FigureBook) -> Section:
    """What a reader needs to recompute."""
    row, context = facts.now.row, facts.context
    rows = tuple(
        Row((
            same(f"{factor.kind}, {factor.where}"),
            t(f"{number(factor.value, 'fr', 4)} {factor.unit}", f"{number(factor.value, 'en', 4)} {factor.unit}"),
            same(factor.valid_from.isoformat()), cited(factor.source), cited(factor.licence), same(factor.bundle),
        ))
        for factor in facts.factors
    )  # fmt: skip
    columns = (
        Column(t("facteur", "factor"), "code"), Column(t("valeur", "value")), Column(t("depuis", "since")),
        Column(t("source", "source")), Column(t("licence", "licence")), Column(t("lot", "bundle"), "code"),
    )  # fmt: skip
    sealed = len(facts.heads)
    before = context.latest(str(facts.previous))
    told = [
        Sentence(t(f"Méthode {row['method_version']}, facteurs {row['factor_version']}, programme {context.code_version}.",
                   f"Method {row['method_version']}, factors {row['factor_version']}, program {context.code_version}.")),
        Sentence(t(f"Jours scellés sur lesquels reposent ces chiffres : {sealed} ; leurs empreintes sont dans les annexes.",
                   f"Sealed days on which these figures rest: {sealed}; their hashes are in the annexes.")),
    ]  # fmt: skip
    if before is not None:
        changed = before.method_version != row["method_version"]
        told.append(Sentence(
            t(f"La méthode a changé depuis l’édition précédente ({before.method_version}) ; l’effet est la première barre de la décomposition.",
              f"The method changed since the edition before ({before.method_version}); its effect is the first bar of the decomposition.")
            if changed else t("La méthode n’a pas changé depuis l’édition précédente.", "The method did not change since the edition before.")
        ))  # fmt: skip
    return Section(
        "methods", t("Méthode et facteurs", "Method and factors"), NOTHING, t("Versions", "Versions"), NOTHING,
        (Paragraphs(tuple(told)), Table("factors", columns, rows, t("Facteurs utilisés", "Factors used"))), NOTHING, annex=True,
    )  # fmt: skip
