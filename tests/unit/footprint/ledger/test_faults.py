"""Faults of a ledger: after each, nothing is lost or duplicated and the energy balance closes.

Elsewhere: power cut between a write and its acknowledgement, and full disks of agents (tests/e2e/test_kills.py); the server killed
under many agents (tests/e2e/test_ingest.py); torn and changed files (test_archive_writer.py); two schedulers (tests/unit/footprint/server/test_jobs.py);
poison records (test_ingest.py, test_bad_input.py); clocks set back (tests/unit/collectors/test_schedules.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event

from footprint.access.agent_tokens import add_token
from footprint.core.records import EnergyReading, to_line
from footprint.figures import Query, run_query
from footprint.ledger import verifier
from footprint.ledger.archive_writer import seal
from footprint.ledger.importers import import_energy
from footprint.ledger.object_store import ObjectStore, ObjectStoreError
from footprint.queries.energy_balance import energy_balance
from footprint.storage import schema
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, write
from tests.support.ledger_contents import count
from tests.support.services import api_over, local_client
from tests.support.three_days import FACTS, import_all, rendered_answers

US = 1_000_000


def closes(store: Store) -> bool:
    rows = energy_balance(store, FACTS, None, None)
    return bool(rows) and all(row["closes"] for row in rows)


def hours(days: range, device: str) -> list[str]:
    """Readings of one device every ten minutes."""
    return [
        f"{DAY_S + 86_400 * day + second},a,{device},gpu,{100 + second // 600}"
        for day in days
        for second in range(0, 86_400, 600)
    ]


HEAD = "time,host,device,component,power_w"


@pytest.mark.parametrize("length", [50, pytest.param(365, marks=pytest.mark.slow)])
def test_many_days_of_late_data_at_once(sqlite: Store, tmp_path: Path, length: int) -> None:
    days = range(-length, 0)
    import_energy(sqlite, write(tmp_path / "a.csv", [HEAD, *hours(days, "gpu:0")]), NOW_US)
    compute(sqlite, FACTS)
    archive = ObjectStore(str(tmp_path / "sealed"))
    first = seal(sqlite, archive, NOW_US, after_days=2, keep_days=62)
    assert (first.parts >= length, first.retired > 0) == (True, True)
    import_energy(sqlite, write(tmp_path / "late.csv", [HEAD, *hours(days, "gpu:1")]), NOW_US)
    compute(sqlite, FACTS)
    summary = seal(sqlite, archive, NOW_US, after_days=2, keep_days=62)
    assert summary.supplements == length
    assert verifier.verify(tmp_path / "sealed")[0] == []
    assert closes(sqlite)
    complete = Store(f"sqlite:///{tmp_path / 'whole.db'}")
    import_energy(complete, write(tmp_path / "all.csv", [HEAD, *sorted([*hours(days, "gpu:0"), *hours(days, "gpu:1")])]), NOW_US)
    compute(complete, FACTS)
    question = Query(group=("device",), every="month")
    assert run_query(sqlite, FACTS, question, NOW_US).rows == run_query(complete, FACTS, question, NOW_US).rows
    complete.close()


def test_an_unwritable_archive_loses_nothing(store: Store, tmp_path: Path) -> None:
    import_all(store, tmp_path)
    compute(store, FACTS)
    before, readings = rendered_answers(store), count(store, schema.Reading)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ObjectStoreError, match="cannot write"):
        seal(store, ObjectStore(str(tmp_path / "file" / "sealed")), NOW_US, after_days=2, keep_days=3)
    assert count(store, schema.Reading) == readings
    assert rendered_answers(store) == before
    assert seal(store, ObjectStore(str(tmp_path / "sealed")), NOW_US, after_days=2, keep_days=3).retired > 0
    compute(store, FACTS, force=True)
    assert rendered_answers(store) == before
    assert closes(store)


def test_a_full_disk_acknowledges_no_unstored_record(sqlite: Store) -> None:
    api = api_over(sqlite, FACTS, lambda: NOW_US)
    client = local_client(api)
    headers = {"Authorization": f"Bearer {add_token(sqlite, 'a', NOW_US)}"}

    def body(first: int) -> str:
        return "\n".join(
            to_line(EnergyReading("a", "GPU-x", "gpu", "nvml-energy", "e", n, (DAY_S + n) * US, n * US, n * US))
            for n in range(first, first + 5000)
        )

    assert client.post("/api/v1/ingest", content=body(0), headers=headers).status_code == 200
    limits = []
    with sqlite.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    event.listen(sqlite.engine, "begin", lambda c: limits.append(c.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar()))
    answer = client.post("/api/v1/ingest", content=body(5000), headers=headers)
    assert answer.status_code == 503
    assert count(sqlite, schema.Reading) == 5000
    pages = 10**6
    assert client.post("/api/v1/ingest", content=body(5000), headers=headers).json()["accepted"] == 5000
    compute(sqlite, FACTS)
    assert closes(sqlite)
