"""A month of a live service, whose open day is stored again each hour, takes little more space than its figures."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from sqlalchemy import text

from footprint.storage.database import Store
from footprint.storage.figure_blocks import ShardTables
from footprint.storage.figure_writer import compact
from footprint.storage.shard_key import ShardKey
from tests.support.stored_shards import FIRST_DAY, host_tables, put_shard, zoned

FACTS = zoned("UTC")
HOSTS = ("a", "b", "c")


def until(tables: ShardTables, hour: int, day: int) -> ShardTables:
    """The rows of a day up to an hour."""
    end_s = day * 86_400 + hour * 3600
    rows = {
        name: {key: values[columns["start_s"] < end_s] for key, values in columns.items()}
        for name, columns in tables.tables.items()
    }
    return ShardTables(tables.names, tables.bases, rows)


def live_days(store: Store, first: int, number: int, runs: int = 24) -> None:
    """Days that are stored ``runs`` times as they grow, each run with its compaction, and once when they are over."""
    luck = random.Random(first)
    for day in range(first, first + number):
        whole = {host: host_tables(FACTS, host, day, luck) for host in HOSTS}
        for run in range(1, runs + 1):
            for host in HOSTS:
                part = until(whole[host], 24 * run // runs, day)
                put_shard(store, FACTS, ShardKey("host", host), day, part, provisional=True)
            compact(store, FACTS.timezone, (day * 24 + 24 * run // runs) * 3_600_000_000)
        for host in HOSTS:
            put_shard(store, FACTS, ShardKey("host", host), day, whole[host])
        compact(store, FACTS.timezone, (day + 1) * 86_400_000_000 + 1)


def sizes(store: Store) -> tuple[int, int]:
    """Bytes of the packed figures, and bytes that they take on disk with all that is free or dead, and the WAL of SQLite."""
    with store.read() as connection:
        packed = int(connection.execute(text("SELECT SUM(LENGTH(content)) FROM figure_part")).scalar_one())
        if store.dialect == "postgresql":
            size = "pg_total_relation_size('figure_part') + pg_total_relation_size('figure_block')"
            return packed, int(connection.execute(text(f"SELECT {size}")).scalar_one())
    path = store.url.removeprefix("sqlite:///")
    return packed, sum(Path(path + end).stat().st_size for end in ("", "-wal"))


@pytest.mark.slow
def test_a_live_month_takes_little_more_space_than_its_figures(store: Store) -> None:
    taken = []
    for week in range(4):
        live_days(store, FIRST_DAY + 7 * week, 7, runs=24)
        if store.dialect == "postgresql":
            # What autovacuum does within minutes, in a month that takes a minute.
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM figure_part, figure_block"))
        taken.append(sizes(store))
    packed, on_disk = taken[-1]
    growth = on_disk - taken[0][1]
    # A few times what is new; one version more of each block would be a hundred times that.
    assert growth < 3 * (packed - taken[0][0]) + 2**20
