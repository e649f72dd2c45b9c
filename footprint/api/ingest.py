"""Route POST /api/v1/ingest: records of agents, stored before they are acknowledged."""

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

MAX_BODY_BYTES = 8 << 20
MAX_DECOMPRESSED_BYTES = 64 << 20
# Back-pressure: the number of requests that wait for the store is bounded, in total and per host.
MAX_WAITING = 64
MAX_WAITING_PER_HOST = 4
RETRY_AFTER_S = 5


class _TooLarge(Exception):
    pass


class _BadBody(Exception):
    pass


class AdmissionControl:
    """Limit of concurrent ingest requests, in total and per host."""

    def __init__(self, max_waiting: int = MAX_WAITING, max_waiting_per_host: int = MAX_WAITING_PER_HOST) -> None:
        self.max_waiting, self.max_waiting_per_host = max_waiting, max_waiting_per_host
        self.active: Counter[str] = Counter()

    def refusal(self, host: str) -> JSONResponse | None:
        """429 if the host has too many active requests, 503 if all hosts together have; else None."""
        if self.active[host] >= self.max_waiting_per_host:
            return _retry_response({"error": f"{host} already sends {self.max_waiting_per_host} shipments at once"}, 429)
        if self.active.total() >= self.max_waiting:
            return _retry_response({"error": "the server stores as fast as it can"}, 503)
        return None


def _retry_response(document: dict[str, str], status: int) -> JSONResponse:
    return JSONResponse(document, status, {"Retry-After": str(RETRY_AFTER_S)})


def router(
    store: Store, ingest_service: IngestService, clock: Callable[[], int], admission: AdmissionControl | None = None
) -> APIRouter:
    """Route over one store."""
    routes = APIRouter()
    admission = admission or AdmissionControl()

    @routes.post("/api/v1/ingest", summary="Readings, CPU times and requests, one JSON object per line")
    async def ingest(request: Request) -> JSONResponse:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        host = await run_in_threadpool(host_of, store, token.strip()) if scheme.lower() == "bearer" else None
        if host is None:
            headers = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"error": "no valid token; `footprint token add HOST` gives one"}, 401, headers)
        refusal = admission.refusal(host)
        if refusal is not None:
            return refusal
        admission.active[host] += 1
        try:
            return await _store_body(request, host)
        finally:
            admission.active[host] -= 1

    async def _store_body(request: Request, host: str) -> JSONResponse:
        try:
            body = await _read_body(request)
            lines = _decompress(body, request.headers.get("content-encoding", "")).split(b"\n")
        except _TooLarge:
            return JSONResponse({"error": f"more than {MAX_BODY_BYTES} bytes; send less at a time"}, 413)
        except _BadBody as error:
            return JSONResponse({"error": str(error)}, 400)
        result = await run_in_threadpool(ingest_service.accept, host, lines, clock())
        rejected = [{"line": reject.line, "reason": f"{reject.column}: {reject.reason}"} for reject in result.rejects]
        return JSONResponse({"accepted": result.accepted, "duplicate": result.duplicates, "rejected": rejected})

    return routes


async def _read_body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _TooLarge
        parts.append(part)
    return b"".join(parts)


def _decompress(body: bytes, encoding: str) -> bytes:
    if encoding not in ("", "identity", "gzip"):
        raise _BadBody(f"content-encoding {encoding} is not known; gzip or none")
    if encoding != "gzip":
        return body
    decompressor = zlib.decompressobj(wbits=31)
    try:
        content = decompressor.decompress(body, MAX_DECOMPRESSED_BYTES)
    except zlib.error:
        raise _BadBody("the body is not gzip") from None
    if decompressor.unconsumed_tail:
        raise _TooLarge
    if not decompressor.eof:
        raise _BadBody("the gzip body ends in the middle")
    return content
