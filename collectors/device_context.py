"""Filter that passes operating conditions of devices on only when they changed, with use per process group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from collectors.base import DeviceContext, ProcessUsage
from footprint.core.units import US_PER_S

REPEAT_INTERVAL_US = 3600 * US_PER_S  # unchanged values are repeated, so that readers never look back further
CLOCK_INTERVAL_US = 60 * US_PER_S  # clocks change all the time: once a minute shows their course
_CLOCK_VALUES = ("clock_sm_hz", "clock_memory_hz")
MIN_MEMORY_CHANGE = 0.01  # relative; smaller changes of memory are noise
UNKNOWN_GROUP = "(unknown)"


class ContextChangeFilter:
    """Last value sent of each condition of each device."""

    def __init__(self) -> None:
        self._last_sent: dict[tuple[str, str], tuple[int, int]] = {}
        self._busy_us: dict[tuple[str, str], int] = {}

    def changed_values(self, context: DeviceContext, group_of: Callable[[int], str | None], at_us: int) -> dict[str, int]:
        """Values to send now, by name."""
        values = dict(context.values)
        if context.processes is not None:
            values |= self._by_group(context.device, context.processes, group_of)
        return {name: value for name, value in values.items() if self._is_due(context.device, name, value, at_us)}

    def _by_group(
        self, device: str, processes: Mapping[int, ProcessUsage], group_of: Callable[[int], str | None]
    ) -> dict[str, int]:
        values: dict[str, int] = {}
        for pid, usage in processes.items():
            group = group_of(pid) or UNKNOWN_GROUP
            values[f"holding/{group}"] = 1
            if usage.memory_bytes is not None:
                name = f"memory_used_bytes/{group}"
                values[name] = values.get(name, 0) + usage.memory_bytes
            if usage.busy_us is not None:
                key = device, group
                self._busy_us[key] = self._busy_us.get(key, 0) + usage.busy_us
                values[f"busy_us/{group}"] = self._busy_us[key]
        return values | dict.fromkeys(self._released(device, values), 0)

    def _released(self, device: str, values: dict[str, int]) -> Iterator[str]:
        """Names of values of groups that no longer use the device."""
        for (other, name), (value, _) in self._last_sent.items():
            if other == device and value and name.startswith(("holding/", "memory_used_bytes/")) and name not in values:
                yield name

    def _is_due(self, device: str, name: str, value: int, at_us: int) -> bool:
        last = self._last_sent.get((device, name))
        if last is not None:
            before, since_us = last
            is_noise = name.startswith("memory") and value and abs(value - before) <= MIN_MEMORY_CHANGE * before
            is_recent = name in _CLOCK_VALUES and at_us - since_us < CLOCK_INTERVAL_US
            if (value == before or is_noise or is_recent) and at_us - since_us < REPEAT_INTERVAL_US:
                return False
        self._last_sent[device, name] = value, at_us
        return True
