"""This file says what a sensor says at an instant, and what a collector is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collectors.config import AgentConfig


class Unavailable(Exception):
    """A sensor that cannot be read here; the message gives the reason and the remedy."""


class PermissionRequired(Unavailable):
    """A sensor that is there and may not be read as things stand: somebody should act on the remedy."""


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


class ProcessUsage(NamedTuple):
    """What one process holds of a device: memory [bytes], and time computed [µs] since asked last; None where nobody says."""

    memory_bytes: int | None
    busy_us: int | None


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """Circumstances of a device that are not energy: whole numbers by name (``footprint.core.records.CONTEXT``).

    ``processes`` are those that compute on it, by process number; None where nobody can say.
    """

    device: str
    component: str
    source: str
    values: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[int, ProcessUsage] | None = None


class Collector:
    """One source of samples. A device that cannot be read gives none: absence is not zero.

    ``covers`` names what it measures; of several that cover the same, the first that works counts, so that
    nothing is measured twice.
    """

    name: str
    covers: str

    def __init__(self, config: AgentConfig) -> None:
        """Find the devices.

        Raises
        ------
        Unavailable
            If nothing can be read here.
        """

    def collect(self, at_us: int, mono_us: int) -> Iterable[Sample]:
        """Samples of every device that can be read now.

        Raises
        ------
        Unavailable
            If the source as a whole cannot be read.
        """
        raise NotImplementedError

    def context(self) -> Iterable[DeviceContext]:
        """Circumstances of the devices, where the source knows any."""
        return ()

    def remarks(self) -> Iterable[str]:
        """What is found but not read, or not as well as it could be, each with the remedy in one line."""
        return ()

    def close(self) -> None:
        """Give the source back."""
