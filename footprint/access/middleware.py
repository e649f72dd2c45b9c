"""ASGI middlewares around the whole application: authentication, limits of a body, authorization, audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response

from footprint.access.audit_log import write_access
from footprint.access.authentication import Authenticator, Headers, Reader, headers_of
from footprint.access.error_pages import CROSS_SITE, FOREIGN_HOST, WRONG_LINK, Messages, error_page
from footprint.access.open_mode import COOKIE_MAX_AGE_S, refusal
from footprint.access.policy import Role, decide, permission_of
from footprint.access.request_context import PAGE_KEY, current_context, request_context
from footprint.config import Config
from footprint.storage.database import Store

MAX_BODY_BYTES = 256 << 10  # of a request whose route sets no limit of its own; a callback takes a few hundred bytes
OWN_LIMIT_PATHS = ("/api/v1/ingest",)
_REFUSED: dict[str, Messages] = {"host": FOREIGN_HOST, "cross-site": CROSS_SITE}


class AuthenticationMiddleware:
    """Sets ``scope["user"]`` and ``scope["auth"]``; in open mode refuses foreign requests and answers the link with the token."""

    def __init__(self, app: Any, authenticator: Authenticator) -> None:
        self._app, self._authenticator = app, authenticator

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:  # no page uses websockets
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = headers_of(scope)
        answer = self._answer_of_open_mode(scope, headers) if self._authenticator.mode == "open" else None
        if answer is None:
            try:
                role = await self._role(scope, headers)
            except DBAPIError:
                answer = JSONResponse({"error": "the store does not answer; try again"}, 503, {"Retry-After": "10"})
        if answer is not None:
            await answer(scope, receive, send)
            return
        reader = Reader(role)
        await self._app({**scope, "user": reader, "auth": reader.credentials()}, receive, send)

    async def _role(self, scope: Any, headers: Headers) -> Role:
        if self._authenticator.mode == "oidc" and "cookie" in headers:
            return await run_in_threadpool(self._authenticator.role, scope, headers)
        return self._authenticator.role(scope, headers)

    def _answer_of_open_mode(self, scope: Any, headers: Headers) -> Response | None:
        status, reason = refusal(scope, headers)
        if status:
            return _page_or_json(_REFUSED[reason], headers, status)
        door = self._authenticator.door
        link = door.link_target(scope)
        if link is None:
            return None
        target, is_right = link
        if not is_right:
            return _page_or_json(WRONG_LINK, headers, 403)
        answer = RedirectResponse(target, 303, {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})
        answer.set_cookie(door.cookie_name, door.cookie_value, COOKIE_MAX_AGE_S, httponly=True, samesite="lax")
        return answer


def _page_or_json(messages: Messages, headers: Headers, status: int) -> Response:
    """Message in both languages for a browser, in English for a program."""
    if any("text/html" in value for value in headers.get("accept", [])):
        return error_page(messages, ",".join(headers.get("accept-language", [])), status)
    return JSONResponse({"error": messages["en"].text}, status)


class BodyLimitMiddleware:
    """Refuses a body above a limit with 413, by its declared length or as soon as it is longer."""

    def __init__(self, app: Any, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in OWN_LIMIT_PATHS:
            await self._app(scope, receive, send)
            return
        lengths = headers_of(scope).get("content-length", ["0"])
        if any(not length.isascii() or not length.isdigit() or int(length[:20]) > self._max_bytes for length in lengths):
            await self._too_long(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client left
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                await self._too_long(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        await self._app({**scope, "footprint.body": body}, _replay(body, receive), send)

    async def _too_long(self, scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"error": f"at most {self._max_bytes} bytes"}, 413, {"Connection": "close"})(scope, receive, send)


def _replay(body: bytes, receive: Any) -> Any:
    """Receive function that gives a body which was read, then what follows."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Any:
        return pending.pop() if pending else await receive()

    return next_message


class AuthorizationMiddleware:
    """Answers 404 for a path that the role may not see, like one that does not exist; runs the others in their context."""

    def __init__(self, app: Any, hint: str = "") -> None:
        self._app, self._hint = app, hint

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        user = scope.get("user")
        role = user.role if isinstance(user, Reader) else Role.NOBODY
        path = scope.get(PAGE_KEY) or scope["path"]
        is_allowed = decide(role, path).allow
        if not is_allowed and PAGE_KEY not in scope:
            hint = self._hint if role is Role.PUBLIC else ""
            await JSONResponse({"error": f"no such address: {scope['path']}{hint}"}, 404)(scope, receive, send)
            return
        with request_context(role):
            await self._app(scope, receive, send if is_allowed else _with_status(send, 404))


def _with_status(send: Any, status: int) -> Any:
    async def send_message(message: Any) -> None:
        await send({**message, "status": status} if message["type"] == "http.response.start" else message)

    return send_message


class AuditMiddleware:
    """Writes each access to cells below service level to the audit log, before the answer starts."""

    def __init__(self, app: Any, store: Store, config: Config, clock: Callable[[], int]) -> None:
        self._app, self._store, self._clock = app, store, clock
        self._is_on = config.access.mode in ("header", "oidc")  # in the other modes roles do not tell people apart

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not self._is_on:
            await self._app(scope, receive, send)
            return
        context, path = current_context(), scope.get(PAGE_KEY) or scope["path"]
        permission = permission_of(path)
        if permission is not None and permission.audited and context.role in permission.roles:
            context.cells.append(path.rsplit("/", 1)[-1])

        async def send_message(message: Any) -> None:
            if message["type"] == "http.response.start" and context.cells and message["status"] < 400:
                await run_in_threadpool(self._write, scope, path, context.role, context.cells)
            await send(message)

        await self._app(scope, receive, send_message)

    def _write(self, scope: Any, path: str, role: Role, cells: list[str]) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        write_access(self._store, self._clock(), role, scope["method"], path, query, cells)
