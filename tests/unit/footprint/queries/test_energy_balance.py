"""The balance asks as few questions of a long period as of a short one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event

from footprint.queries.energy_balance import energy_balance
from footprint.storage.database import Store
from tests.support.contract_files import START, compute
from tests.support.three_days import FACTS, HOURS, import_all

HOUR_US = 3_600_000_000


def asked(store: Store, hours: int) -> int:
    """Statements of a balance over some hours; it closes."""
    statements: list[str] = []
    with store.read() as connection:
        engine = connection.engine
    record = lambda *told: statements.append(told[2])  # noqa: E731 - a listener that can be taken off again
    event.listen(engine, "before_cursor_execute", record)
    try:
        rows = energy_balance(store, FACTS, START * 1_000_000, START * 1_000_000 + hours * HOUR_US)
    finally:
        event.remove(engine, "before_cursor_execute", record)
    assert rows
    assert all(row["closes"] for row in rows)
    return len(statements)


def test_questions_do_not_grow_with_days(sqlite: Store, tmp_path: Path) -> None:
    import_all(sqlite, tmp_path / "in")
    compute(sqlite, FACTS)
    short, long = asked(sqlite, 2), asked(sqlite, HOURS)
    assert 0 < long <= short + 1
    assert long < 26  # one of them reads the certificates
