"""This file leads from a question down to the readings: days of devices, hours, readings, and where these came from.

Each level is a table of its own, with the digest of its rows, so that two people can tell whether they look at the same.
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
    """One step of the way down: a table and the sha256 of its rows as canonical JSON."""

    name: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]

    @property
    def sha256(self) -> str:
        """The digest: rows as JSON, keys in the order of the columns, floats as their shortest decimals."""
        told = [[row[name] for name in self.columns] for row in self.rows]
        return hashlib.sha256(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _lineage_level(name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> LineageLevel:
    return LineageLevel(name, tuple(columns), [{column: row[column] for column in columns} for row in rows])


def days(store: Store, config: Config, question: Query, now_us: int) -> LineageLevel:
    """Energy of each device on each day that is in a question's figure; their sum is the figure."""
    asked = replace(question, group=("host", "device"), every="day", view="active")
    return _lineage_level("days", DAY_COLUMNS, run_query(store, config, asked, now_us).rows)


def facts(store: Store, config: Config, question: Query, now_us: int) -> LineageLevel:
    """The declared or assumed facts and the factors that turned readings into the figure, each once."""
    found: dict[tuple[Any, ...], None] = {}
    with open_result(store, config, replace(question, view="active"), now_us) as together:
        for group in (together.groups if together is not None else {}).values():
            for place, _ in group.cells:
                b = place.basis
                factor = b.factor or (None, None, None)
                found[
                    b.host, b.site, *b.pue, *b.uplift, b.factor_id or None, *factor, b.factor_version or None, b.method_version
                ] = None
    rows = [dict(zip(FACT_COLUMNS, key, strict=True)) for key in sorted(found, key=repr)]
    return _lineage_level("facts", FACT_COLUMNS, rows)


def hours(store: Store, config: Config, question: Query, now_us: int, *, host: str, day: int) -> LineageLevel:
    """Hours of a host on a UTC day: what each device gave to each use case of the question."""
    asked = replace(
        question,
        group=("host", "device", "service", "use_case"),
        every="hour",
        view="active",
        from_us=day * US_PER_DAY,
        to_us=(day + 1) * US_PER_DAY,
        where=(*question.where, ("host", host)),
    )
    return _lineage_level("hours", HOUR_COLUMNS, run_query(store, config, asked, now_us).rows)


def readings(store: Store, *, host: str, device: str, day: int) -> LineageLevel:
    """Readings of a device on a UTC day, as they were told."""
    return _lineage_level(
        "readings", READING_COLUMNS, raw_readings(store, host, device, day * US_PER_DAY, (day + 1) * US_PER_DAY)
    )


def origins(store: Store, config: Config, *, host: str, day: int) -> LineageLevel:
    """Where the readings of a host's day came from: what brought them in, and the sealed files with their link in the chain."""
    target, batch = table(schema.Sealed), table(schema.Batch)
    with store.read() as connection:
        sealed = connection.execute(
            select(target).where(target.c.source == f"host {host}", target.c.day == day).order_by(target.c.seq)
        ).all()
        numbers = {number for part in sealed for number in json.loads(part.batches)} | _batches_in_sql(
            store, connection, host, day
        )
        brought = connection.execute(select(batch).where(batch.c.id.in_(sorted(numbers))).order_by(batch.c.id)).all()
    date = format_instant(day * US_PER_DAY)[:10]
    rows = [
        {
            "host": host,
            "date": date,
            "kind": each.kind,
            "name": each.name,
            "sha256": each.sha256 or None,
            "at": format_instant(each.imported_us),
            "rows": each.accepted,
            "chain_link": None,
        }
        for each in brought
    ]
    rows += [
        {
            "host": host,
            "date": date,
            "kind": "sealed file",
            "name": f"{ObjectStore(config.sealed_url()).url}/{part.file}",
            "sha256": part.sha256,
            "at": format_instant(part.sealed_us),
            "rows": part.rows,
            "chain_link": part.link,
        }
        for part in sealed
        if part.file
    ]
    return _lineage_level("origins", ORIGIN_COLUMNS, rows)


def _batches_in_sql(store: Store, connection: Any, host: str, day: int) -> set[int]:
    """Batches of the readings of a host's day that still stand in SQL."""
    reading = table(schema.Reading)
    streams = [stream.id for stream in LedgerView(store, connection).streams().get(host, [])]
    within = (reading.c.time_us >= day * US_PER_DAY) & (reading.c.time_us < (day + 1) * US_PER_DAY)
    found = connection.execute(select(reading.c.batch_id).where(reading.c.stream_id.in_(streams), within).distinct())
    return {int(row.batch_id) for row in found}
