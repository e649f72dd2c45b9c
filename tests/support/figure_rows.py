"""Stored figures by slot, for tests that look below the query engine."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from footprint.figures.dataset import Dataset
from footprint.storage.database import Store


def figure_rows(store: Store, layout: str, statement: str, zone: str = "Europe/Paris") -> list[tuple[Any, ...]]:
    """Result of a statement over the table ``rows`` of a layout (energy, coverage, counts)."""
    with store.read() as connection:
        dataset = Dataset(store, connection, ZoneInfo(zone))
        return dataset.rows(layout, *(dataset.extent_s() or (0, 1)), statement)
