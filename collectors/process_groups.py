"""This file keeps the CPU time and memory of groups of processes: those that are declared, and those found by control group.

A declared group is written ``name=pid:N`` (a process and its descendants), ``name=cmd:REGEX`` (command lines),
``name=cgroup:/path`` or ``name=GROUP`` with a pattern of a found group (``chat=unit:vllm-*.service``, ``chat=pod:llm/*``).
A found group is told from when it computes on a GPU or uses a noticeable part of a processor. Time is cumulative: what a
process that ended had used stays counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from collectors.cgroups import ControlGroups, name_of, path_of, pod_names
from collectors.procfs import US_PER_TICK, Process, ProcessTable

NOTICEABLE = 0.02  # of one processor, between two records
MAX_FOUND = 50
_FOUND = ("unit", "container", "pod", "job")


class BadGroup(ValueError):
    """A group of processes that cannot be understood."""


@dataclass(frozen=True, slots=True)
class DeclaredGroup:
    """A group that the configuration names: how its processes are found."""

    name: str
    kind: str
    what: str


@dataclass(slots=True)
class Usage:
    """What a group used: cumulative CPU time [µs], memory now [bytes]."""

    cpu_us: int = 0
    memory_bytes: int = 0
    ticks: dict[tuple[int, int], int] = field(default_factory=dict)  # (pid, start) -> ticks counted
    paths: dict[str, int] = field(default_factory=dict)  # control group -> µs counted
    begun: bool = False
    told: bool = False


class Groups:
    """CPU time and memory of the groups of one host, cumulative since the agent began."""

    def __init__(
        self, declared: Iterable[str], proc: Path, sysfs: Path, *, discover: bool = True, pods: Path = Path("/var/log/pods")
    ) -> None:
        self.table = ProcessTable(proc)
        self._declared = [parse(text) for text in declared]
        self._cgroups = ControlGroups(sysfs)
        self._discover, self._pods = discover, pods
        self._known: dict[tuple[int, int], str] = {}  # (pid, start) -> control-group path
        self._name_of: dict[str, str | None] = {}
        self._groups: dict[str, Usage] = {}
        self._group_of_pid: dict[int, str] = {}
        self._scanned_us = 0

    def scan(self, mono_us: int, computing: Iterable[int] = ()) -> dict[str, Usage]:
        """Look at all processes; groups to be told, by name. ``computing`` are processes that a GPU shows."""
        table = dict(self.table.processes())
        paths = self._paths(table) if self._discover or any(d.kind in ("cgroup", *_FOUND) for d in self._declared) else {}
        members: dict[str, list[int]] = {}
        for pid, path in paths.items():
            name = self._name(path)
            if name is not None:
                members.setdefault(name, []).append(pid)
        elapsed_us, self._scanned_us = mono_us - self._scanned_us, mono_us
        self._group_of_pid = {pid: name for name, pids in members.items() for pid in pids}
        for declared in self._declared:
            pids = list(self._members(declared, table, paths))
            self._advance(declared.name, pids, table, paths).told = True
            # A process is of the group that somebody declared, if of any.
            self._group_of_pid.update(dict.fromkeys(pids, declared.name))
        if self._discover:
            self._found(members, table, paths, set(computing), elapsed_us)
        return {name: group for name, group in self._groups.items() if group.told}

    def group_of(self, pid: int) -> str | None:
        """Group of a process as of the last scan."""
        return self._group_of_pid.get(pid)

    def _found(
        self,
        members: Mapping[str, list[int]],
        table: Mapping[int, Process],
        paths: Mapping[int, str],
        computing: set[int],
        elapsed_us: int,
    ) -> None:
        told = sum(group.told for group in self._groups.values())
        for name, pids in members.items():
            before = self._groups[name].cpu_us if name in self._groups else 0
            group = self._advance(name, pids, table, paths)
            busy = group.cpu_us - before >= NOTICEABLE * elapsed_us > 0
            if not group.told and told < MAX_FOUND and (busy or not computing.isdisjoint(pids)):
                group.told = True
                told += 1
        for name in set(self._groups) - set(members) - {declared.name for declared in self._declared}:
            del self._groups[name]  # its last process has ended; its time was told

    def _paths(self, table: Mapping[int, Process]) -> dict[int, str]:
        """Control group of each process; a process is asked once, for few ever move."""
        known = {}
        found = {}
        for pid, process in table.items():
            place = pid, process.start
            path = self._known.get(place)
            if path is None:
                path = path_of(self.table.text(pid, "cgroup").decode("utf-8", "replace"))
            known[place] = found[pid] = path
        self._known = known
        return found

    def _name(self, path: str) -> str | None:
        if path not in self._name_of:
            if len(self._name_of) > 10_000:
                self._name_of.clear()
            name = name_of(path)
            if name is not None and name.startswith("pod:"):
                name = pod_names(self._pods).get(name, name)
            self._name_of[path] = name
        return self._name_of[path]

    def _advance(self, name: str, pids: list[int], table: Mapping[int, Process], paths: Mapping[int, str]) -> Usage:
        group = self._groups.setdefault(name, Usage())
        whole = {paths[pid] for pid in pids} if name.partition(":")[0] in _FOUND else set()
        spent = {path: used for path in whole if (used := self._cgroups.cpu_us(path)) is not None}
        if whole and len(spent) == len(whole):
            for path, used in spent.items():
                group.cpu_us += max(used - group.paths.get(path, used if not group.begun else 0), 0)
            group.paths = spent
            group.memory_bytes = sum(self._cgroups.memory_bytes(path) or 0 for path in whole)
        if not spent or len(spent) < len(whole) or not group.memory_bytes:
            group.memory_bytes = sum(table[pid].memory_bytes for pid in pids)
        if len(spent) < len(whole) or not whole:
            now = {(pid, table[pid].start): table[pid].ticks for pid in pids}
            for place, ticks in now.items():
                # A process that the group did not have before counts whole, but for those found at the very first.
                before = group.ticks.get(place, ticks if not group.begun else 0)
                group.cpu_us += max(ticks - before, 0) * US_PER_TICK
            group.ticks = now
        group.begun = True
        return group

    def _members(self, group: DeclaredGroup, table: Mapping[int, Process], paths: Mapping[int, str]) -> Iterator[int]:
        if group.kind == "pid":
            root = int(group.what)
            for pid in table:
                place = pid
                while place not in (root, 0) and place in table:
                    place = table[place].parent
                if place == root and root in table:
                    yield pid
        elif group.kind == "cmd":
            pattern = re.compile(group.what)
            for pid in table:
                if pattern.search(self.table.text(pid, "cmdline").decode("utf-8", "replace").replace("\0", " ")):
                    yield pid
        elif group.kind == "cgroup":
            yield from (pid for pid, path in paths.items() if path.startswith(group.what))
        else:
            wanted = f"{group.kind}:{group.what}"
            yield from (pid for pid, path in paths.items() if fnmatchcase(self._name(path) or "", wanted))


def parse(text: str) -> DeclaredGroup:
    """A group as the configuration writes it.

    Raises
    ------
    BadGroup
        If it cannot be understood.
    """
    name, _, rest = text.partition("=")
    kind, colon, what = rest.partition(":")
    known = kind in ("pid", "cmd", "cgroup", *_FOUND)
    if not name or not colon or not what or not known or (kind == "pid" and not what.isdigit()):
        raise BadGroup(
            f"processes {text!r} must be name=pid:N, name=cmd:REGEX, name=cgroup:/path, "
            "or name=unit:PATTERN, container:PATTERN, pod:PATTERN, job:PATTERN"
        )
    if kind == "cmd":
        try:
            re.compile(what)
        except re.error as bad:
            raise BadGroup(f"processes {text!r}: {bad}") from None
    return DeclaredGroup(name, kind, what)
