"""This file versions the days that change: what must be computed again is known from the store alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, case

from footprint.core.units import US_PER_DAY
from footprint.storage import schema
from footprint.storage.database import Store, table

Ints = NDArray[np.int64]
_MAX_DAYS = 400  # of a request that claims to run for longer only so many, and the last, are marked


def bump_stream_days(store: Store, connection: Connection, stream_id: Ints, time_us: Ints) -> None:
    """Version every (stream, day) that new readings lie on, and widen what it is known to hold.

    Readings come sorted by stream and time. A day that withdrawals emptied (its last instant before
    its first) begins anew.
    """
    if not len(time_us):
        return
    day = time_us // US_PER_DAY
    first = np.flatnonzero((np.diff(stream_id, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0))
    last = np.append(first[1:], len(day)) - 1
    columns = (stream_id[first], day[first], time_us[first], time_us[last])
    rows = [
        {"stream_id": s, "day": d, "first_us": f, "last_us": t, "version": 1}
        for s, d, f, t in zip(*(column.tolist() for column in columns), strict=True)
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
    """Version every (service, day) on which one of these requests was in flight; an unknown end is -1."""
    days: dict[tuple[int, int], int] = {}
    first, last = start_us // US_PER_DAY, np.maximum(end_us, start_us) // US_PER_DAY
    order = np.lexsort((start_us, last, first, service))
    columns = np.stack([service[order], first[order], last[order], start_us[order]])
    # Of requests of one service, first day and last day, the one that started first says it all.
    changes = (np.diff(columns[:3], axis=1, prepend=-1) != 0).any(axis=0)
    for number, begin, end, start in columns[:, changes].T.tolist():
        for day in (*range(begin, min(end, begin + _MAX_DAYS)), end):
            days[number, day] = min(days.get((number, day), start), start)
    if not days:
        return
    rows = [{"service_id": s, "day": d, "first_us": t, "version": 1} for (s, d), t in sorted(days.items())]
    target = table(schema.ServiceDayRow)
    insert = store.insert(schema.ServiceDayRow)
    values = {"first_us": store.least(target.c.first_us, insert.excluded.first_us), "version": target.c.version + 1}
    connection.execute(insert.on_conflict_do_update(index_elements=["service_id", "day"], set_=values), rows)
