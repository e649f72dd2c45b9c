"""Contract of a collector, and the values that it gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from footprint.core.samples import Sample
from footprint.core.sensor_verdicts import Reason, SensorState

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


@dataclass(frozen=True, slots=True)
class SourceState:
    """State of one source of one device, for devices that were seen and gone, or never opened, as well.

    ``message`` is one sentence for people: what is not read, why, and the remedy; empty while the source reads.
    """

    device: str
    component: str
    source: str
    state: SensorState
    reason: Reason = Reason.NONE
    message: str = ""
    alias: str = ""


class Scope(Enum):
    """What the sensors of a GPU measure."""

    BOARD = "board"
    PACKAGE = "package"  # of the CPU: an integrated GPU
    PACKAGE_OR_BOARD = "package or board"  # to be told from the level of the CPU's own sensors


class Collector:
    """One source of samples. A device that cannot be read gives no sample: absence is not zero.

    ``covers`` names what the collector measures. A collector yields samples of every source of a device that it can
    read; ``collectors.overlaps`` decides which of them count. An estimate is opened only while no sensor delivers.
    """

    name: str
    covers: str
    is_estimate: bool = False
    is_costly_to_open: bool = False  # it starts a program or loads a library

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

    def states(self) -> Iterable[SourceState]:
        """Sources that are not read and why, including those of devices that vanished or could not be opened."""
        return ()

    def scopes(self) -> Mapping[str, Scope]:
        """Scope of each device whose sensors may measure more than the device itself."""
        return {}

    def remarks(self) -> Iterable[str]:
        """Possible improvements of what is read, each with its remedy in one line."""
        return ()

    def components(self) -> set[str]:
        """What is read here, in the terms of ``covers``: more than that where the source has it."""
        return {self.covers}

    def close(self) -> None:
        """Release the source."""
