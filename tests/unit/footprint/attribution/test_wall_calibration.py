"""Calibration on a wall meter, against generated servers whose uplift and gains are known."""

from __future__ import annotations

import numpy as np
import pytest

from footprint.attribution.energy_intervals import EnergyIntervals, Samples, intervals_from_power
from footprint.attribution.wall_calibration import (
    MAX_LAG_S,
    CannotCalibrate,
    component_slopes,
    energy_ratio,
    estimate_lag_s,
    mean_powers,
)

US = 1_000_000
SEEDS = 300


def steps(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    return low + (high - low) * np.repeat(rng.uniform(0, 1, -(-count // 3)), 3)[:count]


def power_intervals(power_w: np.ndarray, spacing_s: float = 1.0, start_s: float = 0.0) -> EnergyIntervals:
    time_us = np.rint((start_s + np.arange(len(power_w)) * spacing_s) * US).astype(np.int64)
    unknown = np.full(len(power_w), -1, dtype=np.int64)
    samples = Samples(time_us, np.rint(power_w * US).astype(np.int64), unknown, np.zeros_like(unknown))
    return intervals_from_power(samples, round(5 * spacing_s * US))


def test_the_interval_holds_the_true_uplift_in_about_95_of_100_servers() -> None:
    rng = np.random.default_rng(21)
    inside = 0
    for _ in range(SEEDS):
        uplift, meter_class = rng.uniform(1.05, 1.5), 1.0
        parts = steps(rng, 60, 150, 900)
        error = 1 + rng.uniform(-meter_class, meter_class) / 100
        wall = uplift * parts * error + rng.normal(0, 6, 60)
        low, high = energy_ratio(wall, parts, meter_class).interval
        inside += low <= uplift <= high
    assert 0.94 * SEEDS <= inside <= SEEDS


def test_the_interval_holds_the_uplift_of_another_load() -> None:
    """A fixed power beside the parts makes the uplift fall with load; a day at either end of the range is still inside."""
    rng = np.random.default_rng(22)
    inside = tried = 0
    for _ in range(SEEDS):
        slope, fixed = rng.uniform(1.02, 1.2), rng.uniform(10, 60)
        parts = steps(rng, 60, 150, 900)
        wall = slope * parts + fixed + rng.normal(0, 5, 60)
        low, high = energy_ratio(wall, parts, 0.5).interval
        for load in np.quantile(parts, [0.06, 0.5, 0.94]):
            tried += 1
            inside += low <= slope + fixed / load <= high
    assert inside >= 0.95 * tried


def test_a_better_meter_and_longer_reading_narrow_the_interval() -> None:
    rng = np.random.default_rng(23)
    parts = steps(rng, 400, 200, 800)
    wall = 1.2 * parts + rng.normal(0, 40, 400)

    def width(meter_class: float, count: int) -> float:
        low, high = energy_ratio(wall[:count], parts[:count], meter_class).interval
        return high - low

    assert width(0.2, 400) < width(2.0, 400)
    assert width(0.2, 400) < width(0.2, 24)


def test_slopes_of_components_that_are_loaded_apart_hold_the_truth() -> None:
    rng = np.random.default_rng(24)
    inside = tried = 0
    for _ in range(SEEDS // 3):
        gpu, cpu = steps(rng, 80, 100, 700), steps(rng, 80, 60, 250)
        true = {"gpu": rng.uniform(0.9, 1.3), "cpu": rng.uniform(0.9, 1.3)}
        wall = true["gpu"] * gpu + true["cpu"] * cpu + 50 + rng.normal(0, 5, 80)
        for slope in component_slopes(wall, {"gpu": gpu, "cpu": cpu}, 0.5):
            assert slope.value is not None
            tried += 1
            inside += abs(slope.value - true[slope.component]) <= 2 * slope.u
    assert inside >= 0.93 * tried


def test_components_that_rise_together_or_stand_still_are_refused_with_the_reason() -> None:
    rng = np.random.default_rng(25)
    gpu = steps(rng, 60, 100, 700)
    together = 50 + 0.3 * gpu + rng.normal(0, 1, 60)
    still = np.full(60, 40.0)
    reasons = {
        slope.component: slope.reason
        for slope in component_slopes(1.2 * (gpu + together) + 10, {"gpu": gpu, "cpu": together, "dram": still}, 1.0)
    }
    assert "rises and falls with" in reasons["gpu"]
    assert "rises and falls with" in reasons["cpu"]
    assert "hardly changes" in reasons["dram"]


@pytest.mark.parametrize(
    ("wall", "parts", "words"),
    [
        (np.linspace(200, 900, 11), np.linspace(180, 800, 11), "11 windows"),
        (np.full(60, 480.0), np.full(60, 400.0), "the load changes"),
        (np.linspace(2000, 9000, 60), np.linspace(180, 800, 60), "cannot be one server"),
    ],
)
def test_what_supports_no_ratio_is_refused(wall: np.ndarray, parts: np.ndarray, words: str) -> None:
    with pytest.raises(CannotCalibrate, match=words):
        energy_ratio(wall, parts, 1.0)


def test_loads_that_the_host_works_at_and_the_meter_did_not_see_are_refused() -> None:
    parts = np.linspace(100, 180, 60)
    with pytest.raises(CannotCalibrate, match="of the range in which the host works"):
        energy_ratio(1.2 * parts, parts, 1.0, seen_w=(100.0, 900.0))


@pytest.mark.parametrize("lag_s", [-70.0, -3.0, 0.0, 17.5, 90.0])
def test_the_lag_of_a_meter_is_found(lag_s: float) -> None:
    rng = np.random.default_rng(26)
    load = np.repeat(rng.uniform(100, 800, 60), 60)
    meter = power_intervals(1.2 * load + rng.normal(0, 5, len(load)), start_s=1000 - lag_s)
    sensors = power_intervals(load, start_s=1000)
    edges = np.arange(1000 * US, 4600 * US, 2 * US, dtype=np.int64)
    found, correlation = estimate_lag_s(meter, [sensors], edges)
    assert found == pytest.approx(lag_s, abs=0.6)
    assert correlation > 0.99


def test_a_meter_of_another_server_and_a_clock_far_off_are_refused() -> None:
    rng = np.random.default_rng(27)
    load, other = (np.repeat(rng.uniform(100, 800, 60), 60) for _ in range(2))
    edges = np.arange(1000 * US, 4600 * US, 2 * US, dtype=np.int64)
    with pytest.raises(CannotCalibrate, match="does not follow"):
        estimate_lag_s(power_intervals(other, start_s=1000), [power_intervals(load, start_s=1000)], edges)
    with pytest.raises(CannotCalibrate):
        estimate_lag_s(power_intervals(load, start_s=1000 - MAX_LAG_S - 60), [power_intervals(load, start_s=1000)], edges)


def test_windows_with_a_gap_have_no_power() -> None:
    power = power_intervals(np.full(100, 50.0))
    kept = power[(power.start_us < 20 * US) | (power.start_us >= 31 * US)]
    powers = mean_powers(kept, np.arange(0, 91 * US, 10 * US, dtype=np.int64))
    assert np.isnan(powers).tolist() == [False, False, True, True, False, False, False, False, False]
    assert powers[0] == pytest.approx(50)


def test_a_meter_that_stands_still_and_one_of_another_time_are_told_apart() -> None:
    load = np.repeat(np.random.default_rng(28).uniform(100, 800, 60), 60)
    sensors, edges = power_intervals(load, start_s=1000), np.arange(1000 * US, 4600 * US, 2 * US, dtype=np.int64)
    with pytest.raises(CannotCalibrate, match="the meter does not change"):
        estimate_lag_s(power_intervals(np.full(3600, 500.0), start_s=1000), [sensors], edges)
    with pytest.raises(CannotCalibrate, match="share no time"):
        estimate_lag_s(power_intervals(load, start_s=90_000), [sensors], edges)
