"""Files that a person asked for keep the mode of the person's umask, while the store of the same command is private."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from footprint.core.output_files import write_output

FOOTPRINT = [sys.executable, "-c", "from footprint.cli import main; main()"]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run(folder: Path, *arguments: str) -> None:
    """Run a command with the umask that most people have."""
    subprocess.run(
        [*FOOTPRINT, *arguments],
        cwd=folder,
        check=True,
        umask=0o022,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
    )


def test_the_store_of_a_command_is_private_and_its_output_is_not(tmp_path: Path) -> None:
    run(tmp_path, "init", "office")
    run(tmp_path / "office", "token", "add", "inf-01")
    run(tmp_path / "office", "token", "list", "--format", "csv", "--output", "out/tokens.csv")
    modes = {str(path.relative_to(tmp_path)): mode_of(path) for path in tmp_path.rglob("*")}
    public = {"office": 0o755, "office/footprint.toml": 0o644, "office/out": 0o755, "office/out/tokens.csv": 0o644}
    assert {name: modes.pop(name) for name in public} == public
    assert modes["office/footprint.db"] == 0o600
    assert {mode & 0o077 for mode in modes.values()} == {0}


def test_an_output_replaces_a_file_whole_and_never_a_device(tmp_path: Path) -> None:
    write_output(tmp_path / "a" / "b.csv", "old")
    write_output(tmp_path / "a" / "b.csv", b"new")
    assert [(path.name, path.read_text()) for path in (tmp_path / "a").iterdir()] == [("b.csv", "new")]
    write_output(Path("/dev/null"), "nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
