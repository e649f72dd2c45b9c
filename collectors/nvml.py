"""NVIDIA GPU collector: energy, power, operating conditions and processes through NVML.

Requirements: the NVIDIA driver's libnvidia-ml.so.1; no root.

Metrics
-------
total energy   nvmlDeviceGetTotalEnergyConsumption, mJ since the driver was loaded (Volta and newer); source nvml-energy,
               or nvml-energy-module if it covers a whole module with its CPU (Grace Hopper)
power          if there is no counter: field POWER_AVERAGE or POWER_INSTANT (``[agent] nvml_power``), mW; source
               nvml-power-average, nvml-power-instant; else nvmlDeviceGetPowerUsage, source nvml-power
context        power limit, clocks, memory, busy time (utilisation x time); compute processes with memory and busy time

A GPU is identified by its UUID; its index (``gpu:0``) is the alias. A partitioned GPU (MIG) is read once, and its
instances share its energy by their slices. ``[agent] nvml_scope = "gpu"`` reads the GPU of a module without its CPU, by
power. A lost GPU, a reloaded driver or an unsupported query gives no sample, never a zero; the library is reopened later.
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
# A board regulates to its limit within milliseconds: a whole sample more than a fifth above it is a fault.
LIMIT_TOLERANCE = 1.2
MIN_REOPEN_WAIT_US, MAX_REOPEN_WAIT_US = 5 * 1_000_000, 300 * 1_000_000
_UNSUPPORTED = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
_FIELDS = {"average": pynvml.NVML_FI_DEV_POWER_AVERAGE, "instant": pynvml.NVML_FI_DEV_POWER_INSTANT}
COUNTER, POWER_USAGE = "counter", "usage"
MODULE_SOURCE = "nvml-energy-module"


@dataclass(slots=True)
class _NvmlGpu:
    handle: Any
    channel: Channel
    kind: str  # COUNTER, USAGE, or a key of _FIELDS
    instances: list[tuple[Any, DevicePart]] = field(default_factory=list)
    busy_read_us: int = -1
    processes_read_us: int = -1
    newest_process_sample_us: int = 0  # NVML's own clock


class NvmlCollector(Collector):
    """Energy, or else power, of every GPU of the driver."""

    name = "nvml"
    covers = "gpu-nvidia"

    def __init__(self, config: AgentConfig) -> None:
        self._power, self._scope, self._listing = config.nvml_power, config.nvml_scope, config.proc / "driver/nvidia/gpus"
        self._gpus: list[_NvmlGpu] = []
        self._busy_us: dict[str, int] = {}  # survives a reopening of the library, hence not in _NvmlGpu
        self._listed_at_open: set[str] = set()
        self._open_again_us, self._wait_us = 0, MIN_REOPEN_WAIT_US
        self._missing = 0  # GPUs that the driver counts but that cannot be read: they may come back
        self._mono_us = 0
        self._open()

    def _open(self) -> None:
        opened = False
        try:
            pynvml.nvmlInit()
            opened = True
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            if opened:
                self.close()  # the library counts its openings, and restarts only when all are closed
            raise Unavailable(f"NVML: {error} (no NVIDIA driver, or its libnvidia-ml.so.1 is not found)") from None
        self._gpus = [gpu for index in range(count) if (gpu := self._open_gpu(index)) is not None]
        self._missing = count - len(self._gpus)
        self._listed_at_open = _listed_gpus(self._listing)
        if not self._gpus:
            self.close()
            raise Unavailable(f"NVML: none of {count} GPUs can be read")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample per GPU; none for a GPU that cannot be read now."""
        self._mono_us = mono_us
        if not self._gpus and not self._reopen(mono_us):
            return
        failed = 0
        for gpu in self._gpus:
            try:
                yield _sample(gpu, at_us, mono_us)
                self._add_busy_time(gpu, mono_us)
            except pynvml.NVMLError:
                failed += 1
        if failed or self._missing:
            # A lost GPU or a reloaded driver needs new handles; the other GPUs are read until then.
            self._open_again_us = self._open_again_us or mono_us + self._wait_us
            if failed == len(self._gpus):
                self._gpus = []
        elif not self._open_again_us:
            self._wait_us = MIN_REOPEN_WAIT_US
        if self._open_again_us and mono_us >= self._open_again_us:
            self._gpus = []

    def _reopen(self, mono_us: int) -> bool:
        if mono_us < self._open_again_us:
            return False
        self.close()
        self._wait_us = min(2 * self._wait_us, MAX_REOPEN_WAIT_US)
        self._open_again_us = 0
        try:
            self._open()
        except Unavailable:
            self._open_again_us = mono_us + self._wait_us
        return bool(self._gpus)

    def _add_busy_time(self, gpu: _NvmlGpu, mono_us: int) -> None:
        """Add utilisation x time: the time in which the board computed anything."""
        device = gpu.channel.device
        try:
            percent = pynvml.nvmlDeviceGetUtilizationRates(gpu.handle).gpu
        except pynvml.NVMLError:
            return
        if gpu.busy_read_us >= 0:
            self._busy_us[device] = self._busy_us.get(device, 0) + percent * (mono_us - gpu.busy_read_us) // 100
        gpu.busy_read_us = mono_us

    def context(self) -> Iterator[DeviceContext]:
        """Operating conditions and processes of each GPU, and the processes of each instance."""
        if _listed_gpus(self._listing) != self._listed_at_open:
            self._gpus, self._open_again_us = [], 0  # one was plugged in or taken out
        for gpu in self._gpus:
            device, source = gpu.channel.device, self.name
            values = _context_values(gpu.handle) | {"busy_us": self._busy_us.get(device)}
            available = {name: value for name, value in values.items() if value is not None}
            yield DeviceContext(device, "gpu", source, available, None if gpu.instances else _process_usage(gpu, self._mono_us))
            for handle, part in gpu.instances:
                yield DeviceContext(part.device, "gpu", source, {}, _process_memory(handle))
            self._refresh_instances(gpu)

    def _refresh_instances(self, gpu: _NvmlGpu) -> None:
        """Re-read the instances: they come and go without a driver reload."""
        instances = _instances(gpu.handle, gpu.channel.alias, gpu.channel.model)
        if [part for _, part in instances] != list(gpu.channel.parts):
            gpu.instances, gpu.channel = instances, _with_parts(gpu.channel, instances)

    def remarks(self) -> Iterator[str]:
        """GPUs whose counter may restart when idle, and GPUs without an energy counter."""
        for gpu in self._gpus:
            if _value_or_none(partial(pynvml.nvmlDeviceGetPersistenceMode, gpu.handle)) == 0:
                yield f"{gpu.channel.alias}: persistence mode is off, its counter may start again: sudo nvidia-smi -pm 1"
            if gpu.kind != COUNTER:
                yield f"{gpu.channel.alias}: no energy counter is read; power is polled ({gpu.channel.source}) and integrated"

    def close(self) -> None:
        """Close the library."""
        self._gpus = []
        with contextlib.suppress(pynvml.NVMLError):  # it was not open
            pynvml.nvmlShutdown()

    def _open_gpu(self, index: int) -> _NvmlGpu | None:
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid, model = _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle))
        except pynvml.NVMLError:
            return None
        kind, source = self._kind(handle)
        alias = f"gpu:{index}"
        # The limit is the GPU's: it does not bound a module, whose CPU draws power too.
        limit_uw = 0 if source == MODULE_SOURCE else _limit_uw(handle)
        channel = Channel(uuid, "gpu", source, limit_uw=limit_uw, alias=alias, model=model)
        instances = _instances(handle, alias, model)
        return _NvmlGpu(handle, _with_parts(channel, instances), kind, instances)

    def _kind(self, handle: Any) -> tuple[str, str]:
        """Kind of reading of a GPU, and the name of its source."""
        has_module_power = _field_uw(handle, _FIELDS["average"], pynvml.NVML_POWER_SCOPE_MODULE) is not None
        if not (has_module_power and self._scope == "gpu"):
            try:
                pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
                is_supported = True
            except pynvml.NVMLError as error:
                is_supported = error.value not in _UNSUPPORTED
            if is_supported:
                return COUNTER, MODULE_SOURCE if has_module_power else "nvml-energy"
        for kind in sorted(_FIELDS, key=lambda name: name != self._power):
            if _field_uw(handle, _FIELDS[kind], pynvml.NVML_POWER_SCOPE_GPU) is not None:
                return kind, f"nvml-power-{kind}"
        return POWER_USAGE, "nvml-power"


def _sample(gpu: _NvmlGpu, at_us: int, mono_us: int) -> Sample:
    if gpu.kind == COUNTER:
        energy_uj = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle) * UJ_PER_MJ
        return Sample(gpu.channel, at_us, mono_us, energy_uj)
    if gpu.kind == POWER_USAGE:
        power_uw = pynvml.nvmlDeviceGetPowerUsage(gpu.handle) * UJ_PER_MJ
        return Sample(gpu.channel, at_us, mono_us, None, power_uw)
    field_uw = _field_uw(gpu.handle, _FIELDS[gpu.kind], pynvml.NVML_POWER_SCOPE_GPU)
    if field_uw is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_DATA)
    return Sample(gpu.channel, at_us, mono_us, None, field_uw)


def _field_uw(handle: Any, field_id: int, scope: int) -> int | None:
    """Power field [µW]; None if the board does not provide it."""
    try:
        value = pynvml.nvmlDeviceGetFieldValues(handle, [(field_id, scope)])[0]
    except pynvml.NVMLError:
        return None
    return value.value.uiVal * UJ_PER_MJ if value.nvmlReturn == pynvml.NVML_SUCCESS else None


def _limit_uw(handle: Any) -> int:
    """Highest credible power [µW] of a board; 0 if unknown."""
    limit_mw = _value_or_none(lambda: pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)[1])
    limit_mw = limit_mw or _value_or_none(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)) or 0
    return round(limit_mw * UJ_PER_MJ * LIMIT_TOLERANCE)


def _instances(handle: Any, alias: str, model: str) -> list[tuple[Any, DevicePart]]:
    """Instances of a partitioned GPU with their slices; empty if it is not partitioned."""
    if not _value_or_none(lambda: pynvml.nvmlDeviceGetMigMode(handle)[0]):
        return []
    instances = []
    for index in range(_value_or_none(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0):
        try:
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            slices = pynvml.nvmlDeviceGetAttributes(instance).gpuInstanceSliceCount
            uuid = _text(pynvml.nvmlDeviceGetUUID(instance))
        except pynvml.NVMLError:
            continue  # no instance at this index
        instances.append((instance, DevicePart(uuid, f"{alias}:{index}", max(slices, 1), model)))
    return instances


def _with_parts(channel: Channel, instances: list[tuple[Any, DevicePart]]) -> Channel:
    return replace(channel, parts=tuple(part for _, part in instances))


def _context_values(handle: Any) -> dict[str, int | None]:
    return {
        "power_limit_uw": _value_or_none(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) * UJ_PER_MJ),
        "clock_sm_hz": _value_or_none(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) * HZ_PER_MHZ),
        "clock_memory_hz": _value_or_none(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) * HZ_PER_MHZ),
        "memory_used_bytes": _value_or_none(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).used),
    }


def _process_memory(handle: Any) -> dict[int, ProcessUsage] | None:
    """Compute processes with their memory; None if the driver does not list them."""
    try:
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return None
    return {process.pid: ProcessUsage(process.usedGpuMemory, None) for process in processes}


def _process_usage(gpu: _NvmlGpu, mono_us: int) -> dict[int, ProcessUsage] | None:
    """Compute processes of an unpartitioned board, with memory and busy time since the last reading.

    The elapsed time is the agent's own: NVML samples only active processes, so its last sample may be hours old.
    """
    elapsed_us = mono_us - gpu.processes_read_us if gpu.processes_read_us >= 0 else 0
    gpu.processes_read_us = mono_us
    memory_of = _process_memory(gpu.handle)
    if not memory_of:
        return memory_of
    since_us = gpu.newest_process_sample_us
    percents: dict[int, list[int]] = {}
    with contextlib.suppress(pynvml.NVMLError):  # none lately, or not supported
        for sample in pynvml.nvmlDeviceGetProcessUtilization(gpu.handle, since_us):
            gpu.newest_process_sample_us = max(gpu.newest_process_sample_us, sample.timeStamp)
            percents.setdefault(sample.pid, []).append(sample.smUtil)
    return {
        pid: ProcessUsage(
            memory.memory_bytes,
            sum(busy_percents) * elapsed_us // len(busy_percents) // 100 if (busy_percents := percents.get(pid)) else 0,
        )
        for pid, memory in memory_of.items()
    }


def _listed_gpus(folder: Path) -> set[str]:
    """Bus addresses of the GPUs that the kernel module lists."""
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _value_or_none(query: Callable[[], Any]) -> Any:
    try:
        return query()
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
