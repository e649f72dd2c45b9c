"""This file takes back rows of a batch that stand in sealed files; nothing is rewritten.

A sealed row of a withdrawn batch no longer counts (``ledger/retired.py`` leaves it out). A row for which another batch vouches
becomes a row of that batch in SQL, and a supplement at the next sealing.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, func, select, update

from footprint.core.units import US_PER_DAY
from footprint.ledger.archive_reader import ArchiveReader
from footprint.ledger.day_versions import bump_service_days
from footprint.ledger.reading_writer import READING_COLUMNS
from footprint.ledger.request_writer import REQUEST_COLUMNS
from footprint.storage import schema
from footprint.storage.database import Store, table


def withdraw_from_archive(store: Store, connection: Connection, batch: int) -> int:
    """Version the retired days that rows of a batch touch, before it counts as withdrawn; how many rows no longer count."""
    target = table(schema.Sealed)
    parts = connection.execute(select(target).where(target.c.retired).order_by(target.c.source, target.c.seq)).all()
    mine = sorted({(part.source, part.day) for part in parts if batch in json.loads(part.batches)})
    retired, gone = ArchiveReader(store, connection), 0
    for source, day in mine:
        found = retired.table(source, day)
        if found is None:
            continue
        of_batch = pc.equal(found.column("batch"), pa.scalar(batch, pa.int64()))
        rows = found.filter(of_batch).to_pylist()
        kind, _, name = source.partition(" ")
        if kind == "host":
            gone += _withdraw_readings(store, connection, name, rows, found.filter(pc.invert(of_batch)), day)
        else:
            gone += _withdraw_requests(store, connection, name, rows)
    return gone


def _name_ids(connection: Connection, texts: set[str]) -> dict[str, int]:
    target = table(schema.Name)
    return {row.text: row.id for row in connection.execute(select(target).where(target.c.text.in_(sorted(texts))))}


def _withdraw_readings(
    store: Store, connection: Connection, host: str, rows: list[dict[str, Any]], left: pa.Table, day: int
) -> int:
    ids = _name_ids(connection, {host, *(row["device"] for row in rows), *(row["epoch"] for row in rows)})
    stream, claim, days = table(schema.Stream), table(schema.ReadingClaim), table(schema.StreamDay)
    numbers = {
        (row.device_id, row.quantity, row.grade): row.id
        for row in connection.execute(select(stream).where(stream.c.host_id == ids[host]))
    }
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    vouched = {
        (row.stream_id, row.time_us): row.heir
        for row in connection.execute(
            select(claim.c.stream_id, claim.c.time_us, func.min(claim.c.batch_id).label("heir"))
            .where(claim.c.time_us >= start_us, claim.c.time_us < end_us)
            .group_by(claim.c.stream_id, claim.c.time_us)
        )
    }
    back: list[tuple[Any, ...]] = []
    touched: dict[int, tuple[str, str, str]] = {}
    for row in rows:
        number = numbers[ids[row["device"]], row["quantity"], row["grade"]]
        touched[number] = row["device"], row["quantity"], row["grade"]
        heir = vouched.get((number, row["time_us"]))
        if heir is not None:
            back.append(
                (
                    number,
                    row["time_us"],
                    row["value"],
                    row["covered_us"],
                    ids[row["epoch"]] if row["epoch"] else 0,
                    row["seq"],
                    row["mono_us"],
                    row["flags"],
                    heir,
                )
            )
    store.insert_many(connection, "reading", READING_COLUMNS, back)
    reading = table(schema.Reading)
    for number, identity in sorted(touched.items()):
        inside = (reading.c.stream_id == number) & (reading.c.time_us >= start_us) & (reading.c.time_us < end_us)
        low, high = connection.execute(select(func.min(reading.c.time_us), func.max(reading.c.time_us)).where(inside)).one()
        kept = left
        for name, value in zip(("device", "quantity", "grade"), identity, strict=True):
            kept = kept.filter(pc.equal(kept.column(name).cast(pa.string()), value))
        times = kept.column("time_us").to_pylist() + [at for at in (low, high) if at is not None]
        # A day left without a reading ends before it begins, as in SQL.
        held = {"first_us": min(times, default=0), "last_us": max(times, default=-1), "version": days.c.version + 1}
        connection.execute(update(days).where(days.c.stream_id == number, days.c.day == day).values(**held))
    return len(rows) - len(back)


def _withdraw_requests(store: Store, connection: Connection, service: str, rows: list[dict[str, Any]]) -> int:
    named = ("use_case", "model", "unit", "status")
    ids = _name_ids(connection, {service, *(row[name] for row in rows for name in named)})
    claim = table(schema.RequestClaim)
    keys = [row["key"] for row in rows]
    vouched: dict[bytes, int] = {}
    for start in range(0, len(keys), 10_000):
        chosen = claim.c.key.in_(keys[start : start + 10_000])
        found = connection.execute(select(claim.c.key, func.min(claim.c.batch_id)).where(chosen).group_by(claim.c.key))
        vouched |= {bytes(key): int(heir) for key, heir in found}
    back = [
        (
            row["key"],
            row["start_us"],
            row["end_us"],
            row["first_token_us"],
            ids[service],
            ids[row["use_case"]],
            ids[row["model"]],
            row["requests"],
            row["input_tokens"],
            row["cached_input_tokens"],
            row["output_tokens"],
            row["units"],
            ids[row["unit"]],
            ids[row["status"]],
            row["content"],
            vouched[row["key"]],
        )
        for row in rows
        if row["key"] in vouched
    ]
    store.insert_many(connection, "request", REQUEST_COLUMNS, back)
    columns = np.array(
        [(ids[service], row["start_us"], -1 if row["end_us"] is None else row["end_us"]) for row in rows], dtype=np.int64
    ).reshape(-1, 3)
    bump_service_days(store, connection, columns[:, 0], columns[:, 1], columns[:, 2])
    return len(rows) - len(back)
