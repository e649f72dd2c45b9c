"""AMD CPU collector: energy and power of sockets from the hardware monitors amd_energy and amd_hsmp_hwmon.

Requirements: one of these kernel modules; /sys/class/hwmon. Where RAPL reads the packages, they are its witnesses.

Metrics
-------
energy   energyN_input [µJ] of amd_energy, labelled Esocket0, Esocket1 …; device cpu:N, source amd-cpu-energy
power    power1_input [µW] of amd_hsmp_hwmon, one monitor a socket; device cpu:N, source hsmp-power
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from collectors.base import Collector, SourceState, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import HwmonDevice, PowerInput, find_monitors
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_verdicts import Reason, SensorState

_SOCKET = re.compile(r"Esocket(\d+)", re.IGNORECASE)


class AmdCpuCollector(Collector):
    """Energy and power of each AMD socket."""

    name = "amd-cpu"
    covers = "cpu"

    def __init__(self, config: AgentConfig) -> None:
        self._counters: list[tuple[HwmonDevice, str, Channel]] = []
        for monitor in find_monitors(config.sysfs, "amd_energy"):
            for path in sorted(monitor.folder.glob("energy*_label")):
                match = _SOCKET.fullmatch(monitor.read_text(path.name))
                if match:
                    channel = Channel(f"cpu:{int(match[1])}", "cpu", "amd-cpu-energy", model="AMD")
                    self._counters.append((monitor, path.name.replace("_label", "_input"), channel))
        self._powers = [
            (PowerInput(monitor, ("power1_input",), "cpu"), Channel(f"cpu:{socket}", "cpu", "hsmp-power", model="AMD"))
            for socket, monitor in enumerate(find_monitors(config.sysfs, "amd_hsmp_hwmon"))
        ]
        if not self._counters and not self._powers:
            raise Unavailable("AMD CPU: no hardware monitor of the drivers amd_energy and amd_hsmp")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Energy and power of each socket; nothing of one that cannot be read."""
        for monitor, file_name, channel in self._counters:
            energy_uj = monitor.read_int(file_name)
            if energy_uj is not None and energy_uj >= 0:
                yield Sample(channel, at_us, mono_us, energy_uj)
        for power, channel in self._powers:
            power_uw = power.read()
            if power_uw is not None:
                yield Sample(channel, at_us, mono_us, None, power_uw)

    def states(self) -> Iterator[SourceState]:
        """Files that cannot be read, and powers that are refused."""
        for monitor, file_name, channel in self._counters:
            if monitor.read_int(file_name) is None:
                message = f"{channel.device}: {monitor.folder / file_name} cannot be read"
                yield _unread(channel, Reason.DRIVER_ERROR, message)
        for power, channel in self._powers:
            if power.fault:
                yield _unread(channel, Reason.NOT_UNDERSTOOD, f"{channel.device}: amd_hsmp_hwmon gives no power: {power.fault}")


def _unread(channel: Channel, reason: Reason, message: str) -> SourceState:
    return SourceState(channel.device, channel.component, channel.source, SensorState.UNREADABLE, reason, message, channel.device)
