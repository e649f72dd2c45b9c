"""This file says what a sensor says at an instant, and what a collector is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Unavailable(Exception):
    """A sensor that cannot be read here; the message gives the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one sensor of one device said at an instant: a raw counter [µJ], or a power [µW]; the other is None.

    ``wrap_uj`` is the range after which a raw counter starts again from 0, None where a decrease is a
    reset. ``limit_uw`` is the most power that can be believed, 0 where nobody says.
    """

    at_us: int
    mono_us: int
    device: str
    component: str
    source: str
    counter_uj: int | None = None
    power_uw: int | None = None
    wrap_uj: int | None = None
    limit_uw: int = 0
    alias: str = ""
    model: str = ""


class Collector(Protocol):
    """One source of samples. A device that cannot be read gives none: absence is not zero."""

    name: str

    def collect(self, at_us: int, mono_us: int) -> Iterable[Sample]:
        """Samples of every device that can be read now.

        Raises
        ------
        Unavailable
            If the source as a whole cannot be read.
        """

    def close(self) -> None:
        """Give the source back."""
