"""Executors of aggregation (in-process, local processes, Dask): identical rows, also after worker failures."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from footprint.aggregation import executors
from footprint.aggregation.aggregate import aggregate
from footprint.aggregation.executors import FleetError
from footprint.config import Config, parse_config
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.simulation.server import VARIANTS, simulate, write_files
from tests.support.contract_files import DAY_S, NOW_US, compute
from tests.support.three_days import FACTS, import_all, rendered_answers

FITTED = """
[organisation]
timezone = "UTC"
[[service]]
name = "chat"
model = "m"
devices = ["a/gpu:0", "a/gpu:1", "a/gpu:2", "a/gpu:3"]
"""
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a Dask cluster with two single-threaded worker processes."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local_cluster:
        yield local_cluster.scheduler_address


def rows(store: Store) -> list[tuple[object, ...]]:
    """Digests of all computed figures, splits and statistics, which do not depend on numbers of the store."""
    shard = table(schema.Shard)
    with store.read() as connection:
        figures = [tuple(row) for row in connection.execute(select(shard.c.members, shard.c.day, shard.c.digest))]
        splits = [row.content for row in connection.execute(select(table(schema.SplitRow)))]
        statistics = [(row.stream_key, row.day, row.content) for row in connection.execute(select(table(schema.Statistics)))]
    assert all(digest for _, _, digest in figures)
    return [*sorted(figures), *sorted(splits), *sorted(statistics)]  # type: ignore[list-item]


def fresh(path: Path) -> Store:
    store = Store(f"sqlite:///{path}")
    import_all(store, path.parent)
    return store


def test_rows_do_not_depend_on_the_executor(tmp_path: Path, cluster: str) -> None:
    here = fresh(tmp_path / "here.db")
    assert compute(here, FACTS).computed == 5
    for name, facts in (("processes", replace(FACTS, fleet_workers=2)), ("cluster", replace(FACTS, fleet_scheduler=cluster))):
        store = fresh(tmp_path / f"{name}.db")
        assert compute(store, facts).computed == 5
        assert rows(store) == rows(here)
        assert rendered_answers(store) == rendered_answers(here)
        assert compute(store, facts).computed == 0
        store.close()
    here.close()


@pytest.mark.slow
def test_a_fitted_service_gives_the_same_rows_on_a_cluster(tmp_path: Path, cluster: str) -> None:
    """The energy of this service is divided by a fit, so the rows depend on floating-point results."""
    energy, requests = write_files(simulate(VARIANTS["low-load"], 1), tmp_path, host="a", service="chat", begin_s=DAY_S)
    facts = parse_config(FITTED)

    def computed(name: str, chosen: Config) -> Store:
        store = Store(f"sqlite:///{tmp_path / name}.db")
        import_energy(store, str(energy), NOW_US)
        import_requests(store, facts, str(requests), NOW_US)
        aggregate(store, chosen, shipped_book(), NOW_US)
        return store

    here, there = computed("here", facts), computed("there", replace(facts, fleet_scheduler=cluster))
    assert rows(here) == rows(there)
    assert any("coefficients" in str(row) or "fitted" in str(row) for row in rows(here))
    here.close()
    there.close()


def test_a_dead_worker_costs_a_retry_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = fresh(tmp_path / "here.db")
    compute(here, FACTS)
    monkeypatch.setattr(executors, "DAYS_PER_TASK", 1)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        store = fresh(tmp_path / "dies.db")
        pids = [worker.pid for worker in cluster.workers.values()]
        killer = threading.Timer(0.4, lambda: os.kill(pids[0], signal.SIGKILL))
        killer.start()
        assert compute(store, replace(FACTS, fleet_scheduler=cluster.scheduler_address)).computed == 5
        killer.join()
        assert rows(store) == rows(here)
        store.close()
    here.close()


def test_killed_worker_processes_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fresh(tmp_path / "one.db")
    started = []
    process_pool = executors._process_pool

    def pool_that_is_killed(number: int) -> object:
        pool = process_pool(number)
        started.append(pool)
        if len(started) <= 1:
            threading.Thread(target=_kill_soon, args=(pool,), daemon=True).start()
        return pool

    monkeypatch.setattr(executors, "_process_pool", pool_that_is_killed)
    assert compute(store, replace(FACTS, fleet_workers=2)).computed == 5
    here = fresh(tmp_path / "here.db")
    compute(here, FACTS)
    assert rows(store) == rows(here)
    store.close()
    here.close()


def _kill_soon(pool: object) -> None:
    for _ in range(500):
        processes = list(getattr(pool, "_processes", None) or {})
        if processes:
            os.kill(processes[0], signal.SIGKILL)
            return
        time.sleep(0.01)


def test_an_unreachable_scheduler_is_reported(tmp_path: Path) -> None:
    store = fresh(tmp_path / "one.db")
    with pytest.raises(FleetError, match=r"tcp://127\.0\.0\.1:9"):
        compute(store, replace(FACTS, fleet_scheduler="tcp://127.0.0.1:9"))
    assert compute(store, FACTS).computed == 5
    store.close()
