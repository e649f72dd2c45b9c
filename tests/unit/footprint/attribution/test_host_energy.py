"""Energy of a host that no accelerator holds: what it is, whom it follows, and the facility over it."""

from __future__ import annotations

import numpy as np

from footprint.attribution.host_energy import (
    HostEnergyWeights,
    facility_energy,
    split_host_energy,
    uncovered_energy,
    weights_by_accelerator_energy,
    weights_by_cpu_time,
)


def following(*rows: tuple[int, int, float]) -> HostEnergyWeights:
    return HostEnergyWeights(
        np.array([r[0] for r in rows], dtype=np.int64), np.array([r[1] for r in rows], dtype=np.int64),
        np.array([r[2] for r in rows], dtype=np.float64),
    )  # fmt: skip


def listed(found: HostEnergyWeights) -> list[tuple[int, int, float]]:
    return sorted(zip(found.window.tolist(), found.key.tolist(), found.weight.tolist(), strict=True))


def test_a_meter_tells_what_parts_do_not_hold_else_the_uplift_does() -> None:
    found = uncovered_energy(
        np.array([100, 100, 100, 10]), np.array([130, 90, 130, 0]), np.array([60, 60, 30, 0]), np.array([60, 60, 60, 60]),
        np.array([1.5, 1.5, 1.2, 1.25]),
    )  # fmt: skip
    # A window that the meter spans; one where it reads less; half of one is none; 2.5 rounds to even.
    assert found.tolist() == [30, -10, 20, 2]


def test_host_energy_follows_accelerator_energy() -> None:
    assert listed(weights_by_accelerator_energy(np.array([0, 1]), np.array([2, 3]), np.array([7, 0]))) == [
        (0, 2, 7.0),
        (1, 3, 0.0),
    ]


# Keys: 0 nobody; 1, 2 of service 0; 3 of service 1; 4 of service 2, which has no accelerator here.
SERVICE_OF_KEY = np.array([-1, 0, 0, 1, 2])


def by_cpu(
    accelerators: HostEnergyWeights, cpu: list[list[float]], rest: list[float], others: HostEnergyWeights
) -> list[tuple[int, int, float]]:
    return listed(weights_by_cpu_time(accelerators, SERVICE_OF_KEY, np.array(cpu), np.array(rest), others, 0))


def test_cpu_time_of_services_is_divided_by_accelerator_energy() -> None:
    accelerators = following((0, 0, 50), (0, 1, 30), (0, 2, 10), (0, 3, 60))
    found = by_cpu(accelerators, [[8.0, 4.0, 2.0]], [5.0], following((0, 4, 2.0)))
    # Service 0 has 8 of CPU, 3 to 1 over its keys; service 1 has 4; the other 2; the rest is nobody's.
    assert found == [(0, 0, 5.0), (0, 1, 6.0), (0, 2, 2.0), (0, 3, 4.0), (0, 4, 2.0)]


def test_a_service_whose_cpu_time_is_not_known_makes_its_window_follow_accelerators() -> None:
    accelerators = following((0, 1, 30), (0, 3, 60), (1, 1, 30), (1, 3, 60), (2, 1, 7))
    cpu = [[8.0, 0.0, 2.0], [8.0, 4.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # in the last two nobody computed
    found = by_cpu(accelerators, cpu, [5.0, 6.0, 9.0, 9.0], following((0, 4, 2.0)))
    assert found == [(0, 1, 30.0), (0, 3, 60.0), (1, 0, 6.0), (1, 1, 8.0), (1, 3, 4.0), (2, 1, 7.0)]


def test_a_service_without_accelerator_energy_need_not_be_known() -> None:
    found = by_cpu(following((0, 1, 0.0), (0, 3, 60)), [[0.0, 4.0, 0.0]], [1.0], following())
    assert found == [(0, 0, 1.0), (0, 1, 0.0), (0, 3, 4.0)]
    # A fraction of CPU time, of accelerator energy and of all of it together counts too.
    assert by_cpu(following((0, 3, 0.5)), [[0.0, 0.25, 0.0]], [0.0], following()) == [(0, 0, 0.0), (0, 3, 0.25)]


def test_cpu_time_is_known_in_each_window_for_itself() -> None:
    accelerators = following((0, 3, 4), (1, 1, 8), (1, 3, 4))
    found = by_cpu(accelerators, [[0.0, 2.0, 0.0], [6.0, 3.0, 0.0]], [0.0, 0.5], following())
    assert found == [(0, 0, 0.0), (0, 3, 2.0), (1, 0, 0.5), (1, 1, 6.0), (1, 3, 3.0)]


def test_a_host_of_no_service_follows_accelerators() -> None:
    accelerators = following((0, 0, 5))
    assert listed(weights_by_cpu_time(accelerators, np.array([-1]), np.zeros((1, 0)), np.ones(1), following(), 0)) == [
        (0, 0, 5.0)
    ]


def spread_rows(energy: list[int], rows: HostEnergyWeights, nobody: int = 0) -> list[tuple[int, int, int]]:
    return list(zip(*(each.tolist() for each in split_host_energy(np.array(energy), rows, nobody)), strict=True))


def test_energy_of_any_sign_is_spread_by_weight_and_falls_to_nobody_where_nothing_bears_it() -> None:
    rows = following((0, 1, 30), (0, 2, 10), (1, 1, 0), (2, 2, -5), (3, 1, 0.5), (3, 2, -1))
    assert spread_rows([8, 6, -4, 5, 0], rows) == [(0, 1, 6), (0, 2, 2), (1, 0, 6), (2, 0, -4), (3, 1, 5)]
    assert spread_rows([-8], following((0, 1, 30), (0, 2, 10)), 3) == [(0, 1, -6), (0, 2, -2)]
    assert spread_rows([9], following(), 3) == [(0, 3, 9)]


def test_rows_of_one_key_are_one_part() -> None:
    assert spread_rows([3], following((0, 1, 1), (0, 2, 1), (0, 1, 1))) == [(0, 1, 2), (0, 2, 1)]


def test_facility_parts_sum_to_the_rounded_whole_of_their_window() -> None:
    it = np.array([1, 1, 1, 10, 5])
    assert facility_energy(it, np.array([0, 0, 0, 1, 2]), np.array([1.5, 1.25, 1.0])).tolist() == [1, 1, 0, 2, 0]
    assert facility_energy(np.array([8, -4]), np.array([0, 0]), np.array([1.5])).tolist() == [4, -2]
