"""This file reads a whole-server power meter that the firmware shows through ACPI.

Requirements: the kernel module acpi_power_meter; /sys/class/hwmon; power1_average may be readable by root only.

Metrics
-------
power   power1_average [µW], the mean over power1_average_interval; device wall, source acpi-power
        a meter labelled as a socket's (Grace) is no whole server: read as cpu:N only with ``[agent] nvml_scope = "gpu"``
"""

from __future__ import annotations

from collections.abc import Iterator

from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import Monitor, monitors
from footprint.core.samples import Channel, Sample

US_PER_MS = 1000


class AcpiCollector(Collector):
    """Power of the whole server; of the sockets where their meters are wanted."""

    name = "acpi"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        self._meters: list[tuple[Monitor, str, Channel]] = []
        sockets = 0
        for meter in monitors(config.sysfs, "power_meter"):
            file = next((name for name in ("power1_average", "power1_input") if meter.number(name) is not None), None)
            if file is None:
                continue
            period_us = (meter.number("power1_average_interval") or 0) * US_PER_MS
            label = meter.text("power1_oem_info").lower()
            if "socket" in label:
                if config.nvml_scope == "gpu" and ("cpu" in label or "grace" in label):
                    channel = Channel(f"cpu:{sockets}", "cpu", "acpi-power", period_us=period_us, model=label)
                    self._meters.append((meter, file, channel))
                    sockets += 1
                continue
            self._meters.append((meter, file, Channel("wall", "host", "acpi-power", period_us=period_us)))
        walls = sum(channel.component == "host" for _, _, channel in self._meters)
        if walls > 1:
            raise Unavailable(f"ACPI: {walls} power meters without a label; which is the whole server is not said")
        if not self._meters:
            raise Unavailable("ACPI: no power meter that can be read (modprobe acpi_power_meter, where the firmware has one)")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample a meter; a meter that says nothing, or zero, which no running server draws, gives none."""
        for meter, file, channel in self._meters:
            power_uw = meter.number(file)
            if power_uw:
                yield Sample(channel, at_us, mono_us, None, power_uw)
