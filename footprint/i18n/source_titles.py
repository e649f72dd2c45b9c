"""This file says a source in a language: words of ours are translated, titles and names of others stay, marked with their own.

Sources are facts of the factor book, written in English around what is cited. A title is never translated: nobody would find it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from footprint.i18n.catalogue import add_french_spaces

# Titles of others, and the language that they are in.
TITLES: tuple[tuple[str, str], ...] = (
    ("Our World in Data, carbon intensity of electricity (Ember)", "en"),
    ("Our World in Data, Ember and Energy Institute", "en"),
    ("RTE, Bilan électrique", "fr"),
    ("Pour un numérique soutenable", "fr"),
    ("Licence Ouverte", "fr"),
    ("European consumption mix study", "en"),
    ("electricity impact factors, FRA", "en"),
    ("NVIDIA product carbon footprint of HGX H100", "en"),
)
# Words of ours, and how French says them.
PHRASES: tuple[tuple[str, str], ...] = (
    ("; read in the table of ", " ; lu dans la table de "),
    ("; low bound: ", " ; borne basse : "),
    (", year ", ", année "),
    (", as cited by ", ", cité par "),
    (", as reported by ", ", rapporté par "),
    ("; fact cited", " ; fait cité"),
    (", methodology (p5-class server, after BoaviztAPI)", ", méthodologie (serveur de classe p5, d’après BoaviztAPI)"),
    (" survey (6 million m3 with indirect use over 2.4 TWh)", ", enquête (6 millions de m³ avec l’usage indirect, pour 2,4 TWh)"),
    (" (1,312 kg for eight)", " (1 312 kg pour huit)"),
    (" in the ADEME model", " dans le modèle de l’ADEME"),
    ("the Hubblo calculator", "le calculateur de Hubblo"),
    ("fact cited", "fait cité"),
)
_KNOWN = re.compile("|".join(re.escape(text) for text, _ in sorted((*TITLES, *PHRASES), key=lambda each: -len(each[0]))))


def translate_source(source: str, language: str) -> list[tuple[str, str]]:
    """(text, language where it is another one, else empty), in order; what is not known stays as it was written."""
    found: list[tuple[str, str]] = []
    for text, own in _parts(source, language):
        if found and found[-1][1] == own:
            found[-1] = found[-1][0] + text, own
        else:
            found.append((text, own))
    return found


def _parts(source: str, language: str) -> Iterator[tuple[str, str]]:
    titles, phrases, at = dict(TITLES), dict(PHRASES), 0
    for match in _KNOWN.finditer(source):
        if match.start() > at:
            yield source[at : match.start()], ""
        text, at = match[0], match.end()
        if text in titles:
            yield text, titles[text] if titles[text] != language else ""
        else:
            yield add_french_spaces(phrases[text]) if language == "fr" else text, ""
    if at < len(source):
        yield source[at:], ""
