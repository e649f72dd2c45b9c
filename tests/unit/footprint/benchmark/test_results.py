"""A result is the same when it was written and read; what was changed, or cannot be, is refused; rows say what was measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from footprint.benchmark import COLUMNS, benchmark_rows, reference_rows, rows_of_result
from footprint.benchmark.batch_model import fit_batch_model
from footprint.benchmark.concurrency_levels import concurrency_levels, fit_result, idle_power
from footprint.benchmark.result import BadResult, parse_result
from footprint.benchmark.result_store import (
    CHECKED,
    UNCHECKED,
    UNSIGNED,
    Tampered,
    import_result,
    read_result,
    stored_results,
    write_result,
)
from footprint.config import Config, load_config
from footprint.storage.database import Store
from tests.simulation.results import EnergyPerToken, simulated_result
from tests.support.services import api_over, local_client


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "footprint.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path}/one.db"\n')
    return load_config(str(tmp_path / "footprint.toml"))


@pytest.fixture(scope="module")
def minisign_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    assert shutil.which("minisign"), "Debian: apt install minisign"
    for name in ("mine", "other"):
        command = ["minisign", "-G", "-W", "-s", str(folder / name), "-p", str(folder / f"{name}.pub")]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def test_a_document_is_read_as_it_was_written() -> None:
    made = simulated_result(EnergyPerToken(point=0.02))
    made = replace(made, scores=(0.5, None, 1.0), grader="exact match")
    assert parse_result(made.to_bytes()) == made


def test_nothing_that_was_asked_or_answered_is_in_a_document() -> None:
    told = json.loads(simulated_result().to_bytes())
    assert set(told) == {
        "kind",
        "schema_version",
        "made_us",
        "program",
        "demonstration",
        "conditions",
        "points",
        "scores",
        "grader",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("points"), "points"),
        (lambda d: d.update(kind="other"), "not a benchmark result"),
        (lambda d: d.update(schema_version=99), "schema 99"),
        (lambda d: d.update(points=[]), "without any point"),
        (lambda d: d["points"].append(d["points"][0]), "stands twice"),
        (lambda d: d["points"][0]["energy"].update(energy_j=-1.0), "not above zero"),
        (lambda d: d["points"][0]["energy"].update(seconds=0), "not above zero"),
        (lambda d: d["points"][0]["energy"].update(high_j=0.5), "outside of its interval"),
        (lambda d: d["points"][0].update(concurrency=4, repeat=77), "none under load"),
        (lambda d: d["points"][1]["steady"].update(output_tokens="many"), "output_tokens"),
        (lambda d: d["conditions"].pop("model"), "model"),
    ],
)
def test_what_cannot_be_is_refused(change, said: str) -> None:  # type: ignore[no-untyped-def]
    told = json.loads(simulated_result(repeats=2).to_bytes())
    change(told)
    with pytest.raises(BadResult, match=said):
        parse_result(json.dumps(told).encode())


def test_no_json_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{not json")
    with pytest.raises(BadResult, match=r"x\.json: not a benchmark result"):
        read_result(tmp_path / "x.json")
    with pytest.raises(BadResult, match="No such file"):
        read_result(tmp_path / "absent.json")


def test_a_signature_is_checked_with_the_key_at_hand(tmp_path: Path, minisign_keys: Path) -> None:
    path = tmp_path / "r.json"
    write_result(path, simulated_result(), str(minisign_keys / "mine"))
    assert read_result(path).signature == UNCHECKED
    assert read_result(path, signing_key=str(minisign_keys / "mine")).signature == CHECKED
    public = (minisign_keys / "mine.pub").read_text().splitlines()[1]
    assert read_result(path, public).signature == CHECKED
    with pytest.raises(Tampered, match="signature is not good"):
        read_result(path, signing_key=str(minisign_keys / "other"))
    path.write_bytes(path.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    with pytest.raises(Tampered, match="signature is not good"):
        read_result(path, public)


def test_kept_once_beside_the_ledger_and_checked_whenever_read(tmp_path: Path, config: Config) -> None:
    path = tmp_path / "r.json"
    write_result(path, simulated_result())
    assert benchmark_rows(config) == []
    first, new = import_result(config, path)
    assert new
    assert import_result(config, path) == (first, False)
    (found,) = stored_results(config)
    assert (found.sha256, found.signature) == (first.sha256, UNSIGNED)
    (file,) = (tmp_path / "one.sealed" / "benchmarks").iterdir()
    file.write_bytes(file.read_bytes().replace(b"H100", b"H200"))
    with pytest.raises(Tampered, match="not those that were kept"):
        stored_results(config)


def test_a_demonstration_never_mixes_with_what_was_measured(tmp_path: Path, config: Config) -> None:
    path = tmp_path / "r.json"
    write_result(path, replace(simulated_result(), demonstration=True))
    with pytest.raises(BadResult, match="never mix"):
        import_result(config, path)
    import_result(replace(config, demo=True), path)


def test_rows_by_concurrency_by_hand() -> None:
    """Without any noise: E/token = 0.068 + 3.1/batch, 200 tokens a request, idle 90 W; +-5 % is the sensor's."""
    rows = rows_of_result(simulated_result())
    assert [row["concurrency"] for row in rows] == [1, 2, 4, 8, 16, 32, 64]
    assert set(rows[0]) == set(COLUMNS)
    row = rows[3]
    assert row["batch"] == pytest.approx(7.84)
    assert row["j_per_output_token"] == pytest.approx(0.068 + 3.1 / 7.84)
    assert row["j_per_request"] == pytest.approx(200 * (0.068 + 3.1 / 7.84))
    assert row["j_per_request_low"] == pytest.approx(row["j_per_request"] * 0.95)
    assert row["a_j"] == pytest.approx(0.068)
    assert row["b_j"] == pytest.approx(3.1)
    assert (row["b_j_low"], row["b_j_high"]) == (pytest.approx(3.1 * 0.95), pytest.approx(3.1 * 1.05))
    assert (row["batch_low"], row["batch_high"]) == (pytest.approx(0.98), pytest.approx(62.72))
    assert row["idle_w"] == pytest.approx(90.0)
    assert row["idle_j_per_request"] == pytest.approx(90 * 200 / (80 * 7.84))
    assert row["score"] is None  # not graded is unknown, not zero


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = [0, 0]
    for seed in range(200):
        found = fit_result(simulated_result(EnergyPerToken(point=0.03), seed, idle=False))
        assert found is not None
        # Only how repeats differ: the sensor of this truth has no error, its half-width is taken off again.
        for index, (est, true) in enumerate(((found.a_j, 0.068), (found.b_j, 3.1))):
            half = ((est.high - est.value) ** 2 - (0.05 * est.value) ** 2) ** 0.5
            held[index] += abs(est.value - true) <= half
    assert all(180 <= count <= 199 for count in held)


def test_two_batches_give_no_fit_and_rows_all_the_same() -> None:
    found = simulated_result(levels=(1, 8))
    assert fit_result(found) is None
    assert rows_of_result(found)[0]["a_j"] is None
    assert fit_batch_model([1, 1.02, 0.98], [3, 3, 3]) is None


def test_levels_at_which_requests_waited_are_no_batch() -> None:
    """16 slots: of 64 in flight 16 are served, the energy per token is that of 16; the fit leaves them out and says so."""
    made = simulated_result()
    points = tuple(
        replace(p, steady=replace(p.steady, decoding=16.0)) if p.steady is not None and p.concurrency == 64 else p
        for p in made.points
    )
    found = replace(made, points=points)
    assert [level.waited for level in concurrency_levels(found)] == [False] * 6 + [True]
    fitted = fit_result(found)
    assert fitted is not None
    assert fitted.batch_high == pytest.approx(32 * 0.98)


def test_short_answers_are_not_taken_for_waiting() -> None:
    """Of answers of three tokens a third of the time is before the first, at any concurrency: that is no queue."""
    made = simulated_result()
    points = tuple(
        replace(p, steady=replace(p.steady, decoding=p.steady.in_flight * 0.6)) if p.steady is not None else p
        for p in made.points
    )
    assert not any(level.waited for level in concurrency_levels(replace(made, points=points)))


def test_idle_is_unknown_where_it_was_not_measured() -> None:
    assert idle_power(simulated_result(idle=False)) is None
    assert rows_of_result(simulated_result(idle=False))[0]["idle_w"] is None


def test_the_api_shows_results_and_references(tmp_path: Path, config: Config, sqlite: Store) -> None:
    path = tmp_path / "r.json"
    write_result(path, simulated_result())
    import_result(config, path)
    client = local_client(api_over(sqlite, config, lambda: 0))
    told = client.get("/api/v1/benchmarks").json()
    assert told["columns"] == list(COLUMNS)
    assert len(told["rows"]) == 7
    assert (
        client.get("/api/v1/benchmarks?format=csv")
        .text.splitlines()[0]
        .startswith("model,concurrency,repeats,batch,j_per_request")
    )
    public = client.get("/api/v1/benchmarks/references").json()["rows"]
    assert len(public) == len(reference_rows())


def test_every_public_reference_says_its_source_and_is_labelled() -> None:
    rows = reference_rows()
    assert len(rows) >= 20
    assert all(
        row["source"] and row["licence"] and row["retrieved"] and row["label"] == "other hardware, other load" for row in rows
    )
    eight = next(row for row in rows if "8B" in row["model"] and row["concurrency"] == 64)
    assert eight["j_per_output_token"] == pytest.approx(0.119, abs=0.001)  # as the leaderboard prints it
    assert all(
        row["j_per_request"] == pytest.approx(row["j_per_output_token"] * row["output_tokens_per_request"], rel=0.01)
        for row in rows
    )
