"""Samples become corrected counters: energy is conserved through wraps, resets and gaps."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.base import Sample
from collectors.metering import advance, begin, reading

S = 1_000_000


def sample(at_s: float, counter: int | None = None, power: int | None = None, wrap: int | None = None) -> Sample:
    us = round(at_s * S)
    return Sample(us, us, "cpu:0", "cpu", "rapl", counter, power, wrap, limit_uw=400 * S)


@given(st.lists(st.integers(0, 300 * S), min_size=1, max_size=60), st.integers(0, 1000 * S))
def test_a_counter_that_wraps_loses_nothing(used: list[int], start: int) -> None:
    wrap = 1000 * S
    meter = begin(sample(0, start % wrap, wrap=wrap), "e")
    raw = start
    for second, energy in enumerate(used, 1):
        raw += energy
        meter = advance(meter, sample(second, raw % wrap, wrap=wrap), "f")
    record, _ = reading(meter, "a")
    assert record.energy_uj == sum(used)
    assert record.epoch == "e"
    assert record.covered_us == len(used) * S


def test_a_fall_without_a_range_opens_an_epoch() -> None:
    meter = advance(begin(sample(0, 500), "e"), sample(1, 20), "f")
    record, _ = reading(meter, "a")
    assert (record.epoch, record.energy_uj) == ("f", 0)


def test_a_wrap_that_no_device_could_draw_is_a_reset() -> None:
    meter = advance(begin(sample(0, 10, wrap=10**12), "e"), sample(1, 5, wrap=10**12), "f")
    assert meter.epoch == "f"


def test_power_is_integrated_by_trapezoid_and_gaps_are_not_bridged() -> None:
    meter = begin(sample(0, power=100 * S), "e")
    for at, watts in ((1, 200), (2, 100), (60, 100), (61, 100)):
        meter = advance(meter, sample(at, power=watts * S), "f")
    record, _ = reading(meter, "a")
    assert record.energy_uj == (150 + 150 + 100) * S
    assert record.covered_us == 3 * S


def test_a_counter_keeps_its_energy_through_a_gap_without_covering_it() -> None:
    meter = advance(begin(sample(0, 0), "e"), sample(100, 5000), "f")
    record, _ = reading(meter, "a")
    assert (record.energy_uj, record.covered_us, record.epoch) == (5000, 0, "e")
