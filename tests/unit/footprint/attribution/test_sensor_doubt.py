"""Verdicts on sensors and the energy of their device: closure, no energy twice, and an interval that holds all candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footprint.attribution.energy_intervals import (
    BRIDGED,
    CONFIRMED,
    COUNTER,
    DISPUTED,
    IMPLAUSIBLE,
    POWER,
    STANDING,
    EnergyIntervals,
    Samples,
    cut_at_edges,
    in_order,
    intervals_from_counter,
    intervals_from_power,
)
from footprint.attribution.sensor_doubt import HELD_US, JudgedSource, VerdictWindows, merge_sources
from footprint.core.sensor_verdicts import Reason, SensorVerdict, Verdict, Witness

S = 1_000_000
DAY = (0, 86_400 * S)
CEILING_UW = 1050 * S


def steady(power_w: float, start_s: int = 0, end_s: int = 3600, step_s: int = 10, method: int = COUNTER) -> EnergyIntervals:
    """Intervals of a steady power."""
    start = np.arange(start_s, end_s, step_s) * S
    length = np.full(len(start), step_s * S)
    return EnergyIntervals(
        start,
        start + length,
        np.full(len(start), round(power_w * step_s * S)),
        length,
        np.full(len(start), method, dtype=np.int8),
    )


def verdicts(
    verdict: Verdict,
    judged_w: float,
    low_w: float,
    high_w: float,
    ends_s: range,
    *,
    witness: Witness = Witness.OWN_POWER,
    window_s: int = 60,
) -> list[SensorVerdict]:
    """Verdicts of one kind at several instants."""
    judged, low, high = (round(power * window_s * S) for power in (judged_w, low_w, high_w))
    return [SensorVerdict(at * S, verdict, witness, Reason.NONE, judged, low, high, window_s * S) for at in ends_s]


def test_a_standing_source_is_no_zero() -> None:
    standing = verdicts(Verdict.STANDS_STILL, 0, 285, 315, range(600, 1210, 10))
    good = verdicts(Verdict.AGREES, 300, 285, 315, range(1260, 3660, 60))
    counter = JudgedSource(0, steady(0), VerdictWindows.of(standing + good))
    alone = merge_sources([counter], DAY, CEILING_UW)
    refused = alone.method == STANDING
    # The window of the first verdict reaches back a minute before it.
    assert (alone.start_us[refused].min(), alone.end_us[refused].max()) == (540 * S, 1200 * S)
    assert int(alone.covered_us.sum()) == (3600 - 660) * S
    assert int(alone.doubts.high_uj.sum()) == 315 * 660 * S
    both = merge_sources([counter, JudgedSource(1, steady(300, step_s=60, method=POWER))], DAY, CEILING_UW)
    assert int(both.energy_uj.sum()) == 300 * 660 * S
    assert int(both.covered_us.sum()) == 3600 * S
    assert not both.doubts.high_uj.any()


def test_the_interval_holds_both_sources_until_a_third_decides() -> None:
    """A counter of 171 W beside a power of 300 W: power counts, and only a witness of its own makes it sure."""
    doubted = verdicts(Verdict.DISAGREES, 171, 285, 315, range(60, 3660, 60))
    counter, power = JudgedSource(0, steady(171), VerdictWindows.of(doubted)), steady(300, step_s=60, method=POWER)
    merged = merge_sources([counter, JudgedSource(1, power)], DAY, CEILING_UW)
    assert int(merged.energy_uj.sum()) == 300 * 3600 * S
    assert int(merged.doubts.low_uj.sum()) == pytest.approx(129 * 3600 * S, abs=100)
    assert set(merged.doubts.witness.tolist()) == {DISPUTED}
    agrees = VerdictWindows.of(verdicts(Verdict.AGREES, 300, 270, 330, range(60, 3660, 60), witness=Witness.UTILISATION))
    confirmed = merge_sources([counter, JudgedSource(1, power, agrees)], DAY, CEILING_UW)
    assert not confirmed.doubts.low_uj.any()
    assert set(confirmed.doubts.witness.tolist()) == {CONFIRMED}


def test_a_source_beyond_physics_is_kept_within_it_and_is_no_candidate() -> None:
    """4.29 MW of a meter: the energy is at most what the host can draw, and the reading widens nothing."""
    impossible = verdicts(Verdict.DISAGREES, 4.29e6, 0, 1000, range(60, 3660, 60), witness=Witness.BOUNDS)
    merged = merge_sources([JudgedSource(0, steady(4.29e6), VerdictWindows.of(impossible))], DAY, CEILING_UW)
    assert int(merged.energy_uj.sum()) == 1000 * 3600 * S
    assert not merged.doubts.high_uj.any()
    assert int(merged.doubts.low_uj.sum()) == pytest.approx(1000 * 3600 * S, abs=400)


def test_energy_in_suspense_widens_upwards_only() -> None:
    at = 600 * S
    verdict = SensorVerdict(at, Verdict.AGREES, Witness.NONE, window_us=60 * S, doubt_uj=54_000 * S, doubt_since_us=at - 60 * S)
    merged = merge_sources([JudgedSource(0, steady(100, end_s=600), VerdictWindows.of([verdict]))], DAY, CEILING_UW)
    assert int(merged.energy_uj.sum()) == 100 * 600 * S
    assert int(merged.doubts.high_uj.sum()) == pytest.approx(54_000 * S, abs=100)
    assert not merged.doubts.low_uj.any()


def test_a_verdict_holds_until_the_next_and_no_good_one_reaches_back_over_a_bad_one() -> None:
    windows = VerdictWindows.of(
        [
            *verdicts(Verdict.AGREES, 1, 1, 1, range(60, 70, 60)),
            *verdicts(Verdict.DISAGREES, 1, 1, 1, range(600, 610, 60)),
            *verdicts(Verdict.AGREES, 1, 1, 1, range(3600, 3700, 600), window_s=3600),
        ]
    )
    assert list(zip(windows.start_us.tolist(), windows.end_us.tolist(), windows.verdict.tolist(), strict=True)) == [
        (0, 540 * S, Verdict.AGREES),
        (540 * S, 600 * S, Verdict.DISAGREES),
        (600 * S, 3600 * S + HELD_US, Verdict.AGREES),
    ]


def test_a_second_judge_speaks_only_where_the_first_has_no_witness() -> None:
    nothing, good = (
        verdicts(verdict, 1, 1, 1, range(at, at + 10, 60), window_s=300)
        for verdict, at in ((Verdict.NO_WITNESS, 300), (Verdict.AGREES, 600))
    )
    first = VerdictWindows.of([*nothing, *good], held_us=0)
    second = VerdictWindows.of(verdicts(Verdict.STANDS_STILL, 0, 285, 315, range(660, 670, 60), window_s=420), held_us=0)
    both = first.completed_by(second)
    spans = list(zip((both.start_us // S).tolist(), (both.end_us // S).tolist(), both.verdict.tolist(), strict=True))
    assert spans == [
        (0, 240, Verdict.NO_WITNESS),
        (240, 300, Verdict.STANDS_STILL),
        (300, 600, Verdict.AGREES),
        (600, 660, Verdict.STANDS_STILL),
    ]
    assert first.completed_by(None) is first


def test_a_verdict_without_a_window_repeats_the_powers_of_the_one_before() -> None:
    first = verdicts(Verdict.DISAGREES, 171, 285, 315, range(600, 610, 60))
    windows = VerdictWindows.of([*first, SensorVerdict(900 * S, Verdict.DISAGREES, Witness.OWN_POWER)])
    assert windows.end_us[:-1].tolist() == windows.start_us[1:].tolist()
    assert (windows.low_uw / S).round().tolist() == [285, 285]
    assert windows.is_bounded.all()


def with_gap(first_s: int, last_s: int, powers_w: list[int]) -> EnergyIntervals:
    """A counter that was not read from one instant to another, of a power by minute."""
    minutes = steady(0, 0, 60 * len(powers_w), 60)
    energy = np.array(powers_w) * 60 * S
    inside = (minutes.start_us >= first_s * S) & (minutes.end_us <= last_s * S)
    outside = EnergyIntervals(
        minutes.start_us[~inside], minutes.end_us[~inside], energy[~inside], minutes.covered_us[~inside], minutes.method[~inside]
    )
    return in_order(outside, one_interval(first_s, last_s, int(energy[inside].sum()), 0, BRIDGED))


def one_interval(first_s: int, last_s: int, energy_uj: int, covered_us: int, method: int) -> EnergyIntervals:
    columns = (np.array([value]) for value in (first_s * S, last_s * S, energy_uj, covered_us))
    return EnergyIntervals(*columns, np.array([method], dtype=np.int8))


@given(
    st.lists(st.integers(0, 700), min_size=20, max_size=20),
    st.integers(0, 9),
    st.integers(10, 20),
    st.integers(0, 20),
    st.integers(0, 20),
)
@settings(max_examples=200, deadline=None)
def test_a_witness_says_when_the_energy_of_a_gap_was_drawn(
    powers_w: list[int], first: int, last: int, since: int, until: int
) -> None:
    """Energy stays that of the counter to the microjoule, each watched minute has its own, and an edge divides both alike."""
    counter = JudgedSource(0, with_gap(60 * first, 60 * last, powers_w))
    seen = steady(0, 60 * since, 60 * max(until, since), 60, POWER)
    minute = seen.start_us // (60 * S)
    watching = JudgedSource(3, replace(seen, energy_uj=np.array(powers_w)[minute] * 60 * S))
    merged = merge_sources([counter, watching], DAY, CEILING_UW)
    assert int(merged.energy_uj.sum()) == sum(powers_w) * 60 * S
    assert (merged.start_us[1:] >= merged.end_us[:-1]).all()
    watched = [m for m in range(20) if not first <= m < last or since <= m < until]
    assert int(merged.covered_us.sum()) == 60 * S * len(watched)
    by_minute = cut_at_edges(merged, np.arange(21) * 60 * S)
    energies = np.bincount(by_minute[1], weights=by_minute[0].energy_uj, minlength=20)
    assert all(energies[m] == powers_w[m] * 60 * S for m in watched)


@pytest.mark.parametrize("until_s", [480, 600, 720, 900])
def test_an_edge_divides_a_gap_that_a_witness_watched_alike_for_both_sides(until_s: int) -> None:
    sources = [JudgedSource(0, with_gap(300, 900, [300] * 20)), JudgedSource(3, steady(300, 300, until_s, 60, POWER))]
    sides = [
        cut_at_edges(merge_sources(sources, bounds, CEILING_UW), np.array(bounds))[0]
        for bounds in ((0, 630 * S), (630 * S, 1200 * S))
    ]
    assert [int(side.energy_uj.sum()) for side in sides] == [300 * 630 * S, 300 * 570 * S]


def test_an_integrated_power_that_was_not_read_either_does_not_take_the_place_of_a_witness() -> None:
    power = in_order(
        steady(300, 0, 300, 60, POWER), one_interval(300, 900, 300 * 30 * S, 30 * S, BRIDGED), steady(300, 900, 1200, 60, POWER)
    )
    sources = [
        JudgedSource(0, with_gap(300, 900, [300] * 20)),
        JudgedSource(1, power),
        JudgedSource(3, steady(300, 0, 1200, 60, POWER)),
    ]
    merged = merge_sources(sources, DAY, CEILING_UW)
    assert int(merged.energy_uj.sum()) == 300 * 1200 * S
    assert int(merged.covered_us.sum()) == 1200 * S


@pytest.mark.parametrize("shown_w", [0, 150, 400])
def test_a_witness_that_contradicts_the_counter_does_not_take_the_energy_of_a_gap(shown_w: int) -> None:
    counter = JudgedSource(0, with_gap(300, 900, [300] * 20))
    merged = merge_sources([counter, JudgedSource(3, steady(shown_w, 300, 900, 60, POWER))], DAY, CEILING_UW)
    assert int(merged.energy_uj.sum()) == 300 * 1200 * S
    assert (merged.method == BRIDGED).sum() == 1


def test_sources_without_a_verdict_are_merged_as_they_are() -> None:
    first, second = steady(300, end_s=1200), steady(310, step_s=60, method=POWER)
    merged = merge_sources([JudgedSource(1, second), JudgedSource(0, first)], DAY, CEILING_UW)
    assert merged.doubt is None
    assert int(merged.energy_uj.sum()) == (300 * 1200 + 310 * 2400) * S


SOURCES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 57, 300, 700, 5000]),
        st.sampled_from([10, 60, 97]),
        st.integers(0, 1800),
        st.lists(
            st.tuples(
                st.integers(1, 3600),
                st.sampled_from(list(Verdict)),
                st.sampled_from([Witness.NONE, Witness.OWN_POWER, Witness.BOUNDS]),
                st.integers(0, 900),
                st.integers(0, 900),
                st.sampled_from([1, 10, 60, 600]),
            ),
            max_size=8,
        ),
    ),
    min_size=1,
    max_size=3,
)


def _source(
    rank: int, power_w: int, step_s: int, start_s: int, judged: list[tuple[int, Verdict, Witness, int, int, int]]
) -> JudgedSource:
    intervals = steady(power_w, start_s, start_s + 20 * step_s, step_s)
    windows = [
        SensorVerdict(
            at * S,
            verdict,
            witness,
            Reason.NONE,
            power_w * window * S,
            min(low, high) * window * S,
            max(low, high) * window * S,
            window * S,
        )
        for at, verdict, witness, low, high, window in sorted(judged, key=lambda item: item[0])
    ]
    return JudgedSource(rank, intervals, VerdictWindows.of(windows))


@given(SOURCES, st.integers(1, 3600))
@settings(max_examples=300, deadline=None)
def test_random_verdicts_never_count_twice_and_hold_every_candidate(
    drawn: list[tuple[int, int, int, list[tuple[int, Verdict, Witness, int, int, int]]]], cut_s: int
) -> None:
    sources = [_source(rank, *source) for rank, source in enumerate(drawn)]
    merged = merge_sources(sources, DAY, CEILING_UW)
    assert (merged.start_us[1:] >= merged.end_us[:-1]).all()
    assert (merged.end_us > merged.start_us).all()
    assert (merged.covered_us <= merged.end_us - merged.start_us + 1).all()  # parts of an interval are rounded to 1 µs
    assert (merged.energy_uj >= 0).all()
    assert (merged.doubts.low_uj >= 0).all()
    assert (merged.doubts.high_uj >= 0).all()
    assert (merged.doubts.low_uj <= merged.energy_uj + 1).all()
    refused = merged.method == STANDING
    assert not merged.energy_uj[refused].any()
    assert not merged.covered_us[refused].any()
    # Two halves of the day hold the energy of the whole, to the microjoule.
    halves = [cut_at_edges(merged, np.array(edges))[0] for edges in ([0, cut_s * S], [cut_s * S, DAY[1]])]
    for name in ("energy_uj", "covered_us"):
        assert sum(int(getattr(half, name).sum()) for half in halves) == int(getattr(merged, name).sum())
    assert sum(int(half.doubts.high_uj.sum()) for half in halves) == int(merged.doubts.high_uj.sum())
    # Time that a source covers and nobody contradicts is covered.
    for source in sources:
        good = source.verdicts is None or not source.verdicts.is_bad.any()
        if good:
            assert int(merged.covered_us.sum()) >= int(source.intervals.covered_us.sum()) - len(merged)  # rounding


@given(
    st.sampled_from([60, 171, 300, 600]),
    st.sampled_from([250, 300, 900]),
    st.integers(0, 100),
    st.sampled_from([Witness.OWN_POWER, Witness.UTILISATION]),
)
@settings(max_examples=100, deadline=None)
def test_an_interval_of_a_doubted_source_holds_it_and_its_witness(
    counter_w: int, power_w: int, margin_w: int, witness: Witness
) -> None:
    low_w, high_w = power_w - margin_w, power_w + margin_w
    doubted = VerdictWindows.of(verdicts(Verdict.DISAGREES, counter_w, low_w, high_w, range(60, 3660, 60), witness=witness))
    counter = JudgedSource(0, steady(counter_w), doubted)
    for sources in ([counter], [counter, JudgedSource(1, steady(power_w, step_s=60, method=POWER))]):
        merged = merge_sources(sources, DAY, CEILING_UW)
        energy = int(merged.energy_uj.sum())
        low, high = energy - int(merged.doubts.low_uj.sum()), energy + int(merged.doubts.high_uj.sum())
        assert low <= counter_w * 3600 * S <= high
        assert low <= power_w * 3600 * S <= high


def samples(values: list[int], step_s: int = 60, covered_s: list[int] | None = None) -> Samples:
    count = len(values)
    covered = np.full(count, -1) if covered_s is None else np.array(covered_s) * S
    return Samples(np.arange(count) * step_s * S, np.array(values), covered, np.zeros(count, dtype=np.int64))


def test_a_step_above_the_ceiling_is_missing_with_its_reason() -> None:
    """A counter that jumps by a megajoule in a minute, and goes on from there."""
    joule = 10**6
    read = intervals_from_counter(samples([0, 18_000 * joule, 10**6 * joule, 1_018_000 * joule]), 300 * S, COUNTER, CEILING_UW)
    assert read.method.tolist() == [COUNTER, IMPLAUSIBLE, COUNTER]
    assert (read.energy_uj // joule).tolist() == [18_000, 0, 18_000]
    assert (read.covered_us // S).tolist() == [60, 0, 60]


def test_a_spike_from_which_the_counter_comes_back_is_a_misread_sample() -> None:
    joule = 10**6
    read = intervals_from_counter(samples([0, 18_000 * joule, 10**6 * joule, 54_000 * joule]), 300 * S, COUNTER, CEILING_UW)
    assert (read.energy_uj // joule).tolist() == [18_000, 36_000]
    assert read.method.tolist() == [COUNTER, COUNTER]


def test_a_power_above_the_ceiling_is_missing_on_both_sides() -> None:
    read = intervals_from_power(samples([300 * S, 300 * S, 4_294_967 * S, 300 * S, 300 * S]), 300 * S, POWER, CEILING_UW)
    assert read.method.tolist() == [POWER, IMPLAUSIBLE, IMPLAUSIBLE, POWER]
    assert int(read.energy_uj.sum()) == 300 * 120 * S


def test_a_claimed_monotonic_time_does_not_make_energy_plausible() -> None:
    """A clock that was set back by minutes explains energy; a day of claimed time between two readings does not."""
    joule = 10**6
    minutes = intervals_from_counter(samples([0, 150_000 * joule], covered_s=[0, 480]), 300 * S, COUNTER, CEILING_UW)
    day = intervals_from_counter(samples([0, 30_000_000 * joule], covered_s=[0, 86_400]), 300 * S, COUNTER, CEILING_UW)
    assert minutes.method.tolist() == [COUNTER]
    assert day.method.tolist() == [IMPLAUSIBLE]


def test_a_counter_that_is_refreshed_once_a_minute_is_believed() -> None:
    """Read every ten seconds, it stands still five times and then holds the energy of a minute."""
    joule = 10**6
    values = [48_000 * joule * (second // 60) for second in range(0, 660, 10)]
    read = intervals_from_counter(samples(values, step_s=10), 300 * S, COUNTER, CEILING_UW)
    assert set(read.method.tolist()) == {COUNTER}
    assert int(read.energy_uj.sum()) == 800 * 600 * S


def test_a_counter_over_a_gap_is_bridged_below_the_ceiling() -> None:
    joule = 10**6
    read = intervals_from_counter(samples([0, 3_000_000 * joule], step_s=10_000), 300 * S, COUNTER, CEILING_UW)
    assert read.method.tolist() == [BRIDGED]


@settings(max_examples=60, deadline=None)
@given(ratio=st.floats(0.91, 1.09), power_w=st.floats(60, 900))
def test_the_interval_of_sources_that_agree_holds_both(ratio: float, power_w: float) -> None:
    """Agreement allows a tenth, more than the class of a counter: what lies between is in the interval."""
    other_w = power_w / ratio
    good = verdicts(Verdict.AGREES, power_w, 0.9 * other_w - 1, other_w / 0.9 + 1, range(60, 3660, 60))
    merged = merge_sources([JudgedSource(0, steady(power_w), VerdictWindows.of(good))], DAY, CEILING_UW)
    energy, doubts = int(merged.energy_uj.sum()), merged.doubts
    assert energy == pytest.approx(power_w * 3600 * S)
    class_uj = 0.058 * energy
    low, high = (energy - max(class_uj, int(doubts.low_uj.sum())), energy + max(class_uj, int(doubts.high_uj.sum())))
    margin_uj = 3600 * S  # of the watt that the witness leaves for rounding
    assert low - margin_uj <= other_w * 3600 * S <= high + margin_uj
    assert set(doubts.witness.tolist()) == {CONFIRMED}
    if abs(ratio - 1) < 0.04:
        assert not doubts.low_uj.any()
        assert not doubts.high_uj.any()
