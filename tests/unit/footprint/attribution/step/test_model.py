"""From days to a fit: what is refused, what is doubtful, and what single requests cost under coefficients that are given."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from footprint.attribution.energy_intervals import EnergyIntervals
from footprint.attribution.request_log import RequestLog
from footprint.attribution.split_status import OK, REFUSED, SUSPECT
from footprint.attribution.step.count_windows import COUNT_FEATURES
from footprint.attribution.step.day_statistics import DayStatistics, MeteredSpan, TimedLog, day_statistics, time_log
from footprint.attribution.step.decode_clock import integrate_rates
from footprint.attribution.step.features import REQUEST_FEATURES, request_features, window_features
from footprint.attribution.step.model import Diagnosis, FitData, StepFit, StepWeights, fit_placement, idle_powers_uw
from footprint.attribution.step.regression import ALL_FEATURES, AWAKE_TAUS_S, FitWindows, ModelForm, StepCoefficients
from footprint.attribution.step.request_timing import request_phases, timed_requests

S = 1_000_000
DAY_S = 86_400


def windows(
    count: int = 288, *, noise: float = 0.0, quiet: float = 0.5, busy: int | None = None, seed: int = 1, **cost: float
) -> FitWindows:
    luck = np.random.default_rng(seed)
    features = np.zeros((count, len(ALL_FEATURES)))
    cost = cost or {"in": 0.5, "out": 2.0, "step": 0.3}
    for name in cost:
        features[:, ALL_FEATURES.index(name)] = luck.uniform(1000, 20_000, count)
    if busy is not None:
        features[busy:] = 0
    energy = 30_000 + features @ np.array([cost.get(name, 0.0) for name in ALL_FEATURES])
    energy *= luck.normal(1, noise, count) if noise else 1.0
    awake = np.full((count, len(AWAKE_TAUS_S)), 300 * (1 - quiet))
    none = np.zeros((count, 1))
    return FitWindows(
        300.0 * np.arange(count), np.full(count, 300.0), energy, features, awake, none, none, ("a",), np.ones(count)
    )


def day(w: FitWindows, **more: object) -> DayStatistics:
    return replace(DayStatistics(w, 1000, 2.0, 0.7, 0.001, 4, 0.03, True, False, 0.0, False), **more)  # type: ignore[arg-type]


def test_a_day_that_is_explained_is_ok_and_says_how() -> None:
    found = fit_placement(FitData.from_days([day(windows(), requests=200), day(windows(seed=2), requests=300)]), None)
    d = found.diagnosis
    assert found.fit is not None
    assert (d.status, d.reason, d.windows, d.days, d.requests) == (OK, "", 576, 2, 500)
    assert (d.lag_s, d.prefill_s, d.slots, d.misfit, d.first_token_logged) == (2.0, 0.001, 4, 0.03, True)
    assert (d.whole_second_stamps, d.late_s, d.counted, d.replicas, d.awake_tau_s) == (False, 0.0, False, False, None)
    assert d.quiet == pytest.approx(0.5)
    assert d.residual == pytest.approx(0, abs=1e-9)
    assert d.cross_validated == pytest.approx(0, abs=1e-9)
    assert d.coefficients == {
        "idle": pytest.approx(100),
        "in": pytest.approx(0.5),
        "out": pytest.approx(2),
        "step": pytest.approx(0.3),
    }
    assert len(found.resamples) == 100
    assert 1 < d.condition < 300


@pytest.mark.parametrize(("given", "idle_w", "reason"), [
    (day(windows(47)), 100.0, "47 windows read from end to end, 47 of them with tokens; 48 and 24 are the least"),
    (day(windows(48, busy=23)), 100.0, "48 windows read from end to end, 23 of them with tokens"),
    (day(windows(), requests=299), 100.0, "299 requests; 300 are the least"),
    (day(windows(quiet=0.004)), None, "no quiet second"),
    (day(windows(143)), None, "no quiet second"),
    (day(windows(0)), None, "0 windows"),
])  # fmt: skip
def test_too_little_is_refused(given: DayStatistics, idle_w: float | None, reason: str) -> None:
    found = fit_placement(FitData.from_days([given]), idle_w)
    assert (found.fit, found.diagnosis.status) == (None, REFUSED)
    assert reason in found.diagnosis.reason


@pytest.mark.parametrize(("given", "idle_w", "fitted"), [
    (day(windows(48, busy=24), requests=300), 100.0, False),
    (day(windows(143)), 100.0, False),
    (day(windows(144)), None, True),
    (day(windows(144)), 100.0, True),
    (day(windows(quiet=0.004)), 100.0, False),
    (day(windows(quiet=0.0051)), 100.0, True),
    (day(windows(quiet=0.004), counted=True), None, True),
    (day(windows(quiet=0.004), counted=True), 100.0, False),
])  # fmt: skip
def test_idle_power_is_fitted_where_it_can_be(given: DayStatistics, idle_w: float | None, fitted: bool) -> None:
    found = fit_placement(FitData.from_days([given]), idle_w)
    assert found.fit is not None
    assert ("idle" in found.fit.coefficients) is fitted
    assert found.fit.form.idle_w == (None if fitted else (100.0,))


def test_work_that_rises_and_falls_together_is_refused() -> None:
    w = windows()
    features = w.features.copy()
    features[:, ALL_FEATURES.index("step")] = features[:, ALL_FEATURES.index("out")] * (1 + 1e-4 * np.arange(288) / 288)
    alike = replace(w, features=features)
    assert "rise and fall together" in fit_placement(FitData.from_days([day(alike)]), None).diagnosis.reason
    # Of counts alone there are no steps that could.
    counted = fit_placement(FitData.from_days([day(windows(**{"counted-out": 2.0}), counted=True)]), None)
    assert counted.fit is not None
    assert counted.diagnosis.status == SUSPECT


@pytest.mark.parametrize(("noise", "status"), [(0.003, OK), (0.03, SUSPECT)])
def test_a_residual_above_a_hundredth_is_doubtful(noise: float, status: str) -> None:
    found = fit_placement(FitData.from_days([day(windows(noise=noise))]), None)
    assert found.diagnosis.status == status
    assert found.diagnosis.residual == pytest.approx(noise * 60 / 30, rel=0.1)  # energy over energy above idle
    assert ("residual" in found.diagnosis.reason) is (status == SUSPECT)


def test_what_explains_no_better_than_output_tokens_is_refused_except_of_replicas() -> None:
    noisy = day(windows(noise=0.5))
    found = fit_placement(FitData.from_days([noisy]), None)
    assert (found.fit, found.diagnosis.status) == (None, REFUSED)
    assert "no better than output tokens alone" in found.diagnosis.reason
    assert found.diagnosis.residual > 0.2
    large = day(windows(noise=0.2, **{"in": 5.0, "out": 0.5, "step": 5.0}))
    assert fit_placement(FitData.from_days([large]), None).fit is None
    found = fit_placement(FitData.from_days([large]), None, replicas=True)
    assert found.fit is not None
    assert found.diagnosis.replicas
    assert 0.2 < found.diagnosis.residual < 0.6
    # Small residuals are no doubt, even where output tokens alone do as well.
    assert fit_placement(FitData.from_days([day(windows(noise=0.002, out=2.0))]), None).fit is not None
    assert fit_placement(FitData.from_days([day(windows(noise=0.05, out=2.0))]), None).fit is None


@pytest.mark.parametrize(("more", "reason"), [
    ({"whole_seconds": True}, "stamps in whole seconds"), ({"counted": True, "whole_seconds": True}, "counts of requests, not single ones"),
    ({"late_s": 0.5}, "ends stamped about 0.5 s after the work was done"), ({}, ""),
])  # fmt: skip
def test_what_makes_a_fit_doubtful(more: dict[str, object], reason: str) -> None:
    found = fit_placement(FitData.from_days([day(windows(), **more)]), None).diagnosis
    assert (found.reason, found.status) == (reason, SUSPECT if reason else OK)
    assert found.to_json()["awake_tau_s"] is None


def test_replicas_are_doubtful() -> None:
    assert fit_placement(FitData.from_days([day(windows())]), None, replicas=True).diagnosis.reason == "one log for several hosts"


def test_what_is_not_a_number_is_none_in_json() -> None:
    plain = fit_placement(FitData.from_days([day(windows(47))]), 100.0).diagnosis.to_json()
    assert (plain["residual"], plain["cross_validated"], plain["windows"]) == (None, None, 47)
    assert plain["quiet"] == pytest.approx(0.5)


def test_a_power_of_the_time_awake_is_reported() -> None:
    w = windows()
    awake = w.awake_s.copy()
    awake[:, 4] = np.random.default_rng(4).uniform(0, 300, 288)
    found = fit_placement(
        FitData.from_days([day(replace(w, awake_s=awake, energy_j=w.energy_j + 300 * awake[:, 4]))]), None
    ).diagnosis
    assert found.awake_tau_s == AWAKE_TAUS_S[4]
    assert found.coefficients["awake"] == pytest.approx(300, rel=1e-3)


def diagnosis(**more: object) -> Diagnosis:
    found = fit_placement(FitData.from_days([day(windows(48), requests=300)]), 100.0).diagnosis
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("fitted", "counted", "learnt", "expected"), [
    (100.0, False, [7, 9], [7, 9]),
    (100.0, False, [7, None], [7, 75 * S]),
    (100.0, True, [7, 9], [25 * S, 75 * S]),
    (0.0, False, [None, 9], [None, 9]),
    (0.0, True, [7, 9], [7, 9]),
])  # fmt: skip
def test_idle_powers_of_devices(fitted: float, counted: bool, learnt: list[int | None], expected: list[int | None]) -> None:
    """Where nothing was learnt, the fitted 100 W are divided by the devices' energies, 1 to 3."""
    found = StepFit(diagnosis(counted=counted, coefficients={"idle": fitted} if fitted else {}), None)
    assert idle_powers_uw(found, learnt, [10, 30]) == expected


COST = {
    "in": 0.5,
    "inctx": 0.1,
    "request": 5.0,
    "out": 2.0,
    "outctx": 1.0,
    "step": 0.3,
    "step8": 0.7,
    "counted-out": 0.7,
    "in/a": 0.25,
    "held/c": 40.0,
    "held/a": 3.0,
}
# Two requests with first tokens logged, one of counts, one without tokens. Key 0 is a, 1 is b, 2 is c.
UNKNOWN = -1
LOG = RequestLog(
    np.array([0, 100, 200, 300]) * S, np.array([10, 130, 260, 400]) * S, np.array([0, 1, 1, 2]), np.array([1.0, 1.0, 3.0, 1.0]),
    np.array([1000, 2000, 0, UNKNOWN]), np.array([0, 0, 0, UNKNOWN]), np.array([100, 400, 600, UNKNOWN]),
    np.array([2, 104, UNKNOWN, UNKNOWN]) * np.array([S, S, 1, 1]), np.zeros(4, dtype=bool),
)  # fmt: skip
EDGES = np.arange(0, 601, 300) * S


def weights(**more: object) -> StepWeights:
    timed = time_log(LOG, ["a", "b", "c"], 0, EDGES)
    fit = StepCoefficients(ModelForm(), COST, 0.0)
    return StepWeights(LOG, timed, StepFit(diagnosis(**more), fit))


def energy(found: StepWeights, request: int, start_s: float, end_s: float) -> float:
    return float(found.model_energy(np.array([request]), np.array([round(start_s * S)]), np.array([round(end_s * S)]))[0])


def test_a_request_costs_what_its_features_cost() -> None:
    found = weights()
    f = found._timed.features
    vector = np.array([COST.get(name, 0.0) for name in REQUEST_FEATURES])
    whole = f.total @ vector + np.array([1000 * 0.25, 0.0])
    assert energy(found, 0, 0, 10) == pytest.approx(whole[0])
    assert energy(found, 1, 100, 130) == pytest.approx(whole[1])
    # Read in two seconds: tokens, their square, the request, and what use case a pays of its own.
    assert energy(found, 0, 0, 2) == pytest.approx(500 + 0.1 * 500 + 5 + 250)
    assert energy(found, 0, 0, 1) == pytest.approx((500 + 50 + 5 + 250) / 2)
    # Half of what it wrote: tokens, context, steps.
    steps = 0.5 * float(f.total[0, REQUEST_FEATURES.index("step")]) * 0.3
    assert energy(found, 0, 2, 6) == pytest.approx(50 * 2 + 51.25 + steps)
    assert energy(found, 0, 6, 10) == pytest.approx(50 * 2 + 53.75 + steps)
    assert energy(found, 0, 20, 30) == 0


def test_counts_and_what_has_no_tokens_draw_evenly() -> None:
    found = weights()
    assert energy(found, 2, 200, 260) == pytest.approx(600 * 0.7)
    assert energy(found, 2, 215, 230) == pytest.approx(150 * 0.7)
    assert energy(found, 3, 310, 320) == pytest.approx(400)
    assert found.model_energy(np.array([2, 3]), np.array([200, 300]) * S, np.array([260, 301]) * S).tolist() == pytest.approx(
        [420, 40]
    )


def test_energies_of_keys_are_the_sums_of_their_requests() -> None:
    found = weights()
    each = [energy(found, n, *(LOG.start_us[n] / S, LOG.end_us[n] / S)) for n in range(4)]
    assert found.by_key(StepCoefficients(ModelForm(), COST, 0.0)).tolist() == pytest.approx([each[0], each[1] + each[2], each[3]])
    assert found.shares(StepCoefficients(ModelForm(), COST, 0.0)).tolist() == pytest.approx(
        [each[0] / sum(each), (each[1] + each[2]) / sum(each), each[3] / sum(each)]
    )
    assert found.shares(StepCoefficients(ModelForm(), {}, 0.0)).tolist() == [0, 0, 0]


def test_a_shifted_log_is_asked_by_its_shifted_stamps() -> None:
    timed = time_log(LOG, ["a", "b", "c"], 0, EDGES, 7.0)
    moved = replace(LOG, start_us=LOG.start_us + 7 * S, end_us=LOG.end_us + 7 * S)
    found = StepWeights(moved, timed, StepFit(diagnosis(), StepCoefficients(ModelForm(), COST, 0.0)))
    assert energy(found, 0, 7, 8) == pytest.approx((500 + 50 + 5 + 250) / 2)


def test_half_widths_by_hand() -> None:
    """Of two keys that share 1 to 3; drawings and other forms move the first by amounts that are known."""
    log = LOG[np.array([0, 1])]
    timed = time_log(log, ["a", "b"], 0, EDGES)

    def fits(*ratios: float) -> tuple[StepCoefficients, ...]:
        """Fits under which a has so much for each unit of b: reading alone, 1000 to 2000 tokens."""
        return tuple(StepCoefficients(ModelForm(), {"in/a": 2 * ratio, "in/b": 1.0}, 0.0) for ratio in ratios)

    def half(drawn: tuple[StepCoefficients, ...] = (), others: tuple[StepCoefficients, ...] = (), **more: object) -> list[float]:
        base = {"residual": 0.0, "whole_second_stamps": False, "replicas": False}
        return StepWeights(log, timed, StepFit(diagnosis(**{**base, **more}), fits(1 / 3)[0], drawn, others)).half_widths.tolist()

    assert half() == pytest.approx([0.01, 0.01])
    sd = float(np.std([0.2, 0.25, 0.3]))
    assert half(fits(0.25, 1 / 3, 3 / 7)) == pytest.approx(
        [math.hypot(1.96 * sd / 0.25, 0.01), math.hypot(1.96 * sd / 0.75, 0.01)]
    )
    rms = math.sqrt((0.05**2 + 0.15**2) / 2)
    assert half((), fits(0.25, 2 / 3)) == pytest.approx([math.hypot(2.5 * rms / 0.25, 0.01), math.hypot(2.5 * rms / 0.75, 0.01)])
    assert half(residual=0.04) == pytest.approx([0.04, 0.04])
    assert half(residual=0.005) == pytest.approx([0.01, 0.01])
    assert half(whole_second_stamps=True) == pytest.approx([0.03, 0.03])
    assert half(replicas=True, residual=0.5) == pytest.approx([0.0125, 0.0125])
    assert half(whole_second_stamps=True, residual=0.05) == pytest.approx([0.05, 0.05])


def test_counts_and_whole_seconds_are_coarse() -> None:
    assert weights().has_coarse_stamps
    log = LOG[np.array([0, 1])]
    timed = time_log(log, ["a", "b"], 0, EDGES)
    for whole in (True, False):
        found = StepWeights(log, timed, StepFit(diagnosis(whole_second_stamps=whole), StepCoefficients(ModelForm(), COST, 0.0)))
        assert (found.has_coarse_stamps, found.method) == (whole, "step")


def test_a_refused_fit_gives_no_energies() -> None:
    with pytest.raises(ValueError, match="refused"):
        StepWeights(LOG, time_log(LOG, ["a", "b", "c"], 0, EDGES), StepFit(diagnosis(), None))


def test_records_are_timed_by_what_is_known_of_them() -> None:
    timed = time_log(LOG, ["a", "b", "c"], 0, EDGES)
    assert timed.singles.index.tolist() == [0, 1]
    assert timed.counts.index.tolist() == [2]
    assert timed.untokened.tolist() == [3]
    assert (timed.keys, timed.column.tolist()) == (("a", "b", "c"), [0, 1, 2])
    many = time_log(LOG, [str(n) for n in range(13)], 0, EDGES)
    assert (many.keys, many.column.tolist()) == (("",), [0] * 13)
    assert len(time_log(LOG, [str(n) for n in range(12)], 0, EDGES).keys) == 12
    assert time_log(LOG, [], 0, EDGES).keys == ("",)


def server(
    *, ahead_s: float = 0.0, late_s: float = 0.0, count: int = 600, step_s: float = 0.05, step_j: float = 0.0
) -> tuple[RequestLog, list[EnergyIntervals]]:
    """A day of a server with 100 W idle, 0.5 J a token read, 2 J one written, ``step_j`` a step: its log and two devices."""
    luck = np.random.default_rng(11)
    start = np.sort(luck.uniform(600, DAY_S - 900, count))
    given, output = luck.integers(500, 4000, count), luck.integers(50, 500, count)
    first = start + 0.001 * given
    end = first + step_s * output

    def us(values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.rint(values * 1000).astype(np.int64) * 1000

    true = RequestLog(
        us(start),
        us(end),
        np.arange(count) % 2,
        np.ones(count),
        given,
        np.zeros(count, dtype=int),
        output,
        us(first),
        np.zeros(count, dtype=bool),
    )
    edges = np.arange(0.0, DAY_S + 1)
    singles = timed_requests(true, 0)
    totals = window_features(request_features(singles, request_phases(singles), edges), edges)
    power = 100 + totals @ np.array([{"in": 0.5, "out": 2.0, "step": step_j}.get(name, 0.0) for name in REQUEST_FEATURES])
    uj = np.rint(power * S).astype(np.int64)
    at = np.arange(DAY_S) * S
    parts = [uj // 4, uj - uj // 4]
    devices = [EnergyIntervals(at, at + S, part, np.full(DAY_S, S), np.zeros(DAY_S, dtype=np.int8)) for part in parts]
    shift, late = round(ahead_s * S), round(late_s * S)
    return replace(
        true, start_us=true.start_us + shift, end_us=true.end_us + shift + late, first_token_us=true.first_token_us + shift
    ), devices


FOREVER = (0, 2**62)


def statistics(
    log: RequestLog, devices: list[EnergyIntervals], held: tuple[int, int] = FOREVER
) -> tuple[DayStatistics, TimedLog]:
    return day_statistics(log, ["a", "b"], [MeteredSpan(tuple(devices), *held, len(devices))], 0, 300 * S)


def test_a_day_of_a_known_server() -> None:
    log, devices = server()
    found, timed = statistics(log, devices)
    w = found.windows
    assert (len(w), found.requests, found.lag_s, found.lag_gain, found.late_s, found.counted, found.logged_first) == (
        288,
        600,
        0,
        1,
        0,
        False,
        True,
    )
    assert found.whole_seconds is False
    assert found.prefill_s == pytest.approx(0.001, rel=0.05)
    assert w.energy_j.sum() == pytest.approx(sum(int(each.energy_uj.sum()) for each in devices) / S)
    assert w.start_s.tolist() == [300.0 * n for n in range(288)]
    assert w.length_s.tolist() == [300.0] * 288
    assert w.features[:, 0].sum() == pytest.approx(log.input_tokens.sum(), rel=1e-9)
    assert w.reading.sum(axis=0).tolist() == pytest.approx([log.input_tokens[n::2].sum() for n in (0, 1)])
    inside = integrate_rates(np.arange(0, DAY_S + 1, 300.0), log.start_us / S, log.end_us / S, np.ones(600))
    assert (w.awake_s[:, 0] <= inside + 1e-6).all()
    assert (np.diff(w.awake_s, axis=1) >= -1e-9).all()
    assert timed.origin_us == 0
    fitted = fit_placement(FitData.from_days([found]), None)
    assert fitted.diagnosis.status == OK
    assert fitted.diagnosis.coefficients["in"] == pytest.approx(0.5, rel=0.03)
    assert fitted.diagnosis.coefficients["out"] == pytest.approx(2.0, rel=0.03)


def test_windows_that_were_not_read_or_not_held_are_left_out() -> None:
    log, devices = server()
    gap = devices[0][np.r_[0:303, 307:DAY_S]]  # four of the 300 s of the second window are missing
    less = devices[1][np.r_[0:603, 606:DAY_S]]  # three of the third, 1 %
    found, _ = statistics(log, [gap, less], (0, (DAY_S - 300) * S))
    assert found.windows.start_s.tolist() == [300.0 * n for n in range(287) if n != 1]
    found, _ = statistics(log, devices, (300 * S, DAY_S * S))
    assert found.windows.start_s[0] == 300
    idle = replace(devices[0], energy_uj=np.where(devices[0].start_us < 300 * S, 0, devices[0].energy_uj))
    assert statistics(log, [idle], FOREVER)[0].windows.start_s[0] == 300


def test_a_clock_that_is_off_is_found() -> None:
    found, timed = statistics(*server(ahead_s=30.0))
    assert found.lag_s == pytest.approx(-30, abs=1)
    assert found.lag_gain < 0.9
    assert timed.shift_s == found.lag_s
    few, _ = statistics(*server(ahead_s=30.0, count=199))
    assert (few.lag_s, few.lag_gain) == (0, 1)


def test_time_awake_and_time_held_by_hand() -> None:
    """Requests over [100, 110), [105, 120) and [140, 150), and one without tokens over [290, 310)."""
    start, end = np.array([100, 105, 140, 290]) * S, np.array([110, 120, 150, 310]) * S
    unknown = np.full(4, -1)
    tokens = np.array([10, 10, 10, -1])
    log = RequestLog(start, end, np.array([0, 0, 0, 1]), np.ones(4), tokens, unknown, tokens, unknown, np.zeros(4, dtype=bool))
    at = np.arange(DAY_S // 300) * 300 * S
    flat = EnergyIntervals(at, at + 300 * S, np.full(288, 5 * S), np.full(288, 300 * S), np.zeros(288, dtype=np.int8))
    w = statistics(log, [flat])[0].windows
    assert w.awake_s[0].tolist() == pytest.approx([20 + 10 + 10, 22 + 12 + 10, 25 + 15 + 10, 30 + 20 + 10, 70 + 10, 110 + 10])
    assert w.awake_s[1].tolist() == pytest.approx([10, 12, 15, 20, 30, 70])
    assert w.held_s[:2].tolist() == [pytest.approx([0, 10]), pytest.approx([0, 10])]
    assert len(COUNT_FEATURES) + len(REQUEST_FEATURES) == w.features.shape[1]


def test_ends_stamped_late_are_found() -> None:
    found, timed = statistics(*server(late_s=1.0, count=12_000, step_s=0.02, step_j=30.0))
    assert (found.late_s, timed.late_s) == (1.0, 1.0)
    assert found.windows.features[:, ALL_FEATURES.index("out")].sum() == pytest.approx(timed.singles.output.sum(), rel=1e-6)


def test_one_microjoule_bears_the_idle_power_and_none_bears_none() -> None:
    found = StepFit(diagnosis(coefficients={"idle": 100.0}), None)
    assert idle_powers_uw(found, [None, None], [1, 0]) == [100 * S, 0]
    assert idle_powers_uw(found, [None, None], [0, 0]) == [0, 0]


def test_forms_that_fit_worse_are_no_alternatives() -> None:
    """Of an exact fit with a saturating step all forms but the one without such steps are as exact."""
    found = fit_placement(FitData.from_days([day(windows(**{"in": 0.5, "out": 2.0, "step8": 0.3}))]), None)
    assert found.fit is not None
    assert len(found.alternatives) == 6
    for each in found.alternatives:
        assert each.coefficients["step8"] == pytest.approx(0.3)


def test_a_window_of_a_microjoule_counts() -> None:
    log, devices = server(count=10)
    one = replace(devices[0], energy_uj=np.where(devices[0].start_us < 300 * S, 0, devices[0].energy_uj))
    one.energy_uj[0] = 1
    assert statistics(log, [one])[0].windows.start_s[0] == 0


def test_an_offset_moves_all_that_is_in_time() -> None:
    """The log of a day is 30 s ahead: after the offset, awake time and work without tokens are those of the true log."""
    found = []
    for ahead_s in (0.0, 30.0):
        log, devices = server(ahead_s=ahead_s)
        log = replace(log, input_tokens=log.input_tokens.copy(), output_tokens=log.output_tokens.copy())
        log.input_tokens[::20] = log.output_tokens[::20] = -1
        found.append(statistics(log, devices)[0])
    true, moved = found
    assert (true.lag_s, moved.lag_s) == (0, -30)
    assert np.allclose(moved.windows.awake_s, true.windows.awake_s, atol=1e-6)
    assert np.allclose(moved.windows.held_s, true.windows.held_s, atol=1e-6)
    assert np.allclose(moved.windows.features, true.windows.features, rtol=1e-3, atol=0.1)


def test_energy_that_follows_no_request_has_no_offset() -> None:
    log, _ = server(count=300)
    at = np.arange(DAY_S) * S
    uj = np.random.default_rng(3).integers(100 * S, 400 * S, DAY_S)
    device = EnergyIntervals(at, at + S, uj, np.full(DAY_S, S), np.zeros(DAY_S, dtype=np.int8))
    found, timed = statistics(log, [device])
    assert (found.lag_s, found.lag_gain, timed.shift_s) == (0, 1, 0)


def test_an_offset_of_one_second_is_found() -> None:
    found, _ = statistics(*server(ahead_s=1.0))
    assert found.lag_s == -1


def test_a_device_of_one_interval_has_no_offset() -> None:
    log, _ = server(count=200)
    whole = EnergyIntervals(
        np.array([0]), np.array([DAY_S * S]), np.array([9_000_000 * S]), np.array([DAY_S * S]), np.zeros(1, dtype=np.int8)
    )
    found, _ = statistics(log, [whole])
    assert (found.lag_s, found.lag_gain, len(found.windows)) == (0, 1, 288)


def test_meters_of_one_fit_have_idle_powers_of_their_own() -> None:
    """Two hosts of equal costs, of 100 and 250 W; the second lost one of its two devices halfway."""
    first, second = windows(seed=1), windows(seed=2)
    size = np.where(np.arange(288) < 144, 2.0, 1.0)
    second = replace(second, size=size, energy_j=second.energy_j - 30_000 + 75_000 * size / 2)
    data = FitData.from_days([day(first), day(second, lag_s=5.0, late_s=0.5)], [0, 1])
    assert (data.sizes, data.day_count) == ((1.0, 2.0), 1)
    found = fit_placement(data, [None, None])
    own = [found.of_host(meter, devices, last).diagnosis for meter, devices, last in zip((0, 1), (1, 1), data.days, strict=True)]
    assert [each.coefficients["idle"] for each in own] == [pytest.approx(100), pytest.approx(125)]
    assert [each.lag_s for each in own] == [2.0, 5.0]
    for each in own:
        assert {name: each.coefficients[name] for name in ("in", "out", "step")} == {
            "in": pytest.approx(0.5), "out": pytest.approx(2), "step": pytest.approx(0.3),
        }  # fmt: skip
        assert not [name for name in each.coefficients if name.startswith("idle/")]
