"""Attribution over frames of readings, placements and requests, for notebooks.

Uses the functions of the service on data in memory, without store or configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from footprint.attribution.array_types import Ints
from footprint.attribution.energy_intervals import (
    EnergyIntervals,
    Samples,
    fill_gaps,
    gap_limit_us,
    intervals_from_counter,
    intervals_from_power,
)
from footprint.attribution.idle import IdleHistograms, idle_histograms, idle_power_uw
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog, build_request_log, shift_log, widen_counts
from footprint.attribution.shard import DeviceInput, HostFacts, PlacedService, ServiceInput, ShardInput, attribute
from footprint.attribution.step.day_statistics import DayStatistics, TimedLog, day_statistics
from footprint.attribution.step.model import Diagnosis, StepWeights, fit_placement, idle_powers_uw
from footprint.attribution.token_weights import DeclaredWeights, token_weight
from footprint.config.models import FOREVER_US
from footprint.core.assumptions import assumption
from footprint.core.records import FootprintError
from footprint.core.units import S_PER_HOUR, US_PER_DAY, US_PER_S, UW_PER_W

ENERGY = ("active_uj", "idle_uj", "host_uj", "facility_uj")
KEYS = ("interval_start", "host", "device", "service", "use_case", "model")


class BadFrame(FootprintError):
    """A frame without a required column."""


@dataclass(frozen=True, slots=True)
class AttributionResult:
    """Attributed energy.

    ``rows`` has the columns KEYS, ENERGY [µJ, integers] and ``energy_uj``, their sum; ``diagnoses`` is by (service, host,
    UTC day).
    """

    rows: pd.DataFrame
    diagnoses: dict[tuple[str, str, int], Diagnosis]


def attribute_frames(
    readings: pd.DataFrame,
    placements: pd.DataFrame,
    requests: pd.DataFrame,
    *,
    uplift: float | Mapping[str, float] = 1.0,
    pue: float | Mapping[str, float] = 1.0,
    window_s: int = 300,
    every_s: int = S_PER_HOUR,
) -> AttributionResult:
    """Divide measured energy over the use cases of requests, into four parts [µJ, integers] that sum to the readings.

    Parameters
    ----------
    readings
        ``time`` (UTC, or seconds since 1970), ``host``, ``device``, ``component`` and ``energy_j`` (a cumulative
        counter) or ``power_w``.
    placements
        ``service``, ``host``, ``device``; optionally ``share`` of the device, ``since`` and ``until``.
    requests
        ``start``, ``end``, ``service``, ``use_case``; optionally ``model``, ``requests``, ``input_tokens``,
        ``cached_input_tokens``, ``output_tokens``, ``first_token``.
    uplift, pue
        Ratios [1] of all hosts, or by host.
    window_s, every_s
        Length [s] of a window of the fit and the split, and of an interval of the rows.

    Returns
    -------
    AttributionResult
        Rows by interval, host, device, service, use case and model [µJ]; diagnoses of the splits.

    Raises
    ------
    BadFrame
        If a column is missing.
    ClosureError
        If the rows do not sum to the readings: a bug in Footprint.
    """
    intervals = _read_intervals(readings)
    by_service = _require_columns(requests, "requests", _REQUESTS).groupby("service")
    logs = {str(name): _read_requests(group, window_s * US_PER_S) for name, group in by_service}
    placed = _read_placements(placements)
    hosts = sorted({host for host, _ in intervals})
    frames: list[pd.DataFrame] = []
    diagnoses: dict[tuple[str, str, int], Diagnosis] = {}
    for host in hosts:
        facts = HostFacts(_value_for_host(uplift, host), False, _value_for_host(pue, host), False)
        host_intervals = {device: series for (name, device), series in intervals.items() if name == host}
        attribution = _HostAttribution(
            host, host_intervals, [placement for placement in placed if placement.host == host], logs, window_s * US_PER_S
        )
        attribution.elsewhere = {placement.service for placement in placed if placement.host != host}
        for day in attribution.days():
            rows, day_diagnoses = attribution.attribute(day, facts, every_s * US_PER_S)
            frames.append(rows)
            diagnoses |= {(service, host, day): diagnosis for service, diagnosis in day_diagnoses.items()}
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*KEYS, *ENERGY])
    rows["energy_uj"] = rows[list(ENERGY)].sum(axis=1)
    return AttributionResult(rows, diagnoses)


_READINGS = ("time", "host", "device", "component")
_REQUESTS = ("start", "end", "service", "use_case")
_PLACEMENTS = ("service", "host", "device")


@dataclass(frozen=True, slots=True)
class _Placement:
    service: str
    host: str
    device: str
    share: float
    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class _ServiceLog:
    keys: tuple[tuple[str, str], ...]
    log: RequestLog


class _HostAttribution:
    """Attribution of one host, day by day; the fit of a day uses all days up to it."""

    def __init__(
        self,
        name: str,
        intervals: dict[str, tuple[str, EnergyIntervals]],
        placements: list[_Placement],
        logs: dict[str, _ServiceLog],
        window_us: int,
    ) -> None:
        self.name, self.intervals, self.placements, self.logs, self.window_us = name, intervals, placements, logs, window_us
        self.services = sorted({placement.service for placement in placements if placement.service in logs})
        self.statistics: dict[str, list[DayStatistics]] = {service: [] for service in self.services}
        self.idle_histograms: dict[tuple[str, str], list[IdleHistograms]] = {}
        self.elsewhere: set[str] = set()

    def days(self) -> list[int]:
        """UTC days with energy, sorted."""
        days: set[int] = set()
        for _, intervals in self.intervals.values():
            days.update(range(int(intervals.start_us[0]) // US_PER_DAY, (int(intervals.end_us[-1]) - 1) // US_PER_DAY + 1))
        return sorted(days)

    def attribute(self, day: int, facts: HostFacts, every_us: int) -> tuple[pd.DataFrame, dict[str, Diagnosis]]:
        """Rows of a day, and the diagnosis of the split of each service."""
        start, end = day * US_PER_DAY, (day + 1) * US_PER_DAY
        statistics = {service: self._add_day(service, day) for service in self.services}
        services, diagnoses = [], {}
        idle_uw: dict[tuple[str, str], int | None] = {}
        for service in self.services:
            service_log, (day_stats, timed_log) = self.logs[service], statistics[service]
            placements = [placement for placement in self.placements if placement.service == service]
            powers = [(self._idle_uw(placement), placement.share) for placement in placements]
            idle_w = None if any(uw is None for uw, _ in powers) else sum(uw * share for uw, share in powers if uw) / UW_PER_W
            fit = fit_placement(self.statistics[service], idle_w, replicas=service in self.elsewhere)
            diagnoses[service] = fit.diagnosis
            energy_uj = [
                int(self.intervals[placement.device][1].energy_uj.sum()) if placement.device in self.intervals else 0
                for placement in placements
            ]
            fitted_uw = idle_powers_uw(fit, [uw for uw, _ in powers], energy_uj)
            idle_uw |= {(service, placement.device): uw for placement, uw in zip(placements, fitted_uw, strict=True)}
            log = shift_log(service_log.log, round(day_stats.lag_s * US_PER_S))
            if fit.fit is not None:
                weights = StepWeights(log, timed_log, fit)
                services.append(ServiceInput(service, service_log.keys, log, weights, (), weights.half_widths))
            else:
                w_in = assumption("weight_input_token")
                alternatives = DeclaredWeights(log, w_in.low), DeclaredWeights(log, w_in.high)
                services.append(ServiceInput(service, service_log.keys, log, DeclaredWeights(log), alternatives))
        index = {service: number for number, service in enumerate(self.services)}
        devices = [
            DeviceInput(
                self.name,
                device,
                component,
                intervals,
                tuple(
                    PlacedService(
                        index[placement.service],
                        placement.share,
                        placement.since_us,
                        placement.until_us,
                        idle_uw[placement.service, placement.device],
                    )
                    for placement in self.placements
                    if placement.device == device and placement.service in index
                ),
            )
            for device, (component, intervals) in sorted(self.intervals.items())
        ]
        edges = {edge for placement in self.placements for edge in (placement.since_us, placement.until_us) if start < edge < end}
        shard = ShardInput(
            slots_us=np.arange(start, end + 1, every_us, dtype=np.int64),
            segments_us=np.array([start, *sorted(edges)], dtype=np.int64),
            window_us=self.window_us,
            devices=devices,
            services=services,
            facts=lambda *_: facts,
        )
        rows = attribute(shard).rows
        rows["interval_start"] = pd.to_datetime(shard.slots_us[rows["slot"].to_numpy()], unit="us", utc=True)
        return rows.groupby(list(KEYS), as_index=False, sort=True)[list(ENERGY)].sum(), diagnoses

    def _add_day(self, service: str, day: int) -> tuple[DayStatistics, TimedLog]:
        service_log = self.logs[service]
        placements = [placement for placement in self.placements if placement.service == service]
        placed_range = (
            max((placement.since_us for placement in placements), default=0),
            min((placement.until_us for placement in placements), default=FOREVER_US),
        )
        scaled = []
        for placement in placements:
            intervals = self.intervals.get(placement.device, ("", EnergyIntervals.empty()))[1]
            scaled.append(replace(intervals, energy_uj=np.floor(intervals.energy_uj * placement.share).astype(np.int64)))
        names = ["/".join(key) for key in service_log.keys]
        statistics, timed_log = day_statistics(service_log.log, names, scaled, placed_range, day * US_PER_DAY, self.window_us)
        self.statistics[service].append(statistics)
        bounds = day * US_PER_DAY, (day + 1) * US_PER_DAY
        concurrency = ConcurrencyTimeline(
            widen_counts(shift_log(service_log.log, round(statistics.lag_s * US_PER_S))), np.array(bounds, dtype=np.int64)
        )
        for placement in placements:
            intervals = self.intervals.get(placement.device, ("", EnergyIntervals.empty()))[1]
            tenure = intervals[(intervals.start_us >= placement.since_us) & (intervals.end_us <= placement.until_us)]
            self.idle_histograms.setdefault((service, placement.device), []).append(idle_histograms(tenure, concurrency, bounds))
        return statistics, timed_log

    def _idle_uw(self, placement: _Placement) -> int | None:
        return idle_power_uw(self.idle_histograms.get((placement.service, placement.device), []))


def _value_for_host(value: float | Mapping[str, float], host: str) -> float:
    return float(value[host]) if isinstance(value, Mapping) else float(value)


def _require_columns(frame: pd.DataFrame, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise BadFrame(f"{name} lack the column {', '.join(missing)}")
    return frame


def _instants_us(values: pd.Series) -> Ints:
    """Instants [µs] of a column of timestamps or of seconds since 1970; -1 for missing values."""
    if pd.api.types.is_numeric_dtype(values):
        seconds = values.astype("float64")
        return np.where(seconds.isna(), -1, np.rint(seconds.fillna(0) * US_PER_S)).astype(np.int64)
    times = pd.to_datetime(values, utc=True)
    micros = times.dt.as_unit("us").astype("int64").to_numpy()
    return np.where(times.isna(), -1, micros).astype(np.int64)


def _read_intervals(readings: pd.DataFrame) -> dict[tuple[str, str], tuple[str, EnergyIntervals]]:
    """Component and energy intervals of each (host, device)."""
    frame = _require_columns(readings, "readings", _READINGS)
    intervals_by_device: dict[tuple[str, str], tuple[str, EnergyIntervals]] = {}
    for (host, device), group in frame.groupby(["host", "device"]):
        parts = []
        for column, to_intervals in (("energy_j", intervals_from_counter), ("power_w", intervals_from_power)):
            if column not in group:
                continue
            rows = group[group[column].notna()]
            time = _instants_us(rows["time"])
            order = np.argsort(time, kind="stable")
            value = np.rint(rows[column].to_numpy(dtype=np.float64) * UW_PER_W).astype(np.int64)
            samples = Samples(time[order], value[order], np.full(len(time), -1), np.zeros(len(time), dtype=np.int64))
            parts.append(to_intervals(samples, gap_limit_us(np.diff(samples.time_us))))
        intervals = EnergyIntervals.empty()
        for part in parts:
            intervals = fill_gaps(intervals, part)
        if len(intervals):
            intervals_by_device[str(host), str(device)] = str(group["component"].iloc[0]), intervals
    return intervals_by_device


def _read_placements(placements: pd.DataFrame) -> list[_Placement]:
    frame = _require_columns(placements, "placements", _PLACEMENTS)
    since = _instants_us(frame["since"]) if "since" in frame else np.full(len(frame), -1)
    until = _instants_us(frame["until"]) if "until" in frame else np.full(len(frame), -1)
    share = frame["share"].fillna(1.0) if "share" in frame else pd.Series(np.ones(len(frame)))
    return [
        _Placement(
            str(service),
            str(host),
            str(device),
            float(share_value),
            max(int(since_us), 0),
            int(until_us) if until_us >= 0 else FOREVER_US,
        )
        for service, host, device, share_value, since_us, until_us in zip(
            frame["service"], frame["host"], frame["device"], share, since.tolist(), until.tolist(), strict=True
        )
    ]


def _read_requests(requests: pd.DataFrame, window_us: int) -> _ServiceLog:
    def counts(name: str, unknown: int) -> Ints:
        if name not in requests:
            return np.full(len(requests), unknown, dtype=np.int64)
        return requests[name].fillna(unknown).to_numpy(dtype=np.int64)

    model = requests["model"].fillna("") if "model" in requests else pd.Series("", index=requests.index)
    key, distinct = pd.MultiIndex.from_arrays([requests["use_case"], model]).factorize(sort=True)
    keys = tuple((str(use_case), str(name)) for use_case, name in distinct)
    input_tokens, cached_tokens, output_tokens = (
        counts("input_tokens", -1),
        counts("cached_input_tokens", -1),
        counts("output_tokens", -1),
    )
    first_token_us = (
        _instants_us(requests["first_token"]) if "first_token" in requests else np.full(len(requests), -1, dtype=np.int64)
    )
    log = build_request_log(
        _instants_us(requests["start"]),
        _instants_us(requests["end"]),
        key.astype(np.int64),
        counts("requests", 1),
        input_tokens,
        cached_tokens,
        output_tokens,
        first_token_us,
        window_us,
        token_weight(input_tokens, cached_tokens, output_tokens),
    )
    return _ServiceLog(keys, log[np.argsort(log.start_us, kind="stable")])
