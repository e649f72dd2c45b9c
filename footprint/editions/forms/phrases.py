"""Fixed phrases around an edition's contents, in both languages: masthead, notes, keys, footers."""

from __future__ import annotations

from footprint.editions.document import Text
from footprint.editions.texts import tr

SUBJECT = tr("Empreinte des services d’IA", "Footprint of AI services")
DRAFT, RELEASED = tr("projet, non publié", "draft, not published"), tr("paru le {when}", "released on {when}")
STRIP = tr(
    "Chaque jour de la période : plein, mesuré ; hachuré, en partie estimé ; vide, manquant",
    "Each day of the period: full, measured; hatched, estimated in part; empty, missing",
)
STRIP_ALT = tr(
    "Couverture jour par jour : {measured} jours mesurés, {estimated} estimés en partie, {missing} manquants.",
    "Coverage day by day: {measured} days measured, {estimated} estimated in part, {missing} missing.",
)
COVERED = tr("{share} du temps des appareils a été relevé", "{share} of device time was read")
STATUS, PRODUCER = tr("Statut", "Status"), tr("Producteur", "Producer")
CHECK = tr("Vérifier un chiffre", "Check a figure")
CHECK_HOW = tr("footprint trace, et son numéro : {id}", "footprint trace, and its number: {id}")
NEXT = tr("Prochaine parution", "Next release")
VERSION = tr("version {version}", "version {version}")
FINAL_ON = tr("Définitive le {when}", "Final on {when}")
STATUSES = {
    "draft": tr("Projet", "Draft"),
    "provisional": tr("Provisoire", "Provisional"),
    "final": tr("Définitive", "Final"),
    "revised": tr("Révisée", "Revised"),
}
QUALITIES = {
    "A": tr("mesuré", "measured"),
    "B": tr("en partie modélisé", "partly modelled"),
    "C": tr("estimé", "estimated"),
    "D": tr("déclaré par le fournisseur", "supplier’s word"),
}
FLAGS = {
    "c": tr("confidentiel : trop peu d’utilisateurs", "confidential: too few users"),
    "e": tr("estimé", "estimated"),
    "p": tr("provisoire", "provisional"),
    "r": tr("révisé", "revised"),
    "u": tr("couverture sous 80 %", "coverage below 80%"),
    "x": tr("inconnu", "unknown"),
    "z": tr("sans objet", "not applicable"),
    "low": tr("arrondi à zéro", "rounds to zero"),
}
COMMITTEE = tr("Rempli par le comité", "Written by the committee")
FOOTER = tr(
    "Édition {period}, version {version}, {status} · méthode {method} · facteurs {factors} · {licence}",
    "Edition {period}, version {version}, {status} · method {method} · factors {factors} · {licence}",
)
DEMO = tr("Démonstration, chiffres simulés.", "Demonstration, simulated figures.")
ANNEX = tr("Annexe", "Annex")
TABLE_OF = tr("Tableau", "Table")
CODE_ALT = tr("Code de l’adresse de cette édition", "Code of this edition’s address")
OTHER_LANGUAGE = tr("English", "Français")
ANNEXES = tr("Données (zip)", "Data (zip)")
PDF = tr("PDF", "PDF")


def quality_label(letter: str, language: str) -> str:
    """The meaning of a quality letter."""
    return QUALITIES[letter].in_(language) if letter in QUALITIES else ""


def flag_label(name: str) -> Text:
    """The meaning of a flag."""
    return FLAGS.get(name, Text(name, name))
