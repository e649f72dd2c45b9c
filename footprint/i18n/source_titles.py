"""Sources of factors in French and English: our own phrases are translated, cited titles stay in their language.

The factor book writes sources in English. Titles are never translated, so that readers can find the cited work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from footprint.i18n.catalogue import add_french_spaces

# Cited titles with their language.
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
# Our own phrases with their French translation.
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
_KNOWN = re.compile("|".join(re.escape(text) for text, _ in sorted((*TITLES, *PHRASES), key=lambda pair: -len(pair[0]))))


def translate_source(source: str, language: str) -> list[tuple[str, str]]:
    """Parts of a source: text, and its language if it differs from the requested one, else empty. Unknown text is unchanged."""
    parts: list[tuple[str, str]] = []
    for text, language_mark in _parts(source, language):
        if parts and parts[-1][1] == language_mark:
            parts[-1] = parts[-1][0] + text, language_mark
        else:
            parts.append((text, language_mark))
    return parts


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
