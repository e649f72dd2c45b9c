"""Withdrawal of a batch: rows that go, rows that stay, and days to recompute."""

from pathlib import Path

import pytest

from footprint.ledger.import_batches import BatchNotFound, list_batches, withdraw_batch
from footprint.ledger.importers import ImportResult, import_energy, import_requests
from footprint.storage import schema
from footprint.storage.database import Store
from tests.support import ledger_contents as ledgers
from tests.support.contract_files import NOW_US, config, write

US = 1_000_000
DAY = 20_635
DAY_S = DAY * 86_400
ENERGY = "time,host,device,component,power_w"
REQUESTS = "start,end,service,use_case,id"


def energy(store: Store, path: Path, seconds: range, value: int = 5) -> int:
    lines = [ENERGY, *(f"{DAY_S + n},a,gpu:0,gpu,{value}" for n in seconds)]
    return batch_of(import_energy(store, write(path, lines), NOW_US))


def requests(store: Store, path: Path, numbers: range) -> int:
    lines = [REQUESTS, *(f"{DAY_S + n},{DAY_S + n + 3600},chat,u,{n}" for n in numbers)]
    return batch_of(import_requests(store, config(), write(path, lines), NOW_US))


def batch_of(result: ImportResult) -> int:
    assert result.batch is not None
    return result.batch


def test_withdrawn_readings_are_moved_and_their_days_bumped(store: Store, tmp_path: Path) -> None:
    keep = energy(store, tmp_path / "e.csv", range(100))
    batch = energy(store, tmp_path / "f.csv", range(86_390, 86_410))
    assert ledgers.stream_days(store) == {
        ("gpu:0", DAY): (DAY_S * US, (DAY_S + 86_399) * US, 2),
        ("gpu:0", DAY + 1): ((DAY_S + 86_400) * US, (DAY_S + 86_409) * US, 1),
    }
    assert withdraw_batch(store, batch, "wrong node", NOW_US) == 20
    assert len(ledgers.readings(store)) == 100
    assert ledgers.count(store, schema.WithdrawnReading) == 20
    assert ledgers.stream_days(store) == {
        ("gpu:0", DAY): (DAY_S * US, (DAY_S + 99) * US, 3),
        ("gpu:0", DAY + 1): (0, -1, 2),  # empty, and changed
    }
    assert [(row["id"], row["withdrawn_us"], row["reason"]) for row in list_batches(store)] == [
        (keep, None, ""),
        (batch, NOW_US, "wrong node"),
    ]


def test_an_emptied_day_takes_the_extent_of_new_readings(store: Store, tmp_path: Path) -> None:
    withdraw_batch(store, energy(store, tmp_path / "e.csv", range(5, 50)), "again", NOW_US)
    energy(store, tmp_path / "e.csv", range(5, 50))
    assert ledgers.stream_days(store) == {("gpu:0", DAY): ((DAY_S + 5) * US, (DAY_S + 49) * US, 3)}
    assert len(ledgers.readings(store)) == 45


def test_claimed_rows_stay_until_the_claimant_is_withdrawn(store: Store, tmp_path: Path) -> None:
    first = energy(store, tmp_path / "e.csv", range(10))
    second = energy(store, tmp_path / "f.csv", range(5, 15))
    third = energy(store, tmp_path / "g.csv", range(7, 12))
    assert withdraw_batch(store, first, "-", NOW_US) == 5
    assert len(ledgers.readings(store)) == 10
    assert withdraw_batch(store, second, "-", NOW_US) == 5
    assert {row[5] // US - DAY_S for row in ledgers.readings(store)} == set(range(7, 12))
    assert withdraw_batch(store, third, "-", NOW_US) == 5
    assert ledgers.readings(store) == set()


def test_an_identical_copy_claims_nothing(store: Store, tmp_path: Path) -> None:
    """A file imported twice by mistake is withdrawn by withdrawing it once."""
    first = energy(store, tmp_path / "e.csv", range(200))
    energy(store, tmp_path / "e.csv", range(200))
    assert withdraw_batch(store, first, "-", NOW_US) == 200
    assert ledgers.readings(store) == set()
    energy(store, tmp_path / "e.csv", range(200))
    assert len(ledgers.readings(store)) == 200


def test_a_conflict_is_no_claim(store: Store, tmp_path: Path) -> None:
    first = energy(store, tmp_path / "e.csv", range(3))
    energy(store, tmp_path / "f.csv", range(3), value=6)
    withdraw_batch(store, first, "-", NOW_US)
    assert ledgers.readings(store) == set()


def test_withdrawn_requests_are_moved_and_their_days_bumped(store: Store, tmp_path: Path) -> None:
    first = requests(store, tmp_path / "r.csv", range(0, 86_400, 8640))
    second = requests(store, tmp_path / "s.csv", range(0, 25_920, 8640))
    before = ledgers.service_days(store)
    assert {day for _, day in before} == {DAY}
    assert withdraw_batch(store, first, "-", NOW_US) == 7
    assert len(ledgers.requests(store)) == 3
    assert ledgers.count(store, schema.WithdrawnRequest) == 7
    assert ledgers.service_days(store)["chat", DAY][1] == before["chat", DAY][1] + 1
    assert withdraw_batch(store, second, "-", NOW_US) == 3
    assert ledgers.requests(store) == []


@pytest.mark.parametrize("batch", [1, 77])
def test_an_unknown_batch_cannot_be_withdrawn(sqlite: Store, tmp_path: Path, batch: int) -> None:
    withdraw_batch(sqlite, energy(sqlite, tmp_path / "e.csv", range(3)), "first time", NOW_US)
    with pytest.raises(BatchNotFound):
        withdraw_batch(sqlite, batch, "again", NOW_US)


def test_a_withdrawal_leaves_a_trace(sqlite: Store, tmp_path: Path) -> None:
    withdraw_batch(sqlite, energy(sqlite, tmp_path / "e.csv", range(3)), "wrong node", NOW_US)
    with sqlite.read() as connection:
        message = connection.exec_driver_sql("SELECT text FROM event WHERE kind = 'withdraw'").scalar_one()
    assert "3 rows; wrong node" in message
