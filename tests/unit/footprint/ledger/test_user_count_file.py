"""Distinct users: margins, duplicates, conflicts and invalid cells."""

from pathlib import Path

import pytest
from sqlalchemy import select

from footprint.ledger.import_batches import withdraw_batch
from footprint.ledger.importers import import_users
from footprint.ledger.record_batch import UnreadableFile
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.support import ledger_contents as ledgers
from tests.support.contract_files import NOW_US, write

HEADER = "period,service,use_case,users,max_share,teams"


def cells(store: Store) -> set[tuple[object, ...]]:
    with store.read() as connection:
        rows = connection.execute(select(table(schema.Users)))
        return {(r.period, r.service, r.use_case, r.users, r.max_share, r.teams) for r in rows}


def test_cells_and_margins_are_stored_once(store: Store, tmp_path: Path) -> None:
    lines = [HEADER, "2026-Q3,chat,drafting,12,0.4,3", "2026-Q3,chat,,15,,", "2026-Q5,chat,,15,,", "2026-Q3,,,x,,"]
    result = import_users(store, write(tmp_path / "u.csv", lines), NOW_US)
    assert (result.accepted, [reject.line for reject in result.rejects]) == (2, [4, 5])
    again = import_users(store, write(tmp_path / "v.csv", [HEADER, lines[1], "2026-Q3,chat,,16,,"]), NOW_US)
    assert (again.accepted, again.duplicates) == (0, 1)
    assert again.rejects[0].reason.startswith("conflict")
    assert cells(store) == {("2026-Q3", "chat", "drafting", 12, 0.4, 3), ("2026-Q3", "chat", "", 15, None, None)}


@pytest.mark.parametrize("period", ["2026", "2026-Q1", "2026-Q4", "2026-01", "2026-12"])
def test_periods_are_years_quarters_and_months(sqlite: Store, tmp_path: Path, period: str) -> None:
    assert import_users(sqlite, write(tmp_path / "u.csv", [HEADER, f"{period},,,0,,"]), NOW_US).accepted == 1


@pytest.mark.parametrize(
    ("cell", "column"),
    [
        (",chat,,5,,", "period"),
        ("2026-Q0,chat,,5,,", "period"),
        ("2026-13,chat,,5,,", "period"),
        ("2026Q3,chat,,5,,", "period"),
        ("2026-7,chat,,5,,", "period"),
        ("2026-07-01,chat,,5,,", "period"),
        ("2026,chat,,,,", "users"),
        ("2026,chat,,-1,,", "users"),
        ("2026,chat,,1.5,,", "users"),
        ("2026,chat,,5,40,", "max_share"),
        ("2026,chat,,5,-0.1,", "max_share"),
        ("2026,chat,,5,nan,", "max_share"),
        ("2026,chat,,5,,few", "teams"),
    ],
)
def test_an_invalid_cell_is_rejected(sqlite: Store, tmp_path: Path, cell: str, column: str) -> None:
    result = import_users(sqlite, write(tmp_path / "u.csv", [HEADER, cell, "2026,ok,,1,1,1"]), NOW_US)
    assert result.accepted == 1
    assert [(reject.line, reject.column) for reject in result.rejects] == [(2, column)]


def test_identities_of_users_are_not_read(sqlite: Store, tmp_path: Path) -> None:
    lines = ["period,service,use_case,users,names", '2026,chat,,2,"ada; grace"']
    assert import_users(sqlite, write(tmp_path / "u.csv", lines), NOW_US).accepted == 1
    sqlite.close()
    assert all(b"grace" not in path.read_bytes() for path in tmp_path.glob("*.db*"))


def test_a_missing_required_column_stores_nothing(sqlite: Store, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="users"):
        import_users(sqlite, write(tmp_path / "u.csv", ["period,service,use_case", "2026,chat,"]), NOW_US)


def test_withdrawn_cells_are_unknown_again_unless_claimed(store: Store, tmp_path: Path) -> None:
    first_batch = import_users(store, write(tmp_path / "u.csv", [HEADER, "2026,chat,,2,,", "2026,code,,3,,"]), NOW_US)
    two = import_users(store, write(tmp_path / "v.csv", [HEADER, "2026,chat,,2,,"]), NOW_US)
    assert first_batch.batch
    assert two.batch
    assert withdraw_batch(store, first_batch.batch, "wrong", NOW_US) == 1
    assert cells(store) == {("2026", "chat", "", 2, None, None)}
    assert withdraw_batch(store, two.batch, "wrong too", NOW_US) == 1
    assert cells(store) == set()
    assert ledgers.count(store, schema.WithdrawnUsers) == 2
