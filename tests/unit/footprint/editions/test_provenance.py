"""Tracing and recomputation of published figures; confidential figures stay confidential."""

from __future__ import annotations

import csv
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from footprint.access import Role
from footprint.access.audit_log import read_accesses
from footprint.cli.app import status_of
from footprint.cli.report import figure_rows
from footprint.config import Config
from footprint.editions import audit_sample, provenance
from footprint.editions.document import Edition, Figure, Text
from footprint.editions.figure_format import format_figure
from footprint.editions.forms import data_package
from footprint.editions.publication import publish_edition
from footprint.editions.serialization import from_json
from footprint.figures import parse_query
from footprint.ledger.importers import import_energy
from footprint.storage.database import Store
from tests.support.components import page_text
from tests.support.protected_quarter import HEADER, PROXY, by_header, page
from tests.support.quarters import compute, instant, seconds
from tests.support.services import api_over, local_client, pages_over

Office = tuple[Config, Store, Path]
NOW = instant("2026-10-12")
MAX_STATEMENTS = 90  # 77 of seven levels, whatever the period


def named(figures: tuple[Figure, ...], indicator: str, **where: str) -> Figure:
    return next(
        f for f in figures if f.indicator == indicator and dict(f.where) == where and f.kind == "level" and f.period == "2026-Q3"
    )


def test_a_figure_is_followed_to_its_readings_and_computed_again(office: Office) -> None:
    config, store, _ = office
    published = publish_edition(store, config, "2026-Q3", NOW)
    figure = named(from_json(published.report).figures, "energy_kwh")
    traced = provenance.find_figure(store, config, figure.id, NOW)
    assert (traced.name, traced.figure) == ("2026-Q3.v1", figure)
    levels = {level.name: level for level in provenance.trace_figure(store, config, traced, NOW)}
    assert tuple(levels) == provenance.LEVELS
    assert sum(row["energy_kwh"] for row in levels["days"].rows) == pytest.approx(figure.value, rel=1e-12)
    assert {row["name"]: row["value"] for row in levels["formula"].rows}["energy_kwh"] == figure.value
    assert levels["readings"].rows
    assert levels["origins"].rows
    assert levels["definition"].rows[0]["question"] == "footprint query --from 2026-07-01 --to 2026-10-01"
    assert provenance.describe_difference(figure, provenance.recompute(store, config, traced, NOW)) == "identical"


def test_every_open_figure_is_computed_again_to_the_last_bit(office: Office) -> None:
    config, store, _ = office
    report = from_json(publish_edition(store, config, "2026-Q3", NOW).report)
    traced = provenance.find_figure(store, config, report.figures[0].id, NOW)
    again = {
        figure.id: figure
        for figure in provenance.draft_edition(store, config, "2026-Q3", NOW, traced.published.context).edition.figures
    }  # type: ignore[union-attr]
    assert {provenance.describe_difference(figure, again.get(figure.id)) for figure in report.figures} <= {
        "identical",
        "identical: confidential, as published",
    }


def test_late_readings_make_it_differ_and_the_command_says_so(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    figure = named(from_json(publish_edition(store, config, "2026-Q3", NOW).report).figures, "energy_kwh")
    options = ["--config", str(folder / "footprint.toml")]
    assert status_of(["trace", figure.id, "--verify", *options]) == 0
    out, err = capsys.readouterr()
    assert format_figure(figure, "en").full in out
    assert "recomputed from the ledger: identical" in err
    assert all(name in out for name in ("facts:", "days:", "hours:", "readings:", "origins:"))
    start = seconds("2026-09-10")
    lines = ["time,host,device,component,energy_j", *(f"{start + 600 * n},a,gpu:2,gpu,{n * 240000.0:.1f}" for n in range(144))]
    (folder / "late.csv").write_text("\n".join(lines) + "\n")
    import_energy(store, str(folder / "late.csv"), NOW)
    compute(store, config, "2026-10-12")
    assert status_of(["trace", figure.id, "--verify", *options]) == 6
    assert "differs: value" in capsys.readouterr().err


def test_levels_stand_alone_and_as_one_document(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    figure = named(from_json(publish_edition(store, config, "2026-Q3", NOW).report).figures, "energy_kwh")
    options = ["--config", str(folder / "footprint.toml")]
    assert (
        status_of(
            ["trace", figure.id, "--level", "readings", "--device", "cpu:0", "--day", "2026-09-10", "--format", "csv", *options]
        )
        == 0
    )
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 25
    assert rows[1].startswith("2026-09-10T00:00:00Z,a,cpu:0,cpu,")
    assert status_of(["trace", figure.id, "--format", "json", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["figure"], [level["name"] for level in document["levels"]]) == (
        "1",
        figure.id,
        list(provenance.LEVELS),
    )
    assert status_of(["trace", figure.id, "--format", "csv", *options]) == 2
    assert status_of(["trace", figure.id, "--level", "bottom", *options]) == 2


def test_what_is_confidential_is_followed_no_further_than_its_definition(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    config, store, folder = office
    report = from_json(publish_edition(store, config, "2026-Q3", NOW).report)
    hidden = [figure for figure in report.figures if figure.conf_status == "C"]
    assert hidden  # the office tells no users of its use cases
    traced = provenance.find_figure(store, config, hidden[0].id, NOW)
    (only,) = provenance.trace_figure(store, config, traced, NOW)
    assert only.rows[0]["shown"] == "[c]"
    assert (only.rows[0]["value"], only.rows[0]["coverage"]) == (None, None)
    assert status_of(["trace", hidden[0].id, "--config", str(folder / "footprint.toml")]) == 0
    assert "confidential" in capsys.readouterr().out
    assert status_of(["trace", hidden[0].id, "--level", "days", "--config", str(folder / "footprint.toml")]) == 7


def test_an_id_that_is_none_is_answered_with_those_near(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    publish_edition(store, config, "2026-Q3", NOW)
    options = ["--config", str(folder / "footprint.toml")]
    assert status_of(["trace", "F-2026Q3-9999", *options]) == 2
    assert "similar ids are F-2026Q3-" in capsys.readouterr().err
    assert status_of(["trace", "energy", *options]) == 2
    assert status_of(["trace", "F-2026Q9-01", *options]) == 2
    assert status_of(["trace", "F-2026Q3-01", "--edition", "2026-Q3.v9", *options]) == 1
    assert status_of(["trace", "F-2026Q3-01", "--lang", "de", *options]) == 2
    capsys.readouterr()
    assert status_of(["trace", "F-2026Q3-01", "--day", "soon", *options]) == 2
    assert "--day 'soon' must be written 2026-09-10" in capsys.readouterr().err
    assert status_of(["trace", "F-2031Q1-01", *options]) == 7  # nothing to draft


def test_over_http_only_what_is_published(office: Office) -> None:
    config, store, _ = office
    client = local_client(api_over(store, config, lambda: NOW))
    assert client.get("/api/v1/trace/F-2026Q3-01").status_code == 404
    figure = named(from_json(publish_edition(store, config, "2026-Q3", NOW).report).figures, "energy_kwh")
    document = client.get(f"/api/v1/trace/{figure.id}?verify=true").json()
    assert (document["recomputed"], len(document["levels"])) == ("identical", 7)
    for missing in ("F-2026Q3-9999", "F-2026Q9-01", "F-0000-01", "F-2031Q1-01", "energy", f"{figure.id}?edition=2026-Q3.v9"):
        answer = client.get(f"/api/v1/trace/{missing}")
        assert (answer.status_code, answer.json()) == (404, {"error": f"no published figure {missing.partition('?')[0]!r}"})


def test_every_figure_of_an_edition_is_followed_and_its_command_is_one(office: Office) -> None:
    config, store, _ = office
    published = publish_edition(store, config, "2026-Q3", NOW)
    report = from_json(published.report)
    assert any(name == "cause" for figure in report.figures for name, _ in figure.where)  # they have no rows of their own
    for figure in report.figures:
        levels = provenance.trace_figure(store, config, provenance.TracedFigure(figure, report, published), NOW)
        assert [level.name for level in levels] == list(provenance.LEVELS[: len(levels)])
        arguments = shlex.split(provenance.query_command(figure))[2:]
        assert set(arguments[::2]) <= {"--group", "--from", "--to", "--where"}
        named = [value for option, value in zip(arguments[::2], arguments[1::2], strict=True) if option == "--where"]
        parse_query(config.timezone, where=named)


def test_a_trace_asks_no_more_of_a_quarter_than_of_a_month(office: Office) -> None:
    config, store, _ = office
    report = from_json(publish_edition(store, config, "2026-Q3", NOW).report)
    counts = []
    for period in ("2026-08", "2026-Q3"):
        figure = next(f for f in report.figures if f.indicator == "energy_kwh" and not f.where and f.period == period)
        statements: list[str] = []
        with store.read() as connection:
            engine = connection.engine
        record = lambda *told, into=statements: into.append(told[2])  # noqa: E731 - a listener that can be taken off again
        event.listen(engine, "before_cursor_execute", record)
        try:
            assert len(provenance.trace_figure(store, config, provenance.TracedFigure(figure, report, None), NOW)) == len(
                provenance.LEVELS
            )
        finally:
            event.remove(engine, "before_cursor_execute", record)
        counts.append(len(statements))
    assert 0 < counts[1] <= counts[0] + 1
    assert counts[1] < MAX_STATEMENTS


def test_auditors_draw_figures_and_see_what_is_left_out(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    report = from_json(publish_edition(store, config, "2026-Q3", NOW).report)
    one, same, other = (audit_sample.sample_figures(report, 5, seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert len({row["figure_id"] for row in one}) == 5
    options = ["--config", str(folder / "footprint.toml")]
    assert {row["command"] for row in one} == {f"footprint trace {row['figure_id']} --edition 2026-Q3.v1 --verify" for row in one}
    assert status_of(["report", "sample", "2026-Q3", "--size", "3", *options]) == 0
    assert status_of(["report", "exclusions", "2026-Q3.v1", *options]) == 0
    assert "training of models" in capsys.readouterr().out
    rows = audit_sample.list_exclusions(store, config, "2026-07", NOW)
    assert {row["kind"] for row in rows} == {"gap", "boundary"}  # the first days of July had no readings


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_says_the_string_of_the_edition_and_every_level(office: Office, language: str) -> None:
    config, store, _ = office
    report = from_json(publish_edition(store, config, "2026-Q3", NOW).report)
    figure = named(report.figures, "energy_kwh")

    def page(identity: str) -> str:
        return page_text(store, config, "/explain", f"?figure={identity}", language, NOW)

    expected = format_figure(figure, language)
    text = page(figure.id)
    assert expected.with_unit in text
    assert expected.interval in text
    assert f"footprint trace {figure.id} --edition 2026-Q3.v1 --verify" in text
    assert all(f"{number}. " in text for number in range(1, 8))
    hidden = next(each for each in report.figures if each.conf_status == "C")
    assert "[c]" in page(hidden.id)
    assert "2. " not in page(hidden.id).replace("2.0", "")
    assert ("aucun chiffre publié" if language == "fr" else "no published figure") in page("F-2026Q3-9999")
    assert ("aucun chiffre publié" if language == "fr" else "no published figure") in page(f"{figure.id}&edition=2026-Q3.v9")
    assert ("aucun chiffre publié" if language == "fr" else "no published figure") in page("F-2026Q9-01")


def test_rows_behind_a_figure_are_for_who_sees_uses_and_that_is_noted(office: Office) -> None:

    config, store, _ = office
    facts = replace(config, access=by_header().access)
    figure = named(from_json(publish_edition(store, config, "2026-Q3", NOW).report).figures, "energy_kwh")
    app = pages_over(store, facts, lambda: NOW)
    browsers = {
        role: TestClient(app, client=PROXY, headers={HEADER: role}) for role in ("public", "committee", "engineer", "officer")
    }
    pages = {role: page(browser, "/explain", f"?figure={figure.id}&lang=en") for role, browser in browsers.items()}
    value = json.dumps(format_figure(figure, "en").with_unit)[1:-1]
    assert {role for role, text in pages.items() if value in text} == {"committee", "engineer", "officer"}  # as published
    assert {role for role, text in pages.items() if "drafting" in text} == {"officer"}  # hours of a use on a device
    assert {role for role, text in pages.items() if "2. " in text.replace("2.0", "")} == {"officer"}
    assert "/api/v1/trace" not in pages["committee"] + pages["engineer"]
    assert [(row["role"], row["cells"]) for row in read_accesses(store, None, None)] == [("officer", f"trace {figure.id}")]
    answers = {role: browser.get(f"/api/v1/trace/{figure.id}").status_code for role, browser in browsers.items()}
    assert answers == {"public": 404, "committee": 404, "engineer": 404, "officer": 200}


def test_one_string_at_the_command_line_the_page_and_the_api(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    report = from_json(publish_edition(store, config, "2026-Q3", NOW).report)
    options = ["--config", str(folder / "footprint.toml")]
    client = local_client(api_over(store, config, lambda: NOW))
    for language in ("fr", "en"):
        assert status_of(["report", "show", "2026-Q3", "--lang", language, "--format", "csv", *options]) == 0
        rows = {row["figure_id"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
        assert set(rows) == {figure.id for figure in report.figures}
        for figure in report.figures:
            formatted = format_figure(figure, language)
            assert rows[figure.id]["shown"] == formatted.full
            text = page_text(store, config, "/explain", f"?figure={figure.id}", language, NOW, role=Role.COMMITTEE)
            assert formatted.with_unit in text
            assert formatted.interval in text
        for row in audit_sample.sample_figures(report, 4, 7, language):
            answer = client.get(f"/api/v1/trace/{row['figure_id']}?lang={language}").json()
            assert answer["levels"][0]["rows"][0]["shown"] == row["shown"] == rows[row["figure_id"]]["shown"]
            assert status_of(["trace", row["figure_id"], "--lang", language, *options]) == 0
            assert capsys.readouterr().out.startswith(f"{row['figure_id']}  {row['shown']}  ")


NUMBERS = st.one_of(st.none(), st.floats(-1e9, 1e9))


@given(
    kind=st.sampled_from(["level", "change", "share", "ratio", "count", "effect"]),
    value=NUMBERS,
    below=st.floats(1e-6, 1e6),
    above=st.floats(1e-6, 1e6),
    language=st.sampled_from(["fr", "en"]),
)
def test_any_figure_is_one_string_in_rows_samples_and_definitions(
    kind: Literal["level", "change", "share", "ratio", "count", "effect"],
    value: float | None,
    below: float,
    above: float,
    language: str,
    drafted: Edition,
) -> None:
    bounds = (None, None) if value is None else (value - below, value + above)
    if kind in ("ratio", "count"):
        value, bounds = value and abs(value), (None, None)
    figure = Figure("F-2026Q3-07", "energy_kwh", Text("Énergie", "Energy"), kind, "kWh", "2026-Q3", value, *bounds)
    edition = replace(drafted, sections=(), figures=(figure,))
    formatted = format_figure(figure, language).full
    assert [row["shown"] for row in figure_rows(edition, language)] == [formatted]
    assert [row["shown"] for row in audit_sample.sample_figures(edition, 1, 1, language)] == [formatted]
    assert provenance.definition_level(provenance.TracedFigure(figure, edition, None), language).rows[0]["shown"] == formatted
    (row,) = data_package.figure_rows(edition)
    again = replace(figure, **{name: None if row[name] is None else float(str(row[name])) for name in ("value", "low", "high")})
    assert format_figure(again, language).full == formatted
