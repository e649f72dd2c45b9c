"""This file simulates sensors: a powercap tree, and an NVML library compiled from fixtures/nvml/nvml_sim.c."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "fixtures" / "nvml" / "nvml_sim.c"
RANGE_UJ = 262_143_328_850


def powercap(root: Path, sockets: int, *, dram: bool, mmio: bool = False, psys: bool = False) -> list[Path]:
    """A tree as under /sys; the counters that may be advanced."""
    base = root / "class" / "powercap"
    found = []
    for socket in range(sockets):
        found.append(_zone(base / f"intel-rapl:{socket}", f"package-{socket}", 1000 + socket))
        if dram:
            found.append(_zone(base / f"intel-rapl:{socket}" / f"intel-rapl:{socket}:0", "dram", 500 + socket))
        if mmio:
            _zone(base / f"intel-rapl-mmio:{socket}", f"package-{socket}", 1000 + socket)
    if psys:
        _zone(base / f"intel-rapl:{sockets}", "psys", 9000)
    return found


def _zone(folder: Path, name: str, counter: int) -> Path:
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("max_energy_range_uj", RANGE_UJ), ("constraint_0_max_power_uw", 350_000_000)):
        (folder / file).write_text(f"{text}\n")
    (folder / "energy_uj").write_text(f"{counter}\n")
    return folder / "energy_uj"


def build_nvml(folder: Path) -> Path | None:
    """The simulated library, or None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    target = folder / "lib" / "libnvidia-ml.so.1"
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(SOURCE)], check=True)
    return target
