"""Shipping to a real server that answers in every way that servers do."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from collectors.shipper import MAX_WAIT_S, MIN_BATCH_BYTES, Shipper
from collectors.spool import Spool
from tests.support.http_servers import QuietHandler, running


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
    assert shipper._connection is not None
    assert shipper._connection.sock is not None
    shipper._connection.sock.shutdown(socket.SHUT_RDWR)  # the server went away meanwhile
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
    shipper._url = shipper._url._replace(netloc="127.0.0.1:1")
    waits = []
    for _ in range(14):
        shipper.ship_pending()
        waits.append(shipper._wait_s)
    assert waits[0] < waits[5] < waits[13] <= MAX_WAIT_S
    assert len(set(waits)) == 14
    assert waiting(shipper) == 5


def test_too_large_is_sent_in_halves(server: Server, shipper: Shipper) -> None:
    for _ in range(40):
        shipper._spool.append(["x" * 10_000])
    server.answer = lambda lines: accept(lines) if sum(map(len, lines)) < 60_000 else (413, {}, {})
    while waiting(shipper):
        shipper.ship_pending()
    assert len(server.stored) == 45
    assert MIN_BATCH_BYTES <= shipper._bytes <= 62_500


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
