"""Benchmarks of page queries on a large store: against plain SQL over the same sums, and by length of the range."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from footprint.calendar.rollup_ranges import local_day, midnight_s

from footprint.config import Config
from footprint.core.units import US_PER_S
from footprint.figures import Query, run_query
from footprint.storage.database import Store
from tests.benchmarks.large import build

DAYS, SERVICES, USES = 120, 50, 20
REPEATS = 5
SUMS = (
    "active_uj",
    "idle_uj",
    "host_uj",
    "facility_uj",
    "spread_a_uj",
    "spread_b_uj",
    "modelled_uj",
    "grade_b_uj",
    "grade_c_uj",
    "embodied_ug",
)


def rows(days: int = DAYS) -> list[tuple[str, float, float | None]]:
    """(label, measured, peer) of each benchmark; CPU time [s]."""
    with tempfile.TemporaryDirectory() as name:
        store, config, now_us = build(Path(name) / "footprint.db", days, SERVICES, USES)
        try:
            return [*_against_sql(store, config, now_us), *_windows(store, config, now_us)]
        finally:
            store.close()


def best(action: Callable[[], object]) -> float:
    """Shortest CPU time of a few repeats [s]."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def _at(config: Config, now_us: int, days: int) -> int:
    """Local midnight [µs] a number of days before now."""
    zone = config.timezone
    return midnight_s(zone, local_day(zone, now_us // US_PER_S) - days) * US_PER_S


def _against_sql(store: Store, config: Config, now_us: int) -> list[tuple[str, float, float | None]]:
    """Page queries over 30 days against plain SQL over the same sums."""
    since = _at(config, now_us, 30)
    queries = {
        "total": (Query(from_us=since), 3, "service_id, use_case_id, basis_id"),
        "by day": (Query(from_us=since, every="day"), 3, "start, service_id, use_case_id, basis_id"),
        "by service": (Query(("service",), from_us=since), 3, "service_id, use_case_id, basis_id"),
        "by use case": (Query(("use_case",), from_us=since), 1, "service_id, use_case_id, basis_id"),
        "by host and day": (Query(("host",), "day", since), 3, "start, service_id, use_case_id, basis_id"),
        "of one service by day": (
            Query((), "day", since, where=(("service", "service-07"),)),
            3,
            "start, service_id, use_case_id, basis_id",
        ),
    }
    ratios: list[tuple[str, float, float | None]] = []
    for name, (page_query, level, keys) in queries.items():
        sums = ", ".join(f"SUM({column})" for column in SUMS)
        where = f"level = {level} AND start >= {since // US_PER_S}"
        statement = f"SELECT {keys}, {sums} FROM footprint_row_sum WHERE {where} GROUP BY {keys}"
        peer = best(lambda statement=statement: _bare(store, statement))
        ours = best(lambda page_query=page_query: run_query(store, config, page_query, now_us))
        ratios.append((f"30 days, {name} / bare SQL on the sums", ours, peer))
    return ratios


def _bare(store: Store, statement: str) -> int:
    with store.read() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(statement)
        return len(cursor.fetchall())


def _windows(store: Store, config: Config, now_us: int) -> list[tuple[str, float, float | None]]:
    day = Query(("use_case",), from_us=_at(config, now_us, 2), to_us=_at(config, now_us, 1))
    one = best(lambda: run_query(store, config, day, now_us))
    month = best(lambda: run_query(store, config, Query(("use_case",), from_us=_at(config, now_us, 30)), now_us))
    all_days = best(lambda: run_query(store, config, Query(("use_case",)), now_us))
    return [("by use case, 30 days / one day", month, one), (f"by use case, all {DAYS} days / one day", all_days, one)]
