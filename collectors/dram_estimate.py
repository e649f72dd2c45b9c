"""DRAM estimate: installed memory x typical power, for processors without a memory sensor (AMD).

Requirements: an AMD processor whose package is read (RAPL); /proc/meminfo. Quality C, marked by its source.

Metrics
-------
estimate   power [W] = size [GB] x ``dram_w_per_gb`` of data/assumptions.csv; device dram:0
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from footprint.core.assumptions import assumption
from footprint.core.samples import Channel, Sample

KB = 1024
BYTES_PER_GB = 1_000_000_000


class DramCollector(Collector):
    """Constant power of the installed memory."""

    name = "dram"
    covers = "dram"
    is_estimate = True

    def __init__(self, config: AgentConfig) -> None:
        if "AuthenticAMD" not in _first_value(config.proc / "cpuinfo", "vendor_id"):
            raise Unavailable("DRAM model: only where the processor has no sensor of memory (AMD)")
        if not any((config.sysfs / "class/powercap").glob("intel-rapl*")):
            raise Unavailable("DRAM model: no package is read that it would complete")
        size = _first_value(config.proc / "meminfo", "MemTotal").split()
        if not size or not size[0].isdigit():
            raise Unavailable("DRAM model: /proc/meminfo does not say how much memory there is")
        gigabytes = int(size[0]) * KB / BYTES_PER_GB
        self._power_uw = round(gigabytes * assumption("dram_w_per_gb").value * 1e6)
        self._channel = Channel("dram:0", "dram", "estimate", model=f"{gigabytes:.0f} GB")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """The constant power."""
        yield Sample(self._channel, at_us, mono_us, None, self._power_uw)

    def remarks(self) -> Iterator[str]:
        """Note that the power is an estimate."""
        yield (
            f"dram:0: AMD shows no counter of memory; {self._power_uw / 1e6:.0f} W for {self._channel.model} is ESTIMATED "
            "(quality C)"
        )


def _first_value(path: os.PathLike[str], name: str) -> str:
    """Value of the first line that begins with a name; empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "")
    except OSError:
        return ""
