"""This file says what a source of carbon intensity is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from footprint.core.records import FootprintError
from footprint.core.timestamps import parse_instant


class BadAnswer(FootprintError):
    """An answer that is not what the source promises."""


@dataclass(frozen=True, slots=True)
class IntensitySample:
    """Intensity [g/kWh] from an instant [µs] on; ``estimated`` where the source says that it did not measure."""

    start_us: int
    g_per_kwh: float
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """What to ask: path, parameters and headers."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class IntensitySource:
    """One source: where it is, for which zones, what its numbers mean, and how it is asked and read.

    ``ask`` gives the request for a zone over [start, end) [µs], with a key where there is one; ``read`` the samples of a body
    that was JSON.
    """

    name: str
    url: str
    zones: tuple[str, ...]  # empty: any
    length_us: int
    scope: str
    licence: str
    key_variable: str  # of the environment; empty: no key is needed
    build_request: Callable[[str, int, int, str], SourceRequest]
    parse_response: Callable[[Any], list[IntensitySample]]
    marginal: bool = False  # what one kilowatt-hour more would emit: advice, never a figure


def parse_sample(time: object, value: object, *, estimated: bool = False) -> IntensitySample | None:
    """A sample of a time and a value; None where the value is not there yet.

    Raises
    ------
    BadAnswer
        If the time cannot be read, or the value is no number of at least 0.
    """
    if value is None or value == "":
        return None
    try:
        at_us, g_per_kwh = parse_instant(str(time)), float(str(value))
    except (ValueError, FootprintError) as bad:
        raise BadAnswer(f"a sample of {time!r} and {value!r} cannot be read: {bad}") from None
    if not 0 <= g_per_kwh < 5000:  # coal alone emits about 1000
        raise BadAnswer(f"an intensity of {g_per_kwh:g} g/kWh cannot be right")
    return IntensitySample(at_us, g_per_kwh, estimated)
