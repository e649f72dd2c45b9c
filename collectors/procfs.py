"""This file reads /proc: CPU time of the host, and of each process with its parent, its memory and its control group.

Requirements: /proc; no root for processes of any user (stat and cgroup are world-readable). Command lines are looked at
only where a group is declared by one, and never leave this file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

US_PER_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MAX_BYTES = 4096


class Process(NamedTuple):
    """One process: parent, start [ticks since boot], CPU time [ticks], resident memory [bytes]."""

    parent: int
    start: int
    ticks: int
    memory_bytes: int


class ProcessTable:
    """The processes of a host, read through one descriptor."""

    def __init__(self, proc: Path) -> None:
        self.root = str(proc)

    def host_us(self) -> tuple[int, int]:
        """CPU time in which any processor worked, and all of it [µs], since boot.

        Raises
        ------
        OSError, ValueError
            If /proc/stat cannot be read.
        """
        with open(f"{self.root}/stat", encoding="ascii") as file:
            ticks = [int(part) for part in file.readline().split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) * US_PER_TICK, sum(ticks) * US_PER_TICK

    def processes(self) -> Iterator[tuple[int, Process]]:
        """Every process by its number; one that goes away meanwhile is left out (proc(5), pid/stat)."""
        try:
            names = os.listdir(self.root)
        except OSError:
            return
        for name in names:
            if not name.isdigit():
                continue
            text = self.text(int(name), "stat")
            parts = text[text.rfind(b")") + 2 :].split(None, 22)
            if len(parts) > 21:
                ticks = int(parts[11]) + int(parts[12])
                yield int(name), Process(int(parts[1]), int(parts[19]), ticks, int(parts[21]) * PAGE_BYTES)

    def text(self, pid: int, name: str) -> bytes:
        """The beginning of a file of a process, or nothing."""
        try:
            descriptor = os.open(f"{self.root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.read(descriptor, _MAX_BYTES)
        except OSError:
            return b""
        finally:
            os.close(descriptor)
