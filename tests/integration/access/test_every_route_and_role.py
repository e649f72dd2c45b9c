"""Access control of every route and callback for every role: no response contains a hidden figure or the name of a host.

The tests fail for a route or callback that is not listed here, so that each new one gets an access decision.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dashboards.callback_requests import callback_name
from dashboards.page_shell import PAGES
from footprint.access.audit_log import read_accesses
from footprint.access.policy import Role, decide
from footprint.editions.protected_cells import ProtectedCells, protect_period
from footprint.figures import Query, run_query
from footprint.i18n.formatting import format_estimate
from footprint.storage.database import Store
from tests.support.contract_files import config
from tests.support.page_requests import card_request, frame_names, json_list, poster, shell_request
from tests.support.protected_quarter import FACTS, HOST, NOW_US, Reader, page
from tests.support.services import api_over

PROTECTED = (Role.PUBLIC, Role.COMMITTEE, Role.ENGINEER)
Q3 = "from=2026-07-01&to=2026-10-01"
# Content of each callback, by its output.
CALLBACKS = {
    (
        "..header.children...filters.children...printed.children...body.children...footer.children...structure.data...url.data.."
    ): "a page without figures: texts, links and the names of its frames",
    (
        '..{"name":["MATCH"],"type":"card"}.children...{"name":["MATCH"],"type":"card"}.data-url..'
    ): "a card with the data that the role may query",
    "..tick.disabled...turn.data..": "whether there is any figure",
    "power.figure": "power of a host: to roles that see services",
    "..live.disabled...pause.children..": "label of a button",
}
# Inputs that a browser sends; a client can choose the address freely.
STATES: dict[str, tuple[Any, ...]] = {
    "address.pathname": (*PAGES, "/nothing"),
    "address.search": (
        "?lang=en&period=2026-Q3",
        f"?lang=en&period=2026-Q3&name={HOST}&figure=energy_kwh&task=secrets&of={HOST}&device=gpu:0&day=20635",
        "?lang=en&period=2026-08&vs=2026-07&use_case=secrets&name=chat&kind=use_case&a=secrets&b=search",
        "?lang=en&period=all&service=chat",
    ),
    "tick.n_intervals": (0,),
    "live.n_intervals": (3,),
    "pause.n_clicks": (1,),
    "live.disabled": (False,),
    "language.data": ("en",),
    "tick.disabled": (True,),
    "structure.data": ("",),
    "turn.data": (0,),
}
# Frames that any page has, and one that none has; a client can choose the name freely, whatever the address.
FRAMES = [
    "agents",
    "alternatives",
    "avoidable",
    "balance",
    "bars",
    "breakdown",
    "by-device",
    "by-host",
    "by-model",
    "by-service",
    "by-use_case",
    "calendar",
    "calibration",
    "calibrations",
    "change",
    "check",
    "choices",
    "conditions",
    "coverage",
    "decisions",
    "definition",
    "edition",
    "facts",
    "figures",
    "flows",
    "formula",
    "frontier",
    "head",
    "jobs",
    "logs",
    "months",
    "nothing",
    "notices",
    "objectives",
    "phases",
    "power",
    "protected",
    "refused",
    "requests",
    "rows",
    "selection",
    "residuals",
    "selftest",
    "sensors",
    "services",
    "splits",
    "steps",
    "strip",
    "table",
    "trend",
    "uncertainty",
    "units",
    "unread",
    "use-cases",
    "uses",
    "verdicts",
    "wall",
]
# Parameters to request of every route; the routes of Dash return figures only through callbacks.
ROUTES: dict[str, tuple[str, ...]] = {
    "/healthz": ("",),
    "/readyz": ("",),
    "/metrics": ("",),
    "/api/v1/openapi.json": ("",),
    "/api/v1/footprint": tuple(
        f"{Q3}&group={group}&every={every}{more}"
        for group in ("", "service", "use_case", "service,use_case", "charter", "model", "host", "device,use_case")
        for every, more in (("all", ""), ("month", "&where=use_case=secrets"), ("month", "&view=full"), ("day", ""))
    ),
    "/api/v1/sensors": ("", f"host={HOST}"),
    "/api/v1/tables/models": (Q3, f"{Q3}&use_case=secrets", f"{Q3}&where=service=chat"),
    "/api/v1/tables/alternatives": (Q3,),
    "/api/v1/tables/steps": (Q3,),
    "/api/v1/tables/avoidable": (Q3,),
    "/api/v1/tables/phases": (Q3, f"{Q3}&where=use_case=secrets", f"{Q3}&where=charter=proscribed"),
    "/api/v1/tables/bundles": ("",),
    "/api/v1/tables/objectives": ("",),
    "/api/v1/tables/{name}": (
        "name=methods",
        "name=facts",
        "name=factors",
        f"name=balance&{Q3}",
        f"name=splits&{Q3}",
        f"name=uncertainty&{Q3}",
        "name=jobs",
        "name=silent",
    ),
    "/api/v1/readings": (f"host={HOST}&device=gpu:0&from=2026-07-01&to=2026-07-03",),
    "/api/v1/benchmarks": ("",),
    "/api/v1/benchmarks/references": ("",),
    "/api/v1/reports": ("",),
    "/api/v1/reports/calendar": ("",),
    "/api/v1/reports/{period}": ("period=2026-Q3",),
    "/api/v1/reports/{period}/{version}": ("period=2026-Q3&version=v1",),
    "/api/v1/reports/{period}/{version}/{name:path}": ("period=drafts&version=2026-Q3&name=report.json",),
    "/publications": ("",),
    "/editions/index.{language}.html": ("language=en", "language=fr"),
    "/editions/{period}/{version}": ("period=drafts&version=2026-Q3",),
    "/editions/{period}/{version}/{name:path}": ("period=drafts&version=2026-Q3&name=report.json",),
    "/api/v1/trace/{figure}": ("figure=F-2026Q3-01",),
    "/api/v1/access": ("",),
    "/api/v1/ingest": ("",),
    "/api/{path:path}": ("path=v2/footprint", "path=v1/tables/../footprint"),
}
OF_DASH = re.compile(r"/(_dash|_reload|_favicon|assets)[^?]*|/\{path:path\}|/")
NUMBERS = ("energy_kwh", "co2e_location_g")


class Secrets:
    """Figures of cells, as numbers and in the notation of pages, with intervals."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.numbers: list[float] = []
        self.written: set[str] = set()
        for row in rows:
            for name in NUMBERS:
                ends = [
                    row[name.replace(tail, f"_{end}{tail}")]
                    for tail in ("_kwh", "_g")
                    if name.endswith(tail)
                    for end in ("low", "high")
                ]
                if not row[name]:
                    continue
                self.numbers.append(row[name])
                for size in (1e-3, 1.0, 1e3, 1e6):
                    shown = format_estimate(row[name] / size, ends[0] / size, ends[1] / size, "en")
                    if shown.interval:
                        self.written.add(re.sub(r"\s+", " ", f"{shown.value} {shown.interval}"))

    def within(self, text: str) -> list[str]:
        """Figures that a response contains."""
        try:
            plain = re.sub(r"\s+", " ", " ".join(_words(json.loads(text))))
        except ValueError:
            plain = ""  # not JSON: CSV, or text
        intervals = [mark for mark in self.written if mark in plain]
        numbers = [float(number) for number in re.findall(r"(?<![\d.])\d+\.\d{4,}(?:[eE][+-]?\d+)?", text)]
        return intervals + [str(n) for n in numbers if any(math.isclose(n, secret, rel_tol=1e-9) for secret in self.numbers)]


def _words(component: Any) -> Iterable[str]:
    """Texts of a page in order, without names and properties of components."""
    if isinstance(component, dict):
        for child in [component["props"].get("children")] if "props" in component else component.values():
            yield from _words(child)
    elif isinstance(component, list):
        for child in component:
            yield from _words(child)
    elif component is not None:
        yield str(component)


@pytest.fixture(scope="module")
def secrets(quarter: Store) -> dict[Role, Secrets]:
    """Figures that each role must not see."""
    facts, table = config(FACTS), protect_period(quarter, config(FACTS), "2026-Q3", NOW_US)
    cells_by_visibility: dict[bool, list[tuple[tuple[str, str], dict[str, Any]]]] = {True: [], False: []}
    groups: tuple[tuple[str, ...], ...] = ((), ("service",), ("use_case",), ("service", "use_case"))
    for group, every, view in itertools.product(groups, ("month", "quarter"), ("active", "full")):
        start, end = (int(at) for at in (1_782_864_000e6, 1_790_812_800e6))
        for row in run_query(quarter, facts, Query(group, every, start, end, view=view), NOW_US).rows:
            cell = row.get("service", ""), row.get("use_case", "")
            cells_by_visibility[_shows(table, row, every, cell)].append((cell, row))
    hidden, shown = cells_by_visibility[False], [row for _, row in cells_by_visibility[True]]
    secrets = {
        Role.PUBLIC: Secrets([row for _, row in hidden] + shown),
        Role.COMMITTEE: Secrets(row for _, row in hidden),
        Role.ENGINEER: Secrets(row for cell, row in hidden if cell[1] and cell[1][0] != "("),
    }
    same = Secrets(shown).written
    for role in (Role.COMMITTEE, Role.ENGINEER):
        secrets[role].written -= same
        assert len(secrets[role].written) > 20
    return secrets


def _shows(table: ProtectedCells, row: dict[str, Any], every: str, cell: tuple[str, str]) -> bool:
    return cell == ("", "") or table.is_public("2026-Q3" if every == "quarter" else row["period_start"][:7], *cell)


def callbacks(reader: Reader) -> list[dict[str, Any]]:
    dependencies: list[dict[str, Any]] = reader("administrator").get("/_dash-dependencies").json()
    return dependencies


def callback_answers(browser: TestClient, callback: dict[str, Any], path: str, search: str) -> str:
    """Responses of a callback to a browser at an address: one, or one a frame of any page."""
    post = poster(browser)
    if "MATCH" in callback["output"]:
        return json_list(post(card_request(name, path + search)) for name in FRAMES)
    here = {name: values[0] for name, values in STATES.items()}
    here |= {"address.pathname": path, "address.search": search, "url.data": path + search}
    arguments = {
        kind: [{**part, "value": here[f"{part['id']}.{part['property']}"]} for part in callback[kind]]
        for kind in ("inputs", "state")
    }
    outputs = [
        dict(zip(("id", "property"), output.split("."), strict=True)) for output in callback["output"].strip(".").split("...")
    ]
    return post(
        {
            "output": callback["output"],
            "outputs": outputs if callback["output"].startswith("..") else outputs[0],
            "changedPropIds": [f"{callback['inputs'][0]['id']}.{callback['inputs'][0]['property']}"],
            **arguments,
        }
    )


def test_every_callback_has_an_access_decision(reader: Reader) -> None:
    assert {callback["output"] for callback in callbacks(reader)} == set(CALLBACKS)
    sent = {
        f"{argument['id']}.{argument['property']}"
        for callback in callbacks(reader)
        for argument in (*callback["inputs"], *callback["state"])
    }
    assert sent == {*STATES, "url.data", '{"name":["MATCH"],"type":"card"}.id'}


def test_every_frame_is_asked_for(reader: Reader) -> None:
    names = {
        name
        for role, path, search in itertools.product(Role, PAGES, STATES["address.search"])
        for name in frame_names(poster(reader(role))(shell_request(path, search)))
    }
    assert names - set(FRAMES) == set()


@pytest.mark.parametrize("path", STATES["address.pathname"])
def test_no_callback_reveals_hidden_figures_to_a_role(path: str, reader: Reader, secrets: dict[Role, Secrets]) -> None:
    for role, search, callback in itertools.product(PROTECTED, STATES["address.search"], callbacks(reader)):
        if not decide(role, f"callback:{callback_name(callback['output'])}"):
            with pytest.raises(AssertionError, match="no such callback"):
                callback_answers(reader(role), callback, path, search)
            continue
        answer = callback_answers(reader(role), callback, path, search)
        assert secrets[role].within(answer) == [], (role, callback["output"], search)
        if role is Role.ENGINEER:
            continue
        assert HOST not in answer or HOST in search, (
            role,
            callback["output"],
            search,
        )  # links repeat the parameters of the request
        assert callback["output"] != "power.figure"


def test_an_officer_sees_the_hidden_figures(reader: Reader, secrets: dict[Role, Secrets]) -> None:
    answer = page(reader("officer"), "/use-cases", "?lang=en&period=2026-Q3")
    assert all(secrets[role].within(answer) for role in PROTECTED)
    assert HOST in page(reader("engineer"), "/", "?lang=en&period=2026-Q3")
    assert secrets[Role.ENGINEER].within(reader("officer").get(f"/api/v1/footprint?{Q3}&group=use_case").text)


def test_cached_cards_are_not_shared_between_roles(reader: Reader, secrets: dict[Role, Secrets]) -> None:
    for path in ("/use-cases", "/charter", "/"):
        for role in (Role.OFFICER, Role.ENGINEER, Role.COMMITTEE, Role.PUBLIC) * 2:
            answer = page(reader(role), path, "?lang=en&period=2026-Q3")
            assert role is Role.OFFICER or secrets[role].within(answer) == []
            assert (HOST in answer) == role.sees_services or path != "/"


def test_phases_of_a_use_case_are_refused_to_engineers_and_logged_for_officers(reader: Reader, quarter: Store) -> None:
    address = f"/api/v1/tables/phases?{Q3}&where=use_case=secrets"
    refused = reader("engineer").get(address)
    assert (refused.status_code, "/api/v1/footprint" in refused.json()["error"]) == (400, True)
    before = len(read_accesses(quarter, None, None))
    assert reader("officer").get(address).status_code == 200
    assert "use_case=secrets" in read_accesses(quarter, None, None)[before]["cells"]


def test_every_route_is_listed(sqlite: Store, reader: Reader) -> None:
    facts = config(FACTS)
    api = api_over(sqlite, facts, lambda: NOW_US)
    assert set(_paths(api)) == set(ROUTES)
    assert {path for path in _paths(reader("public").app._app) if not OF_DASH.fullmatch(path)} == set(ROUTES)  # type: ignore[attr-defined]


def _paths(router: Any) -> Iterable[str]:
    for route in router.routes:
        within = getattr(route, "original_router", None)
        if within is not None:
            yield from _paths(within)
        else:
            yield route.path


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("form", ["json", "csv"])
def test_no_route_reveals_hidden_figures_to_a_role(route: str, form: str, reader: Reader, secrets: dict[Role, Secrets]) -> None:
    for role, parameters in itertools.product(PROTECTED, ROUTES[route]):
        values = dict(re.findall(r"(?:^|&)(\w+)=([^&]*)", parameters))
        path = re.sub(r"\{(\w+)(?::path)?\}", r"{\1}", route).format_map(values)
        answer = reader(role).get(f"{path}?{parameters}&format={form}").text
        assert secrets[role].within(answer) == [], (role, parameters)
        if role is not Role.ENGINEER:
            assert HOST not in answer, (role, parameters)


@pytest.mark.parametrize(
    "path", ["/docs", "/authority", "/metrics/", "/hosts/", "/api/v1/footprint/", "//hosts", "/editions/../metrics", "/_dashx"]
)
def test_paths_without_a_rule_are_not_found(path: str, reader: Reader) -> None:
    assert reader("public").get(path).status_code in (200, 404)
    assert HOST not in reader("public").get(path).text
    assert reader("public").post(path).status_code in (404, 405)
