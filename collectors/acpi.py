"""ACPI collector: whole-server power from the firmware's power meter.

Requirements: the kernel module acpi_power_meter; /sys/class/hwmon; power1_average may be readable by root only.

Metrics
-------
power   power1_average [µW], the mean over power1_average_interval; device wall, source acpi-power;
        a meter labelled as a socket's (Grace) does not cover the server: read as cpu:N only with
        ``[agent] nvml_scope = "gpu"``
"""

from __future__ import annotations

from collections.abc import Iterator

from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import HwmonDevice, find_monitors
from footprint.core.samples import Channel, Sample

US_PER_MS = 1000


class AcpiCollector(Collector):
    """Power of the whole server; of its sockets if ``nvml_scope`` asks for them."""

    name = "acpi"
    covers = "wall"

    def __init__(self, config: AgentConfig) -> None:
        self._meters: list[tuple[HwmonDevice, str, Channel]] = []
        sockets = 0
        for meter in find_monitors(config.sysfs, "power_meter"):
            file_name = next((name for name in ("power1_average", "power1_input") if meter.read_int(name) is not None), None)
            if file_name is None:
                continue
            period_us = (meter.read_int("power1_average_interval") or 0) * US_PER_MS
            label = meter.read_text("power1_oem_info").lower()
            if "socket" in label:
                if config.nvml_scope == "gpu" and ("cpu" in label or "grace" in label):
                    channel = Channel(f"cpu:{sockets}", "cpu", "acpi-power", period_us=period_us, model=label)
                    self._meters.append((meter, file_name, channel))
                    sockets += 1
                continue
            self._meters.append((meter, file_name, Channel("wall", "host", "acpi-power", period_us=period_us)))
        walls = sum(channel.component == "host" for _, _, channel in self._meters)
        if walls > 1:
            raise Unavailable(f"ACPI: {walls} power meters without a label; it is unknown which covers the whole server")
        if not self._meters:
            raise Unavailable("ACPI: no power meter that can be read (modprobe acpi_power_meter, where the firmware has one)")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample per meter; none for an unreadable meter or a zero, which no running server draws."""
        for meter, file_name, channel in self._meters:
            power_uw = meter.read_int(file_name)
            if power_uw:
                yield Sample(channel, at_us, mono_us, None, power_uw)
