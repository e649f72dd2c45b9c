"""Contract of a collector, and the values that it gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from footprint.core.samples import Sample

if TYPE_CHECKING:
    from collectors.config import AgentConfig


class Unavailable(Exception):
    """A sensor that cannot be read here; the message gives the reason and the remedy."""


class PermissionRequired(Unavailable):
    """A sensor that exists but lacks permission; the message names the remedy for an administrator."""


class ProcessUsage(NamedTuple):
    """Use of a device by one process: memory [bytes], and busy time [µs] since the last reading; None if unknown."""

    memory_bytes: int | None
    busy_us: int | None


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """Operating conditions of a device other than energy: integers by name (``footprint.core.records.CONTEXT``).

    ``processes`` are those that compute on the device, by process ID; None if unknown.
    """

    device: str
    component: str
    source: str
    values: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[int, ProcessUsage] | None = None


class Collector:
    """One source of samples. A device that cannot be read gives no sample: absence is not zero.

    ``covers`` names what the collector measures. Of several collectors that cover the same, only the first that
    works is used, so that nothing is measured twice.
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
        """Operating conditions of the devices, if the source knows any."""
        return ()

    def remarks(self) -> Iterable[str]:
        """Sensors that are not read, or not as well as possible, each with its remedy in one line."""
        return ()

    def components(self) -> set[str]:
        """What is read here, in the terms of ``covers``: more than that where the source has it."""
        return {self.covers}

    def close(self) -> None:
        """Release the source."""
