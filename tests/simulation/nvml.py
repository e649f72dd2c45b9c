"""Simulated NVML library in the test process, driven by a simulated clock."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pynvml

S = 1_000_000


class SimulatedNvml:
    """The simulated library with one scenario, behind the real pynvml binding."""

    def __init__(self, library: Path, scenario: str, folder: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.sim_true_uj.restype = ctypes.c_ulonglong
        self._library.sim_set_time_us.argtypes = [ctypes.c_ulonglong]
        path = folder / "scenario.txt"
        path.write_text(scenario, encoding="utf-8")
        self._library.sim_load(str(path).encode())
        self._before = pynvml.nvmlLib
        self.set_time_s(0)
        pynvml.nvmlLib = self._library
        pynvml._nvmlGetFunctionPointer_cache.clear()

    def set_time_s(self, at_s: float) -> None:
        """Set the simulated clock [s]."""
        self._library.sim_set_time_us(round(at_s * S))

    def true_uj(self, index: int) -> int:
        """True energy of a board since the start [µJ]."""
        return int(self._library.sim_true_uj(index))

    def close(self) -> None:
        """Restore the binding."""
        pynvml.nvmlLib = self._before
        pynvml._nvmlGetFunctionPointer_cache.clear()
