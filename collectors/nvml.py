"""NVIDIA GPU collector: energy, power, operating conditions and processes through NVML.

Requirements: the NVIDIA driver's libnvidia-ml.so.1; no root.

Metrics
-------
total energy   nvmlDeviceGetTotalEnergyConsumption, mJ since the driver was loaded (Volta and newer); source nvml-energy,
               or nvml-energy-module if it covers a whole module with its CPU (Grace Hopper)
power          field POWER_AVERAGE or POWER_INSTANT (``[agent] nvml_power``), mW; source nvml-power-average,
               nvml-power-instant, of a module nvml-power-module; else nvmlDeviceGetPowerUsage, source nvml-power
context        power limit, clocks, memory, busy time (utilisation x time); compute processes with memory and busy time

Both are read of every board, so that one is the witness of the other; a query that fails, with whatever error, leaves the
other alone. A GPU is identified by its UUID, and by its bus address as well where two boards have one UUID; its index
(``gpu:0``) is the alias. A partitioned GPU (MIG) is read once, and its instances share its energy by their slices.
``[agent] nvml_scope = "gpu"`` reads the GPU of a module without its CPU, by power. A lost GPU, a reloaded driver or an
unsupported query gives no sample, never a zero; the library is reopened later.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pynvml

from collectors.base import Collector, DeviceContext, ProcessUsage, SourceState, Unavailable
from collectors.config import AgentConfig
from collectors.mirrored_counters import MirroredCounters
from footprint.core.samples import Channel, DevicePart, Sample
from footprint.core.sensor_verdicts import Reason, SensorState

UJ_PER_MJ = 1000  # NVML counts millijoules and milliwatts
HZ_PER_MHZ = 1_000_000
MIN_REOPEN_WAIT_US, MAX_REOPEN_WAIT_US = 5 * 1_000_000, 300 * 1_000_000
MAX_FAILURES, RETRY_US = 5, 60 * 1_000_000  # a query that failed so often in a row is tried again once a minute
_UNSUPPORTED = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
# Errors of a board or of the driver, not of a query.
_LOST = (
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_GPU_IS_LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED,
    pynvml.NVML_ERROR_GPU_NOT_FOUND,
)
_REASONS = {
    pynvml.NVML_ERROR_NOT_SUPPORTED: Reason.NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Reason.NOT_SUPPORTED,
    pynvml.NVML_ERROR_NOT_READY: Reason.NOT_READY,
    pynvml.NVML_ERROR_NO_PERMISSION: Reason.ROOT_ONLY,
}
_FIELDS = {"average": pynvml.NVML_FI_DEV_POWER_AVERAGE, "instant": pynvml.NVML_FI_DEV_POWER_INSTANT}
MODULE_SOURCE, MODULE_POWER_SOURCE = "nvml-energy-module", "nvml-power-module"
# "Not known": a board that answers draws something, and a field of 32 bits has a largest value.
_NO_VALUES_MW = frozenset({0, 0x7FFFFFFF, 0xFFFFFFFF})
_TWO_ON_A_MODULE = re.compile(r"GB[23]00", re.IGNORECASE)
_UUID_LINE = re.compile(r"^GPU UUID:[ \t]*(GPU-[0-9a-f-]{8,60})[ \t]*$", re.MULTILINE | re.IGNORECASE)

Query = Callable[[Any], int]  # of a handle: mJ or mW


@dataclass(slots=True)
class _BoardSource:
    """One query of one board; ``error`` is the last answer that was no value, 0 while it answers."""

    channel: Channel
    query: Query
    error: int = 0
    failures: int = 0
    retry_us: int = 0
    has_delivered: bool = False

    def read(self, handle: Any, mono_us: int) -> int | None:
        """Value [mJ or mW]; None if it fails, or failed so often that it waits for the next attempt."""
        if mono_us < self.retry_us:
            return None
        try:
            value = self.query(handle)
        except pynvml.NVMLError as error:
            self.error, self.failures = error.value, self.failures + 1
            if self.failures >= MAX_FAILURES or self.error in _UNSUPPORTED:
                self.retry_us = mono_us + RETRY_US
            return None
        self.has_delivered = True
        if self.failures:
            self.error = self.failures = self.retry_us = 0
        return value


@dataclass(slots=True)
class _NvmlGpu:
    handle: Any
    device: str
    alias: str
    model: str
    bus_address: str
    counter: _BoardSource | None
    power: _BoardSource
    instances: list[tuple[Any, DevicePart]] = field(default_factory=list)
    busy_read_us: int = -1
    processes_read_us: int = -1
    newest_process_sample_us: int = 0  # NVML's own clock

    @property
    def sources(self) -> tuple[_BoardSource, ...]:
        """Its counter, if it can have one, and its power."""
        return (self.power,) if self.counter is None else (self.counter, self.power)

    @property
    def is_lost(self) -> bool:
        """Whether the board cannot be reached; one that merely lacks a query can."""
        errors = [source.error for source in self.sources]
        return any(error in _LOST for error in errors) or all(error and error not in _UNSUPPORTED for error in errors)

    @property
    def label(self) -> str:
        """Alias and model for messages."""
        return f"{self.alias} ({self.model})" if self.model else self.alias


class NvmlCollector(Collector):
    """Energy and power of every GPU of the driver."""

    name = "nvml"
    covers = "gpu-nvidia"

    def __init__(self, config: AgentConfig) -> None:
        self._power, self._scope, self._listing = config.nvml_power, config.nvml_scope, config.proc / "driver/nvidia/gpus"
        self._sysfs = config.sysfs
        self._gpus: list[_NvmlGpu] = []
        self._busy_us: dict[str, int] = {}  # survives a reopening of the library, hence not in _NvmlGpu
        self._listed_at_open: set[str] = set()
        self._open_again_us, self._wait_us = 0, MIN_REOPEN_WAIT_US
        self._unopened: list[SourceState] = []  # boards that the driver counts or lists, and that cannot be opened
        self._seen: dict[str, SourceState] = {}  # boards that were read, as their state is while they are away
        self._shared_uuids: set[str] = set()  # of two boards: stays known while one of them is away
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
            raise Unavailable(f"NVML: {_words(error.value)} (no NVIDIA driver, or its libnvidia-ml.so.1 is not found)") from None
        self._listed_at_open = _listed_gpus(self._listing)
        self._unopened = []
        boards = [board for index in range(count) if (board := self._identify(index)) is not None]
        uuids = Counter(uuid for _, _, uuid, _ in boards)
        self._shared_uuids |= {uuid for uuid, number in uuids.items() if number > 1}
        self._gpus = []
        for index, handle, uuid, bus_address in boards:
            self._add_board(index, handle, uuid, bus_address)
        self._add_listed_boards(count)
        if not count and not self._unopened:
            self.close()
            raise Unavailable("NVML: the driver counts no GPU")
        self._mirrored = MirroredCounters({gpu.device: self._module_of(gpu) for gpu in self._gpus})

    def _module_of(self, gpu: _NvmlGpu) -> str:
        """Module of a board that shows its module's counter: boards with one memory node of a CPU are on one module."""
        if gpu.counter is None or gpu.counter.channel.source != MODULE_SOURCE:
            return gpu.device
        try:
            node = (self._sysfs / "bus/pci/devices" / gpu.bus_address / "numa_node").read_text("ascii").strip()
        except (OSError, ValueError):
            node = ""
        if node.isdigit():
            return f"node {node}"
        return "modules" if _TWO_ON_A_MODULE.search(gpu.model) else gpu.device

    def _identify(self, index: int) -> tuple[int, Any, str, str] | None:
        """Index, handle, UUID and bus address of a board; None, and why in ``_unopened``, if it cannot be told which it is."""
        bus_address = ""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            bus_address = _bus_address(handle)
            try:
                uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
            except pynvml.NVMLError:
                uuid = self._listed_uuid(bus_address)
                if not uuid:
                    raise
        except pynvml.NVMLError as error:
            self._add_unopened(f"gpu:{index}", bus_address, error.value)
            return None
        return index, handle, uuid, bus_address

    def _add_unopened(self, alias: str, bus_address: str, error: int) -> None:
        place = f"{alias} at {bus_address}" if bus_address and alias else alias or f"the GPU at {bus_address}"
        self._unopened.append(
            SourceState(
                self._listed_uuid(bus_address) or (f"gpu-{bus_address}" if bus_address else alias),
                "gpu",
                "nvml-energy",
                SensorState.UNREADABLE,
                Reason.CANNOT_OPEN,
                f"{place} cannot be opened ({_words(error)}): NVML does not measure it; nvidia-smi and the kernel's log say more",
                alias,
            )
        )

    def _add_board(self, index: int, handle: Any, uuid: str, bus_address: str) -> None:
        device = uuid
        if uuid in self._shared_uuids:
            device = f"{uuid}@{bus_address}"
            if not bus_address or any(gpu.device == device for gpu in self._gpus):
                message = (
                    f"gpu:{index} has the UUID of another GPU and no bus address of its own: it is not read, or would count twice"
                )
                self._unopened.append(
                    SourceState(
                        f"gpu:{index}",
                        "gpu",
                        "nvml-energy",
                        SensorState.UNREADABLE,
                        Reason.SAME_IDENTITY,
                        message,
                        f"gpu:{index}",
                    )
                )
                return
        model = _text(_value_or_none(lambda: pynvml.nvmlDeviceGetName(handle)) or "")
        alias = f"gpu:{index}"
        instances = _instances(handle, alias, model)
        parts = tuple(part for _, part in instances)
        has_module_power = _field_mw_or_none(handle, _FIELDS["average"], pynvml.NVML_POWER_SCOPE_MODULE) is not None
        is_module = has_module_power and self._scope != "gpu"

        def channel(source: str) -> Channel:
            return Channel(device, "gpu", source, alias=alias, model=model, parts=parts)

        counter = None
        if is_module or not has_module_power:
            counter = _BoardSource(
                channel(MODULE_SOURCE if is_module else "nvml-energy"), pynvml.nvmlDeviceGetTotalEnergyConsumption
            )
        power_source, power_query = self._power_query(handle, is_module=is_module)
        power = _BoardSource(channel(power_source), power_query)
        gpu = _NvmlGpu(handle, device, alias, model, bus_address, counter, power, instances)
        for source in gpu.sources:
            source.read(handle, self._mono_us)
        self._gpus.append(gpu)

    def _power_query(self, handle: Any, *, is_module: bool) -> tuple[str, Query]:
        """Source and query of the power of a board: the first that answers with a power."""
        candidates: list[tuple[str, Query]] = []
        if is_module:
            candidates.append((MODULE_POWER_SOURCE, _field_query(_FIELDS["average"], pynvml.NVML_POWER_SCOPE_MODULE)))
        else:
            candidates += [
                (f"nvml-power-{kind}", _field_query(_FIELDS[kind], pynvml.NVML_POWER_SCOPE_GPU))
                for kind in sorted(_FIELDS, key=lambda name: name != self._power)
            ]
            candidates.append(("nvml-power", _usage_mw))
        answers = [(source, query, _value_or_none(partial(query, handle))) for source, query in candidates]
        return next(((source, query) for source, query, power_mw in answers if power_mw), candidates[-1])

    def _add_listed_boards(self, count: int) -> None:
        """Name the boards that the kernel module lists and the library does not count, as after an error of the bus."""
        opened = {gpu.bus_address for gpu in self._gpus} | {state.device.removeprefix("gpu-") for state in self._unopened}
        listed = {_normal_bus_address(address) for address in self._listed_at_open}
        if "" in {gpu.bus_address for gpu in self._gpus} or len(listed) <= count:
            return  # not known which of them are opened, or all are counted
        for bus_address in sorted(listed - opened):
            uuid = self._listed_uuid(bus_address)
            if not any(gpu.device == uuid for gpu in self._gpus):
                self._add_unopened("", bus_address, pynvml.NVML_ERROR_GPU_NOT_FOUND)

    def _listed_uuid(self, bus_address: str) -> str:
        """UUID of the board at a bus address by the kernel module's own listing; empty if it has none."""
        for name in self._listed_at_open:
            if bus_address and _normal_bus_address(name) == bus_address:
                with contextlib.suppress(OSError):
                    match = _UUID_LINE.search((self._listing / name / "information").read_text("utf-8", "replace"))
                    return match[1] if match else ""
        return ""

    def collect(self, at_us: int, mono_us: int) -> list[Sample]:
        """Energy and power of each GPU; nothing of a GPU that cannot be read now."""
        self._mono_us = mono_us
        if not self._gpus and not self._reopen(mono_us):
            return []
        samples: list[Sample] = []
        failed = 0
        for gpu in self._gpus:
            counter, power = gpu.counter, gpu.power
            counter_mj = None if counter is None else counter.read(gpu.handle, mono_us)
            if counter is not None and counter_mj is not None:
                samples.append(Sample(counter.channel, at_us, mono_us, counter_mj * UJ_PER_MJ))
            power_mw = power.read(gpu.handle, mono_us)
            # The instances of a partitioned board share one source: the power, where the counter never answered.
            if power_mw is not None and not (gpu.instances and counter is not None and counter.has_delivered):
                samples.append(Sample(power.channel, at_us, mono_us, None, power_mw * UJ_PER_MJ))
            if counter_mj is None and power_mw is None and gpu.is_lost:
                failed += 1
            else:
                self._add_busy_time(gpu, mono_us)
        if failed or any(state.reason is Reason.CANNOT_OPEN for state in self._unopened):
            # A lost GPU or a reloaded driver needs new handles; the other GPUs are read until then.
            self._open_again_us = self._open_again_us or mono_us + self._wait_us
            if failed and failed == len(self._gpus):
                self._close_boards()
        elif not self._open_again_us:
            self._wait_us = MIN_REOPEN_WAIT_US
        if self._open_again_us and mono_us >= self._open_again_us:
            self._close_boards()
        return samples if self._mirrored.decided else self._without_mirrors(samples)

    def _without_mirrors(self, samples: list[Sample]) -> list[Sample]:
        """Samples without those of boards that show the counter of another, or may."""
        counters = [sample for sample in samples if sample.counter_uj is not None]
        powers = [sample for sample in samples if sample.counter_uj is None]
        return self._mirrored.filter(counters) + [
            sample for sample in powers if not self._mirrored.is_withheld(sample.channel.device)
        ]

    def _close_boards(self) -> None:
        """Give up all handles; the next sample opens them again."""
        for gpu in self._gpus:
            for source in gpu.sources:
                if source.has_delivered:
                    words = _words(source.error or pynvml.NVML_ERROR_GPU_IS_LOST)
                    message = f"{gpu.label} was read and cannot be reached now ({words}); it is looked for again"
                    self._seen[f"{gpu.device}/{source.channel.source}"] = SourceState(
                        gpu.device, "gpu", source.channel.source, SensorState.GONE, Reason.WAS_SEEN, message, gpu.alias
                    )
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
        device = gpu.device
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
            self._close_boards()  # one was plugged in or taken out
            self._open_again_us = 0
        for gpu in self._gpus:
            values = _context_values(gpu.handle) | {"busy_us": self._busy_us.get(gpu.device)}
            available = {name: value for name, value in values.items() if value is not None}
            processes = None if gpu.instances else _process_usage(gpu, self._mono_us)
            yield DeviceContext(gpu.device, "gpu", self.name, available, processes)
            for handle, part in gpu.instances:
                yield DeviceContext(part.device, "gpu", self.name, {}, _process_memory(handle))
            self._refresh_instances(gpu)

    def _refresh_instances(self, gpu: _NvmlGpu) -> None:
        """Re-read the instances: they come and go without a driver reload."""
        instances = _instances(gpu.handle, gpu.alias, gpu.model)
        parts = tuple(part for _, part in instances)
        if parts != gpu.power.channel.parts:
            gpu.instances = instances
            for source in gpu.sources:
                source.channel = replace(source.channel, parts=parts)

    def states(self) -> Iterator[SourceState]:
        """Queries that fail, boards that cannot be opened, and boards that were read and are away."""
        read = {f"{gpu.device}/{source.channel.source}" for gpu in self._gpus for source in gpu.sources if not source.error}
        for gpu in self._gpus:
            for source in gpu.sources:
                if source.error:
                    yield self._failed_state(gpu, source)
        yield from self._unopened
        listed = {state.device for state in self._unopened}
        failing = {gpu.device for gpu in self._gpus}
        for key, state in self._seen.items():
            if key not in read and state.device not in listed and state.device not in failing:
                yield state
        for device, other in self._mirrored.mirrors.items():
            message = f"{device} shows the counter of {other}, a module of both, and is not counted"
            yield SourceState(device, "gpu", MODULE_SOURCE, SensorState.SET_ASIDE, Reason.MIRRORS_SIBLING, message)

    def _failed_state(self, gpu: _NvmlGpu, source: _BoardSource) -> SourceState:
        is_counter = source is gpu.counter
        words = _words(source.error)
        other = gpu.power if is_counter else gpu.counter
        if other is None or other.error:
            queries = [("energy", gpu.counter), ("power", gpu.power)]
            errors = ", ".join(f"{name}: {_words(query.error)}" for name, query in queries if query is not None)
            message = f"{gpu.label}: NVML gives neither energy nor power ({errors}): NVML does not measure it"
        elif is_counter:
            message = f"{gpu.label}: no energy counter ({words}); its power is read and integrated ({other.channel.source})"
        else:
            message = f"{gpu.label}: no power ({words}); its energy counter is read, and has no witness by power"
        state = SensorState.NOT_PERMITTED if source.error == pynvml.NVML_ERROR_NO_PERMISSION else SensorState.UNREADABLE
        if source.has_delivered and source.error in _LOST:
            state = SensorState.GONE
        reason = _REASONS.get(source.error, Reason.DRIVER_ERROR)
        return SourceState(gpu.device, "gpu", source.channel.source, state, reason, message, gpu.alias)

    def remarks(self) -> Iterator[str]:
        """GPUs whose counter may restart when idle."""
        for gpu in self._gpus:
            is_read = gpu.counter is not None and not gpu.counter.error
            if is_read and _value_or_none(partial(pynvml.nvmlDeviceGetPersistenceMode, gpu.handle)) == 0:
                yield f"{gpu.alias}: persistence mode is off, its counter may start again: sudo nvidia-smi -pm 1"

    def close(self) -> None:
        """Close the library."""
        self._gpus = []
        with contextlib.suppress(pynvml.NVMLError):  # it was not open
            pynvml.nvmlShutdown()


def _usage_mw(handle: Any) -> int:
    """Power [mW] by the query of all generations."""
    return _power_or_error(pynvml.nvmlDeviceGetPowerUsage(handle))


def _field_query(field_id: int, scope: int) -> Query:
    """Query of a power field [mW]."""

    def query(handle: Any) -> int:
        value = pynvml.nvmlDeviceGetFieldValues(handle, [(field_id, scope)])[0]
        if value.nvmlReturn != pynvml.NVML_SUCCESS:
            raise pynvml.NVMLError(value.nvmlReturn)
        return _power_or_error(value.value.uiVal)

    return query


def _power_or_error(power_mw: int) -> int:
    if power_mw in _NO_VALUES_MW:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_DATA)
    return power_mw


def _field_mw_or_none(handle: Any, field_id: int, scope: int) -> int | None:
    """Power field [mW]; None if the board does not provide it."""
    value: int | None = _value_or_none(partial(_field_query(field_id, scope), handle))
    return value


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


def _bus_address(handle: Any) -> str:
    """Bus address of a board, such as 0000:c1:00.0; empty if the driver does not give it."""
    info = _value_or_none(lambda: pynvml.nvmlDeviceGetPciInfo_v3(handle))
    return _normal_bus_address(_text(info.busId)) if info is not None else ""


def _normal_bus_address(text: str) -> str:
    """Bus address with a domain of four digits, as the kernel writes it: NVML writes eight."""
    domain, _, rest = text.strip("\0 ").lower().partition(":")
    return f"{domain[-4:]:0>4}:{rest}" if rest.count(":") == 1 else text.strip("\0 ").lower()


def _listed_gpus(folder: Path) -> set[str]:
    """Bus addresses of the GPUs that the kernel module lists."""
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _words(error: int) -> str:
    """Text of an error of the library, with its name where the text alone says less."""
    text = str(pynvml.NVMLError(error)).rstrip(".")
    name = next((name for name in _ERROR_NAMES if getattr(pynvml, name) == error), f"error {error}")
    plain = name.removeprefix("NVML_ERROR_").replace("_", " ").lower()
    return text if plain in text.lower() else f"{text}, {name}"


_ERROR_NAMES = tuple(name for name in vars(pynvml) if name.startswith("NVML_ERROR_"))


def _value_or_none(query: Callable[[], Any]) -> Any:
    try:
        return query()
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
