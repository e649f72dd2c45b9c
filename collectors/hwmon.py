"""This file reads the tree of hardware monitors: which drivers show a power or an energy, and what it says now.

Requirements: /sys/class/hwmon; no root. Powers are in µW, energies in µJ (Documentation/hwmon/sysfs-interface).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor: its driver's name, its folder, and the folder of the device that it belongs to."""

    driver: str
    folder: Path
    device: Path

    @property
    def bus(self) -> str:
        """The device's place on its bus, such as 0000:c1:00.0, which does not change with the order of loading."""
        return self.device.name

    def number(self, name: str) -> int | None:
        """What a file says, None where it cannot be read: absence is not zero."""
        try:
            return int((self.folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def text(self, name: str) -> str:
        """What a file says, or empty."""
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""


def monitors(sysfs: Path, *drivers: str) -> Iterator[Monitor]:
    """Monitors of some drivers, in the order of their devices' places."""
    found = []
    for folder in (sysfs / "class" / "hwmon").glob("hwmon*"):
        try:
            driver = (folder / "name").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if driver in drivers:
            device = folder / "device"
            found.append(Monitor(driver, folder, Path(os.path.realpath(device)) if device.exists() else folder))
    return iter(sorted(found, key=lambda monitor: (str(monitor.device), _index(monitor.folder))))


def _index(folder: Path) -> int:
    digits = folder.name.removeprefix("hwmon")
    return int(digits) if digits.isdigit() else 0
