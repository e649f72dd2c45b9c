"""Benchmarks of the ledger: import, hash chain, days computed from sealed files, shipments of many agents.

The plain insert puts tuples from memory into the same table of another database, in chunks of the same size and with the same
durability; the import also parses, validates, detects duplicates and versions the days.
"""

from __future__ import annotations

import gzip
import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import select

from footprint.access.agent_tokens import add_token
from footprint.config import parse_config
from footprint.core.records import EnergyReading, to_line
from footprint.ledger.archive_writer import ledger_rows, seal
from footprint.ledger.importers import import_energy
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.parquet_segments import pack_rows
from footprint.ledger.verifier import row_digests
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.support.contract_files import DAY_S, NOW_US, compute

READINGS, CHUNK = 1_000_000, 50_000
AGENTS, THREADS, LINES = 1000, 40, 60
HOSTS = 6
Row = tuple[str, float, float | None]


def readings_file(path: Path, hosts: int, devices: int, seconds: range) -> int:
    """Write a CSV file of power readings in order of time; return their number."""
    rng = np.random.default_rng(1)
    count = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("time,host,device,component,power_w\n")
        for second in seconds:
            watts = rng.integers(60, 700, hosts * devices).tolist()
            file.writelines(f"{DAY_S + second},h{n // devices},gpu:{n % devices},gpu,{watt}\n" for n, watt in enumerate(watts))
            count += len(watts)
    return count


def imports(folder: Path) -> list[Row]:
    """Import into SQLite against executemany of the same rows into the same table."""
    path = folder / "readings.csv"
    count = readings_file(path, 5, 8, range(READINGS // 40))
    store = Store(f"sqlite:///{folder / 'ours.db'}")
    start_s = time.perf_counter()
    result = import_energy(store, str(path), NOW_US)
    ours = time.perf_counter() - start_s
    assert result.accepted == count
    reading = table(schema.Reading)
    with store.read() as connection:
        rows = [tuple(row) for row in connection.execute(select(reading))]
    bare = Store(f"sqlite:///{folder / 'bare.db'}")
    names = ", ".join(column.name for column in reading.columns)
    marks = ", ".join("?" * len(reading.columns))
    start_s = time.perf_counter()
    for start in range(0, len(rows), CHUNK):
        with bare.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO reading ({names}) VALUES ({marks})", rows[start : start + CHUNK])
    peer = time.perf_counter() - start_s
    bare.close()
    with store.read() as connection:
        day = DAY_S // 86_400
        sealed_rows = ledger_rows(store, connection, "host h0", day)
    start_s = time.perf_counter()
    row_digests(list(zip(*sealed_rows, strict=True)), len(sealed_rows))
    digest_us = (time.perf_counter() - start_s) / len(sealed_rows) * 1e6
    start_s = time.perf_counter()
    raw = pack_rows("host h0", day, sealed_rows)
    pack_us = (time.perf_counter() - start_s) / len(sealed_rows) * 1e6
    store.close()
    return [
        (f"import of {count:,} readings / executemany into SQLite", ours, peer),
        ("chain of hashes [µs a row] / 10 µs", digest_us, 10.0),
        ("sealing as Parquet with it [µs a row] / 10 µs", pack_us, 10.0),
        ("  its file [bytes a row] / 72 bytes of integers", len(raw) / len(sealed_rows), 72.0),
    ]


def days(folder: Path) -> list[Row]:
    """Days computed from sealed files against SQL, twice the hosts, and two Dask workers against two processes."""
    facts = parse_config('[organisation]\ntimezone = "UTC"\n')
    seconds: dict[int, float] = {}
    for hosts in (HOSTS, 2 * HOSTS):
        path = folder / f"fleet{hosts}.csv"
        readings_file(path, hosts, 8, range(0, 86_400 * 8, 60))
        store = Store(f"sqlite:///{folder / f'fleet{hosts}.db'}")
        import_energy(store, str(path), NOW_US)
        start_s = time.perf_counter()
        compute(store, facts)
        seconds[hosts] = time.perf_counter() - start_s
        store.close()
    store = Store(f"sqlite:///{folder / f'fleet{HOSTS}.db'}")
    seal(store, ObjectStore(str(folder / "sealed")), NOW_US, after_days=2, keep_days=3)
    start_s = time.perf_counter()
    compute(store, facts, force=True)
    from_files = time.perf_counter() - start_s
    rows: list[Row] = [
        ("days computed from sealed files / from SQL", from_files, seconds[HOSTS]),
        ("twice the hosts / twice the time", seconds[2 * HOSTS], 2 * seconds[HOSTS]),
    ]
    try:
        from distributed import LocalCluster
    except ModuleNotFoundError:
        return rows
    large_store = Store(f"sqlite:///{folder / f'fleet{2 * HOSTS}.db'}")
    two_processes_s = _seconds_of_two(folder, facts)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        on_cluster = replace(facts, fleet_scheduler=cluster.scheduler_address)
        compute(large_store, on_cluster, force=True)  # warms up the workers
        start_s = time.perf_counter()
        compute(large_store, on_cluster, force=True)
        rows.append(("two Dask workers / two processes on half each", time.perf_counter() - start_s, two_processes_s))
    store.close()
    large_store.close()
    return rows


HALF = """
import sys, time
from footprint.config import parse_config
from footprint.storage.database import Store
from tests.support.contract_files import compute
store, facts = Store(sys.argv[1]), parse_config('[organisation]\\ntimezone = "UTC"\\n')
compute(store, facts, force=True)
print("ready", flush=True); sys.stdin.readline()
begun = time.perf_counter(); compute(store, facts, force=True); print(time.perf_counter() - begun)
"""


def _seconds_of_two(folder: Path, facts: object) -> float:
    """Time [s] of two processes, each with half of the hosts in a separate store."""
    del facts
    stores = []
    for half in range(2):
        path = folder / f"half{half}.db"
        if not path.exists():
            store = Store(f"sqlite:///{path}")
            import_energy(store, str(folder / f"fleet{HOSTS}.csv"), NOW_US)
            store.close()
        stores.append(path)
    root = Path(__file__).parents[2]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", HALF, f"sqlite:///{path}"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for path in stores
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    outputs = [child.communicate("go\n")[0] for child in children]
    return max(float(text) for text in outputs)


def shipments(folder: Path) -> list[Row]:
    """A thousand agents on the loopback, each with one shipment at a time over a separate connection."""
    store = Store(f"sqlite:///{folder / 'footprint.db'}")
    tokens = {f"h{n}": add_token(store, f"h{n}", NOW_US) for n in range(AGENTS)}
    port = 18_099
    (folder / "footprint.toml").write_text(f"[server]\nport = {port}\n")
    server = subprocess.Popen(
        [sys.executable, "-c", "from footprint.cli import main; main()", "serve", "--no-scheduler"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    waits: list[float] = []
    try:
        _wait(port)
        work = list(tokens.items())
        lock = threading.Lock()

        def agents() -> None:
            while True:
                with lock:
                    if not work:
                        return
                    host, token = work.pop()
                lines = [
                    to_line(EnergyReading(host, "GPU-x", "gpu", "nvml-energy", "e", n, (DAY_S + n) * 10**6, n * 10**9, n * 10**6))
                    for n in range(LINES)
                ]
                body = gzip.compress("\n".join(lines).encode(), 1)
                start_s = time.perf_counter()
                while True:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    connection.request(
                        "POST", "/api/v1/ingest", body, {"Authorization": f"Bearer {token}", "Content-Encoding": "gzip"}
                    )
                    answer = connection.getresponse()
                    answer.read()
                    connection.close()
                    if answer.status == 200:
                        break
                    time.sleep(0.05)
                with lock:
                    waits.append(time.perf_counter() - start_s)

        start_s = time.perf_counter()
        threads = [threading.Thread(target=agents) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed_s = time.perf_counter() - start_s
    finally:
        server.kill()
        server.wait()
    with store.read() as connection:
        stored = len(connection.execute(select(table(schema.Reading).c.time_us)).all())
    assert stored == AGENTS * LINES
    store.close()
    p99 = statistics.quantiles(waits, n=100)[98]
    return [
        (f"shipments of {AGENTS} agents: readings a second", stored / elapsed_s, None),
        ("  99 of 100 are answered within [s] / 1 s", p99, 1.0),
    ]


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server does not answer")


def rows() -> list[Row]:
    """(label, measured, peer or limit) of each benchmark."""
    rows_of_all: list[Row] = []
    for measure in (imports, days, shipments):
        with tempfile.TemporaryDirectory() as name:
            rows_of_all += measure(Path(name))
    return rows_of_all


if __name__ == "__main__":
    for label, value, peer in rows():
        print(f"{label:58} {value:9.3g} {'' if peer is None else f'{peer:9.3g} {value / peer:8.3f}'}")
