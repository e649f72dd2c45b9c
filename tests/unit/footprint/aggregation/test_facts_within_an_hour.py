"""A fact that changes within an hour loses no energy of that hour, of whomever it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from footprint.attribution.shard import ClosureError
from footprint.storage.database import Store
from tests.support.contract_files import START, compute, config, energy_lines, import_files, query_rows, request_lines
from tests.support.quarters import CONFIG, organisation


def test_a_service_that_begins_within_an_hour_leaves_every_joule_in_a_row(tmp_path: Path) -> None:
    later = CONFIG.replace('name = "code"\n', 'name = "code"\nsince = "2026-07-01T10:15:00Z"\n', 1)
    _, store = organisation(tmp_path / "later", "2026-07-01", "2026-07-03", later)
    with store.read() as connection:
        stored = connection.execute(
            text("SELECT slot, SUM(active_uj + idle_uj) FROM footprint_row GROUP BY slot ORDER BY slot")
        ).all()
        read = connection.execute(text("SELECT slot, SUM(energy_uj) FROM footprint_seen GROUP BY slot ORDER BY slot")).all()
    store.close()
    # The processor has no use case: its energy is the host's part of the rows, in every hour alike.
    gpus = [int(b[1]) - int(a[1]) for a, b in zip(stored, read, strict=True)]
    assert min(gpus) > 80 * 3600 * 1_000_000
    assert max(gpus) < 91 * 3600 * 1_000_000


def test_a_row_that_is_there_already_ends_the_day_and_what_stood_stays(store: Store, tmp_path: Path) -> None:
    """What would be left out in silence is an energy lost: as where rows do not sum to the readings, nothing is stored."""
    import_files(store, config(), tmp_path, energy_lines(START, 7200), request_lines(START, 7200, 20))
    compute(store, config())
    before = query_rows(store, config(), group=("service",))
    with store.begin() as connection:
        connection.execute(text("UPDATE footprint_row SET shard_id = shard_id + 1000"))
    with pytest.raises(ClosureError, match="rows of this day already exist"):
        compute(store, config(), force=True)
    assert query_rows(store, config(), group=("service",)) == before
