"""Texts of editions in both languages: periods, names, statuses, dates and lists, with each language's typography."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from babel.dates import format_date
from babel.lists import format_list

from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.periods import Period
from footprint.config.models import UNDECLARED
from footprint.editions.document import Cited, Text
from footprint.i18n.catalogue import add_french_spaces
from footprint.i18n.source_titles import translate_source

_ORDINALS = ("Premier", "Deuxième", "Troisième", "Quatrième"), ("First", "Second", "Third", "Fourth")


def tr(fr: str, en: str) -> Text:
    """A phrase in both languages; French gets its no-break spaces."""
    return Text(add_french_spaces(fr), en)


def untranslated(text: str) -> Text:
    """A name from the data, the same in both languages."""
    return Text(text, text)


def source_text(source: str) -> Cited:
    """A source of the factor book in both languages."""
    return Cited(tuple(translate_source(source, "fr")), tuple(translate_source(source, "en")))


EMPTY_TEXT = Text("", "")


def name_text(name: str) -> Text:
    """A service, use case or model; reserved names in words."""
    if name == IDLE_NAME:
        return Text("(à vide)", "(idle)")
    if name == UNATTRIBUTED_NAME:
        return Text("(non attribué)", "(not attributed)")
    if name == UNDECLARED:
        return Text("(usages non déclarés)", "(undeclared uses)")
    return untranslated(name) if name else Text("(sans nom)", "(no name)")


CHARTER_TEXTS = {
    "recommended": Text("recommandé", "recommended"),
    "authorised": Text("autorisé", "authorised"),
    "under-study": Text("à l’étude", "under study"),
    "proscribed": Text("proscrit", "proscribed"),
    UNDECLARED: Text("non déclaré", "not declared"),
}


def charter_text(status: str) -> Text:
    """A charter status in words."""
    return CHARTER_TEXTS.get(status, name_text(status))


def short_period(period: Period) -> Text:
    """A period as a column head: T3 2026, Q3 2026; a month, a year."""
    if period.length == 3:
        quarter = (period.month + 2) // 3
        return Text(f"T{quarter}\u00a0{period.year}", f"Q{quarter}\u00a0{period.year}")
    if period.length == 12:
        return untranslated(str(period.year))
    return date_text(datetime.date(period.year, period.month, 1), "MMM y")


def long_period(period: Period) -> Text:
    """A period as a title: Troisième trimestre 2026."""
    if period.length == 3:
        index = (period.month - 1) // 3
        return Text(f"{_ORDINALS[0][index]} trimestre {period.year}", f"{_ORDINALS[1][index]} quarter {period.year}")
    if period.length == 12:
        return Text(f"Année {period.year}", f"Year {period.year}")
    day = datetime.date(period.year, period.month, 1)
    texts = date_text(day, "MMMM y")
    return Text(texts.fr[:1].upper() + texts.fr[1:], texts.en)


def in_sentence(period: Period) -> Text:
    """A period within a sentence: le troisième trimestre 2026; the third quarter of 2026."""
    if period.length == 3:
        texts = long_period(period)
        ordinal = texts.en.split(" ", 1)[0].lower()
        return Text(f"le {texts.fr[0].lower()}{texts.fr[1:]}", f"the {ordinal} quarter of {period.year}")
    if period.length == 12:
        return Text(f"l’année {period.year}", f"{period.year}")
    texts = date_text(datetime.date(period.year, period.month, 1), "MMMM y")
    return Text(f"le mois de {texts.fr}" if texts.fr[0] not in "ao" else f"le mois d’{texts.fr}", texts.en)


def in_comparison(period: Period) -> Text:
    """A period as the base of a change: au troisième trimestre 2025."""
    texts = in_sentence(period)
    return Text(f"au {texts.fr[3:]}" if texts.fr.startswith("le ") else f"à {texts.fr}", texts.en)


def date_text(day: datetime.date, pattern: str = "d MMM y") -> Text:
    """A date in both languages."""
    fr, en = (str(format_date(day, pattern, locale=language)) for language in ("fr", "en_GB"))
    if pattern.startswith("d ") and day.day == 1:
        fr = fr.replace("1 ", "1er ", 1)
    return Text(fr.replace(" ", "\u00a0"), en.replace(" ", "\u00a0"))


def list_names(names: list[str]) -> Text:
    """Names as a list, with the conjunction before the last."""
    return list_texts([name_text(name) for name in names])


def list_texts(texts: Sequence[Text]) -> Text:
    """Texts as a list, with the conjunction before the last."""
    return Text(
        str(format_list([text.fr for text in texts], locale="fr")), str(format_list([text.en for text in texts], locale="en_GB"))
    )


def join_texts(*parts: Text, by: str = " ") -> Text:
    """Non-empty phrases joined."""
    non_empty = [part for part in parts if part.fr or part.en]
    return Text(by.join(part.fr for part in non_empty), by.join(part.en for part in non_empty))


def number_word(count: int) -> Text:
    """A number at the beginning of a sentence: a word up to nine; feminine in French where it shows (un)."""
    fr = ("Aucun", "Un", "Deux", "Trois", "Quatre", "Cinq", "Six", "Sept", "Huit", "Neuf")
    en = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    return Text(fr[count], en[count]) if 0 <= count < len(fr) else untranslated(str(count))
