"""Control groups: the service that a process belongs to, and the CPU time and memory of the group.

Requirements: /proc/<pid>/cgroup; /sys/fs/cgroup (v2, or the cpuacct and memory hierarchies of v1) if it can be read.

Names are ``unit:NAME.service`` (systemd), ``container:<12 hexadecimal digits>`` (Docker, containerd, CRI-O, Podman, LXC)
and ``pod:<namespace>/<name>``, or ``pod:<uid>`` if the kubelet's log folder does not name it. Login sessions have no name
on purpose: they would identify people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$")
_CONTAINER = re.compile(r"^(?:docker-|cri-containerd-|crio-|libpod-|containerd-)?([0-9a-f]{64})(?:\.scope)?$")
_LXC = re.compile(r"^lxc(?:\.payload\.|\.monitor\.|/)([A-Za-z0-9_-]+)")
_JOB = re.compile(r"^job_(\d+)$")
US_PER_NS = 1 / 1000


def name_of(path: str) -> str | None:
    """Name of the group of a control-group path; None for sessions, slices and kernel threads."""
    parts = [part for part in path.split("/") if part]
    for part in parts:
        if match := _POD.search(part):
            return "pod:" + _format_uid(match[1])
    for part in reversed(parts):
        if match := _CONTAINER.match(part):
            return "container:" + match[1][:12]
        if match := _JOB.match(part):
            return "job:" + match[1]
    if match := _LXC.match("/".join(parts)):
        return "container:" + match[1]
    units = (part for part in reversed(parts) if part.endswith(".service") and not part.startswith("user@"))
    return next((f"unit:{part}" for part in units), None)


def _format_uid(text: str) -> str:
    plain = text.replace("_", "").replace("-", "")
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def path_of(text: str) -> str:
    """Path in the content of /proc/<pid>/cgroup: of v2, else of cpuacct, else the longest of v1 (cgroups(7))."""
    longest = ""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers and path != "/":
            return path
        if "cpuacct" in controllers.split(",") and path != "/":
            return path
        if len(path) > len(longest):
            longest = path
    return longest


def pod_names(folder: Path) -> dict[str, str]:
    """``pod:<uid>`` -> ``pod:<namespace>/<name>``, from the names of the kubelet's log folders."""
    pod_name_of = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    for name in names:
        parts = name.split("_")
        if len(parts) == 3:
            pod_name_of["pod:" + parts[2]] = f"pod:{parts[0]}/{parts[1]}"
    return pod_name_of


class ControlGroups:
    """Reader of the CPU time and memory of control groups by path; None if their files cannot be read."""

    def __init__(self, sysfs: Path) -> None:
        root = sysfs / "fs" / "cgroup"
        self._v2 = (root / "cgroup.controllers").exists()
        self._cpu = root if self._v2 else next(_existing_folders(root, "cpuacct", "cpu,cpuacct", "cpu"), root / "cpuacct")
        self._memory = root if self._v2 else root / "memory"

    def cpu_us(self, path: str) -> int | None:
        """Cumulative CPU time [µs] of a group and its descendants, including ended processes."""
        if self._v2:
            text = _read_text(f"{self._cpu}{path}/cpu.stat")
            head, _, rest = text.partition("usage_usec ")
            return int(rest.split()[0]) if rest and not head.strip() else None
        text = _read_text(f"{self._cpu}{path}/cpuacct.usage")
        return round(int(text) * US_PER_NS) if text.strip().isdigit() else None

    def memory_bytes(self, path: str) -> int | None:
        """Current memory of a group [bytes]."""
        name = "memory.current" if self._v2 else "memory.usage_in_bytes"
        text = _read_text(f"{self._memory}{path}/{name}").strip()
        return int(text) if text.isdigit() else None


def _existing_folders(root: Path, *names: str) -> Iterator[Path]:
    return (root / name for name in names if (root / name).is_dir())


def _read_text(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 4096).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
