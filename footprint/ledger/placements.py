"""Placements: which service holds which device of a host, from when to when.

The configuration comes first. A device that it assigns to nobody is held by the services whose processes compute on it, as the
agent reports them, so that nobody needs to write a list of devices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from footprint.attribution.energy_intervals import Samples
from footprint.config import ALWAYS, FOREVER_US, Config, Placement, ServiceFact
from footprint.core.units import US_PER_HOUR
from footprint.ledger.ledger_view import HOLDING_PREFIX, Alias, LedgerView

# The agent reports each hour which processes compute on a device; after two hours without a report it is unknown.
HOLDING_TIMEOUT_US = 2 * US_PER_HOUR


@dataclass(frozen=True, slots=True)
class Tenure:
    """A service on a device of a host over [since, until), by the device's identity."""

    service: str
    device: str
    share: float
    since_us: int
    until_us: int


def tenures_of(place: str, aliases: Iterable[Alias], own_readings: bool) -> list[tuple[str, int, int]]:
    """(device, since, until) of one place of a host, for all time.

    Before its first device was named, a place is a device itself where a file gave readings under its name; else it already held
    that first device.
    """
    own = [alias for alias in aliases if alias.name == place]
    if not own:
        return [(place, ALWAYS, FOREVER_US)]
    ends = [alias.since_us for alias in own[1:]] + [FOREVER_US]
    tenures = [(alias.device, alias.since_us, end) for alias, end in zip(own, ends, strict=True)]
    if own_readings:
        return [(place, ALWAYS, own[0].since_us), *tenures]
    return [(tenures[0][0], ALWAYS, tenures[0][2]), *tenures[1:]]


def configured_tenures(placements: Sequence[Placement], host: str, aliases: Sequence[Alias], named: set[str]) -> list[Tenure]:
    """Tenures of services on devices of one host by the configuration; ``named`` are the devices with readings of their own."""
    tenures = []
    for placement in placements:
        if placement.host != host:
            continue
        for device, since, until in tenures_of(placement.device, aliases, placement.device in named):
            begin, end = max(since, placement.since_us), min(until, placement.until_us)
            if begin < end:
                tenures.append(Tenure(placement.service, device, placement.share, begin, end))
    return tenures


def service_of_group(group: str, services: Sequence[ServiceFact]) -> str | None:
    """First service whose rules (``processes``, names or patterns) a process group meets."""
    return next((service.name for service in services if any(fnmatchcase(group, rule) for rule in service.processes)), None)


def process_tenures(device: str, seen: Mapping[str, Samples], services: Sequence[ServiceFact]) -> list[Tenure]:
    """Tenures of the services whose processes computed on a device.

    ``seen`` holds 0/1 samples by process group (1 while it uses the device). Where several services, or a service and other
    processes, computed at once, each holds an equal share, because nobody sees who drew how much.
    """
    periods = [
        (since, until, service_of_group(group, services))
        for group, samples in seen.items()
        for since, until in _holding_periods(samples)
    ]
    edges = sorted({edge for since, until, _ in periods for edge in (since, until)})
    tenures: list[Tenure] = []
    for since, until in itertools.pairwise(edges):
        parties = {service for begin, end, service in periods if begin <= since and until <= end}
        for service in sorted(filter(None, parties)):
            current = Tenure(service, device, 1 / len(parties), since, until)
            previous = next((tenure for tenure in reversed(tenures) if tenure.service == service), None)
            if previous is not None and (previous.until_us, previous.share) == (since, current.share):
                tenures[tenures.index(previous)] = Tenure(service, device, current.share, previous.since_us, until)
            else:
                tenures.append(current)
    return tenures


def _holding_periods(samples: Samples) -> Iterable[tuple[int, int]]:
    """Periods [since, until) in which a group held the device; a gap in the reports ends one."""
    times, values = samples.time_us.tolist(), samples.value.tolist()
    since = None
    for index, (at, value) in enumerate(zip(times, values, strict=True)):
        if value and since is None:
            since = at
        following = times[index + 1] if index + 1 < len(times) else None
        silent = following is None or following > at + HOLDING_TIMEOUT_US
        if since is not None and (not value or silent):
            yield since, at if not value else at + HOLDING_TIMEOUT_US
            since = None


def host_tenures(view: LedgerView, config: Config, host: str) -> list[Tenure]:
    """Placements on the devices of a host: those of the configuration, and those inferred from processes on other devices."""
    streams = view.streams().get(host, [])
    tenures = configured_tenures(config.placements, host, view.aliases(host), {stream.device for stream in streams})
    placed = {tenure.device for tenure in tenures}
    seen: dict[str, dict[str, Samples]] = {}
    for stream in streams:
        if stream.quantity.startswith(HOLDING_PREFIX) and stream.device not in placed:
            samples = view.samples(stream.id, 0, FOREVER_US)
            seen.setdefault(stream.device, {})[stream.quantity.removeprefix(HOLDING_PREFIX)] = samples
    return tenures + [tenure for device in sorted(seen) for tenure in process_tenures(device, seen[device], config.services)]
