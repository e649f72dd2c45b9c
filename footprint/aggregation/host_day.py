"""Rows of one host on one UTC day, computed from readings, placements, requests and facts."""

from __future__ import annotations

import functools
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from footprint.aggregation import METHOD_VERSION
from footprint.aggregation.calculation_basis import IMPACT_KINDS, CalculationBasis, basis_at, host_embodied_ug_per_s
from footprint.aggregation.device_energy import BUSY, CAPACITY, CPU_QUANTITY, GROUP, DeviceEnergy, cpu_times, device_energies
from footprint.aggregation.idle_power import IdlePowerEstimator
from footprint.aggregation.placements import Tenure, configured_tenures, process_tenures, service_of_group
from footprint.aggregation.request_logs import ServiceLog, ServiceLogs
from footprint.aggregation.step_fits import StepFits, placement_of
from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import BRIDGED, COUNTER, METHODS, EnergyIntervals, Samples
from footprint.attribution.idle import LEARNING_DAYS
from footprint.attribution.request_log import RequestLog
from footprint.attribution.shard import (
    HOST_DEVICE,
    CpuTime,
    DeviceInput,
    HostFacts,
    PlacedService,
    ServiceInput,
    ShardInput,
    ShardRows,
    attribute,
)
from footprint.attribution.step.model import Diagnosis, StepFit, idle_powers_uw
from footprint.attribution.token_weights import DeclaredWeights, EnergyWeights
from footprint.calendar.slots import slot_length_us
from footprint.config import FOREVER_US, Config
from footprint.core.assumptions import assumption
from footprint.core.stored_forms import digest_text
from footprint.core.units import US_PER_DAY, US_PER_S, UW_PER_W
from footprint.impact.embodied import end_of_life_us
from footprint.impact.factor_book import FactorBook
from footprint.ledger.energy_file import CONTEXT_GRADE
from footprint.ledger.ledger_view import LedgerView, fingerprint

HOLDING = "holding/"


@dataclass(frozen=True, slots=True)
class SplitDiagnostics:
    """How the shared energy of one service on one host was divided on a day: the input of attribution, and the reasons.

    ``shares`` are those of the model with their half-widths, by (use case, model). ``wasted`` is, by these and a status, the
    share of the use case's energy that went into failed or cancelled requests, and their number.
    """

    service_input: ServiceInput
    diagnosis: Diagnosis | None
    shares: dict[tuple[str, str], tuple[float, float]]
    wasted: dict[tuple[str, str, str], tuple[float, int]]
    fit: StepFit | None = None


@dataclass(frozen=True, slots=True)
class HostDay:
    """Rows of one host and day; ``segments_us`` are the instants at which facts change, ``slots_us`` the edges of slots."""

    slots_us: Ints
    segments_us: Ints
    result: ShardRows
    bases: dict[tuple[str, str, int], CalculationBasis]  # by device, service and segment
    splits: dict[str, SplitDiagnostics]  # by service


class HostAggregator:
    """Computation of the days of one host, with what is known of it; created for each run."""

    def __init__(self, view: LedgerView, config: Config, book: FactorBook, logs: ServiceLogs, name: str) -> None:
        self.view, self.config, self.book, self.logs, self.name = view, config, book, logs, name
        self.streams = view.streams().get(name, [])
        named = {stream.device for stream in self.streams}
        self.aliases = view.aliases(name)
        self.tenures = configured_tenures(config.placements, name, self.aliases, named)
        self.tenures += self._process_tenures({tenure.device for tenure in self.tenures})

    # Lazy, because every query creates every host and few of them compute.

    @functools.cached_property
    def devices(self) -> Callable[[int], list[DeviceEnergy]]:
        """Energy intervals of every device, by day; the last three days are cached."""
        return functools.lru_cache(maxsize=3)(lambda day: device_energies(self.view, self.name, day))

    @functools.cached_property
    def inputs(self) -> Callable[[int], str]:
        """Fingerprint of the inputs of attribution by day, cached."""
        return functools.cache(self._inputs)

    @functools.cached_property
    def _days_by_service(self) -> Callable[[str], tuple[dict[int, tuple[int, int]], list[int]]]:
        return functools.cache(self._days_of_service)

    @functools.cached_property
    def services(self) -> list[str]:
        """Services that are placed here, or whose processes were seen here."""
        return sorted({tenure.service for tenure in self.tenures} | set(self.groups))

    @functools.cached_property
    def fits(self) -> StepFits:
        """Fits of the services."""
        elsewhere = {placement.service for placement in self.config.placements if placement.host != self.name}
        return StepFits(self.view, self.logs, self.name, self.tenures, self.config.window_s * US_PER_S, elsewhere)

    @functools.cached_property
    def idle_power(self) -> IdlePowerEstimator:
        """Idle powers learnt from quiet days."""
        return IdlePowerEstimator(self.view, self.logs, self.name, self.tenures, self._clock_offset_us)

    @functools.cached_property
    def _rules(self) -> str:
        """Fingerprint of the method, the facts and the factors; only aggregation needs it."""
        return fingerprint([METHOD_VERSION, self.config.facts_digest(), self.book.digest()])

    @functools.cached_property
    def _read_days(self) -> list[tuple[int, list[int], list[int]]]:
        """For each stream, the days with readings, in order, and their versions."""
        days_read = []
        for stream in self.streams:
            days = self.view.stream_days(stream.id)
            has_readings = days.last_us >= days.first_us
            days_read.append((stream.id, days.day[has_readings].tolist(), days.version[has_readings].tolist()))
        return days_read

    def _days_of_service(self, service: str) -> tuple[dict[int, tuple[int, int]], list[int]]:
        """Known versions of a service by day, and its days in order."""
        known = self.view.service_days().get(service, {})
        return known, sorted(known)

    def _process_tenures(self, placed: set[str]) -> list[Tenure]:
        """Placements of unassigned devices, inferred from the processes that computed on them."""
        seen: dict[str, dict[str, Samples]] = {}
        for stream in self.streams:
            if stream.quantity.startswith(HOLDING) and stream.device not in placed:
                samples = self.view.samples(stream.id, 0, FOREVER_US)
                seen.setdefault(stream.device, {})[stream.quantity.removeprefix(HOLDING)] = samples
        services = self.config.services
        return [tenure for device in sorted(seen) for tenure in process_tenures(device, seen[device], services)]

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

    def _inputs(self, day: int) -> str:
        """Fingerprint of the host's ledger around a day, and of the facts; empty without readings."""
        data = self.data(day, tuple(self.services))
        return fingerprint([self._rules, data]) if data else ""

    def data(self, day: int, services: tuple[str, ...]) -> str:
        """Fingerprint of the ledger of this host and some services around a day; empty without readings."""
        parts: list[object] = []
        low, high = day - 1, day + 1
        for stream, days, versions in self._read_days:
            position = bisect_left(days, day)
            nearby = slice(max(position - 1, 0), position + 2)
            near_days = days[nearby]
            if not near_days or near_days[-1] < day or near_days[0] > day:
                continue
            parts.append((stream, list(zip(near_days, versions[nearby], strict=True))))
            low, high = min(low, near_days[0] - 1), max(high, near_days[-1] + 1)
        if not parts:
            return ""
        for service in services:
            known, days = self._days_by_service(service)
            parts.append((service, [(d, known[d][1]) for d in days[bisect_left(days, low) : bisect_right(days, high)]]))
        return fingerprint([digest_text(self.aliases), *parts])

    def fingerprint(self, day: int) -> str:
        """Fingerprint of everything that the rows of a day are computed from; empty without readings."""
        if not self.inputs(day):
            return ""
        earlier = [self.inputs(earlier_day) for earlier_day in range(day - LEARNING_DAYS + 1, day)] if self.tenures else []
        return fingerprint([self.inputs(day), *earlier])

    def compute(self, day: int) -> HostDay:
        """Rows of a day."""
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        slots = np.arange(start_us, end_us + 1, slot_length_us(self.config.timezone), dtype=np.int64)
        segments = self._segments(start_us, end_us)
        devices = self.devices(day)
        index = {service: number for number, service in enumerate(self.services)}
        placed = {device.device: self._placed(device.device, day, index) for device in devices}
        splits = {service: self._split(service, day, devices, placed) for service in self.services}
        placed = self._with_fitted_idle(placed, splits, devices)
        bases = {
            (device, service, number): self._basis(device, service, int(segment), devices, placed, splits)
            for device in [*placed, HOST_DEVICE]
            for service in ["", *self.services]
            for number, segment in enumerate(segments.tolist())
        }
        models = [device.model for device in devices if device.component == "gpu"]
        rates = [host_embodied_ug_per_s(self.config.host_at(self.name, at), models, self.book, at) for at in segments.tolist()]
        shard = ShardInput(
            slots_us=slots,
            segments_us=segments,
            window_us=self.config.window_s * US_PER_S,
            devices=[DeviceInput(self.name, d.device, d.component, d.intervals, placed[d.device]) for d in devices],
            services=[splits[service].service_input for service in self.services],
            facts=lambda _, segment: _host_facts(bases[HOST_DEVICE, "", segment], rates[segment]),
            cpu_time=self._cpu_time(day, index),
        )
        return HostDay(slots, segments, attribute(shard), bases, splits)

    def new_statistics(self) -> list[tuple[str, int, str, str]]:
        """Statistics computed since the last call: stream key, day, fingerprint, content."""
        records = [
            (key, day, inputs, json.dumps(quiet.to_json(), separators=(",", ":")))
            for (key, day), (inputs, quiet) in sorted(self.idle_power.fresh.items())
        ]
        records += [(key, day, inputs, content) for (key, day), (inputs, content) in sorted(self.fits.fresh.items())]
        self.idle_power.fresh.clear()
        self.fits.fresh.clear()
        return records

    def _segments(self, start_us: int, end_us: int) -> Ints:
        zones = {site.zone for site in self.config.sites} | {self.config.zone}
        changes = {
            *self.config.edges_us(),
            *(edge for tenure in self.tenures for edge in (tenure.since_us, tenure.until_us)),
            *(alias.since_us for alias in self.aliases),
            *self.book.edges_us([self.config.electricity, *IMPACT_KINDS], self.config.timezone, zones),
            *(end for fact in self.config.hosts if (end := end_of_life_us(fact.in_service_us, fact.lifetime_years)) is not None),
        }
        inside = [edge for edge in changes if start_us < edge < end_us]
        return np.array(sorted([start_us, *inside]), dtype=np.int64)

    def _placed(self, device: str, day: int, index: dict[str, int]) -> tuple[PlacedService, ...]:
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        placements = []
        for tenure in self.tenures:
            if tenure.device == device and tenure.since_us < end_us and tenure.until_us > start_us:
                idle = self.idle_power.idle_uw(tenure, day, self.inputs, self.devices)
                placements.append(PlacedService(index[tenure.service], tenure.share, tenure.since_us, tenure.until_us, idle))
        return tuple(placements)

    def _basis(
        self,
        device: str,
        service: str,
        instant_us: int,
        devices: Sequence[DeviceEnergy],
        placed: dict[str, tuple[PlacedService, ...]],
        splits: dict[str, SplitDiagnostics],
    ) -> CalculationBasis:
        device_energy = next((d for d in devices if d.device == device), None)
        unknown = {self.services[p.service] for p in placed.get(device, ()) if p.idle_uw is None}
        return basis_at(
            self.config,
            self.book,
            self.name,
            instant_us,
            component=device_energy.component if device_energy else "host",
            device_model=device_energy.model if device_energy else "",
            method=_main_method(device_energy.intervals) if device_energy else "",
            idle_known=service not in unknown,
            split=_split_status(splits[service]) if service else "",
        )

    def _split(
        self, service: str, day: int, devices: Sequence[DeviceEnergy], placed: dict[str, tuple[PlacedService, ...]]
    ) -> SplitDiagnostics:
        """Division of the shared energy of a service: by its fit, or by declared weights without a valid fit."""
        placement = placement_of(self.tenures, service, day)
        service_log = self.fits.log(service, devices, day)
        diagnosis, log = None, service_log.log
        if placement is not None and len(log) and any(device in placed for device, _ in placement.devices):
            idle_w = self._idle_w(placement.devices, service, placed)
            fit, weights, log = self.fits.fit(placement, day, self.inputs, self.devices, idle_w)
            diagnosis = fit.diagnosis
            if weights is not None and fit.fit is not None:
                service_input = ServiceInput(service, service_log.keys, log, weights, (), weights.half_widths)
                shares = weights.shares(fit.fit)
                pairs = zip(shares.tolist(), (shares * weights.half_widths).tolist(), strict=True)
                shares_of = dict(zip(service_log.keys, pairs, strict=True))
                return SplitDiagnostics(service_input, diagnosis, shares_of, wasted_shares(service_log, log, weights, day), fit)
        w_in = assumption("weight_input_token")
        scenarios = DeclaredWeights(log, w_in.low), DeclaredWeights(log, w_in.high)
        declared = DeclaredWeights(log)
        service_input = ServiceInput(service, service_log.keys, log, declared, scenarios)
        return SplitDiagnostics(service_input, diagnosis, {}, wasted_shares(service_log, log, declared, day))

    def _with_fitted_idle(
        self, placed: dict[str, tuple[PlacedService, ...]], splits: dict[str, SplitDiagnostics], devices: Sequence[DeviceEnergy]
    ) -> dict[str, tuple[PlacedService, ...]]:
        """The placements, with idle powers of the fit where quiet intervals gave none."""
        energy = {device.device: int(device.intervals.energy_uj.sum()) for device in devices}
        result = {device: list(placements) for device, placements in placed.items()}
        for number, service in enumerate(self.services):
            fit = splits[service].fit
            places = [
                (device, position)
                for device, placements in placed.items()
                for position, placement in enumerate(placements)
                if placement.service == number
            ]
            if fit is None or not places:
                continue
            learnt = [placed[device][position].idle_uw for device, position in places]
            powers = idle_powers_uw(fit, learnt, [energy[device] for device, _ in places])
            for (device, position), power in zip(places, powers, strict=True):
                result[device][position] = replace(result[device][position], idle_uw=power)
        return {device: tuple(placements) for device, placements in result.items()}

    def _idle_w(
        self, devices: Sequence[tuple[str, float]], service: str, placed: dict[str, tuple[PlacedService, ...]]
    ) -> float | None:
        """Idle power [W] of all devices of a placement together, the service's share of each; None where one is not known."""
        total = 0.0
        for device, share in devices:
            placements = [placement for placement in placed.get(device, ()) if self.services[placement.service] == service]
            if not placements or placements[0].idle_uw is None:
                return None
            total += placements[0].idle_uw / UW_PER_W * share
        return total

    def _clock_offset_us(self, service: str, day: int) -> int:
        placement = placement_of(self.tenures, service, day)
        statistics = self.fits.day(placement, day, self.inputs, self.devices) if placement is not None else None
        return round(statistics.lag_s * US_PER_S) if statistics is not None else 0

    def _cpu_time(self, day: int, index: dict[str, int]) -> dict[str, CpuTime]:
        if not self.groups:
            return {}
        intervals = cpu_times(self.view, self.name, day)
        services: dict[int, EnergyIntervals] = {}
        for service, groups in self.groups.items():
            group_intervals = [intervals[group] for group in groups if group in intervals]
            if group_intervals:
                services[index[service]] = _sum_intervals(group_intervals)
        if not services or BUSY not in intervals or CAPACITY not in intervals:
            return {}
        return {self.name: CpuTime(services, intervals[BUSY], intervals[CAPACITY])}


def _sum_intervals(series: Sequence[EnergyIntervals]) -> EnergyIntervals:
    """Sum of intervals that an agent read at the same instants; instants that some of them lack are dropped."""
    if len(series) == 1:
        return series[0]
    common = functools.reduce(np.intersect1d, [intervals.start_us for intervals in series])
    parts = [intervals[np.isin(intervals.start_us, common)] for intervals in series]
    same_ends = np.all([part.end_us == parts[0].end_us for part in parts], axis=0)
    first = parts[0][same_ends]
    energy = sum(part.energy_uj[same_ends] for part in parts)
    return EnergyIntervals(first.start_us, first.end_us, np.asarray(energy), first.covered_us, first.method)


def wasted_shares(
    service_log: ServiceLog, log: RequestLog, weights: EnergyWeights, day: int
) -> dict[tuple[str, str, str], tuple[float, int]]:
    """By (use case, model, status): share of the day's model energy in requests that served nobody, and their number."""
    if not service_log.wasted:
        return {}
    requests = np.arange(len(log))
    start, end = np.maximum(log.start_us, day * US_PER_DAY), np.minimum(log.end_us, (day + 1) * US_PER_DAY)
    energy = np.where(end > start, weights.model_energy(requests, start, np.maximum(end, start)), 0.0)
    total = np.bincount(log.key, weights=energy, minlength=len(service_log.keys))
    ends_here = (log.end_us > day * US_PER_DAY) & (log.end_us <= (day + 1) * US_PER_DAY)
    shares = {}
    for status, positions in sorted(service_log.wasted.items()):
        part = np.bincount(log.key[positions], weights=energy[positions], minlength=len(service_log.keys))
        count = np.bincount(log.key[positions], weights=(log.weight * ends_here)[positions], minlength=len(service_log.keys))
        for key, name in enumerate(service_log.keys):
            if part[key] > 0 or count[key] > 0:
                share = float(part[key] / total[key]) if total[key] > 0 else 0.0
                shares[*name, status] = share, round(float(count[key]))
    return shares


def _split_status(split: SplitDiagnostics) -> str:
    return split.diagnosis.status if split.diagnosis is not None else ""


def _host_facts(basis: CalculationBasis, embodied_ug_per_s: float) -> HostFacts:
    return HostFacts(basis.uplift[0], basis.uplift_assumed, basis.pue[0], basis.pue_assumed, embodied_ug_per_s)


def _main_method(intervals: EnergyIntervals) -> str:
    """Method by which most of the energy was read; a bridged counter is a counter."""
    energy = np.bincount(intervals.method, weights=intervals.energy_uj, minlength=len(METHODS))
    energy[COUNTER] += energy[BRIDGED]
    energy[BRIDGED] = 0
    return METHODS[int(np.argmax(energy))]
