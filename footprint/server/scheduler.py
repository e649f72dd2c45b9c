"""Scheduler: starts due jobs in child processes, so that they never delay ingest or pages.

The due times follow from the store, not from the scheduler's memory: a restart loses nothing.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from apscheduler.schedulers.background import BackgroundScheduler

from footprint.config import Config, load_config
from footprint.server.job_runs import failure_text, is_due, run_job
from footprint.server.jobs import JOBS, job_named
from footprint.server.logs import FaultLog
from footprint.server.process_end import start_worker
from footprint.storage.database import Opening, Store

MAX_WORKERS = 2  # so that a long verification does not delay aggregation
STOP_TIMEOUT_S = 5  # after which a child process that did not end is killed
CHECK_INTERVAL_S = 30  # between checks whether an hourly or daily job is due
_log = logging.getLogger("footprint.jobs")


def run_job_once(config_file: str | None, name: str, only_if_due: bool = False) -> str | None:
    """Run a job in the child process; None if it is not due, or another server runs it."""
    config = load_config(config_file)
    store = Store(config.store_url, demo=config.demo, opening=Opening.existing)
    try:
        job, now_us = job_named(name), time.time_ns() // 1000
        if only_if_due and not is_due(store, job, now_us):
            return None
        return run_job(store, config, job, now_us)
    finally:
        store.close()


class JobScheduler:
    """Background scheduler with its pool of child processes."""

    def __init__(self, config_file: str | None, config: Config) -> None:
        self._config_file = config_file
        self._pool = self._create_pool()
        self.last_aggregation_us = 0
        self.failures = 0
        self.faults = FaultLog(_log)
        self._is_stopping = False
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
        return ProcessPoolExecutor(MAX_WORKERS, mp_context=multiprocessing.get_context("spawn"), initializer=start_worker)

    def _run(self, name: str, only_if_due: bool) -> None:
        try:
            message = self._pool.submit(run_job_once, self._config_file, name, only_if_due).result()
        except (CancelledError, RuntimeError, BrokenProcessPool, SystemExit) as error:
            if self._is_stopping:
                return
            if isinstance(error, BrokenProcessPool):
                self._pool = self._create_pool()
            self._note_failure(
                name, "its process ended (is there memory enough?)" if isinstance(error, BrokenProcessPool) else error
            )
        except Exception as error:
            self._note_failure(name, error)
        else:
            if message is not None:
                self.faults.succeeded(name)
                _log.debug("%s: %s", name, message)
            if name == "aggregate":
                self.last_aggregation_us = time.time_ns() // 1000

    def _note_failure(self, name: str, error: BaseException | str) -> None:
        if name == "aggregate":
            self.failures += 1  # the metric of that name; those of other jobs are counted from their stored runs
        self.faults.failed(name, error if isinstance(error, str) else failure_text(error))

    def start(self) -> None:
        """Start the scheduler."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop the scheduler and its child processes, also one that runs a job: it is rolled back, and due again at the start."""
        self._is_stopping = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        children = multiprocessing.active_children()  # of this process all are workers of the pool
        for child in children:
            child.terminate()
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for child in children:
            child.join(max(deadline_s - time.monotonic(), 0.1))
            if child.is_alive():
                child.kill()
                child.join()
