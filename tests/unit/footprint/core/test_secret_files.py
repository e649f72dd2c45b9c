"""Secret files: who may read them, how they are created, and the mode of the files of a program."""

from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from footprint.core.secret_files import SecretFileError, exposure, read_or_create_secret, read_secret, write_secret


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o640, 0o644, 0o660, 0o666, 0o611])
def test_a_secret_that_others_may_read_or_change_is_refused_with_the_remedy(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "smtp.password"
    path.write_text("s3cret\n")
    path.chmod(mode)
    with pytest.raises(SecretFileError) as refused:
        read_secret(path, "the password of the mail server")
    assert f"chmod 600 {path}" in str(refused.value)
    assert "the password of the mail server" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    path.chmod(0o600)
    assert read_secret(path, "the password") == "s3cret"
    assert exposure(path) == ""


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00"])
def test_an_empty_or_unreadable_secret_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SecretFileError, match="the key"):
        read_secret(path, "the key")
    with pytest.raises(SecretFileError, match="cannot be read"):
        read_secret(tmp_path / "missing", "the key")
    with pytest.raises(SecretFileError, match="cannot be created"):
        read_or_create_secret(tmp_path / "no folder" / "key", "the key")


def test_a_secret_is_created_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "session.key"
    with ThreadPoolExecutor(8) as threads:
        values = set(threads.map(lambda _: read_or_create_secret(path, "the key"), range(16)))
    assert len(values) == 1
    assert len(values.pop()) >= 43
    assert mode_of(path) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["session.key"]
    with pytest.raises(FileExistsError):
        write_secret(path, "another")


def test_a_link_in_the_place_of_a_new_secret_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretFileError):
        read_or_create_secret(tmp_path / "key", "the key")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("umask", "shared"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o000, 0o666)])
def test_files_of_a_program_are_private_except_those_that_a_person_asked_for(umask: int, shared: int, tmp_path: Path) -> None:
    program = f"""
import os; os.umask({umask})
from footprint.core.secret_files import restrict_new_files, share_file
restrict_new_files(); restrict_new_files()
open("store.db", "w"); open("table.csv", "w"); share_file("table.csv")
os.mkdir("spool"); os.mkdir("report"); share_file("report")
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, env={"PYTHONPATH": str(Path.cwd())})
    modes = {name: mode_of(tmp_path / name) for name in ("store.db", "table.csv", "spool", "report")}
    assert modes == {"store.db": 0o600, "table.csv": shared, "spool": 0o700, "report": 0o777 & ~umask}
