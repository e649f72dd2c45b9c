"""Import batches: open, list and withdraw. Withdrawn rows move to tables that no figure reads.

A row that another batch claims too stays and passes to that batch. Withdrawal bumps the versions of the touched days, so that
they are computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from footprint.core.records import FootprintError
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_withdrawal import withdraw_from_archive
from footprint.ledger.attempts import withdraw_attempts
from footprint.ledger.day_versions import WHOLE_DAY, bump_service_days, mark_streams_dirty, stream_extent
from footprint.storage import schema
from footprint.storage.database import Store, table


class BatchNotFound(FootprintError):
    """The batch does not exist, or was withdrawn before."""


@dataclass(frozen=True, slots=True)
class _RowTables:
    """Tables of one kind of rows: the rows, the claims of other batches, the withdrawn rows; and the key of a row."""

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
    """Withdraw a batch and return how many rows are lost.

    Raises
    ------
    BatchNotFound
        If the batch does not exist, or was withdrawn before.
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
        archived = withdraw_from_archive(store, connection, batch)
        withdrawn = (
            archived
            + _withdraw_readings(store, connection, batch)
            + _withdraw_requests(store, connection, batch)
            + _move_to_withdrawn(connection, _USERS, batch)
        )
        withdraw_attempts(store, connection, batch)
        connection.execute(update(target).where(target.c.id == batch).values(withdrawn_us=now_us, reason=reason))
        store.record_event(connection, now_us, "withdraw", f"batch {batch} ({row.kind} {row.name}): {withdrawn} rows; {reason}")
    return withdrawn


def delete_claims_of_copy(connection: Connection, kind: str, batch: int, sha256: str) -> None:
    """Delete the claims of a file that is byte for byte in the ledger already, so that one withdrawal is enough."""
    target = table(schema.Batch)
    is_same_file = (target.c.kind == kind) & (target.c.sha256 == sha256) & (target.c.id != batch)
    if connection.execute(select(target.c.id).where(is_same_file, target.c.withdrawn_us.is_(None)).limit(1)).first():
        _delete_claims(connection, batch)


def _delete_claims(connection: Connection, batch: int) -> None:
    for kind in (_READINGS, _REQUESTS, _USERS):
        connection.execute(delete(kind.claims).where(kind.claims.c.batch_id == batch))


def _reassign_to_claimant(connection: Connection, kind: _RowTables, batch: int) -> None:
    """Pass rows that other batches claim to the first of these."""
    rows, claims = kind.rows, kind.claims
    same_row = [claims.c[name] == rows.c[name] for name in kind.key]
    claimant = select(func.min(claims.c.batch_id)).where(*same_row).scalar_subquery()
    is_claimed = select(claims.c.batch_id).where(*same_row).exists()
    connection.execute(update(rows).where(rows.c.batch_id == batch, is_claimed).values(batch_id=claimant))


def _move_to_withdrawn(connection: Connection, kind: _RowTables, batch: int) -> int:
    """Move the rows of a batch to the withdrawn table and return how many."""
    names = [column.name for column in kind.rows.columns]
    in_batch = kind.rows.c.batch_id == batch
    query = select(*(kind.rows.c[name] for name in names)).where(in_batch)
    connection.execute(insert(kind.withdrawn).from_select(names, query))
    return int(connection.execute(delete(kind.rows).where(in_batch)).rowcount)


def _withdraw_readings(store: Store, connection: Connection, batch: int) -> int:
    reading = _READINGS.rows
    day = (reading.c.time_us // US_PER_DAY).label("day")
    in_batch = reading.c.batch_id == batch
    stream_days = connection.execute(select(reading.c.stream_id, day).where(in_batch).distinct()).all()
    count = _move_to_withdrawn(connection, _READINGS, batch)
    for row in sorted(stream_days):
        _update_stream_day(connection, row.stream_id, int(row.day))
    mark_streams_dirty(store, connection, {(row.stream_id, int(row.day)): WHOLE_DAY for row in stream_days})
    return count


def _update_stream_day(connection: Connection, stream: int, day: int) -> None:
    """Bump the versions of a stream's day and update its extent; an empty day gets ``last_us`` before ``first_us``."""
    reading, days = _READINGS.rows, table(schema.StreamDay)
    end_us = (day + 1) * US_PER_DAY
    on_day = (reading.c.stream_id == stream) & (reading.c.time_us >= day * US_PER_DAY) & (reading.c.time_us < end_us)
    times = select(reading.c.time_us).where(on_day).order_by(reading.c.time_us)
    head = connection.execute(times.limit(2)).scalars().all()
    last = connection.execute(select(func.max(reading.c.time_us)).where(on_day)).scalars()
    extent = stream_extent([*head, *last] if len(head) > 1 else head, end_us)
    connection.execute(
        update(days)
        .where(days.c.stream_id == stream, days.c.day == day)
        .values(**extent, version=days.c.version + 1, head=days.c.head + 1)
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
