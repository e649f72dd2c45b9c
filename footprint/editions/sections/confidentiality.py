"""This file says how persons are protected: the rule, how much is not shown because of it, and what is never collected."""

from __future__ import annotations

from footprint.editions.document import Figure, Paragraphs, Ref, Section, Sentence
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.protected_cells import disclosure_rules
from footprint.editions.texts import EMPTY_TEXT, tr


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """Counted at the end: every confidential cell of the edition."""
    hidden = sum(figure.conf_status == "C" for figure in registry.figures())
    identity = registry.add_figure(
        "confidential_cells|",
        Figure(
            id="",
            indicator="confidential_cells",
            label=tr("Valeurs confidentielles", "Confidential values"),
            kind="count",
            unit="1",
            period=str(data.period),
            value=float(hidden),
            display=(1.0, ""),
            formula="number of figures marked [c]",
        ),
    )
    told = (
        Sentence(
            tr(
                "Jamais collectés : questions, réponses, noms, identifiants et adresses des utilisateurs.",
                "Never collected: prompts, answers, names, identifiers and addresses of users.",
            )
        ),
        *_rule(data),
        Sentence(
            tr(
                "Une valeur par usage n’est publiée que si assez de personnes distinctes y ont part et qu’aucune n’y domine ; "
                "elle est sinon marquée [c], ainsi que celles qui la trahiraient.",
                "A value by use is published only if enough distinct persons share in it and none dominates; else it is marked "
                "[c], and so are those that would give it away.",
            )
        ),
        *_unrounded(data),
        *_uncounted(data),
        *_accepted(data),
        Sentence(
            tr("Valeurs marquées [c] dans cette édition : {value}.", "Values marked [c] in this edition: {value}."),
            {"value": Ref(identity, "value")},
            (identity,),
        ),
    )
    return Section(
        "confidentiality",
        tr("Confidentialité", "Confidentiality"),
        EMPTY_TEXT,
        tr("Personne n’est observé", "Nobody is watched"),
        EMPTY_TEXT,
        (Paragraphs(told, "box"),),
        EMPTY_TEXT,
    )


def _unrounded(data: EditionData) -> tuple[Sentence, ...]:
    """Why cells are hidden and counts left as they are."""
    within = disclosure_rules(data.config).protection
    excepted = data.context.accepted or (data.suppression is not None and data.suppression.uncounted)
    fr, en = (", sauf ce qui suit", ", but for what follows") if excepted else ("", "")
    return (
        Sentence(
            tr(
                "Les comptages ne sont pas arrondis : un arrondi ne protège pas de qui soustrait une édition d’une autre, et les parties "
                "ne feraient plus le total. On masque, et aucun chiffre masqué ne se déduit de ce qui est montré à "
                f"{within:.0%} près{fr}.".replace("%", " %"),
                "Counts are not rounded: rounding does not protect from who subtracts one edition from another, and parts would no longer "
                f"sum to the whole. Cells are hidden instead, and no hidden figure can be derived to within {within:.0%} from what is "
                f"shown{en}.",
            )
        ),
    )


def _uncounted(data: EditionData) -> tuple[Sentence, ...]:
    """What is hidden because nobody counted its users, and can be derived all the same."""
    many = 0 if data.suppression is None else len(data.suppression.uncounted)
    if not many:
        return ()
    return (
        Sentence(
            tr(
                f"Cellules masquées faute de nombre d’utilisateurs, et qui se déduisent de totaux montrés : {many}.",
                f"Cells that are hidden for want of a number of users, and can be derived from totals that are shown: {many}.",
            )
        ),
    )


def _accepted(data: EditionData) -> tuple[Sentence, ...]:
    """What can be derived all the same, and why it is published."""
    if data.suppression is None or not data.context.accepted:
        return ()
    many, why = len(data.suppression.exposed), data.context.accepted.rstrip(".").replace("{", "(").replace("}", ")")
    return (
        Sentence(
            tr(
                f"Cellules masquées qui se déduisent de totaux montrés : {many}. Publié malgré cela : {why}.",
                f"Hidden cells that can be derived from totals that are shown: {many}. Published all the same: {why}.",
            )
        ),
    )


def _rule(data: EditionData) -> tuple[Sentence, ...]:
    box = data.suppression
    if box is None:
        return ()
    fewest = "" if box.fewest_users_shown is None else f" La plus petite valeur publiée en compte {box.fewest_users_shown}."
    least = "" if box.fewest_users_shown is None else f" The smallest value published has {box.fewest_users_shown}."
    return (
        Sentence(
            tr(
                f"Règle : au moins {box.min_users} personnes distinctes, aucune au-delà de {box.dominance:.0%} du volume.{fewest} "
                f"Cellules masquées : {box.primary} par la règle, {box.secondary} pour les protéger.".replace("%", " %"),
                f"Rule: at least {box.min_users} distinct persons, none above {box.dominance:.0%} of the volume.{least} "
                f"Cells hidden: {box.primary} by the rule, {box.secondary} to protect them.",
            )
        ),
    )
