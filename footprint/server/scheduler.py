"""This file starts the jobs that are due, in a child process, so that they never hold up ingest or pages.

What is to be done comes from the store, not from the scheduler's memory: a restart forgets nothing.
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

WORKERS = 2  # that a long check does not hold up aggregation
LOOK_S = 30  # how often it is looked whether a job of an hour or a day is due
_log = logging.getLogger("footprint.server.scheduler")


def job_once(config_file: str | None, name: str, only_if_due: bool = False) -> str | None:
    """One run of a job, in the child; None where it was not due, or another server is at it."""
    config = load_config(config_file)
    store = Store(config.store_url, demo=config.demo)
    try:
        job, now_us = job_named(name), time.time_ns() // 1000
        if only_if_due and not is_due(store, job, now_us):
            return None
        return run_job(store, config, job, now_us)
    finally:
        store.close()


def _child() -> None:
    # Ctrl-C reaches the whole group of processes; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Schedule:
    """The scheduler and its child."""

    def __init__(self, config_file: str | None, config: Config) -> None:
        self._config_file = config_file
        self._pool = self._new_pool()
        self.last_done_us = 0
        self.failures = 0
        self._scheduler = BackgroundScheduler(timezone="UTC")
        for job in JOBS:
            if job.due(config):
                seldom = job.every_s > LOOK_S
                self._scheduler.add_job(
                    self._run,
                    "interval",
                    seconds=LOOK_S if seldom else job.every_s,
                    args=[job.name, seldom],
                    id=job.name,
                    max_instances=1,
                    coalesce=True,
                    misfire_grace_time=None,
                )

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"), initializer=_child)

    def _run(self, name: str, only_if_due: bool) -> None:
        try:
            self._pool.submit(job_once, self._config_file, name, only_if_due).result()
        except BrokenProcessPool:
            self.failures += 1
            self._pool = self._new_pool()
        except Exception as bad:
            self.failures += 1
            _log.warning("%s failed: %s: %s", name, type(bad).__name__, bad)
        else:
            if name == "aggregate":
                self.last_done_us = time.time_ns() // 1000

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End, with the child."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=True, cancel_futures=True)
