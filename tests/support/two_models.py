"""A store of one day in which two simulated models serve the same use cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from footprint.config import Config, parse_config
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage.database import Store
from tests.simulation.server import SMALL, Day, Kind, simulate, write_files
from tests.support.contract_files import DAY_S, NOW_US, compute

TEXT = """
[organisation]
timezone = "UTC"
[[site]]
name = "s"
pue = [1, 1, 1]
[[host]]
name = "h"
site = "s"
uplift = [1, 1, 1]
[[service]]
name = "large"
model = "m-large"
devices = ["h/gpu:0"]
[[service]]
name = "small"
model = "m-small"
devices = ["h/gpu:1"]
[[evaluation]]
model = "m-large"
score = [0.8, 0.9, 0.95]
answers = 100
source = "a test"
[[evaluation]]
model = "m-small"
use_case = "letters"
score = 0.7
source = "a test"
[[action]]
cause = "empty hours, nights and weekends"
service = "small"
owner = "operations"
status = "under-way"
since = "2026-07-01"
[[action]]
cause = "failed requests"
owner = "gateway"
status = "done"
"""
KINDS = (Kind("letters", 6000, 800, 300), Kind("notes", 900, 4000, 40))
LARGE = replace(SMALL, step_j=12.0, step_s=0.03, token_j=0.3, prefill_j=0.1, kinds=KINDS)


def two_models(folder: Path) -> tuple[Store, Config, dict[str, Day]]:
    """Aggregated store, configuration, and the simulated day of each service."""
    facts, store = parse_config(TEXT), Store(f"sqlite:///{folder / 'store.db'}")
    days = {
        "large": simulate(LARGE, 1),
        "small": simulate(replace(SMALL, kinds=tuple(replace(kind, hours="day") for kind in KINDS)), 2),
    }
    for index, (service, day) in enumerate(days.items()):
        energy, requests = write_files(
            day, folder, host="h", service=service, begin_s=DAY_S, seed=index, gain=0.0, name=service, places=(f"gpu:{index}",)
        )
        import_energy(store, str(energy), NOW_US)
        import_requests(store, facts, str(requests), NOW_US)
    compute(store, facts)
    return store, facts, days
