"""This file runs aggregation every few seconds, in a child process, so that it never holds up ingest or pages.

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

EVERY_S = 10
_log = logging.getLogger("footprint.schedule")


def aggregate_once(config_file: str | None) -> int:
    """One run, in the child; how many shards it computed."""
    from footprint.aggregation.running import aggregate  # noqa: PLC0415 - the parent need not load it
    from footprint.config import load_config  # noqa: PLC0415
    from footprint.impact.book import shipped_book  # noqa: PLC0415
    from footprint.store import Store  # noqa: PLC0415

    config = load_config(config_file)
    store = Store(config.store_url, demo=config.demo)
    try:
        return aggregate(store, config, shipped_book(), time.time_ns() // 1000).computed
    finally:
        store.close()


def _child() -> None:
    # Ctrl-C reaches the whole group of processes; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Schedule:
    """The scheduler and its child."""

    def __init__(self, config_file: str | None, every_s: int = EVERY_S) -> None:
        self._config_file = config_file
        self._pool = self._new_pool()
        self.last_done_us = 0
        self.failures = 0
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._scheduler.add_job(
            self._run, "interval", seconds=every_s, id="aggregate", max_instances=1, coalesce=True,
            misfire_grace_time=None,
        )  # fmt: skip

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_child)

    def _run(self) -> None:
        try:
            self._pool.submit(aggregate_once, self._config_file).result()
        except BrokenProcessPool:
            self.failures += 1
            self._pool = self._new_pool()
        except Exception:
            self.failures += 1
            _log.exception("aggregation failed")
        else:
            self.last_done_us = time.time_ns() // 1000

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End, with the child."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=True, cancel_futures=True)
