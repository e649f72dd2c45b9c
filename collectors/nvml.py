"""This file reads NVIDIA GPUs through NVML.

Requirements: the NVIDIA driver's libnvidia-ml.so.1; no root.

Metrics
-------
total energy   nvmlDeviceGetTotalEnergyConsumption, mJ since the driver was loaded (Volta and newer); source nvml-energy,
               or nvml-energy-module where it covers a whole module with its CPU (Grace Hopper)
power          where there is no counter: field POWER_AVERAGE or POWER_INSTANT (``[agent] nvml_power``), mW; source
               nvml-power-average, nvml-power-instant; else nvmlDeviceGetPowerUsage, source nvml-power
context        power limit, clocks, memory, time busy (utilisation x time); processes that compute, with memory and time

A GPU is known by its UUID; its place (``gpu:0``) goes along as alias. A partitioned GPU (MIG) is read once, and its
instances share it by their slices. ``[agent] nvml_scope = "gpu"`` reads the GPU of a module without its CPU, by power.
A lost GPU, a reloaded driver or an unsupported query gives no sample, never a zero; the library is opened again after a while.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pynvml

from collectors.base import Collector, DeviceContext, ProcessUsage, Unavailable
from collectors.config import AgentConfig
from footprint.core.samples import Channel, DevicePart, Sample

UJ_PER_MJ = 1000  # NVML counts millijoules and milliwatts
HZ_PER_MHZ = 1_000_000
# A board regulates to its limit within milliseconds; beyond it by a fifth for a whole sample, a value is a fault.
BELIEVED = 1.2
FIRST_WAIT_US, LONGEST_WAIT_US = 5 * 1_000_000, 300 * 1_000_000
_UNSUPPORTED = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
_FIELDS = {"average": pynvml.NVML_FI_DEV_POWER_AVERAGE, "instant": pynvml.NVML_FI_DEV_POWER_INSTANT}
COUNTER, USAGE = "counter", "usage"
MODULE_SOURCE = "nvml-energy-module"


@dataclass(slots=True)
class _NvmlGpu:
    handle: Any
    channel: Channel
    kind: str  # COUNTER, USAGE, or a key of _FIELDS
    instances: list[tuple[Any, DevicePart]] = field(default_factory=list)
    busy_read_us: int = -1
    processes_read_us: int = -1
    told_us: int = 0  # NVML's own time of the newest of its samples of processes


class NvmlCollector(Collector):
    """Energy, or else power, of every GPU that the driver shows."""

    name = "nvml"
    covers = "gpu-nvidia"

    def __init__(self, config: AgentConfig) -> None:
        self._power, self._scope, self._listing = config.nvml_power, config.nvml_scope, config.proc / "driver/nvidia/gpus"
        self._gpus: list[_NvmlGpu] = []
        self._busy_us: dict[str, int] = {}  # over reopenings, hence not in _Gpu
        self._shown: set[str] = set()
        self._open_again_us, self._wait_us = 0, FIRST_WAIT_US
        self._missing = 0  # GPUs that the driver counts and that cannot be read: they may come back
        self._mono_us = 0
        self._open()

    def _open(self) -> None:
        opened = False
        try:
            pynvml.nvmlInit()
            opened = True
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as bad:
            if opened:
                self.close()  # the library counts its openings, and starts afresh only when all are closed
            raise Unavailable(f"NVML: {bad} (no NVIDIA driver, or its libnvidia-ml.so.1 is not found)") from None
        self._gpus = [gpu for index in range(count) if (gpu := self._describe(index)) is not None]
        self._missing = count - len(self._gpus)
        self._shown = _listed(self._listing)
        if not self._gpus:
            self.close()
            raise Unavailable(f"NVML: none of {count} GPUs can be read")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample a GPU; those that cannot be read now give none."""
        self._mono_us = mono_us
        if not self._gpus and not self._try_again(mono_us):
            return
        failed = 0
        for gpu in self._gpus:
            try:
                yield _sample(gpu, at_us, mono_us)
                self._watch_busy(gpu, mono_us)
            except pynvml.NVMLError:
                failed += 1
        if failed or self._missing:
            # A lost GPU or a reloaded driver needs fresh handles; the others go on meanwhile.
            self._open_again_us = self._open_again_us or mono_us + self._wait_us
            if failed == len(self._gpus):
                self._gpus = []
        elif not self._open_again_us:
            self._wait_us = FIRST_WAIT_US
        if self._open_again_us and mono_us >= self._open_again_us:
            self._gpus = []

    def _try_again(self, mono_us: int) -> bool:
        if mono_us < self._open_again_us:
            return False
        self.close()
        self._wait_us = min(2 * self._wait_us, LONGEST_WAIT_US)
        self._open_again_us = 0
        try:
            self._open()
        except Unavailable:
            self._open_again_us = mono_us + self._wait_us
        return bool(self._gpus)

    def _watch_busy(self, gpu: _NvmlGpu, mono_us: int) -> None:
        """Add utilisation x time, in which the board computed anything at all."""
        device = gpu.channel.device
        try:
            percent = pynvml.nvmlDeviceGetUtilizationRates(gpu.handle).gpu
        except pynvml.NVMLError:
            return
        if gpu.busy_read_us >= 0:
            self._busy_us[device] = self._busy_us.get(device, 0) + percent * (mono_us - gpu.busy_read_us) // 100
        gpu.busy_read_us = mono_us

    def context(self) -> Iterator[DeviceContext]:
        """Circumstances of each GPU, and of each instance who computes on it."""
        if _listed(self._listing) != self._shown:
            self._gpus, self._open_again_us = [], 0  # one was plugged in or taken out
        for gpu in self._gpus:
            device, source = gpu.channel.device, self.name
            values = _circumstances(gpu.handle) | {"busy_us": self._busy_us.get(device)}
            told = {name: value for name, value in values.items() if value is not None}
            yield DeviceContext(device, "gpu", source, told, None if gpu.instances else _processes(gpu, self._mono_us))
            for handle, part in gpu.instances:
                yield DeviceContext(part.device, "gpu", source, {}, _uses(handle))
            self._refresh_instances(gpu)

    def _refresh_instances(self, gpu: _NvmlGpu) -> None:
        """Instances come and go without a driver reload; the board stays what it is."""
        instances = _instances(gpu.handle, gpu.channel.alias, gpu.channel.model)
        if [part for _, part in instances] != list(gpu.channel.parts):
            gpu.instances, gpu.channel = instances, _with_parts(gpu.channel, instances)

    def remarks(self) -> Iterator[str]:
        """GPUs whose counter starts again whenever nobody uses them."""
        for gpu in self._gpus:
            if _maybe(partial(pynvml.nvmlDeviceGetPersistenceMode, gpu.handle)) == 0:
                yield f"{gpu.channel.alias}: persistence mode is off, its counter may start again: sudo nvidia-smi -pm 1"
            if gpu.kind != COUNTER:
                yield f"{gpu.channel.alias}: no energy counter is read; power is polled ({gpu.channel.source}) and integrated"

    def close(self) -> None:
        """Leave the library."""
        self._gpus = []
        with contextlib.suppress(pynvml.NVMLError):  # it was not open
            pynvml.nvmlShutdown()

    def _describe(self, index: int) -> _NvmlGpu | None:
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid, model = _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle))
        except pynvml.NVMLError:
            return None
        kind, source = self._kind(handle)
        alias = f"gpu:{index}"
        # The limit is the GPU's: it says nothing of a module, whose CPU draws too.
        limit_uw = 0 if source == MODULE_SOURCE else _limit_uw(handle)
        channel = Channel(uuid, "gpu", source, limit_uw=limit_uw, alias=alias, model=model)
        instances = _instances(handle, alias, model)
        return _NvmlGpu(handle, _with_parts(channel, instances), kind, instances)

    def _kind(self, handle: Any) -> tuple[str, str]:
        """How a GPU is read, and the name of that source."""
        module = _field_uw(handle, _FIELDS["average"], pynvml.NVML_POWER_SCOPE_MODULE) is not None
        if not (module and self._scope == "gpu"):
            try:
                pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
                supported = True
            except pynvml.NVMLError as bad:
                supported = bad.value not in _UNSUPPORTED
            if supported:
                return COUNTER, MODULE_SOURCE if module else "nvml-energy"
        for kind in sorted(_FIELDS, key=lambda name: name != self._power):
            if _field_uw(handle, _FIELDS[kind], pynvml.NVML_POWER_SCOPE_GPU) is not None:
                return kind, f"nvml-power-{kind}"
        return USAGE, "nvml-power"


def _sample(gpu: _NvmlGpu, at_us: int, mono_us: int) -> Sample:
    if gpu.kind == COUNTER:
        energy_uj = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle) * UJ_PER_MJ
        return Sample(gpu.channel, at_us, mono_us, energy_uj)
    if gpu.kind == USAGE:
        power_uw = pynvml.nvmlDeviceGetPowerUsage(gpu.handle) * UJ_PER_MJ
        return Sample(gpu.channel, at_us, mono_us, None, power_uw)
    found = _field_uw(gpu.handle, _FIELDS[gpu.kind], pynvml.NVML_POWER_SCOPE_GPU)
    if found is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_DATA)
    return Sample(gpu.channel, at_us, mono_us, None, found)


def _field_uw(handle: Any, field_id: int, scope: int) -> int | None:
    """A power field [µW], None where the board does not say."""
    try:
        value = pynvml.nvmlDeviceGetFieldValues(handle, [(field_id, scope)])[0]
    except pynvml.NVMLError:
        return None
    return value.value.uiVal * UJ_PER_MJ if value.nvmlReturn == pynvml.NVML_SUCCESS else None


def _limit_uw(handle: Any) -> int:
    """The most power [µW] that can be believed of a board; 0 where nobody says."""
    highest = _maybe(lambda: pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)[1])
    highest = highest or _maybe(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)) or 0
    return round(highest * UJ_PER_MJ * BELIEVED)


def _instances(handle: Any, alias: str, model: str) -> list[tuple[Any, DevicePart]]:
    """Instances of a partitioned GPU with their slices; none where it is whole."""
    if not _maybe(lambda: pynvml.nvmlDeviceGetMigMode(handle)[0]):
        return []
    found = []
    for index in range(_maybe(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0):
        try:
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            slices = pynvml.nvmlDeviceGetAttributes(instance).gpuInstanceSliceCount
            uuid = _text(pynvml.nvmlDeviceGetUUID(instance))
        except pynvml.NVMLError:
            continue  # no instance at this index
        found.append((instance, DevicePart(uuid, f"{alias}:{index}", max(slices, 1), model)))
    return found


def _with_parts(channel: Channel, instances: list[tuple[Any, DevicePart]]) -> Channel:
    return replace(channel, parts=tuple(part for _, part in instances))


def _circumstances(handle: Any) -> dict[str, int | None]:
    return {
        "power_limit_uw": _maybe(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) * UJ_PER_MJ),
        "clock_sm_hz": _maybe(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) * HZ_PER_MHZ),
        "clock_memory_hz": _maybe(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) * HZ_PER_MHZ),
        "memory_used_bytes": _maybe(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).used),
    }


def _uses(handle: Any) -> dict[int, ProcessUsage] | None:
    """Processes that compute, with their memory; None where the driver does not say."""
    try:
        found = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return None
    return {process.pid: ProcessUsage(process.usedGpuMemory, None) for process in found}


def _processes(gpu: _NvmlGpu, mono_us: int) -> dict[int, ProcessUsage] | None:
    """Processes that compute on a whole board, with memory and the time that they computed since asked last.

    Time is our own: NVML tells only of processes that did something, so that its last sample may be hours old.
    """
    elapsed_us = mono_us - gpu.processes_read_us if gpu.processes_read_us >= 0 else 0
    gpu.processes_read_us = mono_us
    uses = _uses(gpu.handle)
    if not uses:
        return uses
    since_us = gpu.told_us
    percents: dict[int, list[int]] = {}
    with contextlib.suppress(pynvml.NVMLError):  # none lately, or not supported
        for sample in pynvml.nvmlDeviceGetProcessUtilization(gpu.handle, since_us):
            gpu.told_us = max(gpu.told_us, sample.timeStamp)
            percents.setdefault(sample.pid, []).append(sample.smUtil)
    return {
        pid: ProcessUsage(use.memory_bytes, sum(found) * elapsed_us // len(found) // 100 if (found := percents.get(pid)) else 0)
        for pid, use in uses.items()
    }


def _listed(folder: Path) -> set[str]:
    """GPUs that the kernel module lists, by their place on the bus; none where it lists nothing."""
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _maybe(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
