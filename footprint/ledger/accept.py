"""This file puts readings and requests into the store: identity, duplicates, conflicts; the first one stays.

Identity of a reading is (host, device, kind of quantity, time); of a request, its key. The same
again is a duplicate, another value is a conflict and is refused. Days that change are versioned in
the same transaction, so that what must be computed again is known from the store alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, insert, select, update

from footprint import tables
from footprint.ledger.energy import Readings, StreamKey
from footprint.ledger.rejects import Reject
from footprint.ledger.requests import Requests, keys
from footprint.store import Store, table
from footprint.units import US_PER_DAY

Ints = NDArray[np.int64]
READING_COLUMNS = ("time_us", "stream_id", "value", "covered_us", "epoch_id", "seq", "mono_us", "flags", "batch_id")
REQUEST_COLUMNS = (
    "key", "start_us", "end_us", "first_token_us", "service_id", "use_case_id", "model_id", "requests",
    "input_tokens", "cached_input_tokens", "output_tokens", "units", "unit_id", "status_id", "content", "batch_id",
)  # fmt: skip
_MAX_DAYS = 400  # a request that claims to run for longer marks only its first and last days


@dataclass(slots=True)
class Outcome:
    """How many rows were new, how many were there already, and which were refused."""

    accepted: int = 0
    duplicates: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count in what another block gave."""
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.rejects += other.rejects


class StreamIds:
    """Numbers of streams, remembered; a stream of another component under one device is refused."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str, str, str], tuple[int, str]] = {}

    def of(self, streams: Sequence[StreamKey]) -> list[int]:
        """Number of each stream; -1 where its device is known as another component."""
        if any(stream.identity not in self._known for stream in streams):
            self._load(streams)
        found = (self._known[stream.identity] for stream in streams)
        return [number if component == s.component else -1 for (number, component), s in zip(found, streams, strict=True)]

    def _load(self, streams: Sequence[StreamKey]) -> None:
        names = self._store.name_ids({name for stream in streams for name in (stream.host, stream.device)})
        target = table(tables.Stream)
        with self._store.begin() as connection:
            for stream in streams:
                row = {
                    "host_id": names[stream.host], "device_id": names[stream.device], "component": stream.component,
                    "quantity": stream.quantity, "grade": stream.grade, "source": stream.source, "model": stream.model,
                }  # fmt: skip
                device = connection.execute(
                    select(target.c.component).where(
                        target.c.host_id == row["host_id"], target.c.device_id == row["device_id"]
                    )
                ).first()
                if device is not None and device.component != stream.component:
                    self._known[stream.identity] = (-1, device.component)
                    continue
                self._store.insert_new(connection, tables.Stream, [row])
                found = connection.execute(
                    select(target.c.id, target.c.component).where(
                        target.c.host_id == row["host_id"], target.c.device_id == row["device_id"],
                        target.c.quantity == stream.quantity, target.c.grade == stream.grade,
                    )
                ).one()  # fmt: skip
                self._known[stream.identity] = (found.id, found.component)


def accept_readings(
    store: Store, connection: Connection, ids: list[int], epochs: list[int], readings: Readings, batch_id: int,
    *, claim: bool,
) -> Outcome:  # fmt: skip
    """Store readings within a transaction; ``ids`` are the numbers of their streams, ``epochs`` of their epochs.

    With ``claim`` a duplicate is remembered as vouched for by this batch, so that withdrawing the
    batch that brought it first does not lose it.
    """
    outcome = Outcome()
    stream_id = np.array(ids, dtype=np.int64)[readings.stream] if len(readings) else np.zeros(0, dtype=np.int64)
    wrong = stream_id < 0
    outcome.rejects += [
        Reject(int(line), "component", "the device is known as another component") for line in readings.lines[wrong]
    ]
    index = np.flatnonzero(~wrong)
    order = index[np.lexsort((index, stream_id[index], readings.time_us[index]))]
    same = np.zeros(len(order), dtype=bool)
    time_us, stream = readings.time_us[order], stream_id[order]
    same[1:] = (time_us[1:] == time_us[:-1]) & (stream[1:] == stream[:-1])
    if same.any():
        first = order[np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))]
        _judge(outcome, readings, order[same], readings.value[first[same]])
        order = order[~same]
    epoch = np.array(epochs, dtype=np.int64)[readings.epoch_index]
    columns = (
        readings.time_us, stream_id, readings.value, readings.covered_us, epoch, readings.seq, readings.mono_us,
        readings.flags,
    )  # fmt: skip
    rows = list(zip(*(column[order].tolist() for column in columns), [batch_id] * len(order), strict=True))
    savepoint = connection.begin_nested()
    inserted = store.insert_many(connection, "reading", READING_COLUMNS, rows)
    if inserted == len(rows):
        savepoint.commit()
    else:
        savepoint.rollback()
        there = _existing(store, connection, rows)
        old = np.array([(row[0], row[1]) in there for row in rows], dtype=bool)
        known = order[old]
        values = np.array([there[row[0], row[1]] for row, is_old in zip(rows, old.tolist(), strict=True) if is_old])
        equal = _judge(outcome, readings, known, values)
        if claim:
            claims = [
                (int(readings.time_us[i]), int(stream_id[i]), batch_id) for i in known[equal].tolist()
            ]
            store.insert_many(connection, "readingclaim", ("time_us", "stream_id", "batch_id"), claims)
        rows = [row for row, is_old in zip(rows, old.tolist(), strict=True) if not is_old]
        store.insert_many(connection, "reading", READING_COLUMNS, rows)
        order = order[~old]
    outcome.accepted += len(rows)
    _mark_stream_days(connection, store, stream_id[order], readings.time_us[order])
    return outcome


def _judge(outcome: Outcome, readings: Readings, rows: Ints, values: Ints) -> NDArray[np.bool_]:
    """Rows whose identity is taken: duplicates where the value is the same, else conflicts. Where it is the same."""
    equal = readings.value[rows] == values
    outcome.duplicates += int(equal.sum())
    for index in rows[~equal].tolist():
        outcome.rejects.append(
            Reject(int(readings.lines[index]), "energy_j" if _is_energy(readings, index) else "power_w",
                   "conflict: another value is known for this device and time; the first stays")
        )  # fmt: skip
    return np.asarray(equal)


def _is_energy(readings: Readings, index: int) -> bool:
    return readings.streams[int(readings.stream[index])].quantity == "energy"


def _existing(store: Store, connection: Connection, rows: list[Any]) -> dict[tuple[int, int], int]:
    """Values already known for the identities of rows."""
    connection.exec_driver_sql("CREATE TEMPORARY TABLE IF NOT EXISTS incoming (time_us BIGINT, stream_id BIGINT)")
    connection.exec_driver_sql("DELETE FROM incoming")
    mark = "?" if store.dialect == "sqlite" else "%s"
    connection.exec_driver_sql(f"INSERT INTO incoming VALUES ({mark}, {mark})", [(row[0], row[1]) for row in rows])
    found = connection.exec_driver_sql(
        "SELECT r.time_us, r.stream_id, r.value FROM incoming i "
        "JOIN reading r ON r.time_us = i.time_us AND r.stream_id = i.stream_id"
    )
    return {(time_us, stream_id): value for time_us, stream_id, value in found}


def _mark_stream_days(connection: Connection, store: Store, stream_id: Ints, time_us: Ints) -> None:
    if not len(time_us):
        return
    day = time_us // US_PER_DAY
    pair, place = np.unique(np.stack([stream_id, day]), axis=1, return_inverse=True)
    place = place.ravel()
    first = np.full(pair.shape[1], np.iinfo(np.int64).max)
    last = np.full(pair.shape[1], np.iinfo(np.int64).min)
    np.minimum.at(first, place, time_us)
    np.maximum.at(last, place, time_us)
    target = table(tables.StreamDay)
    fresh = [
        {"stream_id": s, "day": d, "first_us": f, "last_us": last_us, "version": 0}
        for s, d, f, last_us in zip(pair[0].tolist(), pair[1].tolist(), first.tolist(), last.tolist(), strict=True)
    ]
    store.insert_new(connection, tables.StreamDay, fresh)
    connection.execute(
        update(target)
        .where(target.c.stream_id == bindparam("s"), target.c.day == bindparam("d"))
        .values(
            first_us=store.least(target.c.first_us, bindparam("f")),
            last_us=store.greatest(target.c.last_us, bindparam("l")),
            version=target.c.version + 1,
        ),
        [{"s": row["stream_id"], "d": row["day"], "f": row["first_us"], "l": row["last_us"]} for row in fresh],
    )


def accept_requests(
    store: Store, connection: Connection, names: dict[str, int], requests: Requests, seen: dict[bytes, int],
    batch_id: int, *, claim: bool,
) -> Outcome:  # fmt: skip
    """Store requests within a transaction; ``names`` numbers every text of theirs, ``seen`` counts equal rows of a file."""
    outcome = Outcome()
    found_keys, contents = keys(requests, seen)
    taken: dict[bytes, bytes] = {}
    order: list[int] = []
    for index, (key, content) in enumerate(zip(found_keys, contents, strict=True)):
        if key in taken:
            _judge_request(outcome, requests, index, taken[key] == content)
        else:
            taken[key] = content
            order.append(index)
    columns = _request_columns(requests, names, found_keys, contents, batch_id)
    rows = [tuple(column[index] for column in columns) for index in order]
    savepoint = connection.begin_nested()
    if store.insert_many(connection, "request", REQUEST_COLUMNS, rows) == len(rows):
        savepoint.commit()
    else:
        savepoint.rollback()
        known = _existing_requests(store, connection, [row[0] for row in rows])
        for index in [index for index in order if found_keys[index] in known]:
            equal = bytes(known[found_keys[index]]) == contents[index]
            _judge_request(outcome, requests, index, equal)
            if equal and claim:
                store.insert_many(connection, "requestclaim", ("key", "batch_id"), [(found_keys[index], batch_id)])
        order = [index for index in order if found_keys[index] not in known]
        rows = [tuple(column[index] for column in columns) for index in order]
        store.insert_many(connection, "request", REQUEST_COLUMNS, rows)
    outcome.accepted += len(rows)
    kept = np.array(order, dtype=np.int64)
    services = np.array([names[requests.service[index]] for index in order], dtype=np.int64)
    mark_service_days(store, connection, services, requests.start_us[kept], requests.end_us[kept])
    return outcome


def _request_columns(
    requests: Requests, names: dict[str, int], found_keys: list[bytes], contents: list[bytes], batch_id: int
) -> list[list[Any]]:
    def maybe(values: Ints) -> list[Any]:
        return [None if value < 0 else value for value in values.tolist()]

    def ids(values: list[str]) -> list[int]:
        return [names[value] for value in values]

    units = [None if value != value else value for value in requests.units.tolist()]  # noqa: PLR0124 - NaN
    return [
        found_keys, requests.start_us.tolist(), maybe(requests.end_us), maybe(requests.first_token_us),
        ids(requests.service), ids(requests.use_case), ids(requests.model), requests.requests.tolist(),
        maybe(requests.input_tokens), maybe(requests.cached_input_tokens), maybe(requests.output_tokens),
        units, ids(requests.unit), ids(requests.status), contents, [batch_id] * len(requests),
    ]  # fmt: skip


def _judge_request(outcome: Outcome, requests: Requests, index: int, equal: bool) -> None:
    if equal:
        outcome.duplicates += 1
    else:
        outcome.rejects.append(
            Reject(int(requests.lines[index]), "id", "conflict: this id is known with other values; the first stays")
        )


def _existing_requests(store: Store, connection: Connection, wanted: list[bytes]) -> dict[bytes, bytes]:
    target = table(tables.Request)
    found: dict[bytes, bytes] = {}
    for start in range(0, len(wanted), 10_000):
        chosen = target.c.key.in_(wanted[start : start + 10_000])
        rows = connection.execute(select(target.c.key, target.c.content).where(chosen))
        found |= {bytes(row.key): bytes(row.content) for row in rows}
    return found


def mark_service_days(store: Store, connection: Connection, service: Ints, start_us: Ints, end_us: Ints) -> None:
    """Version every day on which one of these requests was in flight."""
    first = start_us // US_PER_DAY
    last = np.maximum(end_us, start_us) // US_PER_DAY
    days: dict[tuple[int, int], int] = {}
    single = first == last
    if single.any():
        pair, place = np.unique(np.stack([service[single], first[single]]), axis=1, return_inverse=True)
        least = np.full(pair.shape[1], np.iinfo(np.int64).max)
        np.minimum.at(least, place.ravel(), start_us[single])
        days = {(s, d): v for s, d, v in zip(pair[0].tolist(), pair[1].tolist(), least.tolist(), strict=True)}
    for s, a, b, t in zip(*(x[~single].tolist() for x in (service, first, last, start_us)), strict=True):
        for day in range(a, min(b, a + _MAX_DAYS) + 1):
            days[s, day] = min(days.get((s, day), t), t)
    if not days:
        return
    target = table(tables.ServiceDay)
    fresh = [{"service_id": s, "day": d, "first_us": t, "version": 0} for (s, d), t in sorted(days.items())]
    store.insert_new(connection, tables.ServiceDay, fresh)
    connection.execute(
        update(target)
        .where(target.c.service_id == bindparam("s"), target.c.day == bindparam("d"))
        .values(first_us=store.least(target.c.first_us, bindparam("f")), version=target.c.version + 1),
        [{"s": row["service_id"], "d": row["day"], "f": row["first_us"]} for row in fresh],
    )


def add_batch(connection: Connection, **values: Any) -> int:
    """Open a batch; its number."""
    target = table(tables.Batch)
    return int(connection.execute(insert(target).values(**values).returning(target.c.id)).scalar_one())
