"""Judgement of sensors on generated loads: honest ones are never refuted, lying ones are, and the range holds the truth."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footprint.core.device_limits import ceiling_uw
from footprint.core.sensor_judgement import (
    MAX_WINDOW_US,
    NO_WITNESS,
    Load,
    Part,
    SourceSteps,
    find_mirrors,
    find_swaps,
    judge_device,
    judge_whole,
)
from footprint.core.sensor_verdicts import Reason, Verdict, Witness

S = 1_000_000
STEP_S = 5
H100 = "NVIDIA H100 80GB HBM3"
KINDS = ("steady", "bursts", "phases", "square")


def tenths_of(kind: str, luck: random.Random, seconds: int) -> list[float]:
    """True power [W] by tenth of a second."""
    watts, level = [], luck.uniform(60, 650)
    for tenth in range(seconds * 10):
        if kind == "bursts" and luck.random() < 0.2:
            level = luck.choice([80, 650])
        elif kind == "phases" and luck.random() < 0.01:
            level = luck.choice([80, 300, 650])
        elif kind == "square":
            level = 650 if tenth // 13 % 2 else 80
        watts.append(level)
    return watts


class Trial:
    """A board under a load, as its counter and its power sensor show it, second by second."""

    def __init__(self, kind: str, seed: int, *, averaged: bool, gain: float = 1.0, power_gain: float = 1.0) -> None:
        luck = random.Random(seed)
        true_w = tenths_of(kind, luck, 310)
        shown_w = []
        for second in range(311):
            index = min(second * 10, len(true_w) - 1)
            last_second = true_w[max(0, index - 10) : index] or true_w[:1]
            value = sum(last_second) / len(last_second) if averaged else true_w[index]
            shown_w.append(value * power_gain * luck.gauss(1, 0.01))
        by_second = [sum(true_w[10 * second : 10 * second + 10]) / 10 for second in range(310)]
        windows = [range(first, first + STEP_S) for first in range(0, 310 - STEP_S, STEP_S)]
        self.true_uj = [round(S * sum(by_second[second] for second in window)) for window in windows]
        self.counter_uj = [round(gain * energy) for energy in self.true_uj]
        self.power_uj = [round(S * sum((shown_w[second] + shown_w[second + 1]) / 2 for second in window)) for window in windows]

    def judge(self) -> tuple[dict[str, object], int]:
        """Outcomes of the first window that decides, and the true energy in it."""
        for count in range(6, 61, 2):
            outcomes = judge_device(
                [source("counter", self.counter_uj[:count]), source("power", self.power_uj[:count], is_counter=False)],
                [STEP_S * S] * count,
                is_last=count * STEP_S * S >= MAX_WINDOW_US,
            )
            if outcomes is not None:
                return dict(outcomes), sum(self.true_uj[:count])
        raise AssertionError("never decided")


def source(name: str, steps_uj: list[int], **values: object) -> SourceSteps:
    steps = SourceSteps("g", name, "gpu", tuple(steps_uj), model=H100, ceiling_uw=ceiling_uw("gpu", H100))
    return replace(steps, **values)  # type: ignore[arg-type]


def steady(name: str, watts: float, count: int = 12, **values: object) -> SourceSteps:
    return source(name, [round(watts * STEP_S * S)] * count, **values)


def outcomes_of(*sources: SourceSteps, load: Load | None = None) -> dict[str, object]:
    outcomes = judge_device(sources, [STEP_S * S] * len(sources[0].steps_uj), load or Load(), is_last=True)
    assert outcomes is not None
    return dict(outcomes)


@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.booleans(), st.floats(0.97, 1.03))
@settings(max_examples=300, deadline=None)
def test_honest_sensors_are_never_refuted(kind: str, seed: int, averaged: bool, gain: float) -> None:
    outcomes, _ = Trial(kind, seed, averaged=averaged, gain=gain).judge()
    assert {outcome.verdict for outcome in outcomes.values()} <= {Verdict.AGREES, Verdict.NO_WITNESS}


@given(
    st.sampled_from(KINDS),
    st.integers(0, 10**6),
    st.booleans(),
    st.one_of(st.floats(0.05, 0.6), st.floats(1.6, 2.5)),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_scaled_sensor_is_seen_and_the_range_holds_the_truth(
    kind: str, seed: int, averaged: bool, gain: float, is_counter: bool
) -> None:
    gains = {"gain": gain} if is_counter else {"power_gain": gain}
    outcomes, true_uj = Trial(kind, seed, averaged=averaged, **gains).judge()
    counter, power = outcomes["counter"], outcomes["power"]
    if Verdict.DISAGREES not in (counter.verdict, power.verdict):
        raise AssertionError(f"nobody is doubted: {outcomes}")
    if power.verdict == Verdict.DISAGREES:  # beyond physics: the counter stays
        assert not is_counter
        assert counter == NO_WITNESS
        return
    # Nothing tells which of the two is right: the counter is doubted, and its range holds what either of them says.
    assert power.verdict == Verdict.NO_WITNESS
    if counter.reason == Reason.COUNTER_AGAINST_POWER:
        assert power.reason == Reason.COUNTER_AGAINST_POWER
    assert counter.low_uj <= true_uj <= counter.high_uj


@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.booleans(), st.floats(0.6, 1.6))
@settings(max_examples=300, deadline=None)
def test_agreement_never_hides_a_third(kind: str, seed: int, averaged: bool, gain: float) -> None:
    outcomes, true_uj = Trial(kind, seed, averaged=averaged, gain=gain).judge()
    for outcome in outcomes.values():
        if outcome.verdict == Verdict.AGREES:
            assert abs(gain - 1) < 1 / 3
        if outcome.verdict in (Verdict.AGREES, Verdict.DISAGREES):
            assert outcome.low_uj <= true_uj <= outcome.high_uj


@given(st.floats(100, 700), st.permutations(["a", "b", "c"]), st.floats(0.1, 0.7))
@settings(max_examples=50, deadline=None)
def test_two_of_three_sources_outvote_the_third(watts: float, names: list[str], gain: float) -> None:
    lying, *honest = names
    outcomes = outcomes_of(steady(lying, gain * watts), *(steady(name, watts) for name in honest))
    assert outcomes[lying].verdict == Verdict.DISAGREES
    assert outcomes[lying].reason == Reason.SOURCES_DIFFER
    assert outcomes[lying].low_uj <= watts * 60 * S <= outcomes[lying].high_uj
    assert all(outcomes[name].verdict == Verdict.AGREES for name in honest)
    assert all(lying not in outcomes[name].basis for name in names)


def test_a_window_that_is_too_short_decides_nothing() -> None:
    assert judge_device([steady("counter", 300, 5)], [STEP_S * S] * 5) is None
    assert judge_device([steady("counter", 300, 6)], [STEP_S * S] * 6) == {"counter": NO_WITNESS}
    assert judge_device([], []) is None
    host = steady("ipmi", 300, 20, component="host", is_counter=False)
    assert judge_device([host], [STEP_S * S] * 20) is None  # a service processor is judged over two minutes


def test_a_slow_source_is_judged_over_four_of_its_periods() -> None:
    slow = steady("dcgm", 300, 20, period_us=30 * S)
    assert judge_device([slow], [STEP_S * S] * 20) is None
    assert judge_device([steady("dcgm", 300, 24, period_us=30 * S)], [STEP_S * S] * 24) is not None


@pytest.mark.parametrize(
    ("sources", "load", "verdict", "witness", "reason"),
    [
        ([steady("c", 0)], Load(), Verdict.STANDS_STILL, Witness.BOUNDS, Reason.COUNTER_STANDS),
        ([steady("c", 0, model="RTX 4090")], Load(), Verdict.STANDS_STILL, Witness.BOUNDS, Reason.COUNTER_STANDS),
        (
            [steady("p", 0, 24, component="host", is_counter=False, model="")],
            Load(),
            Verdict.STANDS_STILL,
            Witness.BOUNDS,
            Reason.POWER_STANDS,
        ),
        ([steady("c", 0, model="RTX 4090")], Load(0.3), Verdict.STANDS_STILL, Witness.UTILISATION, Reason.COUNTER_STANDS),
        (
            [steady("c", 0), steady("p", 90, is_counter=False)],
            Load(),
            Verdict.STANDS_STILL,
            Witness.OWN_POWER,
            Reason.COUNTER_STANDS,
        ),
        ([steady("c", 0, component="cpu")], Load(None, 0.7), Verdict.STANDS_STILL, Witness.HOST_LOAD, Reason.COUNTER_STANDS),
        ([steady("c", 0, component="dram")], Load(None, 0.7), Verdict.STANDS_STILL, Witness.BOUNDS, Reason.COUNTER_STANDS),
        ([steady("c", 2000)], Load(), Verdict.DISAGREES, Witness.BOUNDS, Reason.ABOVE_CEILING),
        ([steady("c", 5)], Load(), Verdict.DISAGREES, Witness.BOUNDS, Reason.BELOW_FLOOR),
        ([steady("c", 20)], Load(0.95), Verdict.DISAGREES, Witness.UTILISATION, Reason.BUSY_WITHOUT_POWER),
        ([steady("c", 20)], Load(0.85), Verdict.NO_WITNESS, Witness.NONE, Reason.NONE),
        ([steady("c", 600)], Load(0.0), Verdict.NO_WITNESS, Witness.NONE, Reason.POWER_WITHOUT_LOAD),
        ([steady("c", 300, resets=2)], Load(), Verdict.DISAGREES, Witness.BOUNDS, Reason.ABOVE_CEILING),
        (
            [steady("p", 70, is_counter=False, constant_us=60 * S, load_range=0.6)],
            Load(0.5),
            Verdict.STANDS_STILL,
            Witness.UTILISATION,
            Reason.POWER_STANDS,
        ),
        ([steady("p", 70, is_counter=False, constant_us=600 * S)], Load(0.5), Verdict.NO_WITNESS, Witness.NONE, Reason.NONE),
        (
            [steady("p", 70, is_counter=False, constant_us=60 * S), source("c", [STEP_S * S * watts for watts in (70, 500) * 6])],
            Load(),
            Verdict.STANDS_STILL,
            Witness.OWN_POWER,
            Reason.POWER_STANDS,
        ),
    ],
)
def test_physics_and_load_refute(
    sources: list[SourceSteps], load: Load, verdict: Verdict, witness: Witness, reason: Reason
) -> None:
    outcome = outcomes_of(*sources, load=load)[sources[0].source]
    assert (outcome.verdict, outcome.witness, outcome.reason) == (verdict, witness, reason)
    assert outcome.low_uj <= outcome.high_uj
    if verdict in (Verdict.STANDS_STILL, Verdict.DISAGREES):
        assert outcome.high_uj > 0


def test_a_coarse_counter_of_a_whole_server_may_stand() -> None:
    outcomes = judge_device([steady("pdu", 0, 24, component="host", model="")], [STEP_S * S] * 24, is_last=True)
    assert outcomes == {"pdu": NO_WITNESS}


def test_a_board_at_rest_may_show_one_value_that_its_counter_confirms() -> None:
    gauge = steady("p", 40, is_counter=False, constant_us=600 * S, load_range=0.6)
    counter = source("c", [STEP_S * S * watts for watts in (37, 43) * 6])
    assert {outcome.verdict for outcome in outcomes_of(gauge, counter).values()} == {Verdict.AGREES}


SCRAPE_STEPS = 2  # of five seconds between two readings of an exporter


def as_scraped(watts: list[float], phase: int) -> list[int]:
    """Energies by step of a source that is read every other step: nothing in one, that of both in the next."""
    return [
        round(sum(watts[max(step - SCRAPE_STEPS + 1, 0) : step + 1]) * STEP_S * S) if step % SCRAPE_STEPS == phase else 0
        for step in range(len(watts))
    ]


def gauge(watts: list[float], constant_steps: int, phase: int | None, **values: object) -> SourceSteps:
    """A power that has been one value for so many steps."""
    steps = [round(w * STEP_S * S) for w in watts] if phase is None else as_scraped(watts, phase)
    period_us = 0 if phase is None else SCRAPE_STEPS * STEP_S * S
    return source("p", steps, is_counter=False, period_us=period_us, constant_us=constant_steps * STEP_S * S, **values)


@given(
    st.floats(40, 650),
    st.floats(40, 650),
    st.integers(0, 10),
    st.integers(14, 40),
    st.sampled_from([None, 0, 1]),
    st.floats(0.97, 1.03),
)
@settings(max_examples=300, deadline=None)
def test_a_power_that_stays_at_one_value_beside_a_counter_that_does_is_not_standing_still(
    before_w: float, watts: float, before: int, after: int, phase: int | None, gain: float
) -> None:
    """Whatever the load did before, and however coarsely both are read."""
    true_w = [before_w] * before + [watts] * after
    first_reading = before if phase is None else next(step for step in range(before, before + 2) if step % SCRAPE_STEPS == phase)
    power = gauge(true_w, before + after - 1 - first_reading, phase)
    counter = replace(power, source="c", is_counter=True, steps_uj=tuple(round(gain * energy) for energy in power.steps_uj))
    verdicts = {outcome.verdict for outcome in outcomes_of(power, counter).values()}
    assert verdicts <= ({Verdict.AGREES, Verdict.NO_WITNESS} if before else {Verdict.AGREES})


@given(st.floats(60, 650), st.floats(0.3, 0.7), st.integers(12, 24), st.sampled_from([None, 0, 1]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_power_that_stays_where_its_counter_left_it_stands_still(
    watts: float, change: float, since: int, phase: int | None, is_falling: bool
) -> None:
    frozen_w, moved_w = (watts, change * watts) if is_falling else (change * watts, watts)
    moved = 3 * since  # the load has left the value of the frozen gauge for most of the window
    power = gauge([frozen_w] * (since + moved), since + moved, phase)
    true_w = [frozen_w] * since + [moved_w] * moved
    true_uj = as_scraped(true_w, phase) if phase is not None else [round(w * STEP_S * S) for w in true_w]
    counter = source("c", true_uj, period_us=power.period_us)
    outcome = outcomes_of(power, counter)["p"]
    assert (outcome.verdict, outcome.reason) == (Verdict.STANDS_STILL, Reason.POWER_STANDS)
    assert outcome.low_uj <= sum(true_uj) <= outcome.high_uj


def test_a_sound_source_beside_a_refuted_one_bounds_it_and_has_no_witness_itself() -> None:
    outcomes = outcomes_of(steady("c", 0), steady("p", 300, is_counter=False))
    assert outcomes["p"] == NO_WITNESS
    assert outcomes["c"].basis == ("p",)
    assert outcomes["c"].low_uj <= 300 * 60 * S <= outcomes["c"].high_uj < 2 * 300 * 60 * S


def test_mirrors_are_equal_in_every_step_and_move() -> None:
    moving = [STEP_S * S * watts for watts in (70, 300, 500, 90, 120, 600)]
    real, copy = source("c", moving), source("c", [energy + 50_000 for energy in moving], device="g2")
    other = source("c", [energy + 200_000 for energy in moving], device="g3")
    assert find_mirrors([real, copy, other]) == {("g2", "c"): "g"}
    assert find_mirrors([steady("c", 42), steady("c", 42, device="g2")]) == {}  # two idle boards in whole watts
    assert find_mirrors([real, replace(copy, source="another")]) == {}


def test_a_mirror_stays_one_under_a_constant_load_until_it_differs() -> None:
    known = {("g2", "c"): "g"}
    assert find_mirrors([steady("c", 300), steady("c", 300, device="g2")], known) == known
    assert find_mirrors([steady("c", 300), steady("c", 310, device="g2")], known) == {}
    assert find_mirrors([steady("c", 300)], known) == {}


def test_a_meter_of_a_server_alone_stands_still_where_the_load_of_its_processors_moves() -> None:
    def outcome(*, load_range: float, constant_s: int) -> Verdict:
        meter = replace(
            steady("acpi-power", 300, 30, device="wall"),
            component="host",
            is_counter=False,
            constant_us=constant_s * 1_000_000,
            load_range=load_range,
        )
        outcomes = judge_device([meter], [STEP_S * 1_000_000] * len(meter.steps_uj), is_last=True)
        assert outcomes is not None
        return outcomes["acpi-power"].verdict

    assert outcome(load_range=0.7, constant_s=300) == Verdict.STANDS_STILL
    assert outcome(load_range=0.7, constant_s=120) == Verdict.NO_WITNESS  # a service processor's mean
    assert outcome(load_range=0.2, constant_s=300) == Verdict.NO_WITNESS


def test_a_swap_needs_one_model_a_busy_board_and_an_idle_one() -> None:
    low, high = steady("c", 70, device="busy"), steady("c", 500, device="idle")
    shares = {"busy": 1.0, "idle": 0.0}
    assert find_swaps([low, high], shares) == {("busy", "c"), ("idle", "c")}
    assert find_swaps([low, replace(high, model="NVIDIA L4")], shares) == set()
    assert find_swaps([low, high], {"busy": 1.0, "idle": 0.5}) == set()
    assert find_swaps([low, steady("c", 100, device="idle")], shares) == set()


@given(st.floats(100, 2000), st.floats(0, 1000), st.floats(1.0, 1.4), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_an_honest_server_is_never_refuted_by_its_parts(parts_w: float, rest_w: float, loss: float, seed: int) -> None:
    """The whole is the parts, the rest, and the loss of the supply; a sensor of 3 %."""
    luck = random.Random(seed)
    steps = [round(loss * (parts_w + rest_w) * luck.gauss(1, 0.03) * STEP_S * S) for _ in range(24)]
    whole = source("ipmi", steps, component="host", is_counter=False, model="")
    parts = {("g", "c"): Part(round(parts_w * 120 * S))}
    outcome, doubted = judge_whole(whole, parts, [STEP_S * S] * 24, is_complete=True)
    assert (outcome, doubted) == (NO_WITNESS, {})


@given(st.floats(1.3, 5))
def test_parts_above_the_whole_doubt_all_that_nothing_confirms(excess: float) -> None:
    whole = steady("ipmi", 1000, 24, component="host", is_counter=False, model="")
    parts = {
        ("g", "c"): Part(round(500 * 120 * S), is_confirmed=True),
        ("cpu:0", "rapl"): Part(round((excess - 0.5) * 1000 * 120 * S)),
    }
    outcome, doubted = judge_whole(whole, parts, [STEP_S * S] * 24, is_complete=True)
    assert (outcome.verdict, outcome.reason) == (Verdict.DISAGREES, Reason.PARTS_ABOVE_WHOLE)
    assert doubted.keys() == {("cpu:0", "rapl")}
    assert doubted["cpu:0", "rapl"].low_uj == 0
