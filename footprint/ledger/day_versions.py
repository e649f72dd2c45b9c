"""Versions of days: each change bumps the version, so the store alone shows which days to recompute.

The same transaction marks the day of the host or service as dirty: the next aggregation looks at it and at the days that rest
on it, and at no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from sqlalchemy import Connection, case, select

from footprint.attribution.array_types import Ints
from footprint.core.units import US_PER_DAY, US_PER_HOUR
from footprint.storage import schema
from footprint.storage.database import Store, table

DaysSince = Mapping[tuple[int, int], int]  # (id, UTC day) -> instant [µs]
WHOLE_DAY = -(2**62)  # an instant before any: the whole day changed
HEAD_US = 2 * US_PER_HOUR  # requests that start in it are the head of their day
_STREAMS_PER_STATEMENT = 10_000
_MAX_DAYS = 400  # of a longer request, only this many days and the last one are bumped


def mark_dirty(store: Store, connection: Connection, kind: Literal["host", "service"], since_us: DaysSince) -> None:
    """Mark days of hosts or services (name ids) as changed since an instant [µs] of each; the version grows with every mark."""
    rows = [
        {"kind": kind, "name_id": name_id, "day": day, "version": 1, "since_us": at_us}
        for (name_id, day), at_us in sorted(since_us.items())
    ]
    if rows:
        target, insert = table(schema.DirtyDay), store.insert(schema.DirtyDay)
        values = {"version": target.c.version + 1, "since_us": store.least(target.c.since_us, insert.excluded.since_us)}
        connection.execute(insert.on_conflict_do_update(index_elements=["kind", "name_id", "day"], set_=values), rows)


def mark_streams_dirty(store: Store, connection: Connection, since_us: DaysSince) -> None:
    """Mark the days of the hosts of streams (ids) as changed since an instant [µs] of each."""
    stream, ids = table(schema.Stream), sorted({stream_id for stream_id, _ in since_us})
    hosts: dict[int, int] = {}
    for start in range(0, len(ids), _STREAMS_PER_STATEMENT):
        in_slice = stream.c.id.in_(ids[start : start + _STREAMS_PER_STATEMENT])
        hosts |= {row.id: row.host_id for row in connection.execute(select(stream.c.id, stream.c.host_id).where(in_slice))}
    of_hosts: dict[tuple[int, int], int] = {}
    for (stream_id, day), at_us in since_us.items():
        key = hosts[stream_id], day
        of_hosts[key] = min(of_hosts.get(key, at_us), at_us)
    mark_dirty(store, connection, "host", of_hosts)


def bump_stream_days(store: Store, connection: Connection, stream_id: Ints, time_us: Ints) -> None:
    """Bump the version of every (stream, day) with new readings and widen its extent.

    Readings must be sorted by stream and time. A day that withdrawals emptied (``last_us`` before ``first_us``) takes the
    extent of the new readings.
    """
    if not len(time_us):
        return
    day = time_us // US_PER_DAY
    first = np.flatnonzero((np.diff(stream_id, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0))
    last = np.append(first[1:], len(day)) - 1
    second_us = np.where(last > first, time_us[np.minimum(first + 1, len(day) - 1)], (day[first] + 1) * US_PER_DAY)
    columns = (stream_id[first], day[first], time_us[first], second_us, time_us[last])
    rows = [
        {"stream_id": stream, "day": on_day, "first_us": at_us, "second_us": then_us, "last_us": last_us, "version": 1, "head": 1}
        for stream, on_day, at_us, then_us, last_us in zip(*(column.tolist() for column in columns), strict=True)
    ]
    target = table(schema.StreamDay)
    insert = store.insert(schema.StreamDay)
    new, empty = insert.excluded, target.c.last_us < target.c.first_us
    second = store.least(store.greatest(target.c.first_us, new.first_us), target.c.second_us, new.second_us)
    widened = {
        "first_us": case((empty, new.first_us), else_=store.least(target.c.first_us, new.first_us)),
        "second_us": case((empty, new.second_us), else_=second),
        "last_us": case((empty, new.last_us), else_=store.greatest(target.c.last_us, new.last_us)),
        "version": target.c.version + 1,
        "head": target.c.head + case((empty | (new.first_us < target.c.second_us), 1), else_=0),
    }
    connection.execute(insert.on_conflict_do_update(index_elements=["stream_id", "day"], set_=widened), rows)
    mark_streams_dirty(store, connection, {(row["stream_id"], row["day"]): row["first_us"] for row in rows})


def stream_extent(times_us: Sequence[int], end_us: int) -> dict[str, int]:
    """First, second and last of the instants of a day, in order; the day ends at ``end_us``. Without any, last before first."""
    if not times_us:
        return {"first_us": 0, "second_us": end_us, "last_us": -1}
    return {"first_us": times_us[0], "second_us": times_us[1] if times_us[1:] else end_us, "last_us": times_us[-1]}


def bump_service_days(store: Store, connection: Connection, service: Ints, start_us: Ints, end_us: Ints) -> None:
    """Bump the version of every (service, day) on which one of these requests was in flight; an unknown end is -1."""
    days: dict[tuple[int, int], int] = {}
    first, last = start_us // US_PER_DAY, np.maximum(end_us, start_us) // US_PER_DAY
    row_order = np.lexsort((start_us, last, first, service))
    columns = np.stack([service[row_order], first[row_order], last[row_order], start_us[row_order]])
    # Among requests of one service with the same first and last day, only the earliest start matters.
    changes = (np.diff(columns[:3], axis=1, prepend=-1) != 0).any(axis=0)
    for service_id, first_day, last_day, first_us in columns[:, changes].T.tolist():
        for day in (*range(first_day, min(last_day, first_day + _MAX_DAYS)), last_day):
            days[service_id, day] = min(days.get((service_id, day), first_us), first_us)
    if not days:
        return
    rows = [
        {
            "service_id": service_id,
            "day": day,
            "first_us": first_us,
            "version": 1,
            "head": int(first_us < day * US_PER_DAY + HEAD_US),
        }
        for (service_id, day), first_us in sorted(days.items())
    ]
    target = table(schema.ServiceDayRow)
    insert = store.insert(schema.ServiceDayRow)
    values = {
        "first_us": store.least(target.c.first_us, insert.excluded.first_us),
        "version": target.c.version + 1,
        "head": target.c.head + insert.excluded.head,
    }
    connection.execute(insert.on_conflict_do_update(index_elements=["service_id", "day"], set_=values), rows)
    mark_dirty(store, connection, "service", days)
