"""Intel GPU collector: energy counters and power of the drivers xe and i915.

Requirements: /sys/class/hwmon of the driver; no root.

Metrics
-------
energy   energyN_input [µJ] of the channel labelled "card" (xe), or of one without a label (i915); source xe-energy, i915-energy;
         where neither is there or answers, of the channel "pkg", a part of the card; source xe-energy-package
power    powerN_input [µW] of the same channel, where the driver has one; source xe-power, i915-power

A card is identified by its bus address. The processor's own GPU, at 0000:00:02.0, shows the energy of the CPU's package.
These counters jump by terawatts at some changes of power state: no increase beyond physics is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collectors.base import Collector, Scope, SourceState, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import HwmonDevice, PowerInput, find_monitors
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_verdicts import Reason, SensorState

MAX_CHANNELS = 8  # of one monitor
MAX_FAILURES = 5  # in a row, after which the next channel of a card is read
INTEGRATED = "0000:00:02.0"
_PREFERENCE = {"card": 0, "": 1, "pkg": 2}  # by label; the first that answers


@dataclass(slots=True)
class _Counter:
    monitor: HwmonDevice
    file_name: str
    channel: Channel
    failures: int = 0


@dataclass(slots=True)
class _IntelGpu:
    device: str
    alias: str
    driver: str
    counters: list[_Counter]  # the preferred first
    power: PowerInput | None
    power_channel: Channel


class IntelCollector(Collector):
    """Energy and power of every Intel GPU that shows one."""

    name = "intel"
    covers = "gpu-intel"

    def __init__(self, config: AgentConfig) -> None:
        by_address: dict[str, list[HwmonDevice]] = {}
        for monitor in find_monitors(config.sysfs, "xe", "i915"):
            by_address.setdefault(monitor.bus_address, []).append(monitor)
        self._gpus = [_open_gpu(address, monitors, index) for index, (address, monitors) in enumerate(by_address.items())]
        if not self._gpus:
            raise Unavailable("Intel GPU: no hardware monitor of the drivers xe and i915")
        if not any(gpu.counters or gpu.power for gpu in self._gpus):
            names = ", ".join(f"{gpu.device} ({gpu.driver})" for gpu in self._gpus)
            raise Unavailable(f"Intel GPU: {names}: the driver shows neither energyN_input nor powerN_input of it")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Energy and power of each card; nothing of a card that cannot be read."""
        for gpu in self._gpus:
            for counter in gpu.counters:
                energy_uj = counter.monitor.read_int(counter.file_name)
                if energy_uj is not None and energy_uj >= 0:
                    counter.failures = 0
                    yield Sample(counter.channel, at_us, mono_us, energy_uj)
                    break
                counter.failures += 1
                if counter.failures < MAX_FAILURES:
                    break  # a passing fault does not change what is counted
            power_uw = None if gpu.power is None else gpu.power.read()
            if power_uw is not None:
                yield Sample(gpu.power_channel, at_us, mono_us, None, power_uw)

    def scopes(self) -> Mapping[str, Scope]:
        """The processor's own GPU shows the energy of its package."""
        return {gpu.device: Scope.PACKAGE for gpu in self._gpus if gpu.device == f"gpu-{INTEGRATED}"}

    def states(self) -> Iterator[SourceState]:
        """Cards and channels that are not read."""
        for gpu in self._gpus:
            failing = [counter for counter in gpu.counters if counter.failures]
            if not gpu.counters and gpu.power is None:
                message = f"{gpu.alias} ({gpu.device}): the driver {gpu.driver} shows neither its energy nor its power"
                yield self._state(gpu, f"{gpu.driver}-energy", Reason.NOT_SUPPORTED, message)
            for counter in failing:
                message = f"{gpu.alias} ({gpu.device}): {counter.monitor.folder / counter.file_name} cannot be read now"
                yield self._state(gpu, counter.channel.source, Reason.DRIVER_ERROR, message)
            if gpu.power is not None and gpu.power.fault:
                message = f"{gpu.alias} ({gpu.device}): its power is refused or cannot be read: {gpu.power.fault}"
                yield self._state(gpu, gpu.power_channel.source, Reason.NOT_UNDERSTOOD, message)

    def _state(self, gpu: _IntelGpu, source: str, reason: Reason, message: str) -> SourceState:
        return SourceState(gpu.device, "gpu", source, SensorState.UNREADABLE, reason, message, gpu.alias)

    def remarks(self) -> Iterator[str]:
        """Cards of which a part alone is counted."""
        for gpu in self._gpus:
            if gpu.counters and all(counter.channel.source.endswith("-package") for counter in gpu.counters):
                yield f"{gpu.alias}: the driver counts its package only; memory and fans of the card are not in its energy"


def _open_gpu(address: str, monitors: list[HwmonDevice], index: int) -> _IntelGpu:
    device, alias, driver = f"gpu-{address}", f"xpu:{index}", monitors[0].driver
    counters, powers = [], []
    for monitor in monitors:
        for number in range(1, MAX_CHANNELS + 1):
            label = monitor.read_text(f"energy{number}_label").lower()
            if label in _PREFERENCE and (monitor.folder / f"energy{number}_input").exists():
                source = f"{monitor.driver}-energy{'-package' if label == 'pkg' and address != INTEGRATED else ''}"
                channel = Channel(device, "gpu", source, alias=alias, model="Intel")
                counters.append((_PREFERENCE[label], _Counter(monitor, f"energy{number}_input", channel)))
            label = monitor.read_text(f"power{number}_label").lower()
            if label in _PREFERENCE and (monitor.folder / f"power{number}_input").exists():
                powers.append((_PREFERENCE[label], PowerInput(monitor, (f"power{number}_input",), "gpu", may_be_zero=True)))
    counters.sort(key=lambda item: item[0])
    powers.sort(key=lambda item: item[0])
    # The power of another channel than that of the counter would be no witness.
    power = powers[0][1] if powers and (not counters or counters[0][0] == powers[0][0]) else None
    power_channel = Channel(device, "gpu", f"{driver}-power", alias=alias, model="Intel")
    return _IntelGpu(device, alias, driver, [counter for _, counter in counters], power, power_channel)
