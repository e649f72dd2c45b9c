"""This file stands before everything: who asks, whether they may, what is noted before it is answered, and security headers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from footprint.access.audit_log import cells_of, write
from footprint.access.authentication import authenticate
from footprint.access.authorization import AccessRefused, CellPolicy, authorize_answer, below_service
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

LOOK_S, KEPT_S = 1.0, 600.0  # how often the store is looked at, and how long a decision stands (a quarter ends meanwhile)
PAGE = "footprint.page"  # of a scope: the page that a document is for, where its address was rewritten
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


@dataclass(slots=True)
class RequestContext:
    """One request: its role, and the unprotected cells that it was given."""

    role: Role
    cells: list[str] = field(default_factory=list)


# Outside a request (a command, a notebook, a test) nobody stands between the store and its owner.
_visit: ContextVar[RequestContext | None] = ContextVar("visit", default=None)


def current_role() -> Role:
    """The role of the request that is answered."""
    visit = _visit.get()
    return Role.ADMINISTRATOR if visit is None else visit.role


def record_access(cells: str) -> None:
    """What a page shows without asking ``Sight``: written down as what is asked through it."""
    visit = _visit.get()
    if visit is not None and visit.role.sees_uses:
        visit.cells.append(cells)


class AuthorizedQueries:
    """Questions as the role of the current request may see their answers."""

    def __init__(self, store: Store, config: Config, clock: Callable[[], int]) -> None:
        self._store, self._config, self._clock = store, config, clock
        self._state: tuple[float, Any] = (-LOOK_S, None)
        self._decided: dict[str, tuple[Any, float, ProtectedCells]] = {}
        self._before: tuple[Any, tuple[Any, Any]] = (None, ((), ()))

    def ask(self, question: Query, ask: Callable[[Query], QueryResult]) -> QueryResult:
        """The answer, protected for the current role; unprotected cells below service level are noted.

        Raises
        ------
        Refused
            If the role may not ask that.
        """
        visit, role = _visit.get(), current_role()
        zone = self._config.timezone
        answer = authorize_answer(question, role, ask, self._shows(), zone, period_at(self._clock(), zone, 1).bounds_us(zone)[0])
        if visit is not None and role.sees_uses and below_service(question):
            visit.cells.append(cells_of(question, len(answer.rows)))
        return answer

    def admit(self, question: Query) -> None:
        """Let a table that reads the store by itself answer: noted, or refused, where it would tell of use cases.

        Raises
        ------
        Refused
            If it would, and the role sees protected figures only.
        """
        visit, role = _visit.get(), current_role()
        if not below_service(question):
            return
        if not role.sees_uses:
            raise AccessRefused("this table tells of services; figures of a use case are at /api/v1/footprint")
        if visit is not None:
            visit.cells.append(cells_of(question, 1))

    def _shows(self) -> CellPolicy:
        """Whether a cell may be shown; a quarter is decided anew when something was computed or a number of users came."""
        zone = self._config.timezone

        def shows(period: str, service: str, use_case: str) -> bool:
            named = parse_period(period)
            if named.length != MONTHS_PER_PERIOD["year"]:
                named = period_at(named.bounds_us(zone)[0], zone, MONTHS_PER_PERIOD["quarter"])
            return self._protected(str(named)).is_public(period, service, use_case)

        return shows

    def _protected(self, around: str) -> ProtectedCells:
        now = time.monotonic()
        if now - self._state[0] > LOOK_S:
            self._state = now, _stands(self._store)
        state, at, found = self._decided.get(around, (None, 0.0, None))
        if found is None or state != self._state[1] or now - at > KEPT_S:
            shown, kept = self._published()
            found = protect_period(self._store, self._config, around, self._clock(), published=shown, suppressed=kept)
            self._decided[around] = self._state[1], now, found
        return found

    def _published(self) -> tuple[Collection[Key], Collection[Key]]:
        """Cells that editions showed or hid: what a page shows beside them must not give a hidden one away."""
        released = release_state(self._store)
        if released != self._before[0]:
            self._before = released, previously_published_cells(published_editions(self._store))
        return self._before[1]


def _stands(store: Store) -> Any:
    """What changes whenever a day is computed anew, numbers of users come or go, or an edition is published."""
    shard, users = table(schema.Shard), table(schema.Users)
    with store.read() as connection:
        computed = tuple(connection.execute(select(func.max(shard.c.computed_us), func.count())).one())
        told = frozenset(tuple(row) for row in connection.execute(select(users)))
    return computed, told, release_state(store)


class AccessMiddleware:
    """The ASGI layer; ``noting`` is false where everything is open, for nobody is told apart there."""

    def __init__(self, app: Any, store: Store, config: Config, clock: Callable[[], int], policy: Callable[[], str]) -> None:
        self._app, self._store, self._config, self._clock, self._policy = app, store, config, clock, policy

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:  # no page needs a socket, and nobody stands before one
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        visit = RequestContext(authenticate(scope, self._config, self._clock()))
        path = scope.get(PAGE) or scope["path"]
        permission = permission_of(path)
        allowed = permission is not None and visit.role in permission.roles
        if allowed and permission is not None and permission.noted and visit.role.sees_uses:
            visit.cells.append(path.rsplit("/", 1)[-1])
        answering = self._answering(scope, visit, send, hidden=not allowed)
        if not allowed and PAGE not in scope:
            await JSONResponse({"error": f"no such address: {scope['path']}"}, status_code=404)(scope, receive, answering)
            return
        token = _visit.set(visit)
        try:
            await self._app(scope, receive, answering)
        finally:
            _visit.reset(token)

    def _answering(self, scope: Any, visit: RequestContext, send: Any, *, hidden: bool) -> Any:
        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                if visit.cells and message["status"] < 400:
                    await run_in_threadpool(self._note, scope, visit)
                page = hidden and PAGE in scope
                message = {**message, "headers": self._headed(message), **({"status": 404} if page else {})}
            await send(message)

        return answer

    def _note(self, scope: Any, visit: RequestContext) -> None:
        if self._config.access.mode in ("header", "oidc"):
            query = scope.get("query_string", b"").decode("latin-1")
            write(self._store, self._clock(), visit.role, scope["method"], scope.get(PAGE) or scope["path"], query, visit.cells)

    def _headed(self, message: Any) -> list[tuple[bytes, bytes]]:
        headers = list(message.get("headers", ()))
        given = {name.lower() for name, _ in headers}
        added = [*_HEADERS, (b"content-security-policy", self._policy().encode("latin-1"))]
        if self._config.access.secure:
            added.append((b"strict-transport-security", b"max-age=31536000"))
        if self._config.access.mode in ("header", "oidc") and b"cache-control" not in given:
            added.append((b"cache-control", b"private, no-cache"))  # what one role was given is nobody else's
        return headers + [(name, value) for name, value in added if name not in given]
