"""Stores of schema 0007: rows of figures by slot, and windows that cross slots, as release 0.2 left them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, create_engine, text

import footprint.storage.migrations
from footprint.attribution.window_counts import divide_windows
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.core.records import COUNT_COLUMNS
from footprint.storage.figure_blocks import COUNTS, LAYOUTS, ShardTables, build_shard_tables
from footprint.storage.shard_key import ShardKey
from tests.support.stored_shards import FIRST_DAY, USES, host_tables, service_tables

OLD_TABLES = {"energy": "footprint_row", "coverage": "footprint_seen", "counts": "footprint_count"}
US_PER_DAY = 86_400_000_000
Shards = dict[tuple[ShardKey, int], ShardTables]
Window = tuple[str, str, int, int, tuple[int, ...]]  # service, use case, start and end [µs], counts (-1: unknown)


class _Numbers(dict[str, int]):
    def __missing__(self, key: str) -> int:
        self[key] = len(self) + 100
        return self[key]


def upgrade_to(connection: Connection, revision: str) -> None:
    """Run the migrations up to a revision."""
    config = AlembicConfig(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(footprint.storage.migrations.__file__).parent))
    command.upgrade(config, revision)


def random_windows(luck: random.Random, days: int) -> list[Window]:
    """Windows of several requests, from minutes to three days long; some end at midnight."""
    windows: list[Window] = []
    for number in range(days * 4):
        start = FIRST_DAY * US_PER_DAY + luck.randrange(days * US_PER_DAY)
        end = start + luck.choice([10**9, 7 * 10**9, 50 * 10**9, 260 * 10**9]) + luck.randrange(10**9)
        if number % 5 == 0:
            end = (end // US_PER_DAY + 1) * US_PER_DAY
        end = min(end, (FIRST_DAY + days) * US_PER_DAY)
        counts = (luck.randrange(2, 2000), luck.choice([-1, 0, luck.randrange(10**6)]), -1, luck.randrange(10**6))
        windows.append((luck.choice(["chat", "code"]), luck.choice(USES[:2])[0], start, end, counts))
    return windows


def write_old_store(url: str, facts: Config, seed: int, days: int = 20, hosts: Iterable[str] = ("a", "b", "c")) -> Shards:
    """Fill a database with random figures in schema 0007; return the shards as the program of today computes them."""
    luck, slot_us = random.Random(seed), slot_length_us(facts.timezone)
    within: Shards = {}
    for day in range(FIRST_DAY, FIRST_DAY + days):
        within |= {
            (ShardKey("host", host), day): _without_added(host_tables(facts, host, day, luck))
            for host in hosts
            if luck.random() < 0.9
        }
        within |= {
            (ShardKey("service", name), day): service_tables(facts, name, day, luck)
            if luck.random() < 0.9
            else ShardTables([], [])
            for name in ("chat", "code")
        }
    windows = random_windows(luck, days)
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade_to(connection, "0007")
        _insert_old(connection, within, windows)
    engine.dispose()
    return {key: _with_windows(key, tables, windows, slot_us) for key, tables in within.items()}


def _without_added(tables: ShardTables) -> ShardTables:
    """Tables whose amounts that the old schema lacks are 0."""
    for name, columns in tables.tables.items():
        for column in LAYOUTS[name].added:
            columns[column][:] = 0
    return tables


def _with_windows(shard: tuple[ShardKey, int], tables: ShardTables, windows: list[Window], slot_us: int) -> ShardTables:
    (kind, name), day = shard
    if kind == "host":
        return tables
    columns: dict[str, list[Any]] = defaultdict(list)
    counts = tables.tables.get("counts", {})
    for column in COUNTS.schema.names:
        values = counts[column].tolist() if counts else []
        columns[column] = [tables.names[value] for value in values] if column in COUNTS.names else values
    own = [window for window in windows if window[0] == name]
    starts, ends, amounts = (np.array([window[index] for window in own], dtype=np.int64) for index in (2, 3, 4))
    index_of, slots, parts = divide_windows(starts, ends, amounts.reshape(-1, 4), slot_us)
    for index, slot, part in zip(index_of.tolist(), slots.tolist(), parts.tolist(), strict=True):
        if slot // US_PER_DAY == day and max(part) > 0:
            charter = next(use[2] for use in USES if use[0] == own[index][1])
            row = (slot // 1_000_000, name, own[index][1], "m", charter, *part)
            for column, value in zip(COUNTS.schema.names, row, strict=True):
                columns[column].append(value)
    return build_shard_tables({"counts": columns})


def _insert_old(connection: Connection, shards: Shards, windows: list[Window]) -> None:
    names, bases, numbers = _Numbers(), _Numbers(), {}
    for number, (shard, tables) in enumerate(shards.items(), 1):
        numbers[shard] = number
        _insert(connection, "shard", [_shard_row(number, shard)])
        for layout, columns in tables.tables.items():
            _insert(connection, OLD_TABLES[layout], list(_old_rows(layout, columns, tables, names, bases, number)))
    charters = {use_case: charter for use_case, _, charter in USES}
    rows = []
    for number, (service, use_case, start, end, counts) in enumerate(windows, 1):
        # As release 0.2: a window belongs to the day on which it ends.
        keys = {"service_id": names[service], "use_case_id": names[use_case], "model_id": names["m"]}
        keys |= {
            "charter_id": names[charters[use_case]],
            "shard_id": numbers[ShardKey("service", service), (end - 1) // US_PER_DAY],
        }
        amounts = {name: None if count < 0 else count for name, count in zip(COUNT_COLUMNS, counts, strict=True)}
        rows.append({"id": number, "start_us": start, "end_us": end, **keys, **amounts})
    _insert(connection, "footprint_straddle", rows)
    _insert(connection, "name", [{"id": number, "text": name} for name, number in names.items()])
    _insert(connection, "basis", [{"id": number, "digest": str(number), "content": line} for line, number in bases.items()])


def _shard_row(number: int, shard: tuple[ShardKey, int]) -> dict[str, Any]:
    state = {"fingerprint": "x", "computed_us": 1, "provisional": False, "facts": "", "notes": "[]"}
    return {"id": number, "day": shard[1], "members": shard[0].text, **state}


def _old_rows(
    layout: str, columns: Mapping[str, Any], tables: ShardTables, names: _Numbers, bases: _Numbers, shard_id: int
) -> Iterable[dict[str, Any]]:
    for index in range(len(columns["start_s"])):
        row: dict[str, Any] = {"slot": int(columns["start_s"][index]), "shard_id": shard_id}
        for name in LAYOUTS[layout].names:
            row[f"{name}_id"] = names[tables.names[columns[name][index]]]
        if LAYOUTS[layout].bases:
            row["basis_id"] = bases[tables.bases[columns["basis"][index]]]
        for name in LAYOUTS[layout].amounts:
            value = int(columns[name][index])
            if name != "divided" and name not in LAYOUTS[layout].added:
                row[name] = None if value < 0 and name in LAYOUTS[layout].nullable else value
        yield row


def _insert(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        values = ", ".join(f":{name}" for name in names)
        connection.execute(text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"), rows)
