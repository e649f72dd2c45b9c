"""Sources are said in the reader's language; titles of others stay in theirs, and are marked so."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.i18n.source_titles import PHRASES, TITLES, translate_source
from footprint.impact.factor_book import shipped_book

# Names of projects, people and licences, which have no language.
NAMES = {
    "CEEMS",
    "CodeCarbon",
    "EcoLogits",
    "Boavizta",
    "BoaviztAPI",
    "Arcep",
    "Falk",
    "et",
    "al",
    "CC-BY-4",
    "MIT",
    "MPL-2",
    "next",
    "ink",
}


def translated(source: str, language: str) -> str:
    return re.sub("[\u00a0\u202f]", " ", "".join(text for text, _ in translate_source(source, language)))


@pytest.mark.parametrize(
    ("source", "fr", "en"),
    [
        (
            "Our World in Data, carbon intensity of electricity (Ember), 2024; read in the table of CEEMS, carbon-intensity-owid.csv",
            [
                ("Our World in Data, carbon intensity of electricity (Ember)", "en"),
                (", 2024\u202f; lu dans la table de CEEMS, carbon-intensity-owid.csv", ""),
            ],
            [
                (
                    "Our World in Data, carbon intensity of electricity (Ember), 2024; read in the table of CEEMS, carbon-intensity-owid.csv",
                    "",
                )
            ],
        ),
        ("RTE, Bilan électrique 2023", [("RTE, Bilan électrique 2023", "")], [("RTE, Bilan électrique", "fr"), (" 2023", "")]),
        ("MPL-2.0; fact cited", [("MPL-2.0\u202f; fait cité", "")], [("MPL-2.0; fact cited", "")]),
        ("", [], []),
    ],
)
def test_words_of_ours_are_translated_and_titles_stay_with_their_language(
    source: str, fr: list[tuple[str, str]], en: list[tuple[str, str]]
) -> None:
    assert translate_source(source, "fr") == fr
    assert translate_source(source, "en") == en


def test_nothing_of_what_is_shipped_is_left_in_another_language_unmarked() -> None:
    known = sorted((text for text, _ in (*TITLES, *PHRASES)), key=len, reverse=True)
    shipped = {each for factor in shipped_book().factors for each in (factor.source, factor.licence)}
    assert len(shipped) > 10
    for source in shipped:
        rest = source
        for text in known:
            rest = rest.replace(text, " ")
        words = set(re.findall(r"(?<![\w.-])[A-Za-zÀ-ÿ][\wÀ-ÿ-]*(?![\w.-]*\.(?:json|csv))", rest)) - NAMES
        words = {word for word in words if not re.search(rf"{re.escape(word)}[\w.-]*\.(json|csv)", source)}
        assert not words, (source, words)


def test_every_phrase_and_title_is_of_use() -> None:
    shipped = " | ".join(f"{factor.source} | {factor.licence}" for factor in shipped_book().factors)
    assert [text for text, _ in (*TITLES, *PHRASES) if text not in shipped] == []


@given(st.text())
def test_a_source_of_an_operator_stays_as_it_was_written_in_english(source: str) -> None:
    assert "".join(text for text, _ in translate_source(source, "en")) == source


def test_a_source_that_nobody_knows_stays_and_is_marked_in_no_language() -> None:
    assert translate_source("Relevé de l’exploitant, 2026", "en") == [("Relevé de l’exploitant, 2026", "")]
    assert translated("x, as cited by y", "fr") == "x, cité par y"
