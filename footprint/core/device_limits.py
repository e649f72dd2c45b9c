"""Physical limits of devices: what a model can draw at all, and the least that it draws while it is powered.

The rows are ``data/device_limits.csv``: the first whose component is the device's and whose pattern is found in its model
holds. A ceiling is 1.5 times the board or package power of the data sheet: a mean over a second exceeds what a board
regulates to only by its transients. A floor is well below the idle power of a powered device, and 0 where a device may be
switched off while the host runs. Where no row holds, the ceiling is that of the component (``limits.MAX_POWER_W``). Settings
of a device, such as its enforced limit, are no bounds: people change them while the agent runs.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache, lru_cache

from footprint.core.limits import MAX_POWER_W
from footprint.core.resources import data_path
from footprint.core.units import UW_PER_W

MAX_CACHED_MODELS = 256
WHOLE_HOST_SOURCES = frozenset({"rapl-psys"})  # of component cpu, but they measure the platform


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Ceiling and floor [µW] of a device, and the source of these figures."""

    ceiling_uw: int
    floor_uw: int
    source: str = ""


@cache
def _rows() -> tuple[tuple[str, re.Pattern[str], DeviceLimits], ...]:
    with data_path("device_limits.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            (
                row["component"],
                re.compile(row["model"], re.IGNORECASE),
                DeviceLimits(
                    round(float(row["ceiling_w"]) * UW_PER_W),
                    round(float(row["floor_w"]) * UW_PER_W),
                    f"{row['source']} ({row['retrieved']})",
                ),
            )
            for row in csv.DictReader(file)
        )


@lru_cache(maxsize=MAX_CACHED_MODELS)
def device_limits(component: str, model: str = "", source: str = "") -> DeviceLimits:
    """Limits of a device by component and model; ``source`` tells a sensor of the whole platform from one of a package."""
    if source in WHOLE_HOST_SOURCES:
        component, model = "host", ""
    for row_component, pattern, limits in _rows():
        if row_component == component and pattern.search(model):
            return limits
    return DeviceLimits(MAX_POWER_W.get(component, MAX_POWER_W["host"]) * UW_PER_W, 0)


def ceiling_uw(component: str, model: str = "", source: str = "") -> int:
    """Highest mean power over a second [µW] that a device can draw at all."""
    return device_limits(component, model, source).ceiling_uw


def floor_uw(component: str, model: str = "", source: str = "") -> int:
    """Least mean power [µW] of a powered device; 0 if it may be off."""
    return device_limits(component, model, source).floor_uw
