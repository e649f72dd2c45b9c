"""What each role is given of one quarter: protected figures alike at pages and API, and a log that knows roles only."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from footprint.access.audit_log import delete_expired, read_accesses
from footprint.cli.app import status_of
from footprint.editions.protected_cells import protect_period
from footprint.figures import GROUPS, Query, run_query
from footprint.ledger.retention import processing_register
from footprint.storage.database import Store
from tests.support.contract_files import config
from tests.support.page_requests import poll_request, poster
from tests.support.protected_quarter import FACTS, HEADER, HOST, NOW_US, PROXY, Reader, by_header, page
from tests.support.services import api_over, pages_over

Q3 = "from=2026-07-01&to=2026-10-01"
# Fractions: two counts of requests may be equal by chance (suppression is joint, another test sees that every figure goes).
TELLING = ("energy_kwh", "co2e_location_g", "energy_low_kwh", "energy_high_kwh", "water_l", "accelerator_active_kwh")


def rows_of(reader: Reader, role: str, asked: str) -> list[dict[str, Any]]:
    answer = reader(role).get(f"/api/v1/footprint?{asked}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


def test_a_committee_sees_protected_figures_and_an_officer_all(reader: Reader) -> None:
    asked = f"group=service,use_case&{Q3}"
    full = {(r["service"], r["use_case"]): r for r in rows_of(reader, "officer", asked)}
    seen = {(r["service"], r["use_case"]): r for r in rows_of(reader, "committee", asked)}
    assert seen.keys() == full.keys()
    assert seen["chat", "secrets"]["conf_status"] == "C"
    hidden = [names for names, row in seen.items() if row["conf_status"] == "C"]
    assert 2 <= len(hidden) < len(seen)  # the cell of three users, and what would give it away
    for names, row in seen.items():
        figures = {k: v for k, v in row.items() if k != "conf_status"}
        if names in hidden:
            kept = ("service", "use_case", "period_start", "period_end", "method_version", "factor_version", "status", "flags")
            assert all(value is None for name, value in figures.items() if name not in kept)
        else:
            assert figures == full[names]
    assert "conf_status" not in full["chat", "secrets"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (f"group=use_case&every=day&{Q3}", "calendar month"),
        ("group=use_case&from=2026-07-02&to=2026-10-01", "whole calendar months"),
        (f"group=host,service&{Q3}", "host, device or site"),
        (f"where=device=GPU-x&{Q3}", "host, device or site"),
        (f"where=charter=proscribed&every=hour&{Q3}", "calendar month"),
        # On the last day nothing but idle energy was drawn: that day's total is the hidden cell.
        (f"every=day&{Q3}", "calendar month"),
        (f"group=service&every=day&{Q3}", "calendar month"),
        ("from=2026-09-30&to=2026-10-01", "whole calendar months"),
    ],
)
def test_questions_without_protected_cells_are_refused_with_what_may_be_asked(asked: str, said: str, reader: Reader) -> None:
    answer = reader("committee").get(f"/api/v1/footprint?{asked}")
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_an_engineer_sees_services_and_devices_but_no_hidden_use_case(reader: Reader) -> None:
    assert all(row["energy_kwh"] is not None for row in rows_of(reader, "engineer", f"group=host,device,service&every=day&{Q3}"))
    uses = rows_of(reader, "engineer", f"group=service,use_case&{Q3}")
    assert {row["conf_status"] for row in uses} == {"F", "C"}
    assert "use case" in reader("engineer").get(f"/api/v1/footprint?group=device,use_case&{Q3}").json()["error"]


def test_sums_of_shown_cells_are_shown_and_others_hidden(reader: Reader) -> None:
    by_status = {r["charter"]: r for r in rows_of(reader, "committee", f"group=charter&every=quarter&{Q3}")}
    assert by_status["proscribed"]["energy_kwh"] is None or protected_shows(reader, "secrets")
    both = rows_of(reader, "committee", f"where=use_case=secrets&where=use_case=search&where=service=chat&{Q3}")
    assert both[0]["conf_status"] == "C"
    two = rows_of(reader, "committee", "group=service&from=2026-07-01&to=2026-09-01")
    assert {row["conf_status"] for row in two} <= {"F", "C"}


def protected_shows(reader: Reader, use_case: str) -> bool:
    found = rows_of(reader, "committee", f"group=use_case&every=quarter&{Q3}")
    return all(row["conf_status"] == "F" for row in found if row["use_case"] == use_case)


def test_the_total_of_the_organisation_is_shown(reader: Reader) -> None:
    assert rows_of(reader, "committee", "")[0]["conf_status"] == "F"


HIDDEN_WINDOWS = st.sampled_from(["2026-07-01", "2026-08-01", "2026-09-01", "2026-10-01", "2026-07-15", None])
QUESTIONS = st.fixed_dictionaries(
    {
        "group": st.lists(st.sampled_from(GROUPS), unique=True, max_size=3),
        "every": st.sampled_from(["day", "week", "month", "quarter", "year", "all"]),
        "from": HIDDEN_WINDOWS,
        "to": HIDDEN_WINDOWS,
        "view": st.sampled_from(["active", "full"]),
        "where": st.lists(
            st.sampled_from(
                ["service=chat", "service=code", "use_case=secrets", "use_case=search", "charter=proscribed", "model=large"]
            ),
            unique=True,
            max_size=3,
        ),
    }
)


@pytest.fixture(scope="module")
def secrets(quarter: Store) -> list[float]:
    """Every figure of every hidden cell, in both views."""
    facts, found = config(FACTS), []
    table = protect_period(quarter, facts, "2026-Q3", NOW_US)
    groups: list[tuple[str, ...]] = [("service", "use_case"), ("service",), ("use_case",)]
    for group in groups:
        for every in ("month", "quarter"):
            for view in ("active", "full"):
                start, end = (int(at) for at in (1_782_864_000e6, 1_790_812_800e6))
                for row in run_query(quarter, facts, Query(group, every, start, end, view=view), NOW_US).rows:
                    month = row["period_start"][:7]
                    period = "2026-Q3" if every == "quarter" else month
                    if not table.is_public(period, row.get("service", ""), row.get("use_case", "")):
                        found += [row[name] for name in TELLING if row[name]]
    assert len(found) > 20
    return found


@given(asked=QUESTIONS, role=st.sampled_from(["committee", "engineer"]))
def test_no_suppressed_figure_is_in_any_answer(asked: dict[str, Any], role: str, reader: Reader, secrets: list[float]) -> None:
    if role == "engineer" and not {"use_case", "charter"} & {*asked["group"], *(w.partition("=")[0] for w in asked["where"])}:
        return  # what engineers see of services is theirs
    told = [("group", ",".join(asked["group"])), ("every", asked["every"]), ("view", asked["view"])]
    told += [(name, asked[name]) for name in ("from", "to") if asked[name]] + [("where", each) for each in asked["where"]]
    answer = reader(role).get("/api/v1/footprint", params=told)
    assert answer.status_code in (200, 400)
    numbers = [v for row in answer.json().get("rows", []) for n, v in row.items() if n in TELLING and v]
    for number in numbers:
        assert not any(math.isclose(number, secret, rel_tol=1e-9) for secret in secrets), (asked, number)


@pytest.mark.parametrize("path", ["/", "/use-cases", "/services", "/models", "/charter", "/compare", "/explain", "/quality"])
@pytest.mark.parametrize("search", ["?lang=en", "?lang=en&period=2026-Q3&use_case=secrets&name=chat"])
def test_pages_of_a_committee_hold_no_suppressed_figure(path: str, search: str, reader: Reader, secrets: list[float]) -> None:
    told = json.loads(page(reader("committee"), path, search))
    numbers = [n for n in _numbers(told) if n > 1e-6]
    exact = [n for n in numbers for secret in secrets if secret > 100 and math.isclose(n, secret, rel_tol=1e-9)]
    assert not exact
    if path == "/use-cases" and "name" not in search and "use_case=" not in search:
        assert "[c] confidential" in json.dumps(told)


def _numbers(told: Any) -> list[float]:
    if isinstance(told, dict):
        return [n for each in told.values() for n in _numbers(each)]
    if isinstance(told, list):
        return [n for each in told for n in _numbers(each)]
    if isinstance(told, str):
        text = told.replace(",", "")
        return [float(part) for part in text.split() if part.replace(".", "", 1).isdigit()]
    return [float(told)] if isinstance(told, int | float) and not isinstance(told, bool) else []


@pytest.mark.parametrize("path", ["/", "/use-cases", "/services", "/models", "/charter", "/compare", "/explain", "/quality"])
def test_no_page_of_a_committee_is_refused_whole_nor_says_that_nothing_was_read(path: str, reader: Reader) -> None:
    told = page(reader("committee"), path, "?lang=en&period=2026-Q3")
    assert "No reading in this period" not in told
    assert "are those of whole months" not in told  # a card that asks for days is left out
    assert "shown once the month is over" not in told
    running = page(reader("committee"), path, "?lang=en&period=2026-10")
    assert "kWh" not in running or path in ("/charter", "/compare", "/models", "/services", "/use-cases")


def test_a_hidden_use_says_so_and_a_daily_trend_is_a_sentence_with_a_way_on(reader: Reader) -> None:
    told = page(reader("committee"), "/use-cases", "?lang=en&period=2026-Q3&name=secrets")
    assert "[c] Figures not shown, Q3 2026" in told
    assert "kWh" not in told
    daily = page(reader("committee"), "/", "?lang=en&period=2026-Q3&every=day")
    assert "that day\\u2019s total would give it away" in daily
    assert "every=month" in daily
    assert "block failed" not in daily
    listed = page(reader("committee"), "/use-cases", "?lang=en&period=2026-Q3")
    assert "make up" not in listed  # a share of what is shown is none of all


def test_the_page_and_its_twin_show_the_same(reader: Reader) -> None:
    shown = page(reader("committee"), "/use-cases", "?lang=en&period=2026-Q3")
    rows = rows_of(reader, "committee", f"group=use_case&{Q3}")
    assert any(row["conf_status"] == "C" for row in rows)
    hidden = sum(row["conf_status"] == "C" for row in rows)  # the page shows each in its chart and in its tables
    assert shown.count("[c] confidential") >= hidden
    assert shown.count("[c] confidential") % hidden == 0


def test_the_first_page_of_the_public_is_that_of_the_editions(reader: Reader) -> None:
    shown = page(reader("public"), "/")
    assert shown.count("kWh") == 0
    assert "Public reader" in shown
    answer = json.loads(poster(reader("public"))(poll_request("/?lang=en")))
    assert answer["response"] == {"tick": {"disabled": True}}  # it stays as it is


def test_who_is_not_signed_in_is_shown_where_the_proxy_signs_in(quarter: Store) -> None:
    rules = replace(by_header().access, sign_in="/oauth2/sign_in")
    facts = replace(by_header(), access=rules)
    app = pages_over(quarter, facts, lambda: NOW_US)
    for role, shown in (("public", True), ("committee", False), ("officer", False)):
        told = page(TestClient(app, client=PROXY, headers={HEADER: role}), "/editions").replace("\\u002f", "/")
        assert ("/oauth2/sign_in" in told) is shown


def test_metrics_tell_who_sees_protected_figures_how_the_service_is_and_nothing_to_subtract(reader: Reader) -> None:
    told = {role: reader(role).get("/metrics").text for role in ("public", "committee", "engineer")}
    assert 'footprint_energy_joules_total{service="chat"}' in told["engineer"]
    assert "\nfootprint_ledger_rows_total " in told["engineer"]
    assert "\nfootprint_last_reading_age_seconds " in told["engineer"]
    for role in ("public", "committee"):
        names = {line.split(" ")[0].split("{")[0] for line in told[role].splitlines() if not line.startswith("#")}
        assert names == {"footprint_build_info", "footprint_ready"}


def test_a_total_that_still_grows_is_hidden_for_who_asks_again_would_see_each_day(quarter: Store) -> None:
    facts = by_header()
    september = 1_789_000_000 * 1_000_000  # the 10th
    api = api_over(quarter, facts, lambda: september)
    for role, statuses in (("committee", ["F", "F", "C"]), ("engineer", [None] * 3)):
        browser = TestClient(api, client=PROXY, headers={HEADER: role})
        assert [row.get("conf_status") for row in browser.get("/api/v1/footprint?every=month").json()["rows"]] == statuses
        (whole,) = browser.get("/api/v1/footprint").json()["rows"]
        assert (whole["energy_kwh"] is None) == (role == "committee")


def test_unprotected_cells_are_noted_before_they_are_answered_and_nobody_is_named(reader: Reader, quarter: Store) -> None:
    before = len(read_accesses(quarter, None, None))
    rows_of(reader, "committee", f"group=use_case&{Q3}")
    rows_of(reader, "engineer", f"group=service&{Q3}")
    rows_of(reader, "officer", f"group=service&{Q3}")
    assert len(read_accesses(quarter, None, None)) == before
    rows_of(reader, "officer", f"group=use_case&{Q3}")
    page(reader("administrator"), "/charter", "?lang=en&period=2026-Q3")
    noted = read_accesses(quarter, None, None)[before:]
    assert [(row["role"], row["method"], row["path"]) for row in noted] == [
        ("officer", "GET", "/api/v1/footprint"),
        *[("administrator", "POST", "/_dash-update-component")] * (len(noted) - 1),  # one a card
    ]
    assert len(noted) > 1
    assert noted[0]["query"] == f"group=use_case&{Q3}"
    assert "use_case every all 2026-07-01T00:00:00Z/2026-10-01T00:00:00Z" in noted[0]["cells"]
    assert set(noted[0]) == {"time", "role", "method", "path", "query", "cells"}
    shown = reader("administrator").get("/api/v1/access?format=csv").text
    assert shown.startswith("time,role,method,path,query,cells")
    assert "officer" in page(reader("administrator"), "/access").lower()


def test_the_log_on_the_command_line_and_its_end(
    quarter: Store, reader: Reader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows_of(reader, "officer", f"group=use_case&{Q3}")
    file = tmp_path / "footprint.toml"
    file.write_text(f'[store]\nurl = "{quarter.url}"\n')
    assert status_of(["access", "list", "--config", str(file), "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("time,role,method,path,query,cells\n2026-10-02T00:00:00Z,officer")
    assert status_of(["access", "list", "--config", str(file), "--to", "2026-01-01"]) == 7
    table = capsys.readouterr()
    assert len(table.out.splitlines()) == 1  # the header
    assert table.err
    assert "365 days" in processing_register(config(FACTS), "en")
    kept = len(read_accesses(quarter, None, None))
    assert delete_expired(quarter, NOW_US, 1) == 0
    assert delete_expired(quarter, NOW_US + 3 * 86_400_000_000, 1) == kept


def test_answers_bear_security_headers(reader: Reader) -> None:
    for path in ("/", "/api/v1/footprint", "/healthz", "/api/v1/nothing"):
        headers = reader("officer").get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "script-src 'self' 'sha256-" in headers["content-security-policy"] or path != "/"
        assert "no-" in headers["cache-control"]


@pytest.mark.parametrize("path", ["/", "/methods", "/editions", "/hosts", "/explain"])
@pytest.mark.parametrize("role", ["public", "committee", "engineer"])
def test_the_power_of_a_host_is_drawn_again_for_roles_not_for_addresses(role: str, path: str, reader: Reader) -> None:
    asked = {
        "output": "power.figure",
        "outputs": {"id": "power", "property": "figure"},
        "inputs": [{"id": "live", "property": "n_intervals", "value": 1}],
        "state": [
            {"id": "address", "property": "pathname", "value": path},
            {"id": "address", "property": "search", "value": f"?name={HOST}&figure=F-2026Q3-01"},
            {"id": "language", "property": "data", "value": "en"},
        ],
        "changedPropIds": ["live.n_intervals"],
    }
    answer = reader(role).post("/_dash-update-component", json=asked)
    assert answer.status_code == (200 if role == "engineer" else 404)
    assert ("figure" in answer.text) == (role == "engineer")
