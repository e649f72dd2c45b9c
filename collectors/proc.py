"""This file reads CPU time: of the whole host, and of groups of processes that run a service.

Requirements: /proc; no root for processes of any user (stat is world-readable).

A group is written ``name=pid:N`` (a process and its descendants), ``name=cmd:REGEX`` (command lines) or
``name=cgroup:/path``. Its time is cumulative: what a process that ended had used stays counted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from footprint.readings import ActivityReading

US_PER_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")
HOST = "(host)"


class BadGroup(ValueError):
    """A group of processes that cannot be understood."""


@dataclass(slots=True)
class _Group:
    name: str
    kind: str
    what: str
    cpu_us: int = 0
    ticks: dict[tuple[int, int], int] = field(default_factory=dict)  # (pid, start) -> ticks counted
    begun: bool = False


class Activity:
    """CPU time of the host and of its groups, cumulative since the agent began."""

    def __init__(self, groups: list[str], proc: Path | None = None) -> None:
        self._proc = proc or Path(os.environ.get("FOOTPRINT_PROC", "/proc"))
        self._groups = [_parse(text) for text in groups]

    def collect(self, host: str, epoch: str, seq: int, at_us: int) -> Iterator[ActivityReading]:
        """One record for the host, and one a group; a group whose processes cannot be found gives its time so far."""
        try:
            busy, whole = self._host()
        except (OSError, ValueError):
            return
        yield ActivityReading(host, HOST, epoch, seq, at_us, busy * US_PER_TICK, whole * US_PER_TICK)
        if not self._groups:
            return
        processes = dict(self._processes())
        for group in self._groups:
            self._advance(group, processes)
            yield ActivityReading(host, group.name, epoch, seq, at_us, group.cpu_us, whole * US_PER_TICK)

    def _host(self) -> tuple[int, int]:
        with (self._proc / "stat").open(encoding="ascii") as file:
            ticks = [int(part) for part in file.readline().split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    def _processes(self) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """pid -> (parent, start, ticks); a process that goes away meanwhile is left out (proc(5), pid/stat)."""
        for name in os.listdir(self._proc):
            if name.isdigit():
                try:
                    text = (self._proc / name / "stat").read_text(encoding="utf-8", errors="replace")
                    parts = text[text.rindex(")") + 2 :].split()
                    yield int(name), (int(parts[1]), int(parts[19]), int(parts[11]) + int(parts[12]))
                except (OSError, ValueError, IndexError):
                    continue

    def _advance(self, group: _Group, processes: dict[int, tuple[int, int, int]]) -> None:
        now: dict[tuple[int, int], int] = {}
        for pid in self._members(group, processes):
            _, start, ticks = processes[pid]
            now[pid, start] = ticks
        for place, ticks in now.items():
            # A process that the group did not have before counts whole, but for those found at the very first.
            before = group.ticks.get(place, ticks if not group.begun else 0)
            group.cpu_us += max(ticks - before, 0) * US_PER_TICK
        group.ticks, group.begun = now, True

    def _members(self, group: _Group, processes: dict[int, tuple[int, int, int]]) -> Iterator[int]:
        if group.kind == "pid":
            root = int(group.what)
            for pid in processes:
                place = pid
                while place not in (root, 0) and place in processes:
                    place = processes[place][0]
                if place == root and root in processes:
                    yield pid
        elif group.kind == "cmd":
            for pid in processes:
                if re.search(group.what, self._read(pid, "cmdline").replace("\0", " ")):
                    yield pid
        else:
            for pid in processes:
                lines = self._read(pid, "cgroup").splitlines()
                if any(line.rpartition(":")[2].startswith(group.what) for line in lines):
                    yield pid

    def _read(self, pid: int, name: str) -> str:
        try:
            return (self._proc / str(pid) / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _parse(text: str) -> _Group:
    name, _, rest = text.partition("=")
    kind, colon, what = rest.partition(":")
    if not name or not colon or not what or kind not in ("pid", "cmd", "cgroup") or (kind == "pid" and not what.isdigit()):
        raise BadGroup(f"processes {text!r} must be name=pid:N, name=cmd:REGEX or name=cgroup:/path")
    if kind == "cmd":
        try:
            re.compile(what)
        except re.error as bad:
            raise BadGroup(f"processes {text!r}: {bad}") from None
    return _Group(name, kind, what)
