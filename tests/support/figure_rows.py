"""Stored figures by slot, for tests that look below the query engine."""

from __future__ import annotations

import uuid
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from footprint.figures.dataset import Dataset
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.figure_blocks import ENERGY, from_arrow, pack, to_arrow, unpack
from footprint.storage.figure_writer import count_change


def figure_rows(store: Store, layout: str, statement: str, zone: str = "Europe/Paris") -> list[tuple[Any, ...]]:
    """Result of a statement over the table ``rows`` of a layout (energy, coverage, counts)."""
    with store.read() as connection:
        dataset = Dataset(store, connection, ZoneInfo(zone))
        return dataset.rows(layout, *(dataset.extent_s() or (0, 1)), statement)


def add_microjoule(store: Store) -> str:
    """Change a stored row as nobody should: one microjoule more in the largest row of the first block; return its new digest."""
    changed = uuid.uuid4().hex
    with store.begin() as connection:
        block_id, content = connection.exec_driver_sql(
            "SELECT block_id, content FROM figure_part WHERE part = 'energy slots' ORDER BY block_id LIMIT 1"
        ).one()
        columns = from_arrow(unpack(content, ENERGY), ENERGY)
        columns["active_uj"][int(np.argmax(columns["active_uj"]))] += 1
        parts, blocks = table(schema.FigurePart), table(schema.FigureBlock)
        is_part = (parts.c.block_id == block_id) & (parts.c.part == "energy slots")
        connection.execute(parts.update().where(is_part).values(content=pack(to_arrow(columns, ENERGY), ENERGY)))
        connection.execute(blocks.update().where(blocks.c.id == block_id).values(digest=changed))
        count_change(connection)
    return changed
