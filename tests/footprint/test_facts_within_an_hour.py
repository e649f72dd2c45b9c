"""A fact that changes within an hour loses no energy of that hour, of whomever it says nothing."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from tests.quarters import CONFIG, organisation


def test_a_service_that_begins_within_an_hour_leaves_every_joule_in_a_row(tmp_path: Path) -> None:
    later = CONFIG.replace('name = "code"\n', 'name = "code"\nsince = "2026-07-01T10:15:00Z"\n', 1)
    _, store = organisation(tmp_path / "later", "2026-07-01", "2026-07-03", later)
    with store.read() as connection:
        stored = connection.execute(text("SELECT slot, SUM(active_uj + idle_uj) FROM footprint_row GROUP BY slot ORDER BY slot")).all()
        read = connection.execute(text("SELECT slot, SUM(energy_uj) FROM footprint_seen GROUP BY slot ORDER BY slot")).all()
    store.close()
    # The processor has no use case: its energy is the host's part of the rows, in every hour alike.
    gpus = [int(b[1]) - int(a[1]) for a, b in zip(stored, read, strict=True)]
    assert min(gpus) > 80 * 3600 * 1_000_000
    assert max(gpus) < 91 * 3600 * 1_000_000
