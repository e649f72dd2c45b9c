"""Annotations in an edition: numbered, dated, with the figures that contain them; ones that name a hidden cell are counted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from footprint.calendar.periods import parse_period
from footprint.config import Config, load_config
from footprint.config.models import Annotation
from footprint.editions.builder import build
from footprint.editions.document import Chart, Edition, Trend
from footprint.editions.edition_data import EditionData
from footprint.editions.forms.charts import draw_chart
from footprint.editions.publication import draft_context, draft_edition, publish_edition
from footprint.editions.release_context import ReleaseContext
from footprint.editions.render import render_files
from footprint.editions.sections.annotations import MAX_LISTED
from footprint.editions.serialization import from_json, to_json
from footprint.editions.verification import verify
from footprint.ledger.importers import import_energy
from footprint.storage.database import Store
from tests.support.quarters import compute, instant, seconds

Office = tuple[Config, Store, Path]
NOW = instant("2026-10-12")
BLOCKS = """
[[annotation]]
at = "2026-09-10"
fr = "modèle {remplacé} & relancé"
en = "model {upgraded} & restarted"
service = "chat"
[[annotation]]
at = "2026-08-03"
until = "2026-08-05"
text = "panne du refroidissement"
host = "a"
[[annotation]]
at = "2026-08-20"
text = "the service was moved"
use_case = "translation"
[[annotation]]
at = "2026-08-21"
text = "Translation was advertised to all staff"
[[annotation]]
at = "2026-10-02"
text = "after the period"
[[annotation]]
at = "2020-01-02"
text = "long before"
"""


@pytest.fixture(scope="session")
def data(office_template: Path) -> EditionData:
    config, store = noted(office_template)
    try:
        return draft_edition(store, config, "2026-Q3", NOW).data
    finally:
        store.close()


def noted(folder: Path, blocks: str = BLOCKS) -> tuple[Config, Store]:
    """The office with annotations beside its configuration, whose file stays as it is."""
    text = (folder / "footprint.toml").read_text(encoding="utf-8")
    path = folder / "noted.toml"
    path.write_text(text + blocks, encoding="utf-8")
    config = load_config(str(path))
    return config, Store(config.store_url, demo=config.demo)


def trend_of(edition: Edition) -> Trend:
    (charts,) = [
        block.drawing
        for section in edition.sections
        for block in section.blocks
        if isinstance(block, Chart) and isinstance(block.drawing, Trend)
    ]
    return charts


def test_what_happened_is_numbered_dated_and_names_the_figures_that_hold_it(data: EditionData) -> None:
    edition, _ = build(data)
    first, second = trend_of(edition).events
    assert (first.number, first.start, first.end, first.where) == (1, "2026-08-03", "2026-08-04", (("host", "a"),))
    assert (second.start, second.end, second.words.fr) == ("2026-09-10", "2026-09-10", "modèle {remplacé} & relancé")
    for event, month in ((first, "2026-08"), (second, "2026-09")):
        figures = [edition.figure(identity) for identity in event.figures]
        assert {(figure.period, figure.where) for figure in figures} >= {("2026-Q3", ()), (month, ())}
        assert {figure.indicator for figure in figures} == {"energy_kwh"}
        assert all(figure.value is not None for figure in figures)
        assert all(set(figure.where) <= set(event.where) for figure in figures)


def test_what_an_earlier_version_said_is_not_among_them(office: Office) -> None:
    _, store, folder = office
    config, _ = noted(folder)
    publish_edition(store, config, "2026-Q3", NOW)
    start = seconds("2026-09-10")
    lines = ["time,host,device,component,energy_j", *(f"{start + 600 * n},a,gpu:2,gpu,{n * 240000.0:.1f}" for n in range(144))]
    (folder / "late.csv").write_text("\n".join(lines) + "\n")
    import_energy(store, str(folder / "late.csv"), NOW)
    compute(store, config, "2026-10-13")
    edition = draft_edition(store, config, "2026-Q3", instant("2026-10-14")).edition
    before = {figure.id for figure in edition.figures if figure.formula.startswith("as published")}
    assert before
    figure_ids = [identity for event in trend_of(edition).events for identity in event.figures]
    assert figure_ids
    assert not before & set(figure_ids)


def test_every_form_tells_it_in_its_language(data: EditionData) -> None:
    edition, _ = build(data)
    assert from_json(to_json(edition)) == edition
    files = render_files(edition)
    for language, words, others in (
        (
            "fr",
            "10 sept. 2026 : modèle {remplacé} &amp; relancé (service chat). Chiffres concernés : F-2026Q3-",
            "model {upgraded}",
        ),
        (
            "en",
            "10 Sept 2026: model {upgraded} &amp; restarted (service chat). Figures concerned: F-2026Q3-",
            "modèle {remplacé}",
        ),
    ):
        page = re.sub("[\u00a0\u202f]", " ", files[f"{language}/report.html"].decode())
        assert f"<li>{words}" in page
        assert others not in page
        assert files[f"{language}/report.pdf"].startswith(b"%PDF")
    picture = draw_chart(Chart("t", trend_of(edition), edition.headline.text), {f.id: f for f in edition.figures}, "fr", "t")
    assert re.findall(r'font-size="11"[^>]*>(\d+)<', picture) == ["1", "2"]


def test_what_names_a_hidden_use_in_its_fields_or_in_its_words_is_counted_and_no_more(data: EditionData) -> None:
    edition, _ = build(data)
    raw = to_json(edition).decode()
    assert "moved" not in raw
    assert "advertised" not in raw
    assert "[c] Événements non publiés\u00a0: 2\u202f; ils nomment" in raw
    assert "after the period" not in raw
    assert "long before" not in raw
    pages = render_files(edition)
    assert "[c] Events not published: 2;" in pages["en/report.html"].decode()


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (Annotation(instant("2026-09-01"), "x", until_us=instant("2026-09-02"), service="chat", use_case="translation"), False),
        (Annotation(instant("2026-09-01"), "x", until_us=instant("2026-09-02"), use_case="drafting"), True),
        (Annotation(instant("2026-09-01"), "x", until_us=instant("2026-09-02"), use_case="nobody declared it"), False),
        (Annotation(instant("2026-09-01"), "TRANSLATION, twice", until_us=instant("2026-09-02")), False),
        (Annotation(instant("2026-09-01"), "translations of the page", until_us=instant("2026-09-02")), True),
        (Annotation(instant("2026-09-01"), "x", until_us=instant("2026-09-02"), english="the translation desk"), False),
    ],
)
def test_a_note_is_as_confidential_as_the_cell_that_it_names(data: EditionData, note: Annotation, told: bool) -> None:
    edition, _ = build(replace(data, context=replace(data.context, annotations=(note,))))
    assert len(trend_of(edition).events) == told
    assert ("Événements non publiés" in to_json(edition).decode()) is not told


def test_of_many_the_latest_are_listed_and_the_others_counted(data: EditionData) -> None:
    many = tuple(
        Annotation(instant("2026-09-01", hour), f"step {hour}", until_us=instant("2026-09-01", hour) + 1)
        for hour in range(MAX_LISTED + 3)
    )
    edition, _ = build(replace(data, context=replace(data.context, annotations=many)))
    drawing = trend_of(edition)
    assert [event.words.en for event in drawing.events] == [f"step {hour}" for hour in range(3, MAX_LISTED + 3)]
    assert "Earlier events, not listed: 3." in to_json(edition).decode()
    assert (
        draw_chart(Chart("t", drawing, edition.headline.text), {f.id: f for f in edition.figures}, "en", "t").count(
            'font-size="11"'
        )
        == MAX_LISTED
    )


def test_an_edition_without_a_trend_tells_it_all_the_same(data: EditionData) -> None:
    months = {"2026-09": data.months["2026-09"]}
    edition, _ = build(replace(data, months=months))
    (section,) = [part for part in edition.sections if part.name == "annotations"]
    assert section.title.fr == "Ce qui s’est passé"
    assert not any(part.name == "trend" for part in edition.sections)
    assert "model {upgraded}" in render_files(edition)["en/report.html"].decode()


def test_an_edition_without_notes_says_nothing_of_them(data: EditionData) -> None:
    edition, _ = build(replace(data, context=replace(data.context, annotations=())))
    assert trend_of(edition).events == ()
    assert "Événements" not in to_json(edition).decode()


def test_what_was_published_keeps_its_notes_whatever_is_written_later(office: Office) -> None:
    _, store, folder = office
    config, _ = noted(folder)
    published = publish_edition(store, config, "2026-Q3", NOW)
    assert [event.words.en for event in trend_of(from_json(published.report)).events] == [
        "panne du refroidissement",
        "model {upgraded} & restarted",
    ]
    later, _ = noted(folder, BLOCKS.replace("upgraded", "dropped"))
    assert all(row["same"] for row in verify(store, later, published, NOW))
    context = draft_context(store, later, parse_period("2026-Q3"), NOW)
    assert ReleaseContext.from_json(context.to_json()) == context
    assert "annotations" not in replace(context, annotations=()).to_json()
