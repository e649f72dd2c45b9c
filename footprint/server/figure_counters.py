"""Counters of figures for Prometheus: they never fall, however often days are computed again.

Figures change after they were computed: an open day is computed again with each reading, late data arrive, batches are withdrawn,
factors and facts are corrected. A counter that fell would be a reset to Prometheus, which then counts all of it again. So:

- Days that are closed count by their increments. What a correction takes away stays in the counter; what it adds is added once.
- Open days count by the highest sum so far, because their division over services moves a little with each run.
- A gauge beside each counter says how much of it the figures no longer hold: counter - gauge = figures.

The state lies in the store, so that it survives restarts and all servers of a store show the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from footprint.config import Config
from footprint.config.models import OWN_SERVICE
from footprint.core.units import J_PER_KWH, US_PER_DAY
from footprint.figures import Query, run_query
from footprint.storage import schema
from footprint.storage.database import Store, table

# Column of a query, and units of the metric in one unit of the column.
COLUMNS = {"energy_kwh": J_PER_KWH, "co2e_location_g": 1.0, "requests": 1.0}
STATE = "figure_counters"  # key in Meta
_ALL_CLOSED_US = 2**62

Figures = dict[str, dict[str, float | None]]  # column -> service -> value; None: unknown


@dataclass(slots=True)
class Series:
    """One counter: its value now, that of the closed days, and what the figures hold of the closed and of all days."""

    shown: float = 0.0
    closed: float = 0.0
    closed_figure: float = 0.0
    figure: float = 0.0

    @property
    def restated(self) -> float:
        """The part of the counter that the figures no longer hold."""
        return max(self.shown - self.figure, 0.0)


@dataclass(slots=True)
class CounterState:
    """Counters by column and service; days that start before ``open_from_us`` [µs] count as closed."""

    open_from_us: int = _ALL_CLOSED_US
    series: dict[str, dict[str, Series]] = field(default_factory=dict)


def figure_counters(store: Store, config: Config, now_us: int) -> dict[str, dict[str, Series]]:
    """Counters by column of ``COLUMNS`` and service, brought up to the figures of now.

    Where another server updates them at this moment, or the store cannot be written, they are as last stored.
    """
    try:
        with store.exclusive_lock(STATE) as has_lock:
            if has_lock:
                return _updated(store, config, now_us)
    except (DBAPIError, OSError):
        pass
    with store.read() as connection:
        return _stored_state(connection).series


def _updated(store: Store, config: Config, now_us: int) -> dict[str, dict[str, Series]]:
    with store.read() as connection:
        state = _stored_state(connection)
        open_from_us = _open_from_us(connection)
    before = asdict(state)
    closed = _figures(store, config, now_us, None, state.open_from_us)
    opened = _figures(store, config, now_us, open_from_us, _ALL_CLOSED_US)
    low_us, high_us = sorted((state.open_from_us, open_from_us))
    moved, sign = _figures(store, config, now_us, low_us, high_us), 1 if open_from_us > state.open_from_us else -1
    for column in COLUMNS:
        series_of = state.series.setdefault(column, {})
        for service in sorted({*series_of, *closed[column], *opened[column], *moved[column]}):
            values = [figures[column].get(service, 0.0) for figures in (closed, opened, moved)]
            known = [value for value in values if value is not None]
            if len(known) == len(values):  # where a factor is missing the value is unknown, and the counter stays
                _count(series_of.setdefault(service, Series()), known[0], known[1], sign * known[2])
    state.open_from_us = open_from_us
    if asdict(state) != before:
        with store.begin() as connection:
            content = json.dumps(asdict(state), separators=(",", ":"))
            store.upsert(connection, schema.Meta, [{"key": STATE, "value": content}])
    return state.series


def _count(series: Series, closed: float, opened: float, moved: float) -> None:
    """Bring a series up to its figures: of the days closed before, of the open days, and of those that closed meanwhile."""
    series.closed += max(closed - series.closed_figure, 0.0) + moved
    series.closed_figure = closed + moved
    series.figure = series.closed_figure + opened
    series.shown = max(series.shown, series.closed + opened)


def _figures(store: Store, config: Config, now_us: int, from_us: int | None, to_us: int) -> Figures:
    """Figures of every service in [from, to) in the units of the metrics; ``_ALL_CLOSED_US`` stands for no end."""
    figures: Figures = {column: {} for column in COLUMNS}
    if from_us is not None and from_us >= to_us:
        return figures
    query = Query(group=("service",), from_us=from_us, to_us=None if to_us == _ALL_CLOSED_US else to_us)
    for row in run_query(store, config, query, now_us).rows:
        has_energy = row["energy_high_kwh"] is not None  # without any reading, energy and emissions are those of no time
        for column, unit in COLUMNS.items():
            value = row[column] if has_energy or column == "requests" else 0.0
            figures[column][row["service"]] = None if value is None else value * unit
    figures["requests"].pop(OWN_SERVICE, None)  # a sum over services is a total, which holds no own traffic
    return figures


def _open_from_us(connection: Connection) -> int:
    """Start [µs] of the first day that is computed provisionally."""
    shard = table(schema.Shard)
    day = connection.execute(select(func.min(shard.c.day)).where(shard.c.provisional.is_(True))).scalar()
    return _ALL_CLOSED_US if day is None else int(day) * US_PER_DAY


def _stored_state(connection: Connection) -> CounterState:
    meta = table(schema.Meta)
    content = connection.execute(select(meta.c.value).where(meta.c.key == STATE)).scalar()
    if content is None:
        return CounterState()
    document = json.loads(content)
    series = {
        column: {service: Series(**values) for service, values in services.items()}
        for column, services in document["series"].items()
    }
    return CounterState(document["open_from_us"], series)
