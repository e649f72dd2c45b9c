"""Routes /healthz, /readyz and /metrics (Prometheus)."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import func, select

from footprint.access.policy import allows
from footprint.access.request_context import current_role
from footprint.config import Config
from footprint.core.units import US_PER_S
from footprint.core.version import VERSION
from footprint.ledger.agent_status import agent_statuses
from footprint.ledger.refusals import refusals_by_reason
from footprint.queries.agent_liveness import host_liveness
from footprint.queries.sensor_quality import troubled_sensors
from footprint.server.figure_counters import figure_counters
from footprint.server.job_runs import failed_run_counts, latest_runs
from footprint.server.readiness import Readiness
from footprint.server.scheduler import JobScheduler
from footprint.storage import schema
from footprint.storage.database import Store, table

# Name, type and meaning; the reference page is generated from it.
METRICS: tuple[tuple[str, str, str], ...] = (
    ("footprint_aggregation_failures_total", "counter", "Failed aggregation runs."),
    ("footprint_job_duration_seconds", "gauge", "Duration of the last run of a job."),
    ("footprint_job_age_seconds", "gauge", "Time since the start of the last run of a job."),
    ("footprint_job_failed_runs", "gauge", "Failed runs among the stored runs of a job."),
    ("footprint_build_info", "gauge", "Always 1; version of the server and of Python as labels."),
    ("footprint_ready", "gauge", "1 where `/readyz` answers 200, else 0."),
    ("footprint_last_reading_age_seconds", "gauge", "Age of the latest reading of any host."),
    ("footprint_host_last_reading_age_seconds", "gauge", "Age of the latest reading by host."),
    ("footprint_agent_backlog_bytes", "gauge", "Bytes that waited in the spool of a host's agent when it last shipped."),
    ("footprint_agent_clock_offset_seconds", "gauge", "Clock of a host less that of the server when its agent last shipped."),
    ("footprint_agent_contact_age_seconds", "gauge", "Time since the agent of a host last shipped, to within 30 seconds."),
    (
        "footprint_sensor_trouble_seconds",
        "gauge",
        "Time for which a sensor has been in doubt, still, unread or gone; else absent.",
    ),
    ("footprint_refused_lines_total", "counter", "Lines that a door did not take, by reason."),
    ("footprint_ledger_rows_total", "counter", "Readings and requests accepted."),
    ("footprint_energy_joules_total", "counter", "Facility energy by service; never falls."),
    ("footprint_co2e_location_grams_total", "counter", "Location-based emissions by service; never falls."),
    ("footprint_requests_total", "counter", "Requests by service; never falls."),
    (
        "footprint_restated_energy_joules",
        "gauge",
        "Part of the energy counter that the figures no longer hold, after a correction.",
    ),
    ("footprint_restated_co2e_location_grams", "gauge", "Part of the emissions counter that the figures no longer hold."),
    ("footprint_restated_requests", "gauge", "Part of the request counter that the figures no longer hold."),
)


def router(config: Config, store: Store, clock: Callable[[], int], scheduler: JobScheduler | None) -> APIRouter:
    """Routes over one store."""
    routes = APIRouter()
    readiness = Readiness(config, store, scheduler)

    @routes.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz", include_in_schema=False)
    def readyz() -> JSONResponse:
        fault = readiness.fault()
        return JSONResponse({"status": fault or "ready"}, 503 if fault else 200)

    @routes.get("/metrics", include_in_schema=False)
    def metrics() -> PlainTextResponse:
        lines = _build_info() + _metric("ready", [("", int(not readiness.fault()))])
        # Names, ages and jobs tell of the machines; counters are scraped often, and would reveal single minutes.
        if allows(current_role(), "metrics:service"):
            lines += _reading_age_metric(store, clock()) + _host_metrics(config, store, clock()) + _ledger_metrics(store)
            lines += _figure_metrics(config, store, clock()) + _job_metrics(store, clock())
            if scheduler is not None:
                lines += _metric("aggregation_failures_total", [("", scheduler.failures)])
        return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _metric(name: str, values: Sequence[tuple[str, float]]) -> list[str]:
    full_name = f"footprint_{name}"
    kind, help_text = next((kind, text) for metric, kind, text in METRICS if metric == full_name)
    header = [f"# HELP {full_name} {help_text}\n", f"# TYPE {full_name} {kind}\n"]
    return header + [f"{full_name}{labels} {value!r}\n" for labels, value in values]


def _job_metrics(store: Store, now_us: int) -> list[str]:
    """Duration, age and failures of the jobs, from their last runs."""
    runs = latest_runs(store)
    ended = [run for run in runs if run["ended_us"] is not None]
    durations = [(_label("job", run["name"]), (run["ended_us"] - run["started_us"]) / US_PER_S) for run in ended]
    ages = [(_label("job", run["name"]), (now_us - run["started_us"]) / US_PER_S) for run in runs]
    failed_runs = [(_label("job", name), float(count)) for name, count in sorted(failed_run_counts(store).items())]
    return [
        *_metric("job_duration_seconds", sorted(durations)),
        *_metric("job_age_seconds", sorted(ages)),
        *_metric("job_failed_runs", failed_runs),
    ]


def _build_info() -> list[str]:
    return _metric("build_info", [(f'{{version="{_escaped(VERSION)}",python="{platform.python_version()}"}}', 1)])


def _reading_age_metric(store: Store, now_us: int) -> list[str]:
    day = table(schema.StreamDay)
    with store.read() as connection:
        last_us = connection.execute(select(func.max(day.c.last_us))).scalar()
    if last_us is None:
        return []
    return _metric("last_reading_age_seconds", [("", (now_us - int(last_us)) / US_PER_S)])


def _host_metrics(config: Config, store: Store, now_us: int) -> list[str]:
    """Series of each host: age of its last reading, and what its agent and this server say of it."""
    ages = [(_label("host", host.host), host.silent_us / US_PER_S) for host in host_liveness(store, config, now_us)]
    statuses = sorted(agent_statuses(store).items())
    backlogs = [(_label("host", host), status.backlog_bytes) for host, status in statuses if status.backlog_bytes is not None]
    offsets = [
        (_label("host", host), status.clock_offset_us / US_PER_S)
        for host, status in statuses
        if status.clock_offset_us is not None
    ]
    contacts = [(_label("host", host), (now_us - status.at_us) / US_PER_S) for host, status in statuses]
    refused = [(_label("reason", reason), count) for reason, count in sorted(refusals_by_reason(store).items())]
    troubled = [
        (
            "{"
            + ",".join(f'{name}="{_escaped(getattr(finding, name))}"' for name in ("host", "device", "source", "trouble"))
            + "}",
            (now_us - finding.since_us) / US_PER_S,
        )
        for finding in troubled_sensors(store, now_us)
    ]
    return [
        *_metric("sensor_trouble_seconds", troubled),
        *_metric("host_last_reading_age_seconds", ages),
        *_metric("agent_backlog_bytes", backlogs),
        *_metric("agent_clock_offset_seconds", offsets),
        *_metric("agent_contact_age_seconds", contacts),
        *_metric("refused_lines_total", refused),
    ]


def _ledger_metrics(store: Store) -> list[str]:
    batch = table(schema.Batch)
    with store.read() as connection:
        accepted = connection.execute(select(func.sum(batch.c.accepted))).scalar() or 0
    return _metric("ledger_rows_total", [("", int(accepted))])


def _figure_metrics(config: Config, store: Store, now_us: int) -> list[str]:
    counters = figure_counters(store, config, now_us)
    lines = []
    for column, name in (("energy_kwh", "energy_joules"), ("co2e_location_g", "co2e_location_grams"), ("requests", "requests")):
        series = [(_label("service", service), counter) for service, counter in sorted(counters.get(column, {}).items())]
        lines += _metric(f"{name}_total", [(label, counter.shown) for label, counter in series])
        lines += _metric(f"restated_{name}", [(label, counter.restated) for label, counter in series])
    return lines


def _label(name: str, value: str) -> str:
    return f'{{{name}="{_escaped(value)}"}}'


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
