"""Routes of tables beside the figures: readings, methods, facts, factors, balance, splits, uncertainty, jobs, agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse

from footprint.access.request_context import current_role
from footprint.api import efficiency
from footprint.api.footprint import table_response
from footprint.calendar.periods import BadPeriod, parse_period
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.figures import Query, parse_query
from footprint.figures.query import BadQuery
from footprint.ledger.certificates import certified_config
from footprint.ledger.factor_store import load_factor_book
from footprint.queries import (
    agent_liveness,
    declared_facts,
    energy_balance,
    factor_diff,
    functional_units,
    raw_readings,
    refused_records,
    sensor_quality,
    split_diagnostics,
    uncertainty_budget,
)
from footprint.queries import certificates as certificates_query
from footprint.queries import log_quality as log_quality_query
from footprint.queries import methods as methods_query
from footprint.queries import objectives as objectives_query
from footprint.queries import sensors as sensors_query
from footprint.server.job_runs import latest_runs
from footprint.storage.database import Store

Table = tuple[list[str], list[dict[str, Any]]]
MAX_DAYS = 31  # of raw readings in one response


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """Routes over one store."""
    routes = APIRouter()

    def parse_bounds(from_: str | None, to: str | None) -> Query:
        return parse_query(config.timezone, from_=from_, to=to)

    def methods(_: Query, language: str) -> Table:
        return list(methods_query.COLUMNS), methods_query.method_rows(language)

    def facts(_: Query, __: str) -> Table:
        return list(declared_facts.COLUMNS), declared_facts.declared_facts(
            certified_config(store, config), hosts=current_role().sees_services
        )

    def factors(_: Query, __: str) -> Table:
        names = [
            "kind",
            "where",
            "valid_from",
            "valid_to",
            "value",
            "low",
            "high",
            "unit",
            "scope",
            "source",
            "licence",
            "retrieved",
            "bundle",
            "sha256",
        ]
        rows = [{name: getattr(factor, name) for name in names} for factor in load_factor_book(store).factors]
        for row in rows:
            row |= {name: row[name].isoformat() if row[name] is not None else None for name in ("valid_from", "valid_to")}
        return names, rows

    def balance(query: Query, _: str) -> Table:
        return list(energy_balance.COLUMNS), energy_balance.energy_balance(store, config, query.from_us, query.to_us)

    def splits(query: Query, _: str) -> Table:
        return list(split_diagnostics.COLUMNS), split_diagnostics.split_diagnostics(store, query.from_us, query.to_us)

    def uncertainty(query: Query, _: str) -> Table:
        return list(uncertainty_budget.COLUMNS), uncertainty_budget.uncertainty_budget(store, config, query, clock())

    def sensors(query: Query, language: str) -> Table:
        rows = sensor_quality.sensor_rows(store, config, query.from_us, query.to_us, clock(), language)
        return list(sensor_quality.COLUMNS), [{name: row[name] for name in sensor_quality.COLUMNS} for row in rows]

    def jobs(_: Query, __: str) -> Table:
        columns = ["job", "status", "started", "duration_s", "said"]
        return columns, [
            {
                "job": run["name"],
                "status": run["status"],
                "started": format_instant(run["started_us"]),
                "said": run["said"] or None,
                "duration_s": None if run["ended_us"] is None else (run["ended_us"] - run["started_us"]) / US_PER_S,
            }
            for run in latest_runs(store)
        ]

    def silent(_: Query, __: str) -> Table:
        return list(agent_liveness.COLUMNS), [liveness.row() for liveness in agent_liveness.host_liveness(store, config, clock())]

    def calibrations(_: Query, __: str) -> Table:
        certificates = certified_config(store, config).certificates
        return list(certificates_query.COLUMNS), certificates_query.certificate_rows(certificates, clock())

    def refused(_: Query, __: str) -> Table:
        return list(refused_records.COLUMNS), refused_records.refused_records(store)

    def log_quality(query: Query, _: str) -> Table:
        return list(log_quality_query.COLUMNS), log_quality_query.log_quality(store, query.from_us, query.to_us)

    def units(query: Query, _: str) -> Table:
        rows = functional_units.functional_units(store, config, query.from_us, query.to_us, clock())
        return list(functional_units.COLUMNS), rows

    tables_by_name: dict[str, Callable[[Query, str], Table]] = {
        "methods": methods,
        "facts": facts,
        "factors": factors,
        "balance": balance,
        "splits": splits,
        "uncertainty": uncertainty,
        "jobs": jobs,
        "silent": silent,
        "calibrations": calibrations,
        "sensors": sensors,
        "refused": refused,
        "log-quality": log_quality,
        "units": units,
    }

    @routes.get("/api/v1/tables/objectives", summary="Status of each budget and target in a period, by default the current one")
    def objectives(
        period: str | None = None, form: Annotated[str, Parameter(alias="format", description="json, csv or parquet")] = "json"
    ) -> Response:
        try:
            at = parse_period(period) if period else None
        except BadPeriod as error:
            raise BadQuery(str(error)) from None
        statuses = objectives_query.objective_statuses(store, config, clock(), at)
        return table_response(list(objectives_query.COLUMNS), [status.row() for status in statuses], form, config, "objectives")

    @routes.get("/api/v1/sensors", summary="Sensors of a host, or of all: verdict, witness, self-test and calibration")
    def host_sensors(
        host: str | None = None,
        lang: str = "en",
        form: Annotated[str, Parameter(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        rows = sensors_query.sensor_table(store, config, clock(), "fr" if lang == "fr" else "en", host=host)
        return table_response(list(sensors_query.COLUMNS), rows, form, config, "sensors")

    @routes.get("/api/v1/tables/bundles", summary="Differences between two factor bundles, by factor and place")
    def bundles(
        before: str | None = None,
        after: str | None = None,
        form: Annotated[str, Parameter(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        book = load_factor_book(store)
        names = factor_diff.bundles_of(book)
        rows = factor_diff.bundle_differences(book, config, before or names[max(len(names) - 2, 0)], after or names[-1])
        return table_response(list(factor_diff.BUNDLE_COLUMNS), rows, form, config, "bundles")

    @routes.get("/api/v1/tables/{name}", summary="Tables beside the figures: " + ", ".join(sorted(tables_by_name)))
    def tables(
        name: str,
        lang: str = "en",
        from_: Annotated[str | None, Parameter(alias="from")] = None,
        to: str | None = None,
        form: Annotated[str, Parameter(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        if name not in tables_by_name:
            names = ", ".join(sorted({*tables_by_name, *efficiency.TABLE_NAMES, "bundles", "objectives"}))
            return JSONResponse({"error": f"no table {name}; there are {names}"}, 404)
        return table_response(*tables_by_name[name](parse_bounds(from_, to), "fr" if lang == "fr" else "en"), form, config, name)

    @routes.get("/api/v1/readings", summary="Raw readings of one device, at most a month at a time")
    def readings(
        host: str,
        device: str,
        from_: Annotated[str, Parameter(alias="from")],
        to: str,
        form: Annotated[str, Parameter(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        query = parse_bounds(from_, to)
        if query.from_us is None or query.to_us is None:
            raise BadQuery("from and to are required: raw readings come at most a month at a time")
        if query.to_us - query.from_us > MAX_DAYS * US_PER_DAY:
            raise BadQuery(f"at most {MAX_DAYS} days of raw readings at a time")
        return table_response(
            list(raw_readings.COLUMNS),
            raw_readings.raw_readings(store, host, device, query.from_us, query.to_us),
            form,
            config,
            "readings",
        )

    return routes
