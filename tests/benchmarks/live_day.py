"""A live service: what a run costs with nothing to do, and after ten seconds of new readings at the end of an open day.

python -m tests.benchmarks.live_day --hosts 30 --devices 4 --requests 72000 --services 6
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from footprint.aggregation.aggregate import aggregate
from footprint.config import parse_config
from footprint.core.records import EnergyReading, Record, RequestRecord, to_line
from footprint.core.units import US_PER_S
from footprint.impact.factor_book import shipped_book
from footprint.ledger.importers import import_energy, import_requests
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store
from tests.benchmarks.ministry import DAY_0_S, DAY_S, SAMPLE_S, Ministry, write_files

RUNS = 4
POWER_W = 300


def live_costs(ministry: Ministry, folder: Path) -> tuple[float, float, float]:
    """Processor seconds of `aggregate` over a whole day, after ten seconds of readings at the end of the next, and idle."""
    write_files(ministry, folder)
    facts, store = parse_config(ministry.config()), Store(f"sqlite:///{folder / 'footprint.db'}")
    end_s = DAY_0_S + 2 * DAY_S - 600  # readings of the second day before are those of the first

    def run(now_s: int) -> float:
        start = time.process_time()
        aggregate(store, facts, shipped_book(), now_s * US_PER_S)
        return time.process_time() - start

    for day in (0, 1):
        import_energy(store, str(_of_day(folder / "energy.parquet", ("time",), day, end_s)), end_s * US_PER_S)
        import_requests(store, facts, str(_of_day(folder / "requests.parquet", ("start", "end"), day, end_s)), end_s * US_PER_S)
        whole = run(end_s)
    ingest, live = IngestService(store, lambda _model: set()), []
    for number in range(RUNS):
        at_s = end_s + number * SAMPLE_S
        ingest.accept(None, [to_line(record).encode() for record in _records(ministry, at_s)], at_s * US_PER_S)
        live.append(run(at_s))
    idle = min(run(at_s) for _ in range(RUNS))
    store.close()
    return whole, min(live), idle


def _of_day(path: Path, columns: tuple[str, ...], day: int, end_s: int) -> Path:
    """The file, moved by some days, up to an instant."""
    table = pq.read_table(path)
    for name in columns:
        moved = pc.add(table[name], float(day * DAY_S))
        table = table.set_column(table.schema.get_field_index(name), name, moved)
    part = path.with_name(f"part-{path.name}")
    pq.write_table(table.filter(pc.less(table[columns[0]], end_s)), part)
    return part


def _records(ministry: Ministry, at_s: int) -> list[Record]:
    """One reading of each device, and the requests of ten seconds."""
    at_us, records = at_s * US_PER_S, list[Record]()
    for host in (host for service in range(ministry.services) for host in ministry.hosts_of(service)):
        for device in range(ministry.devices):
            energy_uj = (at_s - DAY_0_S) * POWER_W * US_PER_S
            records.append(EnergyReading(host, f"gpu:{device}", "gpu", "nvml-energy", "e", 1, at_us, energy_uj, 0))
    for number in range(max(ministry.requests * SAMPLE_S // DAY_S, 1)):
        start_us = at_us - 9 * US_PER_S + number
        service = f"service-{number % ministry.services:02}"
        records.append(RequestRecord(start_us, service, "chat", at_us, model="m", output_tokens=200, id=f"{at_s}-{number}"))
    return records


def rows() -> list[tuple[str, float, float | None]]:
    """(label, measured, peer or limit) of a small ministry: processor seconds of `aggregate`."""
    with tempfile.TemporaryDirectory() as name:
        whole, live, idle = live_costs(Ministry(hosts=10, devices=2, requests=20_000, services=2), Path(name))
    return [
        ("aggregate: ten seconds at the end of a day / a day", live, whole),
        ("aggregate: nothing to do / 0.05 s", idle, 0.05),
    ]


def main() -> None:
    """Print the costs of a ministry of a given size."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("hosts", "devices", "requests", "services"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Ministry(), name))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs = live_costs(Ministry(given.hosts, given.devices, given.requests, given.services), Path(folder))
    print("processor seconds: a day {:.2f}, ten seconds at its end {:.2f}, idle {:.4f}".format(*costs))


if __name__ == "__main__":
    main()
