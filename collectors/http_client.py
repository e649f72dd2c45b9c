"""HTTP client of the agent: one connection, bounded answers, one deadline for all of a request, no redirects.

The other end may be broken or hostile. An answer is read up to a number of bytes; a timer closes the connection when a
request takes too long in all, however its bytes drip; an address is asked over https unless it is on this machine.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from footprint.core.limits import insecure_url_fault, printable

WAIT_S = 30  # for one packet
DEADLINE_S = 120  # for all of a request
HttpError = (OSError, http.client.HTTPException, ValueError)  # all that ``HttpClient.request`` raises


class Response(NamedTuple):
    """Status, header ``Retry-After``, header ``Location``, and body of an answer."""

    status: int
    retry_after: str
    location: str
    body: bytes

    def describe_status(self) -> str:
        """Status for a message; a redirect names where it points, because it is not followed."""
        if 300 <= self.status < 400:
            return f"{self.status}, a redirect to {printable(self.location[:200])}, which is not followed"
        return str(self.status)


class HttpClient:
    """Client of one server; ``max_bytes`` bounds each answer."""

    def __init__(
        self, url: str, ca_file: Path | None = None, *, max_bytes: int, wait_s: float = WAIT_S, deadline_s: float = DEADLINE_S
    ) -> None:
        fault = insecure_url_fault(url)
        if fault:
            raise ValueError(f"{url}: {fault}")
        self.url = urlsplit(url)
        self._tls = ssl.create_default_context(cafile=ca_file) if self.url.scheme == "https" else None
        self._max_bytes, self._wait_s, self._deadline_s = max_bytes, wait_s, deadline_s
        self.connection: http.client.HTTPConnection | None = None  # reused: a handshake costs more than all the sampling

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """Send one request over the open connection, or over a new one if that is stale.

        Raises
        ------
        OSError, http.client.HTTPException, ValueError
            If there is no answer, or none within the limits.
        """
        if self.connection is not None:
            try:
                return self._exchange(self.connection, method, path, body, dict(headers or {}))
            except (OSError, http.client.HTTPException):
                self.close()
        self.connection = self._connect()
        try:
            return self._exchange(self.connection, method, path, body, dict(headers or {}))
        except BaseException:
            self.close()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self.url.hostname or "", self.url.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=self._wait_s, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=self._wait_s)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Response:
        if connection.sock is None:
            connection.connect()
        with _deadline(connection.sock, self._deadline_s):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read(self._max_bytes + 1)
            is_complete = response.isclosed()
        if len(content) > self._max_bytes:
            self.close()
            raise ValueError(f"the answer has more than {self._max_bytes} bytes")
        if response.will_close or not is_complete:
            self.close()
        retry_after, location = response.getheader("Retry-After") or "", response.getheader("Location") or ""
        return Response(response.status, retry_after, location, content)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


@contextmanager
def _deadline(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Shut a socket down unless the context ends in time."""
    is_over = threading.Event()

    def cut() -> None:
        is_over.set()
        try:
            socket.socket.shutdown(connected, socket.SHUT_RDWR)  # not SSLSocket's own, which another thread may be reading
        except OSError:
            return  # it is closed already

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except BaseException:
        if is_over.is_set():
            raise TimeoutError(f"no whole answer within {seconds:g} s") from None
        raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError(f"no whole answer within {seconds:g} s")
