"""Contents of a ledger by names instead of row numbers, to compare two ledgers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from footprint.storage import schema
from footprint.storage.database import Store, table


def readings(store: Store) -> set[tuple[Any, ...]]:
    """Host, device, component, quantity, grade, time [µs] and value of every reading of the ledger."""
    reading, stream = table(schema.Reading), table(schema.Stream)
    with store.read() as connection:
        rows = connection.execute(
            select(
                stream.c.host_id,
                stream.c.device_id,
                stream.c.component,
                stream.c.quantity,
                stream.c.grade,
                reading.c.time_us,
                reading.c.value,
            ).where(reading.c.stream_id == stream.c.id)
        ).all()
        names = store.texts(connection, {number for row in rows for number in row[:2]})
    return {(names[row[0]], names[row[1]], *row[2:]) for row in rows}


def requests(store: Store) -> list[tuple[Any, ...]]:
    """All columns of every request of the ledger, sorted."""
    target = table(schema.RequestRow)
    name_columns = ("service_id", "use_case_id", "model_id", "unit_id", "status_id")
    value_columns = (
        "start_us",
        "end_us",
        "first_token_us",
        "requests",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
        "units",
    )
    with store.read() as connection:
        rows = connection.execute(select(*(target.c[name] for name in (*name_columns, *value_columns)))).all()
        names = store.texts(connection, {number for row in rows for number in row[: len(name_columns)]})
    request_rows = [(*(names[number] for number in row[: len(name_columns)]), *row[len(name_columns) :]) for row in rows]
    return sorted(request_rows, key=repr)


def stream_days(store: Store) -> dict[tuple[str, int], tuple[int, int, int]]:
    """(Device, day) -> first time, last time [µs], version; a device has one stream in these tests."""
    day, stream = table(schema.StreamDay), table(schema.Stream)
    with store.read() as connection:
        rows = connection.execute(
            select(stream.c.device_id, day.c.day, day.c.first_us, day.c.last_us, day.c.version).where(
                day.c.stream_id == stream.c.id
            )
        ).all()
        names = store.texts(connection, {row[0] for row in rows})
    return {(names[row[0]], row[1]): tuple(row[2:]) for row in rows}


def service_days(store: Store) -> dict[tuple[str, int], tuple[int, int]]:
    """(Service, day) -> earliest start [µs] of a request in flight on that day, version."""
    with store.read() as connection:
        rows = connection.execute(select(table(schema.ServiceDayRow))).all()
        names = store.texts(connection, {row.service_id for row in rows})
    return {(names[row.service_id], row.day): (row.first_us, row.version) for row in rows}


def count(store: Store, model: Any) -> int:
    """Number of rows of a table."""
    with store.read() as connection:
        return len(connection.execute(select(table(model))).all())
