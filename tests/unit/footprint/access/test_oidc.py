"""Signing in at a simulated provider with real signed tokens: who is let in, who is not, and that no name stays anywhere."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import OctKey

from footprint.access import sessions
from footprint.access.oidc import local_path
from footprint.access.policy import Role
from footprint.config import ConfigError, parse_config
from footprint.core.secret_files import SecretFileError
from footprint.storage.database import Store
from tests.simulation.provider import CLIENT, NAME, SECRET, SUBJECT, Provider
from tests.support.contract_files import config
from tests.support.protected_quarter import FACTS, page
from tests.support.services import api_over, pages_over

SESSION = "__Host-footprint"
ISSUER, ADDRESS = "https://login.example.org", "https://footprint.example.org"
BY_SIGN_IN = f"""
[access]
mode = "oidc"
address = "{ADDRESS}"
issuer = "{ISSUER}"
client_id = "{CLIENT}"
client_secret_file = "SECRET_FILE"
session_key_file = "KEY_FILE"
session_hours = 2
roles = {{ officer = ["sustainability"], engineer = ["platform"] }}
"""


class Office:
    """A service that signs readers in, its provider, and its clock."""

    def __init__(self, store: Store, folder: Path) -> None:
        secret = folder / "oidc.secret"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        self.key_file = folder / "session.key"
        text = BY_SIGN_IN.replace("SECRET_FILE", str(secret)).replace("KEY_FILE", str(self.key_file))
        self.config, self.now_us = config(FACTS + text), time.time_ns() // 1000
        self.provider = Provider(ISSUER)
        to_provider = httpx.ASGITransport(self.provider.app)
        self.app = pages_over(store, self.config, lambda: self.now_us, oidc_transport=to_provider)

    def browser(self) -> TestClient:
        return TestClient(self.app, base_url=ADDRESS, follow_redirects=False)

    def at_provider(self, address: str) -> str:
        """Where the provider sends a reader back to."""
        with TestClient(self.provider.app, base_url=ISSUER, follow_redirects=False) as client:
            return client.get(address).headers["location"]

    def sign_in(self, browser: TestClient, back: str = "/") -> httpx.Response:
        sent = browser.get("/auth/login", params={"next": back})
        assert sent.status_code == 302
        return browser.get(self.at_provider(sent.headers["location"]))


@pytest.fixture
def office(sqlite: Store, tmp_path: Path) -> Office:
    return Office(sqlite, tmp_path)


def seen(browser: TestClient) -> int:
    return browser.get("/api/v1/footprint").status_code


def test_a_reader_signs_in_and_out_and_a_role_is_all_that_is_kept(
    office: Office, sqlite: Store, caplog: pytest.LogCaptureFixture
) -> None:
    browser = office.browser()
    assert seen(browser) == 404
    back = office.sign_in(browser, "/charter?lang=en&period=2026-Q3")
    assert (back.status_code, back.headers["location"]) == (303, "/charter?lang=en&period=2026-Q3")
    for cookie in back.headers.get_list("set-cookie"):
        assert cookie.startswith("__Host-footprint")
        assert all(word in cookie.lower().split("; ") for word in ("httponly", "samesite=lax", "secure", "path=/"))
        assert "domain" not in cookie.lower()
    assert seen(browser) == 200
    assert "Officer" in page(browser, "/help")
    (session_id,) = browser.cookies.values()
    asked = office.provider.asked[0]
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert asked["state"] != asked["nonce"]
    browser.get("/api/v1/footprint?group=use_case")
    everything = caplog.text + Path(sqlite.url.removeprefix("sqlite:///")).read_bytes().decode("latin-1")
    assert not [word for word in (NAME, SUBJECT, "ada@example.org", SECRET, session_id) if word in everything]
    out = browser.post("/auth/logout")
    assert out.status_code == 303
    assert out.headers["location"].startswith(f"{ISSUER}/end?client_id={CLIENT}&post_logout_redirect_uri=")
    assert seen(browser) == 404


def wrong_audience(provider: Provider) -> None:
    provider.claims = {"aud": "another"}


def wrong_nonce(provider: Provider) -> None:
    provider.claims = {"nonce": "guessed"}


def no_nonce(provider: Provider) -> None:
    provider.claims = {"nonce": None}


def wrong_issuer(provider: Provider) -> None:
    provider.claims = {"iss": "https://evil.example.org"}


def expired(provider: Provider) -> None:
    provider.claims = {"exp": int(time.time()) - 60, "iat": int(time.time()) - 400}


def another_key(provider: Provider) -> None:
    provider.forge_tokens()


def secret_as_key(provider: Provider) -> None:
    provider.algorithm, provider.signs_with = "HS256", OctKey.import_key(SECRET * 2)  # type: ignore[assignment]


@pytest.mark.parametrize("wrong", [wrong_audience, wrong_nonce, no_nonce, wrong_issuer, expired, another_key, secret_as_key])
def test_a_token_that_is_not_ours_lets_nobody_in(wrong: Callable[[Provider], None], office: Office) -> None:
    wrong(office.provider)
    browser = office.browser()
    answer = office.sign_in(browser)
    assert answer.status_code == 400
    assert "Sign-in failed" in answer.text
    assert answer.text.index("Connexion refusée") < answer.text.index("Sign-in failed")  # French, where nothing else is preferred
    assert seen(browser) == 404


def test_an_answer_to_another_browsers_question_is_refused(office: Office) -> None:
    first, second = office.browser(), office.browser()
    answer = office.at_provider(first.get("/auth/login").headers["location"])
    assert second.get(answer).status_code == 400  # its state is not of this session: a forged sign-in
    assert first.get(answer.replace("state=", "state=x")).status_code == 400
    assert first.get("/auth/callback?error=access_denied").status_code == 400
    assert first.get("/auth/callback").status_code == 400
    assert (seen(first), seen(second)) == (404, 404)


def test_a_code_is_worth_one_sign_in(office: Office) -> None:
    browser = office.browser()
    answer = office.at_provider(browser.get("/auth/login").headers["location"])
    assert browser.get(answer).status_code == 303
    assert browser.get(answer).status_code == 400


@pytest.mark.parametrize(("groups", "status"), [(["unheard-of"], 404), ([], 404), ("sustainability", 200), (["platform"], 200)])
def test_groups_give_roles_and_unknown_ones_the_default(groups: Any, status: int, office: Office) -> None:
    office.provider.groups = groups
    browser = office.browser()
    assert office.sign_in(browser).status_code == 303
    assert seen(browser) == status


def test_a_session_ends_and_cannot_be_written_by_hand(office: Office) -> None:
    browser = office.browser()
    office.sign_in(browser)
    own = browser.cookies[SESSION]
    for forged in ("administrator", own[:-1], own + "A", own.lower(), "x" * 5000, hashlib.sha256(own.encode()).hexdigest(), "é"):
        assert seen_with_cookie(office, forged) == 404
    assert seen_with_cookie(office, own) == 200
    office.now_us += 2 * 3600 * 1_000_000
    assert seen(browser) == 404


def seen_with_cookie(office: Office, value: str) -> int:
    sent = {"Cookie": f"{SESSION}={value}".encode()}
    return office.browser().get("/api/v1/footprint", headers=sent).status_code  # type: ignore[arg-type]


def test_signing_out_ends_the_session_at_every_server_and_after_a_restart(office: Office, sqlite: Store) -> None:
    browser = office.browser()
    office.sign_in(browser)
    stolen = browser.cookies[SESSION]
    restarted = pages_over(sqlite, office.config, lambda: office.now_us)
    other = TestClient(restarted, base_url=ADDRESS, headers={"Cookie": f"{SESSION}={stolen}"})
    assert other.get("/api/v1/footprint").status_code == 200
    assert browser.post("/auth/logout", headers={"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"}).status_code == 303
    assert SESSION not in browser.cookies
    assert seen_with_cookie(office, stolen) == 404
    assert other.get("/api/v1/footprint").status_code == 404


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"Origin": "https://footprint.example.org.evil.org"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.example.org"},
    ],
)
def test_another_site_signs_nobody_out(foreign: dict[str, str], office: Office) -> None:
    browser = office.browser()
    office.sign_in(browser)
    assert browser.post("/auth/logout", headers=foreign).status_code == 403
    assert browser.get("/auth/logout").status_code == 405
    assert seen(browser) == 200


NO_GROUPS: list[Any] = [5, True, None, {"sustainability": 1}, [5], [None], [["sustainability"]], [{"name": "sustainability"}]]


@pytest.mark.parametrize("claim", NO_GROUPS)
def test_a_claim_that_is_no_list_of_groups_gives_the_default_role(claim: Any, office: Office) -> None:
    office.provider.groups = claim
    browser = office.browser()
    assert office.sign_in(browser).status_code == 303
    assert seen(browser) == 404


def test_sessions_are_bounded_and_expired_ones_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    ids = [sessions.start_session(store, Role.OFFICER, at_us, at_us + 100) for at_us in range(5)]
    assert [sessions.role_of_session(store, session_id, 50) for session_id in ids] == [Role.PUBLIC] * 2 + [Role.OFFICER] * 3
    sessions.start_session(store, Role.OFFICER, 500, 600)
    assert sessions.end_all_sessions(store) == 1


def test_the_state_of_a_sign_in_is_bounded(office: Office) -> None:
    browser = office.browser()
    for _ in range(5):
        browser.get("/auth/login", params={"next": "/" + "x" * 60_000})
    assert sum(len(value) for value in browser.cookies.values()) < 4096


@pytest.mark.parametrize(
    "address",
    ["https://evil.example.org/", "//evil.example.org", "/\\evil.example.org", "\\/evil", "/\t/evil", "evil", "", "/auth/logout"],
)
def test_nobody_is_sent_to_another_site(address: str, office: Office) -> None:
    assert local_path(address) == "/"
    assert office.sign_in(office.browser(), address).headers["location"] == "/"


def test_a_provider_that_is_away_is_said_and_the_public_part_stays(sqlite: Store, tmp_path: Path) -> None:
    office = Office(sqlite, tmp_path)

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    api = api_over(sqlite, office.config, lambda: 0, oidc_transport=httpx.MockTransport(away))
    browser = TestClient(api, base_url=ADDRESS)
    away = browser.get("/auth/login", headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert (away.status_code, away.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert '<html lang="en">' in away.text
    assert away.text.index("Sign-in is not possible now") < away.text.index("Connexion impossible")
    assert browser.get("/api/v1/reports").status_code == 200


def test_keys_are_their_owners_alone(office: Office, sqlite: Store) -> None:
    assert office.key_file.stat().st_mode & 0o777 == 0o600
    key = office.key_file.read_text()
    office.key_file.chmod(0o644)
    for file, said in ((office.key_file, "chmod 600"), (Path(office.config.access.client_secret_file), "client's secret")):
        os.chmod(file, 0o640)
        with pytest.raises(SecretFileError, match=said):
            api_over(sqlite, office.config, lambda: 0)
        os.chmod(file, 0o600)
    assert office.key_file.read_text() == key
    lost = replace(office.config, access=replace(office.config.access, client_secret_file="/nowhere/oidc.secret"))
    with pytest.raises(SecretFileError, match="cannot be read"):
        api_over(sqlite, lost, lambda: 0)


GOOD = 'mode = "oidc"\naddress = "https://a.org"\nissuer = "https://b.org"\nclient_id = "c"\nclient_secret_file = "s"\ndefault_role = "officer"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mode = "ldap"', ":2: mode is 'ldap'; it must be one of open, public, header, oidc"),
        ('default_role = "officer"', "access needs its mode"),
        ('mode = "header"\nroles = { officer = ["x"] }', "needs trusted"),
        ('mode = "header"\ntrusted = ["300.1.1.1"]', ":3: trusted must be a list of addresses"),
        ('mode = "header"\ntrusted = ["::1"]', "nobody would be more than public"),
        ('mode = "public"\nsign_in = "/oauth2/sign_in"', "sign_in is for mode"),
        *(
            (f'mode = "header"\ntrusted = ["::1"]\ndefault_role = "committee"\nsign_in = "{bad}"', "sign_in is for mode")
            for bad in ("//elsewhere.example", "javascript:alert(1)", "http://elsewhere.example", "oauth2")
        ),
        ('mode = "header"\ntrusted = ["::1"]\nroles = { boss = ["x"] }', ":4: no role 'boss'"),
        ('mode = "header"\ntrusted = ["::1"]\nroles = { officer = "x" }', "roles must be written"),
        ('mode = "oidc"\nissuer = "https://b.org"', 'mode "oidc" needs client_id'),
        (GOOD.replace("https://b.org", "http://b.org"), ":4: issuer must begin with https://"),
        (GOOD.replace("https://a.org", "https://a.org/sub"), ":3: address must be that of the root"),
        (GOOD + 'scope = "groups"', "scope must contain"),
        (GOOD + "session_hours = 100", "session_hours must be a whole number from 1 to 24"),
        (GOOD + "user = 1", "unknown key 'user' in access"),
    ],
)
def test_a_wrong_section_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(f"[access]\n{text}\n")
    assert said in str(refused.value)
    assert parse_config(f"[access]\n{GOOD}").access.secure
