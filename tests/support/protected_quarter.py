"""Fixtures: a quarter with a protected use case of three users, served with the role that a trusted header names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from footprint.aggregation.aggregate import aggregate
from footprint.config import Config
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests, import_users
from footprint.storage.database import Store
from tests.support.contract_files import config, write
from tests.support.page_requests import poster, whole_page
from tests.support.services import pages_over

S = 1_000_000
START, END = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (7, 10))
NOW_US = (END + 86_400) * S
PROXY = ("127.0.0.1", 50_000)
HEADER = "X-Forwarded-Groups"
HOST = "gpu-node-17"  # unique, so that a test can search responses for it
FACTS = f"""
[organisation]
timezone = "UTC"
[[host]]
name = "{HOST}"
uplift = 1.2
[[service]]
name = "chat"
model = "large"
devices = ["{HOST}/gpu:0"]
[[service]]
name = "code"
model = "small"
devices = ["{HOST}/gpu:1"]
[[use_case]]
name = "secrets"
charter = "proscribed"
[[use_case]]
name = "drafting"
charter = "authorised"
[[use_case]]
name = "search"
charter = "authorised"
"""
BY_HEADER = """
[access]
mode = "header"
trusted = ["127.0.0.1"]
roles = { public = ["public"], committee = ["committee"], officer = ["officer"], engineer = ["engineer"], administrator = ["administrator"] }
"""
CHAT = {"drafting": (50, 40), "search": (30, 25), "secrets": (20, 3)}  # requests a day, users
CODE = {"drafting": (25, 12), "search": (40, 9), "secrets": (15, 8)}
MARGINS = {("chat", ""): 60, ("code", ""): 20, ("", "drafting"): 45, ("", "search"): 30, ("", "secrets"): 4, ("", ""): 70}
Reader = Callable[[str], TestClient]


@pytest.fixture(scope="session")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Store of the aggregated quarter with its user counts; tests only add to its access log."""
    folder = tmp_path_factory.mktemp("access")
    store = Store(f"sqlite:///{folder / 'quarter.db'}")
    facts = config(FACTS)
    energy, requests = ["time,host,device,component,energy_j"], ["start,end,service,use_case,requests,input_tokens,output_tokens"]
    for number, at in enumerate(range(START, END, 6 * 3600)):
        energy += [f"{at},{HOST},gpu:{gpu},gpu,{number * 6 * 3600 * (200 + 50 * gpu)}" for gpu in (0, 1)]
    cells = [("chat", use, *amounts) for use, amounts in CHAT.items()] + [
        ("code", use, *amounts) for use, amounts in CODE.items()
    ]
    for at in range(START, END - 86_400, 86_400):
        requests += [f"{at},{at + 43_200},{s},{use},{count},{count * 900},{count * 200}" for s, use, count, _ in cells]
    users_of = {(service, use): users for service, use, _, users in cells} | MARGINS
    users = ["period,service,use_case,users,max_share,teams"]
    for period in ("2026-07", "2026-08", "2026-09", "2026-Q3"):
        users += [f"{period},{service},{use},{count},0.4,4" for (service, use), count in users_of.items()]
    import_energy(store, write(folder / "energy.csv", energy), NOW_US)
    import_requests(store, facts, write(folder / "requests.csv", requests), NOW_US)
    import_users(store, write(folder / "users.csv", users), NOW_US)
    aggregate(store, facts, shipped_book(), NOW_US)
    return store


def by_header(folder: Path | None = None) -> Config:
    """Configuration in which a header names the groups of a reader."""
    return replace(config(FACTS + BY_HEADER), path=folder)


@pytest.fixture(scope="session")
def reader(quarter: Store) -> Reader:
    """Makes a client of a role, behind the proxy."""
    facts = by_header()
    app = pages_over(quarter, facts, lambda: NOW_US)
    return lambda role: TestClient(app, client=PROXY, headers={HEADER: role}, follow_redirects=False)


def page(browser: TestClient, path: str, search: str = "?lang=en") -> str:
    """Content of a page as its callbacks return it."""
    return whole_page(poster(browser), path, search)
