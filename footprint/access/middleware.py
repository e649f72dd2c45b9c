"""ASGI middleware: authenticate, authorize, write the audit log, set security headers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from footprint.access.audit_log import describe_cells, write_access
from footprint.access.authentication import authenticate
from footprint.access.authorization import AccessRefused, CellPolicy, authorize_answer, is_below_service_level
from footprint.access.roles import Role, permission_of
from footprint.calendar.periods import MONTHS_PER_PERIOD, parse_period, period_at
from footprint.config import Config
from footprint.editions.protected_cells import ProtectedCells, previously_published_cells, protect_period
from footprint.editions.release_context import Key
from footprint.editions.repository import published_editions, release_state
from footprint.figures.engine import QueryResult
from footprint.figures.query import Query
from footprint.storage import schema
from footprint.storage.database import Store, table

STORE_CHECK_INTERVAL_S = 1.0
MAX_DECISION_AGE_S = 600.0  # a quarter may end meanwhile
PAGE_KEY = "footprint.page"  # key of a scope whose path was rewritten: the page that the document is for
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


@dataclass(slots=True)
class RequestContext:
    """Role of one request, and the unprotected cells in its response."""

    role: Role
    cells: list[str] = field(default_factory=list)


# Without an HTTP request (command, notebook, test) the caller is treated as administrator.
_current_context: ContextVar[RequestContext | None] = ContextVar("visit", default=None)


def current_role() -> Role:
    """Role of the current request."""
    context = _current_context.get()
    return Role.ADMINISTRATOR if context is None else context.role


def record_access(cells: str) -> None:
    """Add data to the audit log that a page displays without ``AuthorizedQueries``."""
    context = _current_context.get()
    if context is not None and context.role.sees_uses:
        context.cells.append(cells)


class AuthorizedQueries:
    """Queries whose results are authorized for the role of the current request."""

    def __init__(self, store: Store, config: Config, clock: Callable[[], int]) -> None:
        self._store, self._config, self._clock = store, config, clock
        self._version: tuple[float, Any] = (-STORE_CHECK_INTERVAL_S, None)
        self._decisions: dict[str, tuple[Any, float, ProtectedCells]] = {}
        self._published_cache: tuple[Any, tuple[Any, Any]] = (None, ((), ()))

    def run(self, query: Query, run_query: Callable[[Query], QueryResult]) -> QueryResult:
        """Result of a query, masked for the current role; unprotected cells below service level enter the audit log.

        Raises
        ------
        AccessRefused
            If the role may not run the query.
        """
        context, role = _current_context.get(), current_role()
        zone = self._config.timezone
        result = authorize_answer(
            query, role, run_query, self._cell_policy(), zone, period_at(self._clock(), zone, 1).bounds_us(zone)[0]
        )
        if context is not None and role.sees_uses and is_below_service_level(query):
            context.cells.append(describe_cells(query, len(result.rows)))
        return result

    def check_table_query(self, query: Query) -> None:
        """Authorize a table that reads the store directly; rows below service level enter the audit log.

        Raises
        ------
        AccessRefused
            If the rows are below service level, and the role sees protected figures only.
        """
        context, role = _current_context.get(), current_role()
        if not is_below_service_level(query):
            return
        if not role.sees_uses:
            raise AccessRefused("this table covers services; figures of use cases are at /api/v1/footprint")
        if context is not None:
            context.cells.append(describe_cells(query, 1))

    def _cell_policy(self) -> CellPolicy:
        """Policy by quarter (by year for a year); it is recomputed when results or user counts change."""
        zone = self._config.timezone

        def is_shown(period: str, service: str, use_case: str) -> bool:
            cell_period = parse_period(period)
            if cell_period.length != MONTHS_PER_PERIOD["year"]:
                cell_period = period_at(cell_period.bounds_us(zone)[0], zone, MONTHS_PER_PERIOD["quarter"])
            return self._protected_cells(str(cell_period)).is_public(period, service, use_case)

        return is_shown

    def _protected_cells(self, period: str) -> ProtectedCells:
        now = time.monotonic()
        if now - self._version[0] > STORE_CHECK_INTERVAL_S:
            self._version = now, _protection_version(self._store)
        version, decided_at, decision = self._decisions.get(period, (None, 0.0, None))
        if decision is None or version != self._version[1] or now - decided_at > MAX_DECISION_AGE_S:
            shown, hidden = self._published_keys()
            decision = protect_period(self._store, self._config, period, self._clock(), published=shown, suppressed=hidden)
            self._decisions[period] = self._version[1], now, decision
        return decision

    def _published_keys(self) -> tuple[Collection[Key], Collection[Key]]:
        """Cells that editions showed, and cells that they hid: pages must not reveal the hidden ones."""
        released = release_state(self._store)
        if released != self._published_cache[0]:
            self._published_cache = released, previously_published_cells(published_editions(self._store))
        return self._published_cache[1]


def _protection_version(store: Store) -> Any:
    """Value that changes whenever a day is recomputed, user counts change, or an edition is published."""
    shard, users = table(schema.Shard), table(schema.Users)
    with store.read() as connection:
        computed = tuple(connection.execute(select(func.max(shard.c.computed_us), func.count())).one())
        user_counts = frozenset(tuple(row) for row in connection.execute(select(users)))
    return computed, user_counts, release_state(store)


class AccessMiddleware:
    """ASGI middleware over the whole application; ``policy`` gives the content security policy."""

    def __init__(self, app: Any, store: Store, config: Config, clock: Callable[[], int], policy: Callable[[], str]) -> None:
        self._app, self._store, self._config, self._clock, self._policy = app, store, config, clock, policy

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:  # no page uses websockets, and this middleware does not authorize them
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        context = RequestContext(authenticate(scope, self._config, self._clock()))
        path = scope.get(PAGE_KEY) or scope["path"]
        permission = permission_of(path)
        is_allowed = permission is not None and context.role in permission.roles
        if is_allowed and permission is not None and permission.audited and context.role.sees_uses:
            context.cells.append(path.rsplit("/", 1)[-1])
        wrapped_send = self._wrap_send(scope, context, send, is_hidden=not is_allowed)
        if not is_allowed and PAGE_KEY not in scope:
            await JSONResponse({"error": f"no such address: {scope['path']}"}, status_code=404)(scope, receive, wrapped_send)
            return
        token = _current_context.set(context)
        try:
            await self._app(scope, receive, wrapped_send)
        finally:
            _current_context.reset(token)

    def _wrap_send(self, scope: Any, context: RequestContext, send: Any, *, is_hidden: bool) -> Any:
        async def send_message(message: Any) -> None:
            if message["type"] == "http.response.start":
                if context.cells and message["status"] < 400:
                    await run_in_threadpool(self._write_audit_log, scope, context)
                is_hidden_page = is_hidden and PAGE_KEY in scope
                message = {
                    **message,
                    "headers": self._with_security_headers(message),
                    **({"status": 404} if is_hidden_page else {}),
                }
            await send(message)

        return send_message

    def _write_audit_log(self, scope: Any, context: RequestContext) -> None:
        if self._config.access.mode in ("header", "oidc"):
            query = scope.get("query_string", b"").decode("latin-1")
            write_access(
                self._store,
                self._clock(),
                context.role,
                scope["method"],
                scope.get(PAGE_KEY) or scope["path"],
                query,
                context.cells,
            )

    def _with_security_headers(self, message: Any) -> list[tuple[bytes, bytes]]:
        headers = list(message.get("headers", ()))
        present = {name.lower() for name, _ in headers}
        added = [*_SECURITY_HEADERS, (b"content-security-policy", self._policy().encode("latin-1"))]
        if self._config.access.secure:
            added.append((b"strict-transport-security", b"max-age=31536000"))
        if self._config.access.mode in ("header", "oidc") and b"cache-control" not in present:
            added.append((b"cache-control", b"private, no-cache"))  # the response depends on the role
        return headers + [(name, value) for name, value in added if name not in present]
