"""This file ships the spool to the server, and deletes only what a 200 answered for.

A thread of its own: a slow or absent server never holds up sampling. Errors wait longer each time,
with jitter, so that a thousand agents do not come back at one instant.
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

FIRST_BYTES = 1_000_000
MIN_BYTES = 10_000
LONGEST_WAIT_S = 300.0
TIMEOUT_S = 30
_OK, _TOO_LARGE, _UNAUTHORISED = 200, 413, 401


class Shipper:
    """Sends what waits to one server."""

    def __init__(self, spool: Spool, server: str, token_file: Path, ca_file: Path | None, every_s: float) -> None:
        self._spool, self._token_file, self._every_s = spool, token_file, every_s
        self._url = urlsplit(server)
        self._tls = ssl.create_default_context(cafile=ca_file) if self._url.scheme == "https" else None
        self._bytes = FIRST_BYTES
        self._wait_s = 0.0
        self._connection: http.client.HTTPConnection | None = None  # kept: a handshake costs more than all the sampling
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ship", daemon=True)
        self.shipped = self.rejected = self.failures = 0
        self.last_error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Send what can still be sent in a moment, and end."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._stop.wait(self._wait_s or self._every_s):
            self.ship_waiting()
        self.ship_waiting()
        self._hang_up()

    def ship_waiting(self) -> None:
        """Send until nothing waits, or something fails."""
        while True:
            paths, lines = self._spool.read(self._bytes)
            if not paths:
                self._wait_s = 0.0
                return
            try:
                done = not lines or self._send(lines)
            except (OSError, http.client.HTTPException, ValueError) as bad:
                self._fail(str(bad) or type(bad).__name__)
                return
            if not done:
                return
            self._spool.delete(paths)
            self._wait_s = 0.0

    def _send(self, lines: list[bytes]) -> bool:
        """Post lines; whether they were answered for."""
        status, retry_after, body = self._post(gzip.compress(b"\n".join(lines), 6))
        if status == _OK:
            try:
                answer = json.loads(body)
                taken, rejected = int(answer["accepted"]) + int(answer["duplicate"]), list(answer["rejected"])
            except (ValueError, KeyError, TypeError):
                raise ValueError("the answer is not that of a footprint server (a proxy between?)") from None
            self.shipped += taken
            self._set_aside(lines, rejected)
            self._say("")
            return True
        if status == _TOO_LARGE and self._bytes > MIN_BYTES:
            self._bytes //= 2
            return False
        if status == _UNAUTHORISED:
            self._fail(f"the server refuses the token of {self._token_file} (footprint token add HOST gives one)")
        else:
            self._fail(f"the server answers {status}", retry_after)
        return False

    def _post(self, body: bytes) -> tuple[int, float, bytes]:
        """One request over the connection that is kept, or over a new one where that has gone stale meanwhile."""
        token = self._token_file.read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        if self._connection is not None:
            try:
                return self._ask(self._connection, body, headers)
            except (OSError, http.client.HTTPException):
                self._hang_up()
        self._connection = self._connect()
        try:
            return self._ask(self._connection, body, headers)
        except BaseException:
            self._hang_up()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def _ask(self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> tuple[int, float, bytes]:
        connection.request("POST", self._url.path.rstrip("/") + "/api/v1/ingest", body, headers)
        response = connection.getresponse()
        wait = response.getheader("Retry-After") or "0"
        said = response.status, float(wait) if wait.isdigit() else 0.0, response.read()
        if response.will_close:
            self._hang_up()
        return said

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _set_aside(self, lines: list[bytes], rejected: list[dict[str, object]]) -> None:
        """Refused lines are kept for people to look at, once."""
        if not rejected:
            return
        self.rejected += len(rejected)
        with (self._spool.folder / "rejected.jsonl").open("ab") as file:
            for each in rejected[:1000]:
                number = int(str(each["line"]))
                file.write(json.dumps({"reason": each["reason"]}).encode()[:-1] + b', "record": ' + lines[number - 1] + b"}\n")

    def _fail(self, why: str, retry_after_s: float = 0.0) -> None:
        self.failures += 1
        grown = min(max(2 * self._wait_s, 1.0), LONGEST_WAIT_S)
        self._wait_s = max(retry_after_s, grown * (0.5 + random.random() / 2))
        self._say(why)

    def _say(self, why: str) -> None:
        if why and why != self.last_error:
            print(f"footprint-agent: cannot ship: {why}; records wait in the spool", file=sys.stderr)
        elif not why and self.last_error:
            print("footprint-agent: shipping again", file=sys.stderr)
        self.last_error = why
