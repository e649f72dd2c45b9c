"""Offset of a log against the energy: found to the second, within two minutes; its ratio as a least-squares fit gives it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from footprint.attribution.step.clock_offset import find_clock_offset

MARGIN = 120  # seconds of features on both sides


def shifted(
    offset: int, seconds: int = 1200, *, known: slice = slice(None), noise: float = 0.0, work_w: float = 3.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Energy [J] by second of 10 W and 3 J a unit of work, the work as a log stamps it ``offset`` seconds early, both running sums."""
    luck = np.random.default_rng(5)
    logged = luck.exponential(20, seconds + 2 * MARGIN) * (luck.random(seconds + 2 * MARGIN) < 0.1)
    done = logged[MARGIN - offset : MARGIN - offset + seconds]
    by_second = 10.0 + work_w * done + noise * luck.random(seconds)
    energy = np.full(seconds + 1, np.nan)
    energy[known] = np.concatenate([[0.0], np.cumsum(by_second)])[known]
    return energy, np.concatenate([np.zeros((1, 1)), np.cumsum(logged)[:, None]]), by_second


@pytest.mark.parametrize("offset", [0, 1, -1, 3, 4, -4, -17, 64, 119, -119, 120, -120])
def test_the_offset_of_a_log_is_found(offset: int) -> None:
    energy, work, _ = shifted(offset)
    found, ratio = find_clock_offset(energy, work)
    assert found == offset
    assert ratio == pytest.approx(0, abs=1e-12) if offset else ratio == 1


@pytest.mark.parametrize("offset", [122, -122])
def test_no_offset_is_above_two_minutes(offset: int) -> None:
    luck = np.random.default_rng(6)
    smooth = 50 + np.cumsum(luck.normal(0, 1, 1200 + 4 * MARGIN))  # the nearer, the better
    energy = np.concatenate([[0.0], np.cumsum(10 + 3 * smooth[2 * MARGIN - offset : 2 * MARGIN - offset + 1200])])
    work = np.concatenate([[0.0], np.cumsum(smooth[MARGIN : MARGIN + 1200 + 2 * MARGIN])])[:, None]
    assert find_clock_offset(energy, work)[0] == np.sign(offset) * 120


def test_the_ratio_is_that_of_the_residuals_by_ten_seconds() -> None:
    energy, work, by_second = shifted(7, noise=30.0)

    def residual(offset: int) -> float:
        read = by_second.reshape(-1, 10).sum(axis=1)
        logged = np.diff(work[:, 0])[MARGIN - offset : MARGIN - offset + 1200].reshape(-1, 10).sum(axis=1)
        root = np.sqrt(1 / read)
        matrix = np.stack([np.full(120, 10.0), logged], axis=1) * root[:, None]
        return float(nnls(matrix, read * root)[1] ** 2)

    found, ratio = find_clock_offset(energy, work)
    assert found == 7
    assert ratio == pytest.approx(residual(7) / residual(0), rel=1e-9)


def test_energy_that_is_not_known_or_zero_is_left_out() -> None:
    energy, work, _ = shifted(5, known=np.r_[0:500, 700:1201])
    assert find_clock_offset(energy, work) == (5, pytest.approx(0, abs=1e-12))
    energy, work, by_second = shifted(5)
    by_second[300:420] = 0  # a meter that stood still
    assert find_clock_offset(np.concatenate([[0.0], np.cumsum(by_second)]), work)[0] == 5


@pytest.mark.parametrize(("seconds", "found"), [(600, 40), (599, 0)])
def test_ten_minutes_are_the_least(seconds: int, found: int) -> None:
    """Below ten minutes there is no search by minutes, so that only offsets of 8 s around none are tried."""
    energy, work, _ = shifted(40, seconds)
    offset, _ = find_clock_offset(energy, work)
    assert abs(offset - found) <= (0 if found else 8)


def test_less_than_ten_windows_have_no_offset() -> None:
    for seconds in (99, 90):
        energy, work, _ = shifted(4, seconds)
        assert find_clock_offset(energy, work) == (0, 1)
    energy, work, _ = shifted(4, 100)
    assert find_clock_offset(energy, work)[0] == 4


def test_no_energy_has_no_offset() -> None:
    energy, work, _ = shifted(0)
    assert find_clock_offset(np.zeros_like(energy), work) == (0, 1)


def test_work_without_energy_has_no_offset() -> None:
    """A constant power is explained by any offset: the smallest counts."""
    energy, work, _ = shifted(30, work_w=0.0)
    assert find_clock_offset(energy, work)[0] == 0


def test_small_energies_have_the_offset_and_ratio_of_large_ones() -> None:
    energy, work, _ = shifted(7, noise=30.0)
    large, small = find_clock_offset(energy, work), find_clock_offset(energy * 1e-6, work)
    assert small == (large[0], pytest.approx(large[1], rel=1e-6))


def test_energy_that_is_explained_exactly_has_no_offset() -> None:
    energy = np.arange(1201.0)
    assert find_clock_offset(energy, np.zeros((1201 + 2 * MARGIN, 1))) == (0, 1)
