"""Jobs of the scheduler: one function and one line of ``JOBS`` per job."""

from __future__ import annotations

import os

from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.server.job_runs import ALERT_JOB, JobKind, ReportProgress
from footprint.storage.database import Store


def _aggregate(store: Store, config: Config, now_us: int, report_progress: ReportProgress, *, every_day: bool = False) -> str:
    from footprint.aggregation.aggregate import aggregate  # noqa: PLC0415 - the server's parent process need not load it
    from footprint.core.timestamps import format_instant  # noqa: PLC0415
    from footprint.core.units import US_PER_DAY  # noqa: PLC0415
    from footprint.ledger.factor_store import load_factor_book  # noqa: PLC0415
    from footprint.queries.ledger_verification import VerificationFailed  # noqa: PLC0415

    summary = aggregate(
        store,
        config,
        load_factor_book(store),
        now_us,
        verify=every_day,
        progress=lambda members, day: report_progress(f"{members} {format_instant(day * US_PER_DAY)[:10]}"),
    )
    if summary.faults:
        raise VerificationFailed("; ".join(summary.notes))
    return "; ".join([f"{summary.computed} computed, {summary.unchanged} as they were", *summary.notes])


def _compare_all_days(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    return _aggregate(store, config, now_us, report_progress, every_day=True)


def _refresh_intensities(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    from footprint.core.prometheus_metrics import SourceUnavailable  # noqa: PLC0415
    from footprint.ledger.intensity_series import fetch_series  # noqa: PLC0415
    from footprint.ledger.sources import SOURCES  # noqa: PLC0415

    sample_count, failures = 0, []
    zones = sorted({config.zone, *(site.zone for site in config.sites)})
    for name in config.live:
        source = SOURCES[name]
        for zone in zones:
            if not source.zones or zone in source.zones:
                report_progress(f"{name} {zone}")
                try:
                    sample_count += fetch_series(
                        store, name, zone, None, now_us, now_us, key=os.environ.get(source.key_variable or "-", "")
                    )
                except SourceUnavailable as error:  # continue with the other sources
                    failures.append(str(error))
    if failures:
        raise SourceUnavailable("; ".join(failures))
    return f"{sample_count} samples new or changed"


def _write_mirror(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    from footprint.figures.mirror import update_mirror  # noqa: PLC0415

    summary = update_mirror(store, config, report_progress)
    return str(summary) if summary is not None else "another process is writing the mirror"


def _seal_archive(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    from footprint.ledger.archive_writer import seal  # noqa: PLC0415
    from footprint.ledger.object_store import ObjectStore  # noqa: PLC0415

    report_progress(config.sealed_url())
    summary = seal(
        store,
        ObjectStore(config.sealed_url()),
        now_us,
        after_days=config.seal_after_days,
        keep_days=config.keep_days,
        signing_key=config.signing_key,
    )
    sealed = f"{summary.parts} parts of {summary.rows} rows sealed, {summary.supplements} of them supplements"
    return f"{sealed}; {summary.retired} rows left SQL"


def _verify_archive(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    from footprint.core.units import US_PER_DAY  # noqa: PLC0415
    from footprint.queries.ledger_verification import VerificationFailed, verify_ledger  # noqa: PLC0415

    report_progress("sealed files, figures and balances")
    verification = verify_ledger(store, config, now_us - 7 * US_PER_DAY)
    faults = verification.faults
    if faults:
        raise VerificationFailed("; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else ""))
    return "; ".join([verification.finding or "nothing to verify", *verification.notes])


def _send_alerts(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    from footprint.server.alerts import dispatch  # noqa: PLC0415

    report_progress("looking")
    return dispatch(store, config, now_us)


def _draft_edition(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    from footprint.editions.publication import write_due_draft  # noqa: PLC0415

    return write_due_draft(store, config, now_us, report_progress)


def _expire_audit_log(store: Store, config: Config, now_us: int, report_progress: ReportProgress) -> str:
    from footprint.access.audit_log import delete_expired  # noqa: PLC0415

    report_progress("access log")
    return f"{delete_expired(store, now_us, config.access.log_days)} accesses older than {config.access.log_days} days erased"


JOBS: tuple[JobKind, ...] = (
    JobKind("aggregate", 10, _aggregate),
    JobKind("compare", 86_400, _compare_all_days),
    JobKind("mirror", 300, _write_mirror, lambda config: bool(config.mirror)),
    JobKind("refresh", 3600, _refresh_intensities, lambda config: bool(config.live)),
    JobKind("seal", 3600, _seal_archive, lambda config: not config.demo),
    JobKind("verify", 86_400, _verify_archive, lambda config: not config.demo),
    JobKind("draft", 86_400, _draft_edition),
    JobKind("forget", 86_400, _expire_audit_log, lambda config: config.access.mode in ("header", "oidc")),
    JobKind(ALERT_JOB, 60, _send_alerts, lambda config: config.notify.is_enabled),
)


def job_named(name: str) -> JobKind:
    """Job by name.

    Raises
    ------
    FootprintError
        If there is no job of that name.
    """
    for job in JOBS:
        if job.name == name:
            return job
    raise FootprintError(f"no job {name!r}; there are {', '.join(job.name for job in JOBS)}")
