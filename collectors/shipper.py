"""Shipper of the spool to the server; it deletes only records that a response 200 acknowledges.

It runs in its own thread: a slow or absent server never delays sampling. The wait after an error doubles each time,
with jitter, so that a thousand agents do not return at one instant.
"""

from __future__ import annotations

import gzip
import http.client
import json
import random
import ssl
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from collectors.spool import Spool

INITIAL_BATCH_BYTES = 1_000_000
MIN_BATCH_BYTES = 10_000
MAX_WAIT_S = 300.0
TIMEOUT_S = 30
_OK, _TOO_LARGE, _UNAUTHORISED = 200, 413, 401


class Shipper:
    """Thread that posts the records of a spool to one server."""

    def __init__(self, spool: Spool, server: str, token_file: Path, ca_file: Path | None, every_s: float) -> None:
        self._spool, self._token_file, self._every_s = spool, token_file, every_s
        self._url = urlsplit(server)
        self._tls = ssl.create_default_context(cafile=ca_file) if self._url.scheme == "https" else None
        self._bytes = INITIAL_BATCH_BYTES
        self._wait_s = 0.0
        self._connection: http.client.HTTPConnection | None = None  # reused: a handshake costs more than all the sampling
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ship", daemon=True)
        self.shipped = self.rejected = self.failures = 0
        self.last_error = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop the thread after one more attempt, waiting at most ``timeout_s``."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._stop.wait(self._wait_s or self._every_s):
            self.ship_pending()
        self.ship_pending()
        self._disconnect()

    def ship_pending(self) -> None:
        """Send until the spool is empty, or a request fails."""
        while True:
            paths, lines = self._spool.read(self._bytes)
            if not paths:
                self._wait_s = 0.0
                return
            try:
                is_sent = not lines or self._send(lines)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._fail(str(error) or type(error).__name__)
                return
            if not is_sent:
                return
            self._spool.delete(paths)
            self._wait_s = 0.0

    def _send(self, lines: list[bytes]) -> bool:
        """Post lines; return whether the server acknowledged them."""
        status, retry_after, body = self._post(gzip.compress(b"\n".join(lines), 6))
        if status == _OK:
            try:
                document = json.loads(body)
                accepted, rejected = int(document["accepted"]) + int(document["duplicate"]), list(document["rejected"])
            except (ValueError, KeyError, TypeError):
                raise ValueError("the answer is not that of a footprint server (a proxy between?)") from None
            self.shipped += accepted
            self._store_rejected(lines, rejected)
            self._log_state("")
            return True
        if status == _TOO_LARGE and self._bytes > MIN_BATCH_BYTES:
            self._bytes //= 2
            return False
        if status == _UNAUTHORISED:
            self._fail(f"the server refuses the token of {self._token_file} (footprint token add HOST gives one)")
        else:
            self._fail(f"the server answers {status}", retry_after)
        return False

    def _post(self, body: bytes) -> tuple[int, float, bytes]:
        """Post over the open connection, or over a new one if that is stale: (status, Retry-After [s], body)."""
        token = self._token_file.read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        if self._connection is not None:
            try:
                return self._request(self._connection, body, headers)
            except (OSError, http.client.HTTPException):
                self._disconnect()
        self._connection = self._connect()
        try:
            return self._request(self._connection, body, headers)
        except BaseException:
            self._disconnect()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def _request(self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> tuple[int, float, bytes]:
        connection.request("POST", self._url.path.rstrip("/") + "/api/v1/ingest", body, headers)
        response = connection.getresponse()
        wait = response.getheader("Retry-After") or "0"
        answer = response.status, float(wait) if wait.isdigit() else 0.0, response.read()
        if response.will_close:
            self._disconnect()
        return answer

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _store_rejected(self, lines: list[bytes], rejected: list[dict[str, object]]) -> None:
        """Append rejected lines to rejected.jsonl, for people to inspect."""
        if not rejected:
            return
        self.rejected += len(rejected)
        with (self._spool.folder / "rejected.jsonl").open("ab") as file:
            for rejection in rejected[:1000]:
                number = int(str(rejection["line"]))
                file.write(
                    json.dumps({"reason": rejection["reason"]}).encode()[:-1] + b', "record": ' + lines[number - 1] + b"}\n"
                )

    def _fail(self, problem: str, retry_after_s: float = 0.0) -> None:
        self.failures += 1
        backoff_s = min(max(2 * self._wait_s, 1.0), MAX_WAIT_S)
        self._wait_s = max(retry_after_s, backoff_s * (0.5 + random.random() / 2))
        self._log_state(problem)

    def _log_state(self, problem: str) -> None:
        if problem and problem != self.last_error:
            print(f"footprint-agent: cannot ship: {problem}; records wait in the spool", file=sys.stderr)
        elif not problem and self.last_error:
            print("footprint-agent: shipping again", file=sys.stderr)
        self.last_error = problem
