"""Route POST /api/v1/ingest: records of agents, stored before they are acknowledged.

A body is read under a budget of bytes over all hosts; it is unpacked, split and stored by a few threads of its own, so that other
routes answer meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import anyio
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from footprint.access.agent_tokens import TokenScope, scope_of
from footprint.core.limits import (
    MAX_BODY_BYTES,
    MAX_BYTES_IN_FLIGHT,
    MAX_DECOMPRESSED_BYTES,
    MAX_LINES,
    BadGzip,
    TooLarge,
    decompress_gzip,
)
from footprint.ledger.agent_status import AgentStatusBook
from footprint.ledger.ingest import OTHER_HOST, IngestService
from footprint.ledger.rejects import IngestResult
from footprint.storage.database import Store

# Back-pressure: the number of requests that wait for the store is bounded, in total and per host.
MAX_WAITING = 64
MAX_WAITING_PER_HOST = 4
MAX_WORKING = 2  # shipments that are unpacked at once: the store takes them one by one anyway
RETRY_AFTER_S = 5


class AdmissionControl:
    """Limit of concurrent ingest requests, in total and per host, and of the bytes that they bring."""

    def __init__(
        self,
        max_waiting: int = MAX_WAITING,
        max_waiting_per_host: int = MAX_WAITING_PER_HOST,
        max_bytes: int = MAX_BYTES_IN_FLIGHT,
    ) -> None:
        self.max_waiting, self.max_waiting_per_host, self.max_bytes = max_waiting, max_waiting_per_host, max_bytes
        self.active: Counter[str] = Counter()
        self.bytes = 0
        self.workers = anyio.CapacityLimiter(MAX_WORKING)

    def refusal(self, host: str) -> JSONResponse | None:
        """429 if the host has too many active requests, 503 if all hosts together have, or too many bytes; else None."""
        if self.active[host] >= self.max_waiting_per_host:
            return _retry_response({"error": f"{host} already sends {self.max_waiting_per_host} shipments at once"}, 429)
        if self.active.total() >= self.max_waiting or self.bytes >= self.max_bytes:
            return _retry_response({"error": "the server stores as fast as it can"}, 503)
        return None


class _Busy(Exception):
    """The budget of bytes is used up."""


class _BadEncoding(ValueError):
    pass


def _retry_response(document: dict[str, str], status: int) -> JSONResponse:
    return JSONResponse(document, status, {"Retry-After": str(RETRY_AFTER_S)})


def router(
    store: Store, ingest_service: IngestService, clock: Callable[[], int], admission: AdmissionControl | None = None
) -> APIRouter:
    """Route over one store."""
    routes = APIRouter()
    control = admission or AdmissionControl()
    agent_book = AgentStatusBook(store)

    @routes.post("/api/v1/ingest", summary="Readings, CPU times and requests, one JSON object per line")
    async def ingest(request: Request) -> JSONResponse:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        scope = await run_in_threadpool(scope_of, store, token.strip()) if scheme.lower() == "bearer" else None
        if scope is None:
            headers = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"error": "no valid token; `footprint token add HOST` gives one"}, 401, headers)
        refusal = control.refusal(scope.host)
        if refusal is not None:
            return refusal
        body = bytearray()
        control.active[scope.host] += 1
        try:
            answer = await _store_body(request, body, scope)
            await run_in_threadpool(agent_book.note, scope.host, request.headers, clock())
            return answer
        except _Busy:
            return _retry_response({"error": "the server stores as fast as it can"}, 503)
        except (BadGzip, _BadEncoding) as error:
            await run_in_threadpool(ingest_service.refuse, scope.host, str(error), clock())
            return JSONResponse({"error": str(error)}, 400)
        except TooLarge as error:
            await run_in_threadpool(ingest_service.refuse, scope.host, "too large", clock())
            return JSONResponse({"error": str(error)}, 413)
        finally:
            control.active[scope.host] -= 1
            control.bytes -= len(body)

    async def _store_body(request: Request, body: bytearray, scope: TokenScope) -> JSONResponse:
        encoding = request.headers.get("content-encoding", "")
        if encoding not in ("", "identity", "gzip"):
            raise _BadEncoding("this content-encoding is not known; gzip or none")
        async for part in request.stream():
            if len(body) + len(part) > MAX_BODY_BYTES:
                raise TooLarge(f"more than {MAX_BODY_BYTES} bytes; send less at a time")
            if control.bytes + len(part) > control.max_bytes:
                raise _Busy
            control.bytes += len(part)
            body += part

        def store_lines() -> IngestResult:
            content = decompress_gzip(bytes(body), MAX_DECOMPRESSED_BYTES) if encoding == "gzip" else bytes(body)
            if content.count(b"\n") >= MAX_LINES:
                raise TooLarge(f"{MAX_LINES} lines or more; send less at a time")
            return ingest_service.accept(scope.host, content.split(b"\n"), clock(), services=scope.services)

        return _answer(await anyio.to_thread.run_sync(store_lines, limiter=control.workers))

    return routes


def _answer(result: IngestResult) -> JSONResponse:
    """What was stored and what was not; 403 if lines of another host than the token's were not taken and are to wait."""
    document = {
        "accepted": result.accepted,
        "duplicate": result.duplicates,
        "rejected": [{"line": reject.line, "reason": f"{reject.column}: {reject.reason}"} for reject in result.rejects],
        "rejected_count": len(result.rejects),
        "rejected_by_reason": dict(result.rejects.by_reason),
    }
    if result.mended:
        document["mended"] = dict(result.mended)
    if not result.refused_lines:
        return JSONResponse(document)
    hosts = sorted(result.refused_lines)
    document |= {
        "error": f"{OTHER_HOST}: {', '.join(hosts[:10])}; run `footprint token add` for it, or set [agent] host",
        "hosts": hosts,
        "refused_lines": sorted(line for lines in result.refused_lines.values() for line in lines),
    }
    return JSONResponse(document, 403)
