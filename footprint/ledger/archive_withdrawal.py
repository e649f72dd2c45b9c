"""Withdrawal of a batch whose rows are in sealed files, without rewriting any file.

``archive_reader`` skips sealed rows of withdrawn batches. A row that another batch claims too returns to SQL under that batch
and becomes a supplement at the next sealing.
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
from footprint.ledger.day_versions import WHOLE_DAY, bump_service_days, mark_dirty, stream_extent
from footprint.ledger.reading_writer import READING_COLUMNS
from footprint.ledger.request_writer import REQUEST_COLUMNS
from footprint.storage import schema
from footprint.storage.database import Store, table


def withdraw_from_archive(store: Store, connection: Connection, batch: int) -> int:
    """Bump the versions of the retired days that a batch touches and return how many rows are lost.

    Call this before the batch is marked as withdrawn.
    """
    target = table(schema.Sealed)
    parts = connection.execute(select(target).where(target.c.retired).order_by(target.c.source, target.c.seq)).all()
    days = sorted({(part.source, part.day) for part in parts if batch in json.loads(part.batches)})
    archive, withdrawn = ArchiveReader(store, connection), 0
    for source, day in days:
        sealed = archive.table(source, day)
        if sealed is None:
            continue
        of_batch = pc.equal(sealed.column("batch"), pa.scalar(batch, pa.int64()))
        rows = sealed.filter(of_batch).to_pylist()
        kind, _, name = source.partition(" ")
        if kind == "host":
            withdrawn += _withdraw_readings(store, connection, name, rows, sealed.filter(pc.invert(of_batch)), day)
        else:
            withdrawn += _withdraw_requests(store, connection, name, rows)
    return withdrawn


def _name_ids(connection: Connection, texts: set[str]) -> dict[str, int]:
    target = table(schema.Name)
    return {row.text: row.id for row in connection.execute(select(target).where(target.c.text.in_(sorted(texts))))}


def _withdraw_readings(
    store: Store, connection: Connection, host: str, rows: list[dict[str, Any]], other_rows: pa.Table, day: int
) -> int:
    ids = _name_ids(connection, {host, *(row["device"] for row in rows), *(row["epoch"] for row in rows)})
    stream, claim, days = table(schema.Stream), table(schema.ReadingClaim), table(schema.StreamDay)
    stream_ids = {
        (row.device_id, row.quantity, row.grade): row.id
        for row in connection.execute(select(stream).where(stream.c.host_id == ids[host]))
    }
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    claimants = {
        (row.stream_id, row.time_us): row.claimant
        for row in connection.execute(
            select(claim.c.stream_id, claim.c.time_us, func.min(claim.c.batch_id).label("claimant"))
            .where(claim.c.time_us >= start_us, claim.c.time_us < end_us)
            .group_by(claim.c.stream_id, claim.c.time_us)
        )
    }
    restored: list[tuple[Any, ...]] = []
    touched: dict[int, tuple[str, str, str]] = {}
    for row in rows:
        stream_id = stream_ids[ids[row["device"]], row["quantity"], row["grade"]]
        touched[stream_id] = row["device"], row["quantity"], row["grade"]
        claimant = claimants.get((stream_id, row["time_us"]))
        if claimant is not None:
            restored.append(
                (
                    stream_id,
                    row["time_us"],
                    row["value"],
                    row["covered_us"],
                    ids[row["epoch"]] if row["epoch"] else 0,
                    row["seq"],
                    row["mono_us"],
                    row["flags"],
                    claimant,
                )
            )
    store.insert_many(connection, "reading", READING_COLUMNS, restored)
    reading = table(schema.Reading)
    for stream_id, identity in sorted(touched.items()):
        on_day = (reading.c.stream_id == stream_id) & (reading.c.time_us >= start_us) & (reading.c.time_us < end_us)
        restored_us = connection.execute(select(reading.c.time_us).where(on_day)).scalars().all()
        remaining = other_rows
        for name, value in zip(("device", "quantity", "grade"), identity, strict=True):
            remaining = remaining.filter(pc.equal(remaining.column(name).cast(pa.string()), value))
        extent = stream_extent(sorted({*remaining.column("time_us").to_pylist(), *restored_us}), end_us)
        values = {**extent, "version": days.c.version + 1, "head": days.c.head + 1}
        connection.execute(update(days).where(days.c.stream_id == stream_id, days.c.day == day).values(**values))
    mark_dirty(store, connection, "host", {(ids[host], day): WHOLE_DAY})
    return len(rows) - len(restored)


def _withdraw_requests(store: Store, connection: Connection, service: str, rows: list[dict[str, Any]]) -> int:
    name_columns = ("use_case", "model", "unit", "status", "replica")
    ids = _name_ids(connection, {service, *(row[name] for row in rows for name in name_columns)})
    claim = table(schema.RequestClaim)
    keys = [row["key"] for row in rows]
    claimants: dict[bytes, int] = {}
    for start in range(0, len(keys), 10_000):
        in_slice = claim.c.key.in_(keys[start : start + 10_000])
        rows_of_keys = connection.execute(select(claim.c.key, func.min(claim.c.batch_id)).where(in_slice).group_by(claim.c.key))
        claimants |= {bytes(key): int(claimant) for key, claimant in rows_of_keys}
    restored = [
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
            claimants[row["key"]],
            ids[row["replica"]] if row["replica"] else None,
        )
        for row in rows
        if row["key"] in claimants
    ]
    store.insert_many(connection, "request", REQUEST_COLUMNS, restored)
    columns = np.array(
        [(ids[service], row["start_us"], -1 if row["end_us"] is None else row["end_us"]) for row in rows], dtype=np.int64
    ).reshape(-1, 3)
    bump_service_days(store, connection, columns[:, 0], columns[:, 1], columns[:, 2])
    return len(rows) - len(restored)
