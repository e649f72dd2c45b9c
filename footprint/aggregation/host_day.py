"""This file computes the rows of one host on one UTC day: readings, placements, requests and facts come together here."""

from __future__ import annotations

import datetime
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
from footprint.attribution.energy_intervals import BRIDGED, COUNTER, METHODS, EnergyIntervals, Samples
from footprint.attribution.idle import LEARNING_DAYS
from footprint.attribution.largest_remainder import Ints
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
from footprint.config import FOREVER_US, Config
from footprint.core.assumptions import assumption
from footprint.core.stored_forms import canonical
from footprint.core.units import S_PER_HOUR, US_PER_DAY, US_PER_HOUR, US_PER_S, UW_PER_W
from footprint.impact.embodied import end_of_life_us
from footprint.impact.factor_book import FactorBook
from footprint.ledger.energy_file import CONTEXT_GRADE
from footprint.ledger.ledger_view import LedgerView, fingerprint

QUARTER_HOUR_US = US_PER_HOUR // 4
HOLDING = "holding/"
_WINTER, _SUMMER = datetime.datetime(2026, 1, 1), datetime.datetime(2026, 7, 1)  # noqa: DTZ001 - local by definition


def grain_us(config: Config) -> int:
    """Length of a stored row's slot: an hour, or a quarter where the organisation's zone is not whole hours from UTC."""
    offsets = {config.timezone.utcoffset(_WINTER), config.timezone.utcoffset(_SUMMER)}
    whole = all(offset is not None and offset.total_seconds() % S_PER_HOUR == 0 for offset in offsets)
    return US_PER_HOUR if whole else QUARTER_HOUR_US


@dataclass(frozen=True, slots=True)
class SplitDiagnostics:
    """How the shared energy of one service on one host was divided on a day: the input of attribution, and why so.

    ``shares`` are those of the model, with their half-widths, by (use case, model); ``wasted`` is, by these and a
    status, the part of the use case's energy that went into requests that failed or were given up, and their number.
    """

    service_input: ServiceInput
    diagnosis: Diagnosis | None
    shares: dict[tuple[str, str], tuple[float, float]]
    wasted: dict[tuple[str, str, str], tuple[float, int]]
    fit: StepFit | None = None


@dataclass(frozen=True, slots=True)
class HostDay:
    """Rows of one host and day; ``segments_us`` are the instants at which facts change, ``slots_us`` the slots' edges."""

    slots_us: Ints
    segments_us: Ints
    result: ShardRows
    bases: dict[tuple[str, str, int], CalculationBasis]  # by device, service and segment
    splits: dict[str, SplitDiagnostics]  # by service


class HostAggregator:
    """One host, and what is known of its days; made anew for each run."""

    def __init__(self, view: LedgerView, config: Config, book: FactorBook, logs: ServiceLogs, name: str) -> None:
        self.view, self.config, self.book, self.logs, self.name = view, config, book, logs, name
        self.streams = view.streams().get(name, [])
        named = {stream.device for stream in self.streams}
        self.aliases = view.aliases(name)
        self.held = configured_tenures(config.placements, name, self.aliases, named)
        self.held += self._seen_computing({held.device for held in self.held})

    # What only a computation needs is made when it is first asked for: every question looks at every host.

    @functools.cached_property
    def devices(self) -> Callable[[int], list[DeviceEnergy]]:
        """Spans of every device, by day; those of the last three are kept."""
        return functools.lru_cache(maxsize=3)(lambda day: device_energies(self.view, self.name, day))

    @functools.cached_property
    def inputs(self) -> Callable[[int], str]:
        """Inputs of attribution by day, kept."""
        return functools.cache(self._inputs)

    @functools.cached_property
    def _asked_days(self) -> Callable[[str], tuple[dict[int, tuple[int, int]], list[int]]]:
        return functools.cache(self._days_of_service)

    @functools.cached_property
    def services(self) -> list[str]:
        """Services that are placed here, or whose processes were seen here."""
        return sorted({held.service for held in self.held} | set(self.groups))

    @functools.cached_property
    def fits(self) -> StepFits:
        """Fits of the services."""
        elsewhere = {placement.service for placement in self.config.placements if placement.host != self.name}
        return StepFits(self.view, self.logs, self.name, self.held, self.config.window_s * US_PER_S, elsewhere)

    @functools.cached_property
    def quiet(self) -> IdlePowerEstimator:
        """Idle powers as quiet days tell them."""
        return IdlePowerEstimator(self.view, self.logs, self.name, self.held, self._lag_us)

    @functools.cached_property
    def _rules(self) -> str:
        """Fingerprint of the method, the facts and the factors: asked for by aggregation alone."""
        return fingerprint([METHOD_VERSION, self.config.facts_digest(), self.book.digest()])

    @functools.cached_property
    def _read_days(self) -> list[tuple[int, list[int], list[int]]]:
        """Of each stream the days that hold readings, in order, and their versions."""
        found = []
        for stream in self.streams:
            days = self.view.stream_days(stream.id)
            held = days.last_us >= days.first_us
            found.append((stream.id, days.day[held].tolist(), days.version[held].tolist()))
        return found

    def _days_of_service(self, service: str) -> tuple[dict[int, tuple[int, int]], list[int]]:
        """What is known of a service by day, and its days in order."""
        known = self.view.service_days().get(service, {})
        return known, sorted(known)

    def _seen_computing(self, placed: set[str]) -> list[Tenure]:
        """Tenures of devices that the configuration places nobody on, by whose processes computed on them."""
        seen: dict[str, dict[str, Samples]] = {}
        for stream in self.streams:
            if stream.quantity.startswith(HOLDING) and stream.device not in placed:
                told = self.view.samples(stream.id, 0, FOREVER_US)
                seen.setdefault(stream.device, {})[stream.quantity.removeprefix(HOLDING)] = told
        services = self.config.services
        return [held for device in sorted(seen) for held in process_tenures(device, seen[device], services)]

    @functools.cached_property
    def groups(self) -> dict[str, list[str]]:
        """Groups of processes seen here, by the service whose rules they meet; a group is one service's only."""
        found: dict[str, list[str]] = {}
        for stream in self.streams:
            if stream.quantity == CPU_QUANTITY and stream.device.startswith(GROUP):
                group = stream.device.removeprefix(GROUP)
                service = service_of_group(group, self.config.services)
                if service is not None:
                    found.setdefault(service, []).append(group)
        return found

    def days(self) -> list[int]:
        """UTC days that a reading of this host touches, those that a counter bridges among them."""
        found: set[int] = set()
        for stream in self.streams:
            days = self.view.stream_days(stream.id)
            held = days.day[days.last_us >= days.first_us]
            if not len(held) or stream.grade == CONTEXT_GRADE:
                continue
            whole = stream.quantity == "energy"
            found.update(range(int(held[0]), int(held[-1]) + 1) if whole else held.tolist())
        return sorted(found)

    def _inputs(self, day: int) -> str:
        """Fingerprint of what the ledger says of this host around a day, and of the facts; empty where there is no reading."""
        told = self.data(day, tuple(self.services))
        return fingerprint([self._rules, told]) if told else ""

    def data(self, day: int, services: tuple[str, ...]) -> str:
        """Fingerprint of what the ledger says of this host and some services around a day; empty where there is no reading."""
        parts: list[object] = []
        low, high = day - 1, day + 1
        for stream, days, versions in self._read_days:
            place = bisect_left(days, day)
            near = slice(max(place - 1, 0), place + 2)
            here = days[near]
            if not here or here[-1] < day or here[0] > day:
                continue
            parts.append((stream, list(zip(here, versions[near], strict=True))))
            low, high = min(low, here[0] - 1), max(high, here[-1] + 1)
        if not parts:
            return ""
        for service in services:
            known, days = self._asked_days(service)
            parts.append((service, [(d, known[d][1]) for d in days[bisect_left(days, low) : bisect_right(days, high)]]))
        return fingerprint([canonical(self.aliases), *parts])

    def fingerprint(self, day: int) -> str:
        """Of everything that the rows of a day are computed from; empty where there is no reading."""
        if not self.inputs(day):
            return ""
        learnt = [self.inputs(each) for each in range(day - LEARNING_DAYS + 1, day)] if self.held else []
        return fingerprint([self.inputs(day), *learnt])

    def compute(self, day: int, extra_edges: Sequence[int] = ()) -> HostDay:
        """Rows of a day, with further edges of slots where a query cuts within one."""
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        slots = np.unique(np.array([*range(start_us, end_us + 1, grain_us(self.config)), *extra_edges], dtype=np.int64))
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

    def learnt(self) -> list[tuple[str, int, str, str]]:
        """What was learnt of days since this was last asked: what of, day, fingerprint, content."""
        found = [
            (key, day, inputs, json.dumps(quiet.to_json(), separators=(",", ":")))
            for (key, day), (inputs, quiet) in sorted(self.quiet.fresh.items())
        ]
        found += [(key, day, inputs, content) for (key, day), (inputs, content) in sorted(self.fits.fresh.items())]
        self.quiet.fresh.clear()
        self.fits.fresh.clear()
        return found

    def _segments(self, start_us: int, end_us: int) -> Ints:
        zones = {site.zone for site in self.config.sites} | {self.config.zone}
        changes = {
            *self.config.edges_us(),
            *(edge for held in self.held for edge in (held.since_us, held.until_us)),
            *(alias.since_us for alias in self.aliases),
            *self.book.edges_us([self.config.electricity, *IMPACT_KINDS], self.config.timezone, zones),
            *(end for fact in self.config.hosts if (end := end_of_life_us(fact.in_service_us, fact.lifetime_years)) is not None),
        }
        inside = [edge for edge in changes if start_us < edge < end_us]
        return np.array(sorted([start_us, *inside]), dtype=np.int64)

    def _placed(self, device: str, day: int, index: dict[str, int]) -> tuple[PlacedService, ...]:
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        found = []
        for held in self.held:
            if held.device == device and held.since_us < end_us and held.until_us > start_us:
                idle = self.quiet.idle_uw(held, day, self.inputs, self.devices)
                found.append(PlacedService(index[held.service], held.share, held.since_us, held.until_us, idle))
        return tuple(found)

    def _basis(
        self,
        device: str,
        service: str,
        instant_us: int,
        devices: Sequence[DeviceEnergy],
        placed: dict[str, tuple[PlacedService, ...]],
        splits: dict[str, SplitDiagnostics],
    ) -> CalculationBasis:
        found = next((d for d in devices if d.device == device), None)
        unknown = {self.services[p.service] for p in placed.get(device, ()) if p.idle_uw is None}
        return basis_at(
            self.config,
            self.book,
            self.name,
            instant_us,
            component=found.component if found else "host",
            device_model=found.model if found else "",
            method=_main_method(found.intervals) if found else "",
            idle_known=service not in unknown,
            split=_split_status(splits[service]) if service else "",
        )

    def _split(
        self, service: str, day: int, devices: Sequence[DeviceEnergy], placed: dict[str, tuple[PlacedService, ...]]
    ) -> SplitDiagnostics:
        """How the shared energy of a service is divided: by its fit, or by declared weights where there is none that stands."""
        placement = placement_of(self.held, service, day)
        known = self.fits.log(service, devices, day)
        diagnosis, log = None, known.log
        if placement is not None and len(log) and any(device in placed for device, _ in placement.devices):
            idle_w = self._idle_w(placement.devices, service, placed)
            fit, weights, log = self.fits.fit(placement, day, self.inputs, self.devices, idle_w)
            diagnosis = fit.diagnosis
            if weights is not None and fit.fit is not None:
                given = ServiceInput(service, known.keys, log, weights, (), weights.half_widths)
                shares = weights.shares(fit.fit)
                pairs = zip(shares.tolist(), (shares * weights.half_widths).tolist(), strict=True)
                shares_of = dict(zip(known.keys, pairs, strict=True))
                return SplitDiagnostics(given, diagnosis, shares_of, wasted_shares(known, log, weights, day), fit)
        w_in = assumption("weight_input_token")
        scenarios = DeclaredWeights(log, w_in.low), DeclaredWeights(log, w_in.high)
        declared = DeclaredWeights(log)
        given = ServiceInput(service, known.keys, log, declared, scenarios)
        return SplitDiagnostics(given, diagnosis, {}, wasted_shares(known, log, declared, day))

    def _with_fitted_idle(
        self, placed: dict[str, tuple[PlacedService, ...]], splits: dict[str, SplitDiagnostics], devices: Sequence[DeviceEnergy]
    ) -> dict[str, tuple[PlacedService, ...]]:
        """The placements, with idle powers of the fit where quiet seconds told none."""
        energy = {device.device: int(device.intervals.energy_uj.sum()) for device in devices}
        result = {device: list(each) for device, each in placed.items()}
        for number, service in enumerate(self.services):
            fit = splits[service].fit
            mine = [(device, place) for device, each in placed.items() for place, p in enumerate(each) if p.service == number]
            if fit is None or not mine:
                continue
            learnt = [placed[device][place].idle_uw for device, place in mine]
            powers = idle_powers_uw(fit, learnt, [energy[device] for device, _ in mine])
            for (device, place), power in zip(mine, powers, strict=True):
                result[device][place] = replace(result[device][place], idle_uw=power)
        return {device: tuple(each) for device, each in result.items()}

    def _idle_w(
        self, devices: Sequence[tuple[str, float]], service: str, placed: dict[str, tuple[PlacedService, ...]]
    ) -> float | None:
        """Idle power [W] of all devices of a placement together, the service's share of each; None where one is not known."""
        total = 0.0
        for device, share in devices:
            mine = [each for each in placed.get(device, ()) if self.services[each.service] == service]
            if not mine or mine[0].idle_uw is None:
                return None
            total += mine[0].idle_uw / UW_PER_W * share
        return total

    def _lag_us(self, service: str, day: int) -> int:
        placement = placement_of(self.held, service, day)
        said = self.fits.day(placement, day, self.inputs, self.devices) if placement is not None else None
        return round(said.lag_s * US_PER_S) if said is not None else 0

    def _cpu_time(self, day: int, index: dict[str, int]) -> dict[str, CpuTime]:
        if not self.groups:
            return {}
        spans = cpu_times(self.view, self.name, day)
        services: dict[int, EnergyIntervals] = {}
        for service, groups in self.groups.items():
            known = [spans[group] for group in groups if group in spans]
            if known:
                services[index[service]] = _sum_intervals(known)
        if not services or BUSY not in spans or CAPACITY not in spans:
            return {}
        return {self.name: CpuTime(services, spans[BUSY], spans[CAPACITY])}


def _sum_intervals(spans: Sequence[EnergyIntervals]) -> EnergyIntervals:
    """Sum of spans that an agent took at the same instants; what only some of them have is left out."""
    if len(spans) == 1:
        return spans[0]
    common = functools.reduce(np.intersect1d, [each.start_us for each in spans])
    parts = [each[np.isin(each.start_us, common)] for each in spans]
    same = np.all([part.end_us == parts[0].end_us for part in parts], axis=0)
    first = parts[0][same]
    energy = sum(part.energy_uj[same] for part in parts)
    return EnergyIntervals(first.start_us, first.end_us, np.asarray(energy), first.covered_us, first.method)


def wasted_shares(
    known: ServiceLog, log: RequestLog, weights: EnergyWeights, day: int
) -> dict[tuple[str, str, str], tuple[float, int]]:
    """By (use case, model, status): part of the model energy of a day in requests that served nobody, and their number."""
    if not known.wasted:
        return {}
    everyone = np.arange(len(log))
    start, end = np.maximum(log.start_us, day * US_PER_DAY), np.minimum(log.end_us, (day + 1) * US_PER_DAY)
    energy = np.where(end > start, weights.model_energy(everyone, start, np.maximum(end, start)), 0.0)
    whole = np.bincount(log.key, weights=energy, minlength=len(known.keys))
    ends_here = (log.end_us > day * US_PER_DAY) & (log.end_us <= (day + 1) * US_PER_DAY)
    found = {}
    for status, places in sorted(known.wasted.items()):
        part = np.bincount(log.key[places], weights=energy[places], minlength=len(known.keys))
        count = np.bincount(log.key[places], weights=(log.weight * ends_here)[places], minlength=len(known.keys))
        for key, name in enumerate(known.keys):
            if part[key] > 0 or count[key] > 0:
                share = float(part[key] / whole[key]) if whole[key] > 0 else 0.0
                found[*name, status] = share, round(float(count[key]))
    return found


def _split_status(split: SplitDiagnostics) -> str:
    return split.diagnosis.status if split.diagnosis is not None else ""


def _host_facts(basis: CalculationBasis, embodied_ug_per_s: float) -> HostFacts:
    return HostFacts(basis.uplift[0], basis.uplift_assumed, basis.pue[0], basis.pue_assumed, embodied_ug_per_s)


def _main_method(spans: EnergyIntervals) -> str:
    """How most of the energy was read; a bridged counter is a counter."""
    energy = np.bincount(spans.method, weights=spans.energy_uj, minlength=len(METHODS))
    energy[COUNTER] += energy[BRIDGED]
    energy[BRIDGED] = 0
    return METHODS[int(np.argmax(energy))]
