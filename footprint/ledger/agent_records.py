"""Records from agents: conversion to readings, and the aliases of devices that they name."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from footprint.core.records import flags_of, grade_of
from footprint.core.units import US_PER_DAY
from footprint.ledger.day_versions import WHOLE_DAY, mark_dirty
from footprint.ledger.energy_file import CONTEXT_GRADE, Readings, StreamKey
from footprint.storage import schema
from footprint.storage.database import Store, table

NumberedRecord = tuple[int, Any]  # line number, record
DeviceAlias = tuple[str, str, str]  # host, alias (gpu:0), device identity


def readings_from_records(
    energy: list[NumberedRecord], activity: list[NumberedRecord], context: list[NumberedRecord]
) -> Readings:
    """Readings of energy, CPU time and device context."""
    streams: dict[StreamKey, int] = {}
    epochs: dict[str, int] = {}
    rows: list[tuple[int, ...]] = []

    def add_row(
        line: int, key: StreamKey, record: Any, value: int, covered_us: int = -1, mono_us: int = 0, flags: int = 0
    ) -> None:
        stream, epoch = streams.setdefault(key, len(streams)), epochs.setdefault(record.epoch, len(epochs))
        rows.append((line, record.at_us, stream, value, covered_us, epoch, record.seq, mono_us, flags))

    for line, reading in energy:
        grade = grade_of(reading.source, counter=True)
        key = StreamKey(reading.host, reading.device, "energy", grade, reading.component, reading.source, reading.model)
        add_row(
            line, key, reading, reading.energy_uj, reading.covered_us, reading.mono_us, flags_of(reading.status, reading.sync)
        )
    for line, reading in activity:
        device = reading.group if reading.group == "(host)" else f"group:{reading.group}"
        add_row(line, StreamKey(reading.host, device, "cpu", "counter", "cpu", "proc"), reading, reading.cpu_us)
        if reading.group == "(host)":
            add_row(line, StreamKey(reading.host, "(capacity)", "cpu", "counter", "cpu", "proc"), reading, reading.capacity_us)
        elif reading.memory_bytes is not None:
            add_row(
                line,
                StreamKey(reading.host, device, "memory_used_bytes", CONTEXT_GRADE, "cpu", "proc"),
                reading,
                reading.memory_bytes,
            )
    for line, reading in context:
        for quantity, value in reading.values.items():
            add_row(
                line,
                StreamKey(reading.host, reading.device, quantity, CONTEXT_GRADE, reading.component, reading.source),
                reading,
                value,
            )
    columns = np.array(rows, dtype=np.int64).reshape(-1, 9)
    lines, time_us, stream, value, covered_us, epoch, seq, mono_us, flags = (columns[:, i] for i in range(9))
    return Readings(list(streams), lines, time_us, stream, value, covered_us, list(epochs), epoch, seq, mono_us, flags)


def aliases_of(energy: list[NumberedRecord]) -> dict[DeviceAlias, int]:
    """Aliases of devices, each with the first instant [µs] of a reading that names it."""
    aliases: dict[DeviceAlias, int] = {}
    for _, reading in energy:
        if reading.alias:
            alias = reading.host, reading.alias, reading.device
            aliases[alias] = min(aliases.get(alias, reading.at_us), reading.at_us)
    return aliases


def record_alias(store: Store, connection: Connection, host_id: int, alias_id: int, device_id: int, since_us: int) -> None:
    """Record the device of an alias from ``since_us`` [µs] on, if its latest device is another one; ids are those of names."""
    target = table(schema.AliasRow)
    up_to_time = (target.c.host_id == host_id) & (target.c.place_id == alias_id) & (target.c.since_us <= since_us)
    latest = connection.execute(select(target.c.device_id).where(up_to_time).order_by(target.c.since_us.desc()).limit(1)).scalar()
    if latest != device_id:
        row = {"host_id": host_id, "place_id": alias_id, "since_us": since_us, "device_id": device_id}
        store.insert_new(connection, schema.AliasRow, [row])
        mark_dirty(store, connection, "host", {(host_id, since_us // US_PER_DAY): WHOLE_DAY})
