"""What pages show beside a published edition: together they give no hidden cell away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from footprint.access import Role, authorized_queries
from footprint.calendar.periods import period_at
from footprint.config import Config
from footprint.core.timestamps import parse_instant
from footprint.disclosure.audit import PublishedTable, attack
from footprint.disclosure.primary_suppression import Key
from footprint.editions.protected_cells import ProtectedCells, disclosure_rules, previously_published_cells, protect_period
from footprint.editions.publication import publish_edition, write_due_draft
from footprint.editions.repository import edition_files, published_editions
from footprint.ledger.importers import import_users
from footprint.storage.database import Store
from tests.support import quarters
from tests.support.protected_quarter import HEADER, PROXY, by_header
from tests.support.quarters import instant, organisation
from tests.support.services import pages_over

Q3, NOW_US = "2026-Q3", instant("2026-10-05")
MEASURES = ("energy_kwh", "requests")
Office = tuple[Config, Store, Path]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Of whose translators nobody knows the number until the edition of the quarter is out."""
    monkeypatch.delitem(quarters.USERS, ("chat", "translation"))
    config, store = organisation(tmp_path / "office", "2026-07-31", "2026-10-01")
    return replace(config, access=by_header().access), store, tmp_path


def committee(config: Config, store: Store) -> TestClient:
    return TestClient(pages_over(store, config, lambda: NOW_US), client=PROXY, headers={HEADER: "committee"})


def come(store: Store, folder: Path) -> None:
    """The number of translators, late."""
    rows = [f"{period},{service},translation,50,0.3" for period in ("2026-08", "2026-09", Q3) for service in ("chat", "")]
    (folder / "late.csv").write_text("\n".join(["period,service,use_case,users,max_share", *rows]) + "\n")
    import_users(store, str(folder / "late.csv"), NOW_US)


def told_on_pages(browser: TestClient, config: Config) -> PublishedTable:
    """Every cell that a committee is given, and those that it is told to be hidden."""
    shown: dict[Key, dict[str, float]] = {}
    hidden: set[Key] = set()
    for group in ("", "service", "use_case", "service,use_case"):
        for every, length in (("month", 1), ("quarter", 3)):
            answer = browser.get(f"/api/v1/footprint?group={group}&every={every}&from=2026-07-01&to=2026-10-01")
            for row in answer.json()["rows"]:
                period = str(period_at(parse_instant(row["period_start"]), config.timezone, length))
                key = period, row.get("service", ""), row.get("use_case", "")
                if row["conf_status"] == "C":
                    hidden.add(key)
                else:
                    shown[key] = {name: row[name] or 0.0 for name in MEASURES}
    return PublishedTable(shown, frozenset(hidden))


def as_told(found: ProtectedCells, period: str = "") -> PublishedTable:
    """Everything that a decision lets be shown, of a period or of all."""
    cells = {key: cell for key, cell in found.cells.items() if not period or key[0] == period}
    hidden = found.protection.hidden() & cells.keys()
    return PublishedTable({k: {m: c.amounts[m] for m in MEASURES} for k, c in cells.items() if k not in hidden}, hidden)


def recovered(editions: list[PublishedTable], truth: ProtectedCells, within: float) -> set[Key]:
    """Cells that are hidden somewhere and that who reads all of it knows to within the protection promised."""
    amounts = {(number, key): cell.amounts for number in range(len(editions)) for key, cell in truth.cells.items()}
    found = attack(editions, amounts, within).items()
    return {key for (number, key), bounds in found if any(b.recovers(amounts[number, key][m], within) for m, b in bounds.items())}


def drafts_stay_inside(config: Config, store: Store) -> None:
    """A draft lies on the shelf beside the editions; nobody is served it, however he writes its address."""
    assert "is drafted" in write_due_draft(store, config, NOW_US, lambda _: None)
    assert edition_files(config).exists(f"drafts/{Q3}/report.json")
    browser = committee(config, store)
    for role in Role:
        for path in (
            f"drafts/{Q3}",
            f"drafts/{Q3}/report.json",
            f"{Q3}/v1/../../drafts/{Q3}/report.json",
            f"{Q3}/v1/%2e%2e%2f%2e%2e%2fdrafts/{Q3}/report.json",
        ):
            for at in ("/editions", "/api/v1/reports"):
                answer = browser.get(f"{at}/{path}", headers={HEADER: role})
                assert answer.status_code == 404, (role, path)


def test_pages_and_a_published_edition_together_give_no_hidden_cell_away(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorized_queries, "STORE_CHECK_INTERVAL_S", -1.0)  # one server all along, which looks at every question
    config, store, folder = office
    within = disclosure_rules(config).protection
    browser = committee(config, store)
    assert told_on_pages(browser, config).hidden
    drafts_stay_inside(config, store)
    publish_edition(store, config, Q3, NOW_US)
    edition = as_told(protect_period(store, config, Q3, NOW_US), Q3)
    come(store, folder)
    _, kept = previously_published_cells(published_editions(store))
    assert (Q3, "", "translation") in kept
    page = told_on_pages(browser, config)
    truth = protect_period(store, config, Q3, NOW_US)
    assert page.hidden >= set(kept) & {*page.shown, *page.hidden}
    assert recovered([edition, page], truth, within) == set()
    # Decided without what was published, the number of translators uncovers what was hidden to protect them.
    assert recovered([edition, as_told(truth)], truth, within) != set()
