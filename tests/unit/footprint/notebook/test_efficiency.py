"""What engineers ask in a notebook: as the command line says it, with units; every public name documented; pictures that hold."""

from __future__ import annotations

import inspect
import json
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

import footprint
from footprint.charts.figures import (
    Axis,
    ScatterPoint,
    SvgFigure,
    dumbbell_chart,
    ranked_bars,
    scatter_plot,
    stacked_bars,
    staircase,
)
from footprint.cli.app import status_of
from footprint.notebook.frames import unit_of
from footprint.queries.comparison import NotComparable
from tests.support.commands import printed_rows
from tests.support.contract_files import CONFIG, START, energy_lines, request_lines, write

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    assert status_of(["import", "energy", write(tmp_path / "e.csv", energy_lines(START, 7200, 60))]) == 0
    assert status_of(["import", "requests", write(tmp_path / "r.csv", request_lines(START, 7200, 400))]) == 0
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    return tmp_path


def test_compare_says_what_the_command_says(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = footprint.compare("drafting", "coding", by="use_case", anyway=True)
    rows = printed_rows(capsys, "compare", "drafting", "coding", "--by", "use_case", "--anyway")
    assert (rows[0]["ratio"], rows[0]["low"], rows[0]["high"]) == (
        comparison.ratio.value,
        comparison.ratio.low,
        comparison.ratio.high,
    )
    periods = footprint.compare(
        "2026-07-01T08:00:00Z/2026-07-01T09:00:00Z", "2026-07-01T09:00:00Z/2026-07-01T10:00:00Z", anyway=True
    )
    assert periods.ratio.low < periods.ratio.value < periods.ratio.high
    (here / "more.csv").write_text(
        f"start,end,service,use_case,requests,input_tokens,output_tokens\n{START + 9},{START + 99},chat,odd,1,9,9000\n"
    )
    assert status_of(["import", "requests", "more.csv"]) == 0
    assert status_of(["aggregate"]) == 0
    with pytest.raises(NotComparable, match="output tokens per request"):
        footprint.compare("drafting", "odd", by="use_case")


@pytest.mark.parametrize("command", ["uncertainty", "splits", "avoidable"])
def test_a_frame_of_what_stands_beside_is_what_the_command_prints(
    here: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    frame = getattr(footprint, command)()
    status_of([command, "--format", "json"])
    printed = json.loads(capsys.readouterr().out)
    assert list(frame.columns) == printed["columns"]
    assert len(frame) == len(printed["rows"])
    assert frame.attrs["demonstration"] is False


def test_readings_and_what_factors_would_change(here: Path) -> None:
    raw = footprint.raw_readings("a", "gpu:0", "2026-07-01T08:00:00Z", "2026-07-01T08:10:00Z")
    assert (len(raw), set(raw["unit"]), raw["time"].dt.tz is not None) == (10, {"µW"}, True)
    shipped = next((Path(__file__).parents[4] / "data" / "factors").glob("*.csv")).read_text().splitlines()
    names = shipped[0].split(",")
    row = dict.fromkeys(names, "") | {
        "kind": "carbon_intensity",
        "where": "FR",
        "valid_from": "2026-01-01",
        "value": "60",
        "low": "50",
        "high": "70",
        "unit": "gCO2e/kWh",
        "source": "a test",
        "licence": "none",
        "retrieved": "2026-07-01",
        "scope": "consumption",
    }
    path = here / "other.csv"
    pd.DataFrame([{name: row.get(name, "") for name in names}]).to_csv(path, index=False)
    changed = footprint.factors_diff(str(path))
    assert changed["value_after"].tolist() == [60.0]
    assert changed["figure_after"].iloc[0] == pytest.approx(60 * footprint.query()["energy_kwh"].iloc[0])


def test_models_steps_and_phases_are_frames_with_units(here: Path) -> None:
    models = footprint.models(config=str(here / "footprint.toml"))
    assert (models.attrs["units"]["wh_low"], models.attrs["units"]["latency_p95_s"], models.attrs["units"]["requests"]) == (
        "Wh",
        "s",
        "1",
    )
    assert set(models["model"]) == {"m1"}
    phases = footprint.phases()
    assert phases.attrs["units"]["energy_low_j"] == "J"
    assert unit_of("j_per_output_token_q1") == "J"
    assert unit_of("tokens_per_step_low") == "1"
    assert len(footprint.tokens_by_step()) == 0  # two hours are no day to fit


def test_every_public_name_says_what_it_gives_and_in_which_unit() -> None:
    assert set(footprint.__all__) <= set(dir(footprint))
    for name in footprint.__all__:
        assert name in (footprint.__doc__ or ""), name
        if name == "charts":
            continue
        doc = inspect.getdoc(getattr(footprint, name)) or ""
        assert re.search(r"\[(kWh|Wh|J|µJ|1)\b", doc), name
        assert f"{name}(" in (footprint.__doc__ or ""), name
        assert all(
            parameter.annotation is not inspect.Parameter.empty
            for parameter in inspect.signature(getattr(footprint, name)).parameters.values()
        )


def test_the_packages_say_that_they_are_typed() -> None:
    root = Path(__file__).parents[4]
    assert all((root / package / "py.typed").is_file() for package in ("footprint", "collectors", "dashboards"))


@pytest.mark.slow
def test_the_wheel_says_so_too(tmp_path: Path) -> None:
    import subprocess
    import sys

    root = Path(__file__).parents[4]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(root)], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {f"{package}/py.typed" for package in ("footprint", "collectors", "dashboards")} <= names


def elements(picture: SvgFigure) -> ElementTree.Element:
    return ElementTree.fromstring(picture.svg())


def test_bars_are_as_long_as_their_values_and_unknown_ones_are_not_drawn() -> None:
    rows = [
        {"m": "one", "v": 1.0, "l": 0.9, "h": 1.2},
        {"m": "two", "v": 2.0, "l": None, "h": None},
        {"m": "x", "v": None, "l": None, "h": None},
    ]
    svg = elements(ranked_bars(rows, "m", "v", unit="Wh", title="A & B", low="l", high="h", marked="two"))
    drawn = [rect for rect in svg.iter(f"{SVG}rect") if rect.get("class") in ("data", "more")]
    widths = [float(rect.get("width", "0")) for rect in drawn]
    assert len(widths) == 2
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert "A & B" in texts
    assert "x" not in texts
    empty = elements(ranked_bars([], "m", "v", unit="Wh", title="none"))
    assert empty.get("aria-label") == "none (Wh)"
    assert {rect.get("class") for rect in empty.iter(f"{SVG}rect")} == {"paper"}


def test_stacks_leave_two_pixels_and_write_the_sum() -> None:
    svg = elements(
        stacked_bars(
            pd.DataFrame([{"s": "a", "p": 1.0, "q": 3.0}]), "s", {"p": ("P", "more"), "q": ("Q", "data")}, unit="J", title="t"
        )
    )
    assert "4" in [text.text for text in svg.iter(f"{SVG}text")]


def test_a_plane_puts_things_where_they_are() -> None:
    x, y = Axis(1, 100, "Wh", log=True), Axis(0, 10, "s", inverted=True)
    assert x.at(10, 0, 100) == pytest.approx(50)
    assert y.at(2, 100, 0) == pytest.approx(20)
    assert x.ticks() == [1, 2, 5, 10, 20, 50, 100]
    assert y.ticks() == [0, 2, 4, 6, 8, 10]
    assert staircase([(1, 1), (3, 2)], 9) == [(1, 1), (3, 1), (3, 2), (9, 2)]
    assert staircase([], 9) == []
    drawn = elements(
        scatter_plot([ScatterPoint(10, 2, "m", (8, 12), (1, 3), "more", True)], x, y, title="t", limit=(5, "too slow"))
    )
    assert [circle.get("class") for circle in drawn.iter(f"{SVG}circle")] == ["more"]
    assert "too slow" in [text.text for text in drawn.iter(f"{SVG}text")]


def test_a_dumbbell_has_both_ends_and_its_words() -> None:
    row = {"u": "letters", "a": 4.0, "a_low": 3.0, "a_high": 5.0, "b": 2.0, "b_low": 1.5, "b_high": 2.5, "w": "2 x"}
    drawn = elements(dumbbell_chart([row], "u", "a", "b", "w", unit="Wh", title="t", legend=("now", "best")))
    assert [circle.get("class") for circle in drawn.iter(f"{SVG}circle")] == ["hollow", "data", "hollow", "data"]
