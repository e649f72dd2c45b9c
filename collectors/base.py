"""This file says what a sensor says at an instant, and what a collector is."""

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
    """A sensor that is there and may not be read as things stand: somebody should act on the remedy."""


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
