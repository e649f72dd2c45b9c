"""Reader of the kernel's hardware monitors (hwmon), which the ACPI, AMD and Intel collectors share.

Firmware answers "not known" with all bits set, and drivers pass that on in whatever unit they expect: such values, negative
ones and powers beyond physics are refused, with their reason, and counted.

Requirements: /sys/class/hwmon; no root. Powers are in µW, energies in µJ (Documentation/hwmon/sysfs-interface).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from footprint.core.limits import power_fault

# "Not known" of 16 and 32 bits, signed and unsigned, as a number of µW, mW, and W.
_NO_VALUES_UW = frozenset(
    bits * unit for bits in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF) for unit in (1, 1_000, 1_000_000)
) | {bits * 1_000_000 for bits in (0x7FFF, 0x8000, 0xFFFE, 0xFFFF)}


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


@dataclass(slots=True)
class PowerInput:
    """Power of a monitor, from the first of its files that gives one; refused values are counted by reason.

    ``fault`` is why the last reading gave nothing, empty if it gave a power.
    """

    monitor: HwmonDevice
    file_names: tuple[str, ...]
    component: str
    may_be_zero: bool = False
    fault: str = ""
    refused: Counter[str] = field(default_factory=Counter)

    def read(self) -> int | None:
        """Power [µW]; None if no file gives one that can be right."""
        fault = "no power file can be read"
        for name in self.file_names:
            power_uw = self.monitor.read_int(name)
            if power_uw is None:
                continue
            fault = self._fault_of(power_uw)
            if not fault:
                self.fault = ""
                return power_uw
            self.refused[fault] += 1
        self.fault = fault
        return None

    def _fault_of(self, power_uw: int) -> str:
        if power_uw in _NO_VALUES_UW:
            return f"{power_uw} µW, which stands for 'not known'"
        if power_uw < 0:
            return "a negative power"
        if power_uw == 0 and not self.may_be_zero:
            return "0 W, which nothing that runs draws"
        return power_fault(self.component, power_uw)


def find_monitors(sysfs: Path, *drivers: str) -> Iterator[HwmonDevice]:
    """Monitors of the given drivers, which may be shell patterns, in the order of their devices' paths."""
    devices = []
    for folder in (sysfs / "class" / "hwmon").glob("hwmon*"):
        try:
            driver = (folder / "name").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if any(fnmatchcase(driver, pattern) for pattern in drivers):
            device = folder / "device"
            devices.append(HwmonDevice(driver, folder, Path(os.path.realpath(device)) if device.exists() else folder))
    return iter(sorted(devices, key=lambda monitor: (str(monitor.device), _index(monitor.folder))))


def _index(folder: Path) -> int:
    digits = folder.name.removeprefix("hwmon")
    return int(digits) if digits.isdigit() else 0
