"""CodeCarbon's emissions.csv in the ledger: its energy counts once, and gaps stay gaps."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from footprint.cli.app import status_of
from footprint.queries.codecarbon_export import COLUMNS
from tests.support.commands import printed_rows
from tests.support.contract_files import DAY_S, write

CONFIG = """
[organisation]
timezone = "Europe/Paris"
[[site]]
name = "p"
pue = 1.5
[[host]]
name = "train-01"
site = "p"
uplift = 1.0
"""
PLACED = """
[[service]]
name = "fine-tune"
devices = ["train-01/codecarbon/gpu/fine-tune", "train-01/codecarbon/cpu/fine-tune", "train-01/codecarbon/dram/fine-tune"]
"""


def emissions(path: Path, *runs: dict[str, object]) -> str:
    """A file with CodeCarbon's columns; local times without an offset, as it writes them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(runs)
    return str(path)


def run(
    stamp: str, hours: float, gpu: object, *, run_id: str, project: str = "fine-tune", **columns: object
) -> dict[str, object]:
    row = {"timestamp": stamp, "project_name": project, "run_id": run_id, "duration": hours * 3600, "gpu_energy": gpu}
    return {**row, "cpu_energy": 0.25, "ram_energy": 0.05, **columns}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    capsys.readouterr()
    return printed_rows(capsys, "query", *arguments)


def test_runs_give_their_energy_once_and_nothing_between_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = emissions(
        folder / "emissions.csv", run("2026-07-01T12:00:00", 2, 1.5, run_id="a"), run("2026-07-01T18:00:00", 1, 0.75, run_id="b")
    )
    assert status_of(["import", "codecarbon", path, "--host", "train-01", "--use-case", "training"]) == 0
    assert '[[service]] name = "fine-tune", devices = ["train-01/codecarbon/cpu/fine-tune"' in capsys.readouterr().err
    (folder / "footprint.toml").write_text(CONFIG + PLACED)
    assert status_of(["aggregate"]) == 0
    rows = {row["use_case"]: row for row in asked(capsys, "--group", "use_case")}
    assert set(rows) == {"training"}
    assert rows["training"]["energy_kwh"] == pytest.approx((1.5 + 0.75 + 2 * 0.3) * 1.5, rel=1e-9)
    assert (rows["training"]["requests"], rows["training"]["quality"]) == (2, "C")
    hours = {str(row["period_start"]): row["energy_kwh"] for row in asked(capsys, "--every", "hour")}
    # 10:00 to 12:00 and 17:00 to 18:00 in Paris are 8, 9 and 15 h UTC.
    assert sorted(hours) == ["2026-07-01T08:00:00Z", "2026-07-01T09:00:00Z", "2026-07-01T15:00:00Z"]
    assert status_of(["import", "codecarbon", path, "--host", "train-01", "--use-case", "training"]) == 0
    assert "nothing changed" in capsys.readouterr().err


def test_invalid_rows_are_rejected_and_the_others_stored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = emissions(
        folder / "emissions.csv",
        run("2026-07-01T12:00:00", 2, 1.5, run_id="a"),
        run("2026-07-01T11:30:00", 1, 1, run_id="overlap"),
        run("yesterday", 1, 1, run_id="c"),
        run("2026-07-02T12:00:00", 0, 1, run_id="d"),
        run("2026-07-03T12:00:00", 1, -1, run_id="e"),
        run("2026-07-04T12:00:00", 1, "nan", run_id="f"),
        run("2026-07-05T12:00:00", 1, "", run_id="g", cpu_energy="", ram_energy=""),
    )
    assert status_of(["import", "codecarbon", path, "--host", "train-01"]) == 5
    refused = [json.loads(line) for line in (folder / "emissions.csv.rejected.jsonl").read_text().splitlines()]
    assert {row["line"] for row in refused} == {3, 4, 5, 6, 7, 8} - {2}
    assert any("overlaps" in row["reason"] for row in refused)
    assert status_of(["import", "codecarbon", write(folder / "other.csv", ["a,b", "1,2"])]) == 1
    assert "columns missing" in capsys.readouterr().err


def test_flushes_of_one_run_are_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = emissions(
        folder / "emissions.csv", run("2026-07-01T11:00:00", 1, 0.5, run_id="a"), run("2026-07-01T12:00:00", 2, 1.5, run_id="a")
    )
    assert status_of(["import", "codecarbon", path, "--host", "train-01"]) == 0
    assert status_of(["aggregate"]) == 0
    (row,) = asked(capsys)
    assert row["energy_kwh"] == pytest.approx((1.5 + 0.3) * 1.5, rel=1e-9)


def test_what_our_agent_measured_is_not_counted_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["time,host,device,component,power_w", *(f"{DAY_S + 8 * 3600 + s},train-01,gpu:0,gpu,300" for s in range(0, 7201, 5))]
    assert status_of(["import", "energy", write(folder / "e.csv", lines)]) == 0
    path = emissions(
        folder / "emissions.csv", run("2026-07-01T12:00:00", 2, 1.5, run_id="a"), run("2026-07-02T12:00:00", 2, 1.5, run_id="b")
    )
    assert status_of(["import", "codecarbon", path, "--host", "train-01"]) == 5
    assert "count twice" in capsys.readouterr().err
    assert status_of(["aggregate"]) == 0
    (row,) = asked(capsys)
    assert row["energy_kwh"] == pytest.approx((0.6 + 1.5 + 0.3) * 1.5, rel=1e-6)
