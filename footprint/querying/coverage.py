"""This file says how much of the device-seconds that should have been read were read.

Expected are the devices placed on the declared hosts, and those seen on them in the seven days
before; of a host that nobody declared, what its own readings span on each UTC day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from footprint.aggregation.hostday import grain_us
from footprint.attribution.shard import UNATTRIBUTED_NAME
from footprint.config import FOREVER_US
from footprint.querying.cells import Source, cut_slots
from footprint.units import US_PER_DAY, US_PER_S

SEEN_US = 7 * US_PER_DAY
Device = tuple[str, str]  # host, device
Span = tuple[int, int]
Stretch = tuple[int, int, int, int, int]  # start, end, read, known (read, or bridged by a counter), modelled [µs]


@dataclass(slots=True)
class DeviceTime:
    """When one device should have been read, and what was."""

    expected: list[Span] = field(default_factory=list)
    read: list[Stretch] = field(default_factory=list)


@dataclass(slots=True)
class Watch:
    """Times of all devices, and the tenures of services on them."""

    devices: dict[Device, DeviceTime]
    tenures: dict[str, list[tuple[Device, int, int]]]  # service -> (device, since, until)

    def of_services(self, services: Iterable[str], hosts: set[str]) -> list[tuple[Device, int, int]]:
        """Where and when to look for the coverage of services; a service without a device, on all its hosts."""
        found: set[tuple[Device, int, int]] = set()
        for service in services:
            placed = self.tenures.get(service, [])
            found.update(placed)
            if not placed or service == UNATTRIBUTED_NAME:
                found.update((device, 0, FOREVER_US) for device in self.devices if device[0] in hosts)
        return sorted(found)

    def measure(self, where: Iterable[tuple[Device, int, int]], start_us: int, end_us: int) -> tuple[int, int, int]:
        """(read, known, expected) [µs] over [start, end); known is read, or bridged by a counter."""
        read = known = expected = 0.0
        for device, since, until in where:
            low, high = max(start_us, since), min(end_us, until)
            time = self.devices.get(device)
            if time is None or low >= high:
                continue
            expected += sum(max(min(b, high) - max(a, low), 0) for a, b in time.expected)
            for a, b, seen, told, _ in time.read:
                part = max(min(b, high) - max(a, low), 0) / max(b - a, 1)
                read += seen * part
                known += told * part
        return round(read), round(known), round(expected)


def coverage_ledger(watched: Watch, periods: Sequence[Span]) -> Iterable[tuple[int, Device, dict[str, float]]]:
    """Seconds of each device by period: expected, measured by a sensor, modelled, interpolated over a gap, missing."""
    for index, (start_us, end_us) in enumerate(periods):
        for device, time in sorted(watched.devices.items()):
            read, known, expected = watched.measure([(device, 0, FOREVER_US)], start_us, end_us)
            if not expected and not read:
                continue
            modelled = sum(
                told * max(min(b, end_us) - max(a, start_us), 0) / max(b - a, 1) for a, b, _, _, told in time.read
            )
            amounts = {
                "expected_s": expected, "measured_s": read - modelled, "modelled_s": modelled,
                "interpolated_s": known - read, "missing_s": max(expected - known, 0),
            }  # fmt: skip
            yield index, device, {name: amount / US_PER_S for name, amount in amounts.items()}


def watch(
    source: Source, start_us: int, end_us: int, summed: Sequence[tuple[int, int]], now_us: int
) -> Watch:
    """What was expected of every device, and read, around [start, end); ``summed`` are the periods of the sums."""
    devices: dict[Device, DeviceTime] = defaultdict(DeviceTime)
    for device, stretch in _seen(source, start_us - SEEN_US, end_us, cut_slots(summed, grain_us(source.config))):
        devices[device].read.append(stretch)
    tenures: dict[str, list[tuple[Device, int, int]]] = defaultdict(list)
    for name, host in source.hosts().items():
        for held in host.held:
            tenures[held.service].append(((name, held.device), held.since_us, held.until_us))
    _expect_placements_unread(source, tenures)
    for (host_name, _), time in devices.items():
        declared = source.config.declares_host(host_name)
        time.expected = _after_seen(time.read) if declared else _by_day(time.read)
    for service in tenures.values():
        for device, since, until in service:
            if source.config.declares_host(device[0]):
                devices[device].expected.append((since, until))
    for time in devices.values():
        time.expected = _union((max(a, start_us), min(b, end_us, now_us)) for a, b in time.expected)
    return Watch(dict(devices), dict(tenures))


def _expect_placements_unread(source: Source, tenures: dict[str, list[tuple[Device, int, int]]]) -> None:
    """A placement on a host of which nothing was ever read is expected all the same."""
    for placement in source.config.placements:
        if placement.host not in source.hosts():
            device = placement.host, placement.device
            tenures[placement.service].append((device, placement.since_us, placement.until_us))


def _seen(
    source: Source, start_us: int, end_us: int, cut: dict[int, list[int]]
) -> Iterable[tuple[Device, Stretch]]:
    grain = grain_us(source.config)
    rows = source.view.connection.exec_driver_sql(
        "SELECT host_id, device_id, slot, first_us, last_us, measured_us, bridged_us, modelled_us FROM footprint_seen "
        f"WHERE slot >= {(start_us - start_us % grain) // US_PER_S} AND slot < {-(-end_us // US_PER_S)}"
    ).all()
    texts = source.view.store.texts(source.view.connection, {x for row in rows for x in row[:2]})
    for row in rows:
        if int(row[2]) * US_PER_S not in cut:
            yield (texts[row[0]], texts[row[1]]), (row[3], row[4], row[5], row[5] + row[6], row[7])
    yield from _seen_anew(source, cut)


def _seen_anew(source: Source, cut: dict[int, list[int]]) -> Iterable[tuple[Device, Stretch]]:
    by_day: dict[int, list[int]] = defaultdict(list)
    for slot, edges in cut.items():
        by_day[slot // US_PER_DAY] += edges
    for day, edges in by_day.items():
        for name, host in source.hosts().items():
            if day not in host.days():
                continue
            done = source.cut_day(name, day, tuple(edges))
            grain = grain_us(source.config)
            for device, seen in done.result.coverage.items():
                for index, place in enumerate(seen.slot.tolist()):
                    begin = int(done.slots_us[place])
                    if begin - begin % grain in cut:
                        measured, bridged = int(seen.measured_us[index]), int(seen.bridged_us[index])
                        within = int(seen.first_us[index]), int(seen.last_us[index])
                        yield device, (*within, measured, measured + bridged, int(seen.modelled_us[index]))


def _after_seen(read: Sequence[Stretch]) -> list[Span]:
    return [(start, end + SEEN_US) for start, end, *_ in read]


def _by_day(read: Sequence[Stretch]) -> list[Span]:
    days: dict[int, Span] = {}
    for start, end, *_ in read:
        day = start // US_PER_DAY
        low, high = days.get(day, (start, end))
        days[day] = min(low, start), max(high, end)
    return list(days.values())


def _union(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
