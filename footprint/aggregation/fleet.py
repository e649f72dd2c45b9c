"""Hosts of one run and the services that they share: what is read of a host, which hosts serve a service, and versions of both.

A service that is placed on several hosts is one meter: its days rest on the readings of all of them.
"""

from __future__ import annotations

import functools
import itertools
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from footprint.aggregation.bounded_cache import BoundedCache
from footprint.aggregation.device_energy import CPU_QUANTITY, GROUP, DeviceEnergy, device_energies
from footprint.attribution.idle import LOADED_WITHIN_US
from footprint.config import Config
from footprint.core.stored_forms import digest_text
from footprint.core.units import US_PER_DAY
from footprint.ledger.day_versions import HEAD_US
from footprint.ledger.energy_file import CONTEXT_GRADE
from footprint.ledger.ledger_view import LedgerView, fingerprint
from footprint.ledger.placements import Tenure, host_tenures, service_of_group

MAX_CACHED_INTERVALS = 3_000_000  # of all devices; 33 bytes each


class HostReadings:
    """What the ledger holds of one host: streams, placements, and versions by day."""

    def __init__(self, view: LedgerView, config: Config, name: str) -> None:
        self.view, self.config, self.name = view, config, name
        self.streams = view.streams().get(name, [])
        self.aliases = view.aliases(name)
        self.tenures = host_tenures(view, config, name)

    @functools.cached_property
    def groups(self) -> dict[str, list[str]]:
        """Process groups seen here, by the service whose rules they meet; each group belongs to one service only."""
        groups_of: dict[str, list[str]] = {}
        for stream in self.streams:
            if stream.quantity == CPU_QUANTITY and stream.device.startswith(GROUP):
                group = stream.device.removeprefix(GROUP)
                service = service_of_group(group, self.config.services)
                if service is not None:
                    groups_of.setdefault(service, []).append(group)
        return groups_of

    @functools.cached_property
    def services(self) -> list[str]:
        """Services that are placed here, or whose processes were seen here."""
        return sorted({tenure.service for tenure in self.tenures} | set(self.groups))

    def days(self) -> list[int]:
        """UTC days that a reading of this host touches, including those that a counter bridges."""
        touched: set[int] = set()
        for stream in self.streams:
            days = self.view.stream_days(stream.id)
            read_days = days.day[days.last_us >= days.first_us]
            if not len(read_days) or stream.grade == CONTEXT_GRADE:
                continue
            is_counter = stream.quantity == "energy"
            touched.update(range(int(read_days[0]), int(read_days[-1]) + 1) if is_counter else read_days.tolist())
        return sorted(touched)

    @functools.cached_property
    def _read_days(self) -> list[tuple[int, list[int], list[int], list[int], list[int]]]:
        """For each stream, the days with readings, in order; their versions, those of their heads, and the second instants."""
        days_read = []
        for stream in self.streams:
            days = self.view.stream_days(stream.id)
            has_readings = days.last_us >= days.first_us
            columns = (column[has_readings].tolist() for column in (days.day, days.version, days.head, days.second_us))
            days_read.append((stream.id, *columns))
        return days_read  # type: ignore[return-value]

    @functools.cached_property
    def data(self) -> Callable[[int, tuple[str, ...]], str]:
        """Fingerprint of the ledger of this host and some services around a day, cached; empty without readings."""
        return functools.cache(self._data)

    def _data(self, day: int, services: tuple[str, ...]) -> str:
        """A day rests on its readings, those of the day before with readings, and the first two after it (``NEIGHBOURS``)."""
        parts: list[object] = []
        low, end_us = day - 1, (day + 1) * US_PER_DAY
        reach_us = end_us
        for stream, days, versions, heads, second_us in self._read_days:
            at = bisect_left(days, day)
            after = at + (at < len(days) and days[at] == day)
            if at == len(days) or after == 0:
                continue  # all its readings are before the day, or all after it
            before = max(at - 1, 0)
            before -= before > 0 and second_us[before] == (days[before] + 1) * US_PER_DAY  # one reading is not enough
            parts.append((stream, list(zip(days[before:after], versions[before:after], strict=True))))
            low = min(low, days[before] - 1)
            if after < len(days):
                stop = after + 1 + (second_us[after] == (days[after] + 1) * US_PER_DAY)
                parts.append(list(zip(days[after:stop], heads[after:stop], strict=True)))
                reach_us = max(reach_us, second_us[after])
        if not parts:
            return ""
        # Logs are read to the next full hour after ``reach_us`` and LOADED_WITHIN_US.
        is_near = reach_us + LOADED_WITHIN_US <= end_us + HEAD_US
        for service in services:
            last = day if is_near else (reach_us - 1) // US_PER_DAY + 1
            head = self.view.service_head(service, day + 1) if is_near else 0
            parts.append((service, self.view.service_versions(service, low, last), head))
        return fingerprint([digest_text(self.aliases), *parts])


@dataclass(frozen=True, slots=True)
class PlacedSpan:
    """Devices that a service held together over [since, until) [µs]: (host, device, share), sorted."""

    devices: tuple[tuple[str, str, float], ...]
    since_us: int
    until_us: int

    @property
    def hosts(self) -> list[str]:
        """Hosts of the devices, sorted."""
        return sorted({host for host, _, _ in self.devices})

    def of_host(self, host: str) -> tuple[tuple[str, float], ...]:
        """(device, share) of one host."""
        return tuple((device, share) for name, device, share in self.devices if name == host)


@dataclass(frozen=True, slots=True)
class ServicePlacement:
    """Devices of a service over one day: spans in order of time that one fit can cover.

    ``layout`` names what all of them have in common: the devices of a service on one host, or the shares of devices that each of
    several hosts has. Days of equal layout are fitted together. ``unread`` is the number of further hosts that serve the same log
    and were not read.
    """

    service: str
    layout: str
    spans: tuple[PlacedSpan, ...]
    unread: int = 0

    @property
    def key(self) -> str:
        """Key of the stored statistics: another layout is another placement."""
        return f"{self.service}/step {self.layout}"

    @property
    def largest(self) -> PlacedSpan:
        """Span with the most devices."""
        return max(self.spans, key=lambda span: (len(span.devices), -span.since_us))

    @property
    def hosts(self) -> list[str]:
        """Hosts of all spans, sorted."""
        return sorted({host for span in self.spans for host in span.hosts})


def place_service(service: str, tenures: dict[str, list[Tenure]], day: int, *, alone: bool) -> ServicePlacement | None:
    """Placement of a service on a day by the tenures of its hosts; None where it held no device.

    Where the layout changes during the day, the one that held longest counts. ``alone`` is whether the service has one host ever:
    then other devices are another layout.
    """
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    own = [
        (host, tenure)
        for host, host_tenures in sorted(tenures.items())
        for tenure in host_tenures
        if tenure.service == service and tenure.since_us < end_us and tenure.until_us > start_us
    ]
    edges = sorted({start_us, end_us, *(e for _, t in own for e in (t.since_us, t.until_us) if start_us < e < end_us)})
    spans: dict[str, list[PlacedSpan]] = {}
    for low, high in itertools.pairwise(edges):
        devices = tuple(sorted((host, t.device, t.share) for host, t in own if t.since_us <= low and t.until_us >= high))
        if devices:
            span = PlacedSpan(devices, low, high)
            spans.setdefault(_layout(span, alone=alone), []).append(span)
    if not spans:
        return None
    layout = max(spans, key=lambda text: (sum(s.until_us - s.since_us for s in spans[text]), -spans[text][0].since_us))
    return ServicePlacement(service, layout, tuple(spans[layout]))


def _layout(span: PlacedSpan, *, alone: bool) -> str:
    if alone:
        return " ".join(f"{device}*{share:g}" for _, device, share in span.devices)
    shares = {tuple(sorted(share for _, share in span.of_host(host))) for host in span.hosts}
    return " ".join("+".join(f"{share:g}" for share in host) for host in sorted(shares))


class Fleet:
    """Hosts of one run, read once; energy intervals of recent host-days are cached."""

    def __init__(self, view: LedgerView, config: Config) -> None:
        self.view, self.config = view, config
        self._hosts: dict[str, HostReadings] = {}
        self._devices = BoundedCache[tuple[str, int], list[DeviceEnergy]](MAX_CACHED_INTERVALS, _count_intervals)
        self.members = functools.cache(self._members)
        self.service_data = functools.cache(self._service_data)
        self.placement = functools.cache(self._placement)

    def host(self, name: str) -> HostReadings:
        """What the ledger holds of a host."""
        if name not in self._hosts:
            self._hosts[name] = HostReadings(self.view, self.config, name)
        return self._hosts[name]

    def devices(self, host: str, day: int) -> list[DeviceEnergy]:
        """Energy intervals of every device of a host that touch a UTC day."""
        return self._devices.get((host, day), lambda: device_energies(self.view, host, day))

    def _members(self, service: str) -> tuple[str, ...]:
        """Hosts on which a service is placed at any time, read or not, sorted."""
        names = {placement.host for placement in self.config.placements if placement.service == service}
        if any(fact.processes for fact in self.config.services if fact.name == service):
            names |= {name for name in self.view.streams() if any(t.service == service for t in self.host(name).tenures)}
        return tuple(sorted(names))

    def _service_data(self, service: str, day: int) -> str:
        """Fingerprint of the ledger of a service and of all its hosts around a day; empty without readings."""
        states = [(name, self.host(name).data(day, (service,))) for name in self.members(service)]
        known = [state for state in states if state[1]]
        return fingerprint(known) if known else ""

    def data(self, host: str, day: int, services: tuple[str, ...]) -> str:
        """Fingerprint of the ledger of a host, some services and the hosts that share them; empty without readings of any."""
        own = self.host(host).data(day, services)
        shared = [self.service_data(service, day) for service in services if len(self.members(service)) > 1]
        return fingerprint([own, *shared]) if any(shared) else own

    def _placement(self, service: str, day: int) -> ServicePlacement | None:
        """Placement of a service on a day, on the hosts that were read on it."""
        members = self.members(service)
        tenures = {name: self.host(name).tenures for name in members if self.host(name).data(day, ())}
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        configured = {
            placement.host
            for placement in self.config.placements
            if placement.service == service and placement.since_us < end_us and placement.until_us > start_us
        }
        placement = place_service(service, tenures, day, alone=len(members) == 1)
        return placement and replace(placement, unread=len(configured - set(tenures)))


def _count_intervals(devices: list[DeviceEnergy]) -> int:
    return sum(len(device.intervals) for device in devices)
