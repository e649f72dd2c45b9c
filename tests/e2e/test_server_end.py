"""Ends of the real server: SIGTERM, kill -9 and SIGHUP leave no process behind, and the store is whole."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.contract_files import CONFIG
from tests.support.processes import free_port, wait_for_answer


def descendants(pid: int) -> set[int]:
    """Processes that a process started, and those that they started, also after their parents ended."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return family - {pid}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: object, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it does not come to pass"
        time.sleep(0.05)


@contextmanager
def running(folder: Path, *arguments: str, config: str = CONFIG) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    (folder / "footprint.toml").write_text(config)
    log, port = folder / "server.log", free_port()
    environment = os.environ | {
        "FOOTPRINT_SERVER__PORT": str(port),
        "PYTHONPATH": os.getcwd(),
        "FOOTPRINT_SYSFS": str(folder / "none"),
        "FOOTPRINT_PROC": str(folder / "none"),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "footprint.cli", *arguments], cwd=folder, env=environment, stderr=out, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for_answer(f"{address}/healthz", 60)
        yield process, address, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    ("command", "number", "statuses"),
    [
        ("serve", signal.SIGTERM, {0}),
        ("serve", signal.SIGHUP, {0}),
        ("serve", signal.SIGKILL, {-signal.SIGKILL}),
        ("serve", signal.SIGINT, {130}),
        ("up", signal.SIGTERM, {0}),
    ],
)
def test_no_process_outlives_the_server(tmp_path: Path, command: str, number: int, statuses: set[int]) -> None:
    with running(tmp_path, command) as (process, _, log):
        wait_until(lambda: b"spawn_main" in b"".join(_command(pid) for pid in descendants(process.pid)))
        time.sleep(0.5)  # amid the start of a worker, or in a job
        children = descendants(process.pid)
        assert len(children) >= 2
        process.send_signal(number)
        assert process.wait(20) in statuses
        wait_until(lambda: not any(map(is_alive, children)), 10)
        with closing(sqlite3.connect(tmp_path / "footprint.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if number != signal.SIGKILL:
            assert b"Traceback" not in log.read_bytes()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _ready(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=30) as response:
            return response.status, json.load(response)["status"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["status"]


def test_the_log_says_what_runs_and_a_wrong_configuration_is_not_ready(tmp_path: Path) -> None:
    config = CONFIG + '\n[server]\nlog = "json"\n'
    with running(tmp_path, "serve", "-v", config=config) as (process, address, log):
        wait_until(lambda: _ready(address)[0] == 200)
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        start = next(line["message"] for line in lines if "store" in line["message"])
        assert str(tmp_path / "footprint.db") in start
        assert str(tmp_path / "footprint.toml") in start
        assert {"time", "level", "logger", "message"} == set(lines[0])
        (tmp_path / "footprint.toml").write_text(config + '\n[[site]]\nname = "a\x7f"\npue = 0.5\n')
        wait_until(lambda: _ready(address)[0] == 503, 30)
        assert "configuration" in _ready(address)[1]
        assert "footprint.toml" not in _ready(address)[1]  # a probe needs no token: the log says more
        (tmp_path / "footprint.toml").write_text(config)
        wait_until(lambda: _ready(address)[0] == 200, 60)
        wait_until(lambda: "configuration succeeds again" in log.read_text(), 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
