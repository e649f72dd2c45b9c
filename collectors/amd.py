"""This file reads AMD GPUs: through amdsmi where it is installed, else through the driver's hardware monitor.

Requirements: amdsmi (MIT; comes with ROCm), or the driver amdgpu; no root, but the group ``render`` for amdsmi.

Metrics
-------
energy   energy_accumulator x counter_resolution [µJ]; source amd-energy, once it agreed with the power (some are frozen,
         some count for another die)
power    current or average socket power [W]; source amd-power; of the hardware monitor power1_average, power1_input [µW]

A GPU is known by its UUID, else its place on the bus: the order of devices differs between AMD's own tools.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from collectors.counter_validation import CounterValidation
from collectors.hwmon import Monitor, monitors
from footprint.core.samples import Channel, Sample

UW_PER_W = 1_000_000
BELIEVED = 1.2
_MAX_UW = 5_000 * UW_PER_W


@dataclass(slots=True)
class _AmdGpu:
    what: Any  # a handle of amdsmi, or a Monitor
    power: Channel
    energy: Channel
    trial: CounterValidation = field(default_factory=CounterValidation)


class AmdCollector(Collector):
    """Energy, or else power, of every AMD GPU."""

    name = "amd"
    covers = "gpu-amd"

    def __init__(self, config: AgentConfig) -> None:
        self._smi = _amdsmi()
        self._gpus = _by_smi(self._smi) if self._smi else _by_monitor(config)
        if not self._gpus:
            raise Unavailable("AMD GPU: none found (amdsmi is not installed, and the driver amdgpu shows no power)")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """Power until the counter is trusted, both at the change, the counter from then on."""
        for gpu in self._gpus:
            power_uw = _smi_power_uw(self._smi, gpu.what) if self._smi else _monitor_power_uw(gpu.what)
            counter_uj = _smi_energy_uj(self._smi, gpu.what) if self._smi else gpu.what.number("energy1_input")
            trusted = gpu.trial.trusted
            if counter_uj is not None and power_uw is not None:
                gpu.trial.add(mono_us, counter_uj, power_uw)
            if power_uw is not None and not trusted:
                yield Sample(gpu.power, at_us, mono_us, None, power_uw)
            if counter_uj is not None and gpu.trial.trusted:
                yield Sample(gpu.energy, at_us, mono_us, counter_uj)

    def remarks(self) -> Iterator[str]:
        """Counters that were tried and are not believed."""
        for gpu in self._gpus:
            if gpu.trial.trusted is False:
                yield f"{gpu.power.alias}: its energy counter disagrees with its power and is not used"

    def close(self) -> None:
        """Leave the library."""
        if self._smi:
            with contextlib.suppress(Exception):
                self._smi.amdsmi_shut_down()


def _amdsmi() -> Any:
    """The library with its devices open, or None where it is not installed or finds no driver."""
    try:
        # It prints where its shared library is missing; the agent says what matters itself.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            import amdsmi  # noqa: PLC0415 - optional

            amdsmi.amdsmi_init()
    except Exception:  # it raises classes of its own, and OSError where its shared library is missing
        return None
    return amdsmi


def _by_smi(smi: Any) -> list[_AmdGpu]:
    found = []
    for index, handle in enumerate(smi.amdsmi_get_processor_handles()):
        identity = _ask(smi.amdsmi_get_gpu_device_uuid, handle) or _ask(smi.amdsmi_get_gpu_device_bdf, handle)
        if not identity:
            continue
        model = (_ask(smi.amdsmi_get_gpu_asic_info, handle) or {}).get("market_name", "AMD")
        limit = _number((_ask(smi.amdsmi_get_power_cap_info, handle) or {}).get("max_power_cap"))
        found.append(_gpu(handle, f"gpu-{identity}", index, str(model), round(limit or 0)))
    return found


def _by_monitor(config: AgentConfig) -> list[_AmdGpu]:
    cards = [card for card in monitors(config.sysfs, "amdgpu") if _monitor_power_uw(card) is not None]
    return [
        _gpu(card, f"gpu-{card.bus}", index, "AMD", card.number("power1_cap_max") or card.number("power1_cap") or 0)
        for index, card in enumerate(cards)
    ]


def _gpu(what: Any, device: str, index: int, model: str, limit_uw: int) -> _AmdGpu:
    power = Channel(device, "gpu", "amd-power", limit_uw=round(limit_uw * BELIEVED), alias=f"amd:{index}", model=model)
    return _AmdGpu(what, power, replace(power, source="amd-energy"))


def _smi_power_uw(smi: Any, handle: Any) -> int | None:
    said = _ask(smi.amdsmi_get_power_info, handle) or {}
    for name in ("current_socket_power", "socket_power", "average_socket_power"):
        watts = _number(said.get(name))  # "N/A" where the board does not say, 0 on the second die of an MI250
        if watts and watts * UW_PER_W <= _MAX_UW:
            return round(watts * UW_PER_W)
    return None


def _smi_energy_uj(smi: Any, handle: Any) -> int | None:
    said = _ask(smi.amdsmi_get_energy_count, handle) or {}
    ticks = _number(said.get("energy_accumulator", said.get("power")))  # renamed in 6.2.1
    resolution_uj = _number(said.get("counter_resolution"))
    return round(ticks * resolution_uj) if ticks and resolution_uj else None


def _monitor_power_uw(card: Monitor) -> int | None:
    found = card.number("power1_average")
    return found if found is not None else card.number("power1_input")


def _ask(question: Any, handle: Any) -> Any:
    try:
        return question(handle)
    except Exception:  # classes of the library's own; a question that fails has no answer
        return None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
