"""Lineage of a figure: from a query to days of devices, hours, readings, and the imports that brought the readings.

Each level is a table with the digest of its rows, so that two people can check that they look at the same data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY
from footprint.figures.engine import open_result, run_query
from footprint.figures.query import Query
from footprint.ledger.ledger_view import LedgerView
from footprint.ledger.object_store import ObjectStore
from footprint.queries.raw_readings import COLUMNS as READING_COLUMNS
from footprint.queries.raw_readings import raw_readings
from footprint.storage import schema
from footprint.storage.database import Store, table

DAY_COLUMNS = (
    "host",
    "device",
    "period_start",
    "period_end",
    "energy_kwh",
    "coverage",
    "quality",
    "method_version",
    "factor_version",
)
HOUR_COLUMNS = (
    "host",
    "device",
    "service",
    "use_case",
    "period_start",
    "period_end",
    "accelerator_active_kwh",
    "accelerator_idle_kwh",
    "host_kwh",
    "facility_kwh",
    "energy_kwh",
    "co2e_location_g",
    "coverage",
    "quality",
)
FACT_COLUMNS = (
    "host",
    "site",
    "pue",
    "pue_low",
    "pue_high",
    "uplift",
    "uplift_low",
    "uplift_high",
    "factor",
    "g_per_kwh",
    "g_per_kwh_low",
    "g_per_kwh_high",
    "factor_version",
    "method_version",
)
ORIGIN_COLUMNS = ("host", "date", "kind", "name", "sha256", "at", "rows", "chain_link")


@dataclass(frozen=True, slots=True)
class LineageLevel:
    """One level of the lineage: a table and the SHA-256 of its rows as canonical JSON."""

    name: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]

    @property
    def sha256(self) -> str:
        """SHA-256 of the rows as JSON arrays in column order, floats in their shortest decimal form."""
        values = [[row[name] for name in self.columns] for row in self.rows]
        return hashlib.sha256(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _lineage_level(name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> LineageLevel:
    return LineageLevel(name, tuple(columns), [{column: row[column] for column in columns} for row in rows])


def day_level(store: Store, config: Config, query: Query, now_us: int) -> LineageLevel:
    """Energy [kWh] of each device on each day of a query; the days sum to the figure."""
    daily = replace(query, group=("host", "device"), every="day", view="active")
    return _lineage_level("days", DAY_COLUMNS, run_query(store, config, daily, now_us).rows)


def fact_level(store: Store, config: Config, query: Query, now_us: int) -> LineageLevel:
    """Declared or assumed facts and factors that turn readings into the figure, each combination once."""
    distinct: dict[tuple[Any, ...], None] = {}
    with open_result(store, config, replace(query, view="active"), now_us) as result:
        for group in (result.groups if result is not None else {}).values():
            for cell_key, _ in group.cells:
                basis = cell_key.basis
                factor = basis.factor or (None, None, None)
                distinct[
                    basis.host,
                    basis.site,
                    *basis.pue,
                    *basis.uplift,
                    basis.factor_id or None,
                    *factor,
                    basis.factor_version or None,
                    basis.method_version,
                ] = None
    rows = [dict(zip(FACT_COLUMNS, key, strict=True)) for key in sorted(distinct, key=repr)]
    return _lineage_level("facts", FACT_COLUMNS, rows)


def hour_level(store: Store, config: Config, query: Query, now_us: int, *, host: str, utc_day: int) -> LineageLevel:
    """Energy [kWh] and emissions [g] of each device for each use case of a query, by hour of a host's UTC day."""
    hourly = replace(
        query,
        group=("host", "device", "service", "use_case"),
        every="hour",
        view="active",
        from_us=utc_day * US_PER_DAY,
        to_us=(utc_day + 1) * US_PER_DAY,
        where=(*query.where, ("host", host)),
    )
    return _lineage_level("hours", HOUR_COLUMNS, run_query(store, config, hourly, now_us).rows)


def reading_level(store: Store, *, host: str, device: str, utc_day: int) -> LineageLevel:
    """Readings of a device on a UTC day (days since 1970), as they were received."""
    return _lineage_level(
        "readings", READING_COLUMNS, raw_readings(store, host, device, utc_day * US_PER_DAY, (utc_day + 1) * US_PER_DAY)
    )


def origin_level(store: Store, config: Config, *, host: str, utc_day: int) -> LineageLevel:
    """Origin of the readings of a host's UTC day: import batches, and archived files with their link in the hash chain."""
    archive, batch = table(schema.Sealed), table(schema.Batch)
    with store.read() as connection:
        sealed = connection.execute(
            select(archive).where(archive.c.source == f"host {host}", archive.c.day == utc_day).order_by(archive.c.seq)
        ).all()
        batch_ids = {batch_id for archived in sealed for batch_id in json.loads(archived.batches)} | _batches_in_sql(
            store, connection, host, utc_day
        )
        batches = connection.execute(select(batch).where(batch.c.id.in_(sorted(batch_ids))).order_by(batch.c.id)).all()
    date = format_instant(utc_day * US_PER_DAY)[:10]
    rows = [
        {
            "host": host,
            "date": date,
            "kind": source.kind,
            "name": source.name,
            "sha256": source.sha256 or None,
            "at": format_instant(source.imported_us),
            "rows": source.accepted,
            "chain_link": None,
        }
        for source in batches
    ]
    rows += [
        {
            "host": host,
            "date": date,
            "kind": "sealed file",
            "name": f"{ObjectStore(config.sealed_url()).url}/{archived.file}",
            "sha256": archived.sha256,
            "at": format_instant(archived.sealed_us),
            "rows": archived.rows,
            "chain_link": archived.link,
        }
        for archived in sealed
        if archived.file
    ]
    return _lineage_level("origins", ORIGIN_COLUMNS, rows)


def _batches_in_sql(store: Store, connection: Any, host: str, utc_day: int) -> set[int]:
    """Batches of the readings of a host's day that are still in SQL."""
    reading = table(schema.Reading)
    streams = [stream.id for stream in LedgerView(store, connection).streams().get(host, [])]
    on_day = (reading.c.time_us >= utc_day * US_PER_DAY) & (reading.c.time_us < (utc_day + 1) * US_PER_DAY)
    rows = connection.execute(select(reading.c.batch_id).where(reading.c.stream_id.in_(streams), on_day).distinct())
    return {int(row.batch_id) for row in rows}
