"""Two results: a difference that is there is found, one that is not is not claimed, and unlike things are not compared."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from footprint.benchmark.compare import IncomparableBenchmarks, compare_results
from footprint.benchmark.result_store import write_result
from footprint.cli.app import status_of
from tests.simulation.results import EnergyPerToken, simulated_result

# What a benchmark errs by: a sensor's gain up to 5 %, sessions by 0.5 %, repeats by 1 %, points by 2 %.
NOISY = EnergyPerToken(session=0.005, repeat=0.01, point=0.02)


def pair(seed: int, factor: float) -> tuple[EnergyPerToken, EnergyPerToken]:
    gain = float(np.random.default_rng(seed).uniform(-0.05, 0.05))
    one = replace(NOISY, gain=gain)
    return one, replace(one, a_j=one.a_j * factor, b_j=one.b_j * factor)


def claimed(factor: float, sets: int = 100) -> int:
    """Differences claimed of so many pairs; the whole chain, 200 pairs, is in test_virtual.py."""
    count = 0
    for number in range(sets):
        a, b = (
            simulated_result(truth, seed=2 * number + which, idle=False, model="ab"[which])
            for which, truth in enumerate(pair(number, factor))
        )
        count += compare_results(a, b).different
    return count


def test_a_difference_of_five_percent_is_found_in_at_least_four_of_five() -> None:
    assert claimed(1.05) >= 80


def test_no_difference_is_wrongly_claimed_in_at_most_one_of_twenty() -> None:
    assert claimed(1.0) <= 5


def test_the_interval_holds_the_true_ratio() -> None:
    held = 0
    for number in range(100):
        a, b = (
            simulated_result(truth, seed=1000 + 2 * number + which, idle=False) for which, truth in enumerate(pair(number, 1.3))
        )
        found = compare_results(a, b).per_request
        held += found.low <= 1.3 <= found.high
    assert held >= 95


def test_what_errs_alike_in_both_cancels() -> None:
    """A sensor that reads 5 % too much does so for both: the ratio is exact where nothing else errs."""
    found = compare_results(
        simulated_result(EnergyPerToken(gain=0.05)), simulated_result(EnergyPerToken(gain=0.05, a_j=0.068 * 2, b_j=6.2))
    )
    assert found.per_request.value == pytest.approx(2.0)
    assert found.per_request.low == pytest.approx(2.0 * np.exp(-2 * np.sqrt(2) * 0.01 / np.sqrt(3)))


def test_by_concurrency_a_model_may_win_here_and_lose_there() -> None:
    found = compare_results(simulated_result(model="a"), simulated_result(EnergyPerToken(a_j=0.136, b_j=2.48), model="b"))
    said = {row["what"]: row["difference"] for row in found.rows}
    assert said["J per request at 1"] == "B takes less"
    assert said["J per request at 64"] == "B takes more"


def test_a_longer_answer_costs_more_per_request_at_the_same_energy_per_token() -> None:
    found = compare_results(simulated_result(), simulated_result(EnergyPerToken(tokens=400)))
    assert found.per_token.value == pytest.approx(1.0)
    assert found.per_request.value == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("prompts_sha256", "f" * 64, "prompts"),
        ("max_tokens", 99, "max tokens"),
        ("temperature", 0.7, "temperature"),
        ("machines", ("NVIDIA A100",), "machines"),
        ("driver", "999", "driver"),
        ("power_limit_w", 350.0, "power limit"),
        ("host", "inf-02", "host"),
        ("sensors", "ledger", "sensors"),
        ("seed", 2, "seed"),
    ],
)
def test_unlike_conditions_are_refused_and_named(name: str, value: object, word: str) -> None:
    made = simulated_result()
    other = replace(made, conditions=replace(made.conditions, **{name: value}))  # type: ignore[arg-type]
    with pytest.raises(IncomparableBenchmarks, match=rf"different {word}; --anyway"):
        compare_results(made, other)
    assert compare_results(made, other, anyway=True).differs == (word,)


def test_sensors_of_two_hosts_do_not_cancel() -> None:
    alike = compare_results(simulated_result(), simulated_result(seed=2)).per_request
    found = compare_results(simulated_result(), simulated_result(seed=2, host="inf-02"), anyway=True).per_request
    assert found.high - found.low > 3 * (alike.high - alike.low)


def test_nothing_in_common_or_one_repeat_is_no_comparison() -> None:
    with pytest.raises(IncomparableBenchmarks, match="share no concurrency"):
        compare_results(simulated_result(levels=(1, 2)), simulated_result(levels=(4, 8)))
    with pytest.raises(IncomparableBenchmarks, match="at least two are needed"):
        compare_results(simulated_result(repeats=1), simulated_result(repeats=5))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    for name, truth in (("a", NOISY), ("b", replace(NOISY, a_j=NOISY.a_j * 1.8, b_j=NOISY.b_j * 1.8))):
        write_result(tmp_path / f"{name}.json", simulated_result(truth, seed=ord(name), model=f"model-{name}"))
    return "a.json", "b.json"


def test_the_command_says_the_ratio_and_fails_on_a_regression(
    files: tuple[str, str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert status_of(["bench-model", "compare", *files, "--format", "json"]) == 0
    out, err = capsysbinary.readouterr()
    first = json.loads(out)["rows"][0]
    assert first["low"] < 1.8 < first["high"]
    assert first["difference"] == "B takes more"
    assert b"model-b takes 1.8" in err
    assert status_of(["bench-model", "compare", *files, "--threshold", "1.5"]) == 6
    assert b"more than 1.5" in capsysbinary.readouterr().err
    assert status_of(["bench-model", "compare", *files, "--threshold", "2"]) == 0
    assert status_of(["bench-model", "compare", "a.json", "a.json"]) == 0
    assert b"no difference shown" in capsysbinary.readouterr().err


def test_compare_takes_two_result_files_too(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["compare", *files, "--threshold", "1.5"]) == 6
    assert "model-b takes 1.8" in capsys.readouterr().err
    assert status_of(["compare", *files, "--by", "model"]) == 2
    assert "--where" in capsys.readouterr().err


def test_for_a_merge_request(files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["compare", *files, "--markdown", "--badge", "b.svg"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("**model-b takes 1.8")
    assert said[2] == "| | model-a | model-b | |"
    assert all(line.count("|") == 5 for line in said[2:])
    drawn = (tmp_path / "b.svg").read_text()
    ElementTree.fromstring(drawn)
    assert "J per request: 1.8" in drawn
    assert status_of(["compare", files[0], files[0], "--badge", "b.svg"]) == 0
    assert "no difference shown" in (tmp_path / "b.svg").read_text()


def test_a_file_that_is_none_is_named(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["bench-model", "compare", files[0], "absent.json"]) == 1
    assert "absent.json: No such file" in capsys.readouterr().err


def test_import_and_list(files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["bench-model", "list"]) == 7
    assert status_of(["bench-model", "import", *files]) == 0
    assert status_of(["bench-model", "import", files[0]]) == 0
    assert "model-a, a duplicate; signature none" in capsys.readouterr().err
    assert status_of(["bench-model", "list", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2 * 7
    assert status_of(["bench-model", "references", "--format", "json"]) == 0
    assert "other hardware" in capsys.readouterr().out
    assert status_of(["bench-model", "show", files[0]]) == 0
    said = capsys.readouterr().err
    assert "/ batch, for a batch of 0.98 to 62.7" in said
    assert re.search(r"at rest: \d.* W \[", said)
