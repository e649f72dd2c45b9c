"""Self-metering: request records of this service itself, under the service ``footprint``.

An ASGI middleware records the start, the end and the use case (dashboard, api, ingest) of each request, but neither its
full path nor its parameters nor the client. A thread writes the records to the ledger.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from footprint.config.models import OWN_SERVICE
from footprint.core.records import RequestRecord, to_line
from footprint.ledger.ingest import IngestService

FLUSH_INTERVAL_S = 2.0
_MAX_PENDING = 50_000
_PROBE_PATHS = ("/healthz", "/readyz", "/metrics")


def use_case_of(path: str) -> str | None:
    """Use case of a request by its path; None for health probes and metrics."""
    if path in _PROBE_PATHS:
        return None
    if path.startswith("/api/v1/ingest"):
        return "ingest"
    return "api" if path.startswith("/api") else "dashboard"


class SelfMeteringGateway:
    """ASGI middleware that counts requests, with a thread that stores the records."""

    def __init__(self, app: Any, ingest: IngestService, clock: Callable[[], int]) -> None:
        self._app, self._ingest, self._clock = app, ingest, clock
        self._pending: list[RequestRecord] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="own-gateway", daemon=True)
        self.lost = 0

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        use_case = use_case_of(scope.get("path", "")) if scope["type"] == "http" else None
        if use_case is None:
            await self._app(scope, receive, send)
            return
        start_us, status = self._clock(), 500

        async def send_and_watch(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, send_and_watch)
        finally:
            self._record_request(use_case, start_us, "ok" if status < 400 else "error")

    def _record_request(self, use_case: str, start_us: int, status: str) -> None:
        record = RequestRecord(
            start_us=start_us,
            end_us=max(self._clock(), start_us),
            service=OWN_SERVICE,
            use_case=use_case,
            status=status,
            id=uuid.uuid4().hex,
        )
        with self._lock:
            if len(self._pending) < _MAX_PENDING:
                self._pending.append(record)
            else:
                self.lost += 1

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Store pending records and stop the thread."""
        self._stop.set()
        self._thread.join(timeout=10)

    def flush(self) -> None:
        """Store pending records; if that fails, they stay pending."""
        with self._lock:
            records, self._pending = self._pending, []
        if not records:
            return
        try:
            self._ingest.accept(None, [to_line(record).encode() for record in records], self._clock(), own=True)
        except Exception:
            with self._lock:
                self._pending = [*records, *self._pending][:_MAX_PENDING]

    def _loop(self) -> None:
        while not self._stop.wait(FLUSH_INTERVAL_S):
            self.flush()
        self.flush()
