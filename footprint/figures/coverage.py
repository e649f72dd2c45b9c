"""Coverage: share of the expected device-seconds that have readings.

Expected are devices placed on declared hosts, and devices read there within the seven days before. A device of an undeclared
host is expected from its first to its last reading in the ledger.
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
from footprint.figures.energy_cells import CellSource, query_integers, slots_cut_by
from footprint.storage.database import Store

EXPECTED_AFTER_US = 7 * US_PER_DAY
MISSING_SHARE = 0.02  # share of a host's day above which the day counts as partly missing or partly estimated
UNEXPECTED = "unexpected"  # no device is placed there at that time
Device = tuple[str, str]  # host, device
Span = tuple[int, int]
Stretch = tuple[int, int, int, int, int]  # start, end, read, known (read, or bridged by a counter), modelled [µs]


@dataclass(slots=True)
class DeviceTime:
    """Expected and read time of a device; stretches follow one another."""

    expected: list[Span] = field(default_factory=list)
    read: list[Stretch] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _sums: list[list[int]] = field(default_factory=list)  # of read, known, modelled, before each stretch

    def close(self) -> None:
        """Sort and accumulate the stretches; nothing is added afterwards."""
        self.read.sort()
        self._starts, self._ends = [stretch[0] for stretch in self.read], [stretch[1] for stretch in self.read]
        self._sums = [list(itertools.accumulate((stretch[column] for stretch in self.read), initial=0)) for column in (2, 3, 4)]

    def seen(self, low: int, high: int) -> list[float]:
        """(read, known, modelled) [µs] in [low, high); a stretch cut by an end counts in proportion to time."""
        first, last = bisect_left(self._starts, low), bisect_right(self._ends, high)
        # Stretches before ``first`` start too early, those from ``last`` on end too late: partly inside, or not at all.
        read, knowns, modelled = self._sums
        totals = [0.0, 0.0, 0.0]
        if first < last:
            totals = [float(part[last] - part[first]) for part in (read, knowns, modelled)]
        before, after = first - 1, last
        cuts = [before] if before >= 0 and self._ends[before] > low else []
        cuts += [after] if after < len(self.read) and self._starts[after] < high and after not in cuts else []
        for index in cuts:
            a, b, *amounts = self.read[index]
            share = max(min(b, high) - max(a, low), 0) / max(b - a, 1)
            totals = [total + amount * share for total, amount in zip(totals, amounts, strict=True)]
        return totals


@dataclass(slots=True)
class CoverageIndex:
    """Times of all devices, and the tenures of services on them."""

    devices: dict[Device, DeviceTime]
    tenures: dict[str, list[tuple[Device, int, int]]]  # service -> (device, since, until)
    _by_host: dict[str, list[tuple[Device, int, int]]] = field(default_factory=dict)

    def of_services(self, services: Iterable[str], hosts: set[str]) -> list[tuple[Device, int, int]]:
        """(device, since, until) that determine the coverage of services; without a device, all devices of their hosts."""
        spans: set[tuple[Device, int, int]] = set()
        for service in services:
            placed = self.tenures.get(service, [])
            spans.update(placed)
            if not placed or service == UNATTRIBUTED_NAME:
                spans.update((device, 0, FOREVER_US) for device in self.devices if device[0] in hosts)
        return sorted(spans)

    def of_hosts(self, hosts: set[str] | None) -> list[tuple[Device, int, int]]:
        """(device, since, until) of all devices, or those of some hosts."""
        if not self._by_host:
            by_host: dict[str, list[tuple[Device, int, int]]] = {}
            for device in sorted(self.devices):
                by_host.setdefault(device[0], []).append((device, 0, 2**62))
            self._by_host = by_host
        chosen = self._by_host if hosts is None else sorted(hosts & self._by_host.keys())
        return [span for host in chosen for span in self._by_host[host]]

    def measure(self, where: Iterable[tuple[Device, int, int]], start_us: int, end_us: int) -> tuple[int, int, int]:
        """(read, known, expected) [µs] over [start, end); known = read or bridged by a counter."""
        read = known = expected = 0.0
        for device, since, until in where:
            low, high = max(start_us, since), min(end_us, until)
            time = self.devices.get(device)
            if time is None or low >= high:
                continue
            expected += sum(max(min(b, high) - max(a, low), 0) for a, b in time.expected)
            device_read, device_known, _ = time.seen(low, high)
            read += device_read
            known += device_known
        return round(read), round(known), round(expected)

    def modelled(self, where: Iterable[tuple[Device, int, int]], start_us: int, end_us: int) -> int:
        """Time [µs] over [start, end) with modelled instead of sensor readings."""
        spans = ((self.devices.get(device), max(start_us, since), min(end_us, until)) for device, since, until in where)
        return round(sum(time.seen(low, high)[2] for time, low, high in spans if time is not None and low < high))


def coverage_state(read: float, known: float, expected: float, modelled: float) -> str:
    """State of a host's day from its device time (any unit): measured, estimated, missing (in part), or unexpected."""
    if expected <= 0 and read <= 0:
        return UNEXPECTED
    if expected - known > MISSING_SHARE * expected:
        return "missing"
    return "estimated" if modelled + known - read > MISSING_SHARE * expected else "measured"


def device_coverage_seconds(
    coverage_index: CoverageIndex, periods: Sequence[Span]
) -> Iterable[tuple[int, Device, dict[str, float]]]:
    """Seconds of each device by period.

    known = measured + estimated, estimated = modelled + interpolated over a gap, missing = expected - known.
    """
    for index, (start_us, end_us) in enumerate(periods):
        for device, time in sorted(coverage_index.devices.items()):
            read, known, expected = coverage_index.measure([(device, 0, FOREVER_US)], start_us, end_us)
            if not expected and not read:
                continue
            modelled = time.seen(start_us, end_us)[2]
            amounts = {
                "expected_s": expected,
                "measured_s": read - modelled,
                "estimated_s": modelled + known - read,
                "modelled_s": modelled,
                "interpolated_s": known - read,
                "known_s": known,
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
    services_and_hosts: tuple[set[str], set[str]] | None = None,
) -> CoverageIndex:
    """Expected and read time of every device around [start, end); ``summed`` are the periods to be queried.

    Stretches are as long as these periods allow; ``by_slot`` keeps the stored slots. ``services_and_hosts`` restricts the devices
    to those of some services and hosts.
    """
    tenures: dict[str, list[tuple[Device, int, int]]] = defaultdict(list)
    for name, host in source.hosts().items():
        for tenure in host.tenures:
            tenures[tenure.service].append(((name, tenure.device), tenure.since_us, tenure.until_us))
    _expect_placements_unread(source, tenures)
    edges = {edge for period in summed for edge in period}
    edges |= {edge for tenure in tenures.values() for _, since, until in tenure for edge in (since, until)}
    hosts = (
        None
        if services_and_hosts is None
        else services_and_hosts[1] | {tenure[0][0] for service in services_and_hosts[0] for tenure in tenures.get(service, ())}
    )
    grain = grain_us(source.config)
    slots = slots_cut_by(summed, grain)
    zone = None if by_slot else source.rollup_timezone()
    declared = frozenset(host.name for host in source.config.hosts)
    span = start_us, end_us, min(end_us, now_us), -(-now_us // grain) * grain
    if slots:
        return _read_coverage(source, span, slots, edges, zone, hosts, tenures, declared)
    # The queries of a page look at the same devices over the same time.
    key = (
        data_version(source.view.connection),
        span,
        frozenset(edges),
        zone,
        None if hosts is None else frozenset(hosts),
        tuple((service, *tenure) for service in sorted(tenures) for tenure in sorted(tenures[service])),
        declared,
        grain,
    )
    cached = _index_cache.setdefault(source.view.store, OrderedDict())
    index = cached.get(key)
    if index is None:
        index = cached[key] = _read_coverage(source, span, slots, edges, zone, hosts, tenures, declared)
        while len(cached) > _MAX_CACHED_INDICES:
            cached.popitem(last=False)
    return index


_index_cache: WeakKeyDictionary[Store, OrderedDict[object, CoverageIndex]] = WeakKeyDictionary()
_MAX_CACHED_INDICES = 32


def _read_coverage(
    source: CellSource,
    span: tuple[int, int, int, int],
    slots: dict[int, list[int]],
    edges: set[int],
    zone: ZoneInfo | None,
    hosts: set[str] | None,
    tenures: dict[str, list[tuple[Device, int, int]]],
    declared: frozenset[str],
) -> CoverageIndex:
    """Read a coverage index from the store.

    ``span`` is (start, end, end of what can be expected by now, end of the readings to consider) [µs]. An edition considers
    no reading after its period, so that a host that reads again later does not change it.
    """
    devices: dict[Device, DeviceTime] = defaultdict(DeviceTime)
    start_us, end_us, until_us, readings_until_us = span
    for device, stretch in _read_stretches(source, (start_us - EXPECTED_AFTER_US, end_us), slots, edges, zone, hosts):
        devices[device].read.append(stretch)
    for (host_name, _), time in devices.items():
        time.expected = (
            _expected_after_reading(time.read) if host_name in declared else [(low, high) for low, high, *_ in time.read]
        )
    for device, extent in _undeclared_extents(source, declared, readings_until_us, hosts):
        devices[device].expected.append(extent)
    for service in tenures.values():
        for device, since, until in service:
            if device[0] in declared and (hosts is None or device[0] in hosts):
                devices[device].expected.append((since, until))
    for time in devices.values():
        time.close()
        time.expected = _merge_spans((max(a, start_us), min(b, until_us)) for a, b in time.expected)
    return CoverageIndex(dict(devices), dict(tenures))


def _expect_placements_unread(source: CellSource, tenures: dict[str, list[tuple[Device, int, int]]]) -> None:
    """Expect placements on hosts without any reading too."""
    for placement in source.config.placements:
        if placement.host not in source.hosts():
            device = placement.host, placement.device
            tenures[placement.service].append((device, placement.since_us, placement.until_us))


def _read_stretches(
    source: CellSource, span: Span, slots: dict[int, list[int]], edges: set[int], zone: ZoneInfo | None, hosts: set[str] | None
) -> Iterable[tuple[Device, Stretch]]:
    """Read time of each device, in stretches as long as the edges allow; only cut slots contain an edge."""
    grain, (start_us, end_us) = grain_us(source.config), span
    start_us -= start_us % grain
    grid = sorted({start_us, -(-end_us // grain) * grain, *(e - e % grain for e in edges), *(e + -e % grain for e in edges)})
    grid = [edge for edge in grid if start_us <= edge <= -(-end_us // grain) * grain]
    pieces: dict[int, list[Span]] = defaultdict(list)
    for low, high in itertools.pairwise(grid):
        for stretch in split_range(zone, low // US_PER_S, high // US_PER_S):
            pieces[stretch.kind].append((stretch.first, stretch.last))
    only = "" if hosts is None else f" AND host_id IN ({', '.join(map(str, sorted(source.numbers(hosts).values()))) or -1})"
    rows = [row for kind, spans in pieces.items() for row in _read_rows(source, kind, spans, only)]
    names = source.view.store.texts(source.view.connection, {name_id for row in rows for name_id in row[:2]})
    for host, device, slot, first, last, measured, bridged, modelled in rows:
        if slot * US_PER_S not in slots:
            yield (names[host], names[device]), (first, last, measured, measured + bridged, modelled)
    yield from _recompute_cut_slots(source, slots, hosts)


def _undeclared_extents(
    source: CellSource, declared: frozenset[str], until_us: int, hosts: set[str] | None
) -> Iterable[tuple[Device, Span]]:
    """First and last instant [µs] read on each device of undeclared hosts, in months or slots that start before ``until_us``."""
    names = (set(source.hosts()) if hosts is None else hosts & source.hosts().keys()) - declared
    numbers = ", ".join(map(str, sorted(source.numbers(names).values())))
    if not numbers:
        return
    monthly = source.rollup_timezone() is not None
    table_name = f"footprint_seen_sum WHERE level = {MONTH_USES} AND start" if monthly else "footprint_seen WHERE slot"
    rows = query_integers(
        source,
        f"SELECT host_id, device_id, MIN(first_us), MAX(last_us) FROM {table_name} < {until_us // US_PER_S} "
        f"AND host_id IN ({numbers}) GROUP BY host_id, device_id",
        4,
    ).tolist()
    texts = source.view.store.texts(source.view.connection, {name_id for row in rows for name_id in row[:2]})
    for host, device, first_us, last_us in rows:
        yield (texts[host], texts[device]), (first_us, last_us)


def _read_rows(source: CellSource, kind: int, spans: Sequence[Span], hosts: str) -> list[list[int]]:
    """Rows of (host, device, slot, first, last, measured, bridged, modelled); days instead of months with gaps."""
    values = ", ".join(f"({first}, {last})" for first, last in spans)
    columns = "first_us, last_us, measured_us, bridged_us, modelled_us"
    if kind == SLOTS:
        table_name, at, slot = "footprint_seen", "slot", "slot"
    else:
        table_name, at, slot = "footprint_seen_sum", "start", "-1"

    def rows(condition: str) -> list[list[int]]:
        statement = (
            f"WITH span(first, last) AS (VALUES {values}) SELECT host_id, device_id, {slot}, {columns} "
            f"FROM span CROSS JOIN {table_name} "
            f"WHERE {condition}{at} >= span.first AND {at} < span.last{hosts}"
        )
        found_rows: list[list[int]] = query_integers(source, statement, 8).tolist()
        return found_rows

    if kind == SLOTS:
        return rows("")
    if kind == DAYS:
        return rows(f"level = {DAY_USES} AND ")
    found_rows = rows(f"level = {MONTH_USES} AND gap_us <= {EXPECTED_AFTER_US} AND ")
    months_with_gaps = query_integers(
        source,
        f"WITH span(first, last) AS (VALUES {values}) SELECT host_id, device_id, start FROM span CROSS JOIN footprint_seen_sum "
        f"WHERE level = {MONTH_USES} AND gap_us > {EXPECTED_AFTER_US} AND start >= span.first AND start < span.last{hosts}",
        3,
    ).tolist()
    zone = source.config.timezone
    for host, device, start in months_with_gaps:
        following = midnight_s(zone, month_bounds(local_day(zone, start))[1])
        found_rows += query_integers(
            source,
            f"SELECT host_id, device_id, -1, {columns} FROM footprint_seen_sum WHERE level = {DAY_USES} AND start >= {start} "
            f"AND start < {following} AND host_id = {host} AND device_id = {device}",
            8,
        ).tolist()
    return found_rows


def _recompute_cut_slots(
    source: CellSource, cut: dict[int, list[int]], hosts: set[str] | None
) -> Iterable[tuple[Device, Stretch]]:
    by_day: dict[int, list[int]] = defaultdict(list)
    for slot, edges in cut.items():
        by_day[slot // US_PER_DAY] += edges
    for day, edges in by_day.items():
        for name, host in source.hosts().items():
            if (hosts is not None and name not in hosts) or day not in host.days():
                continue
            host_day = source.cut_day(name, day, tuple(edges))
            grain = grain_us(source.config)
            for device, device_coverage in host_day.result.coverage.items():
                for index, slot_index in enumerate(device_coverage.slot.tolist()):
                    begin = int(host_day.slots_us[slot_index])
                    if begin - begin % grain in cut:
                        measured, bridged = int(device_coverage.measured_us[index]), int(device_coverage.bridged_us[index])
                        within = int(device_coverage.first_us[index]), int(device_coverage.last_us[index])
                        yield device, (*within, measured, measured + bridged, int(device_coverage.modelled_us[index]))


def _expected_after_reading(read: Sequence[Stretch]) -> list[Span]:
    return [(start, end + EXPECTED_AFTER_US) for start, end, *_ in read]


def _merge_spans(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
