"""This file counts the requests that this service itself answers: its own gateway, for the service ``footprint``.

An ASGI middleware notes when each request began and ended and what it was for (dashboard, api, ingest);
nothing of its address, its parameters or who asked is looked at. A thread writes them to the ledger.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from footprint.config.models import OWN_SERVICE
from footprint.core.records import RequestRecord, to_line
from footprint.ledger.ingest import IngestService

FLUSH_S = 2.0
_MAX_WAITING = 50_000
_UNCOUNTED = ("/healthz", "/readyz", "/metrics")


def use_case_of(path: str) -> str | None:
    """What a request is for, by its path; None for the probes of other machines."""
    if path in _UNCOUNTED:
        return None
    if path.startswith("/api/v1/ingest"):
        return "ingest"
    return "api" if path.startswith("/api") else "dashboard"


class SelfGateway:
    """Middleware over an ASGI application, and the thread that stores what it counted."""

    def __init__(self, app: Any, inbox: IngestService, clock: Callable[[], int]) -> None:
        self._app, self._inbox, self._clock = app, inbox, clock
        self._waiting: list[RequestRecord] = []
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

        async def watch(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            self._note(use_case, start_us, "ok" if status < 400 else "error")

    def _note(self, use_case: str, start_us: int, status: str) -> None:
        record = RequestRecord(
            start_us=start_us,
            end_us=max(self._clock(), start_us),
            service=OWN_SERVICE,
            use_case=use_case,
            status=status,
            id=uuid.uuid4().hex,
        )
        with self._lock:
            if len(self._waiting) < _MAX_WAITING:
                self._waiting.append(record)
            else:
                self.lost += 1

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what waits, and end."""
        self._stop.set()
        self._thread.join(timeout=10)

    def flush(self) -> None:
        """Store what waits; what cannot be stored now waits on."""
        with self._lock:
            records, self._waiting = self._waiting, []
        if not records:
            return
        try:
            self._inbox.accept(None, [to_line(record).encode() for record in records], self._clock())
        except Exception:
            with self._lock:
                self._waiting = [*records, *self._waiting][:_MAX_WAITING]

    def _loop(self) -> None:
        while not self._stop.wait(FLUSH_S):
            self.flush()
        self.flush()
