"""ACPI collector: power of the whole server, or of its sockets, from the firmware's power meters.

Requirements: the kernel module acpi_power_meter; /sys/class/hwmon; power1_average may be readable by root only.

Metrics
-------
power   power1_average [µW], the mean over power1_average_interval; device wall, source acpi-power
socket  of the meters labelled as a socket's (NVIDIA Grace), the outermost of each socket; device cpu:N, source acpi-power:
        "Module Power" holds "Grace Power", which holds the rails "CPU Power" and "SysIO Power". The module holds a GPU as
        well: it counts only where the host has none of NVIDIA's. Rails that nothing holds are devices of their own.

While NVML reads the module with its CPU, the sockets are within it (``collectors.overlaps``). Values that mean "not known"
are refused and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from collectors.base import Collector, PermissionRequired, SourceState, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import HwmonDevice, PowerInput, find_monitors
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_verdicts import Reason, SensorState

US_PER_MS = 1000
_FILES = ("power1_average", "power1_input")
_SOCKET = re.compile(r"^(?P<part>.*?)\s*power\s+socket\s*(?P<number>\d+)$", re.IGNORECASE)
_WHOLE = re.compile(r"\b(?:system|server|total|chassis|platform|node)\b", re.IGNORECASE)
_LEVELS = {"module": 0, "grace": 1}  # the outermost first; everything else is a rail
_RAIL = 2
_NVIDIA, _DISPLAY_CLASSES = "0x10de", ("0x0300", "0x0302")


@dataclass(slots=True)
class _Meter:
    power: PowerInput
    channel: Channel
    label: str


class AcpiCollector(Collector):
    """Power of the whole server and of its sockets."""

    name = "acpi"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        self._meters: list[_Meter] = []
        self._notes: list[str] = []
        monitors = list(find_monitors(config.sysfs, "power_meter"))
        if not monitors:
            raise Unavailable("ACPI: no power meter (modprobe acpi_power_meter, where the firmware has one)")
        sockets: dict[int, list[tuple[int, str, HwmonDevice]]] = {}
        walls: list[tuple[str, HwmonDevice]] = []
        for monitor in monitors:
            label = monitor.read_text("power1_oem_info")
            match = _SOCKET.match(label)
            if match:
                level = _LEVELS.get(match["part"].lower(), _RAIL)
                sockets.setdefault(int(match["number"]), []).append((level, label, monitor))
            else:
                walls.append((label, monitor))
        self._add_sockets(sockets, has_gpu=config.nvml_scope == "gpu" or _has_nvidia_gpu(config))
        self._add_wall(walls)
        if not self._meters:
            raise Unavailable(f"ACPI: {'; '.join(self._notes)}")
        if not any(
            (meter.power.monitor.folder / name).exists() and _is_readable(meter, name)
            for meter in self._meters
            for name in _FILES
        ):
            raise PermissionRequired(
                f"ACPI: {self._meters[0].power.monitor.folder / _FILES[0]} cannot be read (root only?): "
                "allow it by a rule of tmpfiles.d, or run the agent with CAP_DAC_READ_SEARCH"
            )

    def _add_sockets(self, sockets: dict[int, list[tuple[int, str, HwmonDevice]]], *, has_gpu: bool) -> None:
        """Add the outermost meters of each socket."""
        for number, meters in sorted(sockets.items()):
            usable = [meter for meter in meters if not (meter[0] == 0 and has_gpu)]
            if not usable:
                self._notes.append(f"'{meters[0][1]}' measures a module with its GPU, which NVML reads; it does not count")
                continue
            outermost = min(level for level, _, _ in usable)
            rails = 0
            for level, label, monitor in sorted(
                usable, key=lambda meter: (meter[0], not meter[1].lower().startswith("cpu"), meter[1])
            ):
                if level > outermost:
                    continue
                if level < _RAIL and rails:
                    self._notes.append(f"two meters are labelled '{label}': the first is read")
                    break
                device = f"cpu:{number}" if not rails else f"cpu:{number}/{label.split()[0].lower()}"
                self._add(monitor, Channel(device, "cpu", "acpi-power", period_us=_period_us(monitor), model=label), label)
                rails += 1
            if outermost == _RAIL:
                self._notes.append(
                    f"socket {number}: its meters measure rails ({usable[0][1]}); what lies beside them is not measured"
                )

    def _add_wall(self, walls: list[tuple[str, HwmonDevice]]) -> None:
        """Add the meter of the whole server, if it is known which one that is."""
        whole = [wall for wall in walls if _WHOLE.search(wall[0])] or walls
        if len(whole) == 1:
            label, monitor = whole[0]
            self._add(monitor, Channel("wall", "host", "acpi-power", period_us=_period_us(monitor)), label or "the power meter")
        elif whole:
            self._notes.append(f"{len(whole)} power meters without a label; it is unknown which covers the whole server")

    def _add(self, monitor: HwmonDevice, channel: Channel, label: str) -> None:
        self._meters.append(_Meter(PowerInput(monitor, _FILES, channel.component), channel, label))

    def components(self) -> set[str]:
        """The whole server, or its sockets."""
        return {"wall" if meter.channel.component == "host" else "cpu" for meter in self._meters}

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample per meter; none for an unreadable meter, or for a value that no running server draws."""
        for meter in self._meters:
            power_uw = meter.power.read()
            if power_uw is not None:
                yield Sample(meter.channel, at_us, mono_us, None, power_uw)

    def states(self) -> Iterator[SourceState]:
        """Meters whose last value was refused or could not be read."""
        for meter in self._meters:
            if meter.power.fault:
                channel = meter.channel
                count = sum(meter.power.refused.values())
                message = (
                    f"{channel.device}: {meter.label} ({meter.power.monitor.folder.name}) gives no power: {meter.power.fault}"
                )
                message += f"; {count} values refused so far" if count else ""
                reason = Reason.NOT_UNDERSTOOD if count else Reason.DRIVER_ERROR
                yield SourceState(channel.device, channel.component, channel.source, SensorState.UNREADABLE, reason, message)

    def remarks(self) -> Iterator[str]:
        """Meters that are not read, and values that were refused."""
        yield from (f"ACPI: {note}" for note in self._notes)
        for meter in self._meters:
            if not meter.power.fault:
                for reason, count in meter.power.refused.items():
                    yield f"{meter.channel.device}: {count} values of {meter.label} were refused: {reason}"


def _is_readable(meter: _Meter, name: str) -> bool:
    return meter.power.monitor.read_int(name) is not None


def _period_us(monitor: HwmonDevice) -> int:
    return (monitor.read_int("power1_average_interval") or 0) * US_PER_MS


def _has_nvidia_gpu(config: AgentConfig) -> bool:
    """Whether the kernel lists a GPU of NVIDIA."""
    if any((config.proc / "driver/nvidia/gpus").glob("*")):
        return True
    for device in (config.sysfs / "bus/pci/devices").glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text("ascii").strip(), (device / "class").read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAY_CLASSES):
            return True
    return False
