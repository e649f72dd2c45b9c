"""CPU time and memory of groups of processes: declared groups, and groups discovered by control group.

A declared group is written ``name=pid:N`` (a process and its descendants), ``name=cmd:REGEX`` (command lines),
``name=cgroup:/path`` or ``name=GROUP`` with a pattern of a discovered group (``chat=unit:vllm-*.service``,
``chat=pod:llm/*``). A discovered group is reported once it computes on a GPU or uses a noticeable part of a processor.
Time is cumulative: it includes processes that have ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from collectors.cgroups import ControlGroups, name_of, path_of, pod_names
from collectors.procfs import US_PER_TICK, Process, ProcessTable

MIN_CPU_SHARE = 0.02  # of one processor, between two records
MAX_DISCOVERED_GROUPS = 50
_DISCOVERED_KINDS = ("unit", "container", "pod", "job", "vm")


class BadGroup(ValueError):
    """An invalid declaration of a group of processes."""


@dataclass(frozen=True, slots=True)
class DeclaredGroup:
    """A group that the configuration names, and how to find its processes."""

    name: str
    kind: str
    selector: str


@dataclass(slots=True)
class GroupUsage:
    """Use by a group: cumulative CPU time [µs], current memory [bytes]."""

    cpu_us: int = 0
    memory_bytes: int = 0
    ticks: dict[tuple[int, int], int] = field(default_factory=dict)  # (pid, start) -> ticks counted
    paths: dict[str, int] = field(default_factory=dict)  # control group -> µs counted
    initialised: bool = False
    reported: bool = False


class ProcessGroups:
    """Groups of one host, with their CPU time since the agent's start and their memory."""

    def __init__(
        self, declared: Iterable[str], proc: Path, sysfs: Path, *, discover: bool = True, pods: Path = Path("/var/log/pods")
    ) -> None:
        self.table = ProcessTable(proc)
        self._declared = [parse_group(text) for text in declared]
        self._cgroups = ControlGroups(sysfs)
        self._discover, self._pods = discover, pods
        self._path_of: dict[tuple[int, int], str] = {}  # (pid, start) -> control-group path
        self._name_cache: dict[str, str | None] = {}
        self._groups: dict[str, GroupUsage] = {}
        self._group_of_pid: dict[int, str] = {}
        self._scanned_us = 0

    def scan(self, mono_us: int, computing: Iterable[int] = ()) -> dict[str, GroupUsage]:
        """Read all processes; reported groups by name. ``computing`` are the IDs of processes that use a GPU."""
        table = dict(self.table.processes())
        paths = (
            self._paths(table) if self._discover or any(d.kind in ("cgroup", *_DISCOVERED_KINDS) for d in self._declared) else {}
        )
        members: dict[str, list[int]] = {}
        for pid, path in paths.items():
            name = self._group_name(path)
            if name is not None:
                members.setdefault(name, []).append(pid)
        elapsed_us, self._scanned_us = mono_us - self._scanned_us, mono_us
        self._group_of_pid = {pid: name for name, pids in members.items() for pid in pids}
        for declared in self._declared:
            pids = list(self._members(declared, table, paths))
            self._update_usage(declared.name, pids, table, paths).reported = True
            # A declared group takes precedence over a discovered one.
            self._group_of_pid.update(dict.fromkeys(pids, declared.name))
        if self._discover:
            self._discover_groups(members, table, paths, set(computing), elapsed_us)
        return {name: group for name, group in self._groups.items() if group.reported}

    def group_of(self, pid: int) -> str | None:
        """Group of a process as of the last scan."""
        return self._group_of_pid.get(pid)

    def _discover_groups(
        self,
        members: Mapping[str, list[int]],
        table: Mapping[int, Process],
        paths: Mapping[int, str],
        computing: set[int],
        elapsed_us: int,
    ) -> None:
        reported_count = sum(group.reported for group in self._groups.values())
        for name, pids in members.items():
            previous_us = self._groups[name].cpu_us if name in self._groups else 0
            group = self._update_usage(name, pids, table, paths)
            is_busy = group.cpu_us - previous_us >= MIN_CPU_SHARE * elapsed_us > 0
            if not group.reported and reported_count < MAX_DISCOVERED_GROUPS and (is_busy or not computing.isdisjoint(pids)):
                group.reported = True
                reported_count += 1
        for name in set(self._groups) - set(members) - {declared.name for declared in self._declared}:
            del self._groups[name]  # its last process has ended, and its time is reported

    def _paths(self, table: Mapping[int, Process]) -> dict[int, str]:
        """Control group of each process, read once per process, since few ever move."""
        path_of_process = {}
        paths = {}
        for pid, process in table.items():
            identity = pid, process.start
            path = self._path_of.get(identity)
            if path is None:
                path = path_of(self.table.read_file(pid, "cgroup").decode("utf-8", "replace"))
            path_of_process[identity] = paths[pid] = path
        self._path_of = path_of_process
        return paths

    def _group_name(self, path: str) -> str | None:
        if path not in self._name_cache:
            if len(self._name_cache) > 10_000:
                self._name_cache.clear()
            name = name_of(path)
            if name is not None and name.startswith("pod:"):
                name = pod_names(self._pods).get(name, name)
            self._name_cache[path] = name
        return self._name_cache[path]

    def _update_usage(self, name: str, pids: list[int], table: Mapping[int, Process], paths: Mapping[int, str]) -> GroupUsage:
        group = self._groups.setdefault(name, GroupUsage())
        group_paths = {paths[pid] for pid in pids} if name.partition(":")[0] in _DISCOVERED_KINDS else set()
        cpu_us_of = {path: cpu_us for path in group_paths if (cpu_us := self._cgroups.cpu_us(path)) is not None}
        if group_paths and len(cpu_us_of) == len(group_paths):
            for path, cpu_us in cpu_us_of.items():
                group.cpu_us += max(cpu_us - group.paths.get(path, cpu_us if not group.initialised else 0), 0)
            group.paths = cpu_us_of
            group.memory_bytes = sum(self._cgroups.memory_bytes(path) or 0 for path in group_paths)
        if not cpu_us_of or len(cpu_us_of) < len(group_paths) or not group.memory_bytes:
            group.memory_bytes = sum(table[pid].memory_bytes for pid in pids)
        if len(cpu_us_of) < len(group_paths) or not group_paths:
            ticks_of = {(pid, table[pid].start): table[pid].ticks for pid in pids}
            for identity, ticks in ticks_of.items():
                # A new process counts in full, except at the first scan: its time lies before the agent's start.
                counted_ticks = group.ticks.get(identity, ticks if not group.initialised else 0)
                group.cpu_us += max(ticks - counted_ticks, 0) * US_PER_TICK
            group.ticks = ticks_of
        group.initialised = True
        return group

    def _members(self, group: DeclaredGroup, table: Mapping[int, Process], paths: Mapping[int, str]) -> Iterator[int]:
        if group.kind == "pid":
            root = int(group.selector)
            for pid in table:
                ancestor = pid
                while ancestor not in (root, 0) and ancestor in table:
                    ancestor = table[ancestor].parent
                if ancestor == root and root in table:
                    yield pid
        elif group.kind == "cmd":
            pattern = re.compile(group.selector)
            for pid in table:
                if pattern.search(self.table.read_file(pid, "cmdline").decode("utf-8", "replace").replace("\0", " ")):
                    yield pid
        elif group.kind == "cgroup":
            yield from (pid for pid, path in paths.items() if path.startswith(group.selector))
        else:
            name_pattern = f"{group.kind}:{group.selector}"
            yield from (pid for pid, path in paths.items() if fnmatchcase(self._group_name(path) or "", name_pattern))


def parse_group(text: str) -> DeclaredGroup:
    """Parse the declaration of a group.

    Raises
    ------
    BadGroup
        If the declaration is invalid.
    """
    name, _, specification = text.partition("=")
    kind, colon, selector = specification.partition(":")
    is_known_kind = kind in ("pid", "cmd", "cgroup", *_DISCOVERED_KINDS)
    if not name or not colon or not selector or not is_known_kind or (kind == "pid" and not selector.isdigit()):
        raise BadGroup(
            f"processes {text!r} must be name=pid:N, name=cmd:REGEX, name=cgroup:/path, "
            "or name=unit:PATTERN, container:PATTERN, pod:PATTERN, job:PATTERN, vm:PATTERN"
        )
    if kind == "cmd":
        try:
            re.compile(selector)
        except re.error as error:
            raise BadGroup(f"processes {text!r}: {error}") from None
    return DeclaredGroup(name, kind, selector)
