"""Coverage: share of the expected device-seconds that have readings.

Expected are devices placed on declared hosts, and devices read there within the seven days before. A device of an undeclared
host is expected from its first to its last reading in the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.row_columns import UNATTRIBUTED_NAME
from footprint.config import FOREVER_US
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.figures.dataset import integers
from footprint.figures.energy_cells import CellSource
from footprint.figures.version_cache import cached_value

EXPECTED_AFTER_US = 7 * US_PER_DAY
MISSING_SHARE = 0.02  # share of a host's day above which the day counts as partly missing or partly estimated
UNEXPECTED = "unexpected"  # no device is placed there at that time
Device = tuple[str, str]  # host, device
Span = tuple[int, int]
Tenure = tuple[Device, int, int]  # device, since, until [µs]
# Start, end, read, known (read, or bridged by a counter), modelled; missing as the source stood still, or was implausible [µs].
Stretch = tuple[int, int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """Expected and read time of a device, in order of time."""

    expected: list[Span] = field(default_factory=list)
    read: list[Stretch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Spans:
    """Spans of numbered devices as arrays of shape (n,) [µs], with amounts of shape (n, k)."""

    device: Ints
    start_us: Ints
    end_us: Ints
    amounts: Ints

    def columns(self) -> list[Ints]:
        """Device, start, end and each amount."""
        return [self.device, self.start_us, self.end_us, *self.amounts.T]

    def sorted(self) -> _Spans:
        """The spans by device and time."""
        order = np.lexsort([self.end_us, self.start_us, self.device])
        return _Spans(self.device[order], self.start_us[order], self.end_us[order], self.amounts[order])


class _Timeline:
    """Cumulative amounts over the spans of numbered devices; the spans of a device do not overlap."""

    def __init__(self, device: Ints, start_us: Ints, end_us: Ints, amounts: Ints) -> None:
        """Spans as arrays of shape (n,), sorted by device and time; their amounts [µs] of shape (n, k)."""
        self._device, self._start, self._end, self._amounts = device, start_us, end_us, amounts
        none = np.zeros((1, amounts.shape[1]), dtype=np.int64)
        self._before = np.concatenate([none, np.cumsum(self._amounts, axis=0)])
        self._origin = int(start_us.min()) if len(start_us) else 0
        self._width = int(end_us.max()) - self._origin + 2 if len(end_us) else 1
        self._key = self._device * self._width + (self._end - self._origin)

    def between(self, device: Ints, low_us: Ints, high_us: Ints) -> Floats:
        """Amounts in [low, high) of devices, shape (m, k); a span that an end cuts counts in proportion to time."""
        high_us = np.maximum(high_us, low_us)
        low_whole, low_part = self._until(device, low_us)
        high_whole, high_part = self._until(device, high_us)
        difference: Floats = (high_whole - low_whole).astype(np.float64) + (high_part - low_part)
        return difference

    def _until(self, device: Ints, instant_us: Ints) -> tuple[Ints, Floats]:
        """Amounts of the spans that end by an instant, of this and earlier devices, and the part of the span that contains it."""
        instant = np.clip(instant_us, self._origin, self._origin + self._width - 1)
        position = np.searchsorted(self._key, device * self._width + (instant - self._origin), side="right")
        whole: Ints = self._before[position]
        if not len(self._key):
            return whole, np.zeros(whole.shape, dtype=np.float64)
        inside = np.minimum(position, len(self._key) - 1)
        start, end = self._start[inside], self._end[inside]
        cut = (position < len(self._key)) & (self._device[inside] == device) & (start < instant)
        share = np.where(cut, (instant - start) / np.maximum(end - start, 1), 0.0)
        return whole, np.asarray(self._amounts[inside] * share[:, None], dtype=np.float64)


@dataclass(slots=True)
class CoverageIndex:
    """Times of all devices, and the tenures of services on them.

    ``names`` are the devices in order; ``read`` and ``expected`` are columns of arrays of spans, sorted by device and time.
    """

    names: list[Device]
    read: _Spans
    expected: _Spans
    tenures: dict[str, list[Tenure]]  # service -> (device, since, until)
    _by_host: dict[str, list[Tenure]] = field(default_factory=dict)
    _numbers: dict[Device, int] = field(default_factory=dict)
    _lines: tuple[_Timeline, _Timeline] | None = None
    _devices: dict[Device, DeviceTime] = field(default_factory=dict)

    @property
    def devices(self) -> dict[Device, DeviceTime]:
        """Times by device, span by span."""
        if not self._devices:
            self._devices = {device: DeviceTime() for device in self.names}
            times = list(self._devices.values())
            for number, *span in zip(*(column.tolist() for column in self.expected.columns()), strict=True):
                times[number].expected.append((span[0], span[1]))
            for number, *span in zip(*(column.tolist() for column in self.read.columns()), strict=True):
                times[number].read.append(tuple(span))  # type: ignore[arg-type]
        return self._devices

    def of_services(self, services: Iterable[str], hosts: set[str]) -> list[Tenure]:
        """(device, since, until) that determine the coverage of services; without a device, all devices of their hosts."""
        spans: set[Tenure] = set()
        for service in services:
            placed = self.tenures.get(service, [])
            spans.update(placed)
            if not placed or service == UNATTRIBUTED_NAME:
                spans.update((device, 0, FOREVER_US) for device in self.names if device[0] in hosts)
        return sorted(spans)

    def of_hosts(self, hosts: set[str] | None) -> list[Tenure]:
        """(device, since, until) of all devices, or those of some hosts."""
        if not self._by_host:
            by_host: dict[str, list[Tenure]] = {}
            for device in self.names:
                by_host.setdefault(device[0], []).append((device, 0, FOREVER_US))
            self._by_host = by_host
        chosen = self._by_host if hosts is None else sorted(hosts & self._by_host.keys())
        return [span for host in chosen for span in self._by_host[host]]

    def measure_periods(self, where: Sequence[Tenure], periods: Sequence[Span]) -> Ints:
        """(read, known, expected, modelled) [µs] of each period [start, end), shape (periods, 4).

        known = read or bridged by a counter; modelled is the part of read without a sensor.
        """
        return self._measure(where, periods)[:, [0, 1, 5, 2]]

    def measure_refused(self, where: Sequence[Tenure], periods: Sequence[Span]) -> Ints:
        """Time [µs] of each period, missing, in which the only source stood still, or was implausible; shape (periods, 2)."""
        return self._measure(where, periods)[:, [3, 4]]

    def _measure(self, where: Sequence[Tenure], periods: Sequence[Span]) -> Ints:
        """Amounts of the stretches, then expected time [µs], of each period, shape (periods, 6)."""
        totals = np.zeros((len(periods), 6))
        if self._lines is None:
            self._lines = self._timelines()
        seen, expected = self._lines
        known = [(self._numbers[device], since, until) for device, since, until in where if device in self._numbers]
        tenures = np.array(known, dtype=np.int64).reshape(-1, 3)
        starts, ends = (np.array(column, dtype=np.int64) for column in zip(*periods, strict=True)) if periods else ((), ())
        step = max(_MAX_PAIRS // max(len(tenures), 1), 1)
        for first in range(0, len(periods) if len(tenures) else 0, step):
            chosen = slice(first, first + step)
            count = len(starts[chosen])
            device = np.tile(tenures[:, 0], count)
            low = np.maximum(np.repeat(starts[chosen], len(tenures)), np.tile(tenures[:, 1], count))
            high = np.minimum(np.repeat(ends[chosen], len(tenures)), np.tile(tenures[:, 2], count))
            amounts = np.concatenate([seen.between(device, low, high), expected.between(device, low, high)], axis=1)
            totals[chosen] = amounts.reshape(count, len(tenures), 6).sum(axis=1)
        return np.rint(totals).astype(np.int64)

    def measure(self, where: Sequence[Tenure], start_us: int, end_us: int) -> tuple[int, int, int]:
        """(read, known, expected) [µs] over [start, end); known = read or bridged by a counter."""
        read, known, expected, _ = self.measure_periods(where, [(start_us, end_us)])[0].tolist()
        return read, known, expected

    def modelled(self, where: Sequence[Tenure], start_us: int, end_us: int) -> int:
        """Time [µs] over [start, end) with modelled instead of sensor readings."""
        return int(self.measure_periods(where, [(start_us, end_us)])[0, 3])

    def _timelines(self) -> tuple[_Timeline, _Timeline]:
        """Time by stretch: read, known, modelled, refused; expected time."""
        self._numbers = {device: number for number, device in enumerate(self.names)}
        length = (self.expected.end_us - self.expected.start_us)[:, None]
        return (
            _Timeline(self.read.device, self.read.start_us, self.read.end_us, self.read.amounts),
            _Timeline(self.expected.device, self.expected.start_us, self.expected.end_us, length),
        )


_MAX_PAIRS = 500_000  # of a tenure and a period, in memory at once


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

    known = measured + estimated, estimated = modelled + interpolated over a gap, missing = expected - known. Of the missing time,
    ``standing_s`` and ``implausible_s`` had a source that stood still, or claimed more than the device can draw.
    """
    devices = coverage_index.names
    times = [coverage_index.measure_periods([(device, 0, FOREVER_US)], periods).tolist() for device in devices]
    refused = [coverage_index.measure_refused([(device, 0, FOREVER_US)], periods).tolist() for device in devices]
    for index in range(len(periods)):
        for device, by_period, refused_by_period in zip(devices, times, refused, strict=True):
            read, known, expected, modelled = by_period[index]
            if not expected and not read:
                continue
            amounts = {
                "expected_s": expected,
                "measured_s": read - modelled,
                "estimated_s": modelled + known - read,
                "modelled_s": modelled,
                "interpolated_s": known - read,
                "known_s": known,
                "missing_s": max(expected - known, 0),
                "standing_s": refused_by_period[index][0],
                "implausible_s": refused_by_period[index][1],
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
    tenures: dict[str, list[Tenure]] = defaultdict(list)
    for name, placed in source.hosts().items():
        for tenure in placed:
            tenures[tenure.service].append(((name, tenure.device), tenure.since_us, tenure.until_us))
    _expect_placements_unread(source, tenures)
    edges = {edge for period in summed for edge in period}
    edges |= {edge for tenure in tenures.values() for _, since, until in tenure for edge in (since, until)}
    hosts = (
        None
        if services_and_hosts is None
        else services_and_hosts[1] | {tenure[0][0] for service in services_and_hosts[0] for tenure in tenures.get(service, ())}
    )
    request = _CoverageRequest(
        start_us,
        end_us,
        min(end_us, now_us),
        -(-now_us // source.slot_us) * source.slot_us,
        frozenset(edges),
        by_slot,
        None if hosts is None else frozenset(hosts),
        tuple((service, *tenure) for service in sorted(tenures) for tenure in sorted(tenures[service])),
        frozenset(host.name for host in source.config.hosts),
    )
    # The queries of a page look at the same devices over the same time.
    key = "coverage", source.config.timezone, request
    return cached_value(source.view.store, source.view.connection, key, lambda: _read_coverage(source, request, tenures))


@dataclass(frozen=True, slots=True)
class _CoverageRequest:
    """What a coverage index is built for.

    ``expected_until_us`` ends what can be expected by now. ``readings_until_us`` ends the readings to consider: an edition
    considers no reading after its period, so that a host that reads again later does not change it.
    """

    start_us: int
    end_us: int
    expected_until_us: int
    readings_until_us: int
    edges: frozenset[int]
    by_slot: bool
    hosts: frozenset[str] | None
    tenures: tuple[tuple[str, Device, int, int], ...]
    declared: frozenset[str]


def _read_coverage(source: CellSource, request: _CoverageRequest, tenures: Mapping[str, list[Tenure]]) -> CoverageIndex:
    read_devices, read = _read_stretches(source, request)
    extents = list(_undeclared_extents(source, request))
    placed = [
        tenure
        for service in tenures.values()
        for tenure in service
        if tenure[0][0] in request.declared and (request.hosts is None or tenure[0][0] in request.hosts)
    ]
    others = [(device, low, high) for device, (low, high) in extents] + placed
    names = sorted({*read_devices, *(device for device, _, _ in others)})
    number = {device: index for index, device in enumerate(names)}
    renumbered = np.array([number[device] for device in read_devices], dtype=np.int64)[read.device]
    stretches = _Spans(renumbered, read.start_us, read.end_us, read.amounts).sorted()
    after = np.array([EXPECTED_AFTER_US if host in request.declared else 0 for host, _ in names], dtype=np.int64)
    further = np.array([(number[device], low, high) for device, low, high in others], dtype=np.int64).reshape(-1, 3)
    device = np.concatenate([stretches.device, further[:, 0]])
    start_us = np.maximum(np.concatenate([stretches.start_us, further[:, 1]]), request.start_us)
    end_us = np.concatenate([stretches.end_us + after[stretches.device], further[:, 2]])
    expected = _merge_spans(device, start_us, np.minimum(end_us, request.expected_until_us))
    return CoverageIndex(names, stretches, expected, dict(tenures))


def _expect_placements_unread(source: CellSource, tenures: dict[str, list[Tenure]]) -> None:
    """Expect placements on hosts without any reading too."""
    for placement in source.config.placements:
        if placement.host not in source.hosts():
            device = placement.host, placement.device
            tenures[placement.service].append((device, placement.since_us, placement.until_us))


def _read_stretches(source: CellSource, request: _CoverageRequest) -> tuple[list[Device], _Spans]:
    """Devices, and the read, known and modelled time of each, in stretches as long as the edges allow."""
    slot_us = source.slot_us
    first = request.start_us - EXPECTED_AFTER_US
    first, last = first - first % slot_us, request.end_us + -request.end_us % slot_us
    grid = {first, last}
    for edge in request.edges:
        grid |= {edge - edge % slot_us, edge + -edge % slot_us}
    inside = sorted(edge for edge in grid if first <= edge <= last)
    ranges = [(0, low // US_PER_S, high // US_PER_S) for low, high in pairwise(inside)]
    columns = source.dataset.stretches(ranges, _hosts_condition(source, request.hosts), slots_only=request.by_slot)
    (hosts, host_texts), (devices, device_texts) = (source.texts(columns[name]) for name in ("host", "device"))
    pairs, device = np.unique(hosts * max(len(device_texts), 1) + devices, return_inverse=True)
    names = [(host_texts[pair // len(device_texts)], device_texts[pair % len(device_texts)]) for pair in pairs.tolist()]
    known = columns["measured_us"] + columns["bridged_us"]
    amounts = np.stack([columns[name] for name in ("measured_us", "modelled_us", "standing_us", "implausible_us")], axis=1)
    amounts = np.insert(amounts, 1, known, axis=1)
    return names, _Spans(device.astype(np.int64), columns["first_us"], columns["last_us"], amounts)


def _hosts_condition(source: CellSource, hosts: Iterable[str] | None) -> list[int] | None:
    return None if hosts is None else sorted(source.numbers(set(hosts)).values())


def _undeclared_extents(source: CellSource, request: _CoverageRequest) -> Iterable[tuple[Device, Span]]:
    """First and last instant [µs] read on each device of undeclared hosts, in slots that start before ``readings_until_us``."""
    names = (set(source.hosts()) if request.hosts is None else request.hosts & source.hosts().keys()) - request.declared
    numbers, extent = sorted(source.numbers(names).values()), source.dataset.extent_s()
    if not numbers or extent is None:
        return
    until_s = min(extent[1], request.readings_until_us // US_PER_S)
    rows = source.dataset.sums(
        "coverage",
        [(0, extent[0], until_s)] if extent[0] < until_s else [],
        ["host", "device"],
        {"first_us": "MIN(first_us)", "last_us": "MAX(last_us)"},
        f"host IN ({', '.join(map(str, numbers))})",
    )
    named = [source.texts(integers(rows[key])) for key in ("key0", "key1")]
    texts = [[column_texts[code] for code in codes.tolist()] for codes, column_texts in named]
    for host, device, first_us, last_us in zip(
        *texts, integers(rows["first_us"]).tolist(), integers(rows["last_us"]).tolist(), strict=True
    ):
        yield (host, device), (first_us, last_us)


def _merge_spans(device: Ints, start_us: Ints, end_us: Ints) -> _Spans:
    """The union of the spans of each device; empty spans are left out."""
    present = start_us < end_us
    spans = _Spans(
        device[present], start_us[present], end_us[present], np.zeros((int(present.sum()), 0), dtype=np.int64)
    ).sorted()
    if not len(spans.device):
        return spans
    origin = int(spans.start_us.min())
    offset = spans.device * (int(spans.end_us.max()) - origin + 1) - origin  # a device's instants are all after those before it
    reached = np.maximum.accumulate(spans.end_us + offset)
    first = np.flatnonzero(np.concatenate([[True], (spans.start_us + offset)[1:] > reached[:-1]]))
    last = np.append(first[1:], len(reached)) - 1
    device = spans.device[first]
    return _Spans(device, spans.start_us[first], reached[last] - offset[last], spans.amounts[first])
