"""Distinct users: margins, duplicates, conflicts."""

from pathlib import Path

from footprint.ledger.importing import import_users
from footprint.store import Store
from tests.walk import NOW_US, write

HEADER = "period,service,use_case,users,max_share,teams"


def test_cells_and_margins_are_kept_once(store: Store, tmp_path: Path) -> None:
    lines = [HEADER, "2026-Q3,chat,drafting,12,0.4,3", "2026-Q3,chat,,15,,", "2026-Q5,chat,,15,,", "2026-Q3,,,x,,"]
    done = import_users(store, write(tmp_path / "u.csv", lines), NOW_US)
    assert (done.accepted, [reject.line for reject in done.rejects]) == (2, [4, 5])
    again = import_users(store, write(tmp_path / "v.csv", [HEADER, lines[1], "2026-Q3,chat,,16,,"]), NOW_US)
    assert (again.accepted, again.duplicates) == (0, 1)
    assert again.rejects[0].reason.startswith("conflict")
