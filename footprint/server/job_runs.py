"""Runs of jobs: one at a time under the job's lock, recorded with its start, duration and result.

Whether a job is due comes from the store: a missed night is caught up, and of two servers one runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from footprint.config import Config
from footprint.core.timestamps import now_us as clock_us
from footprint.core.units import US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, table

RUNNING, DONE, FAILED = "running", "done", "failed"
ALERT_JOB = "announce"  # the job that sends alerts: nobody could be alerted of its own failure
KEPT_RUNS = 100  # of each job
PROGRESS_US = 5 * US_PER_S  # between two records of progress

ReportProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class JobKind:
    """One job: how often it is due, and what it does; ``run`` gives what to say of it."""

    name: str
    every_s: int
    run: Callable[[Store, Config, int, ReportProgress], str]
    due: Callable[[Config], bool] = lambda config: True


def is_due(store: Store, job: JobKind, now_us: int) -> bool:
    """Whether a job's last run began longer ago than its period."""
    target = table(schema.Job)
    with store.read() as connection:
        last = connection.execute(select(func.max(target.c.started_us)).where(target.c.name == job.name)).scalar()
    return last is None or now_us - int(last) >= job.every_s * US_PER_S


def run_job(store: Store, config: Config, job: JobKind, now_us: int) -> str | None:
    """Run a job under its lock; what it said, None where another process is at it.

    Raises
    ------
    Exception
        What the job raised, once it is written down.
    """
    with store.exclusive_lock(job.name) as mine:
        if not mine:
            return None
        number = _begin(store, job.name, now_us)
        told = 0

        def tell(said: str) -> None:
            nonlocal told
            if clock_us() - told >= PROGRESS_US:
                told = clock_us()
                _note(store, number, said=said)

        try:
            said = job.run(store, config, now_us, tell)
        except BaseException as bad:
            _note(store, number, status=FAILED, ended_us=clock_us(), said=f"{type(bad).__name__}: {bad}"[:2000])
            raise
        _note(store, number, status=DONE, ended_us=clock_us(), said=said[:2000])
        return said


def _begin(store: Store, name: str, now_us: int) -> int:
    target = table(schema.Job)
    mine = target.c.name == name
    with store.begin() as connection:
        # We hold the lock: who is still written down as running was cut off.
        cut = update(target).where(mine, target.c.status == RUNNING)
        connection.execute(cut.values(status=FAILED, ended_us=now_us, said="cut off"))
        kept = select(target.c.id).where(mine).order_by(target.c.id.desc()).limit(KEPT_RUNS).subquery()
        connection.execute(delete(target).where(mine, target.c.id.not_in(select(kept.c.id))))
        row = {"name": name, "started_us": now_us, "ended_us": None, "status": RUNNING, "said": ""}
        return int(connection.execute(insert(target).values(**row).returning(target.c.id)).scalar_one())


def _note(store: Store, number: int, **values: Any) -> None:
    target = table(schema.Job)
    with store.begin() as connection:
        connection.execute(update(target).where(target.c.id == number).values(**values))


def latest_runs(store: Store, every: bool = False) -> list[dict[str, Any]]:
    """The last run of each job, or all that are kept, newest first."""
    target = table(schema.Job)
    with store.read() as connection:
        rows = connection.execute(select(target).order_by(target.c.id.desc())).all()
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(f"{row.name} {row.id}" if every else row.name, dict(row._mapping))
    return list(found.values())


def failures(store: Store) -> dict[str, int]:
    """How many of the kept runs of each job failed."""
    target = table(schema.Job)
    counted = select(target.c.name, func.count()).where(target.c.status == FAILED).group_by(target.c.name)
    with store.read() as connection:
        return {str(name): int(number) for name, number in connection.execute(counted)}
