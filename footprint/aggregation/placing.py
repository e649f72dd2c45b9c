"""This file resolves placements: which device of a host each service holds, from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from footprint.config import ALWAYS, FOREVER_US, Placement
from footprint.ledger.reading import Alias


@dataclass(frozen=True, slots=True)
class Held:
    """A service on a device of a host over [since, until), by the device's identity."""

    service: str
    device: str
    share: float
    since_us: int
    until_us: int


def tenures(place: str, aliases: Iterable[Alias], own_readings: bool) -> list[tuple[str, int, int]]:
    """(device, since, until) of one place of a host, for all time.

    Before its first device was named, a place is itself a device where a file gave readings under
    its name, and else already held that first device.
    """
    mine = [alias for alias in aliases if alias.place == place]
    if not mine:
        return [(place, ALWAYS, FOREVER_US)]
    ends = [alias.since_us for alias in mine[1:]] + [FOREVER_US]
    found = [(alias.device, alias.since_us, end) for alias, end in zip(mine, ends, strict=True)]
    if own_readings:
        return [(place, ALWAYS, mine[0].since_us), *found]
    return [(found[0][0], ALWAYS, found[0][2]), *found[1:]]


def held_devices(
    placements: Sequence[Placement], host: str, aliases: Sequence[Alias], named: set[str]
) -> list[Held]:
    """Every tenure of a service on a device of one host; ``named`` are the devices with readings of their own."""
    found = []
    for placement in placements:
        if placement.host != host:
            continue
        for device, since, until in tenures(placement.device, aliases, placement.device in named):
            begin, end = max(since, placement.since_us), min(until, placement.until_us)
            if begin < end:
                found.append(Held(placement.service, device, placement.share, begin, end))
    return found
