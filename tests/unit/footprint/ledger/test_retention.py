"""Retention: backups restore on either database, every table has a rule, and erased requests stay erased."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from footprint.cli.app import status_of
from footprint.ledger import verifier
from footprint.ledger.archive_writer import SealError, seal
from footprint.ledger.backup import BackupError, backup, restore
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.retention import RULES, erase_requests
from footprint.storage import schema
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, NOW_US, compute, write
from tests.support.ledger_contents import count
from tests.support.three_days import DAY, FACTS, import_all, rendered_answers


def test_a_backup_is_the_same_store_on_either_database(store: Store, sqlite: Store, tmp_path: Path) -> None:
    import_all(store, tmp_path)
    compute(store, FACTS)
    before = rendered_answers(store)
    rows = backup(store, tmp_path / "b.zip", NOW_US)
    assert rows["reading"] == count(store, schema.Reading)
    assert restore(sqlite, tmp_path / "b.zip") == rows
    assert rendered_answers(sqlite) == before
    assert compute(sqlite, FACTS).computed == 0
    # And it goes on: numbers that the database gives out do not begin again.
    again = backup(sqlite, tmp_path / "c.zip", NOW_US)
    assert again == rows
    late = import_energy(
        sqlite, write(tmp_path / "l.csv", ["time,host,device,component,power_w", "1782979203,z,gpu:0,gpu,5"]), NOW_US
    )
    assert late.accepted == 1


def test_a_sqlite_backup_restores_to_postgresql(sqlite: Store, store: Store, tmp_path: Path) -> None:
    import_all(sqlite, tmp_path)
    compute(sqlite, FACTS)
    backup(sqlite, tmp_path / "b.zip", NOW_US)
    restore(store, tmp_path / "b.zip")
    assert rendered_answers(store) == rendered_answers(sqlite)
    lines = ["time,host,device,component,power_w", "1782979203,z,gpu:0,gpu,5", "1782979263,z,gpu:0,gpu,5"]
    assert import_energy(store, write(tmp_path / "l.csv", lines), NOW_US).accepted == 2
    assert compute(store, FACTS).computed == 1


def test_a_bad_backup_or_a_full_store_is_an_error(sqlite: Store, tmp_path: Path) -> None:
    import_all(sqlite, tmp_path)
    backup(sqlite, tmp_path / "b.zip", NOW_US)
    with pytest.raises(BackupError, match="not empty"):
        restore(sqlite, tmp_path / "b.zip")
    raw = bytearray((tmp_path / "b.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        offset = archive.getinfo("reading.parquet").header_offset + 400
    raw[offset] ^= 1
    (tmp_path / "bad.zip").write_bytes(bytes(raw))
    new = Store(f"sqlite:///{tmp_path / 'new.db'}")
    for name in ("bad.zip", "missing.zip", "footprint.toml"):
        if name == "footprint.toml":
            (tmp_path / name).write_text(CONFIG)
        with pytest.raises(BackupError):
            restore(new, tmp_path / name)
    assert count(new, schema.Reading) == 0
    new.close()


def test_every_table_has_its_rule_of_retention() -> None:
    named = [name for rule in RULES for name in rule.tables]
    assert sorted(named) == sorted(SQLModel.metadata.tables)


def test_the_register_is_generated_in_both_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text('[organisation]\nname = "Institut"\n[store]\nkeep_days = 40\n')
    assert status_of(["ledger", "register"]) == 0
    french = capsys.readouterr().out
    assert "Institut" in french
    assert "40 jours" in french
    assert status_of(["ledger", "register", "--lang", "en"]) == 0
    english = capsys.readouterr().out
    assert "40 days" in english
    assert english.count("\n") == french.count("\n")
    assert status_of(["ledger", "retention"]) == 0


def test_erased_requests_stay_erased_and_their_figures_stay(store: Store, tmp_path: Path) -> None:
    def sealed(**options: Any) -> Any:
        return seal(store, ObjectStore(str(tmp_path / "sealed")), NOW_US, after_days=2, **options)

    import_all(store, tmp_path)
    archive = ObjectStore(str(tmp_path / "sealed"))
    with pytest.raises(SealError, match="still in SQL"):
        erase_requests(store, archive, DAY + 10, "thirteen months", NOW_US)
    sealed(keep_days=3)
    with pytest.raises(SealError, match="not computed yet"):
        erase_requests(store, archive, DAY + 10, "thirteen months", NOW_US)
    compute(store, FACTS)
    before = rendered_answers(store)
    assert erase_requests(store, archive, DAY + 10, "thirteen months", NOW_US) == 2
    assert not list((tmp_path / "sealed").rglob("service*.parquet"))
    faults, notes = verifier.verify(tmp_path / "sealed")
    assert faults == []
    assert sum("erased by a rule" in note for note in notes) == 2
    assert compute(store, FACTS, force=True).computed == 0
    # What is imported again is new to SQL, and no figure of those days is computed from it.
    import_requests(store, FACTS, str(tmp_path / "r.csv"), NOW_US)
    assert compute(store, FACTS).computed == 0
    assert rendered_answers(store)[:400] == before[:400]


def test_an_interrupted_erasure_is_adopted_without_overwriting_links(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_all(sqlite, tmp_path)
    compute(sqlite, FACTS)
    archive = ObjectStore(str(tmp_path / "sealed"))
    seal(sqlite, archive, NOW_US, after_days=2, keep_days=3)
    original_write, writes = ObjectStore.write, []

    def cut(self: ObjectStore, name: str, raw: bytes) -> None:
        original_write(self, name, raw)
        writes.append(name)
        raise OSError("the power went")

    monkeypatch.setattr(ObjectStore, "write", cut)
    with pytest.raises(OSError, match="power"):
        erase_requests(sqlite, archive, DAY + 10, "thirteen months", NOW_US)
    monkeypatch.setattr(ObjectStore, "write", original_write)
    link = (tmp_path / "sealed" / writes[0]).read_bytes()
    seal(sqlite, archive, NOW_US, after_days=2, keep_days=3)
    assert (tmp_path / "sealed" / writes[0]).read_bytes() == link
    assert erase_requests(sqlite, archive, DAY + 10, "thirteen months", NOW_US) == 2
    seal(sqlite, archive, NOW_US, after_days=2, keep_days=3)
    faults, notes = verifier.verify(tmp_path / "sealed")
    assert faults == []
    assert not any("under no head" in note for note in notes)
    assert seal(sqlite, archive, NOW_US, after_days=2, keep_days=3).parts == 0
