"""Benchmark of one RAPL sample of four zones, beside Zeus and CodeCarbon on the same tree.

The tree is in a temporary folder. CodeCarbon reads only two of the four zones (it skips memory), Zeus reads all; the processes with
which Zeus watches each file for wraps are not included in its time.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from collectors.config import AgentConfig
from collectors.rapl import RaplCollector
from tests.simulation.sensors import powercap

ROUNDS, REPEATS = 2_000, 5


def us_per_call(action: Callable[[], object]) -> float:
    """Mean time of a call [µs], the shortest of some repeats."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(ROUNDS):
            action()
        times.append((time.perf_counter() - start) / ROUNDS * 1e6)
    return min(times)


def ours(root: Path) -> float:
    """Time of a sample of the RAPL collector [µs]."""
    collector = RaplCollector(AgentConfig(sysfs=root))
    assert len(list(collector.collect(1, 1))) == 4
    return us_per_call(lambda: collector.collect(1, 1))


def zeus(root: Path) -> float | None:
    """Time of a sample by Zeus [µs]; None if not installed."""
    try:
        from zeus.device.cpu.rapl import RAPLCPU
    except ImportError:
        return None
    cpus = [RAPLCPU(index, str(root / "class/powercap")) for index in range(2)]
    return us_per_call(lambda: [cpu.get_total_energy_consumption() for cpu in cpus])


def codecarbon(root: Path) -> float | None:
    """Time of a sample by CodeCarbon [µs]; None if not installed."""
    try:
        from codecarbon.core.cpu import IntelRAPL
        from codecarbon.core.units import Time
    except ImportError:
        return None
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rapl = IntelRAPL(rapl_dir=str(root / "class/powercap"))
        second = Time(seconds=1)
        return us_per_call(lambda: rapl.get_cpu_details(second))


def rows() -> list[tuple[str, float, float | None]]:
    """(label, measured [s], peer [s]) of each comparison."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        powercap(root, sockets=2, dram=True)
        seconds = ours(root) / 1e6
        peers = [
            ("RAPL sample of four zones / Zeus", zeus(root)),
            ("RAPL sample of four zones / CodeCarbon, two zones", codecarbon(root)),
        ]
    rows: list[tuple[str, float, float | None]] = [("RAPL sample of four zones / limit of 5 µs", seconds, 5e-6)]
    return rows + [(label, seconds, None if peer is None else peer / 1e6) for label, peer in peers]
