"""This file holds the fixed phrases around an edition's contents, in both languages: masthead, notes, keys, footers."""

from __future__ import annotations

from footprint.editions.document import Text
from footprint.editions.words import t

SUBJECT = t("Empreinte des services d’IA", "Footprint of AI services")
DRAFT, RELEASED = t("projet, non publié", "draft, not published"), t("paru le {when}", "released on {when}")
STRIP = t("Chaque jour de la période : plein, mesuré ; hachuré, en partie estimé ; vide, manquant",
          "Each day of the period: full, measured; hatched, estimated in part; empty, missing")  # fmt: skip
STRIP_ALT = t("Couverture jour par jour : {measured} jours mesurés, {estimated} estimés en partie, {missing} manquants.",
              "Coverage day by day: {measured} days measured, {estimated} estimated in part, {missing} missing.")  # fmt: skip
COVERED = t("{share} du temps des appareils a été relevé", "{share} of device time was read")
STATUS, PRODUCER = t("Statut", "Status"), t("Producteur", "Producer")
CHECK = t("Vérifier un chiffre", "Check a figure")
CHECK_HOW = t("footprint trace, et son numéro : {id}", "footprint trace, and its number: {id}")
CONTACT, NEXT = t("Contact", "Contact"), t("Prochaine parution", "Next release")
ADDRESS = t("Adresse", "Address")
VERSION = t("version {version}", "version {version}")
FINAL_ON = t("Définitive le {when}", "Final on {when}")
STATUSES = {
    "draft": t("Projet", "Draft"), "provisional": t("Provisoire", "Provisional"), "final": t("Définitive", "Final"),
    "revised": t("Révisée", "Revised"),
}  # fmt: skip
QUALITIES = {
    "A": t("mesuré", "measured"), "B": t("en partie modélisé", "partly modelled"), "C": t("estimé", "estimated"),
    "D": t("déclaré par le fournisseur", "supplier’s word"),
}  # fmt: skip
FLAGS = {
    "c": t("confidentiel : trop peu d’utilisateurs", "confidential: too few users"), "e": t("estimé", "estimated"),
    "p": t("provisoire", "provisional"), "r": t("révisé", "revised"), "u": t("couverture sous 80 %", "coverage below 80%"),
    "x": t("inconnu", "unknown"), "z": t("sans objet", "not applicable"), "low": t("arrondi à zéro", "rounds to zero"),
}  # fmt: skip
COMMITTEE = t("Rempli par le comité", "Written by the committee")
FOOTER = t("Édition {period}, version {version}, {status} · méthode {method} · facteurs {factors} · {licence}",
           "Edition {period}, version {version}, {status} · method {method} · factors {factors} · {licence}")  # fmt: skip
DEMO = t("Démonstration, chiffres simulés.", "Demonstration, simulated figures.")
ANNEX = t("Annexe", "Annex")
TABLE_OF = t("Tableau", "Table")
CODE_ALT = t("Code de l’adresse de cette édition", "Code of this edition’s address")
OTHER_LANGUAGE = t("English", "Français")
ANNEXES = t("Données (zip)", "Data (zip)")
PDF = t("PDF", "PDF")


def badge(letter: str, language: str) -> str:
    """What a badge says."""
    return QUALITIES[letter].in_(language) if letter in QUALITIES else ""


def flag(name: str) -> Text:
    """What a flag says."""
    return FLAGS.get(name, Text(name, name))
