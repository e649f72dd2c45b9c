"""Library libnvidia-ml.so.1 of a fleet machine, behind the real pynvml binding; a query that it lacks is "function not found".

Each board is a table: ``uuid``, ``name``, ``bus``, ``of`` (the thing it is), and per query a signal, a number, steps of numbers
or an error such as ``!NOT_SUPPORTED``: ``energy`` [mJ], ``power``, ``average``, ``instant``, ``module`` [mW], ``limit``,
``enforced`` [W], ``util`` [%]. Queries that a table does not name are not supported.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import pynvml

from tests.simulation.fleet_machine import Machine, SensorError, step_at

_FIELDS = {pynvml.NVML_FI_DEV_POWER_AVERAGE: "average", pynvml.NVML_FI_DEV_POWER_INSTANT: "instant"}


BOARD_STRIDE = 64  # of the handles of boards; those of their instances lie between


def _value(handle: Any) -> int:
    return int(ctypes.cast(handle, ctypes.c_void_p).value or 0)


def _code(name: str) -> int:
    return int(getattr(pynvml, f"NVML_ERROR_{name}"))


def _error_string(result: int) -> bytes:
    """Text of an error; a function, because the binding sets the type of its result."""
    return str(pynvml.NVMLError._errcode_to_string.get(result, "unknown error")).encode()


class FleetNvml:
    """Stands for the shared library: methods have the names and the arguments of its functions."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._boards: list[Mapping[str, Any]] = list(machine.table.get("nvml", []))
        self._driver = machine.table.get("nvml_driver", [])  # [[from_s, to_s]] without a driver
        self._count = machine.table.get("nvml_count", len(self._boards))
        self.at_s = 0.0
        self.nvmlErrorString = _error_string

    def _driver_is_gone(self) -> bool:
        return any(low <= self.at_s < high for low, high in self._driver)

    def _board(self, handle: Any) -> Mapping[str, Any]:
        return self._boards[_value(handle) // BOARD_STRIDE - 1]

    def _answer(self, handle: Any, query: str, default: Any = "!NOT_SUPPORTED") -> float:
        """Number that a query answers.

        Raises
        ------
        SensorError
            If it answers an error.
        """
        if self._driver_is_gone():
            raise SensorError("UNINITIALIZED")
        board = self._board(handle)
        for low, high in board.get("lost", []):
            if low <= self.at_s < high:
                raise SensorError("GPU_IS_LOST")
        number = self._machine.number(board.get(query, default), self.at_s)
        if number is None:
            raise SensorError("NO_DATA")
        return number

    def _number(self, handle: Any, query: str, target: Any, scale: float = 1, default: Any = "!NOT_SUPPORTED") -> int:
        try:
            target._obj.value = round(self._answer(handle, query, default) * scale)
        except SensorError as error:
            return _code(str(error))
        return 0

    def nvmlInitWithFlags(self, flags: Any) -> int:  # noqa: N802 - names of the library
        return _code("DRIVER_NOT_LOADED") if self._driver_is_gone() else 0

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self.nvmlInitWithFlags(0)

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = int(step_at(self._count, self.at_s))
        return _code("UNINITIALIZED") if self._driver_is_gone() else 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802
        if self._driver_is_gone():
            return _code("UNINITIALIZED")
        if index.value >= step_at(self._count, self.at_s):
            return _code("INVALID_ARGUMENT")
        board = self._boards[index.value]
        if "handle" in board:
            return _code(board["handle"].removeprefix("!"))
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0] = ctypes.c_void_p(BOARD_STRIDE * (index.value + 1))
        return 0

    def nvmlDeviceGetUUID(self, handle: Any, text: Any, size: Any) -> int:  # noqa: N802
        if part := _value(handle) % BOARD_STRIDE:
            text.value = f"MIG-{self._board(handle)['uuid']}-{part}".encode()
            return 0
        return self._text(handle, "uuid", text)

    def nvmlDeviceGetName(self, handle: Any, text: Any, size: Any) -> int:  # noqa: N802
        return self._text(handle, "name", text)

    def nvmlDeviceGetSerial(self, handle: Any, text: Any, size: Any) -> int:  # noqa: N802
        return self._text(handle, "serial", text)

    def _text(self, handle: Any, query: str, text: Any) -> int:
        if self._driver_is_gone():
            return _code("UNINITIALIZED")
        answer = str(step_at(self._board(handle).get(query, "!NOT_SUPPORTED"), self.at_s))
        if answer.startswith("!"):
            return _code(answer[1:])
        text.value = answer.encode()
        return 0

    def nvmlDeviceGetPciInfo_v3(self, handle: Any, info: Any) -> int:  # noqa: N802
        bus = str(self._board(handle).get("bus", ""))
        if not bus:
            return _code("NOT_SUPPORTED")
        info._obj.busId, info._obj.busIdLegacy = bus.encode(), bus[4:].encode()
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, energy: Any) -> int:  # noqa: N802
        return self._number(handle, "energy", energy)

    def nvmlDeviceGetPowerUsage(self, handle: Any, power: Any) -> int:  # noqa: N802
        return self._number(handle, "power", power)

    def nvmlDeviceGetFieldValues(self, handle: Any, count: Any, values: Any) -> int:  # noqa: N802
        for value in values._obj:
            query = _FIELDS.get(value.fieldId, "other")
            if value.scopeId == pynvml.NVML_POWER_SCOPE_MODULE:
                query = "module"
            try:
                value.value.uiVal = round(self._answer(handle, query))
                value.nvmlReturn = 0
            except SensorError as error:
                value.nvmlReturn = _code(str(error))
        return 0

    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle: Any, least: Any, most: Any) -> int:  # noqa: N802
        least._obj.value = 1000
        return self._number(handle, "limit", most, 1000)

    def nvmlDeviceGetPowerManagementLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
        return self._number(handle, "enforced", limit, 1000)

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
        return self._number(handle, "limit", limit, 1000)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
        return self._number(handle, "enforced", limit, 1000)

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:  # noqa: N802
        board = self._board(handle)
        if "mig" in board:
            return _code("NOT_SUPPORTED")
        default = 100 * self._machine.things[board["of"]].load(self.at_s) if "of" in board else "!NOT_SUPPORTED"
        try:
            rates._obj.gpu = round(self._answer(handle, "util", default))
        except SensorError as error:
            return _code(str(error))
        rates._obj.memory = rates._obj.gpu // 2
        return 0

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: Any, clock: Any) -> int:  # noqa: N802
        board = self._board(handle)
        load = self._machine.things[board["of"]].load(self.at_s) if "of" in board else 0.5
        return self._number(handle, "clock", clock, 1, 345 + round(1300 * load))

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802
        if not self._board(handle).get("memory", True):
            return _code("NOT_SUPPORTED")
        memory._obj.total, memory._obj.used = 80 << 30, 20 << 30
        memory._obj.free = memory._obj.total - memory._obj.used
        return 0

    def nvmlDeviceGetPersistenceMode(self, handle: Any, mode: Any) -> int:  # noqa: N802
        mode._obj.value = 1
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, count: Any, processes: Any) -> int:  # noqa: N802
        count._obj.value = 0
        return 0

    def nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:  # noqa: N802
        if "mig" not in self._board(handle):
            return _code("NOT_SUPPORTED")
        current._obj.value = pending._obj.value = 1
        return 0

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, count: Any) -> int:  # noqa: N802
        count._obj.value = 7 if "mig" in self._board(handle) else 0
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: Any, part: Any) -> int:  # noqa: N802
        if index.value >= len(self._board(handle).get("mig", [])):
            return _code("NOT_FOUND")
        ctypes.cast(part, ctypes.POINTER(ctypes.c_void_p))[0] = ctypes.c_void_p(_value(handle) + index.value + 1)
        return 0

    def nvmlDeviceGetAttributes_v2(self, handle: Any, attributes: Any) -> int:  # noqa: N802
        part = _value(handle) % BOARD_STRIDE
        if not part:
            return _code("NOT_SUPPORTED")
        attributes._obj.gpuInstanceSliceCount = self._board(handle)["mig"][part - 1]
        return 0
