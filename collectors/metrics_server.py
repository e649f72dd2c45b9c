"""This file says how the agent itself fares: /metrics for Prometheus and /healthz, on the loopback.

A bare socket and one thread: an HTTP server of the library would cost more memory than the agent's sensors.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

_REQUEST_MAX = 4096


class MetricsPort:
    """Answers GET on a port until the process ends."""

    def __init__(self, port: int, describe: Callable[[], str]) -> None:
        self._describe = describe
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._loop, name="metrics", daemon=True).start()

    def _loop(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            with connection:
                connection.settimeout(2)
                try:
                    connection.sendall(self._answer(connection.recv(_REQUEST_MAX)))
                except OSError:
                    continue

    def _answer(self, request: bytes) -> bytes:
        path = ([*request.split(b" "), b"", b""])[1]
        if path == b"/healthz":
            status, body = "200 OK", "ok\n"
        elif path == b"/metrics":
            status, body = "200 OK", self._describe()
        else:
            status, body = "404 Not Found", "only /metrics and /healthz\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n{body}".encode()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
