"""Days that wait to be computed are pending: counted, dated, and no fault of a balance; only a long wait is a failed check."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.cli.app import status_of
from footprint.core.timestamps import format_instant, now_us
from footprint.impact.factor_book import shipped_book
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.importers import import_energy
from footprint.queries.aggregation_lag import BEHIND_AFTER_S, pending_hosts, pending_s
from footprint.queries.energy_balance import energy_balance
from footprint.server.alert_rules import late_aggregation
from footprint.server.job_runs import run_job
from footprint.server.jobs import job_named
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.contract_files import CONFIG, DAY_S, NOW_US, START, config, energy_lines, write

MINUTE_US = 60_000_000


def imported(store: Store, folder: Path, day: int, at_us: int) -> None:
    """Readings of an hour of a day after 1 July 2026, imported at an instant."""
    import_energy(store, write(folder / f"day{day}.csv", energy_lines(DAY_S + day * 86_400, 3600, 60)), at_us)


def computed(store: Store, at_us: int) -> None:
    aggregate(store, config(), shipped_book(), at_us)


def state(store: Store) -> tuple[object, ...]:
    (row,) = energy_balance(store, config(), None, None)
    return row["state"], row["closes"], row["pending_days"], row["pending_since"]


def test_a_day_waits_since_the_import_after_the_last_aggregation(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path, 0, NOW_US)
    assert state(sqlite) == ("pending", None, 1, format_instant(NOW_US))
    computed(sqlite, NOW_US + MINUTE_US)
    assert state(sqlite) == ("closes", True, 0, None)
    imported(sqlite, tmp_path, 5, NOW_US + 60 * MINUTE_US)
    imported(sqlite, tmp_path, 7, NOW_US + 70 * MINUTE_US)
    name, closes, _, since = state(sqlite)
    assert (name, closes, since) == ("pending", True, format_instant(NOW_US + 60 * MINUTE_US))
    balances = energy_balance(sqlite, config(), None, None)
    assert pending_s(balances, NOW_US + 75 * MINUTE_US) == 15 * 60 == BEHIND_AFTER_S
    assert f"pending since {since}" in pending_hosts(balances)
    computed(sqlite, NOW_US + 80 * MINUTE_US)
    (batch, *_) = list_batches(sqlite)
    withdraw_batch(sqlite, batch["id"], "test", NOW_US + 90 * MINUTE_US)
    assert state(sqlite)[::3] == ("pending", format_instant(NOW_US + 90 * MINUTE_US))


def test_a_completed_run_of_the_scheduler_dates_the_wait(sqlite: Store, tmp_path: Path) -> None:
    imported(sqlite, tmp_path, 0, NOW_US)
    run_job(sqlite, config(), job_named("aggregate"), NOW_US + 10 * MINUTE_US)
    with sqlite.begin() as connection:  # readings of the batch that is open already
        connection.exec_driver_sql("UPDATE streamday SET version = version + 1")
    assert state(sqlite) == ("pending", True, 1, format_instant(NOW_US + 10 * MINUTE_US))


def test_people_are_told_when_aggregation_is_behind(sqlite: Store, tmp_path: Path) -> None:
    at_us = (DAY_S + 2 * 86_400) * 1_000_000
    imported(sqlite, tmp_path, 0, at_us)
    assert list(late_aggregation(sqlite, config(), at_us + 15 * MINUTE_US)) == []
    (alert,) = late_aggregation(sqlite, config(), at_us + 16 * MINUTE_US)
    assert alert.subject == ("Le calcul est en retard", "Aggregation is behind")
    assert ": 1. The figures stay" in alert.text[1]
    computed(sqlite, at_us + 17 * MINUTE_US)
    assert list(late_aggregation(sqlite, config(), at_us + 60 * MINUTE_US)) == []


def test_check_fails_only_where_days_wait_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    start_s = now_us() // 1_000_000 - 1800
    energy = write(tmp_path / "now.csv", energy_lines(start_s, 1790, 10))
    assert status_of(["import", "energy", energy]) == 0

    def checked() -> dict[str, bool]:
        capsys.readouterr()
        status_of(["check", "--min-coverage", "0", "--format", "csv"])
        return {line.split(",")[0]: line.endswith("True") for line in capsys.readouterr().out.splitlines()[1:]}

    assert checked()["time for which days have been pending [s]"]
    assert checked()["hosts whose balance of seven days does not close"]
    store = Store("sqlite:///footprint.db")
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE batch SET imported_us = imported_us - 1000000000")
    assert not checked()["time for which days have been pending [s]"]
    assert status_of(["balance"]) == 0
    assert status_of(["check", "--min-coverage", "0"]) == 6
    status_of(["doctor"])
    assert "aggregation is behind: days pending since" in capsys.readouterr().err
    assert status_of(["aggregate"]) == 0
    assert checked()["time for which days have been pending [s]"]


def test_requests_do_not_make_old_readings_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    assert status_of(["import", "energy", write(tmp_path / "e.csv", energy_lines(START, 600, 60))]) == 0
    at_s = now_us() // 1_000_000 - 60
    requests = ["start,end,service,use_case", f"{at_s},{at_s + 1},chat,drafting"]
    assert status_of(["import", "requests", write(tmp_path / "r.csv", requests)]) == 0
    capsys.readouterr()
    assert status_of(["check", "--min-coverage", "0", "--format", "csv"]) == 6
    age = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("age of the last reading"))
    assert age.endswith("False")


def test_an_empty_store_has_nothing_to_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    Store(f"sqlite:///{tmp_path / 'footprint.db'}").close()
    assert status_of(["ledger", "seal"]) == 0  # writes a head of no chain
    assert status_of(["ledger", "verify"]) == 7
    (tmp_path / "empty").mkdir()
    assert status_of(["ledger", "verify", "empty"]) == 7
    out, err = capsys.readouterr()
    assert "as it was sealed" not in out + err
    assert err.count("nothing to verify") == 2
    assert status_of(["import", "energy", write(tmp_path / "e.csv", energy_lines(START, 3600, 60))]) == 0
    assert status_of(["ledger", "verify"]) == 0
    assert "nothing is sealed yet, and no balance is computed yet" in capsys.readouterr().err
    assert status_of(["aggregate"]) == 0
    assert status_of(["ledger", "verify"]) == 0
    assert "nothing is sealed yet, and every balance closes" in capsys.readouterr().err


def test_a_sealed_folder_that_is_gone_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footprint.toml").write_text(CONFIG)
    assert status_of(["import", "energy", write(tmp_path / "e.csv", energy_lines(START, 3600, 60))]) == 0
    assert status_of(["aggregate"]) == 0
    assert status_of(["ledger", "seal"]) == 0
    assert status_of(["ledger", "verify"]) == 0
    assert "as it was sealed, and every balance closes" in capsys.readouterr().err
    folder = next(path.parent for path in tmp_path.rglob("chains"))
    shutil.move(folder, tmp_path / "elsewhere")
    assert status_of(["ledger", "verify"]) == 6
    assert "parts were sealed, and no chain is there" in capsys.readouterr().out
    assert printed_rows(capsys, "balance")[0]["state"] == "closes"
