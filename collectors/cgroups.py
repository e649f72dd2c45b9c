"""Control groups: the workload that a process belongs to, and the CPU time and memory of the group.

Requirements: /proc/<pid>/cgroup; /sys/fs/cgroup (v2, or the cpuacct and memory hierarchies of v1) if it can be read.

Names are ``unit:NAME.service`` (systemd); ``container:<12 hexadecimal digits>`` (Docker, containerd, CRI-O, Podman,
nerdctl) or ``container:NAME`` (LXC, Incus, ECS); ``pod:<namespace>/<name>``, or ``pod:<uid>`` if the kubelet's log folder
does not name it; ``job:ID`` (Slurm, PBS, HTCondor, LSF, Grid Engine, OAR, Nomad); ``vm:NAME`` (libvirt, Proxmox). Login
sessions have no name on purpose: they would identify people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_UID = r"[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}"
_NAME = r"[\w.+-]{1,100}"
# containerd without systemd's scopes writes slice, runtime and container in one part, separated by colons.
_POD = re.compile(rf"(?:^|[-_])pod({_UID}|[0-9a-f]{{32}})(?:\.slice)?(?=$|:)", re.ASCII)
_CONTAINER = re.compile(r"(?:^|[-:_.])([0-9a-f]{64})(?:\.scope|\.service)?$", re.ASCII)
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})", re.ASCII)
US_PER_NS = 1 / 1000

# Names of one part of a path, given the part before it: (pattern of the part before, pattern of the part, kind).
_PARTS: tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...] = tuple(
    (re.compile(parent, re.ASCII), re.compile(part, re.ASCII), kind)
    for parent, part, kind in (
        # Slurm: a number until 25.11, a name of its own from 26.05 on; "system" is the daemon's own.
        (r"(?:.*_)?slurmstepd\.scope", r"(?:job_)?(?!system$|step_)([0-9A-Za-z_+-]{1,60})", "job"),
        (r".*", r"job_(\d+)", "job"),
        (r"jobid", rf"({_NAME}(?:\[\d*\]{_NAME})?)", "job"),  # PBS; an array's jobs are 12[3].server
        (r"pbs(?:pro|_jobs)?(?:\.service|\.slice)?", rf"(?:pbs(?:pro|_jobs)?-)?(\d+(?:\[\d*\])?\.{_NAME}?)(?:\.slice)?", "job"),
        (r"htcondor(?:\.slice)?|condor\.service", r"condor(?:_\w+?)?_(?:execute_)?(slot\d+(?:_\d+)?)(?:@.*)?", "job"),
        (r".*", r"job\.(\d+(?:\.\d+)?)\.\d{9,12}", "job"),  # LSF: number, index of an array, time
        (r"(?i:uge|age|sge|ocs|gridengine)(?:\.slice)?", r"(\d+(?:\.\d+)?)", "job"),
        (r"oar(?:\.slice)?", r"(?:.+_|oar-u\d+-j)?(\d+)(?:\.slice)?", "job"),  # the user's name stands before the number
        (r"nomad|(?:share|reserve)\.slice", rf"({_UID}\.{_NAME}?)(?:\.scope)?", "job"),
        (r"ecs", r"(?!task-)([0-9a-f]{32})", "container"),
        (r"lxc(?:\.payload)?", rf"({_NAME})", "container"),
        (r".*", rf"lxc\.payload\.({_NAME})", "container"),
        (r".*", rf"(?:machine-)?(?:qemu|xen|ch)-\d+-({_NAME}?)(?:\.scope|\.libvirt-qemu)", "vm"),
        (r".*", rf"(?:machine-)?lxc-\d+-({_NAME}?)(?:\.scope|\.libvirt-lxc)", "container"),
        (r"machine\.slice", rf"machine-({_NAME}?)\.scope", "container"),  # systemd-nspawn
        (r"qemu\.slice", r"(\d+)\.scope", "vm"),
    )
)


def name_of(path: str) -> str | None:
    """Name of the group of a control-group path; None for sessions, slices and kernel threads."""
    parts = [_unescape(part) for part in path.split("/") if part and part != ".."]
    return _pod_name(parts) or _outer_name(parts, "job") or _container_name(parts) or _outer_name(parts) or _unit_name(parts)


def _unescape(part: str) -> str:
    """Part of a path without the escapes of systemd (systemd-escape(1))."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), part)


def _pod_name(parts: list[str]) -> str | None:
    return next(("pod:" + _format_uid(match[1]) for part in parts if (match := _POD.search(part))), None)


def _container_name(parts: list[str]) -> str | None:
    # The last one: of containers within containers it is the workload.
    return next(("container:" + match[1][:12] for part in reversed(parts) if (match := _CONTAINER.search(part))), None)


def _outer_name(parts: list[str], kind: str = "") -> str | None:
    """Name by the first pair of parts that is known; of one kind only, if it is given."""
    for parent, part in zip(["", *parts], parts, strict=False):
        for parent_pattern, pattern, part_kind in _PARTS:
            if part_kind != kind and kind:
                continue
            if parent_pattern.fullmatch(parent) and (match := pattern.fullmatch(part)):
                return f"{part_kind}:{match[1]}"
    return None


def _unit_name(parts: list[str]) -> str | None:
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
