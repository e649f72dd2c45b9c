"""Whatever the server asks of other machines is verified, bounded, and never follows a redirect.

``DOORS`` lists every connection that the server opens; each one meets the same hostile servers.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from footprint.access import oidc
from footprint.benchmark import openai_client
from footprint.config.access import AccessRules
from footprint.config.notify import NotificationRules
from footprint.core import outgoing_http
from footprint.core.records import FootprintError
from footprint.ledger import intensity_series
from footprint.ledger.object_store import ObjectStoreError, _insecure_storage_fault
from footprint.ledger.prometheus_import import import_prometheus
from footprint.ledger.prometheus_request_import import import_gateway_counters
from footprint.ledger.sources import SOURCES
from footprint.server import notifications
from footprint.server.notifications import Message, send
from footprint.storage.database import Store
from tests.support.certificates import self_signed
from tests.support.contract_files import config
from tests.support.http_servers import QuietHandler, running, serving

SECRET = "s3cret-of-this-test"
US_PER_DAY = 86_400_000_000
Door = Callable[[str, Store, Path], None]


def intensity(source: str) -> Door:
    def door(url: str, store: Store, _folder: Path) -> None:
        zone = (SOURCES[source].zones or ("FR",))[0]
        day = 20_000 * US_PER_DAY
        key = SECRET if SOURCES[source].key_variable else ""
        intensity_series.fetch_series(store, source, zone, day, day + US_PER_DAY, day, key=key, url=url, sleep=lambda _: None)

    return door


def prometheus(url: str, store: Store, _folder: Path) -> None:
    import_prometheus(store, url.replace("://", f"://reader:{SECRET}@"), 0, US_PER_DAY // 24, US_PER_DAY)


def gateways(url: str, store: Store, _folder: Path) -> None:
    import_gateway_counters(store, config(), url.replace("://", f"://reader:{SECRET}@"), 0, US_PER_DAY // 24, US_PER_DAY)


def webhook(url: str, _store: Store, _folder: Path) -> None:
    send(NotificationRules(webhook=f"{url}/{SECRET}"), Message("test", "subject", "text", "now"))


def sign_in(url: str, store: Store, folder: Path) -> None:
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    rules = AccessRules(
        mode="oidc", address="http://127.0.0.1", issuer=url, client_id="footprint", client_secret_file=str(secret)
    )
    app = FastAPI()
    app.include_router(oidc.router(rules, store, lambda: 0))
    app.add_middleware(SessionMiddleware, secret_key="k")
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as client:
        answer = client.get("/auth/login")
        assert answer.status_code == 503
    raise FootprintError("the sign-in provider does not answer")


def models(url: str, _store: Store, _folder: Path) -> None:
    async def ask() -> tuple[list[str], str]:
        async with openai_client.http_client(openai_client.Target(url, "m", 1, 0, SECRET, 2), 1) as client:
            return await openai_client.served_models(client, url)

    names, _ = asyncio.run(ask())
    if not names:
        raise FootprintError("no model")


def completion(url: str, _store: Store, _folder: Path) -> None:
    target = openai_client.Target(url, "m", 1, 0, SECRET, 2)

    async def ask() -> None:
        async with openai_client.http_client(target, 1) as client:
            await openai_client.stream_completion(client, target, 0, [])

    asyncio.run(ask())


DOORS: dict[str, Door] = {
    **{f"intensity {name}": intensity(name) for name in SOURCES},
    "prometheus": prometheus,
    "gateways": gateways,
    "webhook": webhook,
    "sign-in": sign_in,
    "models": models,
    "completion": completion,
}
BEARS_SECRET = [name for name in DOORS if name not in ("intensity eco2mix", "intensity neso")]


@pytest.fixture(autouse=True)
def _tight_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensity_series, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(intensity_series, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(notifications, "TIMEOUT_S", 1)
    monkeypatch.setattr(openai_client, "MAX_ANSWER_S", 1)
    monkeypatch.setattr(oidc, "TIMEOUT_S", 1.0)
    defaults = dict(outgoing_http.BoundedClient.__init__.__kwdefaults__)
    monkeypatch.setattr(outgoing_http.BoundedClient.__init__, "__kwdefaults__", defaults | {"total_s": 1.0})


class Hostile:
    """What two servers got: the one that was asked, and the one it points to."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.elsewhere: list[str] = []


@contextmanager
def hostile(behaviour: str) -> Iterator[tuple[str, Hostile]]:
    seen = Hostile()

    class Elsewhere(QuietHandler):
        def get(self) -> None:
            seen.elsewhere.append(f"{self.path} {self.headers}")
            self.respond(200, b"{}")

        post = get

    with serving(Elsewhere) as other:
        target = other.replace("127.0.0.1", "localhost")

        class Server(QuietHandler):
            def get(self) -> None:
                if behaviour.isdigit():
                    self.respond(int(behaviour), b"", {"Location": f"{target}{self.path}"})
                elif behaviour in ("endless", "endless head", "slow", "gzip"):
                    self._pour()
                else:
                    self.respond(200, behaviour.encode(), {"Content-Type": "application/json"})

            def post(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.get()

            def _pour(self) -> None:
                self.send_response(200)
                if behaviour == "gzip":
                    self.send_header("Content-Encoding", "gzip")
                if behaviour != "endless head":
                    self.end_headers()
                try:
                    while not self.server.__dict__.get("closing"):
                        piece = b" " * 65536 if behaviour == "endless" else b"X-A: b\r\n" if behaviour == "endless head" else b" "
                        self.wfile.write(piece)
                        self.wfile.flush()
                        seen.sent_bytes += len(piece)
                        if behaviour in ("slow", "endless head"):
                            time.sleep(0.05)
                except OSError:
                    pass

        with serving(Server) as address:
            yield address, seen


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path_factory.mktemp('store')}/footprint.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_a_redirect_leads_nowhere(status: str, store: Store, tmp_path: Path) -> None:
    for name, door in DOORS.items():
        with hostile(status) as (address, seen), pytest.raises(FootprintError) as refusal:
            door(address, store, tmp_path)
        assert seen.elsewhere == [], name
        assert SECRET not in str(refusal.value), name


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("behaviour", ["slow", "endless head", "endless", "gzip"])
def test_an_answer_without_end_is_cut(door: str, behaviour: str, store: Store, tmp_path: Path) -> None:
    with hostile(behaviour) as (address, seen), pytest.raises(FootprintError):
        DOORS[door](address, store, tmp_path)
    # What was sent may still lie in the buffers of the two sockets.
    assert seen.sent_bytes <= outgoing_http.MAX_ANSWER_BYTES + (16 << 20)


WRONG = [
    "",
    "null",
    "5",
    '"text"',
    "[]",
    "[5]",
    "[[]]",
    '{"data": 5}',
    '{"data": [5]}',
    '{"data": [{}], "results": [5], "carbonIntensity": {}}',
    '{"data": [{"intensity": 5, "from": 3}], "meta": 4}',
    '{"results": 5}',
    '{"records": [{"fields": 5}]}',
    '{"status": "success"}',
    '{"status": "success", "data": {"result": 5}}',
    '{"status": "success", "data": ["DCGM_FI_DEV_POWER_USAGE", 5, null]}',
    '{"status": "success", "data": [["DCGM_FI_DEV_POWER_USAGE"]]}',
    '{"status": "success", "data": {"DCGM_FI_DEV_POWER_USAGE": 1}}',
    "[" * 100_000,
    'data: {"choices": 5}\n\ndata: [DONE]\n',
    'data: {"choices": [{"delta": "x"}], "usage": 5}\n\n',
    'data: {"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": "a", "completion_tokens": []}}\n\n',
    "data: " + "[" * 100_000,
]


@pytest.mark.parametrize("door", [name for name in DOORS if name != "webhook"])
def test_an_answer_of_another_form_is_an_error_with_a_reason(door: str, store: Store, tmp_path: Path) -> None:
    for body in WRONG:
        with hostile(body) as (address, _):
            message = message_of(DOORS[door], address, store, tmp_path)
            assert message is None or 5 < len(message) < 500, body[:80]


def message_of(door: Callable[..., object], *arguments: object) -> str | None:
    """Message of the error that a door raises; None if it takes the answer."""
    try:
        door(*arguments)
    except FootprintError as error:
        return str(error)
    return None


@contextmanager
def tls_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Server(QuietHandler):
        def get(self) -> None:
            asked.append(self.path)
            self.respond(200, b"{}")

        post = get

    certificate, key = self_signed(folder, "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign, assignment] - a refused handshake
    with running(server):
        yield f"https://127.0.0.1:{server.server_port}", asked


@pytest.mark.parametrize("door", DOORS)
def test_a_self_signed_certificate_is_refused_before_anything_is_sent(door: str, store: Store, tmp_path: Path) -> None:
    with tls_server(tmp_path) as (address, asked), pytest.raises(FootprintError):
        DOORS[door](address, store, tmp_path)
    assert asked == []


@pytest.mark.parametrize("door", BEARS_SECRET)
def test_a_secret_never_goes_over_http_to_another_machine(door: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(FootprintError, match=r"https|sign-in provider"):
        DOORS[door]("http://192.0.2.1:9", store, tmp_path)


def test_every_client_of_http_in_the_server_is_the_bounded_one() -> None:
    """A new door that opens its own client is not in ``DOORS``: only the bounded module makes one."""
    made: list[Any] = []
    original = httpx.AsyncHTTPTransport.__init__

    def noted(self: Any, *arguments: Any, **options: Any) -> None:
        made.append(self)
        original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.AsyncHTTPTransport, "__init__", noted)
        client = outgoing_http.async_client()
    assert made == []  # opened by address, when it is known whether a proxy stands between
    assert client.follow_redirects is False


@pytest.mark.parametrize(
    ("url", "attributes", "reason"),
    [
        ("s3://days", {"endpoint_url": "http://192.0.2.1:9000"}, "https"),
        ("s3://days", {"client_kwargs": {"endpoint_url": "http://store.example"}}, "https"),
        ("s3://days", {"client_kwargs": {"verify": False}}, "certificate"),
        ("s3://days", {"use_ssl": False}, "TLS"),
        ("http://store.example/days", {}, "https"),
        ("s3://days", {"endpoint_url": "http://127.0.0.1:9000", "use_ssl": False}, ""),
        ("s3://days", {"endpoint_url": "https://store.example"}, ""),
        ("s3://days", {}, ""),
    ],
)
def test_an_object_store_is_asked_over_verified_tls(url: str, attributes: dict[str, Any], reason: str) -> None:
    files = type("Files", (), attributes)()
    fault = _insecure_storage_fault(url, files)
    assert (reason in fault) if reason else fault == ""
    assert issubclass(ObjectStoreError, FootprintError)


def test_the_proxy_of_the_environment_is_used_for_other_machines_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(QuietHandler):
        def get(self) -> None:
            asked.append(self.path)
            self.respond(200, json.dumps({"status": "success", "data": []}).encode())

    with serving(Proxy) as address:
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.delenv("no_proxy", raising=False)
        with outgoing_http.BoundedClient("http://source.example") as client:
            assert client.request("GET", "/x").status == 200
        with outgoing_http.BoundedClient("http://127.0.0.1:9") as client, pytest.raises(httpx.HTTPError):
            client.request("GET", "/x")
    assert asked == ["http://source.example/x"]
