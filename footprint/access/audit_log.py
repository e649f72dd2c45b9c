"""This file keeps the access log: when, in which role, and which unprotected cells were asked for; never who."""

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
MAX_SAID = 2000  # characters of an address


def cells_of(question: Query, rows: int) -> str:
    """Which cells a question is about, in words."""
    where = "".join(f" {name}={value}" for name, value in question.where)
    bounds = "/".join("" if at is None else format_instant(at) for at in (question.from_us, question.to_us))
    return f"{' x '.join(question.group) or 'sum'}{where} every {question.every} {bounds}: {rows} rows"


def write(store: Store, at_us: int, role: str, method: str, path: str, query: str, cells: Iterable[str]) -> None:
    """Write one access down, before it is answered."""
    row = {
        "at_us": at_us,
        "role": role,
        "method": method,
        "path": path[:MAX_SAID],
        "query": query[:MAX_SAID],
        "cells": "; ".join(dict.fromkeys(cells)),
    }
    with store.begin() as connection:
        connection.execute(insert(table(schema.Access)).values(row))


def read(store: Store, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows of the log in [from, to), oldest first."""
    target = table(schema.Access)
    asked = select(target).order_by(target.c.at_us, target.c.id)
    if from_us is not None:
        asked = asked.where(target.c.at_us >= from_us)
    if to_us is not None:
        asked = asked.where(target.c.at_us < to_us)
    with store.read() as connection:
        found = connection.execute(asked).mappings().all()
    return [{"time": format_instant(row["at_us"]), **{name: row[name] for name in COLUMNS[1:]}} for row in found]


def expire(store: Store, now_us: int, days: int) -> int:
    """Erase what is older than ``days``; how many rows that was."""
    target = table(schema.Access)
    with store.begin() as connection:
        return int(connection.execute(delete(target).where(target.c.at_us < now_us - days * US_PER_DAY)).rowcount)
