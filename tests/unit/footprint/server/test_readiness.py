"""Readiness and logs: a store that takes no writes and a wrong configuration are said once, with the reason, and so is their end."""

from __future__ import annotations

import json
import logging
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from footprint.access.agent_tokens import add_token
from footprint.config import load_config
from footprint.core.records import EnergyReading, to_line
from footprint.server import readiness
from footprint.server.logs import MAX_MESSAGE_CHARACTERS, FaultLog, configure_logs
from footprint.storage.database import Store
from tests.support.services import api_over, local_client

NOW_US = 1_790_000_000_000_000


class Disk:
    """Pages that a SQLite store may have; a real limit of SQLite, which answers as a full disk does."""

    def __init__(self, store: Store) -> None:
        self.pages = 1 << 30
        event.listen(store.engine, "checkout", self._limit)

    def _limit(self, connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={self.pages}")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(readiness, "PROBE_INTERVAL_S", 0)
    (tmp_path / "footprint.toml").write_text("[organisation]\nname = 'Office'\n")
    return tmp_path


def test_a_full_disk_is_not_ready_until_there_is_room(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = load_config()
    store = Store(config.store_url, demo=False)
    disk, client = Disk(store), local_client(api_over(store, config, lambda: NOW_US))
    headers = {"Authorization": f"Bearer {add_token(store, 'a', NOW_US)}"}
    lines = [to_line(EnergyReading("a", "GPU-x", "gpu", "nvml-energy", "e", n, NOW_US - n, n, n)) for n in range(5000)]
    assert client.get("/readyz").status_code == 200
    disk.pages = 1
    with caplog.at_level(logging.INFO, "footprint"):
        for _ in range(3):
            assert client.post("/api/v1/ingest", content="\n".join(lines), headers=headers).status_code == 503
            answer = client.get("/readyz")
            assert (answer.status_code, "database or disk is full" in answer.json()["status"]) == (503, True)
            assert client.get("/healthz").status_code == 200
        disk.pages = 1 << 30
        assert client.get("/readyz").status_code == 200
        assert client.post("/api/v1/ingest", content="\n".join(lines), headers=headers).status_code == 200
    said = [record.getMessage() for record in caplog.records if record.name == "footprint.store"]
    assert len(said) == 2
    assert "database or disk is full" in said[0]
    assert "again" in said[1]
    assert not any("sqlalche.me" in line or "INSERT" in line for line in said)
    store.close()


def test_probes_are_bounded_and_leave_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PROBE_INTERVAL_S", 3600)
    config = load_config()
    store = Store(config.store_url, demo=False)
    writes: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda _c, _k, statement, *_: writes.append(statement))
    client = local_client(api_over(store, config, lambda: NOW_US))
    for _ in range(20):
        assert client.get("/readyz").status_code == 200
    assert sum("INSERT" in statement for statement in writes) == 1
    with store.read() as connection:
        assert len(store.meta(connection)["probe"]) < 20
    store.close()


def test_a_store_that_another_writer_holds_is_ready(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_LOCK_TIMEOUT_S", 0)
    config = load_config()
    store, other = Store(config.store_url, demo=False), Store(config.store_url)
    client = local_client(api_over(store, config, lambda: NOW_US))
    with other.begin():
        assert client.get("/readyz").status_code == 200
    store.close()
    other.close()


@pytest.mark.parametrize("wrong", ["[server]\nprot = 1\n", "not toml", '[[site]]\nname = "s"\npue = 0.9\n', None])
def test_a_configuration_that_became_wrong_is_not_ready(home: Path, wrong: str | None, caplog: pytest.LogCaptureFixture) -> None:
    config, file = load_config(), home / "footprint.toml"
    store = Store(config.store_url, demo=False)
    client, before = local_client(api_over(store, config, lambda: NOW_US)), file.read_text()
    assert client.get("/readyz").status_code == 200
    file.unlink() if wrong is None else file.write_text(wrong)
    with caplog.at_level(logging.INFO, "footprint"):
        for _ in range(2):
            answer = client.get("/readyz")
            assert (answer.status_code, "configuration" in answer.text, "footprint.toml" in answer.text) == (503, True, False)
        file.write_text(before)
        assert client.get("/readyz").status_code == 200
    assert [record.levelname for record in caplog.records if record.name == "footprint.ready"] == ["ERROR", "WARNING"]
    store.close()


HOSTILE = "x\n2026-01-01T00:00:00Z INFO footprint: all is well\r\x1b[2J\x9b31m\u202e\u2028\0" + "y" * 5000


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_hostile_text_ends_no_line_and_colours_no_terminal(form: str) -> None:
    root, out = logging.getLogger(), StringIO()
    handlers, level = root.handlers, root.level
    try:
        configure_logs(form, logging.DEBUG, out)
        logging.getLogger("footprint.test").warning("name %s", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("footprint.test").exception("it failed")
    finally:
        root.handlers, root.level = handlers, level
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    for line in lines:
        text = json.loads(line)["message"] if form == "json" else line
        assert text.isprintable()
        assert len(text) < 2 * MAX_MESSAGE_CHARACTERS


def test_a_lasting_fault_is_said_when_it_starts_changes_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    faults = FaultLog(logging.getLogger("footprint.test"))
    with caplog.at_level(logging.INFO, "footprint.test"):
        for reason in ("a", "a", "a", "b", "b"):
            faults.failed("job", reason)
        assert faults.failures_in_a_row("job") == 5
        faults.succeeded("job")
        faults.succeeded("job")
    assert [record.getMessage() for record in caplog.records] == [
        "job failed: a",
        "job failed: b",
        "job succeeds again after 5 failures",
    ]
    assert faults.failures_in_a_row("job") == 0


def test_a_failed_write_is_noted_until_one_succeeds(sqlite: Store) -> None:
    with pytest.raises(ZeroDivisionError), sqlite.begin():
        raise ZeroDivisionError
    assert sqlite.fault == ""
    with pytest.raises(OperationalError), sqlite.begin() as connection:
        connection.exec_driver_sql("INSERT INTO no_such_table VALUES (1)")
    assert "no_such_table" in sqlite.fault
    with sqlite.begin():
        pass
    assert sqlite.fault == ""
