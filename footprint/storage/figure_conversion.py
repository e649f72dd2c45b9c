"""Conversion of the rows of releases before 0.3 into figure blocks: one UTC day a transaction, so it can be interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection, inspect, select, text

from footprint.attribution.array_types import Ints
from footprint.attribution.window_counts import divide_windows
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import S_PER_HOUR, US_PER_DAY, US_PER_S
from footprint.storage import schema
from footprint.storage.canonical_figures import StoredTexts, rows_by_shard
from footprint.storage.figure_blocks import ENERGY, LAYOUTS, Layout, ShardTables
from footprint.storage.figure_writer import DAY, day_extent, insert_block

if TYPE_CHECKING:
    from footprint.storage.database import Store

_S_PER_DAY = US_PER_DAY // US_PER_S
_QUARTER_S = S_PER_HOUR // 4
_ROWS = {"energy": "footprint_row", "coverage": "footprint_seen", "counts": "footprint_count"}
NO_ROWS = ShardTables([], []).digest()
Progress = Callable[[int, int], None]  # days converted, days in all


def convert_figures(store: Store, progress: Progress | None = None) -> None:
    """Convert all rows of earlier releases; does nothing in a store that has none."""
    with store.begin() as connection:
        if "footprint_row" not in inspect(connection).get_table_names():
            return  # another process was faster
        _divide_windows(store, connection)
        days = _days(connection)
    for number, day in enumerate(days, 1):
        with store.begin() as connection:
            if "footprint_row" not in inspect(connection).get_table_names():
                return
            _convert_day(store, connection, day)
        if progress is not None:
            progress(number, len(days))
    with store.begin() as connection:
        if "footprint_row" in inspect(connection).get_table_names() and not _days(connection):
            for name in (*_ROWS.values(), "footprint_straddle"):
                connection.exec_driver_sql(f"DROP TABLE {name}")
            shards = schema.Shard.__table__  # type: ignore[attr-defined]
            connection.execute(shards.update().where(shards.c.digest == "").values(digest=NO_ROWS))


def _days(connection: Connection) -> list[int]:
    days: set[int] = set()
    for name in _ROWS.values():
        days |= set(connection.execute(text(f"SELECT DISTINCT slot / {_S_PER_DAY} FROM {name}")).scalars())
    return sorted(days)


def _divide_windows(store: Store, connection: Connection) -> None:
    """Divide windows of several requests over the slots that they cross, by time and in integers."""
    columns = ", ".join(("start_us", "end_us", "service_id", "use_case_id", "model_id", "charter_id", *COUNT_COLUMNS, "shard_id"))
    windows = connection.exec_driver_sql(f"SELECT {columns} FROM footprint_straddle ORDER BY id").all()
    quarter = connection.exec_driver_sql(
        f"SELECT 1 FROM footprint_count WHERE slot / {S_PER_HOUR} * {S_PER_HOUR} != slot UNION ALL "
        f"SELECT 1 FROM footprint_row WHERE slot / {S_PER_HOUR} * {S_PER_HOUR} != slot LIMIT 1"
    ).first()
    slot_us = (_QUARTER_S if quarter else S_PER_HOUR) * US_PER_S
    add = ", ".join(
        f"{name} = CASE WHEN excluded.{name} IS NULL THEN footprint_count.{name} "
        f"ELSE COALESCE(footprint_count.{name}, 0) + excluded.{name} END"
        for name in COUNT_COLUMNS
    )
    numbers = np.array([[-1 if value is None else value for value in row] for row in windows], dtype=np.int64).reshape(-1, 11)
    window, slot_of_part, counts = divide_windows(numbers[:, 0], numbers[:, 1], numbers[:, 6:10], slot_us)
    records = [
        (
            slot // US_PER_S,
            *numbers[index, 2:6].tolist(),
            *(None if count < 0 else count for count in parts),
            int(numbers[index, 10]),
        )
        for index, slot, parts in zip(window.tolist(), slot_of_part.tolist(), counts.tolist(), strict=True)
        if max(parts) > 0
    ]
    names = ("slot", "service_id", "use_case_id", "model_id", "charter_id", *COUNT_COLUMNS, "shard_id")
    statement = text(
        f"INSERT INTO footprint_count ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)}) "
        f"ON CONFLICT (slot, service_id, use_case_id, model_id) DO UPDATE SET {add}"
    )
    if records:
        connection.execute(statement, [dict(zip(names, record, strict=True)) for record in records])
    connection.exec_driver_sql("DELETE FROM footprint_straddle")


def _convert_day(store: Store, connection: Connection, day: int) -> None:
    tables = {name: _read(connection, name, layout, day) for name, layout in LAYOUTS.items()}
    if not any(len(columns["start_s"]) for columns in tables.values()):
        return  # another process was faster
    insert_block(connection, tier=DAY, shard_id=0, extent=day_extent(day), tables=tables, zone=None)
    shards, digests = schema.Shard.__table__, _shard_digests(store, connection, tables)  # type: ignore[attr-defined]
    for shard in connection.execute(select(shards.c.id, shards.c.members).where(shards.c.day == day)).all():
        digest = digests.get(shard.members, NO_ROWS)
        connection.execute(shards.update().where(shards.c.id == shard.id).values(digest=digest))
    for name in _ROWS.values():
        connection.exec_driver_sql(f"DELETE FROM {name} WHERE slot >= {day * _S_PER_DAY} AND slot < {(day + 1) * _S_PER_DAY}")


def _read(connection: Connection, name: str, layout: Layout, day: int) -> dict[str, Ints]:
    amounts = [column for column in layout.amounts if column != "divided" and column not in layout.added]
    selected = ["slot", *(f"{key}_id" for key in layout.keys[1:]), *(f"COALESCE({column}, -1)" for column in amounts)]
    rows = connection.exec_driver_sql(
        f"SELECT {', '.join(selected)} FROM {_ROWS[name]} "
        f"WHERE slot >= {day * _S_PER_DAY} AND slot < {(day + 1) * _S_PER_DAY} ORDER BY {', '.join(selected[: len(layout.keys)])}"
    ).all()
    names = [*layout.keys, *amounts]
    table = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, len(names))
    read = {column: np.ascontiguousarray(table[:, index]) for index, column in enumerate(names)}
    read |= {column: np.zeros(len(table), dtype=np.int64) for column in layout.added}
    if layout is ENERGY:
        read["divided"] = ((read["modelled_uj"] != 0) | (read["spread_b_uj"] != 0)).astype(np.int64)
    return read


def _shard_digests(store: Store, connection: Connection, tables: dict[str, dict[str, Ints]]) -> dict[str, str]:
    """Digests by host and service of a day. Rows belong to the day of their slot, not to that on which their window ended."""
    texts = StoredTexts.of(store, connection, tables)
    return {
        f"{kind} {texts.names[number]}": texts.tables(shard).digest() for (kind, number), shard in rows_by_shard(tables).items()
    }
