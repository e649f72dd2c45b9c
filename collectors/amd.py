"""AMD GPU collector: energy and power through amdsmi if it is installed, else from the driver's hardware monitor.

Requirements: amdsmi (MIT; comes with ROCm), or the driver amdgpu; no root, but the group ``render`` for amdsmi.

Metrics
-------
energy    energy_accumulator x counter_resolution [µJ]; source amd-energy
power     current or average socket power [W]; source amd-power; of the hardware monitor power1_average, power1_input [µW]
context   power cap, busy time (utilisation x time)

Both are read of every board, so that one is the witness of the other: some counters are frozen, count in another unit, or
belong to another part of the board. A GPU is identified by its UUID, else its bus address: the order of devices differs
between AMD's own tools. Partitions of one board are handles with one bus address but for its function: the board is read
once, from the first of them that answers. An integrated GPU shows the power of the CPU's package (``scopes``).
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collectors.base import Collector, DeviceContext, Scope, SourceState, Unavailable
from collectors.config import AgentConfig
from collectors.hwmon import HwmonDevice, PowerInput, find_monitors
from collectors.mirrored_counters import MirroredCounters
from footprint.core.limits import power_fault
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_verdicts import Reason, SensorState
from footprint.core.units import UW_PER_W

MAX_FAILURES = 5  # readings without a value, after which the next partition of a board is asked
_POWER_NAMES = ("current_socket_power", "socket_power", "average_socket_power")
_INTEGRATED_NAME = re.compile(r"Radeon(?:\(TM\))? \d{3,4}[MS]\b|Ryzen|\bAPU\b", re.IGNORECASE)
_MAYBE_INTEGRATED_NAME = re.compile(r"MI300A|Radeon(?:\(TM\))? Graphics", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Handle:
    """One handle of a board: how its counter [µJ], its power [µW] and its load [%] are read."""

    counter_uj: Callable[[], int | None]
    power_uw: Callable[[], int | None]
    busy_percent: Callable[[], int | None]
    limit_uw: Callable[[], int | None]


@dataclass(slots=True)
class _AmdGpu:
    device: str
    label: str
    power: Channel
    energy: Channel
    handles: list[_Handle]  # of its partitions; the first that answers is read
    group: str  # of handles that may show one counter
    scope: Scope
    has_counter: bool = True  # amdgpu's monitor has none; amdsmi says so with each answer
    partitions: list[str] = field(default_factory=list)  # names of the handles
    index: int = 0
    failures: dict[str, int] = field(default_factory=dict)  # by source, in a row
    delivered: set[str] = field(default_factory=set)
    busy_us: int = 0
    read_us: int = -1


class AmdCollector(Collector):
    """Energy and power of every AMD GPU."""

    name = "amd"
    covers = "gpu-amd"
    is_costly_to_open = True

    def __init__(self, config: AgentConfig) -> None:
        self._smi = _amdsmi()
        self._unnamed = 0
        self._gpus = self._gpus_from_smi(config) if self._smi else _gpus_from_hwmon(config)
        if not self._gpus:
            if self._unnamed:
                raise Unavailable(f"AMD GPU: amdsmi gives neither a UUID nor a bus address of {self._unnamed} devices")
            how = "amdsmi lists none" if self._smi else "amdsmi is not installed, and the driver amdgpu shows no power"
            raise Unavailable(f"AMD GPU: none found ({how})")
        self._mirrored = MirroredCounters({gpu.device: gpu.group for gpu in self._gpus})

    def collect(self, at_us: int, mono_us: int) -> list[Sample]:
        """Energy and power of each board; nothing of a board that cannot be read now."""
        counters: list[Sample] = []
        powers: list[Sample] = []
        for gpu in self._gpus:
            handle = gpu.handles[gpu.index]
            counter_uj, power_uw = handle.counter_uj(), handle.power_uw()
            _count(gpu, gpu.energy.source, is_read=counter_uj is not None)
            _count(gpu, gpu.power.source, is_read=power_uw is not None)
            if counter_uj is not None:
                counters.append(Sample(gpu.energy, at_us, mono_us, counter_uj))
            if power_uw is not None:
                powers.append(Sample(gpu.power, at_us, mono_us, None, power_uw))
            if counter_uj is None and power_uw is None and min(gpu.failures.values()) >= MAX_FAILURES:
                gpu.index = (gpu.index + 1) % len(gpu.handles)
            percent = handle.busy_percent()
            if percent is not None and gpu.read_us >= 0:
                gpu.busy_us += percent * (mono_us - gpu.read_us) // 100
            gpu.read_us = mono_us if percent is not None else -1
        if self._mirrored.decided:
            return counters + powers
        accepted = self._mirrored.filter(counters)
        return accepted + [sample for sample in powers if not self._is_repeated(sample.channel.device)]

    def _is_repeated(self, device: str) -> bool:
        """Whether the counter of a device repeats that of another, or may."""
        gpu = next(gpu for gpu in self._gpus if gpu.device == device)
        return self._mirrored.is_withheld(device) and gpu.energy.source in gpu.delivered

    def context(self) -> Iterator[DeviceContext]:
        """Power cap and busy time of each board."""
        for gpu in self._gpus:
            values = {"power_limit_uw": gpu.handles[gpu.index].limit_uw(), "busy_us": gpu.busy_us if gpu.read_us >= 0 else None}
            available = {name: value for name, value in values.items() if value is not None}
            if available:
                yield DeviceContext(gpu.device, "gpu", self.name, available)

    def scopes(self) -> Mapping[str, Scope]:
        """Integrated GPUs, and those that may be."""
        return {gpu.device: gpu.scope for gpu in self._gpus if gpu.scope is not Scope.BOARD}

    def states(self) -> Iterator[SourceState]:
        """Counters and powers that are not read, and boards that repeat another."""
        for gpu in self._gpus:
            for channel, rival, name, other_name in (
                (gpu.energy, gpu.power, "energy counter", "power"),
                (gpu.power, gpu.energy, "power", "energy counter"),
            ):
                if not gpu.failures.get(channel.source) or (channel is gpu.energy and not gpu.has_counter):
                    continue
                message = f"{gpu.label}: neither energy nor power is shown: it is not measured"
                if not gpu.failures.get(rival.source) and rival.source in gpu.delivered:
                    message = f"{gpu.label}: no {name} is shown; its {other_name} is read"
                yield SourceState(
                    gpu.device, "gpu", channel.source, SensorState.UNREADABLE, Reason.NOT_SUPPORTED, message, gpu.power.alias
                )
        for device, first in self._mirrored.mirrors.items():
            message = f"{device} repeats the counter of {first} and is not counted"
            yield SourceState(device, "gpu", "amd-energy", SensorState.SET_ASIDE, Reason.MIRRORS_SIBLING, message)

    def remarks(self) -> Iterator[str]:
        """Handles that cannot be told apart."""
        if self._unnamed:
            yield f"AMD GPU: {self._unnamed} devices have neither a UUID nor a bus address and are not read"
        for gpu in self._gpus:
            if len(gpu.handles) > 1:
                names = ", ".join(gpu.partitions)
                yield f"{gpu.label}: {len(gpu.handles)} partitions of one board, whose sensor is read once: {names}"

    def close(self) -> None:
        """Close the library."""
        if self._smi:
            with contextlib.suppress(Exception):
                self._smi.amdsmi_shut_down()

    def _gpus_from_smi(self, config: AgentConfig) -> list[_AmdGpu]:
        """Boards that the library lists, each with the handles of its partitions."""
        smi = self._smi
        cards = {card.bus_address: card for card in find_monitors(config.sysfs, "amdgpu")}
        boards: dict[str, list[tuple[int, str, str, Any]]] = {}
        for handle in smi.amdsmi_get_processor_handles():
            uuid = str(_call_or_none(smi, "amdsmi_get_gpu_device_uuid", handle) or "")
            address = str(_call_or_none(smi, "amdsmi_get_gpu_device_bdf", handle) or "").lower()
            if not uuid and not address:
                self._unnamed += 1
                continue
            board, _, function = address.rpartition(".")
            boards.setdefault(board or uuid, []).append((int(function) if function.isdigit() else 0, uuid, address, handle))
            boards[board or uuid].sort(key=lambda item: item[0])
        shared = Counter(partitions[0][1] for partitions in boards.values())
        gpus: list[_AmdGpu] = []
        for board, partitions in boards.items():
            _, uuid, address, handle = partitions[0]
            asic = _call_or_none(smi, "amdsmi_get_gpu_asic_info", handle) or {}
            identity = uuid or address
            if uuid and shared[uuid] > 1:
                identity = f"{uuid}@{address or len(gpus)}"
            serial = str(asic.get("asic_serial") or "")
            group = f"serial {serial}" if re.search("[1-9a-f]", serial.removeprefix("0x")) and serial != "N/A" else ""
            gpus.append(
                _gpu(
                    f"gpu-{identity}",
                    len(gpus),
                    str(asic.get("market_name", "AMD")),
                    [_smi_handle(smi, partition[3]) for partition in partitions],
                    # Without a bus address, a handle may be a partition of any other board.
                    group or (board if address else "no bus address"),
                    cards.get(address),
                )
            )
            gpus[-1].partitions += [partition[1] or partition[2] for partition in partitions]
        return gpus


def _count(gpu: _AmdGpu, source: str, *, is_read: bool) -> None:
    if is_read:
        gpu.failures[source] = 0
        gpu.delivered.add(source)
    else:
        gpu.failures[source] = gpu.failures.get(source, 0) + 1


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


def _smi_handle(smi: Any, handle: Any) -> _Handle:
    return _Handle(
        lambda: _smi_energy_uj(smi, handle),
        lambda: _smi_power_uw(smi, handle),
        lambda: _percent((_call_or_none(smi, "amdsmi_get_gpu_activity", handle) or {}).get("gfx_activity")),
        lambda: _whole((_call_or_none(smi, "amdsmi_get_power_cap_info", handle) or {}).get("power_cap")),
    )


def _gpus_from_hwmon(config: AgentConfig) -> list[_AmdGpu]:
    """Boards of which the driver shows a power or an energy."""
    gpus: list[_AmdGpu] = []
    for card in find_monitors(config.sysfs, "amdgpu"):
        power = PowerInput(card, ("power1_average", "power1_input"), "gpu", may_be_zero=True)
        if power.read() is not None or card.read_int("energy1_input") is not None:
            model = HwmonDevice(card.driver, card.device, card.device).read_text("product_name") or "AMD"
            gpu = _gpu(f"gpu-{card.bus_address}", len(gpus), model, [_hwmon_handle(card, power)], card.bus_address, card)
            gpu.has_counter = card.read_int("energy1_input") is not None
            gpus.append(gpu)
    return gpus


def _hwmon_handle(card: HwmonDevice, power: PowerInput) -> _Handle:
    device = HwmonDevice(card.driver, card.device, card.device)
    return _Handle(
        lambda: card.read_int("energy1_input"),
        power.read,
        lambda: _percent(device.read_int("gpu_busy_percent")),
        lambda: card.read_int("power1_cap"),
    )


def _gpu(device: str, index: int, model: str, handles: list[_Handle], group: str, card: HwmonDevice | None) -> _AmdGpu:
    alias = f"amd:{index}"
    power = Channel(device, "gpu", "amd-power", alias=alias, model=model)
    energy = Channel(device, "gpu", "amd-energy", alias=alias, model=model)
    return _AmdGpu(device, f"{alias} ({model})", power, energy, handles, group, _scope(model, card))


def _scope(model: str, card: HwmonDevice | None) -> Scope:
    """Whether a GPU shows its own power or that of the CPU's package, as integrated ones do (kernel documentation of amdgpu)."""
    if card is not None:
        # The monitor of an integrated GPU alone has a voltage of the northbridge, and its device a thermal cap of the package.
        if card.read_text("in1_label") == "vddnb" or (card.device / "apu_thermal_cap").exists() or _is_processor_node(card):
            return Scope.PACKAGE
        if not any((card.folder / name).exists() for name in ("power1_cap", "power1_cap_max", "fan1_input", "pwm1")):
            return Scope.PACKAGE if _INTEGRATED_NAME.search(model) else Scope.PACKAGE_OR_BOARD
    if _INTEGRATED_NAME.search(model):
        return Scope.PACKAGE
    return Scope.PACKAGE_OR_BOARD if _MAYBE_INTEGRATED_NAME.search(model) else Scope.BOARD


def _is_processor_node(card: HwmonDevice) -> bool:
    """Whether the driver kfd shows CPU cores and compute units in the node of a GPU."""
    match = re.fullmatch(r"([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", card.bus_address)
    if match is None:
        return False
    location = int(match[2], 16) << 8 | int(match[3], 16) << 3 | int(match[4])
    for path in (card.folder.parents[1] / "kfd/kfd/topology/nodes").glob("*/properties"):
        values = _properties(path)
        if values.get("location_id") == location and values.get("cpu_cores_count") and values.get("simd_count"):
            return True
    return False


def _properties(path: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError):
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}


def _smi_power_uw(smi: Any, handle: Any) -> int | None:
    """Power [µW] of a board; None if the library gives none that can be right."""
    power_info = _call_or_none(smi, "amdsmi_get_power_info", handle) or {}
    for name in _POWER_NAMES:
        # "N/A" if the board does not provide it, 0 on the second die of an MI250
        watts = _number_or_none(power_info.get(name))
        if not watts or watts < 0:
            continue
        # Some releases give microwatts; no board draws as many watts as its microwatts.
        for power_uw in (round(watts * UW_PER_W), round(watts)):
            if power_uw >= UW_PER_W and not power_fault("gpu", power_uw):
                return power_uw
    return None


def _smi_energy_uj(smi: Any, handle: Any) -> int | None:
    energy_count = _call_or_none(smi, "amdsmi_get_energy_count", handle) or {}
    ticks = _number_or_none(energy_count.get("energy_accumulator", energy_count.get("power")))  # renamed in 6.2.1
    resolution_uj = _number_or_none(energy_count.get("counter_resolution"))
    return round(ticks * resolution_uj) if ticks and resolution_uj and ticks > 0 and resolution_uj > 0 else None


def _call_or_none(smi: Any, name: str, handle: Any) -> Any:
    """Answer of a function of the library; None if it fails, or this release does not have it."""
    try:
        return getattr(smi, name)(handle)
    except Exception:  # the library raises classes of its own
        return None


def _number_or_none(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    number = _number_or_none(value)
    return None if number is None or number <= 0 else round(number)


def _percent(value: Any) -> int | None:
    number = _number_or_none(value)
    return None if number is None or not 0 <= number <= 100 else round(number)
