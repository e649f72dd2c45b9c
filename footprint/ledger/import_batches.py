"""This file lists what was imported, and takes a batch back: its rows are kept apart and counted nowhere.

A row that another file also vouches for stays, under that file's name. The days touched are
versioned, which is what re-opens their intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from footprint.core.records import FootprintError
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_withdrawal import withdraw_from_archive
from footprint.ledger.day_versions import bump_service_days
from footprint.storage import schema
from footprint.storage.database import Store, table


class BatchNotFound(FootprintError):
    """A batch that is not there, or was taken back already."""


@dataclass(frozen=True, slots=True)
class _RowTables:
    """Rows of one kind: where they stand, where files vouch for them, where they go, what names one."""

    rows: Table
    claims: Table
    withdrawn: Table
    key: tuple[str, ...]


_READINGS = _RowTables(
    table(schema.Reading), table(schema.ReadingClaim), table(schema.WithdrawnReading), ("stream_id", "time_us")
)
_REQUESTS = _RowTables(table(schema.RequestRow), table(schema.RequestClaim), table(schema.WithdrawnRequest), ("key",))
_USERS = _RowTables(
    table(schema.Users), table(schema.UsersClaim), table(schema.WithdrawnUsers), ("period", "service", "use_case")
)


def list_batches(store: Store) -> list[dict[str, Any]]:
    """Every batch, oldest first."""
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table(schema.Batch)).order_by("id"))]


def open_batch(connection: Connection, kind: str, name: str, now_us: int) -> int:
    """Add an empty batch and return its number."""
    target = table(schema.Batch)
    values = {"kind": kind, "name": name, "sha256": "", "imported_us": now_us, "accepted": 0, "duplicates": 0, "rejected": 0}
    return int(connection.execute(insert(target).values(values).returning(target.c.id)).scalar_one())


def withdraw_batch(store: Store, batch: int, reason: str, now_us: int) -> int:
    """Take a batch back; how many rows went.

    Raises
    ------
    BatchNotFound
        If there is no such batch, or it was withdrawn before.
    """
    target = table(schema.Batch)
    with store.begin() as connection:
        row = connection.execute(select(target).where(target.c.id == batch)).first()
        if row is None:
            raise BatchNotFound(f"no batch {batch}; `footprint import list` shows them")
        if row.withdrawn_us is not None:
            raise BatchNotFound(f"batch {batch} was withdrawn before: {row.reason}")
        _delete_claims(connection, batch)
        for kind in (_READINGS, _REQUESTS, _USERS):
            _reassign_to_claimant(connection, kind, batch)
        retired = withdraw_from_archive(store, connection, batch)
        gone = (
            retired
            + _withdraw_readings(connection, batch)
            + _withdraw_requests(store, connection, batch)
            + _move_to_withdrawn(connection, _USERS, batch)
        )
        connection.execute(update(target).where(target.c.id == batch).values(withdrawn_us=now_us, reason=reason))
        store.record_event(connection, now_us, "withdraw", f"batch {batch} ({row.kind} {row.name}): {gone} rows; {reason}")
    return gone


def delete_claims_of_copy(connection: Connection, kind: str, batch: int, sha256: str) -> None:
    """A file whose very bytes are in the ledger already vouches for nothing: withdrawing it once is enough."""
    target = table(schema.Batch)
    same = (target.c.kind == kind) & (target.c.sha256 == sha256) & (target.c.id != batch)
    if connection.execute(select(target.c.id).where(same, target.c.withdrawn_us.is_(None)).limit(1)).first():
        _delete_claims(connection, batch)


def _delete_claims(connection: Connection, batch: int) -> None:
    for kind in (_READINGS, _REQUESTS, _USERS):
        connection.execute(delete(kind.claims).where(kind.claims.c.batch_id == batch))


def _reassign_to_claimant(connection: Connection, kind: _RowTables, batch: int) -> None:
    """Rows for which other files vouch become those of the first of them."""
    rows, claims = kind.rows, kind.claims
    same = [claims.c[name] == rows.c[name] for name in kind.key]
    heir = select(func.min(claims.c.batch_id)).where(*same).scalar_subquery()
    vouched = select(claims.c.batch_id).where(*same).exists()
    connection.execute(update(rows).where(rows.c.batch_id == batch, vouched).values(batch_id=heir))


def _move_to_withdrawn(connection: Connection, kind: _RowTables, batch: int) -> int:
    """The rows of a batch are kept apart; how many there were."""
    names = [column.name for column in kind.rows.columns]
    mine = kind.rows.c.batch_id == batch
    kept = select(*(kind.rows.c[name] for name in names)).where(mine)
    connection.execute(insert(kind.withdrawn).from_select(names, kept))
    return int(connection.execute(delete(kind.rows).where(mine)).rowcount)


def _withdraw_readings(connection: Connection, batch: int) -> int:
    reading = _READINGS.rows
    day = (reading.c.time_us // US_PER_DAY).label("day")
    mine = reading.c.batch_id == batch
    touched = connection.execute(select(reading.c.stream_id, day).where(mine).distinct()).all()
    count = _move_to_withdrawn(connection, _READINGS, batch)
    for row in sorted(touched):
        _update_stream_day(connection, row.stream_id, int(row.day))
    return count


def _update_stream_day(connection: Connection, stream: int, day: int) -> None:
    """Version a day, and say what is left of it; one left without a reading ends before it begins."""
    reading, days = _READINGS.rows, table(schema.StreamDay)
    left = connection.execute(
        select(func.min(reading.c.time_us), func.max(reading.c.time_us)).where(
            reading.c.stream_id == stream, reading.c.time_us >= day * US_PER_DAY, reading.c.time_us < (day + 1) * US_PER_DAY
        )
    ).one()
    first_us, last_us = (0, -1) if left[0] is None else left
    connection.execute(
        update(days)
        .where(days.c.stream_id == stream, days.c.day == day)
        .values(first_us=first_us, last_us=last_us, version=days.c.version + 1)
    )


def _withdraw_requests(store: Store, connection: Connection, batch: int) -> int:
    request = _REQUESTS.rows
    rows = connection.execute(
        select(request.c.service_id, request.c.start_us, func.coalesce(request.c.end_us, -1)).where(request.c.batch_id == batch)
    ).all()
    count = _move_to_withdrawn(connection, _REQUESTS, batch)
    columns = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 3)
    bump_service_days(store, connection, columns[:, 0], columns[:, 1], columns[:, 2])
    return count
