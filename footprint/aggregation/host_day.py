"""Rows of one host on one UTC day, computed from readings, placements, requests and facts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from footprint.aggregation.basis_lookup import IMPACT_KINDS, basis_at, host_embodied_ug_per_s
from footprint.aggregation.device_energy import BUSY, CAPACITY, DeviceEnergy, cpu_times, device_energies
from footprint.aggregation.open_day import OpenPart, cached_model
from footprint.aggregation.request_logs import ServiceLog, ServiceLogs
from footprint.aggregation.step_fits import DividedLog
from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import BRIDGED, COUNTER, METHODS, EnergyIntervals
from footprint.attribution.idle import LEARNING_DAYS
from footprint.attribution.request_log import RequestLog
from footprint.attribution.row_columns import HOST_DEVICE
from footprint.attribution.shard import (
    CpuTime,
    DeviceInput,
    HostFacts,
    PlacedService,
    ServiceInput,
    ShardInput,
    ShardRows,
    attribute,
)
from footprint.attribution.split_status import with_quarantine
from footprint.attribution.step.model import Diagnosis, StepFit, idle_powers_uw
from footprint.attribution.token_weights import DeclaredWeights, EnergyWeights
from footprint.calendar.slots import slot_length_us
from footprint.config import Config
from footprint.config.certificates import certificates_of_host, certificates_text
from footprint.core.assumptions import assumption
from footprint.core.stored_forms import digest_text
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.impact.calculation_basis import CalculationBasis
from footprint.impact.embodied import end_of_life_us
from footprint.impact.factor_book import FactorBook
from footprint.ledger.ledger_view import LedgerView, fingerprint
from footprint.ledger.placements import Tenure


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
    doubted: int = 0  # requests in quarantine that the energy was divided over

    @property
    def status(self) -> str:
        """Status of the fit, and whether requests are in quarantine."""
        status = self.diagnosis.status if self.diagnosis is not None else ""
        return with_quarantine(status) if self.doubted else status


@dataclass(frozen=True, slots=True)
class HostDay:
    """Rows of one host and day; ``segments_us`` are the instants at which facts change, ``slots_us`` the edges of slots."""

    slots_us: Ints
    segments_us: Ints
    result: ShardRows
    bases: dict[tuple[str, str, int], CalculationBasis]  # by device, service and segment
    splits: dict[str, SplitDiagnostics]  # by service


_WastedShares = dict[tuple[str, str, str], tuple[float, int]]


class HostAggregator:
    """Computation of the days of one host, with what is known of it; created for each run."""

    def __init__(self, view: LedgerView, config: Config, book: FactorBook, logs: ServiceLogs, name: str) -> None:
        self.view, self.config, self.book, self.logs, self.name = view, config, book, logs, name
        self.fleet, self.fits = logs.fleet, logs.fits
        self.readings = self.fleet.host(name)
        self.tenures = self.readings.tenures

    # Lazy, because every query creates every host and few of them compute.

    @functools.cached_property
    def inputs(self) -> Callable[[int], str]:
        """Fingerprint of the inputs of attribution by day, cached."""
        return functools.cache(self._inputs)

    @property
    def services(self) -> list[str]:
        """Services that are placed here, or whose processes were seen here."""
        return self.readings.services

    def devices(self, day: int) -> list[DeviceEnergy]:
        """Energy intervals of every device that touch a UTC day."""
        return self.fleet.devices(self.name, day)

    @functools.cached_property
    def _rules(self) -> str:
        """Fingerprint of the method, the facts and the factors; only aggregation needs it."""
        return fingerprint([*self.fits.rules, self.book.digest()])

    def days(self) -> list[int]:
        """UTC days that a reading of this host touches, including those that a counter bridges."""
        return self.readings.days()

    def _inputs(self, day: int) -> str:
        """Fingerprint of the ledger of the host and of those that share its services around a day, and of the facts.

        Empty without readings of any of them.
        """
        data = self.data(day, tuple(self.services))
        return fingerprint([self._rules, data]) if data else ""

    def data(self, day: int, services: tuple[str, ...]) -> str:
        """Fingerprint of the ledger of this host, some services and the hosts that share them; empty without readings of any."""
        return self.fleet.data(self.name, day, services)

    def fingerprint(self, day: int) -> str:
        """Fingerprint of everything that the rows of a day are computed from; empty without readings."""
        if not self.readings.data(day, ()):
            return ""
        earlier = [self.inputs(earlier_day) for earlier_day in range(day - LEARNING_DAYS + 1, day)] if self.tenures else []
        return fingerprint([self.inputs(day), *earlier, *self.certificates_text(day)])

    def certificates_text(self, day: int) -> list[str]:
        """The calibrations of this host that are valid on a day, as parts of a fingerprint."""
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        return certificates_text(certificates_of_host(self.config.certificates, self.name, start_us, end_us))

    def ledger(self, day: int, services: tuple[str, ...], *, learns: bool) -> str:
        """Fingerprint of the ledger alone that the rows of a day rest on; with ``learns`` of the days that it learns from too."""
        first = day - LEARNING_DAYS + 1 if learns else day
        return fingerprint([self.data(near_day, services) for near_day in range(first, day + 1)])

    def all_days_state(self) -> str:
        """Fingerprint of the ledger's part in every day of the host: where it changes, all its days are to be compared."""
        return fingerprint([digest_text(self.readings.aliases), self.services, bool(self.tenures)])

    def compute(self, day: int) -> HostDay:
        """Rows of a day."""
        divided = {service: self.fits.divide(service, day, self.name) for service in self.services}
        idle = self.fits.idle_power(self.name)
        return self._rows(day, day * US_PER_DAY, self.devices(day), divided, lambda tenure: idle.idle_uw(tenure, day))

    def compute_part(self, day: int, part: OpenPart) -> HostDay | None:
        """Rows of a part of an open day; None where the day of the model has none for the devices of a service."""
        inputs = self.fingerprint(part.model_day)
        if not inputs:
            return None
        model, model_day = cached_model(self.view.store.url, self.name, inputs), part.model_day
        divided: dict[str, DividedLog] = {}
        for service in self.services:
            if service not in model.services:
                model.services[service] = self.fits.model(service, model_day, self.name)
            part_log = self.fits.divide_part(service, day, self.name, part.since_us, model.services[service])
            if part_log is None:
                return None
            divided[service] = part_log

        def idle_uw(tenure: Tenure) -> int | None:
            key = tenure.device, tenure.service
            if key not in model.idle_uw:
                model.idle_uw[key] = self.fits.idle_power(self.name).idle_uw(tenure, model_day)
            return model.idle_uw[key]

        devices = device_energies(self.view, self.name, day, part.since_us)
        return self._rows(day, part.since_us, devices, divided, idle_uw)

    def _rows(
        self,
        day: int,
        start_us: int,
        devices: Sequence[DeviceEnergy],
        divided: dict[str, DividedLog],
        idle_uw: Callable[[Tenure], int | None],
    ) -> HostDay:
        end_us = (day + 1) * US_PER_DAY
        slots = np.arange(start_us, end_us + 1, slot_length_us(self.config.timezone), dtype=np.int64)
        segments = self._segments(start_us, end_us)
        index = {service: number for number, service in enumerate(self.services)}
        placed = {device.device: self._placed(device.device, start_us, end_us, index, idle_uw) for device in devices}
        is_whole = start_us == day * US_PER_DAY
        splits = {service: self._split(service, day, divided[service], is_whole=is_whole) for service in self.services}
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
            cpu_time=self._cpu_time(day, start_us, index),
        )
        return HostDay(slots, segments, attribute(shard), bases, splits)

    def new_statistics(self) -> list[tuple[str, int, str, str]]:
        """Statistics computed since the last call: stream key, day, fingerprint, content."""
        return self.fits.new_statistics()

    def _segments(self, start_us: int, end_us: int) -> Ints:
        zones = {site.zone for site in self.config.sites} | {self.config.zone}
        changes = {
            *self.config.edges_us(),
            *(edge for c in self.config.certificates if c.host == self.name for edge in (c.since_us, c.until_us)),
            *(edge for tenure in self.tenures for edge in (tenure.since_us, tenure.until_us)),
            *(alias.since_us for alias in self.readings.aliases),
            *self.book.edges_us([self.config.electricity, *IMPACT_KINDS], self.config.timezone, zones),
            *(end for fact in self.config.hosts if (end := end_of_life_us(fact.in_service_us, fact.lifetime_years)) is not None),
        }
        inside = [edge for edge in changes if start_us < edge < end_us]
        return np.array(sorted([start_us, *inside]), dtype=np.int64)

    def _placed(
        self, device: str, start_us: int, end_us: int, index: dict[str, int], idle_uw: Callable[[Tenure], int | None]
    ) -> tuple[PlacedService, ...]:
        return tuple(
            PlacedService(index[tenure.service], tenure.share, tenure.since_us, tenure.until_us, idle_uw(tenure))
            for tenure in self.tenures
            if tenure.device == device and tenure.since_us < end_us and tenure.until_us > start_us
        )

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
            device=device,
            component=device_energy.component if device_energy else "host",
            device_model=device_energy.model if device_energy else "",
            method=_main_method(device_energy.intervals) if device_energy else "",
            idle_known=service not in unknown,
            split=splits[service].status if service else "",
        )

    def _split(self, service: str, day: int, divided: DividedLog, *, is_whole: bool) -> SplitDiagnostics:
        """Division of the shared energy of a service: by its fit, or by declared weights without a valid fit.

        Energy that served nobody is that of whole days.
        """
        keys, log, fit, weights = divided.service_log.keys, divided.log, divided.fit, divided.weights
        on_day = (log.start_us < (day + 1) * US_PER_DAY) & (log.end_us > day * US_PER_DAY)
        doubted = int((divided.service_log.doubted & on_day).sum())
        if fit is not None and fit.fit is not None and weights is not None:
            shares = weights.shares(fit.fit)
            pairs = zip(shares.tolist(), (shares * weights.half_widths).tolist(), strict=True)
            service_input = ServiceInput(service, keys, log, weights, (), weights.half_widths)
            wasted = self._wasted(service, day, divided, weights) if is_whole else {}
            return SplitDiagnostics(service_input, fit.diagnosis, dict(zip(keys, pairs, strict=True)), wasted, fit, doubted)
        w_in = assumption("weight_input_token")
        scenarios = DeclaredWeights(log, w_in.low), DeclaredWeights(log, w_in.high)
        declared = DeclaredWeights(log)
        diagnosis = fit.diagnosis if fit is not None else None
        wasted = self._wasted(service, day, divided, declared) if is_whole else {}
        return SplitDiagnostics(ServiceInput(service, keys, log, declared, scenarios), diagnosis, {}, wasted, doubted=doubted)

    def _wasted(self, service: str, day: int, divided: DividedLog, weights: EnergyWeights) -> _WastedShares:
        """Shares of requests that served nobody; their numbers on the first host only where several have the same log."""
        shares = wasted_shares(divided.service_log, divided.log, weights, day)
        placement = self.fleet.placement(service, day)
        if placement is None or self.fits.pooled_hosts(service, day) == 1 or placement.hosts[0] == self.name:
            return shares
        return {key: (share, 0) for key, (share, _) in shares.items()}

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

    def _cpu_time(self, day: int, since_us: int, index: dict[str, int]) -> dict[str, CpuTime]:
        if not self.readings.groups:
            return {}
        intervals = cpu_times(self.view, self.name, day, since_us)
        services: dict[int, EnergyIntervals] = {}
        for service, groups in self.readings.groups.items():
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


def _host_facts(basis: CalculationBasis, embodied_ug_per_s: float) -> HostFacts:
    return HostFacts(basis.uplift[0], basis.uplift_assumed, basis.pue[0], basis.pue_assumed, embodied_ug_per_s)


def _main_method(intervals: EnergyIntervals) -> str:
    """Method by which most of the energy was read; a bridged counter is a counter."""
    energy = np.bincount(intervals.method, weights=intervals.energy_uj, minlength=len(METHODS))
    energy[COUNTER] += energy[BRIDGED]
    energy[BRIDGED] = 0
    return METHODS[int(np.argmax(energy))]
