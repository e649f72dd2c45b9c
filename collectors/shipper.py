"""Shipper of the spool to the server; it deletes only records that an answer acknowledges.

It runs in its own thread: a slow or absent server never delays sampling. The wait after an error doubles each time,
with jitter, so that a thousand agents do not return at one instant. No answer, however hostile, ends the thread.

Records that the server rejects go to rejected.jsonl. Records of a host that the token may not write for (status 403) wait
in a spool of their own, so that they hold up no others: they are sent again when the token file changes, at the start of
the agent, and from time to time.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collectors.clocks import wall_and_monotonic_us
from collectors.http_client import HttpClient, HttpError, Response
from collectors.rejected_records import RejectedRecords
from collectors.spool import Spool
from footprint.core.limits import printable
from footprint.core.timestamps import format_instant
from footprint.core.version import VERSION

INITIAL_BATCH_BYTES = 1_000_000
MIN_BATCH_BYTES = 10_000
MAX_ANSWER_BYTES = 4_000_000
MAX_WAIT_S = 300.0
REFUSED_RETRY_US = 300 * 1_000_000
MAX_PROBLEMS_BYTES = 1000
MAX_REASON_LENGTH = 300
INGEST_PATH = "/api/v1/ingest"
_OK, _UNAUTHORISED, _FORBIDDEN, _TOO_LARGE = 200, 401, 403, 413
_NO_FOOTPRINT = "the answer is not that of a footprint server (a proxy between?)"
_OTHER_HOST = "the token may not write for this host"  # how a server before the status 403 rejects such a record


class NotSent(Exception):
    """The server did not take a shipment; the message says why. ``retry_after_s`` is the wait that it asks for."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class ShipmentOutcome:
    """What became of the lines of a shipment that the server answered."""

    shipped: int = 0
    rejects: list[tuple[bytes, str]] = field(default_factory=list)  # record, reason
    refused: list[bytes] = field(default_factory=list)  # records of a host that the token may not write for
    hosts: set[str] = field(default_factory=set)  # those hosts

    def add(self, other: ShipmentOutcome) -> None:
        """Add the outcome of other lines."""
        self.shipped += other.shipped
        self.rejects += other.rejects
        self.refused += other.refused
        self.hosts |= other.hosts


class IngestClient:
    """Client of the ingest endpoint of one server; ``describe`` gives the headers by which an agent reports of itself."""

    def __init__(
        self, server: str, token_file: Path, ca_file: Path | None, describe: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        self.http = HttpClient(server, ca_file, max_bytes=MAX_ANSWER_BYTES)
        self._token_file, self._describe = token_file, describe

    def send(self, lines: list[bytes]) -> ShipmentOutcome:
        """Post lines, in halves where they are too many for the server to take, or to say what it rejects.

        Raises
        ------
        NotSent
            If the server did not take them; it may have taken a part, which is harmless to send again.
        OSError, http.client.HTTPException, ValueError
            If there is no answer, or not one of a footprint server.
        """
        response = self._post(lines)
        if response.status == _TOO_LARGE:
            if len(lines) == 1:
                return ShipmentOutcome(rejects=[(lines[0], "too large for the server")])
            return self._send_halves(lines)
        if response.status == _UNAUTHORISED:
            raise NotSent(f"the server refuses the token of {self._token_file} (footprint token add HOST gives one)")
        if response.status not in (_OK, _FORBIDDEN):
            raise NotSent(f"the server answers {response.describe_status()}", _seconds(response.retry_after))
        answer = _parse_answer(response.body, len(lines))
        if answer is None or (response.status == _FORBIDDEN and not answer.refused):
            raise NotSent(_NO_FOOTPRINT if response.status == _OK else "the server answers 403")
        if answer.unlisted and len(lines) > 1:
            return self._send_halves(lines)
        if answer.unlisted:
            answer.rejected[1] = "the server does not say why"
        return _outcome(lines, answer)

    def _send_halves(self, lines: list[bytes]) -> ShipmentOutcome:
        outcome = self.send(lines[: len(lines) // 2])
        outcome.add(self.send(lines[len(lines) // 2 :]))
        return outcome

    def _post(self, lines: list[bytes]) -> Response:
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            **self._describe(),
        }
        return self.http.request(
            "POST", self.http.url.path.rstrip("/") + INGEST_PATH, gzip.compress(b"\n".join(lines), 6), headers
        )

    def _token(self) -> str:
        token = self._token_file.read_text(encoding="ascii", errors="replace").strip()
        if not (token.isascii() and token.isprintable() and token) or " " in token:
            # Checked here, because the HTTP library prints a header that it refuses.
            raise ValueError(f"{self._token_file} holds no token (footprint token add HOST gives one)")
        return token


@dataclass(slots=True)
class _Answer:
    accepted: int
    rejected: dict[int, str]  # by line number, from 1
    refused: list[int]
    hosts: set[str]
    unlisted: int  # rejected lines that the answer counts and does not name


def _parse_answer(body: bytes, line_count: int) -> _Answer | None:
    """Answer of the ingest endpoint to a number of lines; None if it is not one."""
    try:
        document = json.loads(body)
        rejected = {_line(reject["line"], line_count): _text(reject["reason"]) for reject in _list(document["rejected"])}
        refused = sorted({_line(number, line_count) for number in _list(document.get("refused_lines", []))} - set(rejected))
        hosts = {_text(host) for host in _list(document.get("hosts", []))}
        unlisted = max(0, _count(document.get("rejected_count", 0)) - len(document["rejected"]))
        return _Answer(_count(document["accepted"]) + _count(document["duplicate"]), rejected, refused, hosts, unlisted)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _line(value: Any, line_count: int) -> int:
    if type(value) is not int or not 1 <= value <= line_count:
        raise ValueError("not the number of a line")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a count")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return printable(value[:MAX_REASON_LENGTH])


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _outcome(lines: list[bytes], answer: _Answer) -> ShipmentOutcome:
    outcome = ShipmentOutcome(answer.accepted, hosts=answer.hosts)
    outcome.refused = [lines[number - 1] for number in answer.refused]
    for number, reason in sorted(answer.rejected.items()):
        if _OTHER_HOST in reason:
            outcome.refused.append(lines[number - 1])
        else:
            outcome.rejects.append((lines[number - 1], reason))
    if outcome.refused and not outcome.hosts:
        outcome.hosts = {_host_of(line) for line in outcome.refused}
    return outcome


def _host_of(line: bytes) -> str:
    try:
        return printable(str(json.loads(line)["host"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return "?"


def _seconds(text: str) -> float:
    """Wait of a header Retry-After [s]; 0 if it is a date, or none."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0


class Shipper:
    """Thread that posts the records of a spool to one server."""

    def __init__(
        self,
        spool: Spool,
        server: str,
        token_file: Path,
        ca_file: Path | None,
        every_s: float,
        problems: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._spool, self._token_file, self._every_s, self._problems = spool, token_file, every_s, problems
        self._client = IngestClient(server, token_file, ca_file, self._headers)
        self._bytes = INITIAL_BATCH_BYTES
        self._wait_s = 0.0
        # Half of the room: the rest stays for records that the server takes.
        self.refused_spool = Spool(spool.folder / "refused", spool.max_mb / 2)
        self.rejected_records = RejectedRecords(spool.folder)
        self._refused_tried: tuple[int, int] | None = None  # when [µs], and with which token file
        self._refused_hosts: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ship", daemon=True)
        self.shipped = self.rejected = self.refused = self.failures = 0
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
        self._client.http.close()

    def ship_pending(self) -> None:
        """Send until the spool is empty, or a request fails."""
        try:
            while self._ship(self._spool):
                pass
            self._ship_refused()
        except NotSent as error:
            self._fail(str(error), error.retry_after_s)
        except HttpError as error:
            self._fail(str(error) or type(error).__name__)
        except Exception as error:  # an answer that is hostile in a new way must not end the thread
            self._fail(f"{type(error).__name__}: {error}")

    def _ship(self, spool: Spool) -> bool:
        """Send the oldest segments of a spool; return whether there were any."""
        paths, lines = spool.read(self._bytes)
        if not paths:
            self._wait_s = 0.0
            return False
        if lines:
            self._settle(self._client.send(lines))
        spool.delete(paths)
        self._wait_s = 0.0
        return True

    def _settle(self, outcome: ShipmentOutcome) -> None:
        """Store what the server did not take, before its segment is deleted."""
        if outcome.refused:
            self.refused_spool.append([line.decode("utf-8", "replace") for line in outcome.refused])
            self.refused += len(outcome.refused)
            self._log_refused(outcome.hosts)
            if self._refused_tried is None:
                self._refused_tried = self._now_and_token()
        self.rejected_records.append(outcome.rejects)
        if outcome.rejects and not self.rejected:
            self._log_rejected(outcome.rejects[0][1])
        self.rejected += len(outcome.rejects)
        self.shipped += outcome.shipped
        self._log_state("")

    def _ship_refused(self) -> None:
        """Try the refused records again: at the start, when the token file changed, and from time to time."""
        paths = self.refused_spool.segments()
        now_us, token = self._now_and_token()
        if not paths or (
            self._refused_tried is not None
            and token == self._refused_tried[1]
            and 0 <= now_us - self._refused_tried[0] < REFUSED_RETRY_US
        ):
            return
        self._refused_tried = now_us, token
        last = paths[-1]  # what is refused again comes after it
        while paths and paths[0] <= last:
            segment_paths, lines = self.refused_spool.read(self._bytes)
            outcome = self._client.send(lines) if lines else ShipmentOutcome()
            if len(outcome.refused) == len(lines) and lines:
                self._log_refused(outcome.hosts)
                return  # they stay where they are
            self._settle(outcome)
            self.refused_spool.delete(segment_paths)
            paths = self.refused_spool.segments()
        if not paths and self._refused_hosts:
            self._refused_hosts.clear()
            print("footprint-agent: the records that waited for their token are sent", file=sys.stderr)

    def _now_and_token(self) -> tuple[int, int]:
        try:
            token = self._token_file.stat().st_mtime_ns
        except OSError:
            token = 0
        return wall_and_monotonic_us()[1], token

    def _headers(self) -> dict[str, str]:
        """Headers by which the agent reports of itself; a server that does not know them ignores them."""
        counts = {
            "rejected": self.rejected_records.waiting,
            "rejected_dropped": self.rejected_records.dropped,
            "refused_bytes": self.refused_spool.size_bytes(),
            "ship_failures": self.failures,
            "spool_damaged": self._spool.unreadable + self.refused_spool.unreadable,
            **self._problems(),
        }
        problems = json.dumps({name: count for name, count in counts.items() if count}, separators=(",", ":"))
        return {
            "Footprint-Agent-Version": VERSION,
            "Footprint-Agent-Backlog": str(self._spool.size_bytes() + self.refused_spool.size_bytes()),
            "Footprint-Agent-Clock": format_instant(wall_and_monotonic_us()[0]),
            "Footprint-Agent-Problems": problems if len(problems) <= MAX_PROBLEMS_BYTES else "{}",
        }

    def _fail(self, problem: str, retry_after_s: float = 0.0) -> None:
        self.failures += 1
        backoff_s = min(max(2 * self._wait_s, 1.0), MAX_WAIT_S)
        self._wait_s = min(max(retry_after_s, backoff_s * (0.5 + random.random() / 2)), MAX_WAIT_S)
        self._log_state(problem)

    def _log_refused(self, hosts: set[str]) -> None:
        if hosts - self._refused_hosts:
            self._refused_hosts |= hosts
            print(
                f"footprint-agent: the server refuses records of {', '.join(sorted(hosts))}: the token of {self._token_file} "
                "may not write for this host. They wait in the spool and are sent once the token is that of the host "
                "(footprint token add HOST), or [agent] host is that of the token",
                file=sys.stderr,
            )

    def _log_rejected(self, reason: str) -> None:
        print(
            f"footprint-agent: the server rejects records, first: {reason}; they are in "
            f"{self._spool.folder / 'rejected.jsonl'} (after a mend: footprint-agent resend)",
            file=sys.stderr,
        )

    def _log_state(self, problem: str) -> None:
        problem = printable(problem)
        if problem and problem != self.last_error:
            print(f"footprint-agent: cannot ship: {problem}; records wait in the spool", file=sys.stderr)
        elif not problem and self.last_error:
            print("footprint-agent: shipping again", file=sys.stderr)
        self.last_error = problem
