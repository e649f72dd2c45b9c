"""Attribution over frames of readings, placements and requests, for notebooks.

Uses the functions of the service on data in memory, without store or configuration.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from footprint.aggregation.fleet import ServicePlacement, place_service
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
from footprint.attribution.step.day_statistics import DayStatistics, MeteredSpan, TimedLog, day_statistics
from footprint.attribution.step.model import Diagnosis, FitData, StepWeights, fit_placement, idle_powers_uw
from footprint.attribution.token_weights import DeclaredWeights, token_weight
from footprint.config.models import FOREVER_US
from footprint.core.assumptions import assumption
from footprint.core.records import FootprintError
from footprint.core.units import S_PER_HOUR, US_PER_DAY, US_PER_S, UW_PER_W
from footprint.ledger.placements import Tenure

ENERGY = ("active_uj", "idle_uj", "host_uj", "facility_uj")
_Intervals = dict[tuple[str, str], tuple[str, EnergyIntervals]]  # (host, device) -> component, energy
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
    fits = _ServiceFits(intervals, placed, logs, window_s * US_PER_S)
    for host in hosts:
        facts = HostFacts(_value_for_host(uplift, host), False, _value_for_host(pue, host), False)
        for day in fits.days(place for place in intervals if place[0] == host):
            rows, day_diagnoses = _attribute_day(fits, host, day, facts, every_s * US_PER_S)
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


@dataclass(frozen=True, slots=True)
class _DividedDay:
    """How the energy of a service is divided on a day, with the idle power of its devices [µW]."""

    service_input: ServiceInput
    diagnosis: Diagnosis | None
    idle_uw: dict[tuple[str, str], int | None]


class _ServiceFits:
    """Fits of services day by day, on all their hosts; the fit of a day uses all days up to it."""

    def __init__(self, intervals: _Intervals, placements: list[_Placement], logs: dict[str, _ServiceLog], window_us: int) -> None:
        self.intervals, self.placements, self.logs, self.window_us = intervals, placements, logs, window_us
        self.tenures: dict[str, list[Tenure]] = {}
        for p in placements:
            self.tenures.setdefault(p.host, []).append(Tenure(p.service, p.device, p.share, p.since_us, p.until_us))
        self.divide = functools.cache(self._divide)
        self._day = functools.cache(self._read_day)

    def _places(self, service: str) -> list[tuple[str, str]]:
        return sorted({(placement.host, placement.device) for placement in self.placements if placement.service == service})

    def days(self, places: Iterable[tuple[str, str]]) -> list[int]:
        """UTC days with energy of any of these devices, sorted."""
        days: set[int] = set()
        for place in places:
            if place in self.intervals:
                series = self.intervals[place][1]
                days.update(range(int(series.start_us[0]) // US_PER_DAY, (int(series.end_us[-1]) - 1) // US_PER_DAY + 1))
        return sorted(days)

    def _placement(self, service: str, day: int) -> ServicePlacement | None:
        read = {host for host, device in self.intervals if day in self.days([(host, device)])}
        tenures = {host: tenures for host, tenures in self.tenures.items() if host in read}
        hosts = {host for host, _ in self._places(service)}
        placement = place_service(service, tenures, day, alone=len(hosts) == 1)
        return placement and replace(placement, unread=len(hosts - read))

    def _read_day(self, service: str, day: int) -> tuple[DayStatistics, TimedLog, dict[tuple[str, str], IdleHistograms]] | None:
        placement, service_log = self._placement(service, day), self.logs[service]
        if placement is None:
            return None
        spans = []
        for span in placement.spans:
            series = [
                replace(part, energy_uj=np.floor(part.energy_uj * share).astype(np.int64))
                for part, share in ((self._series(host, device), share) for host, device, share in span.devices)
            ]
            size = sum(share for _, _, share in span.devices)
            hosts = len(span.hosts) + placement.unread
            spans.append(MeteredSpan(tuple(series), span.since_us, span.until_us, size, hosts))
        names = ["/".join(key) for key in service_log.keys]
        statistics, timed = day_statistics(service_log.log, names, spans, day * US_PER_DAY, self.window_us)
        bounds = day * US_PER_DAY, (day + 1) * US_PER_DAY
        log = widen_counts(shift_log(service_log.log, round(statistics.lag_s * US_PER_S)))
        concurrency = ConcurrencyTimeline(log, np.array(bounds, dtype=np.int64))
        histograms = {}
        for p in self.placements:
            if p.service == service:
                series_ = self._series(p.host, p.device)
                tenure = series_[(series_.start_us >= p.since_us) & (series_.end_us <= p.until_us)]
                hosts = len(placement.hosts) + placement.unread
                histograms[p.host, p.device] = idle_histograms(tenure, concurrency, bounds, None, hosts)
        return statistics, timed, histograms

    def _series(self, host: str, device: str) -> EnergyIntervals:
        return self.intervals.get((host, device), ("", EnergyIntervals.empty()))[1]

    def _divide(self, service: str, day: int) -> _DividedDay:
        service_log, placement = self.logs[service], self._placement(service, day)
        earlier = [read_day for read_day in self.days(self._places(service)) if read_day <= day]
        read_days = [(read_day, self._day(service, read_day)) for read_day in earlier]
        placements = {read_day: self._placement(service, read_day) for read_day in earlier}
        layouts = {read_day: place.layout for read_day, place in placements.items() if place is not None}
        known = [read for read_day, read in read_days if read is not None and placement and layouts[read_day] == placement.layout]
        powers = {
            place: idle_power_uw([read[2][place] for _, read in read_days if read is not None]) for place in self._places(service)
        }
        fit, log = None, service_log.log
        if known and placement is not None:
            last, timed, _ = known[-1]
            shares = [(powers[host, device], share) for host, device, share in placement.largest.devices]
            idle_w = None if any(uw is None for uw, _ in shares) else sum(uw * share for uw, share in shares if uw) / UW_PER_W
            hosts = len(placement.hosts) + placement.unread
            data = FitData.from_days([statistics for statistics, _, _ in known])
            fit = fit_placement(data, idle_w, replicas=hosts > 1, unread=placement.unread)
            energy_uj = [int(self._series(*place).energy_uj.sum()) for place in powers]
            fitted_uw = idle_powers_uw(fit, list(powers.values()), energy_uj)
            powers = dict(zip(powers, fitted_uw, strict=True))
            log = shift_log(service_log.log, round(last.lag_s * US_PER_S))
            if fit.fit is not None:
                weights = StepWeights(log, timed, fit)
                service_input = ServiceInput(service, service_log.keys, log, weights, (), weights.half_widths)
                return _DividedDay(service_input, fit.diagnosis, powers)
        w_in = assumption("weight_input_token")
        scenarios = DeclaredWeights(log, w_in.low), DeclaredWeights(log, w_in.high)
        service_input = ServiceInput(service, service_log.keys, log, DeclaredWeights(log), scenarios)
        return _DividedDay(service_input, fit.diagnosis if fit is not None else None, powers)


def _attribute_day(
    fits: _ServiceFits, host: str, day: int, facts: HostFacts, every_us: int
) -> tuple[pd.DataFrame, dict[str, Diagnosis]]:
    """Rows of a host on a day, and the diagnosis of the split of each service."""
    start, end = day * US_PER_DAY, (day + 1) * US_PER_DAY
    placements = [placement for placement in fits.placements if placement.host == host and placement.service in fits.logs]
    services = sorted({placement.service for placement in placements})
    divided = {service: fits.divide(service, day) for service in services}
    devices = [
        DeviceInput(
            host,
            device,
            component,
            intervals,
            tuple(
                PlacedService(
                    services.index(placement.service),
                    placement.share,
                    placement.since_us,
                    placement.until_us,
                    divided[placement.service].idle_uw.get((host, device)),
                )
                for placement in placements
                if placement.device == device
            ),
        )
        for (name, device), (component, intervals) in sorted(fits.intervals.items())
        if name == host
    ]
    edges = {edge for placement in placements for edge in (placement.since_us, placement.until_us) if start < edge < end}
    shard = ShardInput(
        slots_us=np.arange(start, end + 1, every_us, dtype=np.int64),
        segments_us=np.array([start, *sorted(edges)], dtype=np.int64),
        window_us=fits.window_us,
        devices=devices,
        services=[divided[service].service_input for service in services],
        facts=lambda *_: facts,
    )
    rows = attribute(shard).rows
    rows["interval_start"] = pd.to_datetime(shard.slots_us[rows["slot"].to_numpy()], unit="us", utc=True)
    diagnoses = {service: day_.diagnosis for service, day_ in divided.items() if day_.diagnosis is not None}
    return rows.groupby(list(KEYS), as_index=False, sort=True)[list(ENERGY)].sum(), diagnoses


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
