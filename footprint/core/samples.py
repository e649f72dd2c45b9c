"""Samples of sensors, before any correction, and the channels that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class DevicePart:
    """A part of a device without its own sensor, such as a GPU instance; it gets energy in proportion to its weight."""

    device: str
    alias: str
    weight: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """One sensor of one device and the limits of what it can measure; one object shared by all its samples.

    ``wrap_uj`` is the range after which its counter restarts from 0, None if a decrease means a reset.
    ``limit_uw`` is the largest plausible mean power, 0 if unknown. ``period_us`` is the reading period
    if the sensor is slower than the agent's sampling. ``parts`` share the energy of a device on which
    no service is placed as a whole.
    """

    device: str
    component: str
    source: str
    wrap_uj: int | None = None
    limit_uw: int = 0
    alias: str = ""
    model: str = ""
    period_us: int = 0
    parts: tuple[DevicePart, ...] = ()


class Sample(NamedTuple):
    """Value of a channel at an instant: a raw counter [µJ] or a power [µW]; the other is None.

    ``at_us`` is wall-clock time, ``mono_us`` monotonic time. A named tuple, because many are made each second.
    """

    channel: Channel
    at_us: int
    mono_us: int
    counter_uj: int | None = None
    power_uw: int | None = None
