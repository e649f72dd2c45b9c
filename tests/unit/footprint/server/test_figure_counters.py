"""Counters at /metrics never fall, and their rate is that of what was consumed, whatever is computed again or taken back."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.api.health import METRICS
from footprint.config import Config
from footprint.core.records import EnergyReading, to_line
from footprint.core.units import J_PER_KWH
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.import_batches import list_batches, withdraw_batch
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ingest import IngestService
from footprint.server.figure_counters import STATE
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, DAY_S, NOW_US, config, write
from tests.support.services import api_over, local_client

SAMPLE = re.compile(r'^(footprint_\w+)\{service="([^"]*)"\} (\S+)$', re.MULTILINE)
COUNTERS = ("footprint_energy_joules_total", "footprint_co2e_location_grams_total", "footprint_requests_total")
CHEAP = CONFIG.replace("pue = 1.35", "pue = 1.05")
Samples = dict[tuple[str, str], float]


def scraped(store: Store, facts: Config, now_us: int = NOW_US) -> Samples:
    """What Prometheus reads, after days were computed."""
    aggregate(store, facts, shipped_book(), now_us)
    text = local_client(api_over(store, facts, lambda: now_us)).get("/metrics").text
    return {(name, service): float(value) for name, service, value in SAMPLE.findall(text)}


def figure_j(store: Store, facts: Config, service: str = "chat") -> float:
    rows = run_query(store, facts, Query(group=("service",)), NOW_US).rows
    return sum(row["energy_kwh"] for row in rows if row["service"] == service) * J_PER_KWH


def assert_none_fell(scrapes: list[Samples]) -> None:
    for before, after in pairwise(scrapes):
        for (name, service), value in before.items():
            if name in COUNTERS:
                assert after[name, service] >= value, (name, service)


def day_of_energy(store: Store, folder: Path, day: int, watts: float) -> None:
    """An hour at a power, and one request, of a day after 1 July 2026."""
    at_s = DAY_S + day * 86_400
    lines = ["time,host,device,component,power_w", *(f"{at_s + s},a,gpu:0,gpu,{watts}" for s in range(0, 3601, 60))]
    import_energy(store, write(folder / f"e{day}.csv", lines), NOW_US)
    requests = ["start,end,service,use_case,output_tokens,id", f"{at_s + 60},{at_s + 600},chat,drafting,9,r{day}"]
    import_requests(store, config(), write(folder / f"r{day}.csv", requests), NOW_US)


def withdraw_energy(store: Store, day: int) -> None:
    batch = next(each for each in list_batches(store) if each["name"].endswith(f"e{day}.csv"))
    withdraw_batch(store, batch["id"], "another machine", NOW_US)


def test_a_withdrawal_takes_nothing_from_the_counter_and_later_energy_still_counts(sqlite: Store, tmp_path: Path) -> None:
    facts, joules = config(), 3600 * 1.2 * 1.35  # of an hour at 1 W
    energy, restated = ("footprint_energy_joules_total", "chat"), ("footprint_restated_energy_joules", "chat")
    day_of_energy(sqlite, tmp_path, 0, 300)
    scrapes = [scraped(sqlite, facts)]
    assert scrapes[0][energy] == pytest.approx(300 * joules)
    assert scrapes[0][restated] == 0
    withdraw_energy(sqlite, 0)
    scrapes.append(scraped(sqlite, facts))
    assert scrapes[1][energy] == scrapes[0][energy]
    assert scrapes[1][restated] == pytest.approx(300 * joules)
    day_of_energy(sqlite, tmp_path, 3, 100)
    scrapes.append(scraped(sqlite, facts))
    assert scrapes[2][energy] - scrapes[1][energy] == pytest.approx(100 * joules)  # what a rate shows
    assert scrapes[2][restated] == pytest.approx(300 * joules)
    assert scrapes[2]["footprint_requests_total", "chat"] == 2
    assert_none_fell(scrapes)
    assert scraped(Store(sqlite.url), facts) == scrapes[-1]  # a restart, or another server of the store


def test_another_factor_or_fact_takes_nothing_from_the_counter(sqlite: Store, tmp_path: Path) -> None:
    day_of_energy(sqlite, tmp_path, 0, 300)
    scrapes = [scraped(sqlite, config()), scraped(sqlite, config(CHEAP)), scraped(sqlite, config(CHEAP))]
    assert_none_fell(scrapes)
    energy = scrapes[-1]["footprint_energy_joules_total", "chat"]
    restated = scrapes[-1]["footprint_restated_energy_joules", "chat"]
    assert energy == scrapes[0]["footprint_energy_joules_total", "chat"]
    assert restated == pytest.approx(energy * (1 - 1.05 / 1.35))
    assert energy - restated == pytest.approx(figure_j(sqlite, config(CHEAP)))


def test_any_order_of_imports_corrections_and_withdrawals_never_lowers_a_counter(sqlite: Store, tmp_path: Path) -> None:
    luck = random.Random(5)
    facts, present, scrapes = config(), set[int](), list[Samples]()
    for day in range(14):
        step = luck.choice(["import", "import", "withdraw", "edit"])
        if step == "withdraw" and present:
            withdraw_energy(sqlite, present.pop())
        elif step == "edit":
            facts = config(luck.choice([CONFIG, CHEAP]))
        else:
            day_of_energy(sqlite, tmp_path, day, luck.randrange(50, 400))
            present.add(day)
        scrapes.append(scraped(sqlite, facts))
        kept = scrapes[-1]["footprint_energy_joules_total", "chat"] - scrapes[-1]["footprint_restated_energy_joules", "chat"]
        assert kept == pytest.approx(figure_j(sqlite, facts))
    assert_none_fell(scrapes)


def shipped(store: Store, at_s: int, joules: dict[str, int], seq: Iterator[int]) -> None:
    """Readings that an agent sends: cumulative energy of devices at an instant."""
    readings = [
        EnergyReading("a", device, "gpu", "nvml-energy", "e1", next(seq), at_s * 1_000_000, energy_j * 1_000_000, 0, alias=device)
        for device, energy_j in joules.items()
    ]
    IngestService(store, lambda _: {"chat"}).accept(None, [to_line(reading).encode() for reading in readings], at_s * 1_000_000)


def test_an_open_day_holds_its_highest_sum_and_counts_once_when_it_closes(sqlite: Store) -> None:
    seq, energy = iter(range(10_000)), ("footprint_energy_joules_total", "chat")
    scrapes, facts = [], config()
    for minute in range(0, 2 * 1440 + 60, 120):  # two midnights
        at_s = DAY_S + minute * 60
        shipped(sqlite, at_s, {"gpu:0": minute * 600, "gpu:1": minute * 60}, seq)
        scrapes.append(scraped(sqlite, facts if minute != 720 else config(CHEAP), at_s * 1_000_000))
    assert_none_fell(scrapes)
    assert scrapes[6][energy] == scrapes[5][energy]  # the lower PUE of one run
    assert scrapes[7][energy] > scrapes[6][energy]
    assert scrapes[-1][energy] == pytest.approx(figure_j(sqlite, facts), rel=1e-9)
    assert scrapes[-1]["footprint_restated_energy_joules", "chat"] == pytest.approx(0, abs=1)
    with sqlite.read() as connection:
        assert STATE in sqlite.meta(connection)


def test_every_figure_counter_has_its_gauge() -> None:
    kinds = {name: kind for name, kind, _ in METRICS}
    for counter in COUNTERS:
        gauge = counter.replace("footprint_", "footprint_restated_").removesuffix("_total")
        assert (kinds[counter], kinds[gauge]) == ("counter", "gauge")
