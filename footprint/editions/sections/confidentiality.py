"""Section: protection of persons: the rule, how much it hides, and data that is never collected."""

from __future__ import annotations

from footprint.editions.document import Figure, Paragraphs, Ref, Section, Sentence
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry
from footprint.editions.protected_cells import disclosure_rules
from footprint.editions.texts import EMPTY_TEXT, tr


def section(data: EditionData, registry: FigureRegistry) -> Section:
    """The number counts every confidential figure of the edition, so this section comes last of those with figures."""
    confidential_count = sum(figure.conf_status == "C" for figure in registry.figures())
    identity = registry.add_figure(
        "confidential_cells|",
        Figure(
            id="",
            indicator="confidential_cells",
            label=tr("Valeurs confidentielles", "Confidential values"),
            kind="count",
            unit="1",
            period=str(data.period),
            value=float(confidential_count),
            display=(1.0, ""),
            formula="number of figures marked [c]",
        ),
    )
    sentences = (
        Sentence(
            tr(
                "Jamais collectés : questions, réponses, noms, identifiants et adresses des utilisateurs.",
                "Never collected: prompts, answers, names, identifiers and addresses of users.",
            )
        ),
        *_rule_note(data),
        Sentence(
            tr(
                "Une valeur par usage n’est publiée que si assez de personnes distinctes y ont part et qu’aucune n’y domine ; "
                "elle est sinon marquée [c], ainsi que celles qui la trahiraient.",
                "A value by use is published only if enough distinct persons share in it and none dominates; else it is marked "
                "[c], and so are those that would give it away.",
            )
        ),
        *_rounding_note(data),
        *_uncounted_note(data),
        *_acceptance_note(data),
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
        (Paragraphs(sentences, "box"),),
        EMPTY_TEXT,
    )


def _rounding_note(data: EditionData) -> tuple[Sentence, ...]:
    """Why cells are hidden and counts are not rounded."""
    margin = disclosure_rules(data.config).protection
    has_exceptions = data.context.accepted or (data.suppression is not None and data.suppression.uncounted)
    fr, en = (", sauf ce qui suit", ", but for what follows") if has_exceptions else ("", "")
    return (
        Sentence(
            tr(
                "Les comptages ne sont pas arrondis : un arrondi ne protège pas de qui soustrait une édition d’une autre, et les parties "
                "ne feraient plus le total. On masque, et aucun chiffre masqué ne se déduit de ce qui est montré à "
                f"{margin:.0%} près{fr}.".replace("%", " %"),
                "Counts are not rounded: rounding does not protect from who subtracts one edition from another, and parts would no longer "
                f"sum to the whole. Cells are hidden instead, and no hidden figure can be derived to within {margin:.0%} from what is "
                f"shown{en}.",
            )
        ),
    )


def _uncounted_note(data: EditionData) -> tuple[Sentence, ...]:
    """Cells hidden for lack of a number of users that can nevertheless be derived."""
    count = 0 if data.suppression is None else len(data.suppression.uncounted)
    if not count:
        return ()
    return (
        Sentence(
            tr(
                f"Cellules masquées faute de nombre d’utilisateurs, et qui se déduisent de totaux montrés : {count}.",
                f"Cells that are hidden for want of a number of users, and can be derived from totals that are shown: {count}.",
            )
        ),
    )


def _acceptance_note(data: EditionData) -> tuple[Sentence, ...]:
    """Hidden cells that can be derived, and why the edition is published nevertheless."""
    if data.suppression is None or not data.context.accepted:
        return ()
    count, reason = len(data.suppression.exposed), data.context.accepted.rstrip(".").replace("{", "(").replace("}", ")")
    return (
        Sentence(
            tr(
                f"Cellules masquées qui se déduisent de totaux montrés : {count}. Publié malgré cela : {reason}.",
                f"Hidden cells that can be derived from totals that are shown: {count}. Published all the same: {reason}.",
            )
        ),
    )


def _rule_note(data: EditionData) -> tuple[Sentence, ...]:
    suppression = data.suppression
    if suppression is None:
        return ()
    fewest_fr = (
        ""
        if suppression.fewest_users_shown is None
        else f" La plus petite valeur publiée en compte {suppression.fewest_users_shown}."
    )
    fewest_en = (
        "" if suppression.fewest_users_shown is None else f" The smallest value published has {suppression.fewest_users_shown}."
    )
    return (
        Sentence(
            tr(
                f"Règle : au moins {suppression.min_users} personnes distinctes, aucune au-delà de {suppression.dominance:.0%} du volume.{fewest_fr} "
                f"Cellules masquées : {suppression.primary} par la règle, {suppression.secondary} pour les protéger.".replace(
                    "%", " %"
                ),
                f"Rule: at least {suppression.min_users} distinct persons, none above {suppression.dominance:.0%} of the volume.{fewest_en} "
                f"Cells hidden: {suppression.primary} by the rule, {suppression.secondary} to protect them.",
            )
        ),
    )
