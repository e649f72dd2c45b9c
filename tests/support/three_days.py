"""A ledger of three days and a set of queries over it, for the tests of sealing and retention."""

from __future__ import annotations

from pathlib import Path

from footprint.core.table_output import Format, render
from footprint.figures import Query, run_query
from footprint.ledger.importers import import_energy, import_requests
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, DAY_S, NOW_US, START, config, energy_lines, request_lines, write

FACTS = config(CONFIG)
DAY = DAY_S // 86_400
HOURS = 40  # spans two midnights
ENERGY, REQUESTS = energy_lines(START, HOURS * 3600, 60), request_lines(START, HOURS * 3600, 300)
QUERIES = [
    Query(),
    Query(group=("use_case", "service"), every="day"),
    Query(group=("host", "device")),
    Query(group=("service",), every="hour", view="full"),
    Query(group=("use_case",), from_us=(START // 3600 + 6) * 3_600_000_000, to_us=(START // 3600 + 28) * 3_600_000_000),
]


def rendered_answers(store: Store) -> bytes:
    """Results of all queries, as the command line prints them."""
    answers = [run_query(store, FACTS, query, NOW_US) for query in QUERIES]
    return b"".join(render(answer.columns, answer.rows, Format.json) for answer in answers)


def import_all(store: Store, folder: Path, energy: list[str] = ENERGY, requests: list[str] = REQUESTS) -> None:
    """Import the energy and request lines of the three days."""
    folder.mkdir(exist_ok=True)
    import_energy(store, write(folder / "e.csv", energy), NOW_US)
    import_requests(store, FACTS, write(folder / "r.csv", requests), NOW_US)
