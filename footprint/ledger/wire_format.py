"""This file turns records that came over the wire into columns, and notes which device stands in which place."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from footprint.core.records import flags_of, grade_of
from footprint.ledger.energy_file import Readings, StreamKey
from footprint.storage import schema
from footprint.storage.database import Store, table

NumberedRecord = tuple[int, Any]  # a record and the line on which it came
CONTEXT_GRADE = "context"  # circumstances: kept beside the readings, and never counted as energy
DeviceAlias = tuple[str, str, str]  # host, place (gpu:0), identity of the device in it


def readings_from_records(
    energy: list[NumberedRecord], activity: list[NumberedRecord], context: list[NumberedRecord]
) -> Readings:
    """Energy, CPU time and circumstances as readings of streams."""
    streams: dict[StreamKey, int] = {}
    epochs: dict[str, int] = {}
    rows: list[tuple[int, ...]] = []

    def row(number: int, key: StreamKey, record: Any, value: int, covered_us: int = -1, mono_us: int = 0, flags: int = 0) -> None:
        stream, epoch = streams.setdefault(key, len(streams)), epochs.setdefault(record.epoch, len(epochs))
        rows.append((number, record.at_us, stream, value, covered_us, epoch, record.seq, mono_us, flags))

    for number, r in energy:
        grade = grade_of(r.source, counter=True)
        key = StreamKey(r.host, r.device, "energy", grade, r.component, r.source, r.model)
        row(number, key, r, r.energy_uj, r.covered_us, r.mono_us, flags_of(r.status, r.sync))
    for number, r in activity:
        name = r.group if r.group == "(host)" else f"group:{r.group}"
        row(number, StreamKey(r.host, name, "cpu", "counter", "cpu", "proc"), r, r.cpu_us)
        if r.group == "(host)":
            row(number, StreamKey(r.host, "(capacity)", "cpu", "counter", "cpu", "proc"), r, r.capacity_us)
        elif r.memory_bytes is not None:
            row(number, StreamKey(r.host, name, "memory_used_bytes", CONTEXT_GRADE, "cpu", "proc"), r, r.memory_bytes)
    for number, r in context:
        for quantity, value in r.values.items():
            row(number, StreamKey(r.host, r.device, quantity, CONTEXT_GRADE, r.component, r.source), r, value)
    columns = np.array(rows, dtype=np.int64).reshape(-1, 9)
    lines, time_us, stream, value, covered_us, epoch, seq, mono_us, flags = (columns[:, i] for i in range(9))
    return Readings(list(streams), lines, time_us, stream, value, covered_us, list(epochs), epoch, seq, mono_us, flags)


def aliases_of(energy: list[NumberedRecord]) -> dict[DeviceAlias, int]:
    """Places and the devices in them, each since the first instant at which a reading says so."""
    places: dict[DeviceAlias, int] = {}
    for _, reading in energy:
        if reading.alias:
            place = reading.host, reading.alias, reading.device
            places[place] = min(places.get(place, reading.at_us), reading.at_us)
    return places


def record_alias(store: Store, connection: Connection, host: int, place: int, device: int, since_us: int) -> None:
    """Note that a place holds a device, where the device that held it last was another."""
    target = table(schema.AliasRow)
    mine = (target.c.host_id == host) & (target.c.place_id == place) & (target.c.since_us <= since_us)
    latest = connection.execute(select(target.c.device_id).where(mine).order_by(target.c.since_us.desc()).limit(1)).scalar()
    if latest != device:
        row = {"host_id": host, "place_id": place, "since_us": since_us, "device_id": device}
        store.insert_new(connection, schema.AliasRow, [row])
