"""Benchmarks of the demonstration: marked as such, true to the simulated servers, and refused by other stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from footprint.benchmark.concurrency_levels import fit_result, idle_power, mean_score
from footprint.benchmark.result_store import read_result
from footprint.cli.app import status_of
from tests.simulation.demo import SERVICES, write_benchmarks


def test_benchmarks_of_the_trial_models_match_their_simulated_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = write_benchmarks(tmp_path / "results", 1_790_000_000, 2026)
    assert [path.stem for path in paths] == ["demo-24b-fp8", "demo-12b", "demo-8b"]
    for path in paths:
        result, law = read_result(path).result, SERVICES[path.stem.replace("demo", "essai")][2]
        assert result.demonstration
        fitted, idle, score = fit_result(result), idle_power(result), mean_score(result)
        assert fitted is not None
        assert fitted.b_j.low <= law.step_j + law.idle_w * law.step_s <= fitted.b_j.high
        assert fitted.a_j.low <= law.token_j <= fitted.a_j.high
        assert idle is not None
        assert idle.low <= law.idle_w <= idle.high
        assert score is not None
    assert status_of(["bench-model", "import", *map(str, paths)]) == 1
    assert "the two never mix" in capsys.readouterr().err
