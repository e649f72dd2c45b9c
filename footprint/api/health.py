"""This file says whether the service lives and is ready, and gives its figures to Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from footprint.access.middleware import current_role
from footprint.config import Config
from footprint.core.units import J_PER_KWH, US_PER_S
from footprint.figures import Query, run_query
from footprint.server.job_runs import failures, latest_runs
from footprint.server.scheduler import Schedule
from footprint.storage import schema
from footprint.storage.database import Store, table


def router(config: Config, store: Store, clock: Callable[[], int], schedule: Schedule | None) -> APIRouter:
    """The routes, over one store."""
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
        failing = schedule is not None and schedule.failures > 0 and schedule.last_done_us == 0
        return JSONResponse({"status": "aggregation fails" if failing else "ready"}, 503 if failing else 200)

    @routes.get("/metrics", include_in_schema=False)
    def metrics() -> PlainTextResponse:
        lines = _age(store, clock())
        # Counters are read again and again: to who sees protected figures they would tell of every minute.
        if current_role().sees_services:
            lines += _ledger(store) + _figures(config, store, clock())
        if schedule is not None:
            lines += _metric("aggregation_failures_total", "counter", "Runs that failed.", [("", schedule.failures)])
        lines += _jobs(store, clock())
        return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _metric(name: str, kind: str, said: str, values: list[tuple[str, float]]) -> list[str]:
    head = [f"# HELP footprint_{name} {said}\n", f"# TYPE footprint_{name} {kind}\n"]
    return head + [f"footprint_{name}{labels} {value!r}\n" for labels, value in values]


def _jobs(store: Store, now_us: int) -> list[str]:
    """Duration, age and failures of the jobs, as their last runs tell."""
    runs = latest_runs(store)
    ended = [run for run in runs if run["ended_us"] is not None]
    lasted = [(f'{{job="{run["name"]}"}}', (run["ended_us"] - run["started_us"]) / US_PER_S) for run in ended]
    ages = [(f'{{job="{run["name"]}"}}', (now_us - run["started_us"]) / US_PER_S) for run in runs]
    failed = [(f'{{job="{name}"}}', float(number)) for name, number in sorted(failures(store).items())]
    return [
        *_metric("job_duration_seconds", "gauge", "How long the last run of a job took.", sorted(lasted)),
        *_metric("job_age_seconds", "gauge", "When the last run of a job began.", sorted(ages)),
        *_metric("job_failed_runs", "gauge", "Failed runs among those that are kept.", failed),
    ]


def _age(store: Store, now_us: int) -> list[str]:
    day = table(schema.StreamDay)
    with store.read() as connection:
        last = connection.execute(select(func.max(day.c.last_us))).scalar()
    if last is None:
        return []
    return _metric("last_reading_age_seconds", "gauge", "Age of the latest reading.", [("", (now_us - int(last)) / US_PER_S)])


def _ledger(store: Store) -> list[str]:
    batch = table(schema.Batch)
    with store.read() as connection:
        accepted = connection.execute(select(func.sum(batch.c.accepted))).scalar() or 0
    return _metric("ledger_rows_total", "counter", "Readings and requests accepted.", [("", int(accepted))])


def _figures(config: Config, store: Store, now_us: int) -> list[str]:
    rows = run_query(store, config, Query(group=("service",)), now_us).rows
    energy = [(_label(row["service"]), row["energy_kwh"] * J_PER_KWH) for row in rows if row["energy_kwh"] is not None]
    grams = [(_label(row["service"]), row["co2e_location_g"]) for row in rows if row["co2e_location_g"] is not None]
    requests = [(_label(row["service"]), row["requests"]) for row in rows if row["requests"] is not None]
    return [
        *_metric("energy_joules_total", "counter", "Facility energy by service.", energy),
        *_metric("co2e_location_grams_total", "counter", "Location-based emissions by service.", grams),
        *_metric("requests_total", "counter", "Requests by service.", requests),
    ]


def _label(service: str) -> str:
    escaped = service.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{service="{escaped}"}}'
