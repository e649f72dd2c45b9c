"""Open mode: who holds the token is administrator, everybody else public, and neither foreign names nor foreign sites are served."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dashboards.app import mount
from footprint.access.agent_tokens import add_token
from footprint.access.open_mode import is_loopback_host, load_token, token_file
from footprint.api import create_api
from footprint.cli.app import status_of
from footprint.config import Config
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, config
from tests.support.page_requests import poster, whole_page
from tests.support.protected_quarter import NOW_US

HERE = "http://127.0.0.1:8050"
ADMINISTRATORS_ONLY = "/api/v1/access"
WRITTEN_OUT = '[access]\nmode = "open"\n'


def app_of(store: Store, facts: Config | None = None) -> Any:
    facts = facts or config()
    api = create_api(facts, store, IngestService(store, facts.services_of_model), lambda: NOW_US)
    return mount(api, store, facts, lambda: NOW_US)


def client(store: Store, facts: Config | None = None, base_url: str = HERE, **headers: str) -> TestClient:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return TestClient(app_of(store, facts), base_url=base_url, headers=names, follow_redirects=False)


def token_of(store: Store) -> str:
    return token_file(store.url, None).read_text().strip()


def test_a_visitor_without_the_token_is_public_and_with_it_administrator(sqlite: Store) -> None:
    visitor = client(sqlite)
    assert visitor.get(ADMINISTRATORS_ONLY).status_code == 404
    assert "footprint access link" in visitor.get("/api/v1/footprint").json()["error"]
    for path in ("/", "/methods", "/api/v1/reports", "/healthz", "/readyz", "/metrics"):
        assert visitor.get(path).status_code == 200, path
    token = token_of(sqlite)
    assert client(sqlite, Authorization=f"Bearer {token}").get(ADMINISTRATORS_ONLY).status_code == 200
    for wrong in (token[:-1], token + "x", "", "Bearer", token.swapcase()):
        assert client(sqlite, Authorization=f"Bearer {wrong}").get(ADMINISTRATORS_ONLY).status_code == 404
    assert client(sqlite, Authorization=f"Basic {token}").get(ADMINISTRATORS_ONLY).status_code == 404


def test_the_token_lies_in_a_private_file_beside_the_store_and_survives_restarts(sqlite: Store) -> None:
    app_of(sqlite)
    path = token_file(sqlite.url, None)
    assert path.parent == Path(sqlite.url.removeprefix("sqlite:///")).parent
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = token_of(sqlite)
    app_of(sqlite)
    assert token_of(sqlite) == token
    assert len(token) >= 43


@pytest.mark.parametrize("path", ["/", "/use-cases?period=2026-Q3&lang=en", "/nothing", "/editions?x=1&x=2"])
def test_the_link_sets_a_cookie_and_leaves_the_address(path: str, sqlite: Store, caplog: pytest.LogCaptureFixture) -> None:
    browser = client(sqlite)
    token = token_of(sqlite)
    answer = browser.get(f"{path}{'&' if '?' in path else '?'}token={token}")
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    cookie = answer.headers["set-cookie"].lower().split("; ")
    assert {"httponly", "samesite=lax", "path=/"} <= set(cookie)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert token not in str(answer.headers) + answer.text + caplog.text
    assert browser.get(ADMINISTRATORS_ONLY).status_code == 200


def test_a_link_with_a_wrong_token_is_said_so_in_both_languages_and_sets_nothing(sqlite: Store) -> None:
    browser = client(sqlite, Accept="text/html")
    for query in ("token=wrong", "token=", f"token={token_of(sqlite)}&token=wrong"):
        answer = browser.get(f"/?{query}")
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert "Lien non valable" in answer.text
        assert "Link not valid" in answer.text


def test_the_cookie_of_another_service_of_this_machine_is_worth_nothing(sqlite: Store, tmp_path: Path) -> None:
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    browser = client(sqlite)
    browser.get(f"/?token={token_of(sqlite)}")
    sent = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert client(sqlite, Cookie=sent).get(ADMINISTRATORS_ONLY).status_code == 200
    assert client(other, Cookie=sent).get(ADMINISTRATORS_ONLY).status_code == 404
    other.close()


FOREIGN = [
    "evil.example",
    "evil.example:8050",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "127.evil.example",
    "0.0.0.0",
    "192.168.1.5:8050",
    "[::]",
    "[fe80::1]",
    "2130706433",
    "127.1",
    "user@127.0.0.1",
    "127.0.0.1/x",
    "127.0.0.1:x",
    "",
    "[::1",
    "localhost, evil.example",
]
PAGES_AND_ROUTES = (
    "/",
    "/use-cases",
    "/nothing",
    "/api/v1/footprint",
    "/metrics",
    "/_dash-dependencies",
    "/assets/footprint.css",
)


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("written_out", [False, True])
def test_a_foreign_host_is_refused_even_with_the_token(host: str, written_out: bool, sqlite: Store) -> None:
    assert not is_loopback_host(host)
    app = app_of(sqlite, config(CONFIG + WRITTEN_OUT * written_out))
    headers = {"Host": host} | ({} if written_out else {"Authorization": f"Bearer {token_of(sqlite)}"})
    browser = TestClient(app, base_url=HERE, headers=headers)
    for path in PAGES_AND_ROUTES:
        answer = browser.get(path)
        assert answer.status_code == 421, path
        assert "[access]" in answer.json()["error"]
    page = browser.get("/", headers={"Accept": "text/html"})
    assert "Adresse refusée" in page.text
    assert "Address refused" in page.text
    assert browser.get("/healthz").status_code == 200
    assert browser.post("/api/v1/ingest").status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:9", "127.8.9.10:8050", "[::1]:8050", "[::1]"])
def test_names_of_the_loopback_are_served(host: str, sqlite: Store) -> None:
    assert client(sqlite, Host=host).get("/api/v1/reports").status_code == 200


CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:9000"},
    {"Origin": "http://localhost:8050"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
    {"Origin": "http://a]b"},
]


@pytest.mark.parametrize("foreign", CROSS_SITE)
@pytest.mark.parametrize("written_out", [False, True])
def test_a_request_of_another_site_is_refused(foreign: dict[str, str], written_out: bool, sqlite: Store) -> None:
    app = app_of(sqlite, config(CONFIG + WRITTEN_OUT * written_out))
    browser = TestClient(app, base_url=HERE, headers=foreign)
    if not written_out:
        browser.headers["Authorization"] = f"Bearer {token_of(sqlite)}"
    for path in PAGES_AND_ROUTES:
        assert browser.get(path).status_code == 403, path
    assert browser.post("/_dash-update-component", json={}).status_code == 403


def test_requests_of_this_site_and_of_a_person_are_served(sqlite: Store) -> None:
    own: list[dict[str, str]] = [
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin", "Origin": HERE},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ]
    for headers in own:
        assert TestClient(app_of(sqlite), base_url=HERE, headers=headers).get("/").status_code == 200


PROXY_HEADERS = {
    "none": {},
    "x-client-ip": {"X-Client-IP": "10.0.0.9"},
    "cf": {"CF-Connecting-IP": "10.0.0.9"},
    "proto": {"X-Forwarded-Proto": "https"},
    "for": {"X-Forwarded-For": "127.0.0.1"},
    "forwarded": {"Forwarded": "for=127.0.0.1;host=localhost"},
    "groups": {"X-Forwarded-Groups": "administrator"},
}


@pytest.mark.parametrize(
    ("headers", "client_ip"), list(itertools.product(PROXY_HEADERS.values(), ["127.0.0.1", "::1", "10.0.0.9"]))
)
def test_what_a_proxy_brings_is_public_whatever_it_says(headers: dict[str, str], client_ip: str, sqlite: Store) -> None:
    browser = TestClient(app_of(sqlite), base_url=HERE, client=(client_ip, 1), headers=headers)
    assert browser.get("/api/v1/footprint").status_code == 404
    assert browser.get("/api/v1/reports").status_code == 200


def test_open_mode_written_out_asks_for_nothing_and_makes_no_token(sqlite: Store) -> None:
    assert client(sqlite, config(CONFIG + WRITTEN_OUT)).get(ADMINISTRATORS_ONLY).status_code == 200
    assert not token_file(sqlite.url, None).exists()


def test_agents_and_probes_need_no_token(sqlite: Store) -> None:
    agent = client(sqlite, Authorization=f"Bearer {add_token(sqlite, 'a', NOW_US)}")
    assert agent.post("/api/v1/ingest", content=b"").status_code == 200
    assert agent.get(ADMINISTRATORS_ONLY).status_code == 404  # the token of an agent reads nothing


def test_the_first_page_says_in_both_languages_how_to_get_in(sqlite: Store) -> None:
    for path in ("/", "/use-cases", "/help"):
        public = whole_page(poster(client(sqlite)), path, "?lang=en")
        assert "footprint access link" in public
        assert "administratrice" in public
        assert "administrator" in public
    reader = client(sqlite, Authorization=f"Bearer {token_of(sqlite)}")
    assert "footprint access link" not in whole_page(poster(reader), "/", "?lang=en")


def test_the_link_is_printed_on_request_and_never_into_a_pipe_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FOOTPRINT_ACCESS__MODE", raising=False)
    file = tmp_path / "footprint.toml"
    file.write_text('[server]\nport = 8061\n[store]\nurl = "sqlite:///office.db"\n')
    assert status_of(["access", "link", "--config", str(file)]) == 2
    refused = capsys.readouterr()
    assert (refused.out, "--show" in refused.err) == ("", True)
    assert status_of(["access", "link", "--show", "--config", str(file)]) == 3
    assert "first start" in capsys.readouterr().err
    load_token(tmp_path / "office.db.access-token")
    assert status_of(["access", "link", "--show", "--config", str(file)]) == 0
    token = (tmp_path / "office.db.access-token").read_text().strip()
    assert capsys.readouterr().out == f"http://127.0.0.1:8061/?token={token}\n"
    assert not (tmp_path / "office.db").exists()
    (tmp_path / "office.db.access-token").chmod(0o644)
    assert status_of(["access", "link", "--show", "--config", str(file)]) == 3
    assert "chmod 600" in capsys.readouterr().err
    file.write_text('[access]\nmode = "open"\n')
    assert status_of(["access", "link", "--show", "--config", str(file)]) == 2
