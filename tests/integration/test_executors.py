"""Executors of aggregation (in-process, local processes, Dask): identical rows, also after worker failures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from footprint.aggregation import executors
from footprint.aggregation.aggregate import aggregate
from footprint.aggregation.executors import FleetError
from footprint.aggregation.shard_comparison import ShardComparison
from footprint.config import Config, parse_config
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.shard_key import ShardKey
from tests.simulation.server import VARIANTS, simulate, write_files
from tests.support.contract_files import DAY_S, NOW_US, compute
from tests.support.mortal_workers import DEATHS, compute_and_die, compute_or_die
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


@pytest.fixture(params=["processes", "cluster"])
def workers(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Config, pytest.MonkeyPatch]]:
    """A configuration with two local processes, or two workers of Dask, that read where to note their deaths."""
    monkeypatch.setenv(DEATHS, str(tmp_path / "deaths"))
    (tmp_path / "deaths").mkdir()
    monkeypatch.setattr(executors, "_compute_task", compute_or_die)
    monkeypatch.setattr(executors, "DAYS_PER_TASK", 2)
    if request.param == "processes":
        yield replace(FACTS, fleet_workers=2), monkeypatch
        return
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield replace(FACTS, fleet_scheduler=cluster.scheduler_address), monkeypatch


def test_a_worker_that_dies_amid_a_task_costs_a_retry_and_nothing_else(
    tmp_path: Path, workers: tuple[Config, pytest.MonkeyPatch]
) -> None:
    here, store = fresh(tmp_path / "here.db"), fresh(tmp_path / "dies.db")
    compute(here, FACTS)
    assert compute(store, workers[0]).computed == 5
    assert len(list((tmp_path / "deaths").iterdir())) == 1
    assert rows(store) == rows(here)
    store.close()
    here.close()


@pytest.mark.slow
def test_workers_that_die_at_every_try_are_an_error_and_the_days_stay_due(
    tmp_path: Path, workers: tuple[Config, pytest.MonkeyPatch]
) -> None:
    facts, monkeypatch = workers
    store, here = fresh(tmp_path / "dies.db"), fresh(tmp_path / "here.db")
    compute(here, FACTS)
    monkeypatch.setattr(executors, "_compute_task", compute_and_die)
    with pytest.raises(FleetError, match="workers died"):
        compute(store, facts)
    monkeypatch.setattr(executors, "_compute_task", compute_or_die)
    compute(store, FACTS)
    assert rows(store) == rows(here)
    store.close()
    here.close()


@pytest.mark.parametrize("broken", [1, executors.MAX_ATTEMPTS])
def test_workers_that_die_before_a_task_is_given_to_them_are_replaced_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    make_pool, pools = executors._process_pool, 0

    def pool_of_dead_workers(number: int) -> futures.ProcessPoolExecutor:
        nonlocal pools
        pools += 1
        pool = make_pool(number)
        if pools <= broken:
            with pytest.raises(BrokenProcessPool):
                pool.submit(os._exit, 1).result()
        return pool

    monkeypatch.setattr(executors, "_process_pool", pool_of_dead_workers)
    here, store = fresh(tmp_path / "here.db"), fresh(tmp_path / "dead.db")
    compute(here, FACTS)
    if broken < executors.MAX_ATTEMPTS:
        assert compute(store, replace(FACTS, fleet_workers=2)).computed == 5
        assert rows(store) == rows(here)
    else:
        with pytest.raises(FleetError, match="workers died"):
            compute(store, replace(FACTS, fleet_workers=2))
    store.close()
    here.close()


@pytest.mark.parametrize("kind", ["processes", "cluster"])
def test_results_that_exceed_the_memory_come_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: str, kind: str
) -> None:
    """With room for no day at all a task returns one day at a time; the rows are those of a run without a limit."""
    here, store = fresh(tmp_path / "here.db"), fresh(tmp_path / "parts.db")
    compute(here, FACTS)
    facts = replace(FACTS, fleet_workers=2) if kind == "processes" else replace(FACTS, fleet_scheduler=cluster)
    sizes: list[int] = []
    assert all(day.size_bytes() > 1000 for day in _computed_days(here))
    monkeypatch.setattr(executors, "MIB", 1)  # the limit is 256 bytes instead of 256 MiB
    future_result = futures.Future.result

    def noted(future: futures.Future[object], timeout: float | None = None) -> object:
        result = future_result(future, timeout)
        if isinstance(result, executors.TaskResult):
            sizes.append(len({day.day for day in result.computed}))
        return result

    monkeypatch.setattr(futures.Future, "result", noted)
    summary = compute(store, facts)
    assert summary.computed == 5
    assert summary.worker_peak_bytes > 10 * 2**20
    assert sizes == [1] * 5
    assert rows(store) == rows(here)
    store.close()
    here.close()


def _computed_days(store: Store) -> list[executors.ComputedDay]:
    with store.read() as connection:
        comparison = ShardComparison(store, connection, FACTS, shipped_book())
        key = ShardKey("host", "inf-01")
        return list(executors.compute_host_days(comparison.host("inf-01"), key, sorted(comparison.host_days("inf-01"))))


def test_an_unreachable_scheduler_is_reported(tmp_path: Path) -> None:
    store = fresh(tmp_path / "one.db")
    with pytest.raises(FleetError, match=r"tcp://127\.0\.0\.1:9"):
        compute(store, replace(FACTS, fleet_scheduler="tcp://127.0.0.1:9"))
    assert compute(store, FACTS).computed == 5
    store.close()
