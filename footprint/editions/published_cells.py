"""This file knows which cells earlier editions showed, and which they hid: what comes after must not undo it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select

from footprint.editions.release_context import Key
from footprint.editions.repository import PublishedEdition
from footprint.editions.serialization import from_json
from footprint.storage import schema
from footprint.storage.database import Store, table


def previously_published_cells(published: Iterable[PublishedEdition]) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
    """Cells that editions showed, and those that they hid and never showed."""
    shown, kept = set[Key](), set[Key]()
    for each in published:
        for figure in from_json(each.report).figures:
            cell = dict(figure.where)
            if cell and set(cell) <= {"service", "use_case"}:
                key = figure.period, cell.get("service", ""), cell.get("use_case", "")
                if figure.conf_status == "C":
                    kept.add(key)
                elif figure.value is not None:
                    shown.add(key)
    return tuple(sorted(shown)), tuple(sorted(kept - shown))


def release_state(store: Store) -> tuple[int, int | None]:
    """How many versions were published, and when the last one was [µs]: what changes with every publication."""
    target = table(schema.PublishedEditionRow)
    with store.read() as connection:
        count, last_us = connection.execute(select(func.count(), func.max(target.c.released_us))).one()
    return int(count), last_us
