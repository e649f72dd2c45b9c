"""This file lists what was imported, and takes a batch back: its rows are kept apart and counted nowhere.

A row that another file also vouches for stays, under that file's name. The days touched are
versioned, which is what re-opens their intervals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, update

from footprint import tables
from footprint.ledger.accept import mark_service_days
from footprint.readings import FootprintError
from footprint.store import Store, table
from footprint.units import US_PER_DAY


class NoSuchBatch(FootprintError):
    """A batch that is not there, or was taken back already."""


def list_batches(store: Store) -> list[dict[str, Any]]:
    """Every batch, oldest first."""
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table(tables.Batch)).order_by("id"))]


def withdraw(store: Store, batch: int, reason: str, now_us: int) -> int:
    """Take a batch back; how many rows went.

    Raises
    ------
    NoSuchBatch
        If there is no such batch, or it was withdrawn before.
    """
    target = table(tables.Batch)
    with store.begin() as connection:
        row = connection.execute(select(target).where(target.c.id == batch)).first()
        if row is None:
            raise NoSuchBatch(f"no batch {batch}; `footprint import list` shows them")
        if row.withdrawn_us is not None:
            raise NoSuchBatch(f"batch {batch} was withdrawn before: {row.reason}")
        _claims_go(connection, batch)
        gone = _readings_go(connection, batch) + _requests_go(store, connection, batch)
        users = table(tables.Users)
        gone += connection.execute(delete(users).where(users.c.batch_id == batch)).rowcount
        connection.execute(
            update(target).where(target.c.id == batch).values(withdrawn_us=now_us, reason=reason)
        )
        store.log(connection, now_us, "withdraw", f"batch {batch} ({row.kind} {row.name}): {gone} rows; {reason}")
    return gone


def _claims_go(connection: Connection, batch: int) -> None:
    for model in (tables.ReadingClaim, tables.RequestClaim):
        target = table(model)
        connection.execute(delete(target).where(target.c.batch_id == batch))


def _readings_go(connection: Connection, batch: int) -> int:
    reading, claim, gone = table(tables.Reading), table(tables.ReadingClaim), table(tables.WithdrawnReading)
    heir = (
        select(func.min(claim.c.batch_id))
        .where(claim.c.time_us == reading.c.time_us, claim.c.stream_id == reading.c.stream_id)
        .scalar_subquery()
    )
    connection.execute(
        update(reading).where(reading.c.batch_id == batch, heir.is_not(None)).values(batch_id=heir)
    )
    names = [column.name for column in reading.columns]
    mine = reading.c.batch_id == batch
    days = table(tables.StreamDay)
    touched = connection.execute(
        select(reading.c.stream_id, (reading.c.time_us / US_PER_DAY).label("day")).where(mine).distinct()
    ).all()
    pairs = {(row.stream_id, int(row.day)) for row in touched}
    connection.execute(insert(gone).from_select(names, select(*(reading.c[name] for name in names)).where(mine)))
    count = connection.execute(delete(reading).where(mine)).rowcount
    for stream, day in sorted(pairs):
        left = connection.execute(
            select(func.min(reading.c.time_us), func.max(reading.c.time_us)).where(
                reading.c.stream_id == stream,
                reading.c.time_us >= day * US_PER_DAY,
                reading.c.time_us < (day + 1) * US_PER_DAY,
            )
        ).one()
        # A day that is left without a reading keeps its row: its version says that it changed.
        bounds = {} if left[0] is None else {"first_us": left[0], "last_us": left[1]}
        empty = {"first_us": 0, "last_us": -1} if left[0] is None else {}
        connection.execute(
            update(days)
            .where(days.c.stream_id == stream, days.c.day == day)
            .values(version=days.c.version + 1, **bounds, **empty)
        )
    return int(count)


def _requests_go(store: Store, connection: Connection, batch: int) -> int:
    request, claim, gone = table(tables.Request), table(tables.RequestClaim), table(tables.WithdrawnRequest)
    heir = select(func.min(claim.c.batch_id)).where(claim.c.key == request.c.key).scalar_subquery()
    connection.execute(
        update(request).where(request.c.batch_id == batch, heir.is_not(None)).values(batch_id=heir)
    )
    names = [column.name for column in request.columns]
    mine = request.c.batch_id == batch
    rows = connection.execute(select(request.c.service_id, request.c.start_us, request.c.end_us).where(mine)).all()
    connection.execute(insert(gone).from_select(names, select(*(request.c[name] for name in names)).where(mine)))
    count = connection.execute(delete(request).where(mine)).rowcount
    if rows:
        columns = np.array([[r.service_id, r.start_us, -1 if r.end_us is None else r.end_us] for r in rows])
        mark_service_days(store, connection, columns[:, 0], columns[:, 1], columns[:, 2])
    return int(count)
