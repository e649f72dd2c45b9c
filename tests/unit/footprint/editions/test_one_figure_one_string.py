"""A figure id has one string in a language: page, print, annexes, report.json, command line, trace and dashboard agree."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dashboards.pages import trace
from dashboards.url_state import PageContext, UrlState
from footprint.access import Role
from footprint.cli.report import figure_rows
from footprint.editions import audit_sample, provenance
from footprint.editions.document import (
    Bar,
    Bars,
    Chart,
    Column,
    Edition,
    Figure,
    FigureMark,
    Paragraphs,
    Ref,
    Section,
    Sentence,
    Table,
    TableRow,
    Text,
)
from footprint.editions.figure_format import FLAGS_BESIDE_VALUE, format_figure
from footprint.editions.render import render_files
from footprint.editions.serialization import from_json
from tests.support.quarters import instant

NOW = instant("2026-10-12")
LANGUAGES = ("fr", "en")
UNITS = ((1.0, "kWh"), (1000.0, "MWh"), (1000.0, "kg"), (1e6, "million"), (1.0, "gCO2e"))
Strings = Mapping[str, str]  # by id


@st.composite
def figures(draw: st.DrawFn) -> tuple[Figure, ...]:
    """Figures of every kind: with bounds and without, hidden, unknown, flagged, large and small, below and above zero."""
    drawn = []
    for number in range(1, draw(st.integers(6, 14)) + 1):
        kind = draw(st.sampled_from(["level", "change", "share", "ratio", "count", "effect"]))
        size = 10.0 ** draw(st.integers(-6, 8))
        value: float | None = draw(st.one_of(st.just(0.0), st.floats(0.1, 9.99), st.floats(-9.99, -0.1))) * size
        if kind in ("share", "ratio", "count"):
            value = abs(value or 0.0) if kind != "share" else draw(st.one_of(st.just(0.0), st.floats(1e-6, 1)))
        width = draw(st.floats(1e-4, 2.0)) * (abs(value or 0.0) or 1.0)
        bounded = kind not in ("count", "ratio") and draw(st.booleans())
        state = draw(st.sampled_from(["known", "known", "known", "c", "x"]))
        if state != "known":
            value, bounded = None, False
        drawn.append(
            Figure(
                f"F-2026Q3-{number:02d}",
                "energy_kwh",
                Text(f"Énergie {number}", f"Energy {number}"),
                kind,
                "kWh",
                "2026-Q3",
                value,  # type: ignore[arg-type]
                None if value is None or not bounded else value - width,
                None if value is None or not bounded else value + width,
                draw(st.sampled_from(UNITS)) if kind not in ("change", "share") else (1.0, ""),
                flags=(state,) if state != "known" else draw(st.sampled_from([(), ("u",), ("e", "u"), ("p",)])),  # type: ignore[arg-type]
                quality=draw(st.sampled_from(["A", "B", "C", "D"])),
                conf_status="C" if state == "c" else "F",
                obs_status="M" if state == "x" else "A",
                method_version="2.0",
                factor_version="2026-11",
            )
        )
    return tuple(drawn)


def citing(edition: Edition, told: tuple[Figure, ...]) -> Edition:
    """An edition that cites each figure in a sentence, in a row of a table, and as a bar."""
    sentences = tuple(
        Sentence(Text(f"<{each.id}> {{it}} </{each.id}>", f"<{each.id}> {{it}} </{each.id}>"), {"it": Ref(each.id)})
        for each in told
    )
    columns = (
        Column(Text("chiffre", "figure")),
        Column(Text("valeur", "value"), "value"),
        Column(Text("intervalle", "interval"), "interval"),
        Column(Text("tout", "all")),
        Column(Text("marque", "mark")),
    )
    rows = tuple(TableRow((Text(each.id, each.id), Ref(each.id), Ref(each.id), Ref(each.id), FigureMark("z"))) for each in told)
    bars = Bars(
        "kWh", tuple(Bar(Text(each.id, each.id), each.id) for each in told if each.kind == "level" and (each.value or 0) >= 0)
    )
    said, nothing = Text("Chiffres", "Figures"), Text("", "")
    sections = (
        Section("cited", said, nothing, said, nothing, (Paragraphs(sentences),), nothing),
        Section("listed", said, nothing, said, nothing, (Table("listed", columns, rows, said),), nothing),
        Section("drawn", said, nothing, said, nothing, (Chart("drawn", bars, said),), nothing),
    )
    return replace(edition, sections=sections, figures=told, coverage="", headline=Sentence(said))


def bare(text: str) -> str:
    return re.sub(r"[\s\u00a0\u202f]+", "", text)


def between(text: str, told: tuple[Figure, ...]) -> Strings:
    """What a text says between the marks of each figure."""
    strings = {}
    for each in told:
        match = re.search(rf"<{each.id}>(.*?)</{each.id}>", text, re.DOTALL)
        strings[each.id] = bare(match[1]) if match else "nothing"
    return strings


def of_page(page: str, told: tuple[Figure, ...]) -> Strings:
    plain = unescape(re.sub(r"<[^>]+>", "", page))
    return between(plain, told)


def of_print(raw: bytes, told: tuple[Figure, ...], folder: Path) -> Strings:
    (folder / "it.pdf").write_bytes(raw)
    done = subprocess.run(["pdftotext", "-layout", str(folder / "it.pdf"), "-"], capture_output=True, check=True)
    return between(done.stdout.decode(), told)


def cells_of(page: str) -> dict[str, list[str]]:
    """Cells of the table of the page, by the id in the first."""
    rows = re.findall(r'<th scope="row">(F-[^<]+)</th>(.*?)</tr>', page)
    return {
        identity: [bare(unescape(re.sub(r"<[^>]+>", "", cell))) for cell in re.findall(r"<td[^>]*>(.*?)</td>", rest)]
        for identity, rest in rows
    }


def of_dashboard(edition: Edition, language: str, monkeypatch: pytest.MonkeyPatch) -> Strings:
    """The page that explains a published figure."""
    strings = {}
    for each in edition.figures:
        monkeypatch.setattr(provenance, "find_figure", lambda *_, each=each, **__: provenance.TracedFigure(each, edition, None))
        view = UrlState.parse("/explain", f"?figure={each.id}", language)
        page = trace.content(PageContext(None, object(), None, NOW, view, role=Role.COMMITTEE), each.id)  # type: ignore[arg-type]
        value, rest = page[1].children[0].children, page[1].children[1]
        formatted = format_figure(each, language)
        strings[each.id] = bare(value + rest.partition("·")[0]).removesuffix(bare(formatted.flags))
    return strings


@pytest.mark.parametrize("language", LANGUAGES)
@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(told=figures())
@pytest.mark.external
def test_every_carrier_says_the_string_of_an_id(
    language: str, told: tuple[Figure, ...], drafted: Edition, tmp_path_factory: pytest.TempPathFactory
) -> None:
    edition = citing(drafted, told)
    files = render_files(edition)
    one = {each.id: bare(format_figure(each, language).full) for each in told}
    sentence = {each.id: bare(one[each.id].removesuffix("exact")) for each in told}  # a sentence does not say "exact"
    page = files[f"{language}/report.html"].decode()
    with zipfile.ZipFile(io.BytesIO(files["annexes.zip"])) as pack:

        def read(name: str) -> list[dict[str, str]]:
            return list(csv.DictReader(io.TextIOWrapper(pack.open(name), "utf-8")))

        printed, listed = read(f"tables/{language}/figures.csv"), read(f"tables/{language}/listed.csv")
    again = from_json(files["report.json"]).figures
    assert of_page(page, told) == sentence
    assert of_print(files[f"{language}/report.pdf"], told, tmp_path_factory.mktemp("pdf")) == sentence
    assert {row["figure_id"]: bare(row["shown"]) for row in printed} == one
    assert {each.id: bare(format_figure(each, language).full) for each in again} == one
    assert {row["figure_id"]: bare(row["shown"]) for row in figure_rows(edition, language)} == one
    assert {row["figure_id"]: bare(row["shown"]) for row in audit_sample.sample_figures(edition, len(told), 1, language)} == one
    traced = (provenance.definition_level(provenance.TracedFigure(each, edition, None), language).rows[0] for each in told)
    assert {each.id: bare(row["shown"]) for each, row in zip(told, traced, strict=True)} == one
    with pytest.MonkeyPatch.context() as patched:
        assert of_dashboard(edition, language, patched) == one
    cells = cells_of(page)
    for each, row in zip(told, listed, strict=True):
        value, interval, whole, _ = cells[each.id]
        parts = format_figure(each, language)
        beside = bare(parts.flags)
        assert value == bare(parts.value) + beside, each
        assert interval == bare(parts.interval), each
        assert [bare(text) for text in list(row.values())[:4]] == [each.id, value, interval, whole], each
        assert not beside or set(beside.strip("[]").split("][")) <= set(FLAGS_BESIDE_VALUE)
    drawing = unescape(page)
    for bar in (each for each in told if each.kind == "level" and (each.value or 0) >= 0):
        assert f">{format_figure(bar, language).value}<" in drawing, bar


@pytest.mark.external
def test_a_form_that_wrote_a_figure_otherwise_would_be_seen(drafted: Edition, tmp_path: Path) -> None:
    figure = replace(
        drafted.figures[0], id="F-2026Q3-01", kind="level", value=12.3456, low=11.0, high=13.7, display=(1.0, "kWh"), flags=()
    )
    edition = citing(drafted, (figure,))
    files = render_files(edition)
    assert of_page(files["en/report.html"].decode().replace("12.3", "12.4"), (figure,)) != {
        figure.id: bare(format_figure(figure, "en").full)
    }
    assert of_print(files["en/report.pdf"], (replace(figure, id="F-2026Q3-77"),), tmp_path) == {"F-2026Q3-77": "nothing"}
