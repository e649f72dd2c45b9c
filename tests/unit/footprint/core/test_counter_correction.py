"""Samples become corrected counters: energy is conserved through wraps, resets, misreadings and gaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.mig_split import split_uj
from footprint.core.counter_correction import (
    CLOSED,
    GAP,
    OK,
    RESET,
    Meter,
    delta_uj,
    is_credible,
    max_energy_uj,
    start_meter,
    to_record,
    update_meter,
)
from footprint.core.samples import Channel, Sample

S = 1_000_000
LIMIT_W = 300
GPU = Channel("g", "gpu", "nvml-energy", ceiling_uw=LIMIT_W * S)
RAPL = Channel("cpu:0", "cpu", "rapl", wrap_uj=1000 * S, ceiling_uw=LIMIT_W * S)


def counter(channel: Channel, at_s: float, value: int, wall_s: float | None = None) -> Sample:
    return Sample(channel, round((at_s if wall_s is None else wall_s) * S), round(at_s * S), value)


def power(at_s: float, watts: float, ceiling_w: int = 0) -> Sample:
    return Sample(
        Channel("g", "gpu", "nvml-power", ceiling_uw=ceiling_w * S), round(at_s * S), round(at_s * S), None, round(watts * S)
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


CARD = Channel("g", "gpu", "nvml-energy", ceiling_uw=300 * S, alias="card", model="H100")
POWER = Channel("p", "host", "ipmi", ceiling_uw=300 * S)


def counter_at(at_us: int, value: int | None, channel: Channel = CARD, wall_us: int | None = None) -> Sample:
    return Sample(channel, at_us if wall_us is None else wall_us, at_us, value)


def power_at(at_us: int, uw: int | None, channel: Channel = POWER) -> Sample:
    return Sample(channel, at_us, at_us, None, uw)


def after(*samples: Sample, sample_us: int = S) -> Meter:
    """The meter after samples of which none closes it."""
    meter = start_meter(samples[0], "boot")
    for sample in samples[1:]:
        meter, closed = update_meter(meter, sample, "boot", sample_us)
        assert closed is None
    return meter


def test_a_meter_begins_empty() -> None:
    meter = start_meter(counter_at(7, 5), "boot", 3, 2)
    assert (meter.epoch, meter.seq, meter.resets) == ("boot/7", 3, 2)
    assert (meter.energy_uj, meter.covered_us, meter.suspect, meter.reported_us, meter.reported_covered_us) == (
        0,
        0,
        None,
        -1,
        -1,
    )
    assert (start_meter(counter_at(7, 5), "boot").seq, start_meter(counter_at(7, 5), "boot").resets) == (0, 0)


@pytest.mark.parametrize(
    ("uw", "limit", "credible"),
    [(300 * S, 300 * S, True), (300 * S + 1, 300 * S, False), (9, 0, True), (None, 300 * S, True), (2, 1, False), (0, 1, True)],
)
def test_a_power_is_credible_up_to_the_limit(uw: int | None, limit: int, credible: bool) -> None:
    assert is_credible(power_at(0, uw, Channel("p", "host", "ipmi", ceiling_uw=limit))) is credible


def test_the_most_that_can_be_drawn_is_the_limit_over_the_time_and_a_refresh() -> None:
    assert max_energy_uj(300 * S, 2 * S) == 300 * S * 9 // 4
    assert max_energy_uj(0, S) == 5000 * S * 5 // 4
    assert max_energy_uj(1, 0) == 0
    assert max_energy_uj(3, S) == 3  # 3.75 whole


@pytest.mark.parametrize(
    ("before", "value", "channel", "gained"),
    [
        (0, 375 * S, CARD, 375 * S),  # the limit over 1.25 s
        (0, 375 * S + 1, CARD, None),
        (5, 5, CARD, 0),
        (6, 5, CARD, None),  # a fall is a reset where nothing wraps
        (990 * S, 20 * S, RAPL, 30 * S),
        (0, 0, RAPL, 0),
        (10, 9, RAPL, None),  # all the way round but 1 µJ is more than the limit
        (0, 10, replace(RAPL, wrap_uj=375 * S), None),  # it may have wrapped more than once
        (0, 10, replace(RAPL, wrap_uj=375 * S + 1), 10),
    ],
)
def test_gain_over_one_second(before: int, value: int, channel: Channel, gained: int | None) -> None:
    assert delta_uj(counter_at(3 * S, before, channel), counter_at(4 * S, value, channel)) == gained


def test_time_that_does_not_pass_changes_nothing() -> None:
    meter = after(counter_at(0, 0), counter_at(S, 10))
    for sample in (counter_at(S, 30, wall_us=9 * S), counter_at(S - 1, 30)):
        assert update_meter(meter, sample, "boot") == (meter, None)
    assert update_meter(meter, counter_at(S + 1, 30), "boot")[0].covered_us == S + 1


@pytest.mark.parametrize(
    ("period_us", "sample_us", "limit"), [(0, S, 5 * S), (0, 2 * S, 6 * S), (4 * S, S, 12 * S), (S, 3 * S, 9 * S)]
)
def test_a_spacing_up_to_three_periods_is_covered(period_us: int, sample_us: int, limit: int) -> None:
    channel = replace(CARD, period_us=period_us)
    assert after(counter_at(0, 0, channel), counter_at(limit, 5, channel), sample_us=sample_us).covered_us == limit
    meter = after(counter_at(0, 0, channel), counter_at(limit + 1, 5, channel), sample_us=sample_us)
    assert (meter.covered_us, meter.energy_uj) == (0, 5)
    weak = replace(POWER, period_us=period_us)
    assert after(power_at(0, 2 * S, weak), power_at(limit, 4 * S, weak), sample_us=sample_us).energy_uj == 3 * limit
    assert after(power_at(0, 2 * S, weak), power_at(limit + 1, 4 * S, weak), sample_us=sample_us).energy_uj == 0


def test_the_agent_samples_each_second_by_default() -> None:
    assert update_meter(start_meter(counter_at(0, 0), "b"), counter_at(5 * S, 1), "b")[0].covered_us == 5 * S
    assert update_meter(start_meter(counter_at(0, 0), "b"), counter_at(5 * S + 1, 1), "b")[0].covered_us == 0


def test_energy_of_powers_is_kept_to_the_picojoule() -> None:
    """1 µW and 2 µW over 1 µs each: 1.5 pJ, then 2 pJ, floor of each."""
    meter = after(power_at(0, 1), power_at(1, 2), power_at(2, 2))
    assert (meter.energy_pj, meter.energy_uj, meter.covered_us) == (1 + 2, 0, 2)
    assert after(power_at(0, 1), power_at(S, 1), power_at(2 * S, 3)).energy_uj == 3
    assert after(counter_at(0, 0), counter_at(S, 3)).energy_pj == 3 * S


def test_a_misread_power_is_passed_over_with_its_time() -> None:
    meter = after(power_at(0, 100 * S), power_at(S, 301 * S), power_at(2 * S, 300 * S))
    assert (meter.energy_uj, meter.covered_us) == (400 * S, 2 * S)


@pytest.mark.parametrize("other", [power_at(2 * S, 10, CARD), Sample(CARD, 2 * S, 2 * S)])
def test_another_kind_of_sample_closes_the_epoch(other: Sample) -> None:
    meter = replace(after(counter_at(0, 0), counter_at(S, 10)), seq=4, resets=1)
    fresh, closed = update_meter(meter, other, "boot")
    assert closed == meter
    assert (fresh.epoch, fresh.seq, fresh.resets, fresh.energy_uj, fresh.last) == (f"boot/{2 * S}", 4, 2, 0, other)
    fresh, closed = update_meter(after(power_at(0, 10), power_at(S, 10)), Sample(POWER, 2 * S, 2 * S, 5), "boot")
    assert closed is not None
    assert fresh.resets == 1


def test_a_doubt_is_kept_until_the_next_sample_decides() -> None:
    start = after(counter_at(0, 1000), counter_at(S, 1100))
    doubted, closed = update_meter(start, counter_at(2 * S, 7), "boot")
    assert (closed, doubted.suspect, doubted.last) == (None, counter_at(2 * S, 7), start.last)
    # Not borne out: the latest is doubted instead.
    again, closed = update_meter(doubted, counter_at(3 * S, 5), "boot")
    assert (closed, again.suspect) == (None, counter_at(3 * S, 5))
    # At the instant of the doubt nothing can be borne out.
    same, closed = update_meter(doubted, counter_at(2 * S, 9), "boot")
    assert (closed, same.suspect) == (None, counter_at(2 * S, 9))
    # Borne out: the epoch of the doubt begins, and what was counted is reported without it.
    fresh, closed = update_meter(replace(doubted, seq=4, resets=1), counter_at(3 * S, 9), "boot")
    assert closed == replace(start, seq=4, resets=1)
    assert (fresh.last, fresh.epoch, fresh.seq, fresh.resets) == (counter_at(2 * S, 7), f"boot/{2 * S}", 4, 2)
    # Refuted: the doubt is forgotten.
    right, closed = update_meter(doubted, counter_at(3 * S, 1300), "boot")
    assert (closed, right.suspect, right.energy_uj, right.covered_us) == (None, None, 300, 3 * S)


def test_a_sample_keeps_what_was_reported() -> None:
    meter = replace(after(counter_at(0, 0), counter_at(S, 10)), seq=5, resets=2, reported_us=S, reported_covered_us=S)
    found, _ = update_meter(meter, counter_at(2 * S, 30), "boot")
    assert (found.seq, found.resets, found.reported_us, found.reported_covered_us, found.epoch) == (5, 2, S, S, "boot/0")


def test_a_record_has_every_field() -> None:
    meter = replace(after(counter_at(0, 0), counter_at(S, 10, wall_us=9 * S)), seq=5)
    reading, reported = to_record(meter, "h", "synchronised", "1.2")
    assert reading is not None
    assert (reading.host, reading.device, reading.component, reading.source, reading.epoch) == (
        "h",
        "g",
        "gpu",
        "nvml-energy",
        "boot/0",
    )
    assert (reading.seq, reading.at_us, reading.energy_uj, reading.covered_us, reading.mono_us) == (5, 9 * S, 10, S, S)
    assert (reading.alias, reading.model, reading.sync, reading.status, reading.agent) == (
        "card",
        "H100",
        "synchronised",
        OK,
        "1.2",
    )
    assert reported == replace(meter, seq=6, reported_us=9 * S, reported_covered_us=S)


def test_nothing_is_reported_twice() -> None:
    meter = after(counter_at(0, 0), counter_at(S, 10))
    _, reported = to_record(meter, "h", "", "")
    assert to_record(reported, "h", "", "") == (None, reported)
    later, _ = update_meter(reported, counter_at(2 * S, 20, wall_us=S + 1), "boot")
    assert to_record(later, "h", "", "")[0] is not None


@pytest.mark.parametrize(("reported_us", "resets", "status"), [(-1, 0, OK), (-1, 1, RESET), (0, 1, OK)])
def test_the_first_record_after_a_reset_says_so(reported_us: int, resets: int, status: str) -> None:
    reading, _ = to_record(
        replace(after(counter_at(0, 0), counter_at(S, 10)), reported_us=reported_us, resets=resets), "h", "", ""
    )
    assert reading is not None
    assert reading.status == status


@pytest.mark.parametrize(
    ("reported_us", "reported_covered_us", "covered_us", "status"),
    [
        (0, 0, 5 * S, OK),  # half of ten seconds watched
        (0, 0, 5 * S - 1, GAP),
        (2 * S, S, 5 * S, OK),  # four of eight
        (2 * S, S + 1, 5 * S, GAP),
        (0, -1, 5 * S, OK),
        (-1, -1, 0, OK),  # of the first nobody knows
        (0, 1, 5 * S, GAP),
    ],
)
def test_a_record_of_which_less_than_half_was_watched_is_a_gap(
    reported_us: int, reported_covered_us: int, covered_us: int, status: str
) -> None:
    meter = replace(
        start_meter(counter_at(10 * S, 0), "b"),
        reported_us=reported_us,
        reported_covered_us=reported_covered_us,
        covered_us=covered_us,
    )
    reading, _ = to_record(meter, "h", "", "")
    assert reading is not None
    assert reading.status == status


def test_a_status_that_is_given_stands() -> None:
    meter = replace(start_meter(counter_at(10 * S, 0), "b"), reported_us=0, reported_covered_us=0)
    reading, _ = to_record(meter, "h", "", "", "closed")
    assert reading is not None
    assert reading.status == "closed"


@given(
    st.integers(2, 60),
    st.lists(st.integers(1, LIMIT_W * S), min_size=2, max_size=6),
    st.sampled_from([GPU, replace(RAPL, wrap_uj=10**12)]),
)
def test_a_counter_that_is_refreshed_late_loses_nothing(period_s: int, powers_uw: list[int], channel: Channel) -> None:
    """Its energy comes in one step after a time in which it stood still: more than the device draws in the last second."""
    samples, true_uj, shown_uj = [], 0, 0
    for second in range(1, period_s * len(powers_uw) + 1):
        true_uj += powers_uw[(second - 1) // period_s]
        if second % period_s == 0:
            shown_uj = true_uj
        samples.append(counter(channel, second, shown_uj))
    meter, closed = follow(start_meter(counter(channel, 0, 0), "b"), *samples)
    assert not closed
    assert meter.energy_uj == true_uj


def test_a_stand_excuses_two_minutes_of_energy_and_no_more() -> None:
    stood = [counter(GPU, second, 0) for second in range(1, 3600)]
    meter, _ = follow(start_meter(counter(GPU, 0, 0), "b"), *stood)
    at_most = LIMIT_W * S * (120 + 1) + LIMIT_W * S // 4
    assert follow(meter, counter(GPU, 3600, at_most))[0].energy_uj == at_most
    assert follow(meter, counter(GPU, 3600, at_most + 1))[0].energy_uj == 0


def test_a_stand_excuses_no_wrap() -> None:
    meter, _ = follow(start_meter(counter(RAPL, 0, 900 * S), "b"), *(counter(RAPL, second, 900 * S) for second in range(1, 60)))
    doubted, _ = update_meter(meter, counter(RAPL, 60, 300 * S), "b")
    assert (doubted.energy_uj, doubted.suspect) == (0, counter(RAPL, 60, 300 * S))


@given(st.sampled_from(["gpu", "cpu", "dram", "host"]), st.integers(1, 250), st.integers(1, 250), st.booleans())
def test_a_setting_bounds_nothing(component: str, low_w: int, high_w: int, is_counter: bool) -> None:
    """The limit that was read at the start is below what the device draws later: all of it counts, at once."""
    channel = Channel("d", component, "s", wrap_uj=None, limit_uw=25 * S)
    raw, samples = 10**10, []
    for second, watts in enumerate([low_w] * 20 + [high_w] * 20):
        raw += watts * S
        samples.append(counter(channel, second, raw) if is_counter else Sample(channel, second * S, second * S, None, watts * S))
    meter, closed = follow(start_meter(samples[0], "b"), *samples[1:])
    assert not closed
    assert meter.suspect is None
    exact_uj = (19 * low_w + 20 * high_w) * S
    assert abs(meter.energy_uj - exact_uj) <= abs(high_w - low_w) * S


@pytest.mark.parametrize("misread_uw", [4_294_967_295_000, 10**15])
def test_a_misread_power_of_a_service_processor_is_refused_whatever_its_settings(misread_uw: int) -> None:
    channel = Channel("wall", "host", "acpi-power")
    good = [Sample(channel, s * S, s * S, None, misread_uw if s % 60 == 30 else 412 * S) for s in range(300)]
    meter, _ = follow(start_meter(good[0], "b"), *good[1:])
    assert (meter.energy_uj, meter.covered_us) == (412 * 299 * S, 299 * S)
    assert not is_credible(Sample(channel, 0, 0, None, misread_uw))


def test_doubt_has_a_size_and_a_beginning_and_ends() -> None:
    meter = start_meter(counter(GPU, 0, 0, wall_s=1000), "b")
    leap = 10**15
    for second in range(1, 200):  # each step is beyond physics
        meter, closed = update_meter(meter, counter(GPU, second, leap * second, wall_s=1000 + second), "b")
        assert closed is None
    assert meter.doubted_us == 1001 * S
    assert meter.suspense_uj == LIMIT_W * S * 199 + LIMIT_W * S // 4  # what physics allows, not what is claimed
    assert meter.energy_uj == 0
    fresh, closed = update_meter(meter, counter(GPU, 200, leap * 199 + 100 * S, wall_s=1200), "b")
    assert (fresh.doubted_us, fresh.suspense_uj, fresh.last.counter_uj) == (0, 0, leap * 199)
    assert closed is not None
    assert (closed.doubted_us, closed.suspense_uj) == (0, 0)
    believed, _ = update_meter(fresh, counter(GPU, 200, leap * 199 + 100 * S, wall_s=1200), "b")
    assert believed.energy_uj == 100 * S  # from where the new level began


def test_doubt_about_a_power_ends_with_the_next_credible_one() -> None:
    meter = start_meter(power(0, 100, 300), "b")
    for second in range(1, 100):
        meter, _ = update_meter(meter, power(second, 5000, 300), "b")
    assert (meter.doubted_us, meter.suspense_uj) == (S, (300 * 99 + 75) * S)
    meter, _ = update_meter(meter, power(100, 100, 300), "b")
    assert (meter.doubted_us, meter.suspense_uj, meter.covered_us) == (0, 0, 0)
