"""A published figure is followed down to its readings, computed again, and told confidential where it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from footprint.api.app import create_api
from footprint.cli.app import status_of
from footprint.config import Config
from footprint.editions import auditing, tracing
from footprint.editions.document import Figure
from footprint.editions.publishing import publish
from footprint.editions.serial import from_json
from footprint.editions.showing import shown
from footprint.ledger.importing import import_energy
from footprint.ledger.shipping import Inbox
from footprint.store import Store
from tests.quarters import compute, instant, seconds

Office = tuple[Config, Store, Path]
NOW = instant("2026-10-12")


def named(figures: tuple[Figure, ...], indicator: str, **where: str) -> Figure:
    return next(f for f in figures if f.indicator == indicator and dict(f.where) == where and f.kind == "level" and f.period == "2026-Q3")


def test_a_figure_is_followed_to_its_readings_and_computed_again(office: Office) -> None:
    config, store, _ = office
    published = publish(store, config, "2026-Q3", NOW)
    figure = named(from_json(published.report).figures, "energy_kwh")
    found = tracing.find(store, config, figure.id, NOW)
    assert (found.name, found.figure) == ("2026-Q3.v1", figure)
    levels = {level.name: level for level in tracing.follow(store, config, found, NOW)}
    assert tuple(levels) == tracing.LEVELS
    assert sum(row["energy_kwh"] for row in levels["days"].rows) == pytest.approx(figure.value, rel=1e-12)
    assert {row["name"]: row["value"] for row in levels["formula"].rows}["energy_kwh"] == figure.value
    assert levels["readings"].rows
    assert levels["origins"].rows
    assert levels["definition"].rows[0]["question"] == "footprint query --from 2026-07-01 --to 2026-10-01"
    assert tracing.difference(figure, tracing.recomputed(store, config, found, NOW)) == "identical"


def test_every_open_figure_is_computed_again_to_the_last_bit(office: Office) -> None:
    config, store, _ = office
    report = from_json(publish(store, config, "2026-Q3", NOW).report)
    found = tracing.find(store, config, report.figures[0].id, NOW)
    again = {figure.id: figure for figure in tracing.draft(store, config, "2026-Q3", NOW, found.published.context).edition.figures}  # type: ignore[union-attr]
    assert {tracing.difference(figure, again.get(figure.id)) for figure in report.figures} <= {
        "identical", "identical: confidential, as published"
    }  # fmt: skip


def test_late_readings_make_it_differ_and_the_command_says_so(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    figure = named(from_json(publish(store, config, "2026-Q3", NOW).report).figures, "energy_kwh")
    place = ["--config", str(folder / "footprint.toml")]
    assert status_of(["trace", figure.id, "--verify", *place]) == 0
    out, err = capsys.readouterr()
    assert shown(figure, "en").full in out
    assert "computed again from the ledger: identical" in err
    assert all(name in out for name in ("facts:", "days:", "hours:", "readings:", "origins:"))
    start = seconds("2026-09-10")
    lines = ["time,host,device,component,energy_j", *(f"{start + 600 * n},a,gpu:2,gpu,{n * 240000.0:.1f}" for n in range(144))]
    (folder / "late.csv").write_text("\n".join(lines) + "\n")
    import_energy(store, str(folder / "late.csv"), NOW)
    compute(store, config, "2026-10-12")
    assert status_of(["trace", figure.id, "--verify", *place]) == 6
    assert "differs: value" in capsys.readouterr().err


def test_levels_stand_alone_and_as_one_document(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    figure = named(from_json(publish(store, config, "2026-Q3", NOW).report).figures, "energy_kwh")
    place = ["--config", str(folder / "footprint.toml")]
    assert status_of(["trace", figure.id, "--level", "readings", "--device", "cpu:0", "--day", "2026-09-10", "--format", "csv", *place]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 25
    assert rows[1].startswith("2026-09-10T00:00:00Z,a,cpu:0,cpu,")
    assert status_of(["trace", figure.id, "--format", "json", *place]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["figure"], [level["name"] for level in document["levels"]]) == (
        "1", figure.id, list(tracing.LEVELS)
    )  # fmt: skip
    assert status_of(["trace", figure.id, "--format", "csv", *place]) == 2
    assert status_of(["trace", figure.id, "--level", "bottom", *place]) == 2


def test_what_is_confidential_is_followed_no_further_than_its_definition(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    report = from_json(publish(store, config, "2026-Q3", NOW).report)
    hidden = [figure for figure in report.figures if figure.conf_status == "C"]
    assert hidden  # the office tells no users of its use cases
    found = tracing.find(store, config, hidden[0].id, NOW)
    (only,) = tracing.follow(store, config, found, NOW)
    assert only.rows[0]["shown"] == "[c]"
    assert (only.rows[0]["value"], only.rows[0]["coverage"]) == (None, None)
    assert status_of(["trace", hidden[0].id, "--config", str(folder / "footprint.toml")]) == 0
    assert "confidential" in capsys.readouterr().out
    assert status_of(["trace", hidden[0].id, "--level", "days", "--config", str(folder / "footprint.toml")]) == 7


def test_an_id_that_is_none_is_answered_with_those_near(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    publish(store, config, "2026-Q3", NOW)
    place = ["--config", str(folder / "footprint.toml")]
    assert status_of(["trace", "F-2026Q3-9999", *place]) == 2
    assert "near are F-2026Q3-" in capsys.readouterr().err
    assert status_of(["trace", "energy", *place]) == 2


def test_over_http_only_what_is_published(office: Office) -> None:
    config, store, _ = office
    client = TestClient(create_api(config, store, Inbox(store, config.services_of_model), lambda: NOW))
    assert client.get("/api/v1/trace/F-2026Q3-01").status_code == 404
    figure = named(from_json(publish(store, config, "2026-Q3", NOW).report).figures, "energy_kwh")
    told = client.get(f"/api/v1/trace/{figure.id}?verify=true").json()
    assert (told["recomputed"], len(told["levels"])) == ("identical", 7)
    assert client.get("/api/v1/trace/F-2026Q3-9999").json() == {"error": "no published figure 'F-2026Q3-9999'"}


def test_auditors_draw_figures_and_see_what_is_left_out(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    config, store, folder = office
    report = from_json(publish(store, config, "2026-Q3", NOW).report)
    one, same, other = (auditing.sample(report, 5, seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert len({row["figure_id"] for row in one}) == 5
    place = ["--config", str(folder / "footprint.toml")]
    assert status_of(["report", "sample", "2026-Q3", "--size", "3", *place]) == 0
    assert status_of(["report", "exclusions", "2026-Q3.v1", *place]) == 0
    assert "training of models" in capsys.readouterr().out
    rows = auditing.exclusions(store, config, "2026-07", NOW)
    assert {row["kind"] for row in rows} == {"gap", "boundary"}  # the first days of July had no readings


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_says_the_string_of_the_edition_and_every_level(office: Office, language: str) -> None:
    from dashboards.app import page_of
    from dashboards.view import Context, View
    from footprint.querying import query

    config, store, _ = office
    report = from_json(publish(store, config, "2026-Q3", NOW).report)
    figure = named(report.figures, "energy_kwh")

    def page(identity: str) -> str:
        view = View.parse("/explain", f"?figure={identity}", language)
        return str(page_of(Context(config, store, lambda question: query(store, config, question, NOW), NOW, view)))

    told = shown(figure, language)
    text = page(figure.id)
    assert repr(told.with_unit)[1:-1] in text
    assert repr(told.interval)[1:-1] in text
    assert f"footprint trace {figure.id} --verify" in text
    assert all(f"{number}. " in text for number in range(1, 8))
    hidden = next(each for each in report.figures if each.conf_status == "C")
    assert "[c]" in page(hidden.id)
    assert "2. " not in page(hidden.id).replace("2.0", "")
    assert ("aucun chiffre publié" if language == "fr" else "no published figure") in page("F-2026Q3-9999")
