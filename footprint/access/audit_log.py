"""Audit log of accesses to unprotected cells: time, role and request, never a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select

from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY
from footprint.figures.query import Query
from footprint.storage import schema
from footprint.storage.database import Store, table

COLUMNS = ("time", "role", "method", "path", "query", "cells")
MAX_TEXT_LENGTH = 2000  # characters of a path or of its parameters


def describe_cells(query: Query, rows: int) -> str:
    """Text that describes the cells of a query."""
    filters = "".join(f" {name}={value}" for name, value in query.where)
    bounds = "/".join("" if bound_us is None else format_instant(bound_us) for bound_us in (query.from_us, query.to_us))
    return f"{' x '.join(query.group) or 'sum'}{filters} every {query.every} {bounds}: {rows} rows"


def write_access(store: Store, at_us: int, role: str, method: str, path: str, query: str, cells: Iterable[str]) -> None:
    """Write one access, before its response is sent."""
    row = {
        "at_us": at_us,
        "role": role,
        "method": method,
        "path": path[:MAX_TEXT_LENGTH],
        "query": query[:MAX_TEXT_LENGTH],
        "cells": "; ".join(dict.fromkeys(cells)),
    }
    with store.begin() as connection:
        connection.execute(insert(table(schema.Access)).values(row))


def read_accesses(store: Store, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows of the log in [from, to), oldest first."""
    target = table(schema.Access)
    query = select(target).order_by(target.c.at_us, target.c.id)
    if from_us is not None:
        query = query.where(target.c.at_us >= from_us)
    if to_us is not None:
        query = query.where(target.c.at_us < to_us)
    with store.read() as connection:
        rows = connection.execute(query).mappings().all()
    return [{"time": format_instant(row["at_us"]), **{name: row[name] for name in COLUMNS[1:]}} for row in rows]


def delete_expired(store: Store, now_us: int, days: int) -> int:
    """Delete rows older than ``days``; return their number."""
    target = table(schema.Access)
    with store.begin() as connection:
        return int(connection.execute(delete(target).where(target.c.at_us < now_us - days * US_PER_DAY)).rowcount)
