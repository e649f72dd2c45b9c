"""Real nginx with the shipped configuration in front of the real service: headers of clients cannot grant a role."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, START, compute, config, energy_lines, import_files, request_lines
from tests.support.http_servers import QuietHandler
from tests.support.processes import free_port, start_server

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
ACCESS = """
[access]
mode = "header"
trusted = ["127.0.0.1"]
sign_in = "/oauth2/sign_in"
roles = { committee = ["footprint-committee"], officer = ["footprint-officers"], engineer = ["footprint-engineers"], administrator = ["footprint-administrators"] }
"""
AROUND = """
master_process off;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {shipped}
}}
"""
GROUPS = "X-Forwarded-Groups"
Sent = list[tuple[str, str]]


class SignIn(QuietHandler):
    """Sign-in service like oauth2-proxy: 202 with the groups of a session cookie, or 401."""

    seen: ClassVar[list[tuple[str, str | None]]] = []

    def get(self) -> None:
        self.seen.append((self.path, self.headers.get(GROUPS)))
        groups = self.headers.get("Cookie", "").removeprefix("session=")
        status = {"": 401, "broken": 500, "refused": 403}.get(groups, 202)
        self.respond(status, headers={"X-Auth-Request-Groups": groups} if status == 202 else {})


class Office:
    """The service on port ``app``, and nginx in front of it on port ``door``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process, base = start_server(folder, open_mode=False)
        self.app, self.door = int(base.rpartition(":")[2]), free_port()
        self.signin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SignIn)
        threading.Thread(target=self.signin.serve_forever, daemon=True).start()
        file = folder / "nginx.conf"
        file.write_text(AROUND.format(folder=folder, shipped=self.shipped()))
        subprocess.run(["nginx", "-t", "-q", "-p", str(folder), "-c", str(file)], check=True)
        self.nginx = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(file)])
        for _ in range(100):
            try:
                if self.ask("/healthz")[0] == 200:
                    return
            except OSError:
                threading.Event().wait(0.1)
        raise RuntimeError("nginx does not answer")

    def shipped(self) -> str:
        """The shipped configuration with free ports and without TLS."""
        text = SHIPPED.read_text()
        signin = self.signin.server_address[1]
        for ours, here in (
            ("127.0.0.1:8050", f"127.0.0.1:{self.app}"),
            ("127.0.0.1:4180", f"127.0.0.1:{signin}"),
            ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.door};"),
        ):
            assert text.count(ours) == 1, ours
            text = text.replace(ours, here)
        return "\n".join(line for line in text.splitlines() if not line.strip().startswith("ssl_"))

    def ask(self, path: str, sent: Sent = [], port: int = 0, peer: str = "127.0.0.1", method: str = "GET") -> tuple[int, bytes]:  # noqa: B006
        """Status and body of a request from address ``peer``; repeated headers are sent repeatedly."""
        line = http.client.HTTPConnection("127.0.0.1", port or self.door, timeout=30, source_address=(peer, 0))
        line.putrequest(method, path)
        for name, value in sent:
            line.putheader(name, value)
        line.endheaders()
        answer = line.getresponse()
        response = answer.status, answer.read()
        line.close()
        return response

    def role(self, sent: Sent, port: int = 0, peer: str = "127.0.0.1") -> str:
        """Role that the service gives the client, inferred from the pages that it serves."""
        opened = [
            self.ask(path, sent, port, peer)[0] == 200 for path in ("/access", "/api/v1/tables/avoidable", "/hosts", "/charter")
        ]
        return ("administrator", "officer", "engineer", "committee", "public")[(*opened, True).index(True)]

    def close(self) -> None:
        self.nginx.terminate()
        self.nginx.wait()
        self.signin.shutdown()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def office_of(folder: Path, access: str) -> Office:
    (folder / "footprint.toml").write_text(CONFIG + access)
    store = Store(f"sqlite:///{folder / 'footprint.db'}", demo=False)
    import_files(store, config(), folder, energy_lines(START, 3600, 60), request_lines(START, 3600, 40))
    compute(store, config())
    store.close()
    return Office(folder)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    started = office_of(tmp_path_factory.mktemp("nginx"), ACCESS)
    yield started
    started.close()


def signed_in(groups: str) -> Sent:
    return [("Cookie", f"session={groups}")]


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ("footprint-committee", "committee"),
        ("footprint-engineers", "engineer"),
        ("footprint-officers", "officer"),
        ("staff,footprint-administrators", "administrator"),
        ("staff", "public"),
        ("", "public"),
        ("refused", "public"),
        ("broken", "public"),
    ],
)
def test_a_reader_has_the_role_of_the_groups_from_the_sign_in_service(groups: str, role: str, office: Office) -> None:
    assert office.role(signed_in(groups)) == role


FORGED = "footprint-administrators"


@pytest.mark.parametrize(
    "forged",
    [
        [(GROUPS, FORGED)],
        [(GROUPS, FORGED), (GROUPS, FORGED)],
        [(GROUPS.lower(), FORGED)],
        [("X_Forwarded_Groups", FORGED)],
        [("X-Auth-Request-Groups", FORGED)],
        [(GROUPS, FORGED), ("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1")],
        [("Connection", f"close, {GROUPS}"), (GROUPS, FORGED)],
        [(GROUPS, f"staff,{FORGED}"), ("X-Real-IP", "127.0.0.1"), ("Via", "1.1 footprint")],
    ],
)
@pytest.mark.parametrize(("groups", "role"), [("", "public"), ("footprint-committee", "committee"), ("broken", "public")])
def test_group_headers_of_clients_are_replaced(forged: Sent, groups: str, role: str, office: Office) -> None:
    SignIn.seen.clear()
    assert office.role([*signed_in(groups), *forged]) == role
    assert {groups_header for _, groups_header in SignIn.seen} == {None}  # nor does the sign-in service receive it


def test_the_service_trusts_group_headers_of_the_proxy_only(office: Office) -> None:
    forged = [(GROUPS, FORGED), ("X-Forwarded-For", "127.0.0.1")]
    assert office.role(forged, office.app, peer="127.0.0.2") == "public"
    assert office.role([(GROUPS, FORGED)] * 2, office.app) == "public"  # two headers are ambiguous
    assert office.role([], office.app) == "public"
    assert office.role([(GROUPS, FORGED)], office.app) == "administrator"  # the host of the proxy is trusted


def test_metrics_are_served_to_the_proxy_host_only(office: Office) -> None:
    status, body = office.ask("/metrics")
    assert (status, b"footprint_energy_joules_total" in body) == (200, True)
    assert office.ask("/metrics", peer="127.0.0.2")[0] == 403
    assert b"footprint_energy" not in office.ask("/metrics", port=office.app, peer="127.0.0.2")[1]


def test_agents_and_the_inner_address_of_the_sign_in(office: Office) -> None:
    SignIn.seen.clear()
    assert office.ask("/api/v1/ingest", method="POST")[0] == 401
    assert SignIn.seen == []
    assert office.ask("/_who", signed_in("footprint-officers"))[0] == 404
    assert json.loads(office.ask("/api/v1/access", signed_in("footprint-officers"))[1]) == {
        "error": "no such address: /api/v1/access"
    }


def test_no_client_address_is_stored(office: Office) -> None:
    assert office.ask("/api/v1/footprint?group=use_case", signed_in("footprint-officers"), peer="127.0.0.77")[0] == 200
    (access_row,) = json.loads(office.ask("/api/v1/access", signed_in(FORGED))[1])["rows"][-1:]
    assert (access_row["role"], "127.0.0.77" in str(access_row)) == ("officer", False)
    files_with_address = [path for path in office.folder.rglob("*") if path.is_file() and b"127.0.0.77" in path.read_bytes()]
    assert files_with_address == []


def test_without_access_configuration_clients_of_the_proxy_are_public(tmp_path: Path) -> None:
    unconfigured = office_of(tmp_path, "")
    try:
        assert unconfigured.role([(GROUPS, FORGED)]) == "public"
        assert unconfigured.role([], unconfigured.app) == "public"  # also what a bare proxy sends
        token = (tmp_path / "footprint.db.access-token").read_text().strip()
        assert unconfigured.role([("Authorization", f"Bearer {token}")], unconfigured.app) == "administrator"
    finally:
        unconfigured.close()
