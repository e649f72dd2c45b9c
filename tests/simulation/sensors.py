"""Simulated sensor files (powercap zones, hardware monitors, processes) and a build of the simulated NVML library."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "fixtures" / "nvml" / "nvml_sim.c"
RANGE_UJ = 262_143_328_850


class Zone:
    """A powercap zone whose energy counter can be advanced."""

    def __init__(self, folder: Path, name: str, counter_uj: int, range_uj: int = RANGE_UJ, limit_w: int = 350) -> None:
        folder.mkdir(parents=True)
        self.file, self.value, self.range_uj = folder / "energy_uj", counter_uj, range_uj
        for file, text in (("name", name), ("max_energy_range_uj", range_uj), ("constraint_0_max_power_uw", limit_w * 1_000_000)):
            (folder / file).write_text(f"{text}\n")
        self.add(0)

    def add(self, energy_uj: int) -> None:
        """Advance the counter by an energy; it wraps at its range like the kernel's counter."""
        self.value = (self.value + energy_uj) % self.range_uj
        # Fixed width, overwritten in place: a concurrent reader sees the old or the new value, never an empty file.
        if not self.file.exists():
            self.file.write_text("")
        with self.file.open("r+b", buffering=0) as file:
            file.write(f"{self.value:020d}\n".encode())


def powercap(
    root: Path,
    sockets: int,
    *,
    dram: bool = False,
    mmio: bool = False,
    tpmi: bool = False,
    psys: bool = False,
    range_uj: int = RANGE_UJ,
) -> list[Zone]:
    """Create a powercap tree as under /sys; return the package and DRAM zones of each socket, in order."""
    base = root / "class" / "powercap"
    zones = []
    for socket in range(sockets):
        zones.append(Zone(base / f"intel-rapl:{socket}", f"package-{socket}", 1000 + socket, range_uj))
        Zone(base / f"intel-rapl:{socket}" / f"intel-rapl:{socket}:1", "core", 700 + socket)
        if dram:
            zones.append(Zone(base / f"intel-rapl:{socket}" / f"intel-rapl:{socket}:0", "dram", 500 + socket, range_uj // 4))
        for wanted, interface in ((mmio, "intel-rapl-mmio"), (tpmi, "intel-rapl-tpmi")):
            if wanted:
                Zone(base / f"{interface}:{socket}", f"package-{socket}", 1000 + socket)
    if psys:
        zones.append(Zone(base / f"intel-rapl:{sockets}", "psys", 9000))
    return zones


def dies(root: Path, count: int, *, mirrored: bool) -> list[Zone]:
    """Create one package of several dies; mirrored dies start at the same value and must be advanced together."""
    base = root / "class" / "powercap"
    return [
        Zone(base / f"intel-rapl:{die}", f"package-0-die-{die}", 10**9 * (1 if mirrored else die + 1)) for die in range(count)
    ]


def monitor(root: Path, index: int, driver: str, bus: str = "", **files: object) -> Path:
    """Create a hardware monitor and return its folder."""
    folder = root / "class" / "hwmon" / f"hwmon{index}"
    folder.mkdir(parents=True)
    for name, text in ({"name": driver} | files).items():
        (folder / name).write_text(f"{text}\n")
    if bus:
        device = root / "devices" / bus
        device.mkdir(parents=True, exist_ok=True)
        (folder / "device").symlink_to(device)
    return folder


def process(
    proc: Path, pid: int, *, parent: int = 1, ticks: int = 0, start: int = 1, pages: int = 0, cgroup: str = "", command: str = ""
) -> None:
    """Create the /proc files of a process."""
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", *["0"] * 6, str(start), "0", str(pages), "0", "0"]
    (folder / "stat").write_text(f"{pid} (a (name) with) brackets) {' '.join(fields)}\n")
    (folder / "cgroup").write_text(cgroup or "0::/\n")
    (folder / "cmdline").write_text(command.replace(" ", "\0"))


def host_time(proc: Path, busy_ticks: int, idle_ticks: int) -> None:
    """Write /proc/stat with the total CPU time."""
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text(f"cpu {busy_ticks} 0 0 {idle_ticks} 0 0 0 0 0 0\n")


def build_nvml(folder: Path) -> Path | None:
    """Compile the simulated library; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    target = folder / "lib" / "libnvidia-ml.so.1"
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([compiler, *flags, "-o", str(target), str(SOURCE)], check=True)
    return target
