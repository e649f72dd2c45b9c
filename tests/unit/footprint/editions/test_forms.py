"""Forms of an edition: HTML, PDF, SVG and data agree letter by letter and meet the standards of archives and readers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pikepdf
import pytest

from footprint.charts.canvas import FONT_SIZE, WIDTH, hatch, text_width, ticks, truncate, wrap
from footprint.config import load_config
from footprint.editions.document import (
    Bar,
    Bars,
    Chart,
    Day,
    Edition,
    Effect,
    Figure,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Text,
    Waterfall,
)
from footprint.editions.figure_format import format_figure
from footprint.editions.forms.charts import draw_chart, strip, waterfall
from footprint.editions.forms.data_package import COLUMN_NAMES, figure_rows
from footprint.editions.forms.layout import lay_out
from footprint.editions.publication import draft_edition
from footprint.editions.render import render_files
from footprint.editions.serialization import to_json
from footprint.storage.database import Store
from tests.support.chromium import chromium

NOW_US = 1_790_900_000_000_000


@pytest.fixture(scope="session")
def edition(office_template: Path) -> Edition:
    config = load_config(str(office_template / "footprint.toml"))
    store = Store(config.store_url, demo=config.demo)
    try:
        drafted = draft_edition(store, config, "2026-Q3", NOW_US).edition
    finally:
        store.close()
    return with_hard_cases(drafted)


def with_hard_cases(edition: Edition) -> Edition:
    """A cell that is hidden, a name that is long, words of the committee, days of every state."""
    name = "Codification automatique des professions et des secteurs d’activité"
    hidden = Figure(
        "F-2026Q3-98",
        "energy_kwh",
        Text("Énergie", "Energy"),
        "level",
        "kWh",
        "2026-Q3",
        None,
        where=(("use_case", name),),
        flags=("c",),
        conf_status="C",
    )
    open_ = replace(
        hidden, id="F-2026Q3-99", value=12.0, low=10.0, high=15.0, flags=(), conf_status="F", quality="C", display=(1.0, "kWh")
    )
    bars = Bars(
        "kWh",
        (
            Bar(Text(name, name), open_.id),
            Bar(Text("secret", "secret"), hidden.id),
            Bar(Text("(à vide)", "(idle)"), open_.id, "idle"),
        ),
    )
    extra = (
        Section(
            "hard",
            Text("Figure 9", "Figure 9"),
            Text("note", "note"),
            Text("Cas difficiles & <limites>", "Hard cases & <limits>"),
            Text("", ""),
            (Chart("hard", bars, Text("Un, deux.", "One, two.")),),
            Text("Source", "Source"),
        ),
        Section(
            "committee",
            Text("Décisions", "Decisions"),
            Text("", ""),
            Text("Ce que le comité a décidé", "What the committee decided"),
            Text("", ""),
            (Paragraphs((Sentence(Text("Étudier {x}.", "Study {x}."), {"x": Ref(open_.id)}),)),),
            Text("", ""),
            committee=True,
        ),
    )
    days = (*edition.strip[:-2], Day("2026-09-29", "estimated"), Day("2026-09-30", "missing"))
    return replace(edition, sections=(*edition.sections, *extra), figures=(*edition.figures, hidden, open_), strip=days)


@pytest.fixture(scope="session")
def files(edition: Edition) -> dict[str, bytes]:
    return render_files(edition)


@pytest.fixture(scope="session")
def texts(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every form as plain text."""
    folder, by_language = tmp_path_factory.mktemp("texts"), {}
    for language in ("fr", "en"):
        page = folder / f"{language}.pdf"
        page.write_bytes(files[f"{language}/report.pdf"])
        by_language[f"{language} pdf"] = subprocess.run(
            ["pdftotext", "-layout", str(page), "-"], capture_output=True, check=True
        ).stdout.decode()
        by_language[f"{language} html"] = unescape(re.sub(r"<[^>]+>", "", files[f"{language}/report.html"].decode()))
    return {name: re.sub(r"[\s\u00a0\u202f]+", "", text) for name, text in by_language.items()}


def test_the_contracts_files_are_there(files: dict[str, bytes]) -> None:
    assert sorted(files) == ["annexes.zip", "en/report.html", "en/report.pdf", "fr/report.html", "fr/report.pdf", "report.json"]


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.external
def test_every_number_that_is_cited_reads_the_same_in_all_forms(edition: Edition, texts: dict[str, str], language: str) -> None:
    sheet = lay_out(edition, language)
    lead = next(section for section in edition.sections if section.name == "points")
    cited = [ref.figure for block in lead.blocks for sentence in block.sentences for ref in sentence.refs.values()]  # type: ignore[union-attr]
    cited_ids = set(cited)
    cited += [
        cell.figure
        for section in edition.sections
        for block in section.blocks
        if block.kind == "table"
        for row in block.rows
        for cell in row.cells
        if isinstance(cell, Ref)
    ]
    assert len(set(cited)) > 40
    for identity in cited:
        formatted = format_figure(edition.figure(identity), language)
        for part in (formatted.value, formatted.interval) if identity in cited_ids else (formatted.value,):
            wanted = re.sub(r"[\s\u00a0\u202f]+", "", part)
            for form in ("html", "pdf"):
                assert wanted in texts[f"{language} {form}"], (identity, part, form)
    assert sheet.title


def test_french_and_english_hold_the_same_figures(edition: Edition) -> None:
    ids = []
    for language in ("fr", "en"):
        sheet = lay_out(edition, language)
        tables = [block for section in sheet.sections for block in section.blocks if block.kind == "table"]
        ids.append([[len(block.rows), len(block.heads), block.badges, block.flags] for block in tables])  # type: ignore[union-attr]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_is_one_small_file_that_loads_nothing(files: dict[str, bytes], language: str) -> None:
    page = files[f"{language}/report.html"].decode()
    assert len(gzip.compress(page.encode())) < 100_000
    assert f'<html lang="{language}">' in page
    assert not re.search(r"<script|<link |@import|url\((?!#)|src=\"http", page)
    assert page.count("<h1>") == 1
    assert all(tag in page for tag in ("<main", "<header", "<footer", "<nav", "<title>"))
    heads = re.findall(r"<th(?![a-z])[^>]*>", page)
    assert heads
    assert all("scope=" in head for head in heads)
    assert page.count("<figure>") == page.count('role="img"') - 1  # the strip stands by itself
    assert "&lt;lim" in page  # markup in words stays words


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_pdf_is_tagged_for_readers_and_for_archives(files: dict[str, bytes], language: str) -> None:
    with pikepdf.open(io.BytesIO(files[f"{language}/report.pdf"])) as pdf:
        root = pdf.Root
        assert bool(root.MarkInfo.Marked)
        assert bool(root.ViewerPreferences.DisplayDocTitle)
        assert str(root.Lang).startswith(language)
        assert root.OutputIntents[0].S == "/GTS_PDFA1"
        with pdf.open_metadata() as metadata:
            assert (metadata["pdfuaid:part"], metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("1", "3", "A")
            assert metadata["dc:title"]
        (file,) = pdf.attachments.values()
        assert file.filename == "annexes.zip"
        assert file.get_file().read_bytes() == files["annexes.zip"]
        assert str(root.AF[0].AFRelationship) == "/Data"
        tags = list(walked(root.StructTreeRoot))
        headings = [int(name[2:]) for name, _ in tags if re.fullmatch(r"/H\d", name)]
        assert headings[0] == 1
        assert headings.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(headings))
        figures = [node for name, node in tags if name == "/Figure"]
        assert len(figures) > 5
        assert all(str(node.Alt).strip() for node in figures)
        assert {"/Table", "/TH", "/TD", "/TR"} <= {name for name, _ in tags}
        fonts = {str(font.BaseFont) for page in pdf.pages for font in page.Resources.get("/Font", {}).values()}
        assert fonts
        assert all("Source" in font for font in fonts), fonts


@pytest.mark.parametrize(
    ("language", "heading", "item", "annex", "before"),
    [
        ("fr", "Cinq nombres de qualité", "Personne n’a eu connaissance", "Annexe", "Personne n’est observé"),
        ("en", "Five numbers of quality", "Nobody saw the edition", "Annex", "Nobody is watched"),
    ],
)
@pytest.mark.external
def test_short_lists_stay_with_their_section_and_the_annex_leaves_no_blank_page(
    files: dict[str, bytes], tmp_path: Path, language: str, heading: str, item: str, annex: str, before: str
) -> None:
    page = tmp_path / "report.pdf"
    page.write_bytes(files[f"{language}/report.pdf"])
    pages = subprocess.run(["pdftotext", "-layout", str(page), "-"], capture_output=True, check=True).stdout.decode().split("\f")
    pages = [re.sub(r"[ \u00a0\u202f]+", " ", text) for text in pages]

    def place(words: str) -> int:
        return next(number for number, text in enumerate(pages) if re.search(rf"(?m)^\W*(?:\w+ )*?{re.escape(words)}", text))

    assert place(heading) == place(item)
    assert 1 <= place(annex) - place(before) + 1 <= 2
    # However it is cut, no page begins with an item of a list that began before it.
    assert all(not text.lstrip().startswith("–") for text in pages)


def test_words_of_ours_are_french_in_french_and_titles_of_others_are_marked(files: dict[str, bytes]) -> None:
    page = {language: re.sub("[\u00a0\u202f]", " ", files[f"{language}/report.html"].decode()) for language in ("fr", "en")}
    assert "<code>pire lettre qui porte plus de 10 % de l’énergie</code>" in page["fr"]
    assert not re.search(r"<code>[^<]*(sum over|factor of|worst letter|read /)", page["fr"])
    assert "<code>worst letter bearing more than 10% of the energy</code>" in page["en"]
    title = "Our World in Data, carbon intensity of electricity (Ember)"
    assert f'<span lang="en">{title}</span>, 2024 ; lu dans la table de CEEMS' in page["fr"]
    assert f"{title}, 2024; read in the table of CEEMS" in page["en"]
    assert "lang" not in page["en"].partition(title)[0][-12:]
    with pikepdf.open(io.BytesIO(files["fr/report.pdf"])) as pdf:
        languages = {str(node.Lang) for _, node in walked(pdf.Root.StructTreeRoot) if "/Lang" in node}
        assert str(pdf.Root.Lang) == "fr-FR"
    assert "en" in languages


def walked(node: Any) -> Any:
    kids = node.get("/K")
    if kids is None:
        return
    for kid in kids if isinstance(kids, pikepdf.Array) else [kids]:
        if isinstance(kid, pikepdf.Dictionary) and "/S" in kid:
            yield str(kid.S), kid
            yield from walked(kid)


def test_the_same_edition_gives_the_same_bytes_wherever_it_is_made(
    edition: Edition, files: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_bytes(to_json(edition))
    program = (
        "import sys, hashlib, json; from footprint.editions.serialization import from_json; from footprint.editions.render import render_files\n"
        "found = render_files(from_json(open(sys.argv[1], 'rb').read()))\n"
        "print(json.dumps({name: hashlib.sha256(raw).hexdigest() for name, raw in found.items()}))"
    )
    elsewhere = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "LANG": "C"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "report.json")], env=elsewhere, capture_output=True, check=True
    )
    import hashlib

    assert json.loads(done.stdout) == {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}


def test_the_data_package_is_read_by_another_program(files: dict[str, bytes], tmp_path: Path) -> None:
    from frictionless import Package

    with zipfile.ZipFile(io.BytesIO(files["annexes.zip"])) as pack:
        pack.extractall(tmp_path)
        names = set(pack.namelist())
    report = Package(str(tmp_path / "datapackage.json")).validate()
    assert report.valid, report.flatten(["rowNumber", "fieldName", "type", "note"])
    assert {
        "figures.csv",
        "by_use_case.csv",
        "figures.parquet",
        "methods.json",
        "esms.json",
        "lineage.jsonl",
        "figures/fr/hard.svg",
        "figures/en/hard.txt",
    } <= names
    sums = dict(line.split("  ")[::-1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == names - {"SHA256SUMS"}
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=False).returncode == 0


def test_rows_of_the_data_give_the_strings_of_the_page_again(edition: Edition, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(files["annexes.zip"])) as pack:
        rows = {row["figure_id"]: row for row in csv.DictReader(io.TextIOWrapper(pack.open("figures.csv"), "utf-8"))}
    assert set(rows) == {figure.id for figure in edition.figures}
    assert tuple(next(iter(rows.values()))) == COLUMN_NAMES
    for figure in edition.figures:
        row = rows[figure.id]
        again = replace(figure, **{name: float(row[name]) if row[name] else None for name in ("value", "low", "high")})  # type: ignore[arg-type]
        for language in ("fr", "en"):
            assert format_figure(again, language) == format_figure(figure, language)


def test_a_hidden_cell_has_no_value_anywhere(edition: Edition, files: dict[str, bytes]) -> None:
    (row,) = [row for row in figure_rows(edition) if row["figure_id"] == "F-2026Q3-98"]
    assert (row["value"], row["low"], row["high"], row["conf_status"]) == (None, None, None, "C")
    chart = next(
        block for section in edition.sections for block in section.blocks if block.kind == "chart" and block.name == "hard"
    )
    assert isinstance(chart, Chart)
    drawing = draw_chart(chart, {figure.id: figure for figure in edition.figures}, "fr", "t")
    assert drawing.count("[c]") == 1


@pytest.mark.parametrize("language", ["fr", "en"])
def test_charts_are_well_formed_and_nothing_is_clipped(edition: Edition, language: str) -> None:
    figures = {figure.id: figure for figure in edition.figures}
    for section in edition.sections:
        for block in section.blocks:
            if isinstance(block, Chart):
                root = ElementTree.fromstring(draw_chart(block, figures, language, section.title.in_(language)))
                width, height = (float(x) for x in root.attrib["viewBox"].split()[2:])
                names = [child.tag.rpartition("}")[2] for child in root][:2]
                assert names == ["title", "desc"]
                for text in root.iter("{http://www.w3.org/2000/svg}text"):
                    size, x = float(text.attrib["font-size"]), float(text.attrib["x"])
                    wide = text_width(text.text or "", size)
                    left = x - {"start": 0, "middle": wide / 2, "end": wide}[text.attrib["text-anchor"]]
                    assert left >= -1, (block.name, text.text)
                    assert left + wide <= width + 1, (block.name, text.text)
                    assert 0 < float(text.attrib["y"]) <= height


def test_small_laws_of_drawing() -> None:
    assert truncate("abc", 100) == "abc"
    assert truncate("Codification automatique des professions", 120).endswith("…")
    assert text_width(truncate("W" * 80, 120)) <= 120
    long = "Étalonnage des capteurs, processeur"
    assert wrap("abc", 100) == ["abc"]
    assert " ".join(wrap(long, 208)) == long
    assert all(text_width(line) <= 120 for line in wrap("Codification automatique des professions et des secteurs", 120))


def test_a_wide_interval_of_an_effect_stays_off_names_and_values() -> None:
    total = Figure("a", "operational_gco2e", Text("CO2e", "CO2e"), "level", "kg", "2026-Q3", 10.0, display=(1.0, "kg"))
    effect = replace(total, id="b", kind="effect", value=1.0, low=-40.0, high=42.0)
    named = [Effect(Text(name, name), name) for name in "aba"]
    drawing = Waterfall("kg", named[0], (named[1],), named[2])
    root = ElementTree.fromstring(draw_chart(Chart("w", drawing, Text("x", "x")), {"a": total, "b": effect}, "en", "x"))
    ends = [float(line.attrib[end]) for line in root.iter("{http://www.w3.org/2000/svg}line") for end in ("x1", "x2")]
    assert min(ends) >= waterfall.LEFT
    assert max(ends) <= waterfall.RIGHT
    small = replace(effect, value=0.0266, low=0.0215, high=0.0317)
    root = ElementTree.fromstring(draw_chart(Chart("w", drawing, Text("x", "x")), {"a": total, "b": small}, "en", "x"))
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert any("0.0317" in str(text.text) for text in texts)
    starts = [text for text in texts if text.attrib["text-anchor"] == "start"]
    assert all(float(text.attrib["x"]) + text_width(str(text.text), float(text.attrib["font-size"])) <= WIDTH for text in starts)
    tiny = replace(effect, value=0.000103, low=0.000083, high=0.000123)  # columns give way: nothing is cut off at the edge
    root = ElementTree.fromstring(draw_chart(Chart("w", drawing, Text("x", "x")), {"a": total, "b": tiny}, "en", "x"))
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    ends = [
        float(text.attrib["x"]) + text_width(str(text.text), float(text.attrib["font-size"]))
        for text in texts
        if text.attrib["text-anchor"] == "start"
    ]
    assert max(ends) <= WIDTH
    (sign,) = [float(text.attrib["x"]) for text in texts if text.text == "▲"]
    assert (
        max(float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in root.iter("{http://www.w3.org/2000/svg}rect")) < sign
    )
    assert draw_chart(Chart("w", replace(drawing, effects=()), Text("x", "x")), {"a": total}, "en", "x")
    assert text_width("1", FONT_SIZE) > 0
    for high in (0.0, 0.3, 1.0, 7.0, 41.0, 99.9, 100.0, 1234.0, 5e6):
        marks = ticks(high)
        assert marks[0] == 0
        assert marks[-1] >= high
        assert len(marks) <= 7
    assert all(0 <= x1 <= 30 and 0 <= x2 <= 30 and 0 <= y1 <= 10 and 0 <= y2 <= 10 for x1, y1, x2, y2 in hatch(0, 0, 30, 10))
    assert 'width="832"' in strip.draw([], "t", "d").svg()
    assert WIDTH == 640


def test_a_demonstration_says_so_on_paper_and_on_the_page(edition: Edition) -> None:
    shown_ = render_files(replace(edition, masthead=replace(edition.masthead, demo=True)))
    assert "Démonstration, chiffres simulés" in shown_["fr/report.html"].decode()
    assert json.loads(shown_["report.json"])["demonstration"] is True
    with zipfile.ZipFile(io.BytesIO(shown_["annexes.zip"])) as pack:
        assert json.loads(pack.read("datapackage.json"))["demonstration"] is True


@pytest.mark.browser
def test_the_page_has_no_violation_in_either_language_and_theme(files: dict[str, bytes], tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for language in ("fr", "en"):
        (tmp_path / f"{language}.html").write_bytes(files[f"{language}/report.html"])
    with chromium() as browser:
        for language in ("fr", "en"):
            for scheme in ("light", "dark"):
                page = browser.new_page(color_scheme=scheme, viewport={"width": 320, "height": 800})  # type: ignore[arg-type]
                requests: list[str] = []
                page.on("request", lambda request, requests=requests: requests.append(request.url))
                page.goto((tmp_path / f"{language}.html").as_uri())
                violations = [
                    (violation["id"], violation["nodes"][0]["html"][:120]) for violation in Axe().run(page).response["violations"]
                ]
                assert (language, scheme, violations) == (language, scheme, [])
                assert page.evaluate("document.documentElement.scrollWidth") == 320
                assert len(requests) == 1
                page.close()
