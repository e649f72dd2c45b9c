"""Reader of /proc: CPU time of the host, and processes with their parent, CPU time and memory.

Requirements: /proc; no root, since stat and cgroup are world-readable for processes of any user. Command lines are read
only if a group is declared by one, and are never stored.
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
    """The processes of a host."""

    def __init__(self, proc: Path) -> None:
        self.root = str(proc)

    def host_us(self) -> tuple[int, int]:
        """Busy and total CPU time of all processors [µs] since boot.

        Raises
        ------
        OSError, ValueError
            If /proc/stat cannot be read.
        """
        with open(f"{self.root}/stat", encoding="ascii") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) * US_PER_TICK, sum(ticks) * US_PER_TICK

    def processes(self) -> Iterator[tuple[int, Process]]:
        """Every process by its ID; a process that ends meanwhile is left out (proc(5), pid/stat)."""
        try:
            names = os.listdir(self.root)
        except OSError:
            return
        for name in names:
            if not name.isdigit():
                continue
            text = self.read_file(int(name), "stat")
            fields = text[text.rfind(b")") + 2 :].split(None, 22)
            if len(fields) > 21:
                ticks = int(fields[11]) + int(fields[12])
                yield int(name), Process(int(fields[1]), int(fields[19]), ticks, int(fields[21]) * PAGE_BYTES)

    def read_file(self, pid: int, name: str) -> bytes:
        """First 4 KiB of a file of a process; empty if it cannot be read."""
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
