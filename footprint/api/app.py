"""ASGI application: the API with its error handlers, the dashboard, and self-metering."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError

from footprint.access.application import Application, Layer
from footprint.access.authentication import Authenticator, access_mode, needs_token
from footprint.access.middleware import AuditMiddleware, AuthenticationMiddleware, AuthorizationMiddleware, BodyLimitMiddleware
from footprint.access.security_headers import SecurityHeadersMiddleware, content_security_policy, form_targets
from footprint.api import audit_log, benchmarks, efficiency, footprint, health, ingest, reports, tables, trace
from footprint.api.ingest import AdmissionControl
from footprint.api.openapi import complete_openapi
from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.core.secret_files import read_or_create_secret
from footprint.core.timestamps import now_us
from footprint.core.version import VERSION
from footprint.figures.query import BadQuery
from footprint.ledger.ingest import IngestService
from footprint.server.scheduler import JobScheduler
from footprint.server.self_metering import SelfMeteringGateway
from footprint.storage.database import Store

# Named as a text: `footprint` does not import `dashboards`, and the server runs without that extra.
DASHBOARD = "dashboards.app"

MIN_COMPRESSED_BYTES, COMPRESSION_LEVEL = 2000, 4  # bytes; pages and tables shrink to a quarter, at little cost


def create_api(
    config: Config,
    store: Store,
    ingest_service: IngestService,
    clock: Callable[[], int],
    scheduler: JobScheduler | None = None,
    admission: AdmissionControl | None = None,
    oidc_transport: Any = None,
) -> Application:
    """API over one store; ``clock`` gives the time [µs], ``oidc_transport`` replaces HTTP to the provider in tests.

    Raises
    ------
    ConfigError
        If a secret of the sign-in cannot be read.
    """
    api = Application(title="Footprint", version=VERSION, openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    api.add_middleware(GZipMiddleware, minimum_size=MIN_COMPRESSED_BYTES, compresslevel=COMPRESSION_LEVEL)
    api.surround(*_access_layers(api, config, store, clock))
    api.include_router(health.router(config, store, clock, scheduler))
    api.include_router(footprint.router(config, store, clock))
    api.include_router(efficiency.router(config, store, clock))
    api.include_router(tables.router(config, store, clock))
    api.include_router(benchmarks.router(config))
    api.include_router(reports.router(config, store, clock))
    api.include_router(trace.router(config, store, clock))
    api.include_router(audit_log.router(config, store))
    if access_mode(config) == "oidc":
        from footprint.access import oidc  # noqa: PLC0415 - needs authlib, which other modes do without

        api.include_router(oidc.router(config.access, store, clock, oidc_transport))
    api.include_router(ingest.router(store, ingest_service, clock, admission))

    api.openapi = partial(complete_openapi, api)  # type: ignore[method-assign]

    @api.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"], include_in_schema=False)
    def unknown(path: str) -> JSONResponse:
        return JSONResponse({"error": f"no such address: /api/{path}"}, status_code=404)

    @api.exception_handler(BadQuery)
    async def bad_query(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @api.exception_handler(FootprintError)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=500)

    @api.exception_handler(DBAPIError)
    async def store_unavailable(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"error": "the store does not answer; try again"}, status_code=503, headers={"Retry-After": "10"})

    return api


def _access_layers(api: Application, config: Config, store: Store, clock: Callable[[], int]) -> Sequence[Layer]:
    """What surrounds the routes, from the outside in: headers, authentication, limits, authorization, audit log."""
    authenticator, forms = Authenticator(store, config, clock), form_targets(config)
    hint = " (not without the token of this service: `footprint access link`)" if needs_token(config) else ""
    layers: list[Layer] = [
        lambda app: SecurityHeadersMiddleware(
            app, config, lambda: content_security_policy(api.page_scripts, api.page_styles, forms)
        ),
        lambda app: AuthenticationMiddleware(app, authenticator),
        BodyLimitMiddleware,
        lambda app: AuthorizationMiddleware(app, hint),
        lambda app: AuditMiddleware(app, store, config, clock),
    ]
    if authenticator.mode == "oidc":
        layers.append(_sign_in_state(config))
    return layers


def _sign_in_state(config: Config) -> Layer:
    """A signed cookie that holds the state of a sign-in until the reader comes back from the provider."""
    from starlette.middleware.sessions import SessionMiddleware  # noqa: PLC0415 - needs itsdangerous, which open servers do without

    from footprint.access.oidc import SIGN_IN_MAX_AGE_S  # noqa: PLC0415

    rules = config.access
    key = read_or_create_secret(rules.session_key_file, "the key of sessions")
    return lambda app: SessionMiddleware(
        app,
        secret_key=key,
        session_cookie=f"{rules.session_cookie}-sign-in",
        max_age=SIGN_IN_MAX_AGE_S,
        same_site="lax",
        https_only=rules.secure,
    )


def build_application(config: Config, store: Store, schedule: JobScheduler | None) -> tuple[Any, SelfMeteringGateway | None]:
    """ASGI application, and the gateway that counts its requests; None where ``[server] count_itself`` is false.

    A demonstration has no gateway: real requests never mix with simulated ones.
    """
    service = IngestService(store, config.services_of_model, config.hosts_of_service)
    api = create_api(config, store, service, now_us, schedule)
    app: Any = importlib.import_module(DASHBOARD).mount(api, store, config, now_us)
    if config.demo or not config.count_itself:
        return app, None
    gateway = SelfMeteringGateway(app, service, now_us)
    return gateway, gateway
