"""Attribution of a shard: the hosts and services of one placement group over one stretch of time.

From readings, placements and requests it computes rows by slot, host, device, service, use case and model with four additive
parts in integer microjoules, and coverage by device. It checks that the rows sum to the readings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.coverage import Coverage, device_coverage
from footprint.attribution.embodied import split_embodied
from footprint.attribution.energy_intervals import BRIDGED, CONFIRMED, DISPUTED, ESTIMATE, MODELLED, EnergyIntervals, cut_at_edges
from footprint.attribution.host_energy import (
    HostEnergyWeights,
    facility_energy,
    split_host_energy,
    uncovered_energy,
    weights_by_accelerator_energy,
    weights_by_cpu_time,
)
from footprint.attribution.largest_remainder import sum_by_group
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog
from footprint.attribution.row_columns import AMOUNTS, HOST_DEVICE, IDLE_NAME, KEY_COLUMNS, UNATTRIBUTED_KEY, UNATTRIBUTED_NAME
from footprint.attribution.split import split_placement
from footprint.attribution.token_weights import EnergyWeights
from footprint.core.records import FootprintError
from footprint.core.units import US_PER_S

COLUMNS = ("window", "device", "key", *AMOUNTS)
_SHARED_COLUMNS = ("grade_b_uj", "grade_c_uj", "confirmed_uj", "disputed_uj")  # proportions of a device and window


class ClosureError(FootprintError):
    """Rows that do not sum to the readings: a defect of this program; such rows are never stored."""


@dataclass(frozen=True, slots=True)
class PlacedService:
    """A service on a device over [since, until) [µs]: its index in the shard, its share, and its learnt idle power [µW]."""

    service: int
    share: float
    since_us: int
    until_us: int
    idle_uw: int | None


@dataclass(frozen=True, slots=True)
class DeviceInput:
    """One device of one host: its energy intervals, and the services placed on it."""

    host: str
    device: str
    component: str
    intervals: EnergyIntervals
    placements: tuple[PlacedService, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceInput:
    """One service: its requests, the (use case, model) of each key, and how energy is divided over them."""

    name: str
    keys: tuple[tuple[str, str], ...]
    log: RequestLog
    weights: EnergyWeights
    scenarios: tuple[EnergyWeights, ...]  # two; ignored where ``half_widths`` gives the uncertainty
    half_widths: Floats | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Declared or assumed facts of a host over one segment of time."""

    uplift: float
    uplift_assumed: bool
    pue: float
    pue_assumed: bool
    embodied_ug_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU time of a host as intervals whose "energy" is CPU time [µs]: by service index, of all processes, and the capacity."""

    services: dict[int, EnergyIntervals]
    busy: EnergyIntervals
    capacity: EnergyIntervals


@dataclass(frozen=True, slots=True)
class ShardInput:
    """Input of one shard; instants in µs since 1970.

    ``slots_us`` are the edges of the rows wanted, ``segments_us`` the instants at which facts change (segment i begins at
    ``segments_us[i]``), ``facts`` returns those of a host in a segment.
    """

    slots_us: Ints
    segments_us: Ints
    window_us: int
    devices: Sequence[DeviceInput]
    services: Sequence[ServiceInput]
    facts: Callable[[str, int], HostFacts]
    cpu_time: dict[str, CpuTime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardRows:
    """Rows by ``KEY_COLUMNS`` with ``AMOUNTS`` [µJ, µgCO2e], and the coverage of each (host, device)."""

    rows: pd.DataFrame
    coverage: dict[tuple[str, str], Coverage]


def window_edges(shard: ShardInput) -> Ints:
    """Edges of the windows of attribution [µs]: the grid, the slots, the facts, and the ends of whole-server readings."""
    start, end = int(shard.slots_us[0]), int(shard.slots_us[-1])
    step = shard.window_us
    grid = np.arange((start // step + 1) * step, end, step, dtype=np.int64)
    inside = shard.segments_us[(shard.segments_us > start) & (shard.segments_us < end)]
    wall_edges = [_run_boundaries(device.intervals) for device in shard.devices if device.component == "host"]
    inner_wall_edges = [edges[(edges > start) & (edges < end)] for edges in wall_edges]
    return np.unique(np.concatenate([shard.slots_us, grid, inside, *inner_wall_edges]))


def _run_boundaries(intervals: EnergyIntervals) -> Ints:
    """Instants at which intervals begin after a gap or end before one."""
    continues = np.isin(intervals.start_us, intervals.end_us)
    is_continued = np.isin(intervals.end_us, intervals.start_us)
    return np.concatenate([intervals.start_us[~continues], intervals.end_us[~is_continued]])


def attribute(shard: ShardInput) -> ShardRows:
    """Rows of a shard, closed to the microjoule.

    Parameters
    ----------
    shard
        Devices with their energy intervals, services with their requests. Each service has two ``scenarios``, or ``half_widths``.

    Raises
    ------
    ValueError
        If a service has neither two ``scenarios`` nor ``half_widths``, so that its rows would have no range.
    ClosureError
        If the rows of a device do not sum to its readings, which is a defect of this program.
    """
    for service in shard.services:
        if service.half_widths is None and len(service.scenarios) != 2:
            raise ValueError(f"{service.name}: {len(service.scenarios)} scenarios; two are needed, or half_widths")
    builder = _ShardBuilder(shard)
    for device in shard.devices:
        if device.component != "host":
            builder.add_device(device)
    for host in sorted({device.host for device in shard.devices}):
        builder.add_host_energy(host)
    coverage = {(d.host, d.device): device_coverage(d.intervals, shard.slots_us) for d in shard.devices}
    return ShardRows(builder.to_frame(), coverage)


class _ShardBuilder:
    """Builder of the rows of one shard: parallel columns by window, host, device and key."""

    def __init__(self, shard: ShardInput) -> None:
        self.shard = shard
        self.edges = window_edges(shard)
        self.windows = len(self.edges) - 1
        self.flights = [ConcurrencyTimeline(service.log, self.edges) for service in shard.services]
        self.names: list[tuple[str, str, str]] = [UNATTRIBUTED_KEY]
        self.first_key: list[int] = []
        services: list[int] = [-1]
        for index, service in enumerate(shard.services):
            self.first_key.append(len(self.names))
            self.names.append((service.name, UNATTRIBUTED_NAME, UNATTRIBUTED_NAME))
            self.names.append((service.name, IDLE_NAME, IDLE_NAME))
            self.names += [(service.name, use_case, model) for use_case, model in service.keys]
            services += [index] * (2 + len(service.keys))
        self.service_of_key = np.array(services, dtype=np.int64)
        self.devices = [(d.host, d.device) for d in shard.devices] + [
            (host, HOST_DEVICE) for host in sorted({d.host for d in shard.devices})
        ]
        self.device_index = {name: index for index, name in enumerate(self.devices)}
        self.row_parts: list[dict[str, Ints]] = []
        self.read_uj: dict[tuple[str, str], int] = {}
        self.accelerators: set[int] = set()
        self.observed: dict[str, tuple[Ints, Ints]] = {
            host: (np.full(self.windows, np.iinfo(np.int64).max), np.zeros(self.windows, dtype=np.int64))
            for host, _ in self.devices
        }
        self.unplaced: dict[tuple[str, str], Ints] = {}
        self.grades = np.zeros((len(_SHARED_COLUMNS), len(self.devices), self.windows))
        self.doubts = np.zeros((2, len(self.devices), self.windows), dtype=np.int64)
        self.segment = np.searchsorted(shard.segments_us, self.edges[:-1], side="right") - 1

    def add(self, name: tuple[str, str], window: Ints, key: Ints, **columns: Ints) -> None:
        """Add rows of one device."""
        zero = np.zeros(len(window), dtype=np.int64)
        amounts = {column: columns.get(column, zero) for column in AMOUNTS}
        device = np.full(len(window), self.device_index[name], dtype=np.int64)
        self.row_parts.append({"window": window, "device": device, "key": key, **amounts})

    def add_device(self, device: DeviceInput) -> None:
        """Divide the energy of one device over the services placed on it; the rest is unattributed, or the host's."""
        name = (device.host, device.device)
        pieces, window, _ = cut_at_edges(device.intervals, self.edges)
        total = sum_by_group(pieces.energy_uj, window, self.windows)
        self.read_uj[name] = int(pieces.energy_uj.sum())
        np.minimum.at(self.observed[device.host][0], window, pieces.start_us)
        np.maximum.at(self.observed[device.host][1], window, pieces.end_us)
        self.grades[:, self.device_index[name]] = _grade_shares(pieces, window, total)
        self.doubts[:, self.device_index[name]] = _doubt_by_window(pieces, window, self.windows)
        accelerator = np.full(self.windows, device.component == "gpu")
        for placement in device.placements:
            placed_windows = (self.edges[:-1] >= placement.since_us) & (self.edges[1:] <= placement.until_us)
            accelerator |= placed_windows
            service = self.shard.services[placement.service]
            rows = split_placement(
                device.intervals,
                placement.idle_uw,
                self.flights[placement.service],
                service.weights,
                self.shard.window_us,
                service.scenarios,
                service.half_widths,
                placed_windows,
                placement.share,
            )
            self.add(
                name,
                rows.window,
                rows.key + 2 + self.first_key[placement.service],
                active_uj=rows.active_uj,
                idle_uj=rows.idle_uj,
                modelled_uj=rows.modelled_uj,
                spread_a_uj=rows.spread_uj[:, 0],
                spread_b_uj=rows.spread_uj[:, 1],
            )
            total = total - sum_by_group(rows.active_uj + rows.idle_uj, rows.window, self.windows)
        if accelerator.any():
            self.accelerators.add(self.device_index[name])
        unplaced_windows = np.flatnonzero((total != 0) & accelerator)
        self.add(name, unplaced_windows, np.zeros(len(unplaced_windows), dtype=np.int64), active_uj=total[unplaced_windows])
        self._add_bearers(name, sum_by_group(pieces.energy_uj, window, self.windows))
        self.unplaced[name] = np.where(accelerator, 0, total)

    def _add_bearers(self, name: tuple[str, str], energy_uj: Ints) -> None:
        """Add rows of no energy for the doubt of windows in which a device holds none: absence is not zero."""
        doubted = self.doubts[:, self.device_index[name]].any(axis=0)
        windows = np.flatnonzero(doubted & (energy_uj == 0))
        self.add(name, windows, np.zeros(len(windows), dtype=np.int64))

    def add_host_energy(self, host: str) -> None:
        """Divide the remaining energy of a host: unplaced CPU and memory, and the part that no sensor sees."""
        host_devices = [index for index, (name, _) in enumerate(self.devices) if name == host]
        rows = self._rows(host_devices)
        weights = self._host_weights(host, rows)
        unplaced = {name: energy for name, energy in self.unplaced.items() if name[0] == host}
        for name, energy in unplaced.items():
            window, key, part_uj = split_host_energy(energy, weights, 0)
            self.add(name, window, key, host_uj=part_uj)
        parts = sum_by_group(rows["active_uj"] + rows["idle_uj"], rows["window"], self.windows) + sum(unplaced.values())
        facts = [self.shard.facts(host, int(segment)) for segment in self.segment]
        wall, wall_us = self._wall_energy(host)
        uplift = np.array([fact.uplift for fact in facts])
        extra = uncovered_energy(parts, wall, wall_us, np.diff(self.edges), uplift)
        window, key, part_uj = split_host_energy(extra, weights, 0)
        metered = (wall_us * 2 > np.diff(self.edges))[window]
        assumed = np.array([fact.uplift_assumed for fact in facts])[window]
        self._doubt_host_energy(host, wall, wall_us * 2 > np.diff(self.edges), parts, uplift)
        self._add_bearers((host, HOST_DEVICE), extra)
        # What a whole-server meter adds is measured; what an uplift adds is modelled or assumed.
        size = np.abs(part_uj)
        self.add(
            (host, HOST_DEVICE),
            window,
            key,
            host_uj=part_uj,
            grade_b_uj=np.where(metered | assumed, 0, size),
            grade_c_uj=np.where(~metered & assumed, size, 0),
        )

    def _doubt_host_energy(self, host: str, wall: Ints, metered: NDArray[np.bool_], parts: Ints, uplift: Floats) -> None:
        """Doubt and witness of what a host adds: those of its meter, else those of the parts that an uplift multiplies."""
        bearer = self.device_index[host, HOST_DEVICE]
        meters = [d.intervals for d in self.shard.devices if d.host == host and d.component == "host"]
        pieces = [cut_at_edges(intervals, self.edges)[:2] for intervals in meters]
        none = np.zeros((2, self.windows), dtype=np.int64)
        of_wall = sum((_doubt_by_window(*piece, self.windows) for piece in pieces), start=none)
        others = [index for (name, _), index in self.device_index.items() if name == host and index != bearer]
        of_parts = np.ceil(self.doubts[:, others].sum(axis=1) * np.maximum(uplift - 1.0, 0.0)).astype(np.int64)
        self.doubts[:, bearer] = np.where(metered, of_wall, of_parts)
        read = np.array([_energy_by_window(d.intervals, self.edges) for d in self._parts(host)]).reshape(-1, self.windows)
        shares = self.grades[2:, [self.device_index[d.host, d.device] for d in self._parts(host)]]
        of_parts_witnessed = (shares * read).sum(axis=1) / np.maximum(parts, 1)
        of_wall_witnessed = sum((_witness_by_window(*piece, self.windows) for piece in pieces), start=0.0 * none) / np.maximum(
            wall, 1
        )
        self.grades[2:, bearer] = np.where(metered, of_wall_witnessed, of_parts_witnessed)

    def _parts(self, host: str) -> list[DeviceInput]:
        """Devices of a host but for its whole-server meters."""
        return [device for device in self.shard.devices if device.host == host and device.component != "host"]

    def _rows(self, devices: list[int] | None = None) -> dict[str, Ints]:
        """Columns of all rows so far, or of those of some devices."""
        no_rows = np.zeros(0, dtype=np.int64)
        columns = {name: np.concatenate([no_rows, *(part[name] for part in self.row_parts)]) for name in COLUMNS}
        if devices is None:
            return columns
        selected = np.isin(columns["device"], devices)
        return {name: column[selected] for name, column in columns.items()}

    def _wall_energy(self, host: str) -> tuple[Ints, Ints]:
        energy, time = np.zeros(self.windows, dtype=np.int64), np.zeros(self.windows, dtype=np.int64)
        for device in self.shard.devices:
            if device.host == host and device.component == "host":
                pieces, window, _ = cut_at_edges(device.intervals, self.edges)
                energy += sum_by_group(pieces.energy_uj, window, self.windows)
                time += sum_by_group(pieces.end_us - pieces.start_us, window, self.windows)
        return energy, time

    def _host_weights(self, host: str, rows: dict[str, Ints]) -> HostEnergyWeights:
        accelerators = weights_by_accelerator_energy(rows["window"], rows["key"], rows["active_uj"] + rows["idle_uj"])
        cpu_time = self.shard.cpu_time.get(host)
        if cpu_time is None:
            return accelerators
        cpu_us = np.zeros((self.windows, len(self.shard.services)))
        with_accelerator = set(self.service_of_key[accelerators.key[accelerators.weight > 0]].tolist())
        windows, keys, weights = [], [], []
        for service, intervals in cpu_time.services.items():
            cpu_us[:, service] = _energy_by_window(intervals, self.edges)
            if service not in with_accelerator:
                part = split_placement(
                    intervals, None, self.flights[service], self.shard.services[service].weights, self.shard.window_us
                )
                windows.append(part.window)
                keys.append(part.key + 2 + self.first_key[service])
                weights.append(part.active_uj.astype(np.float64))
        # On a host that serves with its accelerators, other busy processes count; on a shared machine,
        # such as a laptop, its idle time is unattributed too.
        rest = cpu_time.busy if with_accelerator - {-1} else cpu_time.capacity
        rest_us = np.maximum(_energy_by_window(rest, self.edges) - cpu_us.sum(axis=1), 0.0)
        no_rows = np.zeros(0, dtype=np.int64)
        cpu_only = HostEnergyWeights(
            np.concatenate([no_rows, *windows]), np.concatenate([no_rows, *keys]), np.concatenate([no_rows, *weights])
        )
        return weights_by_cpu_time(accelerators, self.service_of_key, cpu_us, rest_us, cpu_only, 0)

    def to_frame(self) -> pd.DataFrame:
        """Rows by slot, with facility energy, grades and embodied emissions; checked for closure."""
        rows = _sum_rows(self._rows(), ("window", "device", "key"))
        self._add_grades(rows)
        self._add_doubts(rows)
        hosts = np.array([host for host, _ in self.devices], dtype=object)[rows["device"]]
        it = rows["active_uj"] + rows["idle_uj"] + rows["host_uj"]
        for host in sorted(set(hosts)):
            host_rows = np.flatnonzero(hosts == host)
            facts = [self.shard.facts(host, int(segment)) for segment in self.segment]
            window = rows["window"][host_rows]
            part = facility_energy(it[host_rows], window, np.array([fact.pue for fact in facts]))
            assumed = np.array([fact.pue_assumed for fact in facts])[window]
            rows["facility_uj"][host_rows] = part
            rows["grade_b_uj"][host_rows] += np.where(assumed, 0, np.abs(part))
            rows["grade_c_uj"][host_rows] += np.where(assumed, np.abs(part), 0)
            begin, finish = self.observed[host]
            rate = np.array([fact.embodied_ug_per_s for fact in facts])
            total_ug = np.rint(rate * np.maximum(finish - begin, 0) / US_PER_S).astype(np.int64)
            device = rows["device"][host_rows]
            is_accelerator = np.isin(device, sorted(self.accelerators)).astype(np.int64)
            rows["embodied_ug"][host_rows] = split_embodied(
                window, device, rows["idle_uj"][host_rows], it[host_rows], is_accelerator, total_ug
            )
        self._widen_ranges(rows, hosts)
        self._check_closure(rows)
        slot = np.searchsorted(self.shard.slots_us, self.edges[:-1], side="right") - 1
        rows["slot"], rows["segment"] = slot[rows["window"]], self.segment[rows["window"]]
        rows = _sum_rows(rows, ("slot", "segment", "device", "key"))
        names = np.array([*self.devices], dtype=object).reshape(-1, 2)[rows["device"]]
        keys = np.array(self.names, dtype=object).reshape(-1, 3)[rows["key"]]
        named = {"host": names[:, 0], "device": names[:, 1], "service": keys[:, 0], "use_case": keys[:, 1], "model": keys[:, 2]}
        return pd.DataFrame({name: named[name] if name in named else rows[name] for name in (*KEY_COLUMNS, *AMOUNTS)})

    def _add_grades(self, rows: dict[str, Ints]) -> None:
        """Grade bridged and modelled energy B, estimated energy C; add what witnesses say: as the device has it in the window."""
        energy = rows["active_uj"] + rows["idle_uj"] + rows["host_uj"]
        for column, shares in zip(_SHARED_COLUMNS, self.grades, strict=True):
            rows[column] += np.rint(energy * shares[rows["device"], rows["window"]]).astype(np.int64)

    def _add_doubts(self, rows: dict[str, Ints]) -> None:
        """Spread the doubt of each device and window over its rows by energy, rounded up; to nobody where there is none."""
        cell = rows["device"] * self.windows + rows["window"]
        energy = np.abs(rows["active_uj"] + rows["idle_uj"] + rows["host_uj"])
        total = sum_by_group(energy, cell, len(self.devices) * self.windows)
        share = np.where(total[cell] > 0, energy / np.maximum(total[cell], 1), rows["key"] == 0)
        for column, doubt in zip(("doubt_low_uj", "doubt_high_uj"), self.doubts, strict=True):
            rows[column] += np.ceil(doubt.ravel()[cell] * share).astype(np.int64)

    def _widen_ranges(self, rows: dict[str, Ints], hosts: np.ndarray[tuple[int], np.dtype[np.object_]]) -> None:
        """Widen the range of rows without accelerator energy of their own by the host's part of it."""
        accelerator = rows["active_uj"] + rows["idle_uj"]
        ranged = (accelerator == 0) & (rows["spread_b_uj"] > 0) & (rows["spread_a_uj"] == 0)
        for host in sorted(set(hosts[ranged])):
            host_rows = np.flatnonzero(hosts == host)
            window = rows["window"][host_rows]
            accelerator_uj = sum_by_group(accelerator[host_rows], window, self.windows)
            total = accelerator_uj + sum_by_group(rows["host_uj"][host_rows], window, self.windows)
            ratio = np.where(accelerator_uj > 0, total / np.maximum(accelerator_uj, 1), 1.0)
            ranged_rows = np.flatnonzero(ranged & (hosts == host))
            widened = rows["spread_b_uj"][ranged_rows] * ratio[rows["window"][ranged_rows]]
            rows["spread_b_uj"][ranged_rows] = np.rint(widened).astype(np.int64)

    def _check_closure(self, rows: dict[str, Ints]) -> None:
        energy = rows["active_uj"] + rows["idle_uj"] + rows["host_uj"]
        attributed = sum_by_group(energy, rows["device"], len(self.devices))
        for (host, name), read in self.read_uj.items():
            attributed_uj = int(attributed[self.device_index[host, name]])
            if attributed_uj != read and not self._is_wall(host, name):
                raise ClosureError(f"{host}/{name}: rows hold {attributed_uj} µJ of {read} µJ read")

    def _is_wall(self, host: str, name: str) -> bool:
        return any((d.host, d.device, d.component) == (host, name, "host") for d in self.shard.devices)


def _energy_by_window(intervals: EnergyIntervals, edges_us: Ints) -> Floats:
    pieces, window, _ = cut_at_edges(intervals, edges_us)
    return np.bincount(window, weights=pieces.energy_uj, minlength=len(edges_us) - 1).astype(np.float64)


def _grade_shares(pieces: EnergyIntervals, window: Ints, total: Ints) -> Floats:
    """Shares of a device's energy in each window that are modelled, estimated, confirmed and disputed, shape (4, windows)."""
    by_method = [
        np.bincount(window, weights=np.where(np.isin(pieces.method, methods), pieces.energy_uj, 0), minlength=len(total))
        for methods in ((BRIDGED, MODELLED), (ESTIMATE,))
    ]
    shares: Floats = np.concatenate([by_method, _witness_by_window(pieces, window, len(total))]) / np.maximum(total, 1)
    return shares


def _doubt_by_window(pieces: EnergyIntervals, window: Ints, size: int) -> Ints:
    """Energy [µJ] by which a device may be too high and too low in each window, shape (2, windows)."""
    doubts = pieces.doubts
    return np.stack([sum_by_group(side, window, size) for side in (doubts.low_uj, doubts.high_uj)])


def _witness_by_window(pieces: EnergyIntervals, window: Ints, size: int) -> Floats:
    """Energy of a device in each window that a witness confirms and disputes, shape (2, windows)."""
    witness = pieces.doubts.witness
    kinds = (np.where(witness == kind, pieces.energy_uj, 0) for kind in (CONFIRMED, DISPUTED))
    return np.stack([np.bincount(window, weights=energy, minlength=size) for energy in kinds])


def _sum_rows(rows: dict[str, Ints], by: tuple[str, ...]) -> dict[str, Ints]:
    """Exact sums of the amounts of rows with equal keys, sorted."""
    code = np.zeros(len(rows[by[0]]), dtype=np.int64)
    for name in by:
        code = code * (int(rows[name].max(initial=0)) + 1) + rows[name]
    order = np.argsort(code, kind="stable")
    first = np.flatnonzero(np.diff(code[order], prepend=-1) != 0)
    keys = {name: rows[name][order][first] for name in by}
    if not len(first):
        return keys | {name: rows[name] for name in AMOUNTS}
    return keys | {name: np.add.reduceat(rows[name][order], first) for name in AMOUNTS}
