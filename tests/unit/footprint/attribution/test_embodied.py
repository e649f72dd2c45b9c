"""Embodied emissions of a host over its rows: each accelerator alike, within one by idle energy, energy or equally."""

from __future__ import annotations

import numpy as np

from footprint.attribution.embodied import split_embodied


def parts(*rows: tuple[int, int, int, int, int], whole: tuple[int, ...]) -> list[int]:
    """From window, device, idle energy, energy, and whether it is of an accelerator."""
    window, device, idle, energy, accelerator = np.array(rows, dtype=np.int64).T
    return split_embodied(window, device, idle, energy, accelerator, np.array(whole)).tolist()


def test_accelerators_bear_the_same_and_the_rest_of_the_host_nothing() -> None:
    """Device 0 divides by idle energy (1 to 3), device 1 by energy (2 to 8), device 2 is no accelerator."""
    assert parts((0, 0, 10, 500, 1), (0, 0, 30, 100, 1), (0, 1, 0, 20, 1), (0, 1, 0, 80, 1), (0, 2, 50, 70, 0), whole=(1000,)) == [
        125, 375, 100, 400, 0,
    ]  # fmt: skip


def test_within_a_device_without_energy_rows_bear_the_same() -> None:
    assert parts((0, 0, 0, 0, 1), (0, 0, 0, 0, 1), (0, 1, 7, 9, 1), whole=(800,)) == [200, 200, 400]
    assert parts((0, 0, 0, -5, 1), (0, 0, 0, 5, 1), (0, 1, 1, 1, 1), whole=(800,)) == [0, 400, 400]


def test_a_host_without_accelerators_divides_over_all_rows() -> None:
    assert parts((0, 0, 0, 30, 0), (0, 0, 0, 10, 0), (0, 1, 0, 5, 0), whole=(800,)) == [300, 100, 400]


def test_an_accelerator_in_one_window_says_nothing_of_another() -> None:
    assert parts((0, 0, 1, 1, 1), (0, 1, 1, 1, 0), (1, 1, 1, 1, 0), (1, 1, 3, 1, 0), whole=(60, 80)) == [60, 0, 20, 60]


def test_a_window_without_rows_spreads_nothing() -> None:
    assert parts((1, 0, 2, 2, 1), whole=(70, 30)) == [30]


def test_one_microjoule_of_idle_or_of_energy_is_enough_to_divide_by() -> None:
    assert parts((0, 0, 1, 0, 1), (0, 0, 0, 90, 1), whole=(50,)) == [50, 0]
    assert parts((0, 0, 0, 1, 1), (0, 0, 0, 0, 1), whole=(50,)) == [50, 0]
    assert parts((0, 0, 2, 0, 1), (0, 0, 1, 0, 1), whole=(90,)) == [60, 30]
    assert parts((0, 0, 1, 0, 1), (0, 0, 0, 0, 1), whole=(50,)) == [50, 0]
    for idle, energy in ((1, 0), (0, 1), (0, 0)):  # a device bears as much as another, whatever it drew
        assert parts((0, 0, idle, energy, 1), (0, 1, 5, 5, 1), whole=(80,)) == [40, 40]


def test_devices_of_two_windows_are_kept_apart() -> None:
    """As many devices as windows: a wrong place would mix device 1 of window 0 with device 0 of window 1."""
    assert parts((0, 1, 1, 1, 1), (0, 1, 3, 1, 1), (1, 0, 5, 1, 1), (1, 1, 5, 1, 1), (0, 0, 2, 1, 1), whole=(80, 100)) == [
        10,
        30,
        50,
        50,
        40,
    ]
