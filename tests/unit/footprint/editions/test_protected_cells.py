"""Disclosure control over a real store: users from a file, amounts from queries."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.calendar.periods import BadPeriod
from footprint.config import Config
from footprint.disclosure.primary_suppression import Status, SuppressionReason
from footprint.editions.protected_cells import ADDITIVE_MEASURES, OTHER_USE_CASES, ProtectedCells, protect_period
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests, import_users
from footprint.storage.database import Store
from tests.support.contract_files import config, write

FACTS = config("""
[organisation]
timezone = "UTC"
[[service]]
name = "chat"
devices = ["a/gpu:0"]
[[service]]
name = "code"
devices = ["a/gpu:1"]
[[use_case]]
name = "drafting"
charter = "authorised"
[[use_case]]
name = "search"
charter = "authorised"
[[use_case]]
name = "secrets"
charter = "proscribed"
""")
S = 1_000_000
START, END = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (7, 10))
NOW_US = END * S + 86_400 * S
USERS = [
    "period,service,use_case,users,max_share,teams",
    *(
        f"{period},{service},{use},{users},0.4,4"
        for period in ("2026-07", "2026-08", "2026-09", "2026-Q3")
        for service, use, users in [
            ("chat", "drafting", 40),
            ("chat", "search", 25),
            ("chat", "secrets", 3),
            ("code", "drafting", 12),
            ("code", "search", 9),
            ("code", "secrets", 8),
            ("chat", "", 60),
            ("code", "", 20),
            ("", "drafting", 45),
            ("", "search", 30),
            ("", "secrets", 10),
            ("", "", 70),
        ]
    ),
]


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A quarter in coarse readings: two services, three use cases, one of them of three users on one service."""
    folder = tmp_path_factory.mktemp("quarter")
    store = Store(f"sqlite:///{folder / 'quarter.db'}")
    energy, requests = ["time,host,device,component,energy_j"], ["start,end,service,use_case,requests,input_tokens,output_tokens"]
    for number, at in enumerate(range(START, END, 6 * 3600)):
        for gpu in (0, 1):
            energy.append(f"{at},a,gpu:{gpu},gpu,{number * 6 * 3600 * (200 + 50 * gpu)}")
    for at in range(START, END - 86_400, 86_400):
        for service, use, count in (
            ("chat", "drafting", 50),
            ("chat", "search", 30),
            ("chat", "secrets", 20),
            ("code", "drafting", 25),
            ("code", "search", 40),
            ("code", "secrets", 15),
        ):
            requests.append(f"{at},{at + 43_200},{service},{use},{count},{count * 900},{count * 200}")
    import_energy(store, write(folder / "energy.csv", energy), NOW_US)
    import_requests(store, FACTS, write(folder / "requests.csv", requests), NOW_US)
    aggregate(store, FACTS, shipped_book(), NOW_US)
    return store


@pytest.fixture(scope="module")
def known(quarter: Store, tmp_path_factory: pytest.TempPathFactory) -> ProtectedCells:
    import_users(quarter, write(tmp_path_factory.mktemp("users") / "users.csv", USERS), NOW_US)
    return protect_period(quarter, FACTS, "2026-Q3", NOW_US)


def test_few_users_are_hidden_with_a_complement_and_the_rest_is_shown(known: ProtectedCells) -> None:
    for period in ("2026-07", "2026-08", "2026-09", "2026-Q3"):
        assert known.status(period, "chat", "secrets") is Status.PRIMARY
        assert known.protection.reasons[period, "chat", "secrets"] is SuppressionReason.FEW_USERS
        assert known.is_public(period, "chat")
        assert known.is_public(period, "", "drafting")
        assert known.is_public(period)
        assert len([key for key in known.protection.hidden() if key[0] == period]) >= 4
    counts = known.counts()
    assert (counts.primary, counts.exposed, counts.fewest_users_shown) == (4, 0, 9)
    assert counts.shown + counts.primary + counts.secondary == len(known.cells)


def test_other_uses_make_a_table_add_up(known: ProtectedCells, quarter: Store) -> None:
    others = known.merged_others("2026-Q3", "chat")
    assert others is not None
    assert others.use_case == OTHER_USE_CASES
    assert others.users in {25, 40}  # the fewest that they can be: those of its largest part
    shown = [cell for key, cell in known.cells.items() if key[:2] == ("2026-Q3", "chat") and key[2] and known.is_public(*key)]
    total = known.cells["2026-Q3", "chat", ""].amounts
    for measure in (*ADDITIVE_MEASURES, "energy_full_kwh"):
        assert others.amounts[measure] + sum(cell.amounts[measure] for cell in shown) == pytest.approx(total[measure])
    answer = run_query(
        quarter, FACTS, Query(("service",), from_us=START * S, to_us=END * S, where=(("service", "chat"),)), NOW_US
    )
    assert total["energy_kwh"] == pytest.approx(answer.rows[0]["energy_kwh"])
    assert known.counts().merged >= 8  # of both services, in four periods


def test_a_month_is_decided_with_its_quarter(known: ProtectedCells, quarter: Store) -> None:
    assert protect_period(quarter, FACTS, "2026-08", NOW_US).protection == known.protection


def test_a_year_rests_on_its_quarters(known: ProtectedCells, quarter: Store) -> None:
    later_us = int(datetime(2027, 1, 2, tzinfo=UTC).timestamp()) * S
    year = protect_period(quarter, FACTS, "2026", later_us)
    assert {
        key: status for key, status in year.protection.statuses.items() if key in known.protection.statuses
    } == known.protection.statuses
    assert year.status("2026", "chat", "secrets") is Status.PRIMARY  # nobody told its users
    assert year.is_public("2026")


def test_of_a_quarter_that_is_not_over_nothing_is_shown(quarter: Store, known: ProtectedCells) -> None:
    assert dict(protect_period(quarter, FACTS, "2026-07", (END - 1) * S).protection.statuses) == {}
    assert not protect_period(quarter, FACTS, "2026-07", (END - 1) * S).is_public("2026-07", "chat", "drafting")
    assert protect_period(quarter, FACTS, "2025-Q1", NOW_US).counts().shown == 0


def test_the_profile_of_the_configuration_counts(quarter: Store, known: ProtectedCells) -> None:
    store, strict = quarter, config("[organisation]\ntimezone = 'UTC'\n[disclosure]\nprofile = 'strict'")
    protected = protect_period(store, strict, "2026-Q3", NOW_US)
    assert protected.rules.min_users == 11
    assert not protected.is_public("2026-Q3", "code", "search")


def test_an_empty_store_has_no_cells(sqlite: Store) -> None:
    assert (
        protect_period(sqlite, Config(), "2026-Q3", NOW_US).counts() == protect_period(sqlite, Config(), "2026", NOW_US).counts()
    )
    with pytest.raises(BadPeriod, match="2026-Q5"):
        protect_period(sqlite, Config(), "2026-Q5", NOW_US)
