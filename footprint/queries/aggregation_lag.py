"""Aggregation lag: since when days wait to be computed, and whether that is longer than it should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_S
from footprint.storage import schema
from footprint.storage.database import table

# The scheduler looks for days to compute every 10 s and computes a day of a hundred hosts in minutes. A wait of 15 minutes means
# that it does not run, that it fails, or that it cannot keep up.
BEHIND_AFTER_S = 900


def waiting_since_us(connection: Connection) -> int | None:
    """Instant [µs] since which days that are not computed wait at the longest; None for a store that took in nothing.

    That is the first import or withdrawal after the start of the last aggregation that completed, else that start.
    """
    job, shard, batch = table(schema.Job), table(schema.Shard), table(schema.Batch)
    runs = (
        select(func.max(job.c.started_us)).where(job.c.name == "aggregate", job.c.status == "done"),
        select(func.max(shard.c.computed_us)),
    )
    last_us = max((int(value) for run in runs if (value := connection.execute(run).scalar()) is not None), default=-1)
    changes = [
        connection.execute(select(func.min(column)).where(column > last_us)).scalar()
        for column in (batch.c.imported_us, batch.c.withdrawn_us)
    ]
    since_us = min((int(change) for change in changes if change is not None), default=last_us)
    return since_us if since_us >= 0 else None


def pending_hosts(balances: Iterable[Mapping[str, Any]]) -> str:
    """Hosts with days that wait to be computed, their number and since when, as a sentence; empty if there is none."""
    waiting = [row for row in balances if row["pending_days"]]
    if not waiting:
        return ""
    days = ", ".join(f"{row['pending_days']} of {row['host']}" for row in waiting)
    return f"days pending since {waiting[0]['pending_since']}: {days} (`footprint aggregate` computes them)"


def pending_s(balances: Iterable[Mapping[str, Any]], now_us: int) -> float:
    """Time [s] for which days of these balances have been pending; 0 if no day is."""
    since = [parse_instant(row["pending_since"]) for row in balances if row["pending_since"]]
    return max(now_us - min(since), 0) / US_PER_S if since else 0.0
