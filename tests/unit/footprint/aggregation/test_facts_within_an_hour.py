"""A fact that changes within an hour loses no energy of that hour, of whomever it says nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from footprint.aggregation import aggregate as aggregate_module
from footprint.aggregation.executors import ComputedDay
from footprint.attribution.shard import ClosureError
from footprint.storage.database import Store
from footprint.storage.figure_blocks import ShardTables
from tests.support.contract_files import START, compute, config, energy_lines, import_files, query_rows, request_lines
from tests.support.figure_rows import figure_rows
from tests.support.quarters import CONFIG, organisation


def test_a_service_that_begins_within_an_hour_leaves_every_joule_in_a_row(tmp_path: Path) -> None:
    later = CONFIG.replace('name = "code"\n', 'name = "code"\nsince = "2026-07-01T10:15:00Z"\n', 1)
    _, store = organisation(tmp_path / "later", "2026-07-01", "2026-07-03", later)
    stored = figure_rows(store, "energy", "SELECT start_s, SUM(active_uj + idle_uj) FROM rows GROUP BY start_s ORDER BY start_s")
    read = figure_rows(store, "coverage", "SELECT start_s, SUM(energy_uj) FROM rows GROUP BY start_s ORDER BY start_s")
    store.close()
    # The processor has no use case: its energy is the host's part of the rows, in every hour alike.
    gpus = [int(b[1]) - int(a[1]) for a, b in zip(stored, read, strict=True)]
    assert min(gpus) > 80 * 3600 * 1_000_000
    assert max(gpus) < 91 * 3600 * 1_000_000


def test_rows_that_miss_a_microjoule_are_not_stored(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_files(store, config(), tmp_path, energy_lines(START, 7200), request_lines(START, 7200, 20))
    compute(store, config())
    before = query_rows(store, config(), group=("service",))
    intact = aggregate_module.store_days

    def lose_a_microjoule(target: Store, facts: object, days: list[tuple[ComputedDay, object]]) -> None:
        ((computed, stamp),) = days
        tables = dict(computed.tables.tables)
        if "energy" in tables:
            active = tables["energy"]["active_uj"]
            tables["energy"] = {**tables["energy"], "active_uj": active + 1}
        changed = replace(computed, tables=ShardTables(computed.tables.names, computed.tables.bases, tables))
        intact(target, facts, [(changed, stamp)])  # type: ignore[arg-type, list-item]

    monkeypatch.setattr(aggregate_module, "store_days", lose_a_microjoule)
    with pytest.raises(ClosureError, match="nothing of this day was stored"):
        compute(store, config(), force=True)
    assert query_rows(store, config(), group=("service",)) == before
