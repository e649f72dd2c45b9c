"""This file puts readings into the store: identity, duplicates, conflicts; the first one stays.

Identity of a reading is (host, device, kind of quantity, time). The same again is a duplicate,
another value is a conflict and is refused. Days that change are versioned in the same transaction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_reader import ArchiveReader, has_retired_days
from footprint.ledger.day_versions import bump_stream_days
from footprint.ledger.energy_file import Readings
from footprint.ledger.rejects import CONFLICT, IngestResult, Reject
from footprint.storage import schema
from footprint.storage.bulk_insert import create_temporary_table
from footprint.storage.database import Store, table

Ints = NDArray[np.int64]
Row = tuple[Any, ...]
READING_COLUMNS = ("stream_id", "time_us", "value", "covered_us", "epoch_id", "seq", "mono_us", "flags", "batch_id")
_COLUMN_OF = {"energy": "energy_j", "power": "power_w"}
_KNOWN = "incoming_reading i JOIN reading r ON r.stream_id = i.stream_id AND r.time_us = i.time_us"


def store_readings(
    store: Store, connection: Connection, ids: list[int], epochs: list[int], readings: Readings, batch_id: int, *, claim: bool
) -> IngestResult:
    """Store readings within a transaction; ``ids`` are the numbers of their streams, ``epochs`` of their epochs.

    With ``claim`` a duplicate is remembered as vouched for by this batch, so that withdrawing the
    batch that brought it first does not lose it.
    """
    result = IngestResult()
    if not len(readings):
        return result
    stream_id = np.array(ids, dtype=np.int64)[readings.stream]
    result.rejects += [
        Reject(int(line), "component", "the device is known as another component") for line in readings.lines[stream_id < 0]
    ]
    order = _drop_repeats(result, readings, stream_id)
    if not len(order):
        return result
    order = _split_off_retired(store, connection, result, readings, stream_id, order, batch_id if claim else None)
    if not len(order):
        return result
    epoch = np.array(epochs, dtype=np.int64)[readings.epoch_index]
    columns = (
        stream_id,
        readings.time_us,
        readings.value,
        readings.covered_us,
        epoch,
        readings.seq,
        readings.mono_us,
        readings.flags,
        np.full(len(readings), batch_id),
    )
    rows = list(zip(*(column[order].tolist() for column in columns), strict=True))
    if not _insert_if_all_new(store, connection, rows):
        new = _split_off_known(result, readings, order, connection, rows, batch_id if claim else None)
        order, rows = order[new], [rows[place] for place in new.tolist()]
        store.insert_many(connection, "reading", READING_COLUMNS, rows)
    result.accepted += len(rows)
    bump_stream_days(store, connection, stream_id[order], readings.time_us[order])
    return result


def _split_off_retired(
    store: Store,
    connection: Connection,
    result: IngestResult,
    readings: Readings,
    stream_id: Ints,
    order: Ints,
    claimant: int | None,
) -> Ints:
    """Judge the rows that stand in a sealed file and no longer in SQL; the others."""
    days = readings.time_us[order] // US_PER_DAY
    if not has_retired_days(connection, int(days.min()), int(days.max())):
        return order
    retired = ArchiveReader(store, connection)
    left = np.ones(len(order), dtype=bool)
    for stream in np.unique(readings.stream[order]).tolist():
        key = readings.streams[stream]
        mine = readings.stream[order] == stream
        for day in sorted(set(days[mine].tolist()) & retired.days(f"host {key.host}")):
            sealed = retired.readings(f"host {key.host}", day, key.device, key.quantity, key.grade)
            rows = np.flatnonzero(mine & (days == day))
            place = np.searchsorted(sealed[:, 0], readings.time_us[order[rows]])
            inside = place < len(sealed)
            known = np.zeros(len(rows), dtype=bool)
            known[inside] = sealed[place[inside], 0] == readings.time_us[order[rows[inside]]]
            equal = np.zeros(len(rows), dtype=bool)
            equal[known] = sealed[place[known], 1] == readings.value[order[rows[known]]]
            result.duplicates += int(equal.sum())
            _reject_conflicts(result, readings, order[rows[known & ~equal]])
            left[rows[known]] = False
            if claimant is not None:
                claims = [(int(readings.time_us[row]), int(stream_id[row]), claimant) for row in order[rows[equal]].tolist()]
                store.insert_many(connection, "readingclaim", ("time_us", "stream_id", "batch_id"), claims)
    return order[left]


def _insert_if_all_new(store: Store, connection: Connection, rows: list[Row]) -> bool:
    """Insert rows if every one of them is new, which is the rule; else none."""
    if _is_stored(connection, rows[0]) or _is_stored(connection, rows[-1]):
        return False
    savepoint = connection.begin_nested()
    if store.insert_many(connection, "reading", READING_COLUMNS, rows) == len(rows):
        savepoint.commit()
        return True
    savepoint.rollback()
    return False


def _is_stored(connection: Connection, row: Row) -> bool:
    target = table(schema.Reading)
    mine = (target.c.stream_id == row[0]) & (target.c.time_us == row[1])
    return connection.execute(select(target.c.value).where(mine)).first() is not None


def _split_off_known(
    result: IngestResult, readings: Readings, order: Ints, connection: Connection, rows: list[Row], claimant: int | None
) -> Ints:
    """Judge the rows whose identity is stored already, claim those that are the same; places of the others."""
    columns = {"place": int, "stream_id": int, "time_us": int, "value": int}
    create_temporary_table(connection, "incoming_reading", columns, [(place, *row[:3]) for place, row in enumerate(rows)])
    known, equal = connection.exec_driver_sql(
        f"SELECT COUNT(*), COUNT(CASE WHEN r.value = i.value THEN 1 END) FROM {_KNOWN}"
    ).one()
    result.duplicates += equal
    if claimant is not None:
        connection.exec_driver_sql(
            "INSERT INTO readingclaim (time_us, stream_id, batch_id) "
            f"SELECT i.time_us, i.stream_id, {claimant:d} FROM {_KNOWN} WHERE r.value = i.value ON CONFLICT DO NOTHING"
        )
    if known > equal:
        other = connection.exec_driver_sql(f"SELECT i.place FROM {_KNOWN} WHERE r.value <> i.value").scalars()
        _reject_conflicts(result, readings, order[sorted(other)])
    if known == len(rows):
        return np.zeros(0, dtype=np.int64)
    new = connection.exec_driver_sql(
        "SELECT i.place FROM incoming_reading i WHERE NOT EXISTS "
        "(SELECT 1 FROM reading r WHERE r.stream_id = i.stream_id AND r.time_us = i.time_us)"
    ).scalars()
    return np.array(sorted(new), dtype=np.int64)


def _drop_repeats(result: IngestResult, readings: Readings, stream_id: Ints) -> Ints:
    """Rows by stream and time, each identity once: the first of the file stays."""
    index = np.flatnonzero(stream_id >= 0)
    order = index[np.lexsort((index, readings.time_us[index], stream_id[index]))]
    time_us, stream = readings.time_us[order], stream_id[order]
    again = np.zeros(len(order), dtype=bool)
    again[1:] = (time_us[1:] == time_us[:-1]) & (stream[1:] == stream[:-1])
    if again.any():
        first = order[np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))]
        equal = readings.value[order] == readings.value[first]
        result.duplicates += int((again & equal).sum())
        _reject_conflicts(result, readings, order[again & ~equal])
    return order[~again]


def _reject_conflicts(result: IngestResult, readings: Readings, rows: Ints) -> None:
    """Rows whose identity is known with another value."""
    told = f"{CONFLICT}: another value is known for this device and time; the first stays"
    for row in rows.tolist():
        quantity = readings.streams[int(readings.stream[row])].quantity
        result.rejects.append(Reject(int(readings.lines[row]), _COLUMN_OF.get(quantity, "cpu_us"), told))
