"""This file puts the API together; the dashboard is mounted on the same application afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError

from footprint.access import authentication
from footprint.access.middleware import AccessMiddleware
from footprint.api import audit_log, benchmarks, efficiency, footprint, health, ingest, reports, tables, trace
from footprint.api.ingest import AdmissionControl
from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.core.units import S_PER_HOUR
from footprint.core.version import VERSION
from footprint.figures.query import BadQuery
from footprint.ledger.ingest import IngestService
from footprint.server.scheduler import Schedule
from footprint.storage.database import Store

_POLICY = (
    "default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
MIN_PACKED, LEVEL = 2000, 4  # bytes; pages and tables shrink to a quarter, at little cost


def create_api(
    config: Config,
    store: Store,
    inbox: IngestService,
    clock: Callable[[], int],
    schedule: Schedule | None = None,
    gate: AdmissionControl | None = None,
    provider: Any = None,
) -> FastAPI:
    """The API over one store; ``clock`` gives the instant in µs. ``provider``: a transport to the sign-in provider, in tests.

    Raises
    ------
    ConfigError
        If a secret that sign-in needs cannot be read.
    """
    api = FastAPI(title="Footprint", version=VERSION, openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    api.add_middleware(GZipMiddleware, minimum_size=MIN_PACKED, compresslevel=LEVEL)
    api.state.scripts = ()  # of pages: what a policy lets run, by its hash
    api.add_middleware(AccessMiddleware, store=store, config=config, clock=clock, policy=lambda: policy_of(api.state.scripts))
    api.include_router(health.router(config, store, clock, schedule))
    api.include_router(footprint.router(config, store, clock))
    api.include_router(efficiency.router(config, store, clock))
    api.include_router(tables.router(config, store, clock))
    api.include_router(benchmarks.router(config))
    api.include_router(reports.router(config, store, clock))
    api.include_router(trace.router(config, store, clock))
    api.include_router(audit_log.router(config, store))
    if authentication.mode_of(config) == "oidc":
        _sign_in(api, config, clock, provider)
    api.include_router(ingest.router(store, inbox, clock, gate))

    @api.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"], include_in_schema=False)
    def unknown(path: str) -> JSONResponse:
        return JSONResponse({"error": f"no such address: /api/{path}"}, status_code=404)

    @api.exception_handler(BadQuery)
    async def bad_question(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @api.exception_handler(FootprintError)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=500)

    @api.exception_handler(DBAPIError)
    async def store_away(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"error": "the store does not answer; try again"}, status_code=503, headers={"Retry-After": "10"})

    return api


def policy_of(scripts: Sequence[str]) -> str:
    """The content security policy: this host alone, and of inline scripts those with these hashes; Plotly writes styles."""
    return _POLICY.format(scripts=" ".join(["'self'", *scripts]))


def _sign_in(api: FastAPI, config: Config, clock: Callable[[], int], provider: Any) -> None:
    """Sessions in a signed cookie that holds a role and its end; the provider's routes."""
    from starlette.middleware.sessions import SessionMiddleware  # noqa: PLC0415 - needs itsdangerous, which open servers do without

    from footprint.access import oidc  # noqa: PLC0415
    from footprint.access.secret_files import session_key  # noqa: PLC0415

    rules = config.access
    api.include_router(oidc.router(rules, clock, provider))
    api.add_middleware(
        SessionMiddleware,
        secret_key=session_key(rules.session_key_file),
        session_cookie="footprint",
        max_age=rules.session_hours * S_PER_HOUR,
        same_site="lax",
        https_only=rules.secure,
    )
