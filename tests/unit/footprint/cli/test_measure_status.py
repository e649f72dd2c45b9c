"""Exit status of `measure`: the command's own, as a shell gives it; 125 where measuring is wrong. Signals reach the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PYTHON = sys.executable


def start(folder: Path, *words: str, sensor: bool = True) -> subprocess.Popen[bytes]:
    """The program on a simulated package of a CPU."""
    zone = folder / "sys" / "class" / "powercap" / "intel-rapl:0"
    if sensor:
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "name").write_text("package-0\n")
        (zone / "energy_uj").write_text("1000\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
    environment = os.environ | {
        "PYTHONPATH": os.getcwd(),
        "FOOTPRINT_SYSFS": str(folder / "sys"),
        "FOOTPRINT_PROC": str(folder / "proc"),
    }
    return subprocess.Popen(
        [PYTHON, "-m", "footprint.cli", "measure", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--baseline-s", "0", "--", "sh", "-c", "sleep 0.6"], 0),
        (["--baseline-s", "0", "--", "sh", "-c", "sleep 0.6; exit 3"], 3),
        (["--baseline-s", "0", "--", "sh", "-c", "sleep 0.6; kill -9 $$"], 128 + 9),
        (["--baseline-s", "0", "--", "sh", "-c", "sleep 0.6; exit 125"], 125),
        (["--", "there-is-no-such-program"], 127),
        (["--", "/"], 126),
        ([], 125),
        (["--no-such-option", "--", "true"], 125),
        (["--config", "absent.toml", "--", "true"], 125),
        (["--output", "/dev/null/x.csv", "--", "true"], 125),
    ],
)
def test_the_status_is_that_of_the_command(tmp_path: Path, words: list[str], status: int) -> None:
    process = start(tmp_path, *words)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert b"Traceback" not in err


def test_where_nothing_can_be_measured_the_command_does_not_run(tmp_path: Path) -> None:
    process = start(tmp_path, "--", "sh", "-c", "echo ran > ran", sensor=False)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert not (tmp_path / "ran").exists()
    assert b"footprint doctor" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command_and_the_measurement_is_complete(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "--baseline-s", "0", "--", "sh", "-c", "echo > began; exec sleep 60")
    deadline = time.monotonic() + 30
    while not (tmp_path / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.7)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert b"(total)" in out
    assert b"Traceback" not in err
