"""Upgrade of a store of an earlier release: alone, and after a backup that the earlier release can restore."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from footprint.core.records import FootprintError
from footprint.core.timestamps import format_instant
from footprint.ledger.backup import backup
from footprint.storage.database import APPLICATION_NAME, SCHEMA_VERSION, Opening, Store, StoreMissing, sqlite_path, too_new

SERVER_LOCK = "server"  # every server shares it while it runs
_ALONE_TIMEOUT_S = 2  # for which a short reading of another process is waited for


class StoreInUse(FootprintError):
    """Another process has the store open."""


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """Schema of a store before and after, and the backup that is written first."""

    location: str
    revision: str
    is_converted: bool
    backup_file: Path

    @property
    def is_needed(self) -> bool:
        """Whether the store is of an earlier release."""
        return self.revision != SCHEMA_VERSION or not self.is_converted

    def __str__(self) -> str:
        if not self.is_needed:
            return f"schema {self.revision}, which is that of this program; nothing to do"
        figures = "" if self.is_converted else ", figures converted to blocks"
        return f"schema {self.revision} to {SCHEMA_VERSION}{figures}; first a backup to {self.backup_file}"


def plan_upgrade(url: str, folder: Path, now_us: int, backup_file: Path | None = None) -> UpgradePlan:
    """What an upgrade would do; changes nothing. ``folder`` takes the backup of a store that is no file.

    Raises
    ------
    StoreMissing, StoreTooNew, StoreError
        If there is no store, or it is of a later release, or does not answer.
    """
    store = Store(url, opening=Opening.unchecked)
    try:
        revision, is_converted = store.stored_revision()
        if not revision:
            raise StoreMissing(f"there is no store at {store.location}")
        if revision > SCHEMA_VERSION:
            raise too_new(revision)
        stem = Path(store.location) if store.dialect == "sqlite" else folder / (store.engine.url.database or "footprint")
    finally:
        store.close()
    stamp = format_instant(now_us)[:19].replace(":", "").replace("-", "")
    name = f"{stem.name}.schema-{revision}.{stamp}Z.backup"
    return UpgradePlan(store.location, revision, is_converted, backup_file or stem.with_name(name))


def upgrade_store(url: str, plan: UpgradePlan, now_us: int, progress: Callable[[int, int], None] | None = None) -> None:
    """Back the store up and bring it forward.

    Raises
    ------
    StoreInUse
        If another process has it open; it is unchanged.
    BackupError
        If the backup cannot be written; the store is unchanged.
    """
    old = Store(url, opening=Opening.unchecked)
    try:
        _require_alone(old)
        with old.exclusive_lock(SERVER_LOCK) as is_alone:
            if not is_alone:
                raise _in_use(old, "a server runs on it")
            backup(old, plan.backup_file, now_us)
            old.engine.dispose()
            Store(url, opening=Opening.upgrade, progress=progress).close()
    finally:
        old.close()


def _require_alone(store: Store) -> None:
    """Refuse a store that another process has open, of whatever release: earlier ones take no lock of ours."""
    if store.dialect == "sqlite":
        _require_sqlite_alone(store)
        return
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend' AND (application_name = '' OR application_name = :name)"
    )  # a monitor or a console names itself otherwise; servers of earlier releases have no name
    with store.read() as connection:
        count = connection.execute(others, {"name": APPLICATION_NAME}).scalar()
    store.engine.dispose()
    if count:
        raise _in_use(store, f"{count} connections")


def _require_sqlite_alone(store: Store) -> None:
    connection = sqlite3.connect(sqlite_path(store.url), timeout=_ALONE_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise _in_use(store, str(error)) from None
    finally:
        connection.close()


def _in_use(store: Store, reason: str) -> StoreInUse:
    return StoreInUse(
        f"the store {store.location} is in use ({reason}) and is left as it is; stop every server and command on it, then upgrade"
    )
