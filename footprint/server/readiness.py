"""Readiness: whether the store can be written, the configuration file is right as it is now, and aggregation works."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from footprint.config import Config, ConfigError, load_config
from footprint.core.units import US_PER_S
from footprint.server.logs import FaultLog
from footprint.server.scheduler import JobScheduler
from footprint.storage import schema
from footprint.storage.database import Store, database_message

PROBE_INTERVAL_S = 5  # at least between two writes, however often anybody asks
MAX_AGGREGATION_FAILURES = 3  # in a row; one alone may be a moment of a busy store
_LOCK_TIMEOUT_S = 2
_PROBE_KEY = "probe"
_PROBE_AFTER_FAULT_CHARACTERS = 256 << 10  # about a shipment: a disk with a few free bytes takes a small row
_BUSY = ("locked", "lock timeout")  # another process writes, so the store can be written
_READ_ONLY = ("readonly", "read-only")
_log = logging.getLogger("footprint.ready")


class Readiness:
    """Answers whether the server is ready, and why not; probes are bounded in number, size and time."""

    def __init__(self, config: Config, store: Store, scheduler: JobScheduler | None) -> None:
        self._config, self._store, self._scheduler = config, store, scheduler
        self._lock = threading.Lock()
        self._probed_s = float("-inf")
        self._store_fault = ""
        self._checked_file: tuple[int, int] | None = None
        self._config_fault = ""
        self._faults = FaultLog(_log)

    def fault(self) -> str:
        """Why the server is not ready; empty if it is. Says nothing of the content of the configuration, which is in the log."""
        with self._lock:
            return self._current_store_fault() or self._current_config_fault() or self._aggregation_fault()

    def _current_store_fault(self) -> str:
        if time.monotonic() - self._probed_s >= PROBE_INTERVAL_S:
            self._store_fault = self._probe()
            self._probed_s = time.monotonic()
        latest = self._store.fault  # of any write since the probe
        if latest and not self._store_fault and not any(word in latest for word in (*_BUSY, *_READ_ONLY)):
            return f"the store cannot be written: {latest}"
        return self._store_fault

    def _probe(self) -> str:
        had_fault = bool(self._store.fault or self._store_fault)
        value = "x" * _PROBE_AFTER_FAULT_CHARACTERS if had_fault else str(time.time_ns() // (1000 * US_PER_S))
        try:
            self._write(value)
            if had_fault:
                self._write("")
        except DBAPIError as error:
            message = database_message(error)
            if any(word in message for word in _BUSY):
                return ""
            if self._scheduler is None and any(word in message for word in _READ_ONLY):
                return ""  # a replica, which answers from what it has
            return f"the store cannot be written: {message}"
        except OSError as error:
            return f"the store cannot be written: {error.strerror}"
        return ""

    def _write(self, value: str) -> None:
        """Replace one small row, without waiting long for another writer."""
        is_sqlite = self._store.dialect == "sqlite"
        with self._store.engine.connect() as connection:
            if is_sqlite:
                busy_ms = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
                connection.exec_driver_sql(f"PRAGMA busy_timeout={_LOCK_TIMEOUT_S * 1000}")
            try:
                if is_sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                else:
                    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
                self._store.upsert(connection, schema.Meta, [{"key": _PROBE_KEY, "value": value}])
                connection.commit()
            finally:
                connection.rollback()
                if is_sqlite:
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={busy_ms}")
        self._store.note_write()

    def _current_config_fault(self) -> str:
        path = self._config.path
        if path is None:
            return ""
        state = _file_state(path)
        if state is None or state != self._checked_file:
            self._checked_file = state
            try:
                load_config(str(path))
            except ConfigError as error:
                self._config_fault = "the configuration file is not right; the log and `footprint doctor` say where"
                self._faults.failed("configuration", str(error))
            else:
                self._config_fault = ""
                self._faults.succeeded("configuration")
        return self._config_fault

    def _aggregation_fault(self) -> str:
        if self._scheduler is None:
            return ""
        failures = self._scheduler.faults.failures_in_a_row("aggregate")
        never = failures > 0 and self._scheduler.last_aggregation_us == 0
        return "aggregation fails; `footprint jobs` says why" if never or failures >= MAX_AGGREGATION_FAILURES else ""


def _file_state(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size
