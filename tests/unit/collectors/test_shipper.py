"""Shipping to a real server that answers in every way that servers do."""

import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from collectors.rejected_records import RejectedRecords
from collectors.shipper import MAX_ANSWER_BYTES, MAX_WAIT_S, REFUSED_RETRY_US, Shipper
from collectors.spool import Spool
from footprint.core.timestamps import parse_instant
from footprint.core.version import VERSION
from tests.support.http_servers import QuietHandler, running, serving


class Server(ThreadingHTTPServer):
    """Keeps what it was sent; ``answer`` says what becomes of each shipment: a status, or cut."""

    daemon_threads = True

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.answer: Callable[[list[bytes]], tuple[int, dict[str, str], dict[str, Any]] | None] = accept
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


class Handler(QuietHandler):
    protocol_version = "HTTP/1.1"

    def post(self) -> None:
        server: Any = self.server
        lines = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))).split(b"\n")
        server.headers.append(dict(self.headers) | {"path": self.path})
        answer = server.answer(lines)
        if answer is None or answer[0] == 200:
            server.stored += lines
        if answer is None:  # stored, and the answer is lost on the way
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        status, headers, document = answer
        self.respond(status, json.dumps(document).encode(), headers)


def accept(lines: list[bytes]) -> tuple[int, dict[str, str], dict[str, Any]]:
    return 200, {}, {"accepted": len(lines), "duplicate": 0, "rejected": []}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with running(server):
        yield server


@pytest.fixture
def shipper(server: Server, tmp_path: Path) -> Shipper:
    (tmp_path / "token").write_text("fp_secret\n")
    spool = Spool(tmp_path / "spool", 10)
    for number in range(5):
        spool.append([f'{{"n": {number}}}'])
    return Shipper(spool, f"http://127.0.0.1:{server.server_port}/base/", tmp_path / "token", None, 1)


def waiting(shipper: Shipper) -> int:
    return len(shipper._spool.read(10**9)[1])


def test_what_is_answered_for_is_deleted_and_nothing_else(server: Server, shipper: Shipper) -> None:
    shipper.ship_pending()
    assert (waiting(shipper), shipper.shipped, len(server.stored)) == (0, 5, 5)
    sent = server.headers[0]
    assert (sent["Authorization"], sent["Content-Encoding"], sent["path"]) == ("Bearer fp_secret", "gzip", "/base/api/v1/ingest")


def test_an_answer_lost_after_the_commit_is_sent_again(server: Server, shipper: Shipper) -> None:
    server.answer = lambda lines: None
    shipper.ship_pending()
    assert (waiting(shipper), shipper.failures) == (5, 1)
    server.answer = accept
    shipper.ship_pending()
    assert waiting(shipper) == 0
    assert sorted(set(server.stored)) == [f'{{"n": {n}}}'.encode() for n in range(5)]


def test_one_connection_serves_many_shipments_and_a_stale_one_is_replaced_unnoticed(server: Server, shipper: Shipper) -> None:
    for _ in range(5):
        shipper._spool.append(["{}"])
        shipper.ship_pending()
    assert server.connections == 1
    connection = shipper._client.http.connection
    assert connection is not None
    connection.sock.shutdown(socket.SHUT_RDWR)  # the server went away meanwhile
    shipper._spool.append(["{}"])
    shipper.ship_pending()
    assert (waiting(shipper), shipper.failures, server.connections) == (0, 0, 2)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_refusal_deletes_nothing_and_is_tried_again_later(
    server: Server, shipper: Shipper, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda lines: (status, {"Retry-After": "77"} if status in (429, 503) else {}, {})
    shipper.ship_pending()
    assert waiting(shipper) == 5
    assert shipper._wait_s >= 77 if status in (429, 503) else 0 < shipper._wait_s < 2
    said = capsys.readouterr().err
    assert ("footprint token add HOST" in said) == (status == 401)
    assert "fp_secret" not in said


def test_waiting_grows_is_scattered_and_has_an_end(shipper: Shipper) -> None:
    shipper._client.http.url = shipper._client.http.url._replace(netloc="127.0.0.1:1")
    waits = []
    for _ in range(14):
        shipper.ship_pending()
        waits.append(shipper._wait_s)
    assert waits[0] < waits[5] < waits[13] <= MAX_WAIT_S
    assert len(set(waits)) == 14
    assert waiting(shipper) == 5


def test_too_large_is_sent_in_halves_and_a_line_too_large_alone_is_set_aside(server: Server, shipper: Shipper) -> None:
    for _ in range(40):
        shipper._spool.append([json.dumps("x" * 10_000)])
    shipper._spool.append([json.dumps("y" * 70_000), *("{}" for _ in range(9))])  # one segment
    server.answer = lambda lines: accept(lines) if sum(map(len, lines)) < 60_000 else (413, {}, {})
    shipper.ship_pending()
    assert (waiting(shipper), len(server.stored), shipper.rejected) == (0, 54, 1)
    assert [(record[:3], reason) for record, reason in shipper.rejected_records.read()] == [(b'"yy', "too large for the server")]


def test_what_the_server_rejects_is_set_aside_with_its_reason(server: Server, shipper: Shipper) -> None:
    server.answer = lambda lines: (200, {}, {"accepted": 4, "duplicate": 0, "rejected": [{"line": 2, "reason": "at: missing"}]})
    shipper.ship_pending()
    aside = [json.loads(line) for line in (shipper._spool.folder / "rejected.jsonl").read_text().splitlines()]
    assert aside == [{"reason": "at: missing", "record": {"n": 1}}]
    assert (waiting(shipper), shipper.rejected) == (0, 1)


def test_an_answer_that_is_none_deletes_nothing(server: Server, shipper: Shipper) -> None:
    server.answer = lambda lines: (200, {}, {"login": "please"})  # a proxy's page
    shipper.ship_pending()
    assert (waiting(shipper), shipper.failures) == (5, 1)


def test_the_thread_ships_on_its_own_and_ends(server: Server, shipper: Shipper) -> None:
    shipper._every_s = 0.01
    shipper.start()
    shipper.stop()
    assert waiting(shipper) == 0


def answers(status: int, document: Any, headers: dict[str, str] | None = None) -> Callable[[list[bytes]], Any]:
    return lambda lines: (status, headers or {}, document)


REJECT = {"line": 1, "reason": "at: missing"}
HOSTILE: list[Any] = [
    {"accepted": 5, "duplicate": 0, "rejected": [REJECT | {"line": 0}]},
    {"accepted": 5, "duplicate": 0, "rejected": [REJECT | {"line": 6}]},
    {"accepted": 5, "duplicate": 0, "rejected": [REJECT | {"line": -1}]},
    {"accepted": 5, "duplicate": 0, "rejected": [REJECT | {"line": "1"}]},
    {"accepted": 5, "duplicate": 0, "rejected": [REJECT | {"line": True}]},
    {"accepted": 5, "duplicate": 0, "rejected": [REJECT | {"line": 1.0}]},
    {"accepted": 5, "duplicate": 0, "rejected": [{"line": 1}]},
    {"accepted": 5, "duplicate": 0, "rejected": [{"reason": "x"}]},
    {"accepted": 5, "duplicate": 0, "rejected": [{"line": 1, "reason": {}}]},
    {"accepted": 5, "duplicate": 0, "rejected": [7]},
    {"accepted": 5, "duplicate": 0, "rejected": {"line": 1}},
    {"accepted": 5, "duplicate": 0, "rejected": "none"},
    {"accepted": 5, "duplicate": 0, "rejected": [], "rejected_count": -1},
    {"accepted": 5, "duplicate": 0, "rejected": [], "rejected_count": "many"},
    {"accepted": 5, "duplicate": 0, "rejected": [], "refused_lines": [9]},
    {"accepted": 5, "duplicate": 0, "rejected": [], "refused_lines": 3},
    {"accepted": 5, "duplicate": 0, "rejected": [], "hosts": [{}]},
    {"accepted": -5, "duplicate": 0, "rejected": []},
    {"accepted": "5", "duplicate": 0, "rejected": []},
    {"accepted": None, "duplicate": 0, "rejected": []},
    {"accepted": 5, "rejected": []},
    [],
    None,
    5,
    "text",
]


@pytest.mark.parametrize("status", [200, 403])
def test_an_answer_that_cannot_be_deletes_nothing_and_the_next_one_counts(server: Server, shipper: Shipper, status: int) -> None:
    for number, document in enumerate(HOSTILE, 1):
        server.answer = answers(status, document)
        shipper.ship_pending()
        assert (waiting(shipper), shipper.failures, shipper.rejected, shipper.refused) == (5, number, 0, 0), document
    server.answer = accept
    shipper.ship_pending()
    assert waiting(shipper) == 0


def test_a_body_that_is_no_answer_deletes_nothing(tmp_path: Path) -> None:
    bodies = [
        b"[" * 200_000,
        b'{"accepted": ' + b"9" * 10_000 + b', "duplicate": 0, "rejected": []}',
        b"\xff\xfe\x00",
        b"",
        b" " * (MAX_ANSWER_BYTES + 10),
        b'{"accepted": NaN, "duplicate": Infinity, "rejected": []}',
    ]
    pending = iter(bodies)

    class Raw(QuietHandler):
        def post(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.respond(200, next(pending))

    (tmp_path / "token").write_text("fp_secret\n")
    spool = Spool(tmp_path / "spool", 10)
    spool.append(["{}"])
    with serving(Raw) as address:
        shipper = Shipper(spool, address, tmp_path / "token", None, 1)
        for _ in bodies:
            shipper.ship_pending()
    assert (waiting(shipper), shipper.failures) == (1, len(bodies))


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(
    server: Server, shipper: Shipper, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Server()
    with running(other):
        for status in (301, 302, 307, 308):
            server.answer = answers(status, {}, {"Location": f"http://127.0.0.1:{other.server_port}/api/v1/ingest"})
            shipper.ship_pending()
        assert (other.connections, waiting(shipper), shipper.failures) == (0, 5, 4)
    assert "a redirect to http://127.0.0.1" in capsys.readouterr().err


def test_the_wait_that_a_server_asks_for_is_bounded(server: Server, shipper: Shipper) -> None:
    for retry_after in ("1e9", "999999999999", "-5", "nan", "²", "Wed, 21 Oct 2037 07:28:00 GMT", "99999999"):
        server.answer = answers(503, {}, {"Retry-After": retry_after})
        shipper.ship_pending()
        assert 0 < shipper._wait_s <= MAX_WAIT_S, retry_after


def test_an_answer_that_drips_ends_at_the_deadline(tmp_path: Path) -> None:
    ended = threading.Event()

    class Drip(QuietHandler):
        def post(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                while not ended.wait(0.02):
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            except OSError:
                ended.set()
            self.close_connection = True

    (tmp_path / "token").write_text("fp_secret\n")
    spool = Spool(tmp_path / "spool", 10)
    spool.append(["{}"])
    with serving(Drip) as address:
        shipper = Shipper(spool, address, tmp_path / "token", None, 1)
        shipper._client.http._deadline_s = 0.3
        shipper.ship_pending()
    assert (waiting(shipper), shipper.failures) == (1, 1)
    assert "no whole answer within 0.3 s" in shipper.last_error
    assert ended.wait(10)


def test_a_token_file_without_a_token_is_said_without_its_content(shipper: Shipper) -> None:
    for token in ("", "two words", "line\nbreak", "fp_é", "fp_x\rX: y"):
        shipper._token_file.write_text(token)
        shipper.ship_pending()
        assert "holds no token" in shipper.last_error
        assert "fp_" not in shipper.last_error
        assert waiting(shipper) == 5


def refuse_other_hosts(lines: list[bytes]) -> tuple[int, dict[str, str], dict[str, Any]]:
    refused = [number for number, line in enumerate(lines, 1) if b'"host": "other"' in line]
    document = {"accepted": len(lines) - len(refused), "duplicate": 0, "rejected": []}
    if not refused:
        return 200, {}, document
    return 403, {}, document | {"error": "host", "hosts": ["other"], "refused_lines": refused}


def test_records_of_another_host_wait_apart_and_are_sent_once_the_token_is_mended(
    server: Server, shipper: Shipper, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = refuse_other_hosts
    for number in range(3):
        shipper._spool.append([f'{{"host": "other", "n": {number}}}', f'{{"host": "own", "n": {number}}}'])
        shipper.ship_pending()
    assert (waiting(shipper), shipper.refused, shipper.rejected, shipper.failures) == (0, 3, 0, 0)
    assert shipper.refused_spool.size_bytes() > 0
    told = capsys.readouterr().err
    assert told.count("the server refuses records of other") == 1
    posts = len(server.headers)
    shipper.ship_pending()
    assert len(server.headers) == posts  # it is not tried at every look
    server.answer, server.stored = accept, []
    os.utime(shipper._token_file, (1, 1))  # another token was written
    shipper.ship_pending()
    assert sorted(server.stored) == [f'{{"host": "other", "n": {n}}}'.encode() for n in range(3)]
    assert shipper.refused_spool.size_bytes() == 0
    assert "are sent" in capsys.readouterr().err


def test_refused_records_are_tried_after_a_restart_and_from_time_to_time_and_stay_until_taken(
    server: Server, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = refuse_other_hosts
    shipper._spool.append(['{"host": "other"}'])
    shipper.ship_pending()
    again = Shipper(shipper._spool, shipper._client.http.url.geturl(), shipper._token_file, None, 1)
    posts = len(server.headers)
    again.ship_pending()
    assert (len(server.headers), again.refused_spool.size_bytes() > 0) == (posts + 1, True)
    now_us, token = again._now_and_token()
    monkeypatch.setattr(again, "_now_and_token", lambda: (now_us + 2 * REFUSED_RETRY_US, token))
    again.ship_pending()
    assert len(server.headers) == posts + 2
    again._spool.append(['{"host": "own"}'])
    again.ship_pending()  # others are not held up
    assert waiting(again) == 0
    assert len(again.refused_spool.segments()) == 1


def test_an_older_server_that_rejects_another_host_loses_nothing_either(server: Server, shipper: Shipper) -> None:
    server.answer = answers(
        200, {"accepted": 4, "duplicate": 0, "rejected": [{"line": 2, "reason": "host: the token may not write for this host"}]}
    )
    shipper.ship_pending()
    assert (shipper.refused, shipper.rejected) == (1, 0)
    assert shipper.refused_spool.read(10**6)[1] == [b'{"n": 1}']


def test_rejects_beyond_those_that_an_answer_lists_are_found_by_halves(server: Server, shipper: Shipper) -> None:
    shipper._spool.append([f'{{"bad": {n}}}' for n in range(40)])

    def list_two(lines: list[bytes]) -> tuple[int, dict[str, str], dict[str, Any]]:
        bad = [{"line": number, "reason": "bad"} for number, line in enumerate(lines, 1) if b"bad" in line]
        return 200, {}, {"accepted": len(lines) - len(bad), "duplicate": 0, "rejected": bad[:2], "rejected_count": len(bad)}

    server.answer = list_two
    shipper.ship_pending()
    assert (waiting(shipper), shipper.rejected) == (0, 40)
    assert sorted(record for record, _ in shipper.rejected_records.read()) == sorted(
        f'{{"bad": {n}}}'.encode() for n in range(40)
    )


def test_the_file_of_rejected_records_is_bounded_and_what_it_drops_is_counted(tmp_path: Path) -> None:
    aside = RejectedRecords(tmp_path, max_bytes=4000)
    for number in range(200):
        aside.append([(f'{{"n": {number}}}'.encode(), "why")])
    assert sum(path.stat().st_size for path in tmp_path.glob("rejected*.jsonl")) <= 4000
    left = [json.loads(record)["n"] for record, _ in aside.read()]
    assert left == list(range(200 - len(left), 200))
    assert (aside.waiting, aside.dropped) == (len(left), 200 - len(left))
    assert RejectedRecords(tmp_path).waiting == len(left)


def test_the_agent_reports_of_itself_in_headers_of_each_shipment(server: Server, shipper: Shipper) -> None:
    shipper._problems = lambda: {"log_gaps": 2, "doubted": 0}
    shipper.ship_pending()
    sent = server.headers[0]
    assert sent["Footprint-Agent-Version"] == VERSION
    assert int(sent["Footprint-Agent-Backlog"]) == sum(len(f'{{"n": {n}}}\n') for n in range(5))
    assert abs(parse_instant(sent["Footprint-Agent-Clock"]) - time.time() * 1e6) < 60e6
    assert json.loads(sent["Footprint-Agent-Problems"]) == {"log_gaps": 2}
    shipper._problems = lambda: {f"reason_{n}": n + 1 for n in range(500)}
    assert len(shipper._headers()["Footprint-Agent-Problems"]) <= 1000
