"""This file runs aggregation every few seconds, in a child process, so that it never holds up ingest or pages.

What is to be done comes from the store, not from the scheduler's memory: a restart forgets nothing.
"""

from __future__ import annotations

import datetime
import logging
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from apscheduler.schedulers.background import BackgroundScheduler

EVERY_S = 10
REFRESH_S = 3600
_log = logging.getLogger("footprint.schedule")


def aggregate_once(config_file: str | None) -> int:
    """One run, in the child; how many shards it computed."""
    from footprint.aggregation.running import aggregate  # noqa: PLC0415 - the parent need not load it
    from footprint.config import load_config  # noqa: PLC0415
    from footprint.ledger.factors import book_of  # noqa: PLC0415
    from footprint.store import Store  # noqa: PLC0415

    config = load_config(config_file)
    store = Store(config.store_url, demo=config.demo)
    try:
        return aggregate(store, config, book_of(store), time.time_ns() // 1000).computed
    finally:
        store.close()


def refresh_once(config_file: str | None) -> int:
    """Ask each live source that the configuration names for what is new, in the child; how many samples were.

    Raises
    ------
    SourceUnavailable
        If one does not answer as it should; the others are asked all the same.
    """
    from footprint.config import load_config  # noqa: PLC0415
    from footprint.exporters import SourceUnavailable  # noqa: PLC0415
    from footprint.ledger.intensity import fetch  # noqa: PLC0415
    from footprint.ledger.sources import SOURCES  # noqa: PLC0415
    from footprint.store import Store  # noqa: PLC0415

    config = load_config(config_file)
    store = Store(config.store_url, demo=config.demo)
    kept, failed = 0, []
    try:
        now_us = time.time_ns() // 1000
        for name in config.live:
            zones = sorted({config.zone, *(site.zone for site in config.sites)})
            for zone in zones:
                if name in SOURCES and (not SOURCES[name].zones or zone in SOURCES[name].zones):
                    key = os.environ.get(SOURCES[name].key_variable or "-", "")
                    try:
                        kept += fetch(store, name, zone, None, now_us, now_us, key=key)
                    except SourceUnavailable as bad:
                        failed.append(str(bad))
    finally:
        store.close()
    if failed:
        raise SourceUnavailable("; ".join(failed))
    return kept


def _child() -> None:
    # Ctrl-C reaches the whole group of processes; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Schedule:
    """The scheduler and its child."""

    def __init__(self, config_file: str | None, every_s: int = EVERY_S, *, live: bool = False) -> None:
        self._config_file = config_file
        self._pool = self._new_pool()
        self.last_done_us = 0
        self.failures = 0
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._scheduler.add_job(
            self._run, "interval", seconds=every_s, id="aggregate", max_instances=1, coalesce=True,
            misfire_grace_time=None,
        )  # fmt: skip
        if live:
            self._scheduler.add_job(
                self._refresh, "interval", seconds=REFRESH_S, id="refresh", max_instances=1, coalesce=True,
                misfire_grace_time=None, next_run_time=datetime.datetime.now(datetime.UTC),
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

    def _refresh(self) -> None:
        try:
            self._pool.submit(refresh_once, self._config_file).result()
        except BrokenProcessPool:
            self.failures += 1
            self._pool = self._new_pool()
        except Exception as bad:
            self.failures += 1
            _log.warning("live factors: %s", bad)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End, with the child."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=True, cancel_futures=True)
