"""Samples become corrected counters: energy is conserved through wraps, resets, misreadings and gaps."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from collectors.mig_split import split_uj
from footprint.core.counter_correction import CLOSED, Meter, delta_uj, start_meter, to_record, update_meter
from footprint.core.samples import Channel, Sample

S = 1_000_000
LIMIT_W = 300
GPU = Channel("g", "gpu", "nvml-energy", limit_uw=LIMIT_W * S)
RAPL = Channel("cpu:0", "cpu", "rapl", wrap_uj=1000 * S, limit_uw=LIMIT_W * S)


def counter(channel: Channel, at_s: float, value: int, wall_s: float | None = None) -> Sample:
    return Sample(channel, round((at_s if wall_s is None else wall_s) * S), round(at_s * S), value)


def power(at_s: float, watts: float, limit_w: int = 0) -> Sample:
    return Sample(
        Channel("g", "gpu", "nvml-power", limit_uw=limit_w * S), round(at_s * S), round(at_s * S), None, round(watts * S)
    )


def follow(meter: Meter, *samples: Sample) -> tuple[Meter, list[Meter]]:
    """The meter after samples, and those closed on the way."""
    closed = []
    for sample in samples:
        meter, ended = update_meter(meter, sample, "boot")
        if ended is not None:
            closed.append(ended)
            meter, _ = update_meter(meter, sample, "boot")
    return meter, closed


@given(st.lists(st.integers(0, LIMIT_W * S), min_size=1, max_size=80), st.integers(0, 10**10))
def test_c4_a_counter_that_wraps_loses_nothing(used: list[int], offset: int) -> None:
    meter, raw = start_meter(counter(RAPL, 0, offset % RAPL.wrap_uj), "boot"), offset
    for second, energy in enumerate(used, 1):
        raw += energy
        meter, closed = follow(meter, counter(RAPL, second, raw % RAPL.wrap_uj))
        assert not closed
    assert meter.energy_uj == sum(used)
    assert meter.covered_us == len(used) * S


def test_c4_a_gap_that_could_hide_a_wrap_opens_an_epoch() -> None:
    """1000 J at 300 W wrap in 3.3 s: after four, nobody knows how often."""
    assert delta_uj(counter(RAPL, 0, 0), counter(RAPL, 3, 5 * S)) == 5 * S
    assert delta_uj(counter(RAPL, 0, 0), counter(RAPL, 4, 5 * S)) is None
    meter, closed = follow(
        start_meter(counter(RAPL, 0, 0), "b"), counter(RAPL, 1, 9 * S), counter(RAPL, 60, 20 * S), counter(RAPL, 61, 30 * S)
    )
    assert [each.energy_uj for each in closed] == [9 * S]
    assert meter.energy_uj == 10 * S


def test_c4_a_wrap_that_no_device_could_draw_is_none() -> None:
    assert delta_uj(counter(RAPL, 0, 500 * S), counter(RAPL, 1, 400 * S)) is None  # 900 J in a second


@given(st.lists(st.integers(0, LIMIT_W * S), min_size=4, max_size=40), st.data())
def test_c9_a_fall_that_the_next_sample_bears_out_closes_the_epoch_and_keeps_both_sides(
    used: list[int], data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(used) - 2))
    values, raw = [10**12], 10**12
    for index, energy in enumerate(used):
        raw = 7 if index == at else raw + energy
        values.append(raw)
    meter, closed = follow(start_meter(counter(GPU, 0, values[0]), "b"), *(counter(GPU, s, v) for s, v in enumerate(values) if s))
    assert [each.energy_uj for each in closed] == [sum(used[:at])]
    assert meter.energy_uj == sum(used[at + 1 :])
    assert meter.resets == 1
    assert meter.epoch == f"boot/{(at + 1) * S}"


@given(st.lists(st.integers(0, LIMIT_W * S), min_size=3, max_size=40), st.data(), st.sampled_from([0, 3, 10**15]))
def test_a_misread_value_is_passed_over_and_loses_nothing(used: list[int], data: st.DataObject, wrong: int) -> None:
    at = data.draw(st.integers(1, len(used) - 1))
    samples, raw = [], 10**12
    for second, energy in enumerate(used, 1):
        raw += energy
        samples.append(counter(GPU, second, wrong if second == at else raw))
    meter, closed = follow(start_meter(counter(GPU, 0, 10**12), "b"), *samples)
    assert not closed
    assert meter.energy_uj == sum(used)
    assert meter.covered_us == len(used) * S


def test_c16_an_increase_above_the_limit_is_doubted_and_never_counted() -> None:
    leap = 10**18
    meter, closed = follow(
        start_meter(counter(GPU, 0, 0), "b"), counter(GPU, 1, 100 * S), counter(GPU, 2, leap), counter(GPU, 3, leap + 100 * S)
    )
    assert [each.energy_uj for each in closed] == [100 * S]
    assert meter.energy_uj == 100 * S


def test_power_is_integrated_by_trapezoid_and_gaps_are_not_bridged() -> None:
    meter, _ = follow(start_meter(power(0, 100), "b"), power(1, 200), power(2, 100), power(60, 100), power(61, 100))
    assert meter.energy_uj == (150 + 150 + 100) * S
    assert meter.covered_us == 3 * S


def test_a_power_above_the_limit_is_no_sample() -> None:
    meter, _ = follow(start_meter(power(0, 100, 300), "b"), power(1, 9e6, 300), power(2, 100, 300))
    assert meter.energy_uj == 200 * S
    assert meter.covered_us == 2 * S


def test_a_slow_source_has_a_gap_limit_of_its_own() -> None:
    channel = Channel("wall", "host", "ipmi", period_us=10 * S)
    samples = [Sample(channel, at * S, at * S, None, 400 * S) for at in (0, 10, 21, 30, 90)]
    meter, _ = follow(start_meter(samples[0], "b"), *samples[1:])
    assert meter.energy_uj == 400 * 30 * S
    assert meter.covered_us == 30 * S


def test_c18_a_wall_clock_set_back_tells_nothing_twice_and_loses_nothing() -> None:
    meter = start_meter(counter(GPU, 0, 0, wall_s=1000), "b")
    _, meter = to_record(meter, "a", "unknown", "")
    meter, _ = follow(meter, counter(GPU, 1, 100 * S, wall_s=1001))
    reading, meter = to_record(meter, "a", "unknown", "")
    assert reading is not None
    for second in range(2, 12):  # set back by five seconds
        meter, closed = follow(meter, counter(GPU, second, second * 100 * S, wall_s=1000 + second - 5))
        assert not closed
        said, meter = to_record(meter, "a", "unsynchronised", "")
        assert (said is None) == (second - 5 <= 1)
    assert meter.energy_uj == 1100 * S
    assert meter.covered_us == 11 * S


def test_c18_time_asleep_is_not_covered() -> None:
    meter = start_meter(counter(GPU, 0, 0, wall_s=1000), "b")
    _, meter = to_record(meter, "a", "unknown", "")
    meter, _ = follow(meter, counter(GPU, 1, 100 * S, wall_s=4600))  # an hour asleep: the monotonic clock stood still
    reading, _ = to_record(meter, "a", "unknown", "")
    assert reading is not None
    assert (reading.energy_uj, reading.covered_us, reading.status) == (100 * S, S, "gap")


def test_a_record_says_what_happened() -> None:
    meter = start_meter(counter(GPU, 0, 0), "b")
    first, meter = to_record(meter, "a", "synchronised", "9")
    assert first is not None
    assert (first.status, first.seq, first.energy_uj, first.sync, first.agent) == ("ok", 0, 0, "synchronised", "9")
    meter, closed = follow(meter, counter(GPU, 1, 100 * S), counter(GPU, 2, 50), counter(GPU, 3, 90 * S))
    last, ended = to_record(closed[0], "a", "unknown", "", CLOSED)
    assert last is not None
    assert (last.status, last.seq, last.at_us) == ("closed", 1, S)
    assert to_record(ended, "a", "unknown", "")[0] is None  # not twice
    fresh, _ = to_record(replace(meter, reported_us=-1), "a", "unknown", "")
    assert fresh is not None
    assert fresh.status == "reset"


@given(st.integers(0, 10**15), st.lists(st.integers(1, 7), min_size=1, max_size=7))
def test_shares_of_a_board_sum_to_it(energy_uj: int, weights: list[int]) -> None:
    parts = split_uj(energy_uj, weights)
    assert sum(parts) == energy_uj
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - energy_uj * weight / sum(weights)) < 1 + energy_uj * 1e-15
