"""Rows of earlier releases become blocks: no figure changes, however often the conversion is interrupted, or by whom."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from footprint.figures import Query, run_query
from footprint.storage import figure_conversion
from footprint.storage.database import Opening, Store
from footprint.storage.figure_blocks import LAYOUTS
from footprint.storage.figure_writer import compact
from tests.support.contract_files import NOW_US
from tests.support.figure_rows import figure_rows
from tests.support.old_figures import Shards, write_old_store
from tests.support.stored_shards import FIRST_DAY, put_shard, put_streams, zoned

ZONES = ["Europe/Paris", "Asia/Kolkata"]
AMOUNTS = {
    "energy": "SUM(active_uj), SUM(idle_uj), SUM(host_uj), SUM(facility_uj), SUM(embodied_ug), SUM(divided), COUNT(*)",
    "counts": "SUM(requests), SUM(input_tokens), SUM(cached_input_tokens), SUM(output_tokens), COUNT(*)",
    "coverage": "SUM(measured_us), SUM(energy_uj), MIN(first_us), MAX(last_us), COUNT(*)",
}


def sums(store: Store, zone: str) -> dict[str, list[tuple[Any, ...]]]:
    """Sums by day and names, in integers."""
    with store.read() as connection:
        names = dict(connection.execute(text("SELECT id, text FROM name")).tuples().all())
    result = {}
    for layout, amounts in AMOUNTS.items():
        keys = LAYOUTS[layout].names
        statement = f"SELECT start_s // 86400, {', '.join(keys)}, {amounts} FROM rows GROUP BY ALL"
        rows = figure_rows(store, layout, statement, zone)
        result[layout] = sorted(
            (row[0], *(names[number] for number in row[1 : 1 + len(keys)]), *row[1 + len(keys) :]) for row in rows
        )
    return result


def expected_store(path: Path, facts: Any, shards: Shards) -> Store:
    """The same figures, stored by the program of today."""
    store = Store(f"sqlite:///{path}")
    for (key, day), tables in shards.items():
        put_shard(store, facts, key, day, tables)
    return store


def digests(store: Store) -> dict[tuple[str, int], str]:
    with store.read() as connection:
        return {(row.members, row.day): row.digest for row in connection.execute(text("SELECT members, day, digest FROM shard"))}


def check(store: Store, shards: Shards, facts: Any, path: Path) -> None:
    """Figures and digests are those that the program of today stores, before and after compaction."""
    zone, expected = str(facts.timezone), expected_store(path / "expected.db", facts, shards)
    assert not {name for name in inspect(store.engine).get_table_names() if name.startswith("footprint_")} - {"footprint_split"}
    assert digests(store) == digests(expected) == {(key.text, day): tables.digest() for (key, day), tables in shards.items()}
    assert sums(store, zone) == sums(expected, zone)
    ends = FIRST_DAY * 86_400_000_000, (FIRST_DAY + 8) * 86_400_000_000
    query = Query(("service", "use_case"), "day", *ends)
    for each in (store, expected):
        put_streams(each, 8)
    answers = [run_query(each, facts, query, NOW_US).rows for each in (store, expected)]
    assert answers[0] == answers[1] != []
    compact(store, facts.timezone, NOW_US)
    assert sums(store, zone) == sums(expected, zone)
    assert run_query(store, facts, query, NOW_US).rows == answers[0]
    expected.close()


@pytest.mark.parametrize("zone", ZONES)
def test_figures_of_an_old_store_are_those_of_today(address: str, tmp_path: Path, zone: str) -> None:
    facts, seen = zoned(zone), []
    shards = write_old_store(address, facts, 1, days=8)
    store = Store(address, opening=Opening.upgrade, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(day, 8) for day in range(1, 9)]
    check(store, shards, facts, tmp_path)
    store.close()


@pytest.mark.parametrize("when", ["before a day", "after its block", "after its digests", "at the end"])
def test_an_interrupted_conversion_goes_on_where_it_was(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    facts, calls = zoned("Europe/Paris"), Counter[str]()
    shards = write_old_store(address, facts, 2, days=4)

    def interrupted(name: str, real: Any, at: int) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            calls[name] += 1
            if calls[name] == at:
                raise KeyboardInterrupt
            return real(*arguments, **named)

        return call

    name, at = {
        "before a day": ("_convert_day", 3),
        "after its block": ("_shard_digests", 3),
        "after its digests": ("day_extent", 4),
        "at the end": ("_days", 2),
    }[when]
    monkeypatch.setattr(figure_conversion, name, interrupted(name, getattr(figure_conversion, name), at))
    with pytest.raises(KeyboardInterrupt):
        Store(address, opening=Opening.upgrade)
    store = Store(address, opening=Opening.upgrade)
    check(store, shards, facts, tmp_path)
    store.close()


def test_two_processes_convert_a_store_together(address: str, tmp_path: Path) -> None:
    facts = zoned("Europe/Paris")
    shards = write_old_store(address, facts, 3, days=4)
    opened: list[Store] = []
    threads = [threading.Thread(target=lambda: opened.append(Store(address, opening=Opening.upgrade))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 3
    check(opened[0], shards, facts, tmp_path)
    for store in opened:
        store.close()
