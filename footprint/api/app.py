"""This file puts the API together; the dashboard is mounted on the same application afterwards."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError

from footprint.api import benchmarks, engineering, figures, health, ingest, reports, tables, tracing
from footprint.api.ingest import Gate
from footprint.config import Config
from footprint.ledger.shipping import Inbox
from footprint.querying.question import BadQuestion
from footprint.readings import FootprintError
from footprint.schedule import Schedule
from footprint.store import Store

LEAST_PACKED, LEVEL = 2000, 4  # bytes; pages and tables shrink to a quarter, at little cost


def create_api(
    config: Config, store: Store, inbox: Inbox, clock: Callable[[], int], schedule: Schedule | None = None,
    gate: Gate | None = None,
) -> FastAPI:
    """The API over one store; ``clock`` gives the instant in µs."""
    api = FastAPI(
        title="Footprint", version=version("footprint"), openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    api.add_middleware(GZipMiddleware, minimum_size=LEAST_PACKED, compresslevel=LEVEL)
    api.include_router(health.router(config, store, clock, schedule))
    api.include_router(figures.router(config, store, clock))
    api.include_router(engineering.router(config, store, clock))
    api.include_router(tables.router(config, store, clock))
    api.include_router(benchmarks.router(config))
    api.include_router(reports.router(config, store, clock))
    api.include_router(tracing.router(config, store, clock))
    api.include_router(ingest.router(store, inbox, clock, gate))

    @api.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"], include_in_schema=False)
    def unknown(path: str) -> JSONResponse:
        return JSONResponse({"error": f"no such address: /api/{path}"}, status_code=404)

    @api.exception_handler(BadQuestion)
    async def bad_question(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @api.exception_handler(FootprintError)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=500)

    @api.exception_handler(DBAPIError)
    async def store_away(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse(
            {"error": "the store does not answer; try again"}, status_code=503, headers={"Retry-After": "10"}
        )

    return api
