"""Programs whose parent closed a standard stream: as if it were the null device."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = {"footprint": ("-m", "footprint.cli", "methods"), "footprint-agent": ("-m", "collectors", "list")}
CLOSINGS = (">&-", "<&- >&- 2>&-")


@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_stream_changes_no_status_and_shows_no_error(name: str, closing: str, tmp_path: Path) -> None:
    command = (sys.executable, *COMMANDS[name])
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    usual = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    shell = ("sh", "-c", f'"$@" {closing}', "sh", *command)
    closed = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert closed.returncode == usual.returncode
    assert closed.stdout in (usual.stdout, "")
    assert closed.stderr in (usual.stderr, "")
