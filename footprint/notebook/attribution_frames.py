"""This file is attribution for notebooks: frames of readings, placements and requests in, a frame of rows out.

It does what the service does, by the same functions, from data in memory: no store, no configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from footprint.attribution.energy_intervals import (
    EnergyIntervals,
    Samples,
    fill_gaps,
    gap_limit_us,
    intervals_from_counter,
    intervals_from_power,
)
from footprint.attribution.idle import IdleHistograms, idle_histograms, idle_power_uw
from footprint.attribution.largest_remainder import Ints
from footprint.attribution.request_log import ConcurrencyTimeline, RequestLog, build_request_log, shift_log, widen_counts
from footprint.attribution.shard import DeviceInput, HostFacts, PlacedService, ServiceInput, ShardInput, attribute
from footprint.attribution.step.day_statistics import DayStatistics, TimedLog, day_statistics
from footprint.attribution.step.model import Diagnosis, StepWeights, fit_days, idle_powers_uw
from footprint.attribution.token_weights import DeclaredWeights, token_weight
from footprint.core.assumptions import assumption
from footprint.core.records import FootprintError
from footprint.core.units import S_PER_HOUR, US_PER_DAY, US_PER_S, UW_PER_W

ENERGY = ("active_uj", "idle_uj", "host_uj", "facility_uj")
KEYS = ("interval_start", "host", "device", "service", "use_case", "model")
_FOREVER_US = 2**62


class BadFrame(FootprintError):
    """A frame without a column that is needed, or with a value that cannot be right."""


@dataclass(frozen=True, slots=True)
class AttributionResult:
    """``rows`` by KEYS with ENERGY [µJ, integers] and ``energy_uj``, their sum; ``diagnoses`` by (service, host, UTC day)."""

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
    """Divide the energy of readings over the use cases of requests: four parts [µJ, integers] that sum to what was read.

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
        Of every host, or by host.
    window_s, every_s
        Length of a window of the fit and the split, and of an interval of the rows.

    Raises
    ------
    BadFrame
        If a column is missing.
    ClosureError
        If rows would not sum to the readings: a fault of this program.
    """
    spans = _spans(readings)
    by_service = _need(requests, "requests", _REQUESTS).groupby("service")
    logs = {str(name): _log(group, window_s * US_PER_S) for name, group in by_service}
    held = _held(placements)
    hosts = sorted({host for host, _ in spans})
    frames: list[pd.DataFrame] = []
    diagnoses: dict[tuple[str, str, int], Diagnosis] = {}
    for host in hosts:
        facts = HostFacts(_of(uplift, host), False, _of(pue, host), False)
        mine = {device: found for (name, device), found in spans.items() if name == host}
        work = _Host(host, mine, [each for each in held if each.host == host], logs, window_s * US_PER_S)
        work.elsewhere = {each.service for each in held if each.host != host}
        for day in work.days():
            rows, found = work.attribute(day, facts, every_s * US_PER_S)
            frames.append(rows)
            diagnoses |= {(service, host, day): diagnosis for service, diagnosis in found.items()}
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*KEYS, *ENERGY])
    rows["energy_uj"] = rows[list(ENERGY)].sum(axis=1)
    return AttributionResult(rows, diagnoses)


_READINGS = ("time", "host", "device", "component")
_REQUESTS = ("start", "end", "service", "use_case")
_PLACEMENTS = ("service", "host", "device")


@dataclass(frozen=True, slots=True)
class _Held:
    service: str
    host: str
    device: str
    share: float
    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class _Log:
    keys: tuple[tuple[str, str], ...]
    log: RequestLog


class _Host:
    """One host: its days one after the other, each fitted on all of them up to it."""

    def __init__(
        self, name: str, spans: dict[str, tuple[str, EnergyIntervals]], held: list[_Held], logs: dict[str, _Log], window_us: int
    ) -> None:
        self.name, self.spans, self.held, self.logs, self.window_us = name, spans, held, logs, window_us
        self.services = sorted({each.service for each in held if each.service in logs})
        self.said: dict[str, list[DayStatistics]] = {service: [] for service in self.services}
        self.quiet: dict[tuple[str, str], list[IdleHistograms]] = {}
        self.elsewhere: set[str] = set()

    def days(self) -> list[int]:
        """UTC days that a reading touches."""
        found: set[int] = set()
        for _, spans in self.spans.values():
            found.update(range(int(spans.start_us[0]) // US_PER_DAY, (int(spans.end_us[-1]) - 1) // US_PER_DAY + 1))
        return sorted(found)

    def attribute(self, day: int, facts: HostFacts, every_us: int) -> tuple[pd.DataFrame, dict[str, Diagnosis]]:
        """Rows of a day, and why its energy was divided so."""
        start, end = day * US_PER_DAY, (day + 1) * US_PER_DAY
        laid = {service: self._learn(service, day) for service in self.services}
        given, diagnoses = [], {}
        idle_uw: dict[tuple[str, str], int | None] = {}
        for service in self.services:
            known, (said, lay) = self.logs[service], laid[service]
            mine = [each for each in self.held if each.service == service]
            powers = [(self._idle_uw(each), each.share) for each in mine]
            idle_w = None if any(uw is None for uw, _ in powers) else sum(uw * share for uw, share in powers if uw) / UW_PER_W
            fit = fit_days(self.said[service], idle_w, replicas=service in self.elsewhere)
            diagnoses[service] = fit.diagnosis
            energy = [int(self.spans[each.device][1].energy_uj.sum()) if each.device in self.spans else 0 for each in mine]
            fitted = idle_powers_uw(fit, [uw for uw, _ in powers], energy)
            idle_uw |= {(service, each.device): uw for each, uw in zip(mine, fitted, strict=True)}
            log = shift_log(known.log, round(said.lag_s * US_PER_S))
            if fit.fit is not None:
                weights = StepWeights(log, lay, fit)
                given.append(ServiceInput(service, known.keys, log, weights, (), weights.half_widths))
            else:
                w_in = assumption("weight_input_token")
                others = DeclaredWeights(log, w_in.low), DeclaredWeights(log, w_in.high)
                given.append(ServiceInput(service, known.keys, log, DeclaredWeights(log), others))
        index = {service: number for number, service in enumerate(self.services)}
        devices = [
            DeviceInput(
                self.name,
                device,
                component,
                spans,
                tuple(
                    PlacedService(index[h.service], h.share, h.since_us, h.until_us, idle_uw[h.service, h.device])
                    for h in self.held
                    if h.device == device and h.service in index
                ),
            )
            for device, (component, spans) in sorted(self.spans.items())
        ]
        edges = {edge for h in self.held for edge in (h.since_us, h.until_us) if start < edge < end}
        shard = ShardInput(
            slots_us=np.arange(start, end + 1, every_us, dtype=np.int64),
            segments_us=np.array([start, *sorted(edges)], dtype=np.int64),
            window_us=self.window_us,
            devices=devices,
            services=given,
            facts=lambda *_: facts,
        )
        rows = attribute(shard).rows
        rows["interval_start"] = pd.to_datetime(shard.slots_us[rows["slot"].to_numpy()], unit="us", utc=True)
        return rows.groupby(list(KEYS), as_index=False, sort=True)[list(ENERGY)].sum(), diagnoses

    def _learn(self, service: str, day: int) -> tuple[DayStatistics, TimedLog]:
        known = self.logs[service]
        mine = [each for each in self.held if each.service == service]
        whole = max((h.since_us for h in mine), default=0), min((h.until_us for h in mine), default=_FOREVER_US)
        scaled = []
        for each in mine:
            spans = self.spans.get(each.device, ("", EnergyIntervals.empty()))[1]
            scaled.append(replace(spans, energy_uj=np.floor(spans.energy_uj * each.share).astype(np.int64)))
        names = ["/".join(key) for key in known.keys]
        said, laid = day_statistics(known.log, names, scaled, whole, day * US_PER_DAY, self.window_us)
        self.said[service].append(said)
        bounds = day * US_PER_DAY, (day + 1) * US_PER_DAY
        flight = ConcurrencyTimeline(
            widen_counts(shift_log(known.log, round(said.lag_s * US_PER_S))), np.array(bounds, dtype=np.int64)
        )
        for each in mine:
            spans = self.spans.get(each.device, ("", EnergyIntervals.empty()))[1]
            tenure = spans[(spans.start_us >= each.since_us) & (spans.end_us <= each.until_us)]
            self.quiet.setdefault((service, each.device), []).append(idle_histograms(tenure, flight, bounds))
        return said, laid

    def _idle_uw(self, held: _Held) -> int | None:
        return idle_power_uw(self.quiet.get((held.service, held.device), []))


def _of(value: float | Mapping[str, float], host: str) -> float:
    return float(value[host]) if isinstance(value, Mapping) else float(value)


def _need(frame: pd.DataFrame, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise BadFrame(f"{name} lack the column {', '.join(missing)}")
    return frame


def _instants_us(values: pd.Series) -> Ints:
    """Instants [µs] of a column of times or of seconds since 1970; -1 where there is none."""
    if pd.api.types.is_numeric_dtype(values):
        seconds = values.astype("float64")
        return np.where(seconds.isna(), -1, np.rint(seconds.fillna(0) * US_PER_S)).astype(np.int64)
    told = pd.to_datetime(values, utc=True)
    micros = told.dt.as_unit("us").astype("int64").to_numpy()
    return np.where(told.isna(), -1, micros).astype(np.int64)


def _spans(readings: pd.DataFrame) -> dict[tuple[str, str], tuple[str, EnergyIntervals]]:
    """Component and spans of each (host, device)."""
    frame = _need(readings, "readings", _READINGS)
    found: dict[tuple[str, str], tuple[str, EnergyIntervals]] = {}
    for (host, device), group in frame.groupby(["host", "device"]):
        parts = []
        for column, make in (("energy_j", intervals_from_counter), ("power_w", intervals_from_power)):
            if column not in group:
                continue
            told = group[group[column].notna()]
            time = _instants_us(told["time"])
            order = np.argsort(time, kind="stable")
            value = np.rint(told[column].to_numpy(dtype=np.float64) * UW_PER_W).astype(np.int64)
            samples = Samples(time[order], value[order], np.full(len(time), -1), np.zeros(len(time), dtype=np.int64))
            parts.append(make(samples, gap_limit_us(np.diff(samples.time_us))))
        spans = EnergyIntervals.empty()
        for part in parts:
            spans = fill_gaps(spans, part)
        if len(spans):
            found[str(host), str(device)] = str(group["component"].iloc[0]), spans
    return found


def _held(placements: pd.DataFrame) -> list[_Held]:
    frame = _need(placements, "placements", _PLACEMENTS)
    since = _instants_us(frame["since"]) if "since" in frame else np.full(len(frame), -1)
    until = _instants_us(frame["until"]) if "until" in frame else np.full(len(frame), -1)
    share = frame["share"].fillna(1.0) if "share" in frame else pd.Series(np.ones(len(frame)))
    return [
        _Held(str(s), str(h), str(d), float(part), max(int(low), 0), int(high) if high >= 0 else _FOREVER_US)
        for s, h, d, part, low, high in zip(
            frame["service"], frame["host"], frame["device"], share, since.tolist(), until.tolist(), strict=True
        )
    ]


def _log(requests: pd.DataFrame, window_us: int) -> _Log:
    def counts(name: str, unknown: int) -> Ints:
        if name not in requests:
            return np.full(len(requests), unknown, dtype=np.int64)
        return requests[name].fillna(unknown).to_numpy(dtype=np.int64)

    model = requests["model"].fillna("") if "model" in requests else pd.Series("", index=requests.index)
    key, found = pd.MultiIndex.from_arrays([requests["use_case"], model]).factorize(sort=True)
    keys = tuple((str(use_case), str(name)) for use_case, name in found)
    given, cached, out = counts("input_tokens", -1), counts("cached_input_tokens", -1), counts("output_tokens", -1)
    first = _instants_us(requests["first_token"]) if "first_token" in requests else np.full(len(requests), -1, dtype=np.int64)
    log = build_request_log(
        _instants_us(requests["start"]),
        _instants_us(requests["end"]),
        key.astype(np.int64),
        counts("requests", 1),
        given,
        cached,
        out,
        first,
        window_us,
        token_weight(given, cached, out),
    )
    return _Log(keys, log[np.argsort(log.start_us, kind="stable")])
