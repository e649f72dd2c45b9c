"""AMD GPU collector: energy and power through amdsmi if it is installed, else from the driver's hardware monitor.

Requirements: amdsmi (MIT; comes with ROCm), or the driver amdgpu; no root, but the group ``render`` for amdsmi.

Metrics
-------
energy   energy_accumulator x counter_resolution [µJ]; source amd-energy, used once it agrees with the power
power    current or average socket power [W]; source amd-power; of the hardware monitor power1_average, power1_input [µW]

Some counters are frozen, count in another unit, or belong to another part of the board: ``CounterValidation`` compares
each with the power of the same device. A GPU is identified by its UUID, else its bus address: the order of devices
differs between AMD's own tools.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import HwmonDevice, find_monitors
from footprint.core.samples import Channel, Sample
from footprint.core.units import PJ_PER_UJ, US_PER_S

UW_PER_W = 1_000_000
LIMIT_TOLERANCE = 1.2
_MAX_UW = 5_000 * UW_PER_W
MIN_VALIDATION_US = 30 * US_PER_S
MIN_VALIDATION_UJ = 100 * 1_000_000  # 100 J: below it, the resolution of the counter is too coarse
MAX_VALIDATION_RATIO = 2  # over half a minute a sound counter agrees with the integrated power much better


@dataclass(slots=True)
class CounterValidation:
    """Comparison of one energy counter with the power of its device; ``trusted`` is None while undecided."""

    start_us: int = -1
    start_uj: int = 0
    last_us: int = 0
    last_uw: int = 0
    power_pj: int = 0
    trusted: bool | None = None

    def add(self, mono_us: int, counter_uj: int, power_uw: int) -> None:
        """Add a pair of values [µJ, µW] at an instant of the monotonic clock [µs]."""
        if self.trusted is not None:
            return
        if self.start_us < 0 or counter_uj < self.start_uj:
            self.start_us, self.start_uj, self.power_pj = mono_us, counter_uj, 0
        else:
            self.power_pj += (power_uw + self.last_uw) * (mono_us - self.last_us) // 2
        self.last_us, self.last_uw = mono_us, power_uw
        power_uj = self.power_pj // PJ_PER_UJ
        if mono_us - self.start_us >= MIN_VALIDATION_US and power_uj >= MIN_VALIDATION_UJ:
            counted_uj = counter_uj - self.start_uj
            self.trusted = power_uj <= MAX_VALIDATION_RATIO * counted_uj and counted_uj <= MAX_VALIDATION_RATIO * power_uj


@dataclass(slots=True)
class _AmdGpu:
    handle: Any  # a handle of amdsmi, or an HwmonDevice
    power: Channel
    energy: Channel
    validation: CounterValidation = field(default_factory=CounterValidation)


class AmdCollector(Collector):
    """Energy, or else power, of every AMD GPU."""

    name = "amd"
    covers = "gpu-amd"

    def __init__(self, config: AgentConfig) -> None:
        self._smi = _amdsmi()
        self._gpus = _gpus_from_smi(self._smi) if self._smi else _gpus_from_hwmon(config)
        if not self._gpus:
            raise Unavailable("AMD GPU: none found (amdsmi is not installed, and the driver amdgpu shows no power)")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Power until the counter is trusted, then the counter; both at the change-over."""
        for gpu in self._gpus:
            power_uw = _smi_power_uw(self._smi, gpu.handle) if self._smi else _hwmon_power_uw(gpu.handle)
            counter_uj = _smi_energy_uj(self._smi, gpu.handle) if self._smi else gpu.handle.read_int("energy1_input")
            trusted = gpu.validation.trusted
            if counter_uj is not None and power_uw is not None:
                gpu.validation.add(mono_us, counter_uj, power_uw)
            if power_uw is not None and not trusted:
                yield Sample(gpu.power, at_us, mono_us, None, power_uw)
            if counter_uj is not None and gpu.validation.trusted:
                yield Sample(gpu.energy, at_us, mono_us, counter_uj)

    def remarks(self) -> Iterator[str]:
        """Counters that failed their validation."""
        for gpu in self._gpus:
            if gpu.validation.trusted is False:
                yield f"{gpu.power.alias}: its energy counter disagrees with its power and is not used"

    def close(self) -> None:
        """Close the library."""
        if self._smi:
            with contextlib.suppress(Exception):
                self._smi.amdsmi_shut_down()


def _amdsmi() -> Any:
    """The initialised library; None if it is not installed or finds no driver."""
    try:
        # It prints if its shared library is missing; the agent reports that itself.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            import amdsmi  # noqa: PLC0415 - optional

            amdsmi.amdsmi_init()
    except Exception:  # it raises classes of its own, and OSError if its shared library is missing
        return None
    return amdsmi


def _gpus_from_smi(smi: Any) -> list[_AmdGpu]:
    gpus = []
    for index, handle in enumerate(smi.amdsmi_get_processor_handles()):
        identity = _call_or_none(smi.amdsmi_get_gpu_device_uuid, handle) or _call_or_none(smi.amdsmi_get_gpu_device_bdf, handle)
        if not identity:
            continue
        model = (_call_or_none(smi.amdsmi_get_gpu_asic_info, handle) or {}).get("market_name", "AMD")
        limit = _number_or_none((_call_or_none(smi.amdsmi_get_power_cap_info, handle) or {}).get("max_power_cap"))
        gpus.append(_gpu(handle, f"gpu-{identity}", index, str(model), round(limit or 0)))
    return gpus


def _gpus_from_hwmon(config: AgentConfig) -> list[_AmdGpu]:
    cards = [card for card in find_monitors(config.sysfs, "amdgpu") if _hwmon_power_uw(card) is not None]
    return [
        _gpu(card, f"gpu-{card.bus_address}", index, "AMD", card.read_int("power1_cap_max") or card.read_int("power1_cap") or 0)
        for index, card in enumerate(cards)
    ]


def _gpu(handle: Any, device: str, index: int, model: str, limit_uw: int) -> _AmdGpu:
    power = Channel(device, "gpu", "amd-power", limit_uw=round(limit_uw * LIMIT_TOLERANCE), alias=f"amd:{index}", model=model)
    return _AmdGpu(handle, power, replace(power, source="amd-energy"))


def _smi_power_uw(smi: Any, handle: Any) -> int | None:
    power_info = _call_or_none(smi.amdsmi_get_power_info, handle) or {}
    for name in ("current_socket_power", "socket_power", "average_socket_power"):
        watts = _number_or_none(power_info.get(name))  # "N/A" if the board does not provide it, 0 on the second die of an MI250
        if watts and watts * UW_PER_W <= _MAX_UW:
            return round(watts * UW_PER_W)
    return None


def _smi_energy_uj(smi: Any, handle: Any) -> int | None:
    energy_count = _call_or_none(smi.amdsmi_get_energy_count, handle) or {}
    ticks = _number_or_none(energy_count.get("energy_accumulator", energy_count.get("power")))  # renamed in 6.2.1
    resolution_uj = _number_or_none(energy_count.get("counter_resolution"))
    return round(ticks * resolution_uj) if ticks and resolution_uj else None


def _hwmon_power_uw(card: HwmonDevice) -> int | None:
    average_uw = card.read_int("power1_average")
    return average_uw if average_uw is not None else card.read_int("power1_input")


def _call_or_none(function: Any, handle: Any) -> Any:
    try:
        return function(handle)
    except Exception:  # the library raises classes of its own
        return None


def _number_or_none(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
