"""Routes /healthz, /readyz and /metrics (Prometheus)."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from footprint.access.request_context import current_role
from footprint.config import Config
from footprint.core.units import US_PER_S
from footprint.server.figure_counters import figure_counters
from footprint.server.job_runs import failed_run_counts, latest_runs
from footprint.server.scheduler import JobScheduler
from footprint.storage import schema
from footprint.storage.database import Store, table

# Name, type and meaning; the reference page is generated from it.
METRICS: tuple[tuple[str, str, str], ...] = (
    ("footprint_aggregation_failures_total", "counter", "Failed aggregation runs."),
    ("footprint_job_duration_seconds", "gauge", "Duration of the last run of a job."),
    ("footprint_job_age_seconds", "gauge", "Time since the start of the last run of a job."),
    ("footprint_job_failed_runs", "gauge", "Failed runs among the stored runs of a job."),
    ("footprint_last_reading_age_seconds", "gauge", "Age of the latest reading."),
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

    @routes.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz", include_in_schema=False)
    def readyz() -> JSONResponse:
        try:
            with store.read() as connection:
                connection.execute(select(table(schema.Meta).c.key).limit(1)).all()
        except DBAPIError:
            return JSONResponse({"status": "the store does not answer"}, 503)
        is_failing = scheduler is not None and scheduler.failures > 0 and scheduler.last_aggregation_us == 0
        return JSONResponse({"status": "aggregation fails" if is_failing else "ready"}, 503 if is_failing else 200)

    @routes.get("/metrics", include_in_schema=False)
    def metrics() -> PlainTextResponse:
        lines = _reading_age_metric(store, clock())
        # Counters are scraped often: they would reveal single minutes to roles that see protected figures only.
        if current_role().sees_services:
            lines += _ledger_metrics(store) + _figure_metrics(config, store, clock())
        if scheduler is not None:
            lines += _metric("aggregation_failures_total", [("", scheduler.failures)])
        lines += _job_metrics(store, clock())
        return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _metric(name: str, values: list[tuple[str, float]]) -> list[str]:
    full_name = f"footprint_{name}"
    kind, help_text = next((kind, text) for metric, kind, text in METRICS if metric == full_name)
    header = [f"# HELP {full_name} {help_text}\n", f"# TYPE {full_name} {kind}\n"]
    return header + [f"{full_name}{labels} {value!r}\n" for labels, value in values]


def _job_metrics(store: Store, now_us: int) -> list[str]:
    """Duration, age and failures of the jobs, from their last runs."""
    runs = latest_runs(store)
    ended = [run for run in runs if run["ended_us"] is not None]
    durations = [(f'{{job="{run["name"]}"}}', (run["ended_us"] - run["started_us"]) / US_PER_S) for run in ended]
    ages = [(f'{{job="{run["name"]}"}}', (now_us - run["started_us"]) / US_PER_S) for run in runs]
    failed_runs = [(f'{{job="{name}"}}', float(count)) for name, count in sorted(failed_run_counts(store).items())]
    return [
        *_metric("job_duration_seconds", sorted(durations)),
        *_metric("job_age_seconds", sorted(ages)),
        *_metric("job_failed_runs", failed_runs),
    ]


def _reading_age_metric(store: Store, now_us: int) -> list[str]:
    day = table(schema.StreamDay)
    with store.read() as connection:
        last_us = connection.execute(select(func.max(day.c.last_us))).scalar()
    if last_us is None:
        return []
    return _metric("last_reading_age_seconds", [("", (now_us - int(last_us)) / US_PER_S)])


def _ledger_metrics(store: Store) -> list[str]:
    batch = table(schema.Batch)
    with store.read() as connection:
        accepted = connection.execute(select(func.sum(batch.c.accepted))).scalar() or 0
    return _metric("ledger_rows_total", [("", int(accepted))])


def _figure_metrics(config: Config, store: Store, now_us: int) -> list[str]:
    counters = figure_counters(store, config, now_us)
    lines = []
    for column, name in (("energy_kwh", "energy_joules"), ("co2e_location_g", "co2e_location_grams"), ("requests", "requests")):
        series = [(_label(service), counter) for service, counter in sorted(counters.get(column, {}).items())]
        lines += _metric(f"{name}_total", [(label, counter.shown) for label, counter in series])
        lines += _metric(f"restated_{name}", [(label, counter.restated) for label, counter in series])
    return lines


def _label(service: str) -> str:
    escaped = service.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{service="{escaped}"}}'
