"""Reader of the kernel's hardware monitors (hwmon), which the ACPI, AMD and Intel collectors share.

Requirements: /sys/class/hwmon; no root. Powers are in µW, energies in µJ (Documentation/hwmon/sysfs-interface).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HwmonDevice:
    """One hardware monitor: its driver's name, its folder, and the folder of its device."""

    driver: str
    folder: Path
    device: Path

    @property
    def bus_address(self) -> str:
        """Bus address of the device, such as 0000:c1:00.0; it does not depend on the order in which drivers load."""
        return self.device.name

    def read_int(self, name: str) -> int | None:
        """Integer in a file; None if it cannot be read, since absence is not zero."""
        try:
            return int((self.folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def read_text(self, name: str) -> str:
        """Text of a file; empty if it cannot be read."""
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""


def find_monitors(sysfs: Path, *drivers: str) -> Iterator[HwmonDevice]:
    """Monitors of the given drivers, in the order of their devices' paths."""
    devices = []
    for folder in (sysfs / "class" / "hwmon").glob("hwmon*"):
        try:
            driver = (folder / "name").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if driver in drivers:
            device = folder / "device"
            devices.append(HwmonDevice(driver, folder, Path(os.path.realpath(device)) if device.exists() else folder))
    return iter(sorted(devices, key=lambda monitor: (str(monitor.device), _index(monitor.folder))))


def _index(folder: Path) -> int:
    digits = folder.name.removeprefix("hwmon")
    return int(digits) if digits.isdigit() else 0
