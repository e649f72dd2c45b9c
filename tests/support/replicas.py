"""Split of simulated replicas, not routed and routed, compared with their true energies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats
from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.attribution.idle import idle_histograms, idle_power_uw
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog, shift_log
from footprint.attribution.split import split_placement
from footprint.attribution.step.day_statistics import DayStatistics, MeteredSpan, TimedLog, day_statistics
from footprint.attribution.step.model import Diagnosis, FitData, StepWeights, fit_placement, idle_powers_uw
from tests.simulation.replicas import Fleet, simulate_fleet
from tests.simulation.server import DAY_S, Day
from tests.support.step_fits import WINDOW_US, S, intervals_of, log_of

HOURS = np.arange(0, (DAY_S + 1) * S, 3600 * S, dtype=np.int64)


@dataclass(frozen=True)
class ReplicaAccuracy:
    """Shares by use case of the rows of all hosts and of the simulation, with relative half-widths; empty where refused."""

    diagnosis: Diagnosis
    shares: Floats
    truth: Floats
    half_widths: Floats

    @property
    def total(self) -> float:
        """Sum of the absolute errors of shares."""
        return float(np.abs(self.shares - self.truth).sum())

    def misses(self) -> list[float]:
        """Error over half-width of each use case above 0.5 % of the energy: at most 1 where the interval holds the truth."""
        ratio = np.abs(self.shares - self.truth) / np.maximum(self.half_widths * self.shares, 1e-12)
        return ratio[self.truth > 0.005].tolist()


def replica_accuracy(fleet: Fleet, seed: int, *, routed: bool) -> ReplicaAccuracy:
    """Attribute a simulated day of several hosts behind one log; ``routed`` is whether the log names the host of a request."""
    days = simulate_fleet(fleet, seed)
    devices = [intervals_of(day, 100 * seed + number) for number, day in enumerate(days)]
    devices[-1] = [intervals[intervals.end_us <= fleet.leaves_s * S] for intervals in devices[-1]]
    truth = np.sum([np.bincount(d.use_case, weights=d.true_j, minlength=len(fleet.server.kinds)) for d in days], axis=0)
    active, half, diagnosis = _routed(fleet, days, devices) if routed else _pooled(fleet, days, devices)
    return ReplicaAccuracy(diagnosis, active / max(active.sum(), 1e-12), truth / truth.sum(), half)


def _pooled(fleet: Fleet, days: list[Day], devices: list[list[EnergyIntervals]]) -> tuple[Floats, Floats, Diagnosis]:
    log = _joined([log_of(day) for day in days])
    hosts, each, end = len(days), fleet.server.devices, DAY_S * S
    leaves = round(fleet.leaves_s * S)
    flat = [intervals for own in devices for intervals in own]
    spans = [MeteredSpan(tuple(flat), 0, leaves, hosts * each, hosts)]
    if leaves < end:
        spans.append(MeteredSpan(tuple(flat[:-each]), leaves, end, (hosts - 1) * each, hosts - 1))
    statistics, timed = day_statistics(log, _names(fleet), spans, 0, WINDOW_US)
    powers = _idle_powers(log, flat, hosts)
    fit = fit_placement(FitData.from_days([statistics]), _total_w(powers), replicas=True)
    if fit.fit is None:
        return np.zeros(len(_names(fleet))), np.zeros(len(_names(fleet))), fit.diagnosis
    powers = idle_powers_uw(fit, powers, [int(intervals.energy_uj.sum()) for intervals in flat])
    weights = StepWeights(log, timed, fit)
    return _active(log, flat, powers, weights, len(_names(fleet))), weights.half_widths, fit.diagnosis


def _routed(fleet: Fleet, days: list[Day], devices: list[list[EnergyIntervals]]) -> tuple[Floats, Floats, Diagnosis]:
    read: list[tuple[RequestLog, DayStatistics, TimedLog]] = []
    for day, own in zip(days, devices, strict=True):
        log = log_of(day)
        span = MeteredSpan(tuple(own), 0, round(fleet.leaves_s * S) if day is days[-1] else DAY_S * S, len(own))
        read.append((log, *day_statistics(log, _names(fleet), [span], 0, WINDOW_US)))
    learnt = [_idle_powers(log, own, 1) for (log, _, _), own in zip(read, devices, strict=True)]
    data = FitData.from_days([statistics for _, statistics, _ in read], list(range(len(read))))
    fit = fit_placement(data, [_total_w(powers) for powers in learnt])
    names = _names(fleet)
    if fit.fit is None:
        return np.zeros(len(names)), np.zeros(len(names)), fit.diagnosis
    active, square = np.zeros(len(names)), np.zeros(len(names))
    for number, ((log, statistics, timed), own, powers) in enumerate(zip(read, devices, learnt, strict=True)):
        own_fit = fit.of_host(number, len(own), statistics)
        fitted = idle_powers_uw(own_fit, powers, [int(intervals.energy_uj.sum()) for intervals in own])
        weights = StepWeights(shift_log(log, round(statistics.lag_s * S)), timed, own_fit)
        part = _active(log, own, fitted, weights, len(names))
        active += part
        square += part * weights.half_widths  # one fit for all hosts: errors are common
    return active, square / np.maximum(active, 1e-12), fit.diagnosis


def _names(fleet: Fleet) -> list[str]:
    return [kind.name for kind in fleet.server.kinds]


def _joined(logs: list[RequestLog]) -> RequestLog:
    log = RequestLog(*(np.concatenate([getattr(part, field) for part in logs]) for field in RequestLog.__slots__))
    return log[np.argsort(log.start_us, kind="stable")]


def _idle_powers(log: RequestLog, devices: list[EnergyIntervals], hosts: int) -> list[int | None]:
    timeline = ConcurrencyTimeline(log, HOURS)
    return [idle_power_uw([idle_histograms(own, timeline, (0, DAY_S * S), None, hosts)]) for own in devices]


def _total_w(powers: list[int | None]) -> float | None:
    return None if None in powers else sum(power or 0 for power in powers) / 1e6


def _active(log: RequestLog, devices: list[EnergyIntervals], powers: list[int | None], weights: StepWeights, keys: int) -> Floats:
    timeline, active = ConcurrencyTimeline(log, HOURS), np.zeros(keys)
    for intervals, power in zip(devices, powers, strict=True):
        rows = split_placement(intervals, power, timeline, weights, WINDOW_US, half_widths=weights.half_widths)
        served = rows.key >= 0
        active += np.bincount(rows.key[served], weights=rows.active_uj[served], minlength=keys)
    return active
