"""What ``footprint-agent probe`` says of a fleet machine, against what the machine offers.

A claim is a phrase that is true of some machines only; ``untrue_claims`` compares each with the description of the machine.
``unnamed_devices`` are devices that exist and that neither a reading nor a reason names.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from unittest import mock

from collectors.probe import probe
from tests.simulation.fleet_host import simulated
from tests.simulation.fleet_machine import ABSENT, DENIED, UNREADABLE, Machine, SensorError
from tests.support.privileges import without_override

# After a minute each sensor has answered; before, some are still under trial.
PROBED_AT_S = 60.0


def probe_machine(machine: Machine, folder: Path) -> list[str]:
    """Lines of the probe of a machine, on both streams; where it waits, the machine's time passes."""

    def run() -> list[str]:
        output = io.StringIO()
        with simulated(machine, folder) as host, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            config = host.config()
            host.set_time_s(PROBED_AT_S)

            def sleep(seconds: float) -> None:
                host.set_time_s(min(host.at_s + max(seconds, 0.001), machine.seconds))

            with mock.patch("time.sleep", sleep):
                try:
                    probe(config)
                except Exception as error:
                    print(f"Traceback: {type(error).__name__}: {error}")
        return output.getvalue().splitlines()

    if any(template == DENIED for _, template in machine.files()):
        return without_override(run)
    return run()


def command_beside(machine: Machine, command: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """Exit status and lines of a module run as a program, while the machine's files move."""
    with simulated(machine, folder / machine.name) as host:
        environment = {"FOOTPRINT_SYSFS": f"{host.folder}/sys", "FOOTPRINT_PROC": f"{host.folder}/proc", "PATH": "/nowhere"}
        environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (folder / "output.txt").open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=output, stderr=output
            )
            while process.poll() is None:
                host.set_time_s(min(host.at_s + 1, machine.seconds))
                time.sleep(0.05)
    return process.returncode, (folder / "output.txt").read_text(encoding="utf-8").splitlines()


def _answers(machine: Machine, given: object) -> bool:
    """Whether a query of a library answers a number, at the time of the probe."""
    try:
        return machine.number(given, PROBED_AT_S) is not None
    except SensorError:
        return False


def _readable(machine: Machine, path: str) -> bool:
    template = dict(machine.files()).get(path)
    if template is None or template in (ABSENT, DENIED, UNREADABLE):
        return False
    try:
        return machine.render(template, PROBED_AT_S) is not None
    except SensorError:
        return False


def _monitors(machine: Machine, *drivers: str) -> Iterator[tuple[str, dict[str, object]]]:
    for folder, files in machine.table.get("files", {}).items():
        if "/hwmon/" in folder and files.get("name") in drivers:
            yield folder, files


def _has_intel_counter(machine: Machine) -> bool:
    return any(
        re.fullmatch(r"energy\d+_input", name) and _readable(machine, f"{folder}/{name}")
        for folder, files in _monitors(machine, "xe", "i915")
        for name in files
    )


def _has_meter(machine: Machine) -> bool:
    return any(_readable(machine, f"{folder}/power1_average") for folder, _ in _monitors(machine, "power_meter"))


def _zones(machine: Machine, *kinds: str) -> list[str]:
    """Folders of powercap zones whose name begins with a kind."""
    return [
        folder
        for folder, files in machine.table.get("files", {}).items()
        if "/powercap/" in folder and str(files.get("name", "")).startswith(kinds)
    ]


def _has_cpu_sensor(machine: Machine) -> bool:
    scraped = any("package" in exporter["text"] or "socket" in exporter["text"] for exporter in machine.table.get("exporter", []))
    return scraped or any(_readable(machine, f"{zone}/energy_uj") for zone in _zones(machine, "package"))


def _redfish_refuses(machine: Machine) -> bool:
    resources = machine.table.get("redfish", {}).get("resources", {})
    return any(isinstance(answer, int) or "PowerConsumedWatts" in str(answer) for answer in resources.values())


def _polls(machine: Machine, match: re.Match[str]) -> bool:
    """Whether the board of a message such as ``gpu:1: … power is polled`` answers a power."""
    boards = machine.table.get("nvml", [])
    index = int(match[1])
    return index < len(boards) and any(_answers(machine, boards[index].get(q)) for q in ("power", "average", "instant"))


def _ipmi_output(machine: Machine) -> str:
    outputs = (machine.render(command["output"], PROBED_AT_S) or "" for command in machine.table.get("command", {}).values())
    return "\n".join(outputs).lower()


# (phrase, whether it is true of a machine)
CLAIMS: tuple[tuple[str, Callable[[Machine, re.Match[str]], bool]], ...] = (
    (r"gpu:(\d+).*power is polled .* and integrated", _polls),
    (r"no card with an energy counter", lambda machine, _: not _has_intel_counter(machine)),
    (r"no power meter that can be read", lambda machine, _: not _has_meter(machine)),
    (r"modprobe acpi_power_meter", lambda machine, _: not [*_monitors(machine, "power_meter")]),
    (r"no sensor of the CPU can be read", lambda machine, _: not _has_cpu_sensor(machine)),
    (r"no chassis reports a power$", lambda machine, _: not _redfish_refuses(machine)),
    (r"Intel GPU: no hardware monitor", lambda machine, _: not [*_monitors(machine, "xe", "i915")]),
    (r"ACPI: no power meter", lambda machine, _: not [*_monitors(machine, "power_meter")]),
    (r"AMD GPU: none found", lambda machine, _: "amdsmi" not in machine.table and not [*_monitors(machine, "amdgpu")]),
    (r"(?i)NVML.*(not found|no NVIDIA driver)", lambda machine, _: "nvml" not in machine.table),
    (r"DCMI is not supported", lambda machine, _: not re.search("privilege|power", _ipmi_output(machine))),
    (r"neither ipmitool nor ipmi-dcmi is installed", lambda machine, _: "command" not in machine.table),
    (r"Redfish: not configured", lambda machine, _: "redfish" not in machine.table),
    (r"RAPL: no \w+ zone", lambda machine, _: not _zones(machine, "package")),
    # A device that draws power is not measured by a counter that says that it draws none.
    (r"\(0\.0 W\) +A, ", lambda machine, _: False),
    (r"(Traceback|KeyError|AttributeError|TypeError|IndexError|ValueError:)", lambda machine, _: False),
)


def untrue_claims(machine: Machine, lines: Iterable[str]) -> list[str]:
    """Lines that are not true of a machine."""
    return [
        line for line in lines for phrase, is_true in CLAIMS if (match := re.search(phrase, line)) and not is_true(machine, match)
    ]


def _devices(machine: Machine) -> Iterator[tuple[str, ...]]:
    """Devices that exist, each by the names under which it may be spoken of."""
    for index, board in enumerate(machine.table.get("nvml", [])):
        yield f"gpu:{index}", str(board["uuid"])
    for index, board in enumerate(machine.table.get("amdsmi", [])):
        if "of" in board:
            yield f"amd:{index}", str(board["uuid"]), str(board["bdf"])
    yield from _cards(machine)
    yield from _packages(machine)
    if "redfish" in machine.table:
        yield "Redfish", "wall"
    if "command" in machine.table:
        yield "IPMI", "wall"


def _cards(machine: Machine) -> Iterator[tuple[str, ...]]:
    for alias, drivers in (("xpu", ("xe", "i915")), ("amd", ("amdgpu",))):
        cards = sorted(_monitors(machine, *drivers), key=lambda card: str(card[1]["device"]))
        for index, (folder, files) in enumerate(cards):
            yield Path(folder).name, Path(str(files["device"])).name, f"{alias}:{index}"
    for folder, files in _monitors(machine, "power_meter"):
        label = str(files.get("power1_oem_info") or "wall")
        if not label.startswith(("CPU", "SysIO")):  # rails within a socket are parts, not devices
            yield Path(folder).name, label, f"cpu:{label[-1]}" if "Socket" in label else "wall"


def _packages(machine: Machine) -> Iterator[tuple[str, ...]]:
    if machine.table.get("agent", {}).get("rapl_zone") == "psys":
        return  # it contains them
    packages: dict[str, list[str]] = {}  # several interfaces may show one package
    for zone in _zones(machine, "package"):
        packages.setdefault(str(machine.table["files"][zone]["name"]), []).append(zone)
    for index, name in enumerate(sorted(packages)):
        yield f"cpu:{index}", name, *(Path(zone).name for zone in packages[name])
        for memory in _zones(machine, "dram"):
            if str(Path(memory).parent) in packages[name]:
                yield f"dram:{index}", Path(memory).name


def unnamed_devices(machine: Machine, lines: Iterable[str]) -> list[str]:
    """Devices that exist, and that no line names: neither as read nor with a reason."""
    text = "\n".join(lines)
    return [" / ".join(names) for names in _devices(machine) if not any(name in text for name in names)]
