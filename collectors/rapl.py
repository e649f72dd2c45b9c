"""RAPL collector: CPU package and DRAM energy from the kernel's powercap.

Requirements: /sys/class/powercap/intel-rapl* (Intel, and AMD from Zen on); ``energy_uj`` must be readable: since
Linux 5.10 by root only, unless the administrator gives it to a group (deploy/60-footprint-rapl.rules).

Metrics
-------
package   energy_uj [µJ], restarts from 0 after max_energy_range_uj; device cpu:N
dram      energy of the memory of a package, if it has the zone; device dram:N
psys      energy of the whole platform, only with ``[agent] rapl_zone = "psys"``, and then alone; device psys:0

Zones nest (psys contains package, package contains core and uncore); only package and dram are ever summed.
MSR, MMIO and TPMI show the same package, which is read once. Dies that mirror one counter count once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collectors.base import Collector, PermissionRequired, Unavailable
from collectors.config import AgentConfig
from collectors.mirrored_counters import MirroredCounters
from footprint.core.counter_correction import max_energy_uj
from footprint.core.samples import Channel, Sample

_PACKAGE = re.compile(r"^package-(\d+)(?:-die-(\d+))?$")
_INTERFACES = ("intel-rapl:", "intel-rapl-tpmi:", "intel-rapl-mmio:")  # a package is read from the first that shows it
BURST_FACTOR = 1.5  # a package may briefly exceed its short-term limit
_MAX_LIMIT_UW = 2_000 * 1_000_000  # "no limit" is written as several thousand watts
_PERMISSION = (
    "{0} is readable by root only (since Linux 5.10): install deploy/60-footprint-rapl.rules as "
    "/etc/udev/rules.d/60-footprint-rapl.rules, then: sudo udevadm trigger -c add -s powercap"
)
_MAX_BYTES = 32


@dataclass(slots=True)
class _Zone:
    descriptor: int
    channel: Channel
    package: int


class RaplCollector(Collector):
    """Energy of each CPU package and of its memory."""

    name = "rapl"
    covers = "cpu"

    def __init__(self, config: AgentConfig) -> None:
        root = config.sysfs / "class" / "powercap"
        self._period_us = round(config.sample_s * 1e6)
        self._zones: list[_Zone] = []
        self._remarks: list[str] = []
        for path, device, component, package in _zones(root, psys=config.rapl_zone == "psys"):
            try:
                self._zones.append(self._open(path, device, component, package))
            except PermissionError:
                self._remarks.append(_PERMISSION.format(path / "energy_uj"))
            except (OSError, ValueError) as error:
                self._remarks.append(f"{path}: not read: {error}")
        if not self._zones:
            if self._remarks:
                raise PermissionRequired(f"RAPL: {self._remarks[0]}")
            raise Unavailable(f"RAPL: no {config.rapl_zone} zone under {root} (a virtual machine?)")
        self._counters = [(zone.descriptor, zone.channel) for zone in self._zones]
        self._mirrored = MirroredCounters(
            {zone.channel.device: zone.package for zone in self._zones if zone.channel.component == "cpu"}
        )

    def _open(self, path: Path, device: str, component: str, package: int) -> _Zone:
        wrap_uj = int(_read_text(path / "max_energy_range_uj") or 0)
        if wrap_uj <= 0:
            raise ValueError("a counter whose range is not known (max_energy_range_uj) cannot be corrected")
        limit_uw = _limit_uw(path)
        if max_energy_uj(limit_uw, 2 * self._period_us) >= wrap_uj:
            raise ValueError(
                f"its counter could wrap unseen between two samples {self._period_us / 1e6:g} s apart; lower [agent] sample_s"
            )
        descriptor = os.open(path / "energy_uj", os.O_RDONLY | os.O_CLOEXEC)
        try:
            int(os.pread(descriptor, _MAX_BYTES, 0))
        except (OSError, ValueError):
            os.close(descriptor)
            raise
        source = "rapl-psys" if device.startswith("psys") else "rapl"
        return _Zone(descriptor, Channel(device, component, source, wrap_uj, limit_uw), package)

    def collect(self, at_us: int, mono_us: int) -> list[Sample]:
        """One sample per zone; none for a zone that cannot be read now."""
        samples = []
        for descriptor, channel in self._counters:
            try:
                samples.append(Sample(channel, at_us, mono_us, int(os.pread(descriptor, _MAX_BYTES, 0))))
            except (OSError, ValueError):
                continue
        return samples if self._mirrored.decided else self._mirrored.filter(samples)

    def components(self) -> set[str]:
        """CPU, and memory where a zone has it; psys contains both."""
        components = {zone.channel.component for zone in self._zones}
        return components | {"dram"} if any(zone.channel.source == "rapl-psys" for zone in self._zones) else components | {"cpu"}

    def remarks(self) -> Iterator[str]:
        """Zones that exist and are not read, and dies that mirror others."""
        yield from self._remarks
        for device, other in self._mirrored.mirrors.items():
            yield f"{device} mirrors {other} and is not counted"

    def close(self) -> None:
        """Close the files."""
        for zone in self._zones:
            os.close(zone.descriptor)
        self._zones, self._counters = [], []


def _zones(root: Path, *, psys: bool) -> Iterator[tuple[Path, str, str, int]]:
    """(folder, device, component, package) of each zone to read."""
    packages: dict[str, Path] = {}
    for interface in _INTERFACES:
        for path in sorted(root.glob(f"{interface}*"), key=lambda p: p.name):
            name = _read_text(path / "name")
            if path.name.count(":") != 1:
                continue
            if psys and name == "psys":
                yield path, "psys:0", "cpu", 0
                return
            if _PACKAGE.match(name):
                packages.setdefault(name, path)
    if psys:
        return
    for index, (name, path) in enumerate(sorted(packages.items(), key=lambda item: _package_and_die(item[0]))):
        yield path, f"cpu:{index}", "cpu", _package_and_die(name)[0]
        for part in sorted({*path.glob(f"{path.name}:*"), *root.glob(f"{path.name}:*")}, key=lambda p: p.name):
            if _read_text(part / "name") == "dram":
                yield part, f"dram:{index}", "dram", _package_and_die(name)[0]
                break


def _package_and_die(name: str) -> tuple[int, int]:
    match = _PACKAGE.match(name)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def _limit_uw(path: Path) -> int:
    """Highest credible power [µW] of a zone, from its own limits; 0 if unknown."""
    limits_uw = []
    for name in ("constraint_0_max_power_uw", "constraint_0_power_limit_uw", "constraint_1_power_limit_uw"):
        text = _read_text(path / name)
        if text.isdigit() and 0 < int(text) < _MAX_LIMIT_UW:
            limits_uw.append(int(text))
    return round(BURST_FACTOR * max(limits_uw)) if limits_uw else 0


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
