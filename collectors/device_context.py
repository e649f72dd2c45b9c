"""This file tells circumstances of devices only when they changed, and whose processes compute on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from collectors.base import DeviceContext, ProcessUsage
from footprint.core.units import US_PER_S

REPEAT_US = 3600 * US_PER_S  # what has not changed is told again, so that nobody needs to look back further
SLOW_US = 60 * US_PER_S  # clocks change all the time: once a minute shows their way
_SLOW = ("clock_sm_hz", "clock_memory_hz")
NOTABLE = 0.01  # a change of memory below a hundredth says nothing
UNKNOWN_GROUP = "(unknown)"


class Circumstances:
    """What was told of each device last."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[int, int]] = {}
        self._busy_us: dict[tuple[str, str], int] = {}

    def changed(self, context: DeviceContext, group_of: Callable[[int], str | None], at_us: int) -> dict[str, int]:
        """Values that are to be told now, by name."""
        values = dict(context.values)
        if context.processes is not None:
            values |= self._by_group(context.device, context.processes, group_of)
        return {name: value for name, value in values.items() if self._is_news(context.device, name, value, at_us)}

    def _by_group(
        self, device: str, processes: Mapping[int, ProcessUsage], group_of: Callable[[int], str | None]
    ) -> dict[str, int]:
        values: dict[str, int] = {}
        for pid, use in processes.items():
            group = group_of(pid) or UNKNOWN_GROUP
            values[f"holding/{group}"] = 1
            if use.memory_bytes is not None:
                name = f"memory_used_bytes/{group}"
                values[name] = values.get(name, 0) + use.memory_bytes
            if use.busy_us is not None:
                place = device, group
                self._busy_us[place] = self._busy_us.get(place, 0) + use.busy_us
                values[f"busy_us/{group}"] = self._busy_us[place]
        return values | dict.fromkeys(self._left(device, values), 0)

    def _left(self, device: str, values: dict[str, int]) -> Iterator[str]:
        """Groups that held the device and no longer do."""
        for (other, name), (value, _) in self._told.items():
            if other == device and value and name.startswith(("holding/", "memory_used_bytes/")) and name not in values:
                yield name

    def _is_news(self, device: str, name: str, value: int, at_us: int) -> bool:
        told = self._told.get((device, name))
        if told is not None:
            before, since_us = told
            small = name.startswith("memory") and value and abs(value - before) <= NOTABLE * before
            same = value == before or small or (name in _SLOW and at_us - since_us < SLOW_US)
            if same and at_us - since_us < REPEAT_US:
                return False
        self._told[device, name] = value, at_us
        return True
