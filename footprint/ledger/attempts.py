"""Attempts: requests of one id of which only one is the request that was answered, or else the last.

A gateway that tries again, or falls back on another model, writes a line for each attempt. What answered is the request, of the
service that answered; the others are attempts, whose work served nobody. A table holds the attempts of each id in the order that
decides, so that any order of arrival ends alike. Rows that name no attempt are attempts of one request where one failed and has
the id of another of its service; in another service, where that one began before a minute had passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, select, update

from footprint.core.units import US_PER_S
from footprint.ledger.day_versions import bump_service_days
from footprint.storage import schema
from footprint.storage.bulk_insert import create_temporary_table
from footprint.storage.database import Store, table

FAILED = ("error", "cancelled")
EARLIER_KEYS = "earlier_keys"  # key of Meta: failed rows with an id may have the key of an answer
COLUMNS = ("key", "call", "service_id", "number", "start_us", "end_us", "standing", "batch_id")
_FALLBACK_US = 60 * US_PER_S  # between a failure and the fallback on another service that follows it
_ANSWERED_BIT, _NUMBER_BIT = 62, 52  # of a standing; the end [µs] stands below
_MAX_IN = 10_000
# One attempt gives way to another of its call that stands above it.
_GIVES_WAY = (
    "EXISTS (SELECT 1 FROM attempt other WHERE other.call = own.call AND other.key <> own.key "
    "AND (other.service_id = own.service_id OR (other.number >= 0 AND own.number >= 0) "
    f"OR other.start_us BETWEEN own.start_us AND own.end_us + {_FALLBACK_US}) "
    "AND (other.standing > own.standing OR (other.standing = own.standing AND other.key > own.key)))"
)


def row_key(service: str, identity: str, status: str, number: int, start_us: int, end_us: int) -> bytes:
    """Key of a row with an id (16 bytes): (service, id); of an attempt (service, id, number or times)."""
    if number <= 0 and status not in FAILED:
        return answer_key(service, identity)
    which = str(number) if number >= 0 else f"{start_us} {end_us}"
    return hashlib.blake2b(f"{service}\0{identity}\0{which}".encode(), digest_size=16, person=b"attempt").digest()


def answer_key(service: str, identity: str) -> bytes:
    """Key of the request with an id that was answered; until method 3.0 that of every row with an id."""
    return hashlib.blake2b(f"{service}\0{identity}".encode(), digest_size=16, person=b"id").digest()


def later_answer_key(service: str, identity: str) -> bytes:
    """Key of an answer whose ``answer_key`` a failed row of an earlier release bears."""
    return answer_key(service, f"{identity}\0answer")


def call_of(identity: str) -> bytes:
    """Digest of an id, the same for all services."""
    return hashlib.blake2b(identity.encode(), digest_size=16, person=b"call").digest()


def standing(status: str, number: int, start_us: int, end_us: int) -> int:
    """Place of an attempt among those of its call; the highest is the request: answered, then later in number, then in time."""
    answered = status not in FAILED
    return (answered << _ANSWERED_BIT) + (number + 1 << _NUMBER_BIT) + max(start_us, end_us, 0)


def store_attempts(store: Store, connection: Connection, names: dict[str, int], rows: Sequence[tuple[Any, ...]]) -> None:
    """Note which of newly stored requests are attempts; ``rows`` are (key, id, service, status, number, start, end, batch).

    A request that is answered becomes one where its id is known from a failed or numbered attempt, stored before or after it.
    """
    several = [row for row in rows if row[3] in FAILED or row[4] >= 0 or row[0] == later_answer_key(row[2], row[1])]
    new = {row[0]: _attempt(names, row) for row in several}
    known = set(_calls(connection, [call_of(row[1]) for row in rows if row[0] not in new]))
    in_rows = {attempt[1] for attempt in new.values()}
    new |= {row[0]: _attempt(names, row) for row in rows if row[0] not in new and call_of(row[1]) in known | in_rows}
    new |= {row[0]: row for row in _stored_before(store, connection, several)}
    store.insert_many(connection, "attempt", COLUMNS, sorted(new.values()))
    _bump_calls(store, connection, sorted({row[1] for row in new.values()}))


def _attempt(names: dict[str, int], row: tuple[Any, ...]) -> tuple[Any, ...]:
    key, identity, service, status, number, start_us, end_us, batch = row
    return (
        key,
        call_of(identity),
        names[service],
        number,
        start_us,
        max(start_us, end_us),
        standing(status, number, start_us, end_us),
        batch,
    )


def _calls(connection: Connection, calls: list[bytes]) -> list[bytes]:
    """Those of calls that have an attempt already."""
    if not calls or connection.exec_driver_sql("SELECT 1 FROM attempt LIMIT 1").first() is None:
        return []
    create_temporary_table(connection, "incoming_call", {"call": bytes}, [(call,) for call in calls])
    rows = connection.exec_driver_sql("SELECT DISTINCT a.call FROM incoming_call i JOIN attempt a ON a.call = i.call")
    return [bytes(row[0]) for row in rows]


def _stored_before(store: Store, connection: Connection, several: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Attempts that the requests under the ids of failed or numbered ones are, in any service."""
    if not several:
        return []
    day = table(schema.ServiceDayRow)
    service_ids = connection.execute(select(day.c.service_id).distinct()).scalars().all()
    services = store.texts(connection, service_ids).values()
    calls = {answer_key(service, row[1]): call_of(row[1]) for row in several for service in services}
    create_temporary_table(connection, "incoming_answer", {"key": bytes}, [(key,) for key in calls])
    rows = connection.exec_driver_sql(
        "SELECT r.key, r.service_id, r.start_us, COALESCE(r.end_us, r.start_us) AS end_us, r.status_id, r.batch_id "
        "FROM incoming_answer i JOIN request r ON r.key = i.key"
    ).all()
    statuses = store.texts(connection, {row.status_id for row in rows})
    return [
        (
            bytes(row.key),
            calls[bytes(row.key)],
            row.service_id,
            -1,
            row.start_us,
            row.end_us,
            standing(statuses[row.status_id], -1, row.start_us, row.end_us),
            row.batch_id,
        )
        for row in rows
    ]


def _bump_calls(store: Store, connection: Connection, calls: list[bytes]) -> None:
    """Bump the days of all attempts of calls: another of them may be the request now."""
    target = table(schema.Attempt)
    for begin in range(0, len(calls), _MAX_IN):
        in_slice = target.c.call.in_(calls[begin : begin + _MAX_IN])
        rows = connection.execute(select(target.c.service_id, target.c.start_us, target.c.end_us).where(in_slice)).all()
        columns = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 3)
        bump_service_days(store, connection, columns[:, 0], columns[:, 1], columns[:, 2])


def withdraw_attempts(store: Store, connection: Connection, batch: int) -> None:
    """Forget the attempts that the rows of a withdrawn batch were; one that another batch claims too passes to it."""
    target, request = table(schema.Attempt), table(schema.RequestRow)
    of_batch = target.c.batch_id == batch
    remaining = select(request.c.batch_id).where(request.c.key == target.c.key)
    connection.execute(update(target).where(of_batch, remaining.exists()).values(batch_id=remaining.scalar_subquery()))
    calls = [bytes(call) for call in connection.execute(select(target.c.call).where(of_batch).distinct()).scalars()]
    connection.execute(delete(target).where(of_batch))
    _bump_calls(store, connection, sorted(calls))


def superseded_keys(connection: Connection, service_id: int, from_us: int, until_us: int) -> set[bytes]:
    """Keys of the attempts of a service that another one of their call answered, or followed; of those that start in a time."""
    rows = connection.exec_driver_sql(
        f"SELECT own.key FROM attempt own WHERE own.service_id = {service_id:d} AND own.start_us >= {from_us:d} "
        f"AND own.start_us < {until_us:d} AND {_GIVES_WAY}"
    )
    return {bytes(row[0]) for row in rows}
