"""Step model of a placement: its fit over days, the diagnosis of the fit, and model energies of requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.request_log import RequestLog
from footprint.attribution.split_status import OK, REFUSED, SUSPECT
from footprint.attribution.step.count_windows import COUNT_FEATURES
from footprint.attribution.step.day_statistics import DayStatistics, TimedLog
from footprint.attribution.step.features import CONTEXT_SCALE, PREFILL_FEATURES, REQUEST_FEATURES, STEP_FEATURES
from footprint.attribution.step.regression import (
    AWAKE_TAUS_S,
    IDLE,
    PREFILL_PREFIX,
    UNTOKENED_PREFIX,
    FitWindows,
    ModelForm,
    StepCoefficients,
    alternative_forms,
    bootstrap_fits,
    choose_form,
    concat_windows,
    condition_number,
    cross_validation_error,
    design_matrix,
    fit_form,
    idle_column,
)
from footprint.core.stored_forms import stored_as, to_plain
from footprint.core.units import US_PER_S, UW_PER_W

MIN_WINDOWS, MIN_BUSY_WINDOWS, MIN_REQUESTS = 48, 24, 300  # four hours, two of them at work
MIN_QUIET_SHARE = 0.005  # share of time with no request in flight; below it, idle power must come from elsewhere
MIN_FREE_IDLE_WINDOWS = 144  # twelve hours; below it, a known idle power is not fitted
MAX_CONDITION = 300.0
SUSPECT_RESIDUAL = 0.01  # residual over energy above idle
# Of energy above idle: on one host; of several hosts as one meter; where hosts that serve the log were not read.
MAX_RESIDUAL, MAX_RESIDUAL_REPLICAS, MAX_RESIDUAL_UNREAD = 0.20, 0.30, 0.60
MAX_ERROR_RATIO = 0.9  # of the cross-validated error of output tokens alone
QUIET_TAU_INDEX = AWAKE_TAUS_S.index(20.0)
RESAMPLES = 100
# Half-width = sqrt((1.96 sd)^2 + (2.5 rms deviation of forms)^2 + (1 % of the share)^2), calibrated on simulated
# servers (docs/explanation/method.md, section 3).
FORM_FACTOR, SHARE_FLOOR, MAX_FORM_RATIO = 2.5, 0.01, 1.5
COARSE_FACTOR = 3.0  # timestamps in whole seconds can misplace a short request entirely
POOLED_FACTOR = 1.25  # where nobody knows which host served a request; calibrated on simulated replicas


@stored_as(
    "Diagnosis",
    "status reason windows days requests quiet condition residual cross_validated lag_s prefill_s slots misfit "
    "first_token_logged whole_second_stamps late_s counted replicas coefficients awake_tau_s",
)
@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How a placement's energy was divided on a day and why; energies in joules, times in seconds."""

    status: str
    reason: str
    windows: int
    days: int
    requests: int
    quiet: float
    condition: float
    residual: float
    cross_validated: float
    lag_s: float
    prefill_s: float
    slots: int
    misfit: float
    first_token_logged: bool
    whole_second_stamps: bool
    late_s: float
    counted: bool
    replicas: bool
    coefficients: dict[str, float]
    awake_tau_s: float | None = None

    def to_json(self) -> dict[str, object]:
        """Plain JSON, with None for NaN."""
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in to_plain(self).items()}


@dataclass(frozen=True, slots=True)
class StepFit:
    """A fit with its diagnosis, and the fits that give its uncertainty; ``fit`` is None where it is refused."""

    diagnosis: Diagnosis
    fit: StepCoefficients | None
    resamples: tuple[StepCoefficients, ...] = ()
    alternatives: tuple[StepCoefficients, ...] = ()
    unread: int = 0
    sizes: tuple[float, ...] = (1.0,)  # of each meter: the number of devices that the idle power of the fit is for

    def of_host(self, meter: int, size: float, last: DayStatistics) -> StepFit:
        """The fit as that of one host with ``size`` devices of a meter whose last day is ``last``: its own idle power."""
        coefficients = {name: value for name, value in self.diagnosis.coefficients.items() if name.partition("/")[0] != IDLE}
        idle_w = self.diagnosis.coefficients.get(idle_column(meter))
        if idle_w:
            coefficients = {IDLE: idle_w * size / self.sizes[meter], **coefficients}
        return replace(self, diagnosis=replace(self.diagnosis, **_last_day(last), coefficients=coefficients))


@dataclass(frozen=True, slots=True)
class FitData:
    """Windows of the days of a fit, and what is known before it.

    ``is_pinned`` is whether idle power must come from elsewhere: these days hold too little quiet time to fit it.
    """

    days: tuple[DayStatistics, ...]
    windows: FitWindows
    day_count: int  # of the meter whose energy is divided
    quiet: float
    is_pinned: bool

    @property
    def sizes(self) -> tuple[float, ...]:
        """Largest number of devices of each meter."""
        meters = int(self.windows.meter.max(initial=0)) + 1
        return tuple(float(self.windows.size[self.windows.meter == meter].max(initial=0.0)) or 1.0 for meter in range(meters))

    @classmethod
    def from_days(cls, days: Sequence[DayStatistics], meters: list[int] | None = None) -> FitData:
        """Data of days; ``meters`` is the meter of each, and the last day is the one whose energy is divided."""
        windows = concat_windows([day.windows for day in days], meters or ())
        length = float(windows.length_s.sum())
        quiet = 1 - float(windows.awake_s[:, QUIET_TAU_INDEX].sum()) / length if length else 0.0
        day_count = meters.count(meters[-1]) if meters else len(days)
        return cls(tuple(days), windows, day_count, quiet, quiet < MIN_QUIET_SHARE or len(windows) < MIN_FREE_IDLE_WINDOWS)


def fit_placement(
    data: FitData, idle_w: Sequence[float | None] | float | None, *, replicas: bool = False, unread: int = 0
) -> StepFit:
    """Fit a placement on its days.

    Parameters
    ----------
    data
        Days of the placement.
    idle_w
        Idle power of each meter, of as many devices as ``data.sizes`` says, learnt from quiet intervals [W]; None where there
        were none.
    replicas
        Whether the log is that of several hosts, read as one meter, and does not name the host of a request. Then larger
        residuals are normal, because nobody knows which requests ran together.
    unread
        Number of hosts that serve requests of the log and were not read.

    Returns
    -------
    StepFit
        The fit with its diagnosis; refused where the days or the fit are not good enough.
    """
    windows, pinned = data.windows, data.is_pinned
    powers = tuple(idle_w) if isinstance(idle_w, Sequence) else (idle_w,)
    known_w = tuple(power for power in powers if power is not None)
    idle_known = len(known_w) == len(powers)
    if data.days[-1].counted and not idle_known:
        # A minute of counts is quiet only if no request ended in it; the slowest minutes then determine the idle power.
        pinned = False
    condition = condition_number(windows, idle_known=pinned) if len(windows) else math.nan
    draft = replace(_unfitted_diagnosis(data, condition), replicas=replicas)
    reason = _refusal_reason(windows, draft, idle_known=idle_known or not pinned)
    if reason:
        return StepFit(replace(draft, reason=reason), None)
    form, error = choose_form(windows, known_w if pinned else None)
    coefficients = fit_form(windows, form)
    draft = replace(draft, residual=_residual_share(windows, coefficients), cross_validated=error)
    plain = ModelForm(columns=("out",), idle_w=form.idle_w, counted=("counted-out",))
    no_better = error > MAX_ERROR_RATIO * cross_validation_error(windows, plain) and draft.residual > SUSPECT_RESIDUAL
    largest = MAX_RESIDUAL_UNREAD if unread else MAX_RESIDUAL_REPLICAS if replicas else MAX_RESIDUAL
    if draft.residual > largest or no_better:
        reason = f"the log explains the energy no better than output tokens alone (residual {100 * draft.residual:.1f} %)"
        return StepFit(replace(draft, reason=reason), None)
    resamples = bootstrap_fits(windows, form, RESAMPLES, seed=20_260_701)
    alternatives = []
    for alternative, factor in alternative_forms(windows, form):
        chosen_windows = windows.widened(factor) if factor > 1 else windows
        if len(chosen_windows) >= MIN_WINDOWS // 3 and (
            factor > 1 or cross_validation_error(windows, alternative) <= MAX_FORM_RATIO * error
        ):
            alternatives.append(fit_form(chosen_windows, alternative))
    doubts = _doubts(draft, unread)
    diagnosis = replace(
        draft,
        status=SUSPECT if doubts else OK,
        reason="; ".join(doubts),
        coefficients={name: value for name, value in coefficients.coefficients.items() if value},
        awake_tau_s=AWAKE_TAUS_S[form.awake_tau] if form.awake_tau >= 0 else None,
    )
    return StepFit(diagnosis, coefficients, tuple(resamples), tuple(alternatives), unread, data.sizes)


def _last_day(last: DayStatistics) -> dict[str, Any]:
    """What a diagnosis says of the last day alone."""
    return {
        "lag_s": last.lag_s,
        "prefill_s": last.prefill_s,
        "slots": last.slots,
        "misfit": last.misfit,
        "first_token_logged": last.logged_first,
        "whole_second_stamps": last.whole_seconds,
        "late_s": last.late_s,
        "counted": last.counted,
    }


def _unfitted_diagnosis(data: FitData, condition: float) -> Diagnosis:
    """Diagnosis before the fit; its status is refused."""
    return Diagnosis(
        status=REFUSED,
        reason="",
        windows=len(data.windows),
        days=data.day_count,
        requests=sum(day.requests for day in data.days),
        quiet=data.quiet,
        condition=condition,
        residual=math.nan,
        cross_validated=math.nan,
        replicas=False,
        coefficients={},
        **_last_day(data.days[-1]),
    )


def _refusal_reason(windows: FitWindows, diagnosis: Diagnosis, *, idle_known: bool) -> str:
    """Reason why no fit is possible; empty where one is."""
    busy = int((windows.features.sum(axis=1) > 0).sum())
    if len(windows) < MIN_WINDOWS or busy < MIN_BUSY_WINDOWS:
        needed = f"{MIN_WINDOWS} and {MIN_BUSY_WINDOWS} are the least"
        return f"{len(windows)} windows read from end to end, {busy} of them with tokens; {needed}"
    if diagnosis.requests < MIN_REQUESTS:
        return f"{diagnosis.requests} requests; {MIN_REQUESTS} are the least"
    if not idle_known:
        return "no quiet second, and no idle power from elsewhere: what is always on cannot be told from the work"
    if windows.features[:, : len(REQUEST_FEATURES)].any() and diagnosis.condition > MAX_CONDITION:
        condition = min(diagnosis.condition, 1e9)
        return f"reading, writing and steps rise and fall together (condition {condition:.0f}): nothing tells them apart"
    return ""


def _doubts(diagnosis: Diagnosis, unread: int) -> list[str]:
    """Reasons why a valid fit is doubtful."""
    doubts = [f"residual {100 * diagnosis.residual:.1f} %"] if diagnosis.residual > SUSPECT_RESIDUAL else []
    if diagnosis.replicas:
        doubts.append("one log for several hosts")
    if unread:
        doubts.append(f"hosts of the service without readings: {unread}")
    if diagnosis.whole_second_stamps and not diagnosis.counted:
        doubts.append("stamps in whole seconds")
    if diagnosis.counted:
        doubts.append("counts of requests, not single ones")
    if diagnosis.late_s:
        doubts.append(f"ends stamped about {diagnosis.late_s:g} s after the work was done")
    return doubts


def _residual_share(windows: FitWindows, coefficients: StepCoefficients) -> float:
    """Root mean square of the residuals over the mean energy above idle of a window."""
    names, matrix, target = design_matrix(windows, coefficients.form)
    vector = np.array([coefficients.coefficients[name] for name in names])
    is_idle = np.array([name == IDLE or name.startswith(f"{IDLE}/") for name in names])
    above = float((target - matrix[:, is_idle] @ vector[is_idle]).mean())
    return float(np.sqrt(((target - matrix @ vector) ** 2).mean()) / above) if above > 0 else float("inf")


def idle_powers_uw(fit: StepFit, learnt_uw: Sequence[int | None], energy_uj: Sequence[int]) -> list[int | None]:
    """Idle power of each device of a placement.

    Parameters
    ----------
    fit
        Fit of the placement.
    learnt_uw
        Idle power learnt from quiet intervals [µW], None where there were none.
    energy_uj
        Energy of each device [µJ], by which the fitted idle power is divided.

    Returns
    -------
    list
        Idle powers [µW]: as learnt, else as fitted. Counts do not tell when a server is quiet, so for counts the fitted one
        holds.
    """
    fitted_w = fit.diagnosis.coefficients.get(IDLE, 0.0)
    counted = fit.diagnosis.counted
    if not fitted_w or (None not in learnt_uw and not counted):
        return list(learnt_uw)
    total_uj = max(sum(energy_uj), 1)
    by_energy = [round(fitted_w * UW_PER_W * energy / total_uj) for energy in energy_uj]
    return [fitted_uw if counted or learnt is None else learnt for learnt, fitted_uw in zip(learnt_uw, by_energy, strict=True)]


class StepWeights:
    """Model energies [J] of the requests of one log under a fit."""

    method = "step"

    def __init__(self, log: RequestLog, timed: TimedLog, fit: StepFit) -> None:
        if fit.fit is None:
            raise ValueError("a refused fit gives no energies")
        self._log, self._timed, self._fit = log, timed, fit
        self._shift_us = round(timed.shift_s * US_PER_S)
        self.is_pooled = fit.diagnosis.replicas
        self.has_coarse_stamps = fit.diagnosis.whole_second_stamps or len(timed.counts) > 0
        self._rates(fit.fit)
        self._summed = self._sums()
        self.half_widths = self._half_widths()

    def _rates(self, coefficients: StepCoefficients) -> None:
        timed, log, features = self._timed, self._log, self._timed.features
        size = len(log)
        cost = coefficients.vector(REQUEST_FEATURES)
        prefill_j = (
            features.total[:, :PREFILL_FEATURES] @ cost[:PREFILL_FEATURES]
            + features.requests.fresh * self._own(coefficients, PREFILL_PREFIX)[features.requests.key]
        )
        phases = features.timing
        read_s = np.maximum(phases.first_s - phases.read_s, 1e-6)
        self._single = np.full(size, -1)
        self._single[features.requests.index] = np.arange(len(features.requests))
        self._read_from, self._read_to, self._read_w = phases.first_s - read_s, phases.first_s, prefill_j / read_s
        by_name = dict(zip(REQUEST_FEATURES, cost.tolist(), strict=True))
        self._level = by_name["out"] * features.ticks + sum(
            by_name[name] * level for name, level in zip(STEP_FEATURES, features.levels, strict=True)
        )
        self._context = by_name["outctx"] / CONTEXT_SCALE
        self._written_at = phases.clock.tokens_at(phases.first_s)
        # All other records draw power evenly over their time.
        self._even_w = np.zeros(size)
        seconds = np.maximum(log.end_us - log.start_us, 1) / US_PER_S
        counts = timed.counts
        self._even_w[counts.index] = counts.total @ coefficients.vector(COUNT_FEATURES) / seconds[counts.index]
        self._even_w[timed.untokened] = self._own(coefficients, UNTOKENED_PREFIX)[log.key[timed.untokened]]

    def _own(self, coefficients: StepCoefficients, prefix: str) -> Floats:
        """Coefficients of each key of the log that have this prefix, shape (keys,)."""
        by_column = np.array([coefficients.coefficients.get(prefix + name, 0.0) for name in self._timed.keys])
        return by_column[self._timed.column]

    def model_energy(self, request: Ints, start_us: Ints, end_us: Ints) -> Floats:
        """Model energy [J] within [start, end), shape (n,)."""
        timed, log = self._timed, self._log
        begin = (start_us - timed.origin_us) / US_PER_S
        finish = (end_us - timed.origin_us) / US_PER_S
        single = self._single[request]
        result = self._even_w[request] * (finish - begin)
        # Energy that the model places just before or after a coarse timestamp belongs within it.
        begin = np.where(start_us <= log.start_us[request], -np.inf, begin)
        finish = np.where(end_us >= log.end_us[request], np.inf, finish)
        modelled = np.flatnonzero(single >= 0)
        if not len(modelled):
            return np.asarray(result)
        requests, begin, finish = single[modelled], begin[modelled], finish[modelled]
        prefill_s = np.minimum(finish, self._read_to[requests]) - np.maximum(begin, self._read_from[requests])
        total = self._read_w[requests] * np.maximum(prefill_s, 0.0)
        features = timed.features
        first, end = features.timing.first_s[requests], features.requests.end_s[requests]
        begin, finish = np.maximum(begin, first), np.minimum(finish, end)
        finish = np.maximum(finish, begin)
        pace = features.pace[requests]
        total += pace * (np.interp(finish, features.grid_s, self._level) - np.interp(begin, features.grid_s, self._level))
        low, high = np.interp(begin, features.grid_s, features.ticks), np.interp(finish, features.grid_s, features.ticks)
        fresh = features.requests.fresh[requests]
        written = high * high - low * low
        total += self._context * pace * ((fresh - pace * self._written_at[requests]) * (high - low) + pace * written / 2)
        result[modelled] = np.maximum(total, 0.0)
        return np.asarray(result)

    def _sums(self) -> tuple[Floats, Floats, Floats, Floats]:
        """By key of the log: features of single requests, those of counts, fresh tokens, seconds of records without tokens."""
        timed, log, features = self._timed, self._log, self._timed.features
        size = len(timed.column)

        def summed(key: Ints, values: Floats) -> Floats:
            return np.bincount(key, weights=values, minlength=size).astype(np.float64)

        single = np.stack([summed(features.requests.key, column) for column in features.total.T], axis=1)
        counted = np.stack([summed(timed.counts.key, column) for column in timed.counts.total.T], axis=1)
        seconds = (log.end_us - log.start_us)[timed.untokened] / US_PER_S
        return single, counted, summed(features.requests.key, features.requests.fresh), summed(log.key[timed.untokened], seconds)

    def by_key(self, coefficients: StepCoefficients) -> Floats:
        """Model energy of each key over the whole log [J] under any fit, shape (keys,)."""
        single, counted, fresh, seconds = self._summed
        own = fresh * self._own(coefficients, PREFILL_PREFIX) + seconds * self._own(coefficients, UNTOKENED_PREFIX)
        return np.asarray(single @ coefficients.vector(REQUEST_FEATURES) + counted @ coefficients.vector(COUNT_FEATURES) + own)

    def shares(self, coefficients: StepCoefficients) -> Floats:
        """Share of each key under any fit, shape (keys,)."""
        energy = self.by_key(coefficients)
        return energy / max(float(energy.sum()), 1e-300)

    def _half_widths(self) -> Floats:
        """Half-width (about 95 %) of each key's share, relative to the share, shape (keys,)."""
        fit = self._fit
        assert fit.fit is not None
        share = self.shares(fit.fit)
        spread = (
            np.stack([self.shares(coefficients) for coefficients in fit.resamples]).std(axis=0)
            if fit.resamples
            else np.zeros_like(share)
        )
        form_deviation = np.zeros_like(share)
        if fit.alternatives:
            form_deviation = np.sqrt(
                ((np.stack([self.shares(coefficients) for coefficients in fit.alternatives]) - share) ** 2).mean(axis=0)
            )
        coarse = COARSE_FACTOR if self.has_coarse_stamps or fit.unread else 1.0
        # Most of the residual of several hosts comes from not knowing which requests ran together; resampling hours covers that.
        misfit = POOLED_FACTOR if fit.diagnosis.replicas else fit.diagnosis.residual / SUSPECT_RESIDUAL
        suspicion = max(misfit, coarse)
        half = np.sqrt((1.96 * spread) ** 2 + (FORM_FACTOR * form_deviation) ** 2 + (SHARE_FLOOR * share) ** 2) * suspicion
        return np.asarray(half / np.maximum(share, 1e-12))
