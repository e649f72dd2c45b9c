"""A use case that nobody declared: officers and administrators see its name; everybody else sees one row for all of them."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from dashboards.page_shell import PAGES
from footprint.aggregation.aggregate import aggregate
from footprint.config.models import UNDECLARED
from footprint.disclosure.primary_suppression import Status
from footprint.editions.protected_cells import protect_period
from footprint.editions.publication import draft_edition
from footprint.editions.release_context import ReleaseContext
from footprint.editions.render import render_files
from footprint.editions.serialization import to_json
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests, import_users
from footprint.storage.database import Store
from tests.support.contract_files import config, write
from tests.support.page_requests import poster, whole_page
from tests.support.protected_quarter import BY_HEADER, END, FACTS, HEADER, HOST, NOW_US, PROXY, START, S, page
from tests.support.services import pages_over

CANARIES = ("jane-private-matter", "quokka-budget")
LABEL = "Undeclared uses"
NAMED, TOGETHER = ("officer", "administrator"), ("public", "committee", "engineer")
Q3 = "from=2026-07-01&to=2026-10-01"
REQUESTS = {  # requests a day and users of each cell
    ("chat", "drafting"): (50, 40),
    ("chat", CANARIES[0]): (30, 25),
    ("chat", CANARIES[1]): (25, 22),
    ("code", "search"): (40, 19),
    ("code", CANARIES[1]): (20, 12),
}
MARGINS = {("chat", ""): 60, ("code", ""): 30, ("", "drafting"): 45, ("", "search"): 30, ("", ""): 70}
MARGINS |= {("", CANARIES[0]): 25, ("", CANARIES[1]): 30}
GROUPS = (
    "",
    "service",
    "use_case",
    "service,use_case",
    "charter",
    "use_case,charter",
    "model",
    "use_case,model",
    "host",
    "device",
)
TABLES = ("models", "alternatives", "steps", "phases", "avoidable", "balance", "splits", "uncertainty", "facts", "factors")
TABLES += ("methods", "jobs", "silent", "refused", "bundles", "objectives")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A quarter in which the log of two services names use cases that nobody declared."""
    folder = tmp_path_factory.mktemp("undeclared")
    store, facts = Store(f"sqlite:///{folder / 'store.db'}"), config(FACTS)
    energy, requests = ["time,host,device,component,energy_j"], ["start,end,service,use_case,requests,input_tokens,output_tokens"]
    for number, at in enumerate(range(START, END, 6 * 3600)):
        energy += [f"{at},{HOST},gpu:{gpu},gpu,{number * 6 * 3600 * (200 + 50 * gpu)}" for gpu in (0, 1)]
    for at in range(START, END - 86_400, 86_400):
        requests += [
            f"{at},{at + 43_200},{service},{use},{count},{count * 900},{count * 200}"
            for (service, use), (count, _) in REQUESTS.items()
        ]
    users = ["period,service,use_case,users,max_share,teams"]
    counted = {cell: users for cell, (_, users) in REQUESTS.items()} | MARGINS
    for period in ("2026-07", "2026-08", "2026-09", "2026-Q3"):
        users += [f"{period},{service},{use},{count},0.4,4" for (service, use), count in counted.items()]
    import_energy(store, write(folder / "energy.csv", energy), NOW_US)
    import_requests(store, facts, write(folder / "requests.csv", requests), NOW_US)
    import_users(store, write(folder / "users.csv", users), NOW_US)
    aggregate(store, facts, shipped_book(), NOW_US)
    return store


@pytest.fixture(scope="module")
def browsers(office: Store) -> dict[str, TestClient]:
    app = pages_over(office, replace(config(FACTS + BY_HEADER)), lambda: NOW_US)
    return {role: TestClient(app, client=PROXY, headers={HEADER: role}, follow_redirects=False) for role in NAMED + TOGETHER}


def api_addresses() -> Iterable[str]:
    for group, every, view in product(GROUPS, ("all", "month", "day"), ("active", "full")):
        yield f"/api/v1/footprint?{Q3}&group={group}&every={every}&view={view}"
    for group, name in product(("", "service", "use_case,model", "service,use_case"), ("drafting", UNDECLARED)):
        yield f"/api/v1/footprint?{Q3}&group={group}&where=use_case={quote(name)}"
    yield f"/api/v1/footprint?{Q3}&group=service,use_case&where=charter={quote(UNDECLARED)}"
    yield "/api/v1/footprint?group=service,use_case&every=hour&from=2026-07-01&to=2026-07-02"
    yield from (f"/api/v1/tables/{name}?{Q3}" for name in TABLES)
    yield from (
        "/metrics",
        "/readyz",
        "/api/v1/openapi.json",
        "/api/v1/reports",
        "/api/v1/reports/calendar",
        "/api/v1/benchmarks",
    )
    yield f"/api/v1/readings?host={HOST}&device=gpu:0&from=2026-07-01&to=2026-07-02"
    yield "/api/v1/access"


def text_of(browser: TestClient, address: str) -> str:
    """An answer as text; of Parquet, all of its values."""
    answer = browser.get(address)
    if answer.headers.get("content-type", "").endswith("parquet"):
        return str(pq.read_table(io.BytesIO(answer.content)).to_pylist())
    return answer.text


def rows_of(browser: TestClient, address: str) -> list[dict[str, Any]]:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return [dict(zip(document["columns"], row, strict=True)) if isinstance(row, list) else row for row in document["rows"]]


def named_in(text: str) -> list[str]:
    return [name for name in CANARIES if name in text]


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_no_answer_of_the_api_names_an_undeclared_use_case(browsers: dict[str, TestClient], form: str) -> None:
    shown_to_officers = 0
    for address in api_addresses():
        with_form = f"{address}&format={form}" if "?" in address else address
        shown_to_officers += bool(named_in(text_of(browsers["officer"], with_form)))
        for role in TOGETHER:
            assert not named_in(text_of(browsers[role], with_form)), (role, address)
    assert shown_to_officers > 10  # the search would have found them


@pytest.mark.parametrize("path", PAGES)
def test_no_page_and_no_card_of_one_names_an_undeclared_use_case(browsers: dict[str, TestClient], path: str) -> None:
    for role, search in product(
        TOGETHER,
        (
            "?lang=en&period=2026-Q3",
            "?lang=fr&period=2026-08&view=full&name=chat&kind=use_case",
            f"?lang=en&period=2026-Q3&name={quote(UNDECLARED)}&task={quote(UNDECLARED)}",
            f"?lang=en&period=2026-Q3&use_case={quote(UNDECLARED)}",
        ),
    ):
        assert not named_in(page(browsers[role], path, search)), (role, search)


def test_pages_show_the_row_by_its_label_and_officers_the_names(browsers: dict[str, TestClient]) -> None:
    for path in ("/use-cases", "/charter"):
        assert LABEL in page(browsers["committee"], path, "?lang=en&period=2026-Q3"), path
        in_french = whole_page(poster(browsers["committee"]), path, "?lang=fr&period=2026-Q3", "fr")
        assert "Usages non déclarés" in in_french.replace("\\u00e9", "é"), path
        assert named_in(page(browsers["officer"], path, "?lang=en&period=2026-Q3")) == list(CANARIES), path


def test_the_name_in_an_address_answers_as_one_that_is_not_there(browsers: dict[str, TestClient]) -> None:
    """What a reader typed comes back as it was typed, and nothing else differs."""
    absent = "no-such-thing-at-all"
    for role in TOGETHER:
        for address in (
            f"/api/v1/footprint?{Q3}&group=service,use_case&where=use_case=NAME",
            f"/api/v1/footprint?{Q3}&group=service&every=month&where=use_case=NAME&view=full",
            f"/api/v1/footprint?{Q3}&where=use_case=NAME&where=use_case=drafting",
            f"/api/v1/tables/models?{Q3}&use_case=NAME",
            f"/api/v1/tables/alternatives?{Q3}&where=use_case=NAME",
        ):
            answers = [browsers[role].get(address.replace("NAME", name)) for name in (CANARIES[1], absent)]
            assert answers[0].status_code == answers[1].status_code, address
            assert answers[0].text.replace(CANARIES[1], absent) == answers[1].text, (role, address)
        for path, search in product(
            ("/use-cases", "/services", "/charter", "/compare", "/efficiency"),
            (
                "?lang=en&period=2026-Q3&name=NAME",
                "?lang=en&period=2026-Q3&use_case=NAME",
                "?lang=en&kind=use_case&a=NAME&b=drafting",
            ),
        ):
            shown = [page(browsers[role], path, search.replace("NAME", name)) for name in (CANARIES[1], absent)]
            assert shown[0].replace(CANARIES[1], absent) == shown[1], (role, path, search)


@pytest.mark.parametrize("group", ["use_case", "service,use_case", "use_case,model", "use_case,charter"])
@pytest.mark.parametrize("view", ["active", "full"])
def test_one_row_is_the_sum_of_what_officers_see_and_energy_closes(office: Store, group: str, view: str) -> None:
    facts, columns = config(FACTS), tuple(group.split(","))
    query = Query(columns, "month", int(START * S), int(END * S), view=view)
    apart, together = (
        run_query(office, facts, replace(query, undeclared_together=merged), NOW_US).rows for merged in (False, True)
    )
    assert not any(row["use_case"] in CANARIES for row in together)

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        names = {**row, "use_case": UNDECLARED if row["use_case"] in CANARIES else row["use_case"]}
        return row["period_start"], *(names[column] for column in columns)

    sums: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in apart:
        cell = sums.setdefault(key(row), dict.fromkeys(("energy_kwh", "requests", "output_tokens", "co2e_location_g"), 0.0))
        for name in cell:
            cell[name] += row[name] or 0
    assert {key(row) for row in together} == set(sums)
    for row in together:
        for name, amount in sums[key(row)].items():
            assert row[name] == pytest.approx(amount, rel=1e-12, abs=1e-12), (name, key(row))
        assert row["energy_low_kwh"] <= row["energy_kwh"] <= row["energy_high_kwh"]
        assert ("undeclared-use-case" in row["flags"]) == (row["use_case"] == UNDECLARED)
    others = [[row for row in rows if row["use_case"] not in (*CANARIES, UNDECLARED)] for rows in (apart, together)]
    assert others[0] == others[1]  # no figure of a declared use case depends on who asks
    total_kwh = [sum(row["energy_kwh"] or 0 for row in rows) for rows in (apart, together)]
    assert total_kwh[0] == pytest.approx(total_kwh[1], rel=1e-12)


def test_energy_closes_for_each_role(browsers: dict[str, TestClient]) -> None:
    address = f"/api/v1/footprint?{Q3}&every=month&group=use_case"
    total_kwh = sum(row["energy_kwh"] for row in rows_of(browsers["officer"], f"/api/v1/footprint?{Q3}&every=month"))
    for role in ("officer", "administrator", "committee", "engineer"):
        rows = rows_of(browsers[role], address)
        assert sum(row["energy_kwh"] for row in rows) == pytest.approx(total_kwh, rel=1e-12), role
        assert (UNDECLARED in {row["use_case"] for row in rows}) == (role not in NAMED)


def test_the_condition_undeclared_stands_for_all_of_them(browsers: dict[str, TestClient]) -> None:
    address = f"/api/v1/footprint?{Q3}&where=use_case={quote(UNDECLARED)}"
    energy_kwh = {role: rows_of(browsers[role], address)[0]["energy_kwh"] for role in ("officer", "committee", "engineer")}
    assert energy_kwh["officer"] > 0
    assert energy_kwh["committee"] == energy_kwh["engineer"] == pytest.approx(energy_kwh["officer"], rel=1e-12)


@pytest.mark.parametrize(
    ("users", "status"),
    [
        ({CANARIES[0]: 25, CANARIES[1]: 2}, Status.PUBLIC),  # at least those of the larger
        ({CANARIES[0]: 2, CANARIES[1]: 2}, Status.PRIMARY),
        ({CANARIES[0]: 25, CANARIES[1]: None}, Status.PRIMARY),  # nobody counted some of them
    ],
)
def test_the_merged_cell_is_protected_like_any_other(
    tmp_path: Path, users: dict[str, int | None], status: Status, office: Store
) -> None:
    copied = tmp_path / "store.db"
    with sqlite3.connect(office.url.removeprefix("sqlite:///")) as source, sqlite3.connect(copied) as copy:
        source.backup(copy)
        for use, count in users.items():
            change = (
                "DELETE FROM users WHERE use_case = :use"
                if count is None
                else "UPDATE users SET users = :count WHERE use_case = :use"
            )
            copy.execute(change, {"use": use, "count": count})
    cells = protect_period(Store(f"sqlite:///{copied}"), config(FACTS), "2026-Q3", NOW_US)
    assert not {key for key in cells.cells if key[2] in CANARIES}
    assert cells.status("2026-07", "chat", UNDECLARED) is status


def test_an_edition_of_today_prints_one_row_and_one_of_an_earlier_release_comes_out_as_it_was(office: Store) -> None:
    facts = config(FACTS)
    draft = draft_edition(office, facts, "2026-Q3", NOW_US)
    assert draft.data.context.undeclared_together
    document = to_json(draft.edition).decode()
    files = render_files(draft.edition)
    assert not named_in(document + "".join(content.decode("utf-8", "replace") for content in files.values()))
    assert "(usages non déclarés)" in document
    assert "(undeclared uses)" in document
    earlier = ReleaseContext.from_json({**draft.data.context.to_json(), "undeclared_together": False})
    assert "undeclared_together" not in earlier.to_json()  # the stored form of an earlier release
    rebuilt = draft_edition(office, facts, "2026-Q3", NOW_US, earlier)
    assert named_in(to_json(rebuilt.edition).decode()) == list(CANARIES)
