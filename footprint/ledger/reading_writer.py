"""Writer of readings: stores each identity once and counts duplicates and conflicts.

The identity of a reading is (host, device, quantity, grade, time). The same value again is a duplicate; another value is a
conflict and is rejected. The versions of changed days are bumped in the same transaction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from footprint.attribution.array_types import Ints
from footprint.core.limits import Reject
from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_reader import ArchiveReader, has_retired_days
from footprint.ledger.day_versions import bump_stream_days
from footprint.ledger.energy_file import Readings
from footprint.ledger.rejects import CONFLICT, IngestResult
from footprint.storage import schema
from footprint.storage.bulk_insert import create_temporary_table
from footprint.storage.database import Store, table

Row = tuple[Any, ...]
READING_COLUMNS = ("stream_id", "time_us", "value", "covered_us", "epoch_id", "seq", "mono_us", "flags", "batch_id")
_COLUMN_OF = {"energy": "energy_j", "power": "power_w"}
_KNOWN = "incoming_reading i JOIN reading r ON r.stream_id = i.stream_id AND r.time_us = i.time_us"


def store_readings(
    store: Store, connection: Connection, ids: list[int], epochs: list[int], readings: Readings, batch_id: int, *, claim: bool
) -> IngestResult:
    """Store readings in a transaction; ``ids`` are the ids of their streams (-1: rejected), ``epochs`` those of their epochs.

    With ``claim``, this batch claims its duplicates, so that withdrawing the batch that stored them first does not lose them.
    """
    result = IngestResult()
    if not len(readings):
        return result
    stream_id = np.array(ids, dtype=np.int64)[readings.stream]
    result.rejects.extend(
        Reject(int(line), "component", "the device is known as another component") for line in readings.lines[stream_id < 0]
    )
    order = _drop_repeats(result, readings, stream_id)
    if not len(order):
        return result
    order = _split_off_retired(store, connection, result, readings, stream_id, order, batch_id if claim else None)
    if not len(order):
        return result
    epoch_id = np.array(epochs, dtype=np.int64)[readings.epoch_index]
    values = (
        stream_id,
        readings.time_us,
        readings.value,
        readings.covered_us,
        epoch_id,
        readings.seq,
        readings.mono_us,
        readings.flags,
        np.full(len(readings), batch_id),
    )
    rows = list(zip(*(column[order].tolist() for column in values), strict=True))
    if not _insert_if_all_new(store, connection, rows):
        new_positions = _split_off_known(result, readings, order, connection, rows, batch_id if claim else None)
        order, rows = order[new_positions], [rows[position] for position in new_positions.tolist()]
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
    """Count the rows that are already in a sealed file and no longer in SQL; return the others."""
    days = readings.time_us[order] // US_PER_DAY
    if not has_retired_days(connection, int(days.min()), int(days.max())):
        return order
    archive = ArchiveReader(store, connection)
    is_new = np.ones(len(order), dtype=bool)
    for stream in np.unique(readings.stream[order]).tolist():
        key = readings.streams[stream]
        of_stream = readings.stream[order] == stream
        for day in sorted(set(days[of_stream].tolist()) & archive.days(f"host {key.host}")):
            sealed = archive.readings(f"host {key.host}", day, key.device, key.quantity, key.grade)
            rows = np.flatnonzero(of_stream & (days == day))
            position = np.searchsorted(sealed[:, 0], readings.time_us[order[rows]])
            within = position < len(sealed)
            known = np.zeros(len(rows), dtype=bool)
            known[within] = sealed[position[within], 0] == readings.time_us[order[rows[within]]]
            equal = np.zeros(len(rows), dtype=bool)
            equal[known] = sealed[position[known], 1] == readings.value[order[rows[known]]]
            result.duplicates += int(equal.sum())
            _reject_conflicts(result, readings, order[rows[known & ~equal]])
            is_new[rows[known]] = False
            if claimant is not None:
                claims = [(int(readings.time_us[row]), int(stream_id[row]), claimant) for row in order[rows[equal]].tolist()]
                store.insert_many(connection, "readingclaim", ("time_us", "stream_id", "batch_id"), claims)
    return order[is_new]


def _insert_if_all_new(store: Store, connection: Connection, rows: list[Row]) -> bool:
    """Insert the rows if all are new, the common case; else none."""
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
    same_identity = (target.c.stream_id == row[0]) & (target.c.time_us == row[1])
    return connection.execute(select(target.c.value).where(same_identity)).first() is not None


def _split_off_known(
    result: IngestResult, readings: Readings, order: Ints, connection: Connection, rows: list[Row], claimant: int | None
) -> Ints:
    """Count the rows whose identity is stored, claim the equal ones and return the positions of the others."""
    columns = {"place": int, "stream_id": int, "time_us": int, "value": int}
    create_temporary_table(connection, "incoming_reading", columns, [(position, *row[:3]) for position, row in enumerate(rows)])
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
        conflicts = connection.exec_driver_sql(f"SELECT i.place FROM {_KNOWN} WHERE r.value <> i.value").scalars()
        _reject_conflicts(result, readings, order[sorted(conflicts)])
    if known == len(rows):
        return np.zeros(0, dtype=np.int64)
    new_positions = connection.exec_driver_sql(
        "SELECT i.place FROM incoming_reading i WHERE NOT EXISTS "
        "(SELECT 1 FROM reading r WHERE r.stream_id = i.stream_id AND r.time_us = i.time_us)"
    ).scalars()
    return np.array(sorted(new_positions), dtype=np.int64)


def _drop_repeats(result: IngestResult, readings: Readings, stream_id: Ints) -> Ints:
    """Rows sorted by stream and time, each identity once: the first of the file stays."""
    index = np.flatnonzero(stream_id >= 0)
    order = index[np.lexsort((index, readings.time_us[index], stream_id[index]))]
    time_us, stream = readings.time_us[order], stream_id[order]
    repeated = np.zeros(len(order), dtype=bool)
    repeated[1:] = (time_us[1:] == time_us[:-1]) & (stream[1:] == stream[:-1])
    if repeated.any():
        first = order[np.maximum.accumulate(np.where(repeated, 0, np.arange(len(order))))]
        equal = readings.value[order] == readings.value[first]
        result.duplicates += int((repeated & equal).sum())
        _reject_conflicts(result, readings, order[repeated & ~equal])
    return order[~repeated]


def _reject_conflicts(result: IngestResult, readings: Readings, rows: Ints) -> None:
    """Reject rows whose identity is stored with another value."""
    reason = f"{CONFLICT}: another value is known for this device and time; the first stays"
    for row in rows.tolist():
        quantity = readings.streams[int(readings.stream[row])].quantity
        result.rejects.append(Reject(int(readings.lines[row]), _COLUMN_OF.get(quantity, "cpu_us"), reason))
