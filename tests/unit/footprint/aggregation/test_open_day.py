"""An open day grows slot by slot, conserves its energy at every step, and is computed whole at its close."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from footprint.aggregation.aggregate import aggregate
from footprint.config import parse_config
from footprint.core.records import EnergyReading, RequestRecord, to_line
from footprint.core.units import US_PER_HOUR, US_PER_S
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store
from tests.simulation.server import VARIANTS, simulate, write_files
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
        assert not self.ingest.accept(None, [to_line(record).encode() for record in records], at_s * US_PER_S).rejects
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


@pytest.mark.slow
def test_the_fit_of_the_day_before_divides_an_open_day(tmp_path: Path) -> None:
    """Use cases get their true shares of the morning, and of the hours that are added to it."""
    law = VARIANTS["low-load"]
    facts = parse_config(
        '[organisation]\ntimezone = "UTC"\n[[service]]\nname = "chat"\ndevices = ["a/gpu:0", "a/gpu:1", "a/gpu:2", "a/gpu:3"]\n'
    )
    store, days = Store(f"sqlite:///{tmp_path / 'one.db'}"), [simulate(law, seed) for seed in (1, 2)]
    for number, day in enumerate(days):
        begin_s = DAY_S + number * 86_400
        energy, requests = write_files(day, tmp_path, host="a", service="chat", begin_s=begin_s, gain=0.0)
        until = [1.0] if number == 0 else [11 / 24, 12 / 24, 13 / 24]
        for part in until:
            end_s = begin_s + round(part * 86_400)
            import_energy(store, _lines_until(energy, end_s, 0), end_s * US_PER_S)
            import_requests(store, facts, _lines_until(requests, end_s, 1), end_s * US_PER_S)
            if number == 1:  # an agent that sends what is known opens the day
                line = energy.read_text(encoding="utf-8").splitlines()[1].split(",")
                known = EnergyReading(
                    "a", "gpu:0", "gpu", "nvml-energy", "e", 1, int(line[0]) * US_PER_S, round(float(line[4]) * 1e6), 0
                )
                IngestService(store, lambda _model: set()).accept(None, [to_line(known).encode()], end_s * US_PER_S)
            summary = aggregate(store, facts, shipped_book(), end_s * US_PER_S)
            assert summary.computed >= 1
    assert summary.provisional >= 1
    begin_us = (DAY_S + 86_400) * US_PER_S
    for low, high in ((0, 10), (10, 13)):
        query = Query(("use_case",), "all", begin_us + low * US_PER_HOUR, begin_us + high * US_PER_HOUR)
        active = {row["use_case"]: row["accelerator_active_kwh"] for row in run_query(store, facts, query, begin_us * 2).rows}
        inside = (days[1].start_s >= low * 3600) & (days[1].start_s < high * 3600)
        truth = np.bincount(days[1].use_case[inside], weights=days[1].true_j[inside], minlength=len(law.kinds))
        shares = np.array([active[kind.name] for kind in law.kinds])
        assert np.abs(shares / shares.sum() - truth / truth.sum()).sum() < 0.02


def _lines_until(path: Path, end_s: int, column: int) -> str:
    header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    part = path.with_name("part.csv")
    part.write_text(header + "".join(line for line in lines if float(line.split(",")[column]) <= end_s), encoding="utf-8")
    return str(part)
