"""This file reads CPU packages and memory through RAPL, as the kernel's powercap shows it.

Requirements: /sys/class/powercap/intel-rapl:* (Intel, and AMD from Zen on); ``energy_uj`` readable: since
Linux 5.10 by root only, unless the administrator gives it to a group.

Metrics
-------
package   energy_uj [µJ], starts again from 0 after max_energy_range_uj; device cpu:N
dram      the same of the memory of a package, where there is one; device dram:N

The platform zone (psys) holds the others and is never read; MMIO shows the same registers again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collectors.base import Sample, Unavailable

_PACKAGE = re.compile(r"^package-(\d+)(?:-die-(\d+))?$")
REMEDY = (
    "readable by root only: sudo chgrp footprint {0} && sudo chmod g+r {0} (or run the agent with CAP_DAC_READ_SEARCH)"
)


@dataclass(slots=True)
class _Zone:
    descriptor: int
    device: str
    component: str
    wrap_uj: int
    limit_uw: int


class RaplCollector:
    """Energy of each CPU package and of its memory."""

    name = "rapl"

    def __init__(self, sysfs: Path | None = None) -> None:
        root = (sysfs or Path(os.environ.get("FOOTPRINT_SYSFS", "/sys"))) / "class" / "powercap"
        self._zones: list[_Zone] = []
        refused: Path | None = None
        for path, device, component in _zones(root):
            try:
                self._zones.append(_open(path, device, component))
            except PermissionError:
                refused = path / "energy_uj"
            except (OSError, ValueError):
                continue  # a zone without a counter
        if not self._zones:
            why = REMEDY.format(refused) if refused else f"no package zone under {root} (a virtual machine, or no driver)"
            raise Unavailable(f"RAPL: {why}")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample a zone; a zone that cannot be read now gives none."""
        for zone in self._zones:
            try:
                counter = int(os.pread(zone.descriptor, 32, 0))
            except (OSError, ValueError):
                continue
            yield Sample(
                at_us, mono_us, zone.device, zone.component, "rapl", counter_uj=counter, wrap_uj=zone.wrap_uj,
                limit_uw=zone.limit_uw,
            )  # fmt: skip

    def close(self) -> None:
        """Close the files."""
        for zone in self._zones:
            os.close(zone.descriptor)
        self._zones = []


def _zones(root: Path) -> Iterator[tuple[Path, str, str]]:
    """(folder, device, component) of each package and its memory, once."""
    packages: dict[str, Path] = {}
    for path in sorted(root.glob("intel-rapl:*"), key=lambda p: p.name):
        name = _read(path / "name")
        if path.name.count(":") == 1 and _PACKAGE.match(name):
            packages.setdefault(name, path)
    for index, (_, path) in enumerate(sorted(packages.items(), key=lambda item: _order(item[0]))):
        yield path, f"cpu:{index}", "cpu"
        for part in sorted({*path.glob(f"{path.name}:*"), *root.glob(f"{path.name}:*")}, key=lambda p: p.name):
            if _read(part / "name") == "dram":
                yield part, f"dram:{index}", "dram"
                break


def _order(name: str) -> tuple[int, int]:
    found = _PACKAGE.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _open(path: Path, device: str, component: str) -> _Zone:
    wrap_uj = int(_read(path / "max_energy_range_uj") or 0)
    if wrap_uj <= 0:
        raise ValueError("a counter without its range cannot be corrected")
    limit_uw = int(_read(path / "constraint_0_max_power_uw") or 0)
    descriptor = os.open(path / "energy_uj", os.O_RDONLY)
    try:
        int(os.pread(descriptor, 32, 0))
    except (OSError, ValueError):
        os.close(descriptor)
        raise
    return _Zone(descriptor, device, component, wrap_uj, limit_uw)
