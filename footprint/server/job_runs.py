"""Runs of jobs: one at a time under the job's lock, recorded with its start, duration and result.

Whether a job is due follows from the store: a missed night is caught up, and only one of two servers runs it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from footprint.config import Config
from footprint.core.timestamps import now_us as clock_us
from footprint.core.units import US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, database_message, table

RUNNING, DONE, FAILED = "running", "done", "failed"
ALERT_JOB = "announce"  # the job that sends alerts; an alert of its own failure could not be sent
MAX_RUNS = 100  # of each job
MAX_MESSAGE_CHARACTERS = 2000
CUT_OFF = "cut off"  # of a run whose process ended before it did
PROGRESS_INTERVAL_US = 5 * US_PER_S  # between two records of progress

LOCKS = {"compare": "aggregate"}  # of jobs that share the lock of another

ReportProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class JobKind:
    """Job with its interval and its function ``run``, which returns the message of the run.

    Jobs with the same ``lock`` never run at the same time.
    """

    name: str
    interval_s: int
    run: Callable[[Store, Config, int, ReportProgress], str]
    is_enabled: Callable[[Config], bool] = lambda config: True

    @property
    def lock(self) -> str:
        """Lock under which the job runs."""
        return LOCKS.get(self.name, self.name)


def is_due(store: Store, job: JobKind, now_us: int) -> bool:
    """Whether a job's last run started at least one interval ago."""
    target = table(schema.Job)
    with store.read() as connection:
        last = connection.execute(select(func.max(target.c.started_us)).where(target.c.name == job.name)).scalar()
    return last is None or now_us - int(last) >= job.interval_s * US_PER_S


def run_job(store: Store, config: Config, job: JobKind, now_us: int) -> str | None:
    """Run a job under its lock; return its message, or None if another process runs it.

    Raises
    ------
    Exception
        The exception of the job, after it is recorded.
    """
    with store.exclusive_lock(job.lock) as has_lock:
        if not has_lock:
            return None
        run_id = _start_run(store, job.name, now_us)
        reported_us = 0

        def report_progress(message: str) -> None:
            nonlocal reported_us
            if clock_us() - reported_us >= PROGRESS_INTERVAL_US:
                reported_us = clock_us()
                _update_run(store, run_id, said=message)

        try:
            message = job.run(store, config, now_us, report_progress)
        except BaseException as error:
            with contextlib.suppress(DBAPIError):  # a full disk takes no record of itself; the caller says the failure
                _update_run(store, run_id, status=FAILED, ended_us=clock_us(), said=failure_text(error))
            raise
        _update_run(store, run_id, status=DONE, ended_us=clock_us(), said=message[:MAX_MESSAGE_CHARACTERS])
        return message


def failure_text(error: BaseException) -> str:
    """One line about a failure, without statements of the database."""
    if isinstance(error, DBAPIError):
        return f"the store: {database_message(error)}"[:MAX_MESSAGE_CHARACTERS]
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return CUT_OFF
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_MESSAGE_CHARACTERS]


def _start_run(store: Store, name: str, now_us: int) -> int:
    target = table(schema.Job)
    is_same_job = target.c.name == name
    with store.begin() as connection:
        # This process holds the lock: a run still recorded as running was interrupted.
        interrupted = update(target).where(is_same_job, target.c.status == RUNNING)
        connection.execute(interrupted.values(status=FAILED, ended_us=now_us, said=CUT_OFF))
        kept_ids = select(target.c.id).where(is_same_job).order_by(target.c.id.desc()).limit(MAX_RUNS).subquery()
        connection.execute(delete(target).where(is_same_job, target.c.id.not_in(select(kept_ids.c.id))))
        row = {"name": name, "started_us": now_us, "ended_us": None, "status": RUNNING, "said": ""}
        return int(connection.execute(insert(target).values(**row).returning(target.c.id)).scalar_one())


def _update_run(store: Store, run_id: int, **values: Any) -> None:
    target = table(schema.Job)
    with store.begin() as connection:
        connection.execute(update(target).where(target.c.id == run_id).values(**values))


def latest_runs(store: Store, all_runs: bool = False) -> list[dict[str, Any]]:
    """Last run of each job, or all stored runs, newest first. A run that no process has the lock of is cut off."""
    ended_ids = {run["id"] for run in _stored_runs(store) if run["status"] == RUNNING and not store.is_locked(run["lock"])}
    runs: dict[str, dict[str, Any]] = {}
    for run in _stored_runs(store):  # again: a run may have ended between the two looks
        if run["id"] in ended_ids and run["status"] == RUNNING:
            run |= {"status": FAILED, "said": CUT_OFF}
        runs.setdefault(f"{run['name']} {run['id']}" if all_runs else run["name"], run)
    return list(runs.values())


def _stored_runs(store: Store) -> list[dict[str, Any]]:
    target = table(schema.Job)
    with store.read() as connection:
        rows = connection.execute(select(target).order_by(target.c.id.desc())).all()
    return [dict(row._mapping) | {"lock": LOCKS.get(row.name, row.name)} for row in rows]


def failed_run_counts(store: Store) -> dict[str, int]:
    """Number of failed runs among the stored runs of each job."""
    target = table(schema.Job)
    query = select(target.c.name, func.count()).where(target.c.status == FAILED).group_by(target.c.name)
    with store.read() as connection:
        return {str(name): int(count) for name, count in connection.execute(query)}
