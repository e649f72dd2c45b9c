"""Benchmarks of attribution: a service-day of many requests, and a fleet against a proportional split in DuckDB.

The fleet has hosts of eight GPUs with one reading per minute, two services per host and two use cases per service with token counts
per minute. Footprint fits the step model of every service, computes intervals and closes to the microjoule; DuckDB only divides
energy by tokens. Both get the same arrays.
"""

from __future__ import annotations

import resource
import time

import numpy as np
import pandas as pd

from footprint.notebook.attribution_frames import attribute_frames
from tests.simulation.server import VARIANTS
from tests.support.step_fits import split_accuracy

HOSTS, GPUS, MINUTES = 20, 8, 1440


def fleet(hosts: int, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Readings (cumulative counters by minute), placements and request counts of one day of a fleet."""
    rng = np.random.default_rng(seed)
    readings, placements, requests = [], [], []
    minute = np.arange(MINUTES)
    for host in range(hosts):
        for service in range(2):
            name = f"s{host}-{service}"
            load = 1.2 + np.sin(2 * np.pi * (minute - 600) / MINUTES)
            tokens = rng.poisson(3000 * load * rng.uniform(0.5, 1.5), (2, MINUTES))
            power = 300 + 900 * (1 - np.exp(-tokens.sum(axis=0) / 6000)) + 0.02 * tokens[0]
            for gpu in range(4):
                device = f"gpu:{4 * service + gpu}"
                energy = np.concatenate([[0], np.cumsum(power / 4 * 60 * rng.normal(1, 0.01, MINUTES))])
                readings.append(
                    pd.DataFrame(
                        {
                            "time": np.arange(MINUTES + 1) * 60,
                            "host": f"h{host}",
                            "device": device,
                            "component": "gpu",
                            "energy_j": energy,
                        }
                    )
                )
                placements.append({"service": name, "host": f"h{host}", "device": device})
            for use_case in range(2):
                requests.append(
                    pd.DataFrame(
                        {
                            "start": minute * 60,
                            "end": minute * 60 + 60,
                            "service": name,
                            "use_case": f"u{use_case}",
                            "requests": np.maximum(tokens[use_case] // 200, 2),
                            "input_tokens": tokens[use_case] * 3,
                            "output_tokens": tokens[use_case],
                        }
                    )
                )
    return pd.concat(readings, ignore_index=True), pd.DataFrame(placements), pd.concat(requests, ignore_index=True)


SQL = """
WITH used AS (
    SELECT host, device, time // 60 AS minute, energy_j - lag(energy_j) OVER (PARTITION BY host, device ORDER BY time) AS j FROM readings
), placed AS (
    SELECT p.service, u.minute, SUM(u.j) AS j FROM used u JOIN placements p USING (host, device) WHERE u.j IS NOT NULL GROUP BY ALL
), shares AS (
    SELECT service, use_case, start // 60 + 1 AS minute, output_tokens + 0.2 * input_tokens AS w,
           SUM(output_tokens + 0.2 * input_tokens) OVER (PARTITION BY service, start) AS total FROM requests
)
SELECT s.service, s.use_case, (s.minute - 1) // 60 AS hour, SUM(p.j * s.w / s.total) AS j
FROM shares s JOIN placed p ON p.service = s.service AND p.minute = s.minute GROUP BY ALL
"""


def rows() -> list[tuple[str, float, float | None]]:
    """(label, measured, peer or limit) of each benchmark."""
    law = VARIANTS["small"]
    start = time.perf_counter()
    accuracy = split_accuracy("small", 1)
    per_100k = (time.perf_counter() - start) * 100_000 / accuracy.diagnosis.requests
    result: list[tuple[str, float, float | None]] = [(f"service-day of 100,000 requests ({law.name}) / 5 s", per_100k, 5.0)]
    readings, placements, requests = fleet(HOSTS)
    memory_before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    attribution = attribute_frames(readings, placements, requests)
    seconds = time.perf_counter() - start
    memory_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before_kib) / 1024
    try:
        import duckdb
    except ModuleNotFoundError:
        peer_seconds = None
    else:
        connection = duckdb.connect()
        for name, frame in (("readings", readings), ("placements", placements), ("requests", requests)):
            connection.register(name, frame)
        start = time.perf_counter()
        peer_rows = connection.execute(SQL).fetchdf()
        peer_seconds = time.perf_counter() - start
        assert len(peer_rows) == HOSTS * 2 * 2 * 24
    assert {d.status for d in attribution.diagnoses.values()} <= {"ok", "log-suspect"}
    result.append((f"fleet of {len(readings):,} device-minutes / plain split in DuckDB", seconds, peer_seconds))
    result.append(("  its memory [MiB] / 1 GiB", memory_mib, 1024.0))
    return result


if __name__ == "__main__":
    for row in rows():
        print(*row)
