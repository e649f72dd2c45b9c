"""HTTP client of the agent: one connection, bounded and whole answers, one deadline for all of a request, no redirects.

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
    """Status, header ``Retry-After``, header ``Location``, and body of an answer; and its other headers."""

    status: int
    retry_after: str
    location: str
    body: bytes
    headers: Mapping[str, str] = {}
    has_length: bool = True  # the other end said how long the body is, so it is known to be whole

    def describe_status(self) -> str:
        """Status for a message; a redirect names where it points, because it is not followed."""
        if 300 <= self.status < 400:
            return f"{self.status}, a redirect to {printable(self.location[:200])}, which is not followed"
        return str(self.status)


class HttpClient:
    """Client of one server; ``max_bytes`` bounds each answer."""

    def __init__(
        self,
        url: str,
        ca_file: Path | None = None,
        *,
        max_bytes: int,
        wait_s: float = WAIT_S,
        deadline_s: float = DEADLINE_S,
        certificate: tuple[Path, Path | None] | None = None,
    ) -> None:
        fault = insecure_url_fault(url)
        if fault:
            raise ValueError(f"{url}: {fault}")
        self.url = urlsplit(url)
        self._tls = ssl.create_default_context(cafile=ca_file) if self.url.scheme == "https" else None
        if self._tls is not None and certificate is not None:
            self._tls.load_cert_chain(*certificate)  # the client's own, and its key
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
            missing = response.length
            has_length = response.chunked or response.headers.get("Content-Length") is not None
        if len(content) > self._max_bytes:
            self.close()
            raise ValueError(f"the answer has more than {self._max_bytes} bytes")
        if response.will_close or not is_complete:
            self.close()
        if missing:  # the last number of a cut text would be another number
            raise http.client.IncompleteRead(content, missing)
        retry_after, location = response.getheader("Retry-After") or "", response.getheader("Location") or ""
        return Response(response.status, retry_after, location, content, dict(response.headers.items()), has_length)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def describe_error(error: Exception, url: str) -> str:
    """Cause of a failed request in words, with the remedy where the cause gives one."""
    if isinstance(error, ssl.SSLError):
        return _describe_tls_error(error)
    text = str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        text = "nothing listens at this address (connection refused)"
    elif isinstance(error, TimeoutError):
        text = f"no answer in time ({error})"
    elif isinstance(error, socket.gaierror):
        text = f"its name is not known ({error.strerror})"
    elif isinstance(error, ConnectionError | http.client.BadStatusLine) and url.startswith("http:"):
        text = f"it ended the connection without an answer ({type(error).__name__}): does its address begin with https://?"
    return text


def _describe_tls_error(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); name the authority that signed it in ca_file"
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "it does not speak TLS at this port: does its address begin with http://?"
    if "CERTIFICATE_REQUIRED" in reason or "ALERT_BAD_CERTIFICATE" in reason or "ALERT_UNKNOWN_CA" in reason:
        return "it asks for a certificate of the client (cert_file and key_file) that it knows"
    return f"no TLS connection ({reason})"


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
