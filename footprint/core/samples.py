"""Samples: what one channel of a sensor gives at an instant, before any correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class DevicePart:
    """A part of a device that has no sensor of its own (an instance of a partitioned GPU): it bears its weight's share."""

    device: str
    alias: str
    weight: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """What one sensor of one device measures, and what can be believed of it; the same object for all its samples.

    ``wrap_uj`` is the range after which its counter starts again from 0, None where a decrease is a
    reset. ``limit_uw`` is the most mean power that can be believed, 0 where nobody says. ``period_us``
    is how often it is read where that is not with every sample of the agent. ``parts`` share the
    energy where the device itself is never placed on.
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
    """What a channel said at an instant: a raw counter [µJ], or a power [µW]; the other is None.

    ``at_us`` is the wall clock, ``mono_us`` the monotonic one. A plain tuple: it is made many times a second.
    """

    channel: Channel
    at_us: int
    mono_us: int
    counter_uj: int | None = None
    power_uw: int | None = None
