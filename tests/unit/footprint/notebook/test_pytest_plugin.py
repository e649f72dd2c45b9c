"""``pytest --footprint``: joules by test within the sensors' error, words where there are none, and no cost without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.simulation.sensors import Zone, powercap

ROOT = Path(__file__).parents[4]
TESTS = """
import time

def test_long():
    time.sleep(3)

def test_short():
    pass

def test_stretch(footprint_measure):
    with footprint_measure("nap") as found:
        time.sleep(1.5)
    row = next(each for each in found.rows if each["device"] == "cpu:0")
    assert abs(row["energy_j"] - 40 * found.seconds) < 40 * found.seconds / 20, found.sentence()
"""


@pytest.fixture
def sensors(tmp_path: Path) -> Iterator[Zone]:
    """A package that draws 40 W, and knows how much it has used."""
    (zone,) = powercap(tmp_path / "sys", 1)
    on = True

    def draw() -> None:
        last = time.monotonic()
        while on:
            time.sleep(0.01)
            now = time.monotonic()
            zone.add(round(40e6 * (now - last)))
            last = now

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    yield zone
    on = False
    thread.join()


def run(folder: Path, *arguments: str, sysfs: str = "sys") -> subprocess.CompletedProcess[str]:
    (folder / "test_some.py").write_text(TESTS)
    known = any(entry_point.value == "footprint.notebook.pytest_plugin" for entry_point in entry_points(group="pytest11"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        "-c",
        os.devnull,
        *arguments,
        "test_some.py",
    ]
    command += [] if known else ["-p", "footprint.notebook.pytest_plugin"]
    environment = os.environ | {"FOOTPRINT_SYSFS": str(folder / sysfs), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_joules_by_test(sensors: Zone, tmp_path: Path) -> None:
    done = run(tmp_path, "--footprint")
    assert done.returncode == 0, done.stdout
    summary = done.stdout.partition("energy of this host by test")[2]
    line = next(line for line in summary.splitlines() if "test_long" in line).split()
    # The memory of this host is estimated beside the package; together they are at least the 40 W of the package.
    assert float(line[1]) > 40 * 3 * 0.95
    assert line[-1] == "C"
    assert re.search(r"test_short +– +its .* s are too short: the sensors were read 0 times, 10 are needed", summary)
    assert "whatever else ran on this host is in these figures" in summary


def test_no_sensor_is_said_and_fails_no_test_but_those_that_measure(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, footprint.notebook.pytest_plugin; print([m for m in sys.modules if m.startswith(('footprint.', 'numpy', 'pandas'))])",
        ],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "['footprint.notebook', 'footprint.notebook.pytest_plugin']"  # nothing heavy without the option
    environment = os.environ | {"FOOTPRINT_PROC": str(tmp_path / "nothing")}
    monkey = pytest.MonkeyPatch()
    monkey.setattr(os, "environ", environment)
    try:
        done = run(tmp_path, "--footprint", "-k", "short", sysfs="nothing")
    finally:
        monkey.undo()
    assert done.returncode == 0, done.stdout
    assert "not measured: no sensor of this host can be read" in done.stdout


def test_without_the_option_nothing_is_read(tmp_path: Path) -> None:
    done = run(tmp_path, "-k", "short", sysfs="nothing")
    assert done.returncode == 0
    assert "energy of this host" not in done.stdout
