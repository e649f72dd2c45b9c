"""This file lists the jobs of the scheduler, runs one under its lock, and writes down when it ran, how long and what came of it.

What is due comes from the store: a night that was missed is caught up, and of two servers one does it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.core.units import US_PER_S
from footprint.storage import schema
from footprint.storage.database import Store, table

RUNNING, DONE, FAILED = "running", "done", "failed"
ANNOUNCE = "announce"
KEPT_RUNS = 100  # of each job
TELL_US = 5 * US_PER_S  # between two notes of progress

ReportProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class JobKind:
    """One job: how often it is due, and what it does; ``run`` gives what to say of it."""

    name: str
    every_s: int
    run: Callable[[Store, Config, int, ReportProgress], str]
    due: Callable[[Config], bool] = lambda config: True


def _aggregate(store: Store, config: Config, now_us: int, tell: ReportProgress) -> str:
    from footprint.aggregation.aggregate import aggregate  # noqa: PLC0415 - the server's parent process need not load it
    from footprint.core.timestamps import format_instant  # noqa: PLC0415
    from footprint.core.units import US_PER_DAY  # noqa: PLC0415
    from footprint.ledger.factor_store import book_of  # noqa: PLC0415

    done = aggregate(
        store,
        config,
        book_of(store),
        now_us,
        progress=lambda members, day: tell(f"{members} {format_instant(day * US_PER_DAY)[:10]}"),
    )
    return "; ".join([f"{done.computed} computed, {done.unchanged} as they were", *done.notes])


def _refresh(store: Store, config: Config, now_us: int, tell: ReportProgress) -> str:
    from footprint.core.prometheus_metrics import SourceUnavailable  # noqa: PLC0415
    from footprint.ledger.intensity_series import fetch  # noqa: PLC0415
    from footprint.ledger.sources import SOURCES  # noqa: PLC0415

    kept, failed = 0, []
    zones = sorted({config.zone, *(site.zone for site in config.sites)})
    for name in config.live:
        source = SOURCES[name]
        for zone in zones:
            if not source.zones or zone in source.zones:
                tell(f"{name} {zone}")
                try:
                    kept += fetch(store, name, zone, None, now_us, now_us, key=os.environ.get(source.key_variable or "-", ""))
                except SourceUnavailable as bad:  # the others are asked all the same
                    failed.append(str(bad))
    if failed:
        raise SourceUnavailable("; ".join(failed))
    return f"{kept} samples new or changed"


def _seal(store: Store, config: Config, now_us: int, tell: ReportProgress) -> str:
    from footprint.ledger.archive_writer import seal  # noqa: PLC0415
    from footprint.ledger.object_store import Vault  # noqa: PLC0415

    tell(config.sealed_url())
    done = seal(
        store,
        Vault(config.sealed_url()),
        now_us,
        after_days=config.seal_after_days,
        keep_days=config.keep_days,
        signing_key=config.signing_key,
    )
    return f"{done.parts} parts of {done.rows} rows sealed, {done.supplements} of them supplements; {done.retired} rows left SQL"


def _verify(store: Store, config: Config, now_us: int, tell: ReportProgress) -> str:
    from footprint.core.units import US_PER_DAY  # noqa: PLC0415
    from footprint.ledger.object_store import Vault  # noqa: PLC0415
    from footprint.ledger.verifier import verify  # noqa: PLC0415
    from footprint.queries.energy_balance import energy_balance  # noqa: PLC0415

    tell("sealed files")
    with Vault(config.sealed_url()).local() as folder:
        faults, _ = verify(folder)
    tell("balance")
    open_ = [row["host"] for row in energy_balance(store, config, now_us - 7 * US_PER_DAY, None) if not row["closes"]]
    faults += [f"the balance of {host} does not close" for host in open_]
    if faults:
        raise VerificationFailed("; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else ""))
    return "as it was sealed, and every balance closes"


def _announce(store: Store, config: Config, now_us: int, tell: ReportProgress) -> str:
    from footprint.server.alerts import dispatch  # noqa: PLC0415

    tell("looking")
    return dispatch(store, config, now_us)


def _draft(store: Store, config: Config, now_us: int, tell: ReportProgress) -> str:
    from footprint.editions.drafts import draft_due  # noqa: PLC0415

    return draft_due(store, config, now_us, tell)


def _forget(store: Store, config: Config, now_us: int, tell: ReportProgress) -> str:
    from footprint.access.audit_log import expire  # noqa: PLC0415

    tell("access log")
    return f"{expire(store, now_us, config.access.log_days)} accesses older than {config.access.log_days} days erased"


class VerificationFailed(FootprintError):
    """Sealed files or balances do not stand as they should."""


JOBS: tuple[JobKind, ...] = (
    JobKind("aggregate", 10, _aggregate),
    JobKind("refresh", 3600, _refresh, lambda config: bool(config.live)),
    JobKind("seal", 3600, _seal, lambda config: not config.demo),
    JobKind("verify", 86_400, _verify, lambda config: not config.demo),
    JobKind("draft", 86_400, _draft),
    JobKind("forget", 86_400, _forget, lambda config: config.access.mode in ("header", "oidc")),
    JobKind(ANNOUNCE, 60, _announce, lambda config: config.notify.wanted),
)


def job_named(name: str) -> JobKind:
    """A job of the list.

    Raises
    ------
    FootprintError
        If there is none of that name.
    """
    for job in JOBS:
        if job.name == name:
            return job
    raise FootprintError(f"no job {name!r}; there are {', '.join(job.name for job in JOBS)}")


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
    with store.exclusively(job.name) as mine:
        if not mine:
            return None
        number = _begin(store, job.name, now_us)
        told = 0

        def tell(said: str) -> None:
            nonlocal told
            if _now() - told >= TELL_US:
                told = _now()
                _note(store, number, said=said)

        try:
            said = job.run(store, config, now_us, tell)
        except BaseException as bad:
            _note(store, number, status=FAILED, ended_us=_now(), said=f"{type(bad).__name__}: {bad}"[:2000])
            raise
        _note(store, number, status=DONE, ended_us=_now(), said=said[:2000])
        return said


def _now() -> int:
    return time.time_ns() // 1000


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
