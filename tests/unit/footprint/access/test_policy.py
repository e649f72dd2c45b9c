"""Every role at every route: what may not be seen answers as what does not exist."""

from __future__ import annotations

import itertools
import re

import pytest
from fastapi.testclient import TestClient

from dashboards.page_shell import PAGES
from dashboards.url_state import PageContext, UrlState
from footprint.access import AccessRefused
from footprint.access.authorized_queries import AuthorizedQueries
from footprint.access.policy import PERMISSIONS, Decision, Role, allows, decide
from footprint.access.request_context import current_role
from footprint.api import create_api
from footprint.config.access import ROLES
from footprint.figures import Query, QueryResult, run_query
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store
from tests.support.contract_files import config
from tests.support.protected_quarter import HOST, NOW_US, Reader, by_header, page
from tests.support.services import api_over

READERS = tuple(role for role in Role if role is not Role.NOBODY)
P, C, O, E, A = READERS  # noqa: E741
EVERY, SIGNED, UNPROTECTED = {P, C, O, E, A}, {C, O, E, A}, {O, E, A}
# Written down a second time, address by address, so that a slip in a pattern is seen.
TABLE = {
    "/healthz": EVERY,
    "/readyz": EVERY,
    "/metrics": EVERY,
    "/": EVERY,
    "/methods": EVERY,
    "/help": EVERY,
    "/editions": EVERY,
    "/api/v1/openapi.json": EVERY,
    "/api/v1/reports": EVERY,
    "/api/v1/reports/calendar": EVERY,
    "/api/v1/tables/methods": EVERY,
    "/api/v1/tables/factors": EVERY,
    "/api/v1/benchmarks/references": EVERY,
    "/api/v1/footprint": SIGNED,
    "/api/v1/tables/facts": SIGNED,
    "/use-cases": SIGNED,
    "/services": SIGNED,
    "/models": SIGNED,
    "/charter": SIGNED,
    "/compare": SIGNED,
    "/explain": SIGNED,
    "/quality": SIGNED,
    "/hosts": UNPROTECTED,
    "/sites": UNPROTECTED,
    "/sensors": UNPROTECTED,
    "/api/v1/sensors": UNPROTECTED,
    "/api/v1/tables/calibrations": UNPROTECTED,
    "/readings": UNPROTECTED,
    "/api/v1/benchmarks": UNPROTECTED,
    f"/api/v1/readings?host={HOST}&device=gpu:0&from=2026-07-01&to=2026-07-02": UNPROTECTED,
    "/api/v1/tables/balance": UNPROTECTED,
    "/api/v1/tables/splits": UNPROTECTED,
    "/api/v1/tables/uncertainty": UNPROTECTED,
    "/api/v1/tables/jobs": UNPROTECTED,
    "/api/v1/tables/steps": UNPROTECTED,
    "/api/v1/tables/phases": UNPROTECTED,
    "/api/v1/tables/silent": UNPROTECTED,
    "/api/v1/tables/refused": UNPROTECTED,
    "/api/v1/tables/log-quality": UNPROTECTED,
    "/api/v1/tables/sensors": UNPROTECTED,
    "/api/v1/tables/units": UNPROTECTED,
    "/api/v1/tables/objectives": {O, A},
    "/api/v1/tables/avoidable": {O, A},
    "/api/v1/tables/models?from=2026-07-01&to=2026-10-01": UNPROTECTED,
    "/api/v1/tables/alternatives?from=2026-07-01&to=2026-10-01": UNPROTECTED,
    "/efficiency": UNPROTECTED,
    "/access": {A},
    "/api/v1/access": {A},
    "/api/v1/nothing": set(),
    "/nothing": set(),
    "/api/v1/tables/nothing": set(),
}


@pytest.mark.parametrize(("address", "role"), list(itertools.product(TABLE, READERS)))
def test_each_role_at_each_route(address: str, role: Role, reader: Reader) -> None:
    answer = reader(role).get(address)
    path = address.partition("?")[0]
    assert allows(role, path) == (role in TABLE[address])
    assert answer.status_code == (200 if role in TABLE[address] else 404)
    if answer.status_code == 404 and path.startswith("/api"):
        assert answer.json() == {"error": f"no such address: {path}"}


def test_a_hidden_page_reads_as_a_missing_one(reader: Reader) -> None:
    hidden, missing = page(reader("committee"), "/access"), page(reader("committee"), "/nothing")
    assert hidden.replace("\\u002faccess", "") == missing.replace("\\u002fnothing", "")
    shown = {
        role: set(re.findall(r'"href": ?"(/[a-z-]*)\?', page(reader(role), "/help").replace("\\u002f", "/"))) for role in READERS
    }
    for role, links in shown.items():
        assert all(allows(role, link) for link in links), (role, links)
        assert ("/access" in links) is (role is Role.ADMINISTRATOR)


def test_every_route_that_exists_has_its_rule(sqlite: Store) -> None:
    facts = config()
    api = api_over(sqlite, facts, lambda: NOW_US)
    documented = set(api.openapi()["paths"])
    for path in {*documented, *PAGES, "/healthz", "/readyz", "/metrics"}:
        plain = re.sub(r"/api/v1/tables/\{name\}", "/api/v1/tables/balance", path).replace("{", "").replace("}", "")
        assert any(re.fullmatch(rule.resources, plain) for rule in PERMISSIONS), f"{path} has no line in footprint.access.policy"
    assert READERS == ROLES


def test_without_configuration_other_addresses_than_the_loopback_are_public(sqlite: Store) -> None:
    facts = config('[server]\nbind = "0.0.0.0"')
    api = create_api(facts, sqlite, IngestService(sqlite, facts.services_of_model), lambda: NOW_US)
    for host in ("127.0.0.1", "footprint.example.org"):
        client = TestClient(api, base_url=f"http://{host}")
        assert client.get("/api/v1/footprint").status_code == 404
        assert client.get("/api/v1/reports").status_code == 200


def test_nobody_sees_anything_and_there_is_nobody_outside_of_a_request(quarter: Store) -> None:
    assert current_role() is Role.NOBODY
    assert not any(allows(Role.NOBODY, address.partition("?")[0]) for address in TABLE)
    assert not Role.NOBODY.sees_services
    assert not Role.NOBODY.sees_uses
    facts = by_header()
    queries = AuthorizedQueries(quarter, facts, lambda: NOW_US)
    for query in (Query(), Query(("service",)), Query(("use_case",), "quarter"), Query((), "month")):
        with pytest.raises(AccessRefused):
            queries.run(query, lambda query: run_query(quarter, facts, query, NOW_US))
    view = UrlState.parse("/use-cases", "?lang=en", "en")
    assert PageContext(facts, None, lambda query: QueryResult([], []), NOW_US, view).role is Role.NOBODY


def test_a_decision_says_why() -> None:
    assert decide(Role.OFFICER, "/charter") == Decision(True, "/charter is for the role officer")
    assert decide(Role.PUBLIC, "/hosts") == Decision(False, "/hosts is not for the role public")
    assert not decide(Role.ADMINISTRATOR, "/new-route")
    assert "no line" in decide(Role.ADMINISTRATOR, "callback:new").reason


@pytest.mark.parametrize("groups", ["", "nobody", "Officer", "officers"])
def test_unknown_groups_have_the_default_role(groups: str, reader: Reader) -> None:
    assert reader(groups).get("/api/v1/footprint").status_code == 404


def test_the_highest_of_several_groups_counts_and_two_headers_do_not(reader: Reader) -> None:
    assert reader("nobody, committee; administrator").get("/access").status_code == 200
    twice = [("X-Forwarded-Groups", "officer"), ("x-forwarded-groups", "administrator")]
    browser = reader("public")
    del browser.headers["X-Forwarded-Groups"]
    assert browser.get("/api/v1/footprint", headers=twice).status_code == 404  # type: ignore[arg-type]


def test_a_header_from_elsewhere_is_not_believed(quarter: Store) -> None:
    facts = by_header()
    api = api_over(quarter, facts, lambda: NOW_US)
    for peer in ("127.0.0.2", "10.1.2.3", "::1", "testclient"):
        client = TestClient(
            api, client=(peer, 1), headers={"X-Forwarded-Groups": "administrator", "X-Forwarded-For": "127.0.0.1"}
        )
        assert client.get("/api/v1/footprint").status_code == 404
    mapped = TestClient(api, client=("::ffff:127.0.0.1", 1), headers={"X-Forwarded-Groups": "officer"})
    assert mapped.get("/api/v1/footprint").status_code == 200
