"""Raw samples of sensors, before any correction, and the channels that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from footprint.core.device_limits import ceiling_uw


@dataclass(frozen=True, slots=True)
class DevicePart:
    """Part of a device without a sensor of its own (an instance of a partitioned GPU); ``weight`` gives its share."""

    device: str
    alias: str
    weight: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity of one device as one sensor measures it; all its samples share this object.

    ``wrap_uj`` is the range after which the counter restarts from 0; None if a decrease is a reset.
    ``limit_uw`` is what a setting of the device allows at present, 0 if unknown: a hint, and no bound. ``period_us`` is the
    reading period if the sensor is not read with every sample of the agent. ``parts`` share the energy if the device itself
    never has a placement. ``ceiling_uw`` is the highest mean power that the device can draw at all; left 0, it is that of
    its component and model (``footprint.core.device_limits``).
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
    ceiling_uw: int = 0

    def __post_init__(self) -> None:
        """Look the ceiling up once, because every sample is held against it."""
        if not self.ceiling_uw:
            object.__setattr__(self, "ceiling_uw", ceiling_uw(self.component, self.model, self.source))


class Sample(NamedTuple):
    """Value of a channel at an instant: a raw counter [µJ] or a power [µW]; the other is None.

    ``at_us`` is the wall clock, ``mono_us`` the monotonic clock. A tuple, because many are made each second.
    """

    channel: Channel
    at_us: int
    mono_us: int
    counter_uj: int | None = None
    power_uw: int | None = None
