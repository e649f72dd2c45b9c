"""Every route, page and callback with every role answers as one table says; what is not in the table is for nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from dashboards.callback_requests import callback_name
from dashboards.page_shell import PAGES
from footprint.access.policy import Role, decide
from footprint.storage.database import Store
from tests.support.contract_files import config
from tests.support.page_requests import card_request, poll_request, shell_request
from tests.support.protected_quarter import FACTS, HOST, NOW_US, Reader
from tests.support.services import pages_over

READERS = tuple(role for role in Role if role is not Role.NOBODY)
P, C, O, E, A = READERS  # noqa: E741
EVERY, SIGNED, SERVICES, USES = {P, C, O, E, A}, {C, O, E, A}, {O, E, A}, {O, A}
Q3 = "from=2026-07-01&to=2026-10-01"
# Route as it is registered: an address of it that answers, its roles, and the status of the answer.
ROUTES: dict[str, tuple[str, set[Role], int]] = {
    "/healthz": ("/healthz", EVERY, 200),
    "/readyz": ("/readyz", EVERY, 200),
    "/metrics": ("/metrics", EVERY, 200),
    "/api/v1/openapi.json": ("/api/v1/openapi.json", EVERY, 200),
    "/api/v1/ingest": ("/api/v1/ingest", EVERY, 404),  # only POST, by tokens of its own
    "/api/v1/footprint": (f"/api/v1/footprint?{Q3}", SIGNED, 200),
    "/api/v1/tables/models": (f"/api/v1/tables/models?{Q3}", SERVICES, 200),
    "/api/v1/tables/alternatives": (f"/api/v1/tables/alternatives?{Q3}", SERVICES, 200),
    "/api/v1/tables/steps": (f"/api/v1/tables/steps?{Q3}", SERVICES, 200),
    "/api/v1/tables/phases": (f"/api/v1/tables/phases?{Q3}", SERVICES, 200),
    "/api/v1/tables/avoidable": (f"/api/v1/tables/avoidable?{Q3}", USES, 200),
    "/api/v1/tables/bundles": ("/api/v1/tables/bundles", EVERY, 200),
    "/api/v1/tables/objectives": ("/api/v1/tables/objectives", USES, 200),
    "/api/v1/tables/{name}": (f"/api/v1/tables/balance?{Q3}", SERVICES, 200),
    "/api/v1/readings": (f"/api/v1/readings?host={HOST}&device=gpu:0&from=2026-07-01&to=2026-07-02", SERVICES, 200),
    "/api/v1/sensors": (f"/api/v1/sensors?host={HOST}", SERVICES, 200),
    "/api/v1/benchmarks": ("/api/v1/benchmarks", SERVICES, 200),
    "/api/v1/benchmarks/references": ("/api/v1/benchmarks/references", EVERY, 200),
    "/api/v1/reports": ("/api/v1/reports", EVERY, 200),
    "/api/v1/reports/calendar": ("/api/v1/reports/calendar", EVERY, 200),
    "/api/v1/reports/{period}": ("/api/v1/reports/2026-Q3", EVERY, 404),  # nothing is published
    "/api/v1/reports/{period}/{version}": ("/api/v1/reports/2026-Q3/v1", EVERY, 404),
    "/api/v1/reports/{period}/{version}/{name:path}": ("/api/v1/reports/2026-Q3/v1/report.json", EVERY, 404),
    "/publications": ("/publications", EVERY, 307),
    "/editions/index.{language}.html": ("/editions/index.fr.html", EVERY, 200),
    "/editions/{period}/{version}": ("/editions/2026-Q3/v1", EVERY, 307),
    "/editions/{period}/{version}/{name:path}": ("/editions/2026-Q3/v1/fr/report.html", EVERY, 404),
    "/api/v1/trace/{figure}": ("/api/v1/trace/F-2026Q3-01", USES, 404),
    "/api/v1/access": ("/api/v1/access", {A}, 200),
    "/api/{path:path}": ("/api/v1/nothing", set(), 404),
    # Of Dash; pages hold figures only through callbacks.
    "/": ("/", EVERY, 200),
    "/_dash-layout": ("/_dash-layout", EVERY, 200),
    "/_dash-dependencies": ("/_dash-dependencies", EVERY, 200),
    "/_dash-update-component": ("/_dash-update-component", EVERY, 405),
    "/_reload-hash": ("/_reload-hash", EVERY, 200),
    "/_favicon.ico": ("/_favicon.ico", EVERY, 200),
    "/_dash-component-suites/{package_name}/{fingerprinted_path:path}": ("/_dash-component-suites/dash/x.js", EVERY, 404),
    "/assets": ("/assets/cards.js", EVERY, 200),
    "/{path:path}": ("/nothing", set(), 404),
    "/_dash-ws-callback": ("/_dash-ws-callback", set(), 404),  # websockets are closed for everybody
}
PAGE_ROLES: dict[str, set[Role]] = {
    "/": EVERY,
    "/methods": EVERY,
    "/help": EVERY,
    "/editions": EVERY,
    "/use-cases": SIGNED,
    "/services": SIGNED,
    "/models": SIGNED,
    "/charter": SIGNED,
    "/compare": SIGNED,
    "/explain": SIGNED,
    "/quality": SIGNED,
    "/hosts": SERVICES,
    "/sites": SERVICES,
    "/sensors": SERVICES,
    "/readings": SERVICES,
    "/efficiency": SERVICES,
    "/access": {A},
}
CALLBACK_ROLES: dict[str, set[Role]] = {"header": EVERY, "card": EVERY, "tick": EVERY, "power": SERVICES, "live": SERVICES}
DATA_OF_NOBODY = ("/api/v1/footprint", "/charter", "/metrics", "callback:card", "figures:use_case", "names:undeclared_use_case")


def routes_of(router: Any) -> Iterable[str]:
    for route in router.routes:
        within = getattr(route, "original_router", None)
        if within is not None:
            yield from routes_of(within)
        else:
            yield route.path


def test_every_route_page_and_callback_is_in_the_table(sqlite: Store, reader: Reader) -> None:
    app = pages_over(sqlite, config(FACTS), lambda: NOW_US)
    assert set(routes_of(app._app)) - set(ROUTES) == set()
    assert set(PAGES) == set(PAGE_ROLES)
    outputs = [callback["output"] for callback in reader("administrator").get("/_dash-dependencies").json()]
    assert {callback_name(output) for output in outputs} == set(CALLBACK_ROLES)
    assert len(outputs) == len(CALLBACK_ROLES)


@pytest.mark.parametrize("route", ROUTES)
def test_each_role_at_each_route(route: str, reader: Reader) -> None:
    address, roles, status = ROUTES[route]
    for role in READERS:
        answer = reader(role).get(address)
        assert decide(role, address.partition("?")[0]).allow == (role in roles)
        assert answer.status_code == (status if role in roles else 404), (role, answer.text[:200])
        if role not in roles and address.startswith("/api"):
            assert answer.json() == {"error": f"no such address: {address.partition('?')[0]}"}


@pytest.mark.parametrize("path", PAGE_ROLES)
def test_each_role_at_each_page(path: str, reader: Reader) -> None:
    for role in READERS:
        assert decide(role, path).allow == (role in PAGE_ROLES[path])
        assert reader(role).get(path).status_code == (200 if role in PAGE_ROLES[path] else 404), role


def callback_bodies(reader: Reader) -> dict[str, dict[str, Any]]:
    """A valid request of each callback."""
    bodies = {
        "header": shell_request("/", "?lang=en"),
        "card": card_request("head", "/?lang=en"),
        "tick": poll_request("/?lang=en"),
    }
    values = {"live.n_intervals": 1, "pause.n_clicks": 1, "live.disabled": False, "address.pathname": "/hosts"}
    values |= {"address.search": f"?lang=en&name={HOST}", "language.data": "en"}
    for callback in reader("administrator").get("/_dash-dependencies").json():
        name = callback_name(callback["output"])
        if name in bodies:
            continue
        outputs = [
            dict(zip(("id", "property"), part.split("."), strict=True)) for part in callback["output"].strip(".").split("...")
        ]
        arguments = {
            kind: [{**part, "value": values[f"{part['id']}.{part['property']}"]} for part in callback[kind]]
            for kind in ("inputs", "state")
        }
        is_multiple = callback["output"].startswith("..")
        changed = [f"{callback['inputs'][0]['id']}.{callback['inputs'][0]['property']}"]
        bodies[name] = {
            "output": callback["output"],
            "outputs": outputs if is_multiple else outputs[0],
            "changedPropIds": changed,
            **arguments,
        }
    return bodies


def test_each_role_at_each_callback(reader: Reader) -> None:
    bodies = callback_bodies(reader)
    assert set(bodies) == set(CALLBACK_ROLES)
    for name, body in bodies.items():
        for role in READERS:
            status = reader(role).post("/_dash-update-component", json=body).status_code
            assert (status in (200, 204)) == (role in CALLBACK_ROLES[name]), (name, role, status)
            assert status in (200, 204, 404)


@pytest.mark.parametrize("resource", [*DATA_OF_NOBODY, "/", "/healthz"])
def test_nobody_may_see_nothing(resource: str) -> None:
    assert not decide(Role.NOBODY, resource)


@pytest.mark.parametrize(
    "path", ["/_dash-update-component/", "/_dash-new", "/assets", "/_mcp", "/api/v1/new", "/metrics/x", "/.git/config"]
)
def test_what_is_in_no_table_is_for_nobody(path: str, reader: Reader) -> None:
    assert not any(decide(role, path) for role in Role)
    for role in READERS:
        assert reader(role).get(path).status_code == 404
        assert reader(role).post(path, json={}).status_code in (404, 405)


def test_a_route_that_is_added_without_a_line_is_not_served(sqlite: Store) -> None:
    from fastapi.testclient import TestClient

    app = pages_over(sqlite, config(FACTS + '[access]\nmode = "open"\n'), lambda: NOW_US)
    app._app.add_api_route("/api/v1/forgotten", lambda: {"energy_kwh": 1})
    browser = TestClient(app, base_url="http://127.0.0.1")
    assert browser.get("/api/v1/forgotten").status_code == 404
    assert re.search(r"no line", decide(Role.ADMINISTRATOR, "/api/v1/forgotten").reason)
