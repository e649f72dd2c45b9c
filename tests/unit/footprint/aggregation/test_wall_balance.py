"""Wall = parts + unseen: the uplift of a host is what its meters say over the windows that both watched."""

import json
from pathlib import Path

import numpy as np
import pytest

from footprint.attribution.energy_intervals import COUNTER, EnergyIntervals
from footprint.attribution.wall_to_parts import compare_wall_to_parts
from footprint.cli.app import status_of
from tests.support.contract_files import DAY_S, write

S = 1_000_000


def spans(watts: float, start_s: int, end_s: int) -> EnergyIntervals:
    edges = np.arange(start_s, end_s + 1, 10, dtype=np.int64) * S
    n = len(edges) - 1
    return EnergyIntervals(
        edges[:-1], edges[1:], np.full(n, round(watts * 10 * S)), np.full(n, 10 * S), np.full(n, COUNTER, dtype=np.int8)
    )


def test_only_windows_that_all_watched_count() -> None:
    edges = np.arange(0, 7201, 300, dtype=np.int64) * S
    found = compare_wall_to_parts([spans(200, 0, 7200), spans(100, 0, 5400)], [spans(390, 600, 7200)], edges)
    assert len(found.wall_uj) == (5400 - 600) // 300
    assert found.uplift is not None
    assert found.uplift.value == pytest.approx(1.3)


def test_too_few_windows_say_nothing() -> None:
    edges = np.arange(0, 3001, 300, dtype=np.int64) * S
    assert compare_wall_to_parts([spans(200, 0, 3000)], [spans(300, 0, 3000)], edges).uplift is None


def test_the_command_prints_the_balance_and_the_line_to_declare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["time,host,device,component,power_w,source"]
    for s in range(0, 7201, 5):
        lines += [f"{DAY_S + s},a,gpu:0,gpu,300,", f"{DAY_S + s},a,wall,host,450,ipmi", f"{DAY_S + s},b,gpu:0,gpu,300,"]
    assert status_of(["balance", "--format", "json"]) == 3
    assert status_of(["import", "energy", write(tmp_path / "e.csv", lines)]) == 0
    capsys.readouterr()
    assert status_of(["balance", "--format", "json"]) == 0
    assert "days pending" in capsys.readouterr().err
    assert status_of(["aggregate"]) == 0
    capsys.readouterr()
    assert status_of(["balance", "--format", "json"]) == 0
    said = capsys.readouterr()
    rows = json.loads(said.out)["rows"]
    assert [row["host"] for row in rows] == ["a", "b"]
    assert all(row["closes"] for row in rows)
    assert rows[1]["uplift"] is None
    assert rows[0]["uplift"] == pytest.approx(1.5)
    assert rows[0]["unseen_kwh"] == pytest.approx(150 * 7200 / 3.6e6, rel=0.1)
    assert "uplift = [1.500, 1.500, 1.500]  # calibrated on" in said.err
