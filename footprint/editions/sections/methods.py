"""Section: versions behind the figures: method, factors with source and licence, sealed days, program."""

from __future__ import annotations

from footprint.editions.document import Column, Paragraphs, Section, Sentence, Table, TableRow
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.texts import EMPTY_TEXT, source_text, tr, untranslated
from footprint.i18n.formatting import format_number


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """The versions that a reader needs to recompute the figures."""
    row, context = data.current.row, data.context
    rows = tuple(
        TableRow(
            (
                untranslated(f"{factor.kind}, {factor.where}"),
                tr(
                    f"{format_number(factor.value, 'fr', 4)} {factor.unit}",
                    f"{format_number(factor.value, 'en', 4)} {factor.unit}",
                ),
                untranslated(factor.valid_from.isoformat()),
                source_text(factor.source),
                source_text(factor.licence),
                untranslated(factor.bundle),
            )
        )
        for factor in data.factors
    )
    columns = (
        Column(tr("facteur", "factor"), "code"),
        Column(tr("valeur", "value")),
        Column(tr("depuis", "since")),
        Column(tr("source", "source")),
        Column(tr("licence", "licence")),
        Column(tr("lot", "bundle"), "code"),
    )
    sealed_day_count = len(data.heads)
    before = context.latest(str(data.previous))
    sentences = [
        Sentence(
            tr(
                f"Méthode {row['method_version']}, facteurs {row['factor_version']}, programme {context.code_version}.",
                f"Method {row['method_version']}, factors {row['factor_version']}, program {context.code_version}.",
            )
        ),
        Sentence(
            tr(
                f"Jours scellés sur lesquels reposent ces chiffres : {sealed_day_count} ; leurs empreintes sont dans les annexes.",
                f"Sealed days on which these figures rest: {sealed_day_count}; their hashes are in the annexes.",
            )
        ),
    ]
    if before is not None:
        changed = before.method_version != row["method_version"]
        sentences.append(
            Sentence(
                tr(
                    f"La méthode a changé depuis l’édition précédente ({before.method_version}) ; l’effet est la première barre de la décomposition.",
                    f"The method changed since the edition before ({before.method_version}); its effect is the first bar of the decomposition.",
                )
                if changed
                else tr(
                    "La méthode n’a pas changé depuis l’édition précédente.",
                    "The method did not change since the edition before.",
                )
            )
        )
    return Section(
        "methods",
        tr("Méthode et facteurs", "Method and factors"),
        EMPTY_TEXT,
        tr("Versions", "Versions"),
        EMPTY_TEXT,
        (Paragraphs(tuple(sentences)), Table("factors", columns, rows, tr("Facteurs utilisés", "Factors used"))),
        EMPTY_TEXT,
        annex=True,
    )
