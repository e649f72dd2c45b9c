"""Every command of the program, in an empty folder and over a store of an earlier release: none creates, migrates or changes anything.

The commands are enumerated from the program itself, so that a new one is tried before anybody thinks of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from footprint.cli.app import status_of
from footprint.cli.groups import program
from footprint.storage.database import SCHEMA_VERSION, Store

FIXTURE = Path(__file__).parents[3] / "fixtures" / "store-0.1"
# These write by their purpose: a new file, a running server, or data that somebody brings into a store, which may be a new one.
MAKE_FILES = {"init", "up", "serve", "bench-model run"}
BRING_DATA = {
    "factors fetch",
    "factors import",
    "factors series",
    "import codecarbon",
    "import energy",
    "import prometheus",
    "import requests",
    "import users",
    "restore",
    "token add",
}
NEED_NO_STORE = {
    "access link",
    "bench-model compare",
    "bench-model import",
    "bench-model list",
    "bench-model references",
    "bench-model show",
    "doctor",
    "facts",
    "factors list",
    "factors show",
    "ledger register",
    "ledger retention",
    "maps check",
    "maps guess",
    "maps list",
    "maps show",
    "measure",
    "methods",
    "notify",
}
ARGUMENTS = {
    "figure": "F-2026Q3-01",
    "kind": "carbon_intensity",
    "where": "FR",
    "period": "2026-Q3",
    "edition": "2026-Q3.v1",
    "before": "2026-Q3.v1",
    "after": "2026-Q3.v1",
    "a": "x",
    "b": "y",
    "batch": "1",
    "host": "inf-01",
    "form_": "codecarbon",
    "series": "eco2mix",
    "source": "eco2mix",
    "url": "http://127.0.0.1:9",
    "file": "absent.file",
    "log": "absent.log",
    "files": "absent.csv",
    "command": "true",
    "name": "x",
    "old": "x",
    "new": "y",
    "names": "x",
}
OPTIONS = {
    "access link": ["--show"],
    "ledger rename-use-case": ["--reason", "r"],
    "report withdraw": ["--replace", "x", "--with", "y", "--reason", "r"],
    "what-if": ["--pue", "1.2"],
    "ledger erase": ["--before", "2026-01-01", "--reason", "r"],
    "import withdraw": ["--reason", "r"],
}


def leaves(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name in group.commands:
        command = group.commands[name]
        full = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from leaves(command, full)
        else:
            yield full, command


def words_of(path: str, command: Any) -> list[str]:
    required = [parameter for parameter in command.params if parameter.param_type_name == "argument" and parameter.required]
    return [*path.split(), *OPTIONS.get(path, []), *(ARGUMENTS[parameter.name] for parameter in required)]


COMMANDS = dict(leaves(program()))
READING = sorted(set(COMMANDS) - MAKE_FILES - BRING_DATA)


def state(folder: Path) -> dict[str, str]:
    """Every file of a folder with the digest of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "here"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FOOTPRINT_CONFIG", raising=False)
    return home


def test_the_lists_name_commands_that_there_are() -> None:
    assert set(COMMANDS) >= MAKE_FILES | BRING_DATA | NEED_NO_STORE


@pytest.mark.parametrize("path", READING)
def test_no_reading_command_makes_a_file(path: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status = status_of(words_of(path, COMMANDS[path]))
    assert state(folder) == {}
    if path not in NEED_NO_STORE:
        assert status == 3
        assert "no configuration and no store here" in capfd.readouterr().err or path == "store upgrade"


@pytest.mark.parametrize("path", READING)
def test_with_a_configuration_the_missing_store_is_named(path: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "footprint.toml").write_text('[store]\nurl = "sqlite:///data.db"\n')
    before = state(folder)
    status = status_of(words_of(path, COMMANDS[path]))
    assert state(folder) == before
    if path not in NEED_NO_STORE:
        assert status in (1, 3)  # 1 where something else is missing that the configuration must name
        assert str(folder / "data.db") in capfd.readouterr().err or status == 1


@pytest.fixture(scope="module")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE / "store.tar.xz") as archive:
        archive.extractall(target, filter="data")
    return target / "store-0.1"


@pytest.mark.parametrize("path", sorted(set(COMMANDS) - MAKE_FILES - {"store upgrade"}))
def test_no_command_changes_a_store_of_an_earlier_release(
    path: str, old_store: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(old_store)
    before = state(old_store)
    status = status_of(words_of(path, COMMANDS[path]))
    assert state(old_store) == before
    if path not in NEED_NO_STORE | BRING_DATA | {"figures mirror"}:
        assert status == 3
        assert "footprint store upgrade" in capfd.readouterr().err


@pytest.mark.parametrize("path", ["query", "import list", "token add", "jobs", "backup", "store upgrade"])
def test_a_store_of_a_later_release_is_refused_by_all(path: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Store("sqlite:///footprint.db").close()
    engine = create_engine("sqlite:///footprint.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = state(folder)
    assert status_of(words_of(path, COMMANDS[path])) == 3
    assert "a newer release made it; use that" in capfd.readouterr().err
    assert state(folder) == before


@pytest.fixture
def old_home(old_store: Path, folder: Path) -> Path:
    (folder / "footprint.toml").write_bytes((old_store / "footprint.toml").read_bytes())
    (folder / "store.db").write_bytes((old_store / "store.db").read_bytes())
    return folder


def test_an_upgrade_says_first_what_it_would_do_and_keeps_a_backup(old_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = state(old_home)
    assert status_of(["store", "upgrade", "--dry-run"]) == 0
    assert f"schema 0007 to {SCHEMA_VERSION}" in capfd.readouterr().err
    assert state(old_home) == before
    assert status_of(["store", "upgrade", "--backup", "before.zip"]) == 0
    assert stat.S_IMODE(os.stat("before.zip").st_mode) == 0o600
    assert status_of(["query"]) == 0
    upgraded = state(old_home)
    assert status_of(["store", "upgrade", "--backup", "before.zip"]) == 0  # nothing left to do
    assert state(old_home) == upgraded
    Path("store.db").write_bytes(b"")
    assert status_of(["restore", "before.zip"]) == 1  # of the earlier release, which restores it
    assert "of schema 0007" in capfd.readouterr().err


def test_an_upgrade_overwrites_no_backup(old_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("mine.zip").write_text("another")
    before = state(old_home)
    assert status_of(["store", "upgrade", "--backup", "mine.zip"]) == 1
    assert "exists and is left as it is" in capfd.readouterr().err
    assert {name: digest for name, digest in state(old_home).items() if not name.endswith(".lock")} == before


def test_a_store_that_another_process_has_open_is_not_upgraded(old_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine = create_engine("sqlite:///store.db")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "PRAGMA journal_mode=WAL"
        )  # as every release has it; the file of the fixture was packed without
        before = state(old_home)["store.db"]
        connection.execute(text("SELECT count(*) FROM meta")).scalar()
        assert status_of(["store", "upgrade"]) == 1
        assert "is in use" in capfd.readouterr().err
    engine.dispose()
    assert state(old_home)["store.db"] == before
    assert not list(old_home.glob("*.backup"))


def test_the_configuration_may_be_named_by_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    config = tmp_path / "there" / "footprint.toml"
    config.write_text('[[site]]\nname = "by-environment"\n')
    monkeypatch.setenv("FOOTPRINT_CONFIG", str(config))
    assert status_of(["facts"]) == 0
    assert "by-environment" in capfd.readouterr().out
    monkeypatch.setenv("FOOTPRINT_CONFIG", str(config) + "x")
    assert status_of(["facts"]) == 3
