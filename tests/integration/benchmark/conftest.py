"""Fixtures: simulated model endpoints, each with its own energy counter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[3]


class Endpoint:
    """A simulated model in a separate process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.sysfs = folder / "sys"
        command = [sys.executable, str(ROOT / "tests/simulation/endpoint.py"), "--sysfs", str(self.sysfs), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def truth(self) -> dict[str, float]:
        """True totals so far (see ``EnergyTotals``)."""
        with urlopen(f"{self.url}/truth") as answer:
            return dict(json.loads(answer.read()))

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Endpoint]]:
    """Function that starts endpoints; the sensors of this host are those of the last one."""
    started: list[Endpoint] = []

    def start(*options: str) -> Endpoint:
        started.append(Endpoint(tmp_path / f"endpoint-{len(started)}", *options))
        monkeypatch.setenv("FOOTPRINT_SYSFS", str(started[-1].sysfs))
        monkeypatch.chdir(tmp_path)
        return started[-1]

    yield start
    for endpoint in started:
        endpoint.stop()


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Twenty prompts whose answers have 20 to 40 tokens."""
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"SECRET-{n} say words, tokens={20 + 5 * (n % 5)}", "reference": n} for n in range(20)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
