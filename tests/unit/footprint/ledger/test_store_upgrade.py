"""Upgrades of stores on both databases: alone, after a backup of the earlier form, and refused beside any other process."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from footprint.ledger.store_upgrade import SERVER_LOCK, StoreInUse, plan_upgrade, upgrade_store
from footprint.storage.database import SCHEMA_VERSION, Opening, Store, StoreMissing
from tests.unit.footprint.storage.test_migrations import old_store

NOW_US = 1_790_000_000_000_000


def revision(address: str) -> str:
    store = Store(address, opening=Opening.unchecked)
    stored, _ = store.stored_revision()
    store.close()
    return stored


def test_an_old_store_comes_forward_after_a_backup_in_its_own_form(address: str, tmp_path: Path) -> None:
    old_store(address, "0003").dispose()
    backup_file = tmp_path / "kept.backup"
    plan = plan_upgrade(address, tmp_path, NOW_US, backup_file)
    assert (plan.revision, plan.is_needed, backup_file.exists()) == ("0003", True, False)
    upgrade_store(address, plan, NOW_US)
    assert revision(address) == SCHEMA_VERSION
    with zipfile.ZipFile(backup_file) as archive:
        manifest = json.loads(archive.read("backup.json"))
        assert manifest["schema"] == "0003"
        assert manifest["tables"]["name"]["rows"] == 1
        assert set(archive.namelist()) == {"backup.json", *(f"{name}.parquet" for name in manifest["tables"])}
    assert not plan_upgrade(address, tmp_path, NOW_US).is_needed


def test_a_store_that_a_server_of_an_earlier_release_has_open_is_refused(address: str, tmp_path: Path) -> None:
    """It takes no lock of ours; its connection tells."""
    old_store(address, "0003").dispose()
    engine = create_engine(address)
    with engine.connect() as connection:
        if address.startswith("sqlite"):
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # as every release has it
        connection.execute(text("SELECT 1 FROM meta")).all()
        plan = plan_upgrade(address, tmp_path, NOW_US, tmp_path / "kept.backup")
        with pytest.raises(StoreInUse, match="is in use"):
            upgrade_store(address, plan, NOW_US)
    engine.dispose()
    assert revision(address) == "0003"
    assert not (tmp_path / "kept.backup").exists()
    upgrade_store(address, plan, NOW_US)
    assert revision(address) == SCHEMA_VERSION


def test_servers_share_the_lock_that_an_upgrade_needs_alone(address: str) -> None:
    first, second = Store(address), Store(address)
    with first.exclusive_lock(SERVER_LOCK, shared=True) as one, second.exclusive_lock(SERVER_LOCK, shared=True) as two:
        assert one
        assert two
        with Store(address).exclusive_lock(SERVER_LOCK) as alone:
            assert not alone
        assert first.is_locked(SERVER_LOCK) or address.startswith("sqlite")
    with second.exclusive_lock(SERVER_LOCK) as alone:
        assert alone
        assert first.is_locked(SERVER_LOCK)
    assert not first.is_locked(SERVER_LOCK)
    first.close()
    second.close()


def test_a_missing_store_is_not_made_by_a_plan(address: str, tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        plan_upgrade(address, tmp_path, NOW_US)
    assert not list(tmp_path.glob("*.db"))
