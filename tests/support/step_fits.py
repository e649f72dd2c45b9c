"""Attribution of a simulated day of one service, compared with its true energies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats
from footprint.attribution.energy_intervals import EnergyIntervals, Samples, intervals_from_counter
from footprint.attribution.idle import idle_histograms, idle_power_uw
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog, shift_log, widen_counts
from footprint.attribution.split import split_placement
from footprint.attribution.step.day_statistics import DayStatistics, MeteredSpan, TimedLog, day_statistics
from footprint.attribution.step.model import Diagnosis, FitData, StepWeights, fit_placement, idle_powers_uw
from tests.simulation.server import DAY_S, VARIANTS, Day, Server, counters_j, random_server, simulate

S = 1_000_000
WINDOW_US = 300 * S


def server(name: str) -> Server:
    """Server variant of a name, or a random server for a number."""
    return VARIANTS[name] if name in VARIANTS else random_server(int(name))


def log_of(day: Day, *, first_token: bool = False) -> RequestLog:
    """Request log of a gateway, with millisecond resolution."""

    def us(seconds: Floats) -> np.ndarray:  # type: ignore[type-arg]
        return np.rint(seconds * 1e3).astype(np.int64) * 1000

    count = len(day.start_s)
    first = us(day.first_s) if first_token else np.full(count, -1)
    return RequestLog(
        us(day.start_s),
        np.maximum(us(day.end_s), us(day.start_s) + 1),
        day.use_case.astype(np.int64),
        np.ones(count),
        day.input_tokens,
        day.cached_tokens,
        day.output_tokens,
        first,
        np.zeros(count, dtype=bool),
    )


def counts_of(day: Day, *, tokens: bool = True, window_s: int = 60) -> RequestLog:
    """Request log as counts per minute and use case, at completion."""
    window = (day.end_s // window_s).astype(np.int64)
    groups, group_index = np.unique(window * 100 + day.use_case, return_inverse=True)
    requests = np.bincount(group_index)
    columns = [
        np.bincount(group_index, weights=tokens_of).astype(np.int64)
        for tokens_of in (day.input_tokens, day.cached_tokens, day.output_tokens)
    ]
    if not tokens:
        columns = [np.full(len(groups), -1)] * 3
    return RequestLog(
        groups // 100 * window_s * S,
        (groups // 100 + 1) * window_s * S,
        groups % 100,
        requests.astype(np.float64),
        *columns,
        np.full(len(groups), -1),
        np.zeros(len(groups), dtype=bool),
    )


def intervals_of(day: Day, seed: int) -> list[EnergyIntervals]:
    """Energy intervals of each device, from its counter once a second."""
    intervals = []
    for row in np.rint(counters_j(day, seed) * 1e6).astype(np.int64):
        count = DAY_S + 1
        samples = Samples(np.arange(count, dtype=np.int64) * S, row, np.full(count, -1), np.zeros(count, dtype=np.int64))
        intervals.append(intervals_from_counter(samples, 5 * S))
    return intervals


@dataclass(frozen=True)
class SplitAccuracy:
    """Shares by use case from the split and from the simulation, with relative half-widths and the diagnosis of the fit."""

    diagnosis: Diagnosis
    shares: Floats
    truth: Floats
    half_widths: Floats
    model: Floats
    statistics: DayStatistics
    timed: TimedLog

    @property
    def total(self) -> float:
        """Sum of the absolute errors of shares."""
        return float(np.abs(self.shares - self.truth).sum())

    @property
    def worst(self) -> float:
        """Largest relative error of a use case above 2 % of the energy."""
        big = self.truth > 0.02
        return float((np.abs(self.shares - self.truth) / self.truth)[big].max())

    def covers_truth(self) -> list[bool]:
        """Whether the interval contains the true share, for each use case above 0.5 % of the energy."""
        inside = np.abs(self.model - self.truth) <= self.half_widths * self.model
        return inside[self.truth > 0.005].tolist()


def split_accuracy(
    name: str, seed: int, change: Callable[[Day], RequestLog] = log_of, *, idle: float | None = None
) -> SplitAccuracy:
    """Attribute one simulated day; ``change`` makes the request log, ``idle`` is a declared idle power relative to the true one."""
    law = server(name)
    day = simulate(law, seed)
    log, devices = change(day), intervals_of(day, seed)
    names = [kind.name for kind in law.kinds]
    statistics, timed = day_statistics(log, names, [MeteredSpan(tuple(devices), size=law.devices)], 0, WINDOW_US)
    log = shift_log(log, round(statistics.lag_s * S))
    hours = np.arange(0, (DAY_S + 1) * S, 3600 * S, dtype=np.int64)
    doubt = ConcurrencyTimeline(widen_counts(log), hours)
    powers = [idle_power_uw([idle_histograms(intervals, doubt, (0, DAY_S * S))]) for intervals in devices]
    if idle is not None:
        powers = [round(law.idle_w * idle * 1e6)] * law.devices
    idle_w = None if None in powers else sum(power or 0 for power in powers) / 1e6
    fit = fit_placement(FitData.from_days([statistics]), idle_w)
    truth = day.truth()
    nothing = np.zeros(len(names))
    if fit.fit is None:
        return SplitAccuracy(fit.diagnosis, nothing, truth, nothing, nothing, statistics, timed)
    powers = idle_powers_uw(fit, powers, [int(intervals.energy_uj.sum()) for intervals in devices])
    weights = StepWeights(log, timed, fit)
    active = np.zeros(len(names))
    timeline = ConcurrencyTimeline(log, hours)
    for intervals, power in zip(devices, powers, strict=True):
        rows = split_placement(intervals, power, timeline, weights, WINDOW_US, half_widths=weights.half_widths)
        served = rows.key >= 0
        active += np.bincount(rows.key[served], weights=rows.active_uj[served], minlength=len(names))
    return SplitAccuracy(
        fit.diagnosis, active / active.sum(), truth, weights.half_widths, weights.shares(fit.fit), statistics, timed
    )


def meter(day: Day, seed: int) -> list[MeteredSpan]:
    """The devices of a simulated day, as one meter."""
    return [MeteredSpan(tuple(intervals_of(day, seed)), size=day.server.devices)]
