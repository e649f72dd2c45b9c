"""Versions of days: each change bumps the version, so the store alone shows which days to recompute."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection, case

from footprint.attribution.array_types import Ints
from footprint.core.units import US_PER_DAY
from footprint.storage import schema
from footprint.storage.database import Store, table

_MAX_DAYS = 400  # of a longer request, only this many days and the last one are bumped


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
    columns = (stream_id[first], day[first], time_us[first], time_us[last])
    rows = [
        {"stream_id": stream, "day": on_day, "first_us": first_us, "last_us": last_us, "version": 1}
        for stream, on_day, first_us, last_us in zip(*(column.tolist() for column in columns), strict=True)
    ]
    target = table(schema.StreamDay)
    insert = store.insert(schema.StreamDay)
    new, empty = insert.excluded, target.c.last_us < target.c.first_us
    widened = {
        "first_us": case((empty, new.first_us), else_=store.least(target.c.first_us, new.first_us)),
        "last_us": case((empty, new.last_us), else_=store.greatest(target.c.last_us, new.last_us)),
        "version": target.c.version + 1,
    }
    connection.execute(insert.on_conflict_do_update(index_elements=["stream_id", "day"], set_=widened), rows)


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
        {"service_id": service_id, "day": day, "first_us": first_us, "version": 1}
        for (service_id, day), first_us in sorted(days.items())
    ]
    target = table(schema.ServiceDayRow)
    insert = store.insert(schema.ServiceDayRow)
    values = {"first_us": store.least(target.c.first_us, insert.excluded.first_us), "version": target.c.version + 1}
    connection.execute(insert.on_conflict_do_update(index_elements=["service_id", "day"], set_=values), rows)
