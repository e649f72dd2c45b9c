"""A ministry's day: hosts of eight GPUs read every 10 s, services on several hosts each, one log of requests a service.

    python -m tests.benchmarks.ministry --hosts 100 --devices 8 --requests 1000000 --services 20

prints the processor seconds and the memory of `aggregate`, and of the same log with each service on one host.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from footprint.attribution.step.decode_clock import integrate_rates

DAY_0_S = 1_782_864_000  # 2026-07-01T00:00:00Z
DAY_S, SAMPLE_S = 86_400, 10
HOURS = np.array([1, 1, 1, 1, 1, 2, 4, 10, 20, 27, 30, 27, 17, 22, 28, 28, 25, 18, 10, 6, 4, 3, 2, 1], dtype=float)
KINDS = (("chat", 0.5, 350, 260), ("documents", 0.3, 3800, 180), ("classify", 0.2, 420, 6))  # share, median tokens in, out
IDLE_W, INPUT_J, OUTPUT_J, TOKEN_S = 90.0, 0.2, 8.0, 0.02


@dataclass(frozen=True)
class Ministry:
    """Size of the organisation; each service has ``hosts`` / ``services`` hosts of its own."""

    hosts: int = 20
    devices: int = 8
    requests: int = 200_000
    services: int = 4

    def hosts_of(self, service: int) -> list[str]:
        """Hosts of a service."""
        each = self.hosts // self.services
        return [f"host-{number:03}" for number in range(service * each, (service + 1) * each)]

    def config(self) -> str:
        """Configuration of the organisation."""
        parts = ['[organisation]\nname = "Ministry"\ntimezone = "Europe/Paris"\nzone = "FR"\n[[site]]\nname = "dc"\npue = 1.3']
        parts += [f'[[host]]\nname = "host-{number:03}"\nsite = "dc"\nuplift = 1.2' for number in range(self.hosts)]
        for service in range(self.services):
            places = [f'"{host}/gpu:{d}"' for host in self.hosts_of(service) for d in range(self.devices)]
            parts.append(f'[[service]]\nname = "service-{service:02}"\nmodel = "m"\ndevices = [{", ".join(places)}]')
        return "\n".join(parts) + "\n"


def write_files(ministry: Ministry, folder: Path, seed: int = 1) -> None:
    """Write the configuration, the readings and the requests of one day."""
    rng = np.random.default_rng(seed)
    (folder / "footprint.toml").write_text(ministry.config(), encoding="utf-8")
    at = np.arange(0.0, DAY_S + 1, SAMPLE_S)
    logs = []
    energy = pq.ParquetWriter(folder / "energy.parquet", _ENERGY)
    for service in range(ministry.services):
        count = ministry.requests // ministry.services
        hour = rng.choice(24, count, p=HOURS / HOURS.sum())
        start = np.sort(hour * 3600 + rng.uniform(0, 3590, count))
        kind = rng.choice(len(KINDS), count, p=[share for _, share, _, _ in KINDS])
        medians = np.array([(i, o) for _, _, i, o in KINDS])[kind]
        tokens = np.maximum(np.rint(medians * np.exp(rng.normal(0, 0.6, medians.shape))), 1).astype(np.int64)
        end = start + 0.05 + tokens[:, 1] * TOKEN_S + tokens[:, 0] * 1e-4
        joules = tokens[:, 0] * INPUT_J + tokens[:, 1] * OUTPUT_J
        hosts = ministry.hosts_of(service)
        host = rng.integers(0, len(hosts), count)
        logs.append(
            pa.table(
                {
                    "start": DAY_0_S + start,
                    "end": DAY_0_S + end,
                    "service": np.full(count, f"service-{service:02}"),
                    "use_case": np.array([name for name, *_ in KINDS])[kind],
                    "input_tokens": tokens[:, 0],
                    "output_tokens": tokens[:, 1],
                }
            )
        )
        for number, name in enumerate(hosts):
            own = host == number
            above = integrate_rates(at, start[own], end[own], joules[own] / (end - start)[own])
            for device in range(ministry.devices):
                read = (IDLE_W * SAMPLE_S + above / ministry.devices) * rng.normal(1, 0.005, len(above))
                energy.write_table(
                    pa.table(
                        {
                            "time": DAY_0_S + at,
                            "host": np.full(len(at), name),
                            "device": np.full(len(at), f"gpu:{device}"),
                            "component": np.full(len(at), "gpu"),
                            "energy_j": np.concatenate([[0.0], np.cumsum(read)]),
                        },
                        schema=_ENERGY,
                    )
                )
    energy.close()
    pq.write_table(pa.concat_tables(logs), folder / "requests.parquet")


_ENERGY = pa.schema(
    [
        ("time", pa.float64()),
        ("host", pa.string()),
        ("device", pa.string()),
        ("component", pa.string()),
        ("energy_j", pa.float64()),
    ]
)


def aggregate_cost(ministry: Ministry, folder: Path) -> tuple[float, float]:
    """Processor seconds and peak memory [MiB] of `aggregate` over a ministry's day, in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "footprint.db").exists():
        write_files(ministry, folder)
        for kind in ("energy", "requests"):
            _footprint(folder, "import", kind, str(folder / f"{kind}.parquet"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script = "import resource, sys; from footprint.cli.app import status_of; s = status_of(sys.argv[1:]); "
    script += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(s)"
    arguments = [sys.executable, "-B", "-c", script, "aggregate", "--all", "--config", str(folder / "footprint.toml")]
    printed = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, int(printed.split()[-1]) / 1024


def _footprint(folder: Path, *arguments: str) -> None:
    script = "import sys; from footprint.cli.app import status_of; sys.exit(status_of(sys.argv[1:]))"
    command = [sys.executable, "-B", "-c", script, *arguments, "--config", str(folder / "footprint.toml")]
    subprocess.run(command, check=True, capture_output=True)


def rows() -> list[tuple[str, float, float | None]]:
    """(label, measured, peer or limit) of a small ministry: processor seconds of `aggregate`, and memory."""
    size = Ministry(hosts=10, devices=2, requests=100_000, services=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, _ = aggregate_cost(replace(size, hosts=2), folder / "one")
        several, mib = aggregate_cost(size, folder / "several")
        twice, _ = aggregate_cost(replace(size, hosts=20, requests=200_000, services=4), folder / "twice")
    return [
        ("aggregate: five hosts a service / one host, same log", several, one),
        ("aggregate: twice the hosts and requests / once", twice, several),
        ("  its memory [MiB] / 1 GiB", mib, 1024.0),
    ]


def main() -> None:
    """Print the cost of a ministry's day, and of the same log on one host a service."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("hosts", "devices", "requests", "services"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Ministry(), name))
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    ministry = Ministry(given.hosts, given.devices, given.requests, given.services)
    folder = given.folder or Path(tempfile.mkdtemp())
    alone = Ministry(given.services, given.devices, given.requests, given.services)
    for label, each in (("several hosts a service", ministry), ("one host a service", alone)):
        begin = time.perf_counter()
        seconds, mib = aggregate_cost(each, folder / label.partition(" ")[0])
        print(f"{label}: {seconds:.1f} s of processor, {mib:.0f} MiB ({time.perf_counter() - begin:.0f} s in all)", flush=True)


if __name__ == "__main__":
    main()
