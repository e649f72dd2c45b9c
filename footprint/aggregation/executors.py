"""Executors of the computation: this process, local processes, or a Dask cluster, with the same function.

A task is a service, or a few hosts that share their services, with some of their days, in order. Its result equals that of this
process bit for bit, because a day depends on the store only. Workers read the store by its URL and write nothing.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import resource
import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from footprint.aggregation.host_day import HostAggregator
from footprint.aggregation.open_day import OpenPart
from footprint.aggregation.request_logs import ServiceLogs
from footprint.aggregation.result_tables import SplitRecord, host_day_tables, split_records
from footprint.aggregation.service_day import count_service_day
from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.core.request_checks import LOG_STREAM
from footprint.core.units import US_PER_DAY
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Opening, Store
from footprint.storage.figure_blocks import ShardTables
from footprint.storage.shard_key import ShardKey

DAYS_PER_TASK, HOSTS_PER_TASK = 31, 8
MAX_QUEUED_TASKS_PER_WORKER = 2  # bounds the memory
MAX_ATTEMPTS = 3
MIB = 2**20
GRACE_S = 10  # for processes to end


class FleetError(FootprintError):
    """The cluster does not answer, or workers die repeatedly."""


@dataclass(frozen=True, slots=True)
class ComputedDay:
    """One computed day: packed rows of a host with its splits and new statistics, or counts of a service.

    Of an open day, it may be the part from the edge of slots ``since_us`` on.
    """

    key: ShardKey
    day: int
    tables: ShardTables
    splits: tuple[SplitRecord, ...] = ()
    statistics: tuple[tuple[str, int, str, str], ...] = ()
    since_us: int | None = None

    def size_bytes(self) -> int:
        """Bytes of the rows, the splits and the statistics, without the overhead of objects."""
        texts = (
            *self.tables.names,
            *self.tables.bases,
            *(split.content for split in self.splits),
            *(row[3] for row in self.statistics),
        )
        arrays = sum(column.nbytes for columns in self.tables.tables.values() for column in columns.values())
        return arrays + sum(len(text) for text in texts)


def compute_host_days(
    host: HostAggregator, key: ShardKey, days: Sequence[int], part: OpenPart | None = None
) -> Iterator[ComputedDay]:
    """Days of a host, in order; of an open day one ``part``, or the whole where there is no model to divide it."""
    for day in days:
        host_day = host.compute_part(day, part) if part is not None else None
        since_us = part.since_us if host_day is not None and part is not None else None
        host_day = host.compute(day) if host_day is None else host_day
        tables = host_day_tables(host.config, key.name, host_day)
        splits = split_records(host_day) if since_us in (None, day * US_PER_DAY) else ()
        yield ComputedDay(key, day, tables, splits, tuple(host.new_statistics()), since_us)


def compute_service_days(
    view: LedgerView, config: Config, key: ShardKey, days: Sequence[int], part: OpenPart | None = None
) -> Iterator[ComputedDay]:
    """Days of a service, in order; of an open day one ``part``."""
    for day in days:
        since_us = None if part is None else part.since_us
        tables, quality = count_service_day(view, config, key.name, day, since_us)
        statistics = ((f"{LOG_STREAM}{key.name}", day, "", quality),) if part is None else ()
        yield ComputedDay(key, day, tables, statistics=statistics, since_us=since_us)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Days that a worker computed, a first part of its task, and the largest memory [bytes] that its process has had."""

    computed: list[ComputedDay]
    peak_bytes: int


def _compute_task(
    url: str, config: Config, book: FactorBook, shards: Sequence[tuple[ShardKey, int]], max_bytes: int
) -> TaskResult:
    """Task of a worker, with a connection of its own. It ends after the day with which its result exceeds ``max_bytes``."""
    store = Store(url, opening=Opening.existing)
    try:
        with store.read() as connection:
            view = LedgerView(store, connection)
            logs = ServiceLogs(view, config)
            hosts = {
                key: HostAggregator(view, config, book, logs, key.name)
                for key in {key for key, _ in shards}
                if key.kind == "host"
            }
            computed: list[ComputedDay] = []
            size = 0
            for key, day in shards:
                if size > max_bytes and day != computed[-1].day:
                    break
                if key in hosts:
                    computed += compute_host_days(hosts[key], key, [day])
                else:
                    computed += compute_service_days(view, config, key, [day])
                size += computed[-1].size_bytes()
            return TaskResult(computed, peak_memory_bytes())
    finally:
        store.close()


def peak_memory_bytes() -> int:
    """Largest resident memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@dataclass(slots=True)
class Workers:
    """Executor of tasks, its number of workers, and the largest memory [bytes] of a worker so far."""

    executor: Executor
    number: int
    peak_bytes: int = 0


@contextmanager
def open_executor(config: Config) -> Iterator[Workers | None]:
    """Workers by the configuration; None is this process.

    Raises
    ------
    FleetError
        If the cluster does not answer, or its workers die again and again at one task.
    """
    if config.fleet_scheduler:
        try:
            from distributed import Client, KilledWorker  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise FleetError("[fleet] scheduler needs Dask; pip install 'footprint[fleet]'") from None
        try:
            client = Client(config.fleet_scheduler, timeout="10s")  # type: ignore[no-untyped-call]
        except OSError as error:
            raise FleetError(f"no Dask scheduler answers at {config.fleet_scheduler}: {error}") from None
        with client:
            executor = client.get_executor(pure=False, retries=MAX_ATTEMPTS)  # type: ignore[no-untyped-call]
            try:
                yield Workers(executor, max(len(client.scheduler_info()["workers"]), 1))
            except KilledWorker as error:
                raise FleetError(f"workers died again and again; is there memory enough? {error}") from None
    elif config.fleet_workers > 1:
        before = set(multiprocessing.active_children())
        pool = _process_pool(config.fleet_workers)
        try:
            yield Workers(pool, config.fleet_workers)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            _terminate(set(multiprocessing.active_children()) - before)
    else:
        yield None


def _terminate(children: Iterable[multiprocessing.process.BaseProcess]) -> None:
    """Wait for child processes, and kill those that remain: one started while its pool broke waits for work for ever."""
    for child in children:
        child.join(GRACE_S)
        if child.is_alive():
            child.kill()
            child.join()


def _process_pool(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


def compute_in_workers(
    workers: Workers, store: Store, config: Config, book: FactorBook, days_by_key: Mapping[ShardKey, Sequence[int]]
) -> Iterator[ComputedDay]:
    """Requested days of every host and service, as results arrive; days of one shard key in order, one task after the other.

    The results of all tasks in flight stay within ``[fleet] memory_mb``, or within one day each where that is more.

    Raises
    ------
    FleetError
        If workers died three times.
    """
    remaining = [deque(_chunks(keys, days_by_key)) for keys in _groups(config, sorted(days_by_key))]
    ready = deque(range(len(remaining)))
    running: dict[Future[TaskResult], tuple[int, list[tuple[ShardKey, int]]]] = {}
    pool, broken_pools = workers.executor, 0
    max_tasks = MAX_QUEUED_TASKS_PER_WORKER * workers.number
    max_bytes = config.fleet_memory_mb * MIB // max_tasks
    try:
        while ready or running:
            try:
                while ready and len(running) < max_tasks:
                    shards = remaining[ready[0]][0]
                    future = pool.submit(_compute_task, store.url, config, book, shards, max_bytes)
                    group = ready.popleft()
                    running[future] = (group, remaining[group].popleft())
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    group, shards = running[future]
                    result = future.result()
                    del running[future]
                    workers.peak_bytes = max(workers.peak_bytes, result.peak_bytes)
                    if len(result.computed) < len(shards):
                        remaining[group].appendleft(shards[len(result.computed) :])
                    if remaining[group]:
                        ready.append(group)
                    yield from result.computed
            except BrokenProcessPool:  # of a task, or before it was given to the pool
                broken_pools += 1
                if broken_pools >= MAX_ATTEMPTS:
                    raise FleetError(
                        f"workers died {broken_pools} times, last at {shards[0][0].text}; is there memory enough?"
                    ) from None
                # All tasks that ran in the broken pool start again.
                for lost_group, lost_shards in running.values():
                    remaining[lost_group].appendleft(lost_shards)
                    ready.append(lost_group)
                running.clear()
                pool = _process_pool(workers.number)
    finally:
        if pool is not workers.executor:
            pool.shutdown(wait=False, cancel_futures=True)


def _groups(config: Config, keys: Sequence[ShardKey]) -> list[list[ShardKey]]:
    """Shard keys by task: hosts of the same services, a few at a time, because they share the fits; each service alone."""
    services_of: dict[str, set[str]] = defaultdict(set)
    for placement in config.placements:
        services_of[placement.host].add(placement.service)
    by_services: dict[tuple[str, ...], list[ShardKey]] = defaultdict(list)
    for key in keys:
        services = tuple(sorted(services_of[key.name])) if key.kind == "host" else ()
        by_services[services or (key.text,)].append(key)
    alike = [hosts for _, hosts in sorted(by_services.items())]
    return [hosts[start : start + HOSTS_PER_TASK] for hosts in alike for start in range(0, len(hosts), HOSTS_PER_TASK)]


def _chunks(keys: Sequence[ShardKey], days_by_key: Mapping[ShardKey, Sequence[int]]) -> Iterable[list[tuple[ShardKey, int]]]:
    """Days of a group of keys in order of time, a few at a time."""
    days = sorted({day for key in keys for day in days_by_key[key]})
    step = max(DAYS_PER_TASK // len(keys), 1)
    for start in range(0, len(days), step):
        chosen = days[start : start + step]
        yield [(key, day) for day in chosen for key in keys if day in set(days_by_key[key])]
