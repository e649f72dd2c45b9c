"""This file answers POST /api/v1/ingest: lines of an agent, stored before they are answered for."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from footprint.access.agent_tokens import host_of
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store

MAX_BODY = 8 << 20
MAX_PLAIN = 64 << 20
# Back-pressure: what waits for the store is bounded, in all and of one host; who comes too often is told when to come again.
MAX_WAITING = 64
MAX_OF_A_HOST = 4
RETRY_AFTER_S = 5


class _TooLarge(Exception):
    pass


class _BadBody(Exception):
    pass


class AdmissionControl:
    """Counts what is being stored: only so much at a time, of all hosts and of one."""

    def __init__(self, most: int = MAX_WAITING, most_of_a_host: int = MAX_OF_A_HOST) -> None:
        self.most, self.most_of_a_host = most, most_of_a_host
        self.inside: Counter[str] = Counter()

    def refusal(self, host: str) -> JSONResponse | None:
        """429 for a host that sends too much at once, 503 where all together do; None where there is room."""
        if self.inside[host] >= self.most_of_a_host:
            return _later({"error": f"{host} already sends {self.most_of_a_host} shipments at once"}, 429)
        if self.inside.total() >= self.most:
            return _later({"error": "the server stores as fast as it can"}, 503)
        return None


def _later(said: dict[str, str], status: int) -> JSONResponse:
    return JSONResponse(said, status, {"Retry-After": str(RETRY_AFTER_S)})


def router(store: Store, inbox: IngestService, clock: Callable[[], int], gate: AdmissionControl | None = None) -> APIRouter:
    """The route, over one store."""
    routes = APIRouter()
    gate = gate or AdmissionControl()

    @routes.post("/api/v1/ingest", summary="Readings, CPU times and requests, one JSON object a line")
    async def ingest(request: Request) -> JSONResponse:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        host = await run_in_threadpool(host_of, store, token.strip()) if scheme.lower() == "bearer" else None
        if host is None:
            headers = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"error": "no valid token; `footprint token add HOST` gives one"}, 401, headers)
        refused = gate.refusal(host)
        if refused is not None:
            return refused
        gate.inside[host] += 1
        try:
            return await _stored(request, host)
        finally:
            gate.inside[host] -= 1

    async def _stored(request: Request, host: str) -> JSONResponse:
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
