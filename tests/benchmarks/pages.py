"""Benchmarks of page queries on a large store: against DuckDB's own SQL over one file of the same rows, and by length of the range."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from footprint.calendar.calendar_ranges import local_day, midnight_s
from footprint.config import Config
from footprint.core.units import US_PER_S
from footprint.figures import Query, run_query
from footprint.figures.cell_table import AMOUNTS
from footprint.figures.dataset import Dataset
from footprint.storage.database import Store
from tests.benchmarks.large import build

DAYS, SERVICES, USES = 120, 50, 20
REPEATS = 5


def rows(days: int = DAYS) -> list[tuple[str, float, float | None]]:
    """(label, measured, peer) of each benchmark; CPU time [s]."""
    with tempfile.TemporaryDirectory() as name:
        store, config, now_us = build(Path(name) / "footprint.db", days, SERVICES, USES)
        try:
            return [*_against_sql(store, config, now_us, Path(name) / "rows.parquet"), *_windows(store, config, now_us)]
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


def _against_sql(store: Store, config: Config, now_us: int, file: Path) -> list[tuple[str, float, float | None]]:
    """Page queries over 30 days against DuckDB over one Parquet file of the same rows, sorted by slot."""
    since = _at(config, now_us, 30)
    with store.read() as connection:
        tables = Dataset(store, connection, config.timezone).sources(
            "energy", [(0, since // US_PER_S, now_us // US_PER_S)], slots_only=True
        )
    pq.write_table(pa.concat_tables([table for table, _ in tables]).sort_by("start_s"), file, compression="zstd")
    day = "start_s // 86400"
    queries = {
        "total": (Query(from_us=since), "service, basis"),
        "by day": (Query(from_us=since, every="day"), f"{day}, service, basis"),
        "by service": (Query(("service",), from_us=since), "service, basis"),
        "by use case": (Query(("use_case",), from_us=since), "service, use_case, basis"),
        "by host and day": (Query(("host",), "day", since), f"{day}, service, basis"),
        "of one service by day": (Query((), "day", since, where=(("service", "service-07"),)), f"{day}, service, basis"),
    }
    ratios: list[tuple[str, float, float | None]] = []
    sums = ", ".join(f"SUM({column})" for column in AMOUNTS)
    with duckdb.connect(config={"threads": 2}) as peer:
        for name, (page_query, keys) in queries.items():
            statement = f"SELECT {keys}, {sums} FROM '{file}' WHERE start_s >= {since // US_PER_S} GROUP BY ALL"
            theirs = best(lambda statement=statement: peer.execute(statement).fetchall())
            ours = best(lambda page_query=page_query: run_query(store, config, page_query, now_us))
            ratios.append((f"30 days, {name} / DuckDB on one file of the rows", ours, theirs))
    return ratios


def _windows(store: Store, config: Config, now_us: int) -> list[tuple[str, float, float | None]]:
    day = Query(("use_case",), from_us=_at(config, now_us, 2), to_us=_at(config, now_us, 1))
    one = best(lambda: run_query(store, config, day, now_us))
    month = best(lambda: run_query(store, config, Query(("use_case",), from_us=_at(config, now_us, 30)), now_us))
    all_days = best(lambda: run_query(store, config, Query(("use_case",)), now_us))
    return [("by use case, 30 days / one day", month, one), (f"by use case, all {DAYS} days / one day", all_days, one)]
