"""This file answers POST /api/v1/ingest: lines of an agent, stored before they are answered for."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from footprint.ledger.shipping import Inbox
from footprint.store import Store
from footprint.tokens import host_of

MAX_BODY = 8 << 20
MAX_PLAIN = 64 << 20


class _TooLarge(Exception):
    pass


class _BadBody(Exception):
    pass


def router(store: Store, inbox: Inbox, clock: Callable[[], int]) -> APIRouter:
    """The route, over one store."""
    routes = APIRouter()

    @routes.post("/api/v1/ingest", summary="Readings, CPU times and requests, one JSON object a line")
    async def ingest(request: Request) -> JSONResponse:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        host = await run_in_threadpool(host_of, store, token.strip()) if scheme.lower() == "bearer" else None
        if host is None:
            headers = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"error": "no valid token; `footprint token add HOST` gives one"}, 401, headers)
        try:
            body = await _body(request)
            lines = _plain(body, request.headers.get("content-encoding", "")).split(b"\n")
        except _TooLarge:
            return JSONResponse({"error": f"more than {MAX_BODY} bytes; send less at a time"}, 413)
        except _BadBody as bad:
            return JSONResponse({"error": str(bad)}, 400)
        done = await run_in_threadpool(inbox.accept, host, lines, clock())
        rejected = [{"line": r.line, "reason": f"{r.column}: {r.reason}"} for r in done.rejects]
        return JSONResponse({"accepted": done.accepted, "duplicate": done.duplicates, "rejected": rejected})

    return routes


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise _TooLarge
        parts.append(part)
    return b"".join(parts)


def _plain(body: bytes, encoding: str) -> bytes:
    if encoding not in ("", "identity", "gzip"):
        raise _BadBody(f"content-encoding {encoding} is not known; gzip or none")
    if encoding != "gzip":
        return body
    unpack = zlib.decompressobj(wbits=31)
    try:
        plain = unpack.decompress(body, MAX_PLAIN)
    except zlib.error:
        raise _BadBody("the body is not gzip") from None
    if unpack.unconsumed_tail:
        raise _TooLarge
    if not unpack.eof:
        raise _BadBody("the gzip body ends in the middle")
    return plain
