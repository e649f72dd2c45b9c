"""A restored store answers for itself alone, and any way to the same ledger ends in the same figures."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import create_engine, text

from footprint.figures import Query, run_query
from footprint.ledger.backup import BackupError, backup, restore
from footprint.storage.database import Store
from footprint.storage.figure_writer import compact, data_version
from footprint.storage.shard_key import ShardKey
from tests.support.contract_files import NOW_US, compute
from tests.support.stored_shards import FIRST_DAY, fill, put_shard, service_tables, zoned
from tests.support.three_days import ENERGY, FACTS, REQUESTS, import_all, rendered_answers

PARIS = zoned("Europe/Paris")


def url_of(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def digests(store: Store) -> list[tuple[object, ...]]:
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT members, day, digest FROM shard ORDER BY members, day"))]


def version(store: Store) -> str:
    with store.read() as connection:
        return data_version(connection)


def test_an_old_backup_that_goes_on_ends_in_the_figures_of_the_store_that_it_replaces(
    store: Store, sqlite: Store, tmp_path: Path
) -> None:
    """A backup from amid the work: of half the data, before some days were computed, and before blocks were compacted."""
    half = len(ENERGY) // 2
    import_all(store, tmp_path / "first", ENERGY[:half], REQUESTS[: len(REQUESTS) // 2])
    compute(store, FACTS)
    import_all(store, tmp_path / "second", [ENERGY[0], *ENERGY[half : half + 100]], REQUESTS[:1])  # not computed yet
    backup(store, tmp_path / "old.zip", NOW_US)
    import_all(store, tmp_path / "third")
    compute(store, FACTS)
    restore(sqlite, tmp_path / "old.zip")
    assert digests(sqlite) != digests(store)
    compute(sqlite, FACTS)
    compact(sqlite, FACTS.timezone, NOW_US)
    import_all(sqlite, tmp_path / "fourth")
    compute(sqlite, FACTS)
    assert digests(sqlite) == digests(store)
    assert rendered_answers(sqlite) == rendered_answers(store)


def replaced(url: str, path: Path) -> Store:
    """The store that a backup fills in place of the one at a URL, by another process; that one's connections are closed."""
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        for name in (file, *file.parent.glob(f"{file.name}-*")):
            name.unlink()
    else:
        parts = urlsplit(url)
        server = create_engine(urlunsplit(parts._replace(path="/postgres")), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {parts.path[1:]} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE {parts.path[1:]}"))
        server.dispose()
    fresh = Store(url)
    restore(fresh, path)
    return fresh


def test_a_restored_store_is_never_answered_from_what_the_process_remembers(store: Store, tmp_path: Path) -> None:
    """Restored under a server that runs: neither blocks nor names nor answers of the store that it replaces remain."""
    queries = [Query(), Query(("service", "use_case"), "day"), Query(("host",))]
    fill(store, PARIS, 31, days=6)
    backup(store, tmp_path / "old.zip", NOW_US)
    old = [run_query(store, PARIS, query, NOW_US).rows for query in queries]
    old_version = version(store)
    # The process learns names and blocks that the backup does not have.
    store.name_ids(["a name that is lost"])
    for number, name in enumerate(("lost", "other")):
        tables = service_tables(PARIS, name, FIRST_DAY + number, random.Random(number))
        put_shard(store, PARIS, _key(name), FIRST_DAY + number, tables)
    lost = [run_query(store, PARIS, query, NOW_US).rows for query in queries]
    assert lost != old
    if store.dialect == "sqlite":
        store.close()  # a file cannot be replaced under connections that are open
    again = replaced(url_of(store), tmp_path / "old.zip")
    for name in ("other", "lost"):  # in the other order: their numbers change places
        put_shard(again, PARIS, _key(name), FIRST_DAY, service_tables(PARIS, name, FIRST_DAY, random.Random(5)))
    expected = [run_query(again, PARIS, query, NOW_US).rows for query in queries]
    assert [run_query(store, PARIS, query, NOW_US).rows for query in queries] == expected
    assert store.name_ids(["lost", "other"]) == again.name_ids(["lost", "other"])
    assert version(store) != old_version
    again.close()


def test_no_version_of_figures_comes_twice(store: Store, tmp_path: Path) -> None:
    """Answers are cached by version: a restored store that changes as often as the lost one has versions of its own."""
    seen = set()
    fill(store, PARIS, 32, days=1)
    seen.add(version(store))
    backup(store, tmp_path / "one.zip", NOW_US)
    for turn in range(3):
        restored = Store(f"sqlite:///{tmp_path / f'{turn}.db'}")
        restore(restored, tmp_path / "one.zip")
        for _ in range(3):
            assert version(restored) not in seen
            seen.add(version(restored))
            put_shard(restored, PARIS, _key("chat"), FIRST_DAY, service_tables(PARIS, "chat", FIRST_DAY, random.Random(turn)))
        restored.close()


def _key(name: str) -> ShardKey:
    return ShardKey("service", name)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_backup_is_its_owner_s_alone_and_never_replaces_a_file_unasked(sqlite: Store, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = tmp_path / "b.zip"
        backup(sqlite, path, NOW_US)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        with pytest.raises(BackupError, match="exists and is left as it is"):
            backup(sqlite, path, NOW_US + 1)
        assert path.read_bytes() == content
        backup(sqlite, path, NOW_US + 1, replace=True)
        assert path.read_bytes() != content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        (tmp_path / "link.zip").symlink_to(tmp_path / "elsewhere.zip")
        with pytest.raises(BackupError):
            backup(sqlite, tmp_path / "link.zip", NOW_US)
        with pytest.raises(BackupError, match="cannot be written"):
            backup(sqlite, tmp_path / "no" / "folder.zip", NOW_US)
        assert sorted(entry.name for entry in tmp_path.iterdir() if "one.db" not in entry.name) == ["b.zip", "link.zip"]
    finally:
        os.umask(before)
