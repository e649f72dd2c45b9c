"""Registers of any range: unwrapped where the power around bears it out, and never by more."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footprint.core.counter_registers import KNOWN_RANGES_UJ, CorrectedCounter, CounterCorrection, Register, shows_same_counter

S = J = 1_000_000
TABLE_UJ = 262_143_328_850
EPYC_UJ, XEON_MEMORY_UJ = 65_532_610_987, 65_712_999_613


def used_uj(states: list[CorrectedCounter]) -> int:
    return sum(b.value_uj - a.value_uj for a, b in pairwise(states) if a.epoch_us == b.epoch_us)


def correct(
    range_uj: int, energy_uj: list[int], times_s: list[int], component: str = "cpu", limit_w: int = 1000, pieces: int = 1
) -> tuple[list[CorrectedCounter], CounterCorrection]:
    """Corrected states of a register of a true range, which knows only the range of the table."""
    correction = CounterCorrection(limit_w * S, Register(TABLE_UJ, component))
    states = []
    length = -(-len(times_s) // pieces)
    for start in range(0, len(times_s), length):
        piece = slice(start, start + length)
        states += correction.correct([t * S for t in times_s[piece]], [energy % range_uj for energy in energy_uj[piece]])
    return states, correction


def test_the_known_ranges_are_those_that_kernels_show() -> None:
    assert {EPYC_UJ, XEON_MEMORY_UJ, TABLE_UJ} <= set(KNOWN_RANGES_UJ)


@pytest.mark.parametrize(
    ("range_uj", "start_j", "power_w", "times_s", "component"),
    [
        (EPYC_UJ, 41_000, 220, list(range(0, 7201, 30)), "cpu"),
        (EPYC_UJ, 60_000, 90, [t for t in range(0, 3601, 30) if not 30 < t < 270], "cpu"),  # a gap around the wrap
        (XEON_MEMORY_UJ, 60_000, 60, list(range(0, 21_601, 60)), "dram"),
        (XEON_MEMORY_UJ, 60_000, 60, [t for t in range(0, 3601, 60) if not 60 < t < 600], "dram"),
        (TABLE_UJ, 100_000, 280, list(range(0, 10_801, 60)), "cpu"),
        (40_000 * J, 1_000, 220, list(range(0, 7201, 30)), "cpu"),  # of no known unit
    ],
)
def test_a_register_is_followed_whatever_its_range(
    range_uj: int, start_j: int, power_w: int, times_s: list[int], component: str
) -> None:
    energy_uj = [start_j * J + power_w * t * J for t in times_s]
    states, correction = correct(range_uj, energy_uj, times_s, component, 1000 if component == "cpu" else 400)
    assert used_uj(states) == energy_uj[-1] - energy_uj[0]
    assert correction.register is not None
    assert correction.register.range_uj == range_uj
    assert (correction.unseen_wraps, correction.unexplained_falls) == (0, 0)


def test_the_range_that_the_device_gives_is_not_inferred() -> None:
    correction = CounterCorrection(1000 * S, Register(TABLE_UJ, device_uj=30_000 * J))
    states = correction.correct([0, 30 * S], [29_000 * J, 1_000 * J])
    assert used_uj(states) == 2_000 * J


@pytest.mark.parametrize("power_w", [220, 600])
def test_scrapes_so_rare_that_a_wrap_may_hide_give_nothing_and_are_counted(power_w: int) -> None:
    """At 120 s and 600 W a register of 65.5 kJ goes round in each interval: by itself it looks like 54 W."""
    times_s = list(range(0, 7201, 120))
    states, correction = correct(EPYC_UJ, [power_w * t * J for t in times_s], times_s)
    assert used_uj(states) == 0
    assert correction.unseen_wraps + correction.unexplained_falls == len(times_s) - 1


def test_a_reset_is_no_wrap() -> None:
    """After a restart at 200 kJ the register of the table's range would have had to draw 870 W for four minutes."""
    times_s = [*range(0, 601, 30), *range(840, 1441, 30)]
    raw = [200_000 * J + 100 * t * J for t in times_s[:21]] + [100 * (t - 830) * J for t in times_s[21:]]
    correction = CounterCorrection(1000 * S, Register(TABLE_UJ))
    states = correction.correct([t * S for t in times_s], raw)
    assert used_uj(states) == 100 * 1200 * J
    assert correction.unexplained_falls == 1


def test_a_counter_that_does_not_wrap_resets_and_does_not_spike() -> None:
    correction = CounterCorrection(1500 * S, None)
    states = correction.correct([0, 15 * S, 30 * S, 45 * S], [9 * J, 5 * J, 10**15, 10**15 + 7])
    assert [state.epoch_us for state in states] == [0, 15 * S, 30 * S, 30 * S]


RANGES = st.sampled_from([r for r in KNOWN_RANGES_UJ if r > 60_000 * J]) | st.integers(60_000 * J, 400_000 * J)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    range_uj=RANGES,
    base_w=st.integers(15, 330),
    swing=st.sampled_from([0.0, 0.1, 0.5, 1.5]),
    period_s=st.sampled_from([10, 15, 30, 60]),
    gap=st.none() | st.tuples(st.integers(100, 5000), st.integers(60, 900)),
    pieces=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_no_wrap_adds_energy_that_the_power_around_does_not_bear_out(
    range_uj: int, base_w: int, swing: float, period_s: int, gap: tuple[int, int] | None, pieces: int, seed: int
) -> None:
    """Of a load that changes every five minutes; what is not counted opens an epoch, so coverage tells of it."""
    rng = random.Random(seed)
    phases_w = [round(base_w * (1 + rng.random() * swing)) for _ in range(25)]
    total_j = [rng.randrange(range_uj) // J]
    for second in range(7200):
        total_j.append(total_j[-1] + phases_w[second // 300])
    times_s = [t for t in range(0, 7201, period_s) if gap is None or not gap[0] < t < sum(gap)]
    states, _ = correct(range_uj, [total_j[t] * J for t in times_s], times_s, pieces=pieces)
    for before, after in pairwise(states):
        if before.epoch_us == after.epoch_us:
            start_s, end_s = before.at_us // S, after.at_us // S
            near_w = phases_w[max(start_s // 300 - 3, 0) : end_s // 300 + 4]
            assert after.value_uj - before.value_uj <= (2 * max(near_w) + 11) * (end_s - start_s) * J
    counted = used_uj(states)
    truth = sum((total_j[b.at_us // S] - total_j[a.at_us // S]) * J for a, b in pairwise(states) if a.epoch_us == b.epoch_us)
    assert counted == pytest.approx(truth, rel=0.03, abs=2 * max(phases_w) * max(b - a for a, b in pairwise(times_s)) * J)


def test_one_counter_under_two_names_is_known_and_two_counters_are_not() -> None:
    def series(power_w: float, offset_s: int, start_j: int = 1000) -> list[tuple[int, int]]:
        return [((t + offset_s) * S, round((start_j + power_w * (t + offset_s)) * J) % TABLE_UJ) for t in range(0, 3571, 30)]

    assert shows_same_counter(series(200, 0), series(200, 11)) is True
    assert shows_same_counter(series(200, 0), series(200, 0)) is True
    assert shows_same_counter(series(200, 0), series(201, 11)) is False  # two machines that started together
    assert shows_same_counter(series(200, 0), series(200, 11, start_j=9000)) is False
    assert shows_same_counter(series(0, 0), series(0, 11)) is None  # both stand still
    assert shows_same_counter(series(200, 0)[:5], series(200, 11)[:5]) is None


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 29), st.sampled_from([10, 15, 30, 60]))
def test_one_counter_is_known_at_any_load_offset_and_period(seed: int, offset_s: int, period_s: int) -> None:
    rng = random.Random(seed)
    power_w, total_j = 100, [rng.randrange(200_000)]
    for second in range(3700):
        power_w = rng.choice((60, 100, 250, 400)) if second % 40 == 0 else power_w
        total_j.append(total_j[-1] + power_w)

    def scraped(late_s: int, extra_w: float = 0) -> list[tuple[int, int]]:
        return [((t + late_s) * S, round((total_j[t + late_s] + extra_w * t) * J) % TABLE_UJ) for t in range(0, 3600, period_s)]

    assert shows_same_counter(scraped(0), scraped(offset_s)) is True
    assert shows_same_counter(scraped(0), scraped(offset_s, extra_w=4)) is False
