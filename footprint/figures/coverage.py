"""This file says how much of the device-seconds that should have been read were read.

Expected are the devices placed on the declared hosts, and those seen on them in the seven days
before; of a host that nobody declared, what its own readings span on each UTC day.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from footprint.aggregation.host_day import grain_us
from footprint.aggregation.result_writer import data_version
from footprint.aggregation.rollups import DAY_USES, MONTH_USES
from footprint.attribution.shard import UNATTRIBUTED_NAME
from footprint.calendar.rollup_ranges import DAYS, SLOTS, local_day, midnight_s, month_bounds, split_range
from footprint.config import FOREVER_US
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.figures.energy_cells import CellSource, cut_slots, numbers_of
from footprint.storage.database import Store

SEEN_US = 7 * US_PER_DAY
MISSING_SHARE = 0.02  # share of a host's day from which on it is said to be in part missing, or in part estimated
UNEXPECTED = "unexpected"  # nobody placed a device there yet, or none any more
Device = tuple[str, str]  # host, device
Span = tuple[int, int]
Stretch = tuple[int, int, int, int, int]  # start, end, read, known (read, or bridged by a counter), modelled [µs]


@dataclass(slots=True)
class DeviceTime:
    """When one device should have been read, and what was: stretches that follow one another."""

    expected: list[Span] = field(default_factory=list)
    read: list[Stretch] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _sums: list[list[int]] = field(default_factory=list)  # of read, known, modelled, before each stretch

    def close(self) -> None:
        """Put the stretches in order and add them up; nothing is added afterwards."""
        self.read.sort()
        self._starts, self._ends = [each[0] for each in self.read], [each[1] for each in self.read]
        self._sums = [list(itertools.accumulate((each[part] for each in self.read), initial=0)) for part in (2, 3, 4)]

    def seen(self, low: int, high: int) -> list[float]:
        """(read, known, modelled) [µs] in [low, high): a stretch that an end cuts counts in part, by time."""
        first, last = bisect_left(self._starts, low), bisect_right(self._ends, high)
        # Up to ``first`` a stretch begins before, from ``last`` on it ends after; both are in part, or not at all.
        reads, knowns, modelled = self._sums
        found = [0.0, 0.0, 0.0]
        if first < last:
            found = [float(part[last] - part[first]) for part in (reads, knowns, modelled)]
        before, after = first - 1, last
        cuts = [before] if before >= 0 and self._ends[before] > low else []
        cuts += [after] if after < len(self.read) and self._starts[after] < high and after not in cuts else []
        for index in cuts:
            a, b, *amounts = self.read[index]
            share = max(min(b, high) - max(a, low), 0) / max(b - a, 1)
            found = [sum_ + amount * share for sum_, amount in zip(found, amounts, strict=True)]
        return found


@dataclass(slots=True)
class CoverageIndex:
    """Times of all devices, and the tenures of services on them."""

    devices: dict[Device, DeviceTime]
    tenures: dict[str, list[tuple[Device, int, int]]]  # service -> (device, since, until)
    _by_host: dict[str, list[tuple[Device, int, int]]] = field(default_factory=dict)

    def of_services(self, services: Iterable[str], hosts: set[str]) -> list[tuple[Device, int, int]]:
        """Where and when to look for the coverage of services; a service without a device, on all its hosts."""
        found: set[tuple[Device, int, int]] = set()
        for service in services:
            placed = self.tenures.get(service, [])
            found.update(placed)
            if not placed or service == UNATTRIBUTED_NAME:
                found.update((device, 0, FOREVER_US) for device in self.devices if device[0] in hosts)
        return sorted(found)

    def of_hosts(self, hosts: set[str] | None) -> list[tuple[Device, int, int]]:
        """All devices, or those of some hosts."""
        if not self._by_host:
            found: dict[str, list[tuple[Device, int, int]]] = {}
            for device in sorted(self.devices):
                found.setdefault(device[0], []).append((device, 0, 2**62))
            self._by_host = found
        chosen = self._by_host if hosts is None else sorted(hosts & self._by_host.keys())
        return [place for host in chosen for place in self._by_host[host]]

    def measure(self, where: Iterable[tuple[Device, int, int]], start_us: int, end_us: int) -> tuple[int, int, int]:
        """(read, known, expected) [µs] over [start, end); known is read, or bridged by a counter."""
        read = known = expected = 0.0
        for device, since, until in where:
            low, high = max(start_us, since), min(end_us, until)
            time = self.devices.get(device)
            if time is None or low >= high:
                continue
            expected += sum(max(min(b, high) - max(a, low), 0) for a, b in time.expected)
            seen, told, _ = time.seen(low, high)
            read += seen
            known += told
        return round(read), round(known), round(expected)

    def modelled(self, where: Iterable[tuple[Device, int, int]], start_us: int, end_us: int) -> int:
        """What was read of a model, not of a sensor [µs], over [start, end)."""
        spans = ((self.devices.get(device), max(start_us, since), min(end_us, until)) for device, since, until in where)
        return round(sum(time.seen(low, high)[2] for time, low, high in spans if time is not None and low < high))


def coverage_state(read: float, known: float, expected: float, modelled: float) -> str:
    """What the time of a host's devices in a day was: measured, in part estimated or missing, or not expected; any one unit."""
    if expected <= 0 and read <= 0:
        return UNEXPECTED
    if expected - known > MISSING_SHARE * expected:
        return "missing"
    return "estimated" if modelled + known - read > MISSING_SHARE * expected else "measured"


def coverage_ledger(watched: CoverageIndex, periods: Sequence[Span]) -> Iterable[tuple[int, Device, dict[str, float]]]:
    """Seconds of each device by period: expected, measured by a sensor, modelled, interpolated over a gap, missing."""
    for index, (start_us, end_us) in enumerate(periods):
        for device, time in sorted(watched.devices.items()):
            read, known, expected = watched.measure([(device, 0, FOREVER_US)], start_us, end_us)
            if not expected and not read:
                continue
            modelled = time.seen(start_us, end_us)[2]
            amounts = {
                "expected_s": expected,
                "measured_s": read - modelled,
                "modelled_s": modelled,
                "interpolated_s": known - read,
                "missing_s": max(expected - known, 0),
            }
            yield index, device, {name: amount / US_PER_S for name, amount in amounts.items()}


def build_coverage_index(
    source: CellSource,
    start_us: int,
    end_us: int,
    summed: Sequence[tuple[int, int]],
    now_us: int,
    *,
    by_slot: bool = False,
    of: tuple[set[str], set[str]] | None = None,
) -> CoverageIndex:
    """What was expected of every device, and read, around [start, end); ``summed`` are the periods of the sums.

    Stretches are as long as the periods allow, for sums over these; ``by_slot`` leaves them as short as they are stored.
    ``of`` are services and hosts: of the devices of others nothing is asked.
    """
    tenures: dict[str, list[tuple[Device, int, int]]] = defaultdict(list)
    for name, host in source.hosts().items():
        for held in host.tenures:
            tenures[held.service].append(((name, held.device), held.since_us, held.until_us))
    _expect_placements_unread(source, tenures)
    edges = {edge for period in summed for edge in period}
    edges |= {edge for held in tenures.values() for _, since, until in held for edge in (since, until)}
    hosts = None if of is None else of[1] | {held[0][0] for service in of[0] for held in tenures.get(service, ())}
    slots = cut_slots(summed, grain_us(source.config))
    zone = None if by_slot else source.summed_in()
    declared = frozenset(host.name for host in source.config.hosts)
    span = start_us, end_us, min(end_us, now_us)
    if slots:
        return _watched(source, span, slots, edges, zone, hosts, tenures, declared)
    # The questions of a page look at the same devices over the same time.
    key = (
        data_version(source.view.connection),
        span,
        frozenset(edges),
        zone,
        None if hosts is None else frozenset(hosts),
        tuple((service, *held) for service in sorted(tenures) for held in sorted(tenures[service])),
        declared,
        grain_us(source.config),
    )
    kept = _kept.setdefault(source.view.store, OrderedDict())
    found = kept.get(key)
    if found is None:
        found = kept[key] = _watched(source, span, slots, edges, zone, hosts, tenures, declared)
        while len(kept) > _MAX_KEPT:
            kept.popitem(last=False)
    return found


_kept: WeakKeyDictionary[Store, OrderedDict[object, CoverageIndex]] = WeakKeyDictionary()
_MAX_KEPT = 32


def _watched(
    source: CellSource,
    span: tuple[int, int, int],
    slots: dict[int, list[int]],
    edges: set[int],
    zone: ZoneInfo | None,
    hosts: set[str] | None,
    tenures: dict[str, list[tuple[Device, int, int]]],
    declared: frozenset[str],
) -> CoverageIndex:
    """What ``watch`` says, read from the store; ``span`` is (start, end, the end of what can be expected by now)."""
    devices: dict[Device, DeviceTime] = defaultdict(DeviceTime)
    start_us, end_us, until_us = span
    for device, stretch in _seen(source, (start_us - SEEN_US, end_us), slots, edges, zone, hosts):
        devices[device].read.append(stretch)
    for (host_name, _), time in devices.items():
        time.expected = _after_seen(time.read) if host_name in declared else _by_day(time.read)
    for service in tenures.values():
        for device, since, until in service:
            if device[0] in declared and (hosts is None or device[0] in hosts):
                devices[device].expected.append((since, until))
    for time in devices.values():
        time.close()
        time.expected = _union((max(a, start_us), min(b, until_us)) for a, b in time.expected)
    return CoverageIndex(dict(devices), dict(tenures))


def _expect_placements_unread(source: CellSource, tenures: dict[str, list[tuple[Device, int, int]]]) -> None:
    """A placement on a host of which nothing was ever read is expected all the same."""
    for placement in source.config.placements:
        if placement.host not in source.hosts():
            device = placement.host, placement.device
            tenures[placement.service].append((device, placement.since_us, placement.until_us))


def _seen(
    source: CellSource, span: Span, slots: dict[int, list[int]], edges: set[int], zone: ZoneInfo | None, hosts: set[str] | None
) -> Iterable[tuple[Device, Stretch]]:
    """What was read of each device, as coarsely as edges allow: no stretch has an edge within it but those of slots not cut."""
    grain, (start_us, end_us) = grain_us(source.config), span
    start_us -= start_us % grain
    inside = sorted({start_us, -(-end_us // grain) * grain, *(e - e % grain for e in edges), *(e + -e % grain for e in edges)})
    inside = [edge for edge in inside if start_us <= edge <= -(-end_us // grain) * grain]
    pieces: dict[int, list[Span]] = defaultdict(list)
    for low, high in itertools.pairwise(inside):
        for each in split_range(zone, low // US_PER_S, high // US_PER_S):
            pieces[each.kind].append((each.first, each.last))
    only = "" if hosts is None else f" AND host_id IN ({', '.join(map(str, sorted(source.numbers(hosts).values()))) or -1})"
    undeclared = _undeclared_hosts(source) if len(pieces) > 1 or SLOTS not in pieces else []
    rows = [row for kind, spans in pieces.items() for row in _read(source, kind, spans, only + _among(undeclared, among=False))]
    if undeclared:
        # Of a host that nobody declared what is expected goes by the UTC day, which no sum of other days tells.
        whole = [(low // US_PER_S, high // US_PER_S) for low, high in itertools.pairwise(inside)]
        rows += _read(source, SLOTS, whole, only + _among(undeclared, among=True))
    texts = source.view.store.texts(source.view.connection, {x for row in rows for x in row[:2]})
    for host, device, slot, first, last, measured, bridged, modelled in rows:
        if slot * US_PER_S not in slots:
            yield (texts[host], texts[device]), (first, last, measured, measured + bridged, modelled)
    yield from _seen_anew(source, slots, hosts)


def _among(numbers: Sequence[int], *, among: bool) -> str:
    listed = ", ".join(map(str, numbers))
    return f" AND host_id {'' if among else 'NOT '}IN ({listed})" if numbers else ""


def _undeclared_hosts(source: CellSource) -> list[int]:
    names = set(source.hosts()) - {host.name for host in source.config.hosts}
    return sorted(source.numbers(names).values())


def _read(source: CellSource, kind: int, spans: Sequence[Span], hosts: str) -> list[list[int]]:
    """Rows of (host, device, slot, first, last, measured, bridged, modelled): of slots, or of days where a month has holes."""
    values = ", ".join(f"({first}, {last})" for first, last in spans)
    told = "first_us, last_us, measured_us, bridged_us, modelled_us"
    if kind == SLOTS:
        of, at, slot = "footprint_seen", "slot", "slot"
    else:
        of, at, slot = "footprint_seen_sum", "start", "-1"

    def rows(condition: str) -> list[list[int]]:
        statement = (
            f"WITH span(first, last) AS (VALUES {values}) SELECT host_id, device_id, {slot}, {told} FROM span CROSS JOIN {of} "
            f"WHERE {condition}{at} >= span.first AND {at} < span.last{hosts}"
        )
        found: list[list[int]] = numbers_of(source, statement, 8).tolist()
        return found

    if kind == SLOTS:
        return rows("")
    if kind == DAYS:
        return rows(f"level = {DAY_USES} AND ")
    found = rows(f"level = {MONTH_USES} AND gap_us <= {SEEN_US} AND ")
    holed = numbers_of(
        source,
        f"WITH span(first, last) AS (VALUES {values}) SELECT host_id, device_id, start FROM span CROSS JOIN footprint_seen_sum "
        f"WHERE level = {MONTH_USES} AND gap_us > {SEEN_US} AND start >= span.first AND start < span.last{hosts}",
        3,
    ).tolist()
    zone = source.config.timezone
    for host, device, start in holed:
        following = midnight_s(zone, month_bounds(local_day(zone, start))[1])
        found += numbers_of(
            source,
            f"SELECT host_id, device_id, -1, {told} FROM footprint_seen_sum WHERE level = {DAY_USES} AND start >= {start} "
            f"AND start < {following} AND host_id = {host} AND device_id = {device}",
            8,
        ).tolist()
    return found


def _seen_anew(source: CellSource, cut: dict[int, list[int]], hosts: set[str] | None) -> Iterable[tuple[Device, Stretch]]:
    by_day: dict[int, list[int]] = defaultdict(list)
    for slot, edges in cut.items():
        by_day[slot // US_PER_DAY] += edges
    for day, edges in by_day.items():
        for name, host in source.hosts().items():
            if (hosts is not None and name not in hosts) or day not in host.days():
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
