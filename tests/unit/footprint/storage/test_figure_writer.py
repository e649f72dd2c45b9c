"""Compaction of figures: with readers and other writers beside it, interrupted, on a full disk, in another zone."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from footprint.config import Config
from footprint.figures import Query, run_query
from footprint.figures.dataset import Dataset
from footprint.storage import figure_writer
from footprint.storage.database import Store
from footprint.storage.figure_writer import DAY, MONTH, SHARD, compact
from footprint.storage.shard_key import ShardKey
from tests.support.contract_files import NOW_US
from tests.support.figure_rows import figure_rows
from tests.support.stored_shards import FIRST_DAY, fill, host_tables, put_shard, zoned

PARIS = zoned("Europe/Paris")
QUERIES = [Query(), Query(("host", "use_case"), "day"), Query(("service",), "month"), Query(("use_case",), "hour")]
SUMS = "SELECT host, service, use_case, SUM(active_uj), SUM(idle_uj), SUM(host_uj), COUNT(*) FROM rows GROUP BY ALL ORDER BY ALL"
Answers = list[list[dict[str, Any]]]


def answers(store: Store, facts: Config = PARIS) -> Answers:
    return [run_query(store, facts, query, NOW_US).rows for query in QUERIES]


def tiers(store: Store) -> dict[int, int]:
    with store.read() as connection:
        return {row[0]: row[1] for row in connection.execute(text("SELECT tier, COUNT(*) FROM figure_block GROUP BY tier"))}


def stray_parts(store: Store) -> int:
    """Parts of blocks that no longer exist."""
    with store.read() as connection:
        statement = "SELECT COUNT(*) FROM figure_part WHERE block_id NOT IN (SELECT id FROM figure_block)"
        return int(connection.execute(text(statement)).scalar_one())


def test_a_reader_sees_the_blocks_of_its_snapshot_during_compaction(store: Store) -> None:
    """A reader that opened before deletes and inserts reads the old manifest and the old parts, which nothing has cached."""
    fill(store, PARIS, 21, days=16)
    before = figure_rows(store, "energy", SUMS)
    figures = "energy", FIRST_DAY * 86_400, (FIRST_DAY + 16) * 86_400, SUMS
    with store.read() as connection:
        reader = Dataset(store, connection, PARIS.timezone)
        assert {block.tier for block in reader.blocks()} == {SHARD}
        assert compact(store, PARIS.timezone, NOW_US)
        put_shard(store, PARIS, ShardKey("host", "a"), FIRST_DAY + 2, host_tables(PARIS, "a", FIRST_DAY + 2, random.Random(1)))
        compact(store, PARIS.timezone, NOW_US)
        assert reader.rows(*figures) == before
        assert Dataset(store, connection, PARIS.timezone).rows(*figures) == before
    assert SHARD not in tiers(store)
    assert figure_rows(store, "energy", SUMS) != before


def test_several_processes_compact_and_write_at_once(store: Store, tmp_path: Path) -> None:
    """Compaction beside compaction and beside new figures: the blocks of one process, and no figure is lost or doubled."""
    fill(store, PARIS, 22, days=16)
    others = [Store(store.engine.url.render_as_string(hide_password=False)) for _ in range(3)]
    changed = [
        (ShardKey("host", "b"), FIRST_DAY + day, host_tables(PARIS, "b", FIRST_DAY + day, random.Random(day))) for day in (1, 9)
    ]
    tasks = [lambda other=other: compact(other, PARIS.timezone, NOW_US) for other in others[:2]]
    tasks.append(lambda: [put_shard(others[2], PARIS, *shard) for shard in changed])
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = answers(store)
    compact(store, PARIS.timezone, NOW_US)
    assert tiers(store)[DAY] == 16
    assert SHARD not in tiers(store)
    assert stray_parts(store) == 0
    assert answers(store) == written
    for other in others:
        assert answers(other) == written
        other.close()
    alone = Store(f"sqlite:///{tmp_path / 'alone.db'}")
    fill(alone, PARIS, 22, days=16)
    for shard in changed:
        put_shard(alone, PARIS, *shard)
    assert answers(alone) == written
    alone.close()


class Interrupted(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("name", "at"), [("insert_block", 40), ("_sum_month", 1), ("_profile", 20), ("_insert", 30), ("pack", 40)]
)
def test_interrupted_compaction_changes_no_figure_and_is_done_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    fill(store, PARIS, 23, days=45)
    before, real, calls = answers(store), getattr(figure_writer, name), []

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            raise Interrupted
        return real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(figure_writer, name, call)
        with pytest.raises(Interrupted):
            compact(store, PARIS.timezone, NOW_US)
    assert answers(store) == before
    assert stray_parts(store) == 0
    compact(store, PARIS.timezone, NOW_US)
    assert SHARD not in tiers(store)
    assert answers(store) == before
    assert not compact(store, PARIS.timezone, NOW_US)


def test_a_full_disk_leaves_every_figure_as_it_was(sqlite: Store) -> None:
    """Where the file cannot grow, what does not fit fails as a whole; compaction lives on what it frees, or fails as a whole."""
    fill(sqlite, PARIS, 24, days=20)
    sqlite.close()  # so that connections with a limit take the place of those without
    full = True
    pages: list[int] = []

    def limit(connection: Any, _record: Any) -> None:
        if full:
            pages.append(connection.execute("PRAGMA page_count").fetchone()[0] + 2)
            connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    event.listen(sqlite.engine, "connect", limit)
    for size in (10**5, 10**4, 10**3):
        with pytest.raises(OperationalError, match="full"):
            _add_events(sqlite, "x" * size)
    figures: list[Any] = []
    with pytest.raises(OperationalError, match="full"):
        _put_hosts(sqlite, figures)
    assert answers(sqlite) == figures[-1]
    figures = figures[-1]
    with contextlib.suppress(OperationalError):
        compact(sqlite, PARIS.timezone, NOW_US)
    assert answers(sqlite) == figures
    assert stray_parts(sqlite) == 0
    full = False
    sqlite.close()
    compact(sqlite, PARIS.timezone, NOW_US)
    assert answers(sqlite) == figures
    assert SHARD not in tiers(sqlite)
    assert stray_parts(sqlite) == 0


def _put_hosts(store: Store, figures: list[Any]) -> None:
    """Store hosts until the disk is full; ``figures`` are the answers before each."""
    tables = host_tables(PARIS, "b", FIRST_DAY, random.Random(1))
    for number in range(20):
        figures.append(answers(store))
        put_shard(store, PARIS, ShardKey("host", f"new-{number}"), FIRST_DAY, tables)


def _add_events(store: Store, content: str) -> None:
    """Add events until the disk is full."""
    while True:
        _add_event(store, content)


def _add_event(store: Store, content: str) -> None:
    with store.begin() as connection:
        store.record_event(connection, 1, "filler", content)


@pytest.mark.parametrize(("old", "new"), [("Asia/Kolkata", "UTC"), ("UTC", "Asia/Kolkata"), ("Europe/Paris", "America/New_York")])
def test_an_organisation_that_moves_to_another_zone_keeps_every_joule(sqlite: Store, old: str, new: str) -> None:
    """Also days that are never computed again, for their requests are erased: their slots are those of the old zone."""
    facts, moved = zoned(old), zoned(new)
    fill(sqlite, facts, 25, days=40)
    compact(sqlite, facts.timezone, NOW_US)
    ends = FIRST_DAY * 86_400_000_000, (FIRST_DAY + 40) * 86_400_000_000
    total = run_query(sqlite, facts, Query((), "all", *ends), NOW_US).rows[0]
    for compacted in (False, True):
        if compacted:
            compact(sqlite, moved.timezone, NOW_US)
        for every in ("hour", "day", "month", "all"):
            rows = run_query(sqlite, moved, Query((), every, *ends), NOW_US).rows
            assert sum(row["requests"] or 0 for row in rows) == total["requests"], (compacted, every)
            assert sum(row["energy_kwh"] or 0 for row in rows) == pytest.approx(total["energy_kwh"], rel=1e-12), (
                compacted,
                every,
            )


def test_numbers_of_blocks_are_never_given_out_again(store: Store) -> None:
    fill(store, PARIS, 26, days=3)
    seen: set[int] = set()
    for turn in range(4):
        put_shard(store, PARIS, ShardKey("host", "a"), FIRST_DAY + 2, host_tables(PARIS, "a", FIRST_DAY + 2, random.Random(turn)))
        compact(store, PARIS.timezone, NOW_US)
        with store.begin() as connection:
            numbers = set(connection.execute(text("SELECT id FROM figure_block")).scalars())
            newest = max(numbers)
            assert newest not in seen
            seen |= numbers
            figure_writer.delete_blocks(connection, [newest])  # the highest number is free, and stays unused


def test_a_long_month_is_packed_in_several_transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between two of them leaves true figures, and the next run does the rest, sums of the month included."""
    fill(store, PARIS, 28, days=45)
    before, real, packed = answers(store), figure_writer._compact_month, []

    def call(*arguments: Any) -> tuple[int, bool]:
        if len(packed) == 3:
            raise Interrupted
        packed.append(real(*arguments))
        return packed[-1]

    with monkeypatch.context() as patch:
        patch.setattr(figure_writer, "_compact_month", call)
        with pytest.raises(Interrupted):
            compact(store, PARIS.timezone, NOW_US)
    assert {SHARD, DAY} <= tiers(store).keys()
    assert max(made for made, _ in packed) <= figure_writer.DAYS_PER_TRANSACTION + 1
    assert answers(store) == before
    compact(store, PARIS.timezone, NOW_US)
    assert tiers(store).keys() == {DAY, MONTH}
    assert answers(store) == before


def test_compaction_of_any_number_of_shards_stays_within_the_parameters_of_a_statement(sqlite: Store) -> None:
    fill(sqlite, PARIS, 29, days=30)
    before = answers(sqlite)
    sqlite.close()
    event.listen(sqlite.engine, "connect", lambda raw, _: raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 100))
    assert tiers(sqlite)[SHARD] > 100
    compact(sqlite, PARIS.timezone, NOW_US)
    assert SHARD not in tiers(sqlite)
    assert answers(sqlite) == before


@pytest.mark.slow
def test_memory_of_a_month_of_many_hosts_is_bounded(sqlite: Store) -> None:
    """Memory follows the rows of the month's sums, a small multiple of their bytes; not the slots of the month."""
    luck = random.Random(27)
    tables = [host_tables(PARIS, "b", FIRST_DAY, luck) for _ in range(4)]
    for day in range(FIRST_DAY, FIRST_DAY + 45):
        for number in range(12):
            shifted = tables[(day + number) % 4]
            moved = {
                name: columns | {"start_s": columns["start_s"] + (day - FIRST_DAY) * 86_400}
                for name, columns in shifted.tables.items()
            }
            names = [f"host-{number}" if name == "b" else name for name in shifted.names]
            put_shard(sqlite, PARIS, ShardKey("host", f"host-{number}"), day, type(shifted)(names, shifted.bases, moved))
    tracemalloc.start()
    compact(sqlite, PARIS.timezone, NOW_US)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tiers(sqlite).keys() == {DAY, MONTH}
    slots = figure_rows(sqlite, "energy", "SELECT COUNT(*) FROM rows")[0][0]
    assert peak < slots * 20 * 8 * 3
