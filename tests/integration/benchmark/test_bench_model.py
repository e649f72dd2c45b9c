"""`footprint bench-model` against a simulated endpoint: results, refusals, stored content and resumption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from footprint.benchmark.concurrency_levels import fit_result, idle_power
from footprint.benchmark.result_store import read_result
from footprint.cli.app import status_of
from tests.integration.benchmark.conftest import Endpoint

Serve = Callable[..., Endpoint]
QUICK = ["--least-updates", "0", "--rest-s", "1", "--warm-up-s", "0", "--device", "cpu:0"]


@pytest.mark.slow
def test_step_parameters_are_recovered_within_five_percent_in_real_time(serve: Serve, tmp_path: Path) -> None:
    """The endpoint takes 3.1 J per step, 0.4 J per token and 10 W of idle power; about a minute."""
    endpoint = serve()
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"some words tokens={40 + 10 * (n % 5)}"}) + "\n" for n in range(20)))
    sweep = ["--concurrency", "1,4,12", "--repeats", "2", "--least-s", "4"]
    assert status_of(["bench-model", endpoint.url, "--prompts", str(path), *sweep, *QUICK, "--output", "r.json"]) == 0
    truth = endpoint.truth()
    result = read_result(tmp_path / "r.json").result
    fitted = fit_result(result)
    assert fitted is not None
    assert fitted.a_j.value == pytest.approx(0.4, rel=0.05)
    assert fitted.b_j.value == pytest.approx(3.1 + 10 * truth["step_seconds"] / truth["steps"], rel=0.05)
    assert (fitted.batch_low, fitted.batch_high) == (pytest.approx(1, abs=0.1), pytest.approx(12, abs=0.5))
    idle = idle_power(result)
    assert idle is not None
    assert idle.value == pytest.approx(10.0, rel=0.05)
    assert result.conditions.engine == "simulated/1"


def _restore_sigint() -> None:
    """Restore SIGINT, which processes started in the background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_run_resumes_and_stores_no_text(
    serve: Serve, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After Ctrl-C the status is 130 and points are kept; the same command measures only the others. A grader gives scores."""
    endpoint = serve("--step-s", "0.01")
    (tmp_path / "grader.py").write_text(
        "import json, sys\nfor line in sys.stdin:\n    answer = json.loads(line)\n"
        "    print(json.dumps({'score': 1.0 if answer['answer'] and 'reference' in answer else 0.0}))\n"
    )
    command = [
        "bench-model",
        endpoint.url,
        "--prompts",
        str(prompts),
        "--concurrency",
        "1,3",
        "--repeats",
        "1",
        "--least-s",
        "1",
        *QUICK,
    ]
    command += ["--output", "r.json", "--grader", f"{sys.executable} grader.py"]
    first = subprocess.Popen(
        [sys.executable, "-m", "footprint.cli", *command],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ,
        preexec_fn=_restore_sigint,  # noqa: PLW1509 - one thread only
    )
    folder = tmp_path / "r.json.points"
    end = time.monotonic() + 60
    while not list(folder.glob("r0-c*.json")) and time.monotonic() < end:
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    _, messages = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "of 3 points are kept" in messages
    assert "Traceback" not in messages
    points = {path.name: path.stat().st_mtime_ns for path in folder.glob("r0-c*.json")}
    assert 1 <= len(points) <= 2
    assert not any("SECRET" in path.read_text() or endpoint.url in path.read_text() for path in folder.iterdir())
    assert not (tmp_path / "r.json").exists()

    assert status_of([*command, "--seed", "2"]) == 1
    assert "holds points of another seed" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("r0-c*.json")} == points

    assert status_of(command) == 0
    messages = capsys.readouterr().err
    assert f"Benchmarking {len(points)}/3 points" in messages
    assert "20 prompts" in messages
    assert "1,000" in messages
    assert "not signed" in messages
    result = read_result(tmp_path / "r.json").result
    assert [point.concurrency for point in result.points].count(0) == 1
    assert result.scores == (1.0,) * 20
    written = (tmp_path / "r.json").read_text()
    assert "SECRET" not in written
    assert " word" not in written
    assert not folder.exists()
    assert status_of(command) == 2
    assert "exists and is left as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--key", "k"], 4, "lets us not in (401); --key-file"),
        (["--no-usage"], 1, "stream_options.include_usage"),
        (["--silent"], 1, "the model answered nothing"),
    ],
)
def test_unmeasurable_endpoints_are_refused(
    serve: Serve, prompts: Path, capsys: pytest.CaptureFixture[str], options: list[str], status: int, message: str
) -> None:
    endpoint = serve(*options)
    assert status_of(["bench-model", endpoint.url, "--prompts", str(prompts), "--model", "simulated", *QUICK]) == status
    assert message in capsys.readouterr().err


def test_the_key_is_read_from_a_file_and_rate_limits_are_waited_for(
    serve: Serve, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = serve("--key", "opensesame", "--limit-first", "2", "--step-s", "0.01")
    (tmp_path / "key").write_text("opensesame\n")
    command = [
        "bench-model",
        endpoint.url,
        "--prompts",
        str(prompts),
        "--concurrency",
        "2",
        "--repeats",
        "1",
        "--least-s",
        "1",
        *QUICK,
    ]
    subprocess.run(["minisign", "-G", "-W", "-s", "mine", "-p", "mine.pub"], check=True, capture_output=True)
    (tmp_path / "footprint.toml").write_text('[store]\nsigning_key = "mine"\n')
    assert status_of([*command, "--key-file", "key", "--output", "r.json"]) == 0
    messages = capsys.readouterr().err
    assert "r.json written and r.json.minisig; sha256 " in messages
    assert "opensesame" not in (tmp_path / "r.json").read_text() + messages
    assert status_of(["bench-model", "show", "r.json"]) == 0
    assert "signature good" in capsys.readouterr().err
    (tmp_path / "r.json").write_text((tmp_path / "r.json").read_text().replace('"seed": 1', '"seed": 3'))
    for verb in ("show", "import"):
        assert status_of(["bench-model", verb, "r.json"]) == 6
        assert "its signature is not good" in capsys.readouterr().err
    assert status_of([*command, "--key-file", "absent"]) == 2


def test_a_persistent_rate_limit_is_reported(
    serve: Serve, prompts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footprint.benchmark.runner.MAX_RETRIES", 1)
    endpoint = serve("--limit-first", "1000")
    assert status_of(["bench-model", endpoint.url, "--prompts", str(prompts), "--concurrency", "1", *QUICK]) == 1
    assert "asks to wait 1 s, 2 times; raise its limit or lower --concurrency" in capsys.readouterr().err


def test_bad_input_is_refused_with_its_remedy(
    tmp_path: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "bad.jsonl").write_text('{"prompt": "fine"}\n{"text": "SECRET"}\n')
    for arguments, status, message in (
        (["http://127.0.0.1:9", "--model", "m"], 4, "does not answer"),
        (["http://no-such-host.invalid", "--model", "m"], 4, "does not answer"),
        (["nonsense", "--model", "m"], 4, "'nonsense' is no address"),
        (["http://127.0.0.1:9", "--model", "m", "--concurrency", "0,x"], 2, "whole numbers above 0"),
        (["http://127.0.0.1:9", "--prompts", "empty.jsonl"], 1, "no prompt in it"),
        (["http://127.0.0.1:9", "--prompts", "bad.jsonl"], 1, "line 2 is no prompt"),
        (["http://127.0.0.1:9", "--prompts", "absent.jsonl"], 1, "No such file"),
    ):
        assert status_of(["bench-model", *arguments]) == status, arguments
        messages = capsys.readouterr().err
        assert message in messages
        assert "SECRET" not in messages


def test_a_benchmark_without_a_sensor_is_refused(
    serve: Serve, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = serve("--step-s", "0.01")
    command = [
        "bench-model",
        endpoint.url,
        "--prompts",
        str(prompts),
        "--concurrency",
        "1",
        "--repeats",
        "1",
        "--least-s",
        "1",
        *QUICK,
    ]
    assert status_of([*command, "--device", "gpu:7"]) == 4
    assert "no sensor reads gpu:7 here; there are cpu:0" in capsys.readouterr().err
    monkeypatch.setenv("FOOTPRINT_SYSFS", str(tmp_path / "nothing"))
    assert status_of([*command, "--output", "x.json"]) == 4
    assert "an estimate only; `footprint doctor`" in capsys.readouterr().err
    assert status_of([*command, "--output", "y.json", "--allow-estimate"]) == 0
    assert {point.energy.quality for point in read_result(tmp_path / "y.json").result.points} == {"C"}
