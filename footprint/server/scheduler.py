"""Scheduler: starts due jobs in child processes, so that they never delay ingest or pages.

The due times follow from the store, not from the scheduler's memory: a restart loses nothing.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from apscheduler.schedulers.background import BackgroundScheduler

from footprint.config import Config, load_config
from footprint.server.job_runs import is_due, run_job
from footprint.server.jobs import JOBS, job_named
from footprint.storage.database import Store

MAX_WORKERS = 2  # so that a long verification does not delay aggregation
CHECK_INTERVAL_S = 30  # between checks whether an hourly or daily job is due
_log = logging.getLogger("footprint.server.scheduler")


def run_job_once(config_file: str | None, name: str, only_if_due: bool = False) -> str | None:
    """Run a job in the child process; None if it is not due, or another server runs it."""
    config = load_config(config_file)
    store = Store(config.store_url, demo=config.demo)
    try:
        job, now_us = job_named(name), time.time_ns() // 1000
        if only_if_due and not is_due(store, job, now_us):
            return None
        return run_job(store, config, job, now_us)
    finally:
        store.close()


def _ignore_interrupt() -> None:
    # Ctrl-C reaches the whole process group; the parent decides when this child ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class JobScheduler:
    """Background scheduler with its pool of child processes."""

    def __init__(self, config_file: str | None, config: Config) -> None:
        self._config_file = config_file
        self._pool = self._create_pool()
        self.last_aggregation_us = 0
        self.failures = 0
        self._scheduler = BackgroundScheduler(timezone="UTC")
        for job in JOBS:
            if job.is_enabled(config):
                is_rare = job.interval_s > CHECK_INTERVAL_S
                self._scheduler.add_job(
                    self._run,
                    "interval",
                    seconds=CHECK_INTERVAL_S if is_rare else job.interval_s,
                    args=[job.name, is_rare],
                    id=job.name,
                    max_instances=1,
                    coalesce=True,
                    misfire_grace_time=None,
                )

    @staticmethod
    def _create_pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(MAX_WORKERS, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupt)

    def _run(self, name: str, only_if_due: bool) -> None:
        try:
            self._pool.submit(run_job_once, self._config_file, name, only_if_due).result()
        except BrokenProcessPool:
            self.failures += 1
            self._pool = self._create_pool()
        except Exception as error:
            self.failures += 1
            _log.warning("%s failed: %s: %s", name, type(error).__name__, error)
        else:
            if name == "aggregate":
                self.last_aggregation_us = time.time_ns() // 1000

    def start(self) -> None:
        """Start the scheduler."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop the scheduler and wait for its child processes."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=True, cancel_futures=True)
