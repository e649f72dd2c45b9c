"""Step model of each service, fitted on the statistics of its days: one fit for all hosts of the run.

Hosts behind one log that does not name them are one meter. Where the requests of a day name the host that served them, each host
is a meter of its own requests, and hosts of one layout are fitted together, each with its own idle power. The statistics of a
day are additive and depend on that day's ledger only. They are stored with its fingerprint and computed again only when the
ledger has changed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import select

from footprint.aggregation import METHOD_REVISION, METHOD_VERSION
from footprint.aggregation.bounded_cache import BoundedCache
from footprint.aggregation.device_energy import DeviceEnergy
from footprint.aggregation.fleet import Fleet, PlacedSpan, ServicePlacement
from footprint.aggregation.idle_power import IdlePowerEstimator, quiet_timeline
from footprint.aggregation.request_logs import ServiceLog, ServiceLogs
from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.attribution.idle import LEARNING_DAYS
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog, shift_log
from footprint.attribution.step.day_statistics import DayStatistics, MeteredSpan, TimedLog, day_statistics, host_count, time_log
from footprint.attribution.step.model import FitData, StepFit, StepWeights, fit_placement
from footprint.attribution.step.serialization import dump_statistics, load_statistics
from footprint.core.units import US_PER_DAY, US_PER_HOUR, US_PER_S, UW_PER_W
from footprint.ledger.ledger_view import fingerprint
from footprint.storage import schema
from footprint.storage.database import table

LOG_MARGIN_US = 2 * US_PER_HOUR  # of the log of a day, so that idle power and the fit read the same log
MIN_ROUTED_SHARE = 0.95  # of a day's requests that name their host, above which each host is fitted on its own
MAX_CACHED_DAYS, MAX_CACHED_REQUESTS = 24, 300_000  # about 500 bytes each


@dataclass(frozen=True, slots=True)
class DividedLog:
    """Requests of a service that one host's energy is divided over on a day, and the fit.

    ``weights`` is None where the fit is refused; ``log`` has its clock corrected.
    """

    service_log: ServiceLog
    log: RequestLog
    fit: StepFit | None = None
    weights: StepWeights | None = None
    meter: int = 0  # number of the host's meter in the fit


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """How a service divides the energy of a host on a day, and what the log's clock is off by [s].

    ``fit`` is that of all meters, ``meter`` the number of the host's; ``of_log`` and ``of_host`` are the fit for the log and for
    the host. ``routed``: the requests name the hosts that served them. ``layout`` names the devices.
    """

    fit: StepFit
    meter: int
    of_log: StepFit
    of_host: StepFit
    lag_s: float
    late_s: float
    routed: bool
    layout: str


class StepFits:
    """Statistics and fits of the services of a run; new statistics are left in ``fresh`` to be stored."""

    def __init__(self, fleet: Fleet, logs: ServiceLogs) -> None:
        self._fleet, self._logs = fleet, logs
        self._view, self._config = fleet.view, fleet.config
        self._window_us = self._config.window_s * US_PER_S
        self._known: dict[tuple[str, int], tuple[str, DayStatistics]] = {}
        self._timed_logs = BoundedCache[tuple[str, int], tuple[RequestLog, TimedLog]](
            MAX_CACHED_REQUESTS, lambda pair: len(pair[0])
        )
        self._divided = BoundedCache[tuple[object, ...], DividedLog](MAX_CACHED_REQUESTS, lambda divided: len(divided.log))
        self.fresh: dict[tuple[str, int], tuple[str, str]] = {}
        self._idle_powers: dict[str, IdlePowerEstimator] = {}
        # The logs beside the timeline keep their ids from being used again.
        self._quiet: tuple[tuple[tuple[int, int], ...], list[RequestLog], ConcurrencyTimeline] | None = None
        self.rules = METHOD_VERSION, METHOD_REVISION, self._config.facts_digest()
        self._texts = functools.cache(self._read_texts)
        self._fit = functools.lru_cache(maxsize=MAX_CACHED_DAYS)(self._fit_meters)
        self._routed = functools.cache(self._is_routed)

    def _read_texts(self, stream_key: str) -> dict[int, tuple[str, str]]:
        """Stored statistics of a meter by day: fingerprint and content."""
        target = table(schema.Statistics)
        statement = select(target.c.day, target.c.inputs, target.c.content).where(target.c.stream_key == stream_key)
        if self._view.limits is not None:
            statement = statement.where(target.c.day.between(*self._view.limits))
        return {row.day: (row.inputs, row.content) for row in self._view.connection.execute(statement)}

    def log(self, service: str, day: int, devices: Sequence[DeviceEnergy], host: str) -> ServiceLog:
        """Requests that a host's energy of a day is divided over, over all the time that the devices' intervals cover."""
        starts = [int(device.intervals.start_us[0]) for device in devices if len(device.intervals)]
        ends = [int(device.intervals.end_us[-1]) for device in devices if len(device.intervals)]
        whole = self._logs.between(
            service, min([day * US_PER_DAY - LOG_MARGIN_US, *starts]), max([(day + 1) * US_PER_DAY + LOG_MARGIN_US, *ends])
        )
        return self._logs.of_host(whole, host, self._hosts(service, day)) if self._routed(service, day) else whole

    def _hosts(self, service: str, day: int) -> tuple[str, ...]:
        placement = self._fleet.placement(service, day)
        return tuple(placement.hosts) if placement is not None else ()

    def _is_routed(self, service: str, day: int) -> bool:
        """Whether the requests of a day name which of several hosts served them."""
        hosts = self._hosts(service, day)
        if len(hosts) < 2:
            return False
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        whole = self._logs.between(service, start_us - LOG_MARGIN_US, end_us + LOG_MARGIN_US)
        inside = (whole.log.start_us >= start_us) & (whole.log.start_us < end_us)
        known = np.array([name in hosts for name in whole.hosts] + [False])
        return bool(inside.any() and known[whole.host[inside]].mean() >= MIN_ROUTED_SHARE)

    def statistics(self, service: str, day: int, host: str) -> DayStatistics | None:
        """Statistics of the meter that a host belongs to on a day; None where the service has none then."""
        placement = self._fleet.placement(service, day)
        if placement is None:
            return None
        meter = _meter(placement, host) if self._routed(service, day) else placement
        if not meter.spans:
            return None
        inputs = self._inputs(meter, day)
        key = meter.key, day
        if self._known.get(key, ("", None))[0] == inputs:
            return self._known[key][1]
        stored = self._texts(meter.key).get(day, ("", ""))
        statistics = load_statistics(stored[1]) if stored[0] == inputs else None
        if statistics is None:
            statistics = self._learn(meter, day, host)
            self.fresh[key] = (inputs, dump_statistics(statistics))
        self._known[key] = (inputs, statistics)
        return statistics

    def _inputs(self, placement: ServicePlacement, day: int) -> str:
        return fingerprint([*self.rules, placement.spans, placement.unread, self._fleet.service_data(placement.service, day)])

    def _learn(self, placement: ServicePlacement, day: int, host: str) -> DayStatistics:
        devices = {name: self._fleet.devices(name, day) for name in placement.hosts}
        service_log = self.log(placement.service, day, devices.get(host, []), host)
        names = [_key_name(key) for key in service_log.keys]
        spans = [_metered_span(span, devices, placement.unread) for span in placement.spans]
        statistics, timed = day_statistics(service_log.log, names, spans, day * US_PER_DAY, self._window_us)
        self._timed_logs.get((placement.key, day), lambda: (service_log.log, timed))
        return statistics

    def model(self, service: str, day: int, host: str) -> ServiceModel | None:
        """Model of a service on a host and day; None where the service held no device there, or nothing of it was read."""
        placement = self._fleet.placement(service, day)
        if placement is None or host not in placement.hosts:
            return None
        routed = self._routed(service, day)
        meter = _meter(placement, host) if routed else placement
        own = self.statistics(service, day, host)
        if own is None:
            return None
        # Any host of a meter asks for the same fit.
        hosts = self._siblings(meter, day) if routed else tuple(meter.hosts[:1])
        fit, number = self._fit(service, day, hosts), hosts.index(host) if routed else 0
        size = max(sum(share for _, share in span.of_host(host)) for span in placement.spans)
        # Stamps and counts are those of the meter's own log.
        own_fits = fit.of_host(number, 1.0, own), fit.of_host(number, size, own)
        return ServiceModel(fit, number, *own_fits, own.lag_s, own.late_s, routed, meter.layout)

    def divide_part(self, service: str, day: int, host: str, since_us: int, model: ServiceModel | None) -> DividedLog | None:
        """Requests of an open day from an instant on, by the model of another day; None where that is of other devices."""
        placement = self._fleet.placement(service, day)
        whole = self._logs.between(service, since_us - US_PER_HOUR, (day + 1) * US_PER_DAY)
        is_placed = placement is not None and host in placement.hosts
        if placement is None or model is None or not is_placed:
            return None if is_placed else DividedLog(whole, whole.log)
        meter = _meter(placement, host) if model.routed else placement
        if meter.layout != model.layout:
            return None
        service_log = self._logs.of_host(whole, host, tuple(placement.hosts)) if model.routed else whole
        log = shift_log(service_log.log, round(model.lag_s * US_PER_S))
        if model.fit.fit is None or not len(log):
            return DividedLog(service_log, log, model.of_host)

        def divided() -> DividedLog:
            edges = _window_edges(day, self._window_us)
            timed = self._place_log(meter, day, service_log, model, edges[edges >= since_us - self._window_us])
            return DividedLog(service_log, log, model.fit, StepWeights(log, timed, model.of_log), model.meter)

        part = self._divided.get((meter.key, day, id(service_log), id(model.fit)), divided)
        return replace(part, fit=model.of_host)

    def divide(self, service: str, day: int, host: str) -> DividedLog:
        """Requests, fit and weights of a service on a host and day."""
        service_log = self.log(service, day, self._fleet.devices(host, day), host)
        placement = self._fleet.placement(service, day)
        if placement is None or host not in placement.hosts or not self._has_requests(service_log, day, host):
            return DividedLog(service_log, service_log.log)
        meter = _meter(placement, host) if self._routed(service, day) else placement
        divided = self._divided.get((meter.key, day, id(service_log)), lambda: self._divide(meter, day, host, service_log))
        own = self.statistics(service, day, host)
        if divided.fit is None or own is None:
            return divided
        size = max(sum(share for _, share in span.of_host(host)) for span in placement.spans)
        return replace(divided, fit=divided.fit.of_host(divided.meter, size, own))

    def _has_requests(self, service_log: ServiceLog, day: int, host: str) -> bool:
        """Whether a request was in flight in the hours of a host's day; the log reaches beyond them."""
        intervals = [device.intervals for device in self._fleet.devices(host, day) if len(device.intervals)]
        low = min([day * US_PER_DAY, *(int(series.start_us[0]) for series in intervals)])
        high = max([(day + 1) * US_PER_DAY, *(int(series.end_us[-1]) for series in intervals)])
        low, high = low - low % US_PER_HOUR, high + -high % US_PER_HOUR
        return bool(((service_log.log.start_us < high) & (service_log.log.end_us >= low)).any())

    def _divide(self, meter: ServicePlacement, day: int, host: str, service_log: ServiceLog) -> DividedLog:
        model = self.model(meter.service, day, host)
        if model is None:
            return DividedLog(service_log, service_log.log)
        log = shift_log(service_log.log, round(model.lag_s * US_PER_S))
        if model.fit.fit is None:
            return DividedLog(service_log, log, model.fit, meter=model.meter)
        weights = StepWeights(log, self._time_log(meter, day, service_log, model), model.of_log)
        return DividedLog(service_log, log, model.fit, weights, model.meter)

    def _siblings(self, meter: ServicePlacement, day: int) -> tuple[str, ...]:
        """Hosts of the service that have the layout of a meter on a day, sorted."""
        placement = self._fleet.placement(meter.service, day)
        assert placement is not None
        layout = meter.layout.partition(" at ")[0]
        return tuple(name for name in placement.hosts if _meter(placement, name).layout.partition(" at ")[0] == layout)

    def _fit_meters(self, service: str, day: int, hosts: tuple[str, ...]) -> StepFit:
        """Fit of a day and the 27 before it, of the meters that these hosts are or belong to."""
        days: list[DayStatistics] = []
        meters: list[int] = []
        routed = self._routed(service, day)
        unread, spans = 0, []
        for number, host in enumerate(hosts):
            today = self._fleet.placement(service, day)
            assert today is not None
            meter = _meter(today, host) if routed else today
            unread = max(unread, meter.unread)
            spans.append(meter.largest)
            for earlier_day in range(day - LEARNING_DAYS + 1, day):
                placement = self._fleet.placement(service, earlier_day)
                if placement is None or self._routed(service, earlier_day) != routed:
                    continue
                earlier = _meter(placement, host) if routed else placement
                statistics = self.statistics(service, earlier_day, host) if earlier.layout == meter.layout else None
                if statistics is not None and len(statistics.windows):
                    unread = max(unread, earlier.unread)
                    days.append(statistics)
                    meters.append(number)
            last = self.statistics(service, day, host)
            assert last is not None
            days.append(last)
            meters.append(number)
        data = FitData.from_days(days, meters)
        powers: list[float | None] = [None] * len(spans)
        if data.is_pinned:
            # Learnt for the devices of today; the fit is for the largest number of devices of its days.
            scales = [
                largest / sum(share for _, _, share in span.devices) for largest, span in zip(data.sizes, spans, strict=True)
            ]
            learnt = [self._idle_w(service, span, day) for span in spans]
            powers = [power and power * scale for power, scale in zip(learnt, scales, strict=True)]
        placement = self._fleet.placement(service, day)
        several = not routed and placement is not None and len(placement.hosts) + unread > 1
        return fit_placement(data, powers, replicas=several, unread=0 if routed else unread)

    def _idle_w(self, service: str, span: PlacedSpan, day: int) -> float | None:
        """Learnt idle power [W] of all devices of a span together, the service's share of each; None where one is not known."""
        total = 0.0
        for host, device, share in span.devices:
            own = (t for t in self._fleet.host(host).tenures if (t.service, t.device) == (service, device))
            tenure = next((t for t in own if t.since_us <= span.since_us and t.until_us >= span.until_us), None)
            idle_uw = self.idle_power(host).idle_uw(tenure, day) if tenure is not None else None
            if idle_uw is None:
                return None
            total += idle_uw / UW_PER_W * share
        return total

    def idle_power(self, host: str) -> IdlePowerEstimator:
        """Idle powers of the devices of a host."""
        if host not in self._idle_powers:
            services = self._fleet.host(host).services

            def inputs(day: int) -> str:
                read = self._fleet.host(host).data(day, ())
                return fingerprint([*self.rules, self._fleet.data(host, day, tuple(services))]) if read else ""

            self._idle_powers[host] = IdlePowerEstimator(self._fleet, self, host, functools.cache(inputs))
        return self._idle_powers[host]

    def new_statistics(self) -> list[tuple[str, int, str, str]]:
        """Statistics computed since the last call: stream key, day, fingerprint, content."""
        records = [(key, day, inputs, content) for (key, day), (inputs, content) in sorted(self.fresh.items())]
        self.fresh.clear()
        for _, idle in sorted(self._idle_powers.items()):
            records += [
                (key, day, inputs, json.dumps(quiet.to_json(), separators=(",", ":")))
                for (key, day), (inputs, quiet) in sorted(idle.fresh.items())
            ]
            idle.fresh.clear()
        return records

    def pooled_hosts(self, service: str, day: int) -> int:
        """Number of hosts that serve the requests of a service without being named."""
        placement = self._fleet.placement(service, day)
        return len(placement.hosts) + placement.unread if placement is not None and not self._routed(service, day) else 1

    def quiet_timeline(
        self, services: tuple[str, ...], day: int, host: str, devices: Sequence[DeviceEnergy]
    ) -> ConcurrencyTimeline:
        """When requests of any of the services of a device may have run, with their clocks corrected."""
        logs = [(self.log(service, day, devices, host).log, self._clock_offset_us(service, day, host)) for service in services]
        key = tuple((id(log), offset_us) for log, offset_us in logs)
        if self._quiet is None or self._quiet[0] != key:
            self._quiet = key, [log for log, _ in logs], quiet_timeline(logs, day)
        return self._quiet[2]

    def _clock_offset_us(self, service: str, day: int, host: str) -> int:
        statistics = self.statistics(service, day, host)
        return round(statistics.lag_s * US_PER_S) if statistics is not None else 0

    def _time_log(self, placement: ServicePlacement, day: int, service_log: ServiceLog, model: ServiceModel) -> TimedLog:
        def place() -> tuple[RequestLog, TimedLog]:
            return service_log.log, self._place_log(placement, day, service_log, model, _window_edges(day, self._window_us))

        log, timed = self._timed_logs.get((placement.key, day), place)
        return timed if log is service_log.log else place()[1]

    @staticmethod
    def _place_log(
        placement: ServicePlacement, day: int, service_log: ServiceLog, model: ServiceModel, edges_us: Ints
    ) -> TimedLog:
        names = [_key_name(key) for key in service_log.keys]
        empty: dict[str, list[DeviceEnergy]] = {}
        hosts = host_count([_metered_span(span, empty, placement.unread) for span in placement.spans], day * US_PER_DAY)
        return time_log(service_log.log, names, day * US_PER_DAY, edges_us, model.lag_s, model.late_s, hosts)


def _meter(placement: ServicePlacement, host: str) -> ServicePlacement:
    """The part of a placement on one host, as a meter of its own."""
    spans = tuple(
        PlacedSpan(tuple((host, device, share) for device, share in span.of_host(host)), span.since_us, span.until_us)
        for span in placement.spans
        if span.of_host(host)
    )
    shares = "+".join(f"{share:g}" for share in sorted(share for _, share in spans[0].of_host(host))) if spans else ""
    return ServicePlacement(placement.service, f"{shares} at {host}", spans)


def _window_edges(day: int, window_us: int) -> Ints:
    return np.arange(day * US_PER_DAY, (day + 1) * US_PER_DAY + 1, window_us, dtype=np.int64)


def _key_name(key: tuple[str, str]) -> str:
    return "/".join(key)


def _metered_span(span: PlacedSpan, devices: dict[str, list[DeviceEnergy]], unread: int) -> MeteredSpan:
    """Intervals of the devices of a span, the service's share of each; empty for a device that was not read."""
    by_name = {
        (host, device.device): device.intervals[device.intervals.is_believed]
        for host, listed in devices.items()
        for device in listed
    }
    parts = []
    for host, device, share in span.devices:
        intervals = by_name.get((host, device), EnergyIntervals.empty())
        parts.append(
            replace(intervals, energy_uj=np.floor(intervals.energy_uj * share).astype(np.int64)) if share < 1 else intervals
        )
    size = sum(share for _, _, share in span.devices)
    return MeteredSpan(tuple(parts), span.since_us, span.until_us, size, len(span.hosts) + unread)
