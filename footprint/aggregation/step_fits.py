"""Step model of each service on one host, fitted on the statistics of its days.

The statistics of a day are additive and depend on that day's ledger only. They are stored with its fingerprint and computed again
only when the ledger has changed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import select

from footprint.aggregation.device_energy import DeviceEnergy
from footprint.aggregation.placements import Tenure
from footprint.aggregation.request_logs import ServiceLog, ServiceLogs
from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.attribution.idle import LEARNING_DAYS
from footprint.attribution.request_log import RequestLog, shift_log
from footprint.attribution.step.day_statistics import DayStatistics, TimedLog, day_statistics, time_log
from footprint.attribution.step.model import StepFit, StepWeights, fit_placement
from footprint.attribution.step.serialization import dump_statistics, load_statistics
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.ledger.ledger_view import LedgerView
from footprint.storage import schema
from footprint.storage.database import table

DayDevices = Callable[[int], Sequence[DeviceEnergy]]
Inputs = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class FittedPlacement:
    """Devices that a service held together on one host for the longest part of a day, and when [µs, µs)."""

    service: str
    devices: tuple[tuple[str, float], ...]  # device, share
    since_us: int
    until_us: int

    @property
    def key(self) -> str:
        """Key of the stored statistics: other devices are another placement."""
        return "step " + self.service + " " + " ".join(f"{device}*{share:g}" for device, share in self.devices)


def placement_of(tenures: Sequence[Tenure], service: str, day: int) -> FittedPlacement | None:
    """Devices that a service held for the longest part of a day; None where it held none."""
    start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
    own = [tenure for tenure in tenures if tenure.service == service and tenure.since_us < end_us and tenure.until_us > start_us]
    edges = sorted({start_us, end_us, *(e for h in own for e in (h.since_us, h.until_us) if start_us < e < end_us)})
    candidates: list[tuple[int, int, FittedPlacement]] = []
    for low, high in itertools.pairwise(edges):
        devices = tuple(sorted((h.device, h.share) for h in own if h.since_us <= low and h.until_us >= high))
        if devices:
            candidates.append((high - low, -low, FittedPlacement(service, devices, low, high)))
    return max(candidates, key=lambda tenure: tenure[:2])[2] if candidates else None


class StepFits:
    """Statistics and fits of the services of one host; new statistics are left in ``fresh`` to be stored.

    ``elsewhere`` are services that are placed on other hosts too.
    """

    def __init__(
        self, view: LedgerView, logs: ServiceLogs, host: str, tenures: Sequence[Tenure], window_us: int, elsewhere: set[str]
    ) -> None:
        self._view, self._logs, self._host, self._tenures, self._window_us = view, logs, host, tenures, window_us
        self._elsewhere = elsewhere
        self._known: dict[tuple[str, int], tuple[str, DayStatistics]] = {}
        self._timed_logs: dict[tuple[str, int], tuple[RequestLog, TimedLog]] = {}
        self.fresh: dict[tuple[str, int], tuple[str, str]] = {}

    @functools.cached_property
    def _texts(self) -> dict[tuple[str, int], tuple[str, str]]:
        """Stored statistics, read on first use."""
        target = table(schema.Statistics)
        prefix = f"{self._host}/step "
        rows = self._view.connection.execute(select(target).where(target.c.stream_key.startswith(prefix, autoescape=True)))
        return {(row.stream_key, row.day): (row.inputs, row.content) for row in rows}

    def log(self, service: str, devices: Sequence[DeviceEnergy], day: int) -> ServiceLog:
        """Log of a service around a day, over all the time that the devices' intervals of the day cover."""
        start_us, end_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        lows = [int(device.intervals.start_us[0]) for device in devices if len(device.intervals)]
        highs = [int(device.intervals.end_us[-1]) for device in devices if len(device.intervals)]
        return self._logs.between(service, min([start_us, *lows]), max([end_us, *highs]))

    def day(self, placement: FittedPlacement, day: int, inputs: Inputs, devices: DayDevices) -> DayStatistics | None:
        """Statistics of a placement on a day; None where the host has no readings."""
        fingerprint = inputs(day)
        if not fingerprint:
            return None
        key = f"{self._host}/{placement.key}", day
        if self._known.get(key, ("", None))[0] == fingerprint:
            return self._known[key][1]
        stored = self._texts.get(key, ("", ""))
        statistics = load_statistics(stored[1]) if stored[0] == fingerprint else None
        if statistics is None:
            statistics = self._learn(placement, day, devices(day))
            self.fresh[key] = (fingerprint, dump_statistics(statistics))
        self._known[key] = (fingerprint, statistics)
        return statistics

    def _learn(self, placement: FittedPlacement, day: int, devices: Sequence[DeviceEnergy]) -> DayStatistics:
        service_log = self.log(placement.service, devices, day)
        names = [_key_name(key) for key in service_log.keys]
        intervals = _placement_intervals(placement, devices)
        statistics, timed = day_statistics(
            service_log.log, names, intervals, (placement.since_us, placement.until_us), day * US_PER_DAY, self._window_us
        )
        self._timed_logs = {(placement.key, day): (service_log.log, timed)}
        return statistics

    def fit(
        self, placement: FittedPlacement, day: int, inputs: Inputs, devices: DayDevices, idle_w: float | None
    ) -> tuple[StepFit, StepWeights | None, RequestLog]:
        """Fit of a day, the weights of its log where the fit is valid, and the log with its clock corrected."""
        service_log = self.log(placement.service, devices(day), day)
        days = []
        for earlier_day in range(day - LEARNING_DAYS + 1, day + 1):
            earlier_placement = placement_of(self._tenures, placement.service, earlier_day)
            if earlier_placement is not None and earlier_placement.devices == placement.devices:
                statistics = self.day(earlier_placement, earlier_day, inputs, devices)
                if statistics is not None and len(statistics.windows):
                    days.append(statistics)
        last = self.day(placement, day, inputs, devices)
        if not days or last is None or days[-1] is not last:
            days = [*days, last] if last is not None else days
        step_fit = fit_placement(days, idle_w, replicas=placement.service in self._elsewhere)
        log = shift_log(service_log.log, round(step_fit.diagnosis.lag_s * US_PER_S))
        if step_fit.fit is None:
            return step_fit, None, log
        return step_fit, StepWeights(log, self._time_log(placement, day, service_log, step_fit), step_fit), log

    def _time_log(self, placement: FittedPlacement, day: int, service_log: ServiceLog, step_fit: StepFit) -> TimedLog:
        log, timed = self._timed_logs.get((placement.key, day), (None, None))
        if log is service_log.log and timed is not None:
            return timed
        edges = _window_edges(day, self._window_us)
        names = [_key_name(key) for key in service_log.keys]
        return time_log(service_log.log, names, day * US_PER_DAY, edges, step_fit.diagnosis.lag_s, step_fit.diagnosis.late_s)


def _window_edges(day: int, window_us: int) -> Ints:
    return np.arange(day * US_PER_DAY, (day + 1) * US_PER_DAY + 1, window_us, dtype=np.int64)


def _key_name(key: tuple[str, str]) -> str:
    return "/".join(key)


def _placement_intervals(placement: FittedPlacement, devices: Sequence[DeviceEnergy]) -> list[EnergyIntervals]:
    """Intervals of the devices of a placement, the service's share of each; empty for a device that was not read."""
    by_name = {device.device: device.intervals for device in devices}
    parts = []
    for device, share in placement.devices:
        intervals = by_name.get(device, EnergyIntervals.empty())
        parts.append(
            replace(intervals, energy_uj=np.floor(intervals.energy_uj * share).astype(np.int64)) if share < 1 else intervals
        )
    return parts
