"""An open day grows slot by slot, conserves its energy at every step, and is computed whole at its close."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.config import parse_config
from footprint.core.records import EnergyReading, RequestRecord, to_line
from footprint.core.units import US_PER_S
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S

FACTS = parse_config("""
[organisation]
timezone = "Europe/Paris"
[[host]]
name = "a"
uplift = [1.0, 1.0, 1.0]
[[host]]
name = "b"
uplift = [1.0, 1.0, 1.0]
[[service]]
name = "chat"
devices = ["a/gpu:0", "b/gpu:0"]
[[service]]
name = "code"
devices = ["a/gpu:1"]
""")
DAY = DAY_S // 86_400
DEVICES = (("a", "gpu:0"), ("a", "gpu:1"), ("a", "cpu:0"), ("b", "gpu:0"), ("b", "cpu:0"))
STEP_S = 300
Shipments = list[tuple[int, list[Any]]]  # instant at which they arrive [s], records


def shipments(days: int, seed: int, step_s: int = STEP_S) -> Shipments:
    """Readings of two hosts and requests to two services, as they arrive, some of them late."""
    luck, counters, arrivals = random.Random(seed), dict.fromkeys(DEVICES, 0), defaultdict(list)
    for number, second in enumerate(range(0, days * 86_400, step_s)):
        at_s = DAY_S + second
        late_s = luck.choice([0, 0, 0, 0, 0, 3 * step_s, 2 * 3600])
        for host, device in DEVICES:
            counters[host, device] += luck.randrange(1, 10**9)
            component, source = ("cpu", "rapl") if device == "cpu:0" else ("gpu", "nvml-energy")
            reading = EnergyReading(
                host, device, component, source, "e", number, at_s * US_PER_S, counters[host, device], second * US_PER_S
            )
            arrivals[at_s + (late_s if host == "a" else 0)].append(reading)
        for service in ("chat", "code"):
            start_s = at_s - luck.choice([10, 200, 4000])
            arrivals[at_s].append(
                RequestRecord(
                    start_s * US_PER_S,
                    service,
                    luck.choice(["drafting", "search"]),
                    (at_s - 5) * US_PER_S,
                    model="m",
                    requests=luck.choice([1, 1, 3]),
                    output_tokens=luck.randrange(9, 500),
                    id=f"{service}{at_s}",
                )
            )
    return sorted(arrivals.items())


class Grown:
    """A store into which shipments come one after the other."""

    def __init__(self, path: Path) -> None:
        self.store = Store(f"sqlite:///{path}")
        self.ingest = IngestService(self.store, lambda _model: set())
        self.last: dict[tuple[str, str], tuple[int, int]] = {}
        self.first: dict[tuple[str, str], tuple[int, int]] = {}
        self.requests = 0

    def take(self, at_s: int, records: list[Any]) -> None:
        assert self.ingest.accept(None, [to_line(record).encode() for record in records], at_s * US_PER_S).rejects == []
        for record in records:
            if isinstance(record, RequestRecord):
                self.requests += record.requests
            else:
                key, value = (record.host, record.device), (record.at_us, record.energy_uj)
                self.last[key] = max(self.last.get(key, value), value)
                self.first[key] = min(self.first.get(key, value), value)

    def run(self, at_s: int) -> Any:
        return aggregate(self.store, FACTS, shipped_book(), at_s * US_PER_S)

    def rows(self, at_s: int, *group: str, every: str = "hour", from_us: int | None = None) -> list[dict[str, Any]]:
        return run_query(self.store, FACTS, Query(group, every, from_us), at_s * US_PER_S).rows

    def read_kwh(self) -> float:
        """Energy of the counters so far."""
        return sum(value - self.first[key][1] for key, (_, value) in self.last.items()) / 3.6e12

    def blocks(self) -> dict[int, tuple[int, int]]:
        """Extent [s] of the blocks of the last day, by number."""
        with self.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT id, first_s, last_s FROM figure_block WHERE tier = 0").all()
        last = max((row[2] for row in rows), default=0)
        return {row[0]: (row[1], row[2]) for row in rows if row[2] > last - 86_400}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_an_open_day_closes_at_every_step_and_ends_as_if_computed_once(tmp_path: Path, seed: int) -> None:
    grown, once, luck = Grown(tmp_path / "grown.db"), Grown(tmp_path / "once.db"), random.Random(seed)
    arrived = shipments(2, seed)
    for at_s, records in arrived:
        for place in (grown, once):
            place.take(at_s, records)
        if luck.random() < (0.02 if at_s < DAY_S + 86_400 else 0.08):
            grown.run(at_s + 1)
            total = grown.rows(at_s, every="all")[0]
            assert total["accelerator_active_kwh"] + total["accelerator_idle_kwh"] + total["host_kwh"] == pytest.approx(
                grown.read_kwh(), rel=1e-10
            )
            assert total["requests"] == grown.requests
            assert sum(row["requests"] or 0 for row in grown.rows(at_s, "service")) == grown.requests
            assert grown.run(at_s + 2).computed == 0
    end_s = DAY_S + 2 * 86_400 + 600
    grown.run(end_s)
    once.run(end_s)
    for group in (("service", "use_case", "host", "device"), ("host",), ("use_case", "model")):
        assert grown.rows(end_s, *group) == once.rows(end_s, *group)
    assert grown.run(end_s).computed == 0
    assert aggregate(grown.store, FACTS, shipped_book(), end_s * US_PER_S, verify=True).computed == 0


def test_hours_that_new_data_do_not_touch_are_kept(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "grown.db")
    arrived = [
        (
            at_s,
            [record for record in records if getattr(record, "end_us", None) is None or record.end_us - record.start_us < 10**9],
        )
        for at_s, records in shipments(2, 3, 1200)
    ]
    kept: list[set[int]] = []
    for at_s, records in arrived:
        grown.take(at_s, records)
        if at_s > DAY_S + 86_400 + 7200 and at_s % 3600 == 2400:
            before = grown.blocks()
            grown.run(at_s + 1)
            after = grown.blocks()
            gone = [before[number] for number in before.keys() - after.keys() if before[number][1] - before[number][0] < 86_400]
            kept.append(set(before) & set(after))
            assert all(last > at_s - 3 * 3600 for _, last in gone)  # the latest shipment is two hours late
    assert all(kept[2:])
    assert len(kept[-1]) > 8
