"""Interface of a source of carbon intensity: request, response, sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from footprint.core.records import FootprintError
from footprint.core.timestamps import parse_instant


class BadAnswer(FootprintError):
    """The response does not have the documented form."""


@dataclass(frozen=True, slots=True)
class IntensitySample:
    """Intensity [g/kWh] from an instant [µs] on; ``estimated`` if the source marks it as not measured."""

    start_us: int
    g_per_kwh: float
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """HTTP request: path, query parameters and headers."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class IntensitySource:
    """One source: URL, zones, sample length [µs], scope and licence, and how to query it.

    ``build_request`` takes zone, start and end [µs] and a key (may be empty); ``parse_response`` takes the decoded JSON body.
    """

    name: str
    url: str
    zones: tuple[str, ...]  # empty: any
    length_us: int
    scope: str
    licence: str
    key_variable: str  # environment variable; empty: no key needed
    build_request: Callable[[str, int, int, str], SourceRequest]
    parse_response: Callable[[Any], list[IntensitySample]]
    marginal: bool = False  # emissions of one more kilowatt-hour: for advice, never for a figure


def parse_sample(time: object, value: object, *, estimated: bool = False) -> IntensitySample | None:
    """Parse a time and a value; None if the value is not available yet.

    Raises
    ------
    BadAnswer
        If the time is invalid, or the value is not a number from 0 to 5000 g/kWh.
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
