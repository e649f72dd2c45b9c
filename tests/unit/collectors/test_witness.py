"""The agent holds its sensors against each other, their load, their siblings and their server, and records the verdicts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from collectors.agent import Agent
from collectors.base import Collector, DeviceContext
from collectors.config import AgentConfig
from footprint.core.samples import Channel, DevicePart, Sample
from footprint.core.sensor_verdicts import (
    Reason,
    SensorState,
    SensorVerdict,
    Verdict,
    Witness,
    states_from_values,
    verdicts_from_rows,
)
from tests.support.agents import WALL_US, S, context_readings, energy_readings, make_agent, used_uj

H100 = "NVIDIA H100 80GB HBM3"
COUNTER = Channel("GPU-1", "gpu", "nvml-energy", alias="gpu:0", model=H100)
POWER = replace(COUNTER, source="nvml-power-average")
Watts = Callable[[int], float]


class Board:
    """One board: its true power by second, and what its counter and its power sensor make of it."""

    def __init__(self, watts: Watts, device: str = "GPU-1", **behaviour: object) -> None:
        self.watts = watts
        self.counter = replace(COUNTER, device=device)
        self.power = replace(POWER, device=device)
        self.gain, self.power_gain = 1.0, 1.0
        self.frozen_power_w: float | None = None
        self.has_counter = self.has_power = True
        self.busy: Callable[[int], float] | None = None
        self.noise = random.Random(7)
        for name, value in behaviour.items():
            setattr(self, name, value)
        self.true_uj = self.counted_uj = self.busy_us = 0

    def samples(self, second: int, at_us: int, mono_us: int) -> Iterator[Sample]:
        gain = self.gain(second) if callable(self.gain) else self.gain
        used_uj = round(self.watts(second) * S)
        self.true_uj += used_uj
        self.counted_uj += round(used_uj * gain)
        if self.busy:
            self.busy_us += round(self.busy(second) * S)
        if self.has_counter:
            yield Sample(self.counter, at_us, mono_us, 10**12 + self.counted_uj)
        if self.has_power:
            shown_w = self.watts(second) * self.power_gain * self.noise.gauss(1, 0.005)
            shown_w = shown_w if self.frozen_power_w is None else self.frozen_power_w
            yield Sample(self.power, at_us, mono_us, None, round(shown_w * S))


class Boards(Collector):
    """Simulated boards and other sensors of one host."""

    name, covers = "nvml", "gpu-nvidia"
    boards: tuple[Board, ...] = ()
    others: tuple[tuple[Channel, Watts], ...] = ()

    def __init__(self, config: AgentConfig) -> None:
        self.second = 0
        self.totals_uj = [0] * len(self.others)

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        self.second = mono_us // S
        for board in self.boards:
            yield from board.samples(self.second, at_us, mono_us)
        for index, (channel, watts) in enumerate(self.others):
            power_uw = round(watts(self.second) * S)
            self.totals_uj[index] += power_uw
            if channel.component == "host" or "power" in channel.source:
                yield Sample(channel, at_us, mono_us, None, power_uw)
            else:
                yield Sample(channel, at_us, mono_us, 10**9 + self.totals_uj[index])

    def context(self) -> Iterator[DeviceContext]:
        for board in self.boards:
            if board.busy:
                yield DeviceContext(board.counter.device, "gpu", "nvml", {"busy_us": board.busy_us})


def run(
    folder: Path,
    *boards: Board,
    seconds: int = 300,
    others: tuple[tuple[Channel, Watts], ...] = (),
    host_busy: float = 0.5,
    agent: Agent | None = None,
    start: int = 0,
) -> Agent:
    """An agent that has read the boards for a time."""
    kind = type("Simulated", (Boards,), {"boards": boards, "others": others})
    agent = agent or make_agent(folder, kind)
    for second in range(start, start + seconds + 1):
        busy = round(host_busy * 100 * second)
        (agent.config.proc / "stat").write_text(f"cpu {busy} 0 0 {100 * second - busy} 0 0 0 0\n")
        agent.read_sensors(WALL_US + second * S, second * S)
        if second % 10 == 0:
            agent.write_records(WALL_US + second * S, second * S)
    return agent


def verdicts(agent: Agent, device: str = "GPU-1") -> dict[str, list[SensorVerdict]]:
    """Recorded verdicts on each source of a device."""
    records = [record for record in context_readings(agent) if record.device == device]
    return verdicts_from_rows((record.at_us, name, value) for record in records for name, value in record.values.items())


def last_states(agent: Agent, device: str = "GPU-1") -> dict[str, tuple[SensorState, Reason]]:
    values: dict[str, int] = {}
    for record in context_readings(agent):
        if record.device == device:
            values |= record.values
    return states_from_values(values)


def steady(watts: float) -> Watts:
    return lambda second: watts


def bursty(seed: int) -> Watts:
    luck = random.Random(seed)
    levels = [luck.choice([80, 300, 650]) for _ in range(2000)]
    return lambda second: levels[second // 3]


@pytest.mark.parametrize("watts", [steady(300), steady(70), bursty(1), bursty(2)])
def test_an_honest_board_is_agreed_with_and_its_power_is_recorded_once_a_minute(tmp_path: Path, watts: Watts) -> None:
    agent = run(tmp_path, Board(watts), seconds=600)
    recorded = verdicts(agent)
    assert {v.verdict for source in recorded.values() for v in source} == {Verdict.AGREES}
    assert {v.witness for source in recorded.values() for v in source} == {Witness.OWN_POWER}
    assert [len(source) for source in recorded.values()] == [1, 1]  # repeated hourly, not each interval
    readings = energy_readings(agent)
    assert sum(r.source == COUNTER.source for r in readings) == 61
    assert sum(r.source == POWER.source for r in readings) == 11
    assert last_states(agent) == dict.fromkeys([COUNTER.source, POWER.source], (SensorState.READS, Reason.NONE))


@pytest.mark.parametrize("gain", [0.57, 0.7, 1.4, 3.0])
@pytest.mark.parametrize("watts", [steady(300), bursty(3)])
def test_a_counter_that_contradicts_its_power_is_doubted_and_the_range_holds_the_truth(
    tmp_path: Path, gain: float, watts: Watts
) -> None:
    board = Board(watts, gain=gain)
    agent = run(tmp_path, board, seconds=600)
    recorded = verdicts(agent)[COUNTER.source]
    assert {v.verdict for v in recorded} == {Verdict.DISAGREES}
    above = {Reason.ABOVE_CEILING} if gain == 3.0 and watts(0) != watts(40) else set()  # some steps are beyond physics
    assert {v.reason for v in recorded} <= {Reason.COUNTER_AGAINST_POWER} | above
    for verdict in recorded:
        start, end = (round((at_us - WALL_US) / S) for at_us in (verdict.start_us, verdict.at_us))
        true_uj = sum(round(watts(second) * S) for second in range(start + 1, end + 1))
        assert verdict.low_uj <= true_uj <= verdict.high_uj
        if verdict.reason == Reason.COUNTER_AGAINST_POWER:
            assert verdict.judged_uj == pytest.approx(gain * true_uj, rel=1e-4)
    # The windows follow one another without a hole, to the last record.
    assert recorded[0].start_us <= WALL_US + 60 * S
    assert all(after.start_us <= before.at_us for before, after in pairwise(recorded))
    assert recorded[-1].at_us == WALL_US + 600 * S
    # While in doubt, both sources are recorded each interval.
    power_readings = [r for r in energy_readings(agent) if r.source == POWER.source and r.at_us > recorded[0].at_us]
    assert len(power_readings) >= (600 - 300) // 10
    assert used_uj([r for r in energy_readings(agent) if r.source == POWER.source], "GPU-1") == pytest.approx(
        board.true_uj, rel=0.2
    )


def test_a_counter_that_stands_still_is_no_zero(tmp_path: Path) -> None:
    agent = run(tmp_path, Board(steady(300), gain=0.0))
    recorded = verdicts(agent)
    assert {(v.verdict, v.witness, v.reason) for v in recorded[COUNTER.source]} == {
        (Verdict.STANDS_STILL, Witness.OWN_POWER, Reason.COUNTER_STANDS)
    }
    for verdict in recorded[COUNTER.source]:
        assert verdict.judged_uj == 0
        assert (
            0.85 <= verdict.low_uj * S / verdict.window_us / (300 * S) <= 1 <= verdict.high_uj * S / verdict.window_us / (300 * S)
        )
    assert {v.verdict for v in recorded[POWER.source]} == {Verdict.NO_WITNESS}
    assert last_states(agent)[COUNTER.source] == (SensorState.SET_ASIDE, Reason.COUNTER_STANDS)


def test_a_power_that_stands_still_while_its_counter_moves_is_set_aside_and_the_counter_is_not(tmp_path: Path) -> None:
    agent = run(tmp_path, Board(bursty(5), frozen_power_w=70.0), seconds=300)
    recorded = verdicts(agent)
    assert recorded[POWER.source][-1].verdict == Verdict.STANDS_STILL
    assert recorded[COUNTER.source][-1].verdict == Verdict.NO_WITNESS


def test_a_power_alone_that_stands_still_while_the_board_begins_to_compute_is_seen(tmp_path: Path) -> None:
    board = Board(
        lambda second: 600 if second > 100 else 70,
        frozen_power_w=70.0,
        has_counter=False,
        busy=lambda second: 0.95 if second > 100 else 0.0,
    )
    last = verdicts(run(tmp_path, board))[POWER.source][-1]
    assert (last.verdict, last.witness) == (Verdict.STANDS_STILL, Witness.UTILISATION)
    assert last.high_uj >= 600 * last.window_us


def test_a_board_of_constant_load_and_constant_power_is_not_suspected(tmp_path: Path) -> None:
    board = Board(steady(70), frozen_power_w=70.0, has_counter=False, busy=lambda second: 0.0)
    assert {v.verdict for v in verdicts(run(tmp_path, board))[POWER.source]} == {Verdict.NO_WITNESS}


@pytest.mark.parametrize("component", ["cpu", "dram"])
@pytest.mark.parametrize("host_busy", [0.0, 0.6])
def test_a_processor_that_counts_nothing_stands_still(tmp_path: Path, component: str, host_busy: float) -> None:
    channel = Channel(f"{component}:0", component, "rapl", wrap_uj=262_143_328_850)
    agent = run(tmp_path, others=((channel, steady(0)),), host_busy=host_busy)
    recorded = verdicts(agent, channel.device)["rapl"]
    assert {v.verdict for v in recorded} == {Verdict.STANDS_STILL}
    expected = Witness.HOST_LOAD if component == "cpu" and host_busy else Witness.BOUNDS
    assert recorded[-1].witness == expected
    assert recorded[-1].high_uj > 0


def test_a_board_that_answers_and_counts_nothing_stands_still(tmp_path: Path) -> None:
    """To read it wakes it; one that is off does not answer."""
    channel = Channel("gpu-1", "gpu", "xe-energy", model="Intel(R) Arc(TM) A770 Graphics")
    recorded = verdicts(run(tmp_path, others=((channel, lambda second: 180 if second < 60 else 0),)), "gpu-1")["xe-energy"]
    assert recorded[0].verdict == Verdict.NO_WITNESS
    assert (recorded[-1].verdict, recorded[-1].witness) == (Verdict.STANDS_STILL, Witness.BOUNDS)


def test_the_agent_says_once_which_source_it_doubts_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, Board(steady(300), gain=0.5), others=((CPU, steady(20_000)),))
    said = [line for line in capsys.readouterr().err.splitlines() if "gpu:0" in line or "cpu:0" in line]
    assert [line.partition(" (")[0] for line in said] == ["footprint-agent: gpu:0", "footprint-agent: cpu:0"]
    assert "nvml-energy" in said[0]
    assert "between" in said[0]
    assert "1,500 W" in said[1]


def test_a_sensor_without_a_second_one_says_so(tmp_path: Path) -> None:
    channel = Channel("cpu:0", "cpu", "rapl", wrap_uj=262_143_328_850)
    recorded = verdicts(run(tmp_path, others=((channel, bursty(2)),)), "cpu:0")["rapl"]
    assert [(v.verdict, v.witness) for v in recorded] == [(Verdict.NO_WITNESS, Witness.NONE)]


def test_a_busy_board_that_draws_next_to_nothing_is_refuted(tmp_path: Path) -> None:
    board = Board(steady(12), has_power=False, busy=lambda second: 1.0)
    recorded = verdicts(run(tmp_path, board))[COUNTER.source]
    assert {(v.verdict, v.reason) for v in recorded} == {(Verdict.DISAGREES, Reason.BUSY_WITHOUT_POWER)}


def test_an_idle_board_that_draws_much_is_only_a_hint(tmp_path: Path) -> None:
    board = Board(steady(600), has_power=False, busy=lambda second: 0.0)
    recorded = verdicts(run(tmp_path, board))[COUNTER.source]
    assert {(v.verdict, v.reason) for v in recorded} == {(Verdict.NO_WITNESS, Reason.POWER_WITHOUT_LOAD)}


def test_boards_whose_sensors_are_swapped_contradict_their_utilisation(tmp_path: Path) -> None:
    busy = Board(steady(70), "GPU-1", busy=lambda second: 1.0)  # it shows the idle one's power
    idle = Board(steady(550), "GPU-2", busy=lambda second: 0.0)
    agent = run(tmp_path, busy, idle)
    for device, true_w in (("GPU-1", 550), ("GPU-2", 70)):
        last = verdicts(agent, device)[COUNTER.source][-1]
        assert (last.verdict, last.reason) == (Verdict.DISAGREES, Reason.SWAPPED)
        assert last.low_uj <= true_w * last.window_us <= last.high_uj


def test_eight_handles_that_repeat_one_board_are_one_board(tmp_path: Path) -> None:
    boards = [Board(bursty(4), f"gpu-{index}", has_power=False) for index in range(8)]
    agent = run(tmp_path, *boards)
    last = [verdicts(agent, f"gpu-{index}")[COUNTER.source][-1] for index in range(8)]
    assert last[0].verdict != Verdict.DISAGREES
    assert {(v.verdict, v.witness, v.reason, v.low_uj) for v in last[1:]} == {
        (Verdict.DISAGREES, Witness.SIBLING, Reason.MIRRORS_SIBLING, 0)
    }


def test_boards_under_one_load_are_no_mirrors(tmp_path: Path) -> None:
    luck = random.Random(3)
    load = bursty(4)
    boards = [Board(lambda second: load(second) * luck.gauss(1, 0.01), f"gpu-{index}", has_power=False) for index in range(4)]
    agent = run(tmp_path, *boards)
    assert {v.verdict for index in range(4) for v in verdicts(agent, f"gpu-{index}")[COUNTER.source]} == {Verdict.NO_WITNESS}


WALL = Channel("wall", "host", "ipmi", period_us=10 * S)
CPU = Channel("cpu:0", "cpu", "rapl", wrap_uj=262_143_328_850)


def test_parts_above_the_whole_server_are_doubted_unless_their_own_power_confirms_them(tmp_path: Path) -> None:
    others = ((WALL, steady(600)), (CPU, steady(600)))  # the processor counts three times what it draws
    agent = run(tmp_path, Board(steady(300)), others=others, seconds=400)
    last = verdicts(agent, "cpu:0")["rapl"][-1]
    assert (last.verdict, last.witness, last.reason) == (Verdict.DISAGREES, Witness.WHOLE_HOST, Reason.PARTS_ABOVE_WHOLE)
    assert last.low_uj <= 200 * last.window_us <= last.high_uj
    assert verdicts(agent, "wall")["ipmi"][-1].reason == Reason.PARTS_ABOVE_WHOLE
    assert verdicts(agent)[COUNTER.source][-1].verdict == Verdict.AGREES


def test_a_whole_server_that_no_parts_could_make_up_is_refuted(tmp_path: Path) -> None:
    others = ((WALL, steady(65_535)), (CPU, steady(200)))
    last = verdicts(run(tmp_path, Board(steady(300)), others=others, seconds=400), "wall")["ipmi"][-1]
    assert (last.verdict, last.reason) == (Verdict.DISAGREES, Reason.WHOLE_ABOVE_PARTS)
    assert last.low_uj <= 700 * last.window_us <= last.high_uj


def test_a_whole_server_that_stands_at_one_value_while_its_parts_move_is_refuted(tmp_path: Path) -> None:
    others = ((WALL, steady(900)), (CPU, steady(200)))
    board = Board(lambda second: 600 if second // 60 % 2 else 100)
    last = verdicts(run(tmp_path, board, others=others, seconds=700), "wall")["ipmi"][-1]
    assert (last.verdict, last.reason) == (Verdict.STANDS_STILL, Reason.POWER_STANDS)


@pytest.mark.parametrize("frozen_s", [240, 243, 337])
@pytest.mark.parametrize("period_s", [0, 10])
def test_a_part_that_freezes_stands_still_and_is_no_evidence_against_the_whole(
    tmp_path: Path, frozen_s: int, period_s: int
) -> None:
    """The whole goes on at one value: so the part goes on drawing, and did not fall."""
    frozen = replace(CPU, device="gpu-2", component="gpu", source="xe-energy", period_us=period_s * S)
    others = ((WALL, steady(700)), (CPU, steady(150)), (frozen, lambda second: 200 if second < frozen_s else 0))
    agent = run(tmp_path, others=others, seconds=900)
    assert {v.verdict for v in verdicts(agent, "wall")["ipmi"]} == {Verdict.NO_WITNESS}
    assert {v.verdict for v in verdicts(agent, "cpu:0")["rapl"]} == {Verdict.NO_WITNESS}
    last = verdicts(agent, "gpu-2")["xe-energy"][-1]
    assert (last.verdict, last.witness, last.reason) == (Verdict.STANDS_STILL, Witness.WHOLE_HOST, Reason.COUNTER_STANDS)
    assert last.low_uj <= 200 * last.window_us <= last.high_uj <= 700 * last.window_us


def test_boards_that_count_nothing_do_not_make_the_whole_server_impossible(tmp_path: Path) -> None:
    others = ((WALL, steady(6_000)), (CPU, steady(200)))
    agent = run(tmp_path, Board(steady(0), has_power=False), others=others, seconds=400)
    assert verdicts(agent)[COUNTER.source][-1].verdict == Verdict.STANDS_STILL
    assert {v.verdict for v in verdicts(agent, "wall")["ipmi"]} == {Verdict.NO_WITNESS}


def test_a_part_that_falls_with_the_whole_server_is_not_refuted_by_it(tmp_path: Path) -> None:
    def part(second: int) -> float:
        return 200 if second < 240 else 0

    others = ((WALL, lambda second: 500 + part(second)), (CPU, steady(150)), (replace(CPU, device="cpu:1"), part))
    agent = run(tmp_path, others=others, seconds=900, host_busy=0)
    assert Witness.WHOLE_HOST not in {v.witness for v in verdicts(agent, "cpu:1")["rapl"]}


def test_a_whole_server_that_follows_its_parts_is_not_suspected(tmp_path: Path) -> None:
    def load(second: int) -> float:
        return 600 if second // 60 % 2 else 100

    others = ((WALL, lambda second: 250 + 1.1 * (load(second - 5) + 200)), (CPU, steady(200)))
    agent = run(tmp_path, Board(load), others=others, seconds=700)
    for device, source in (("wall", "ipmi"), ("cpu:0", "rapl")):
        assert {v.verdict for v in verdicts(agent, device)[source]} == {Verdict.NO_WITNESS}


def test_a_counter_that_begins_to_count_twice_is_seen_within_two_minutes_and_forgiven_when_it_ends(tmp_path: Path) -> None:
    board = Board(steady(300), gain=lambda second: 2.0 if 300 < second <= 600 else 1.0)
    recorded = verdicts(run(tmp_path, board, seconds=900))[COUNTER.source]
    assert recorded[0].verdict == Verdict.AGREES
    bad = [v for v in recorded if v.verdict == Verdict.DISAGREES]
    assert bad[0].start_us <= WALL_US + 300 * S < bad[0].at_us <= WALL_US + 420 * S
    assert WALL_US + 600 * S <= bad[-1].at_us <= WALL_US + 780 * S
    assert recorded[-1].verdict == Verdict.AGREES


def test_a_counter_that_comes_back_after_minutes_did_not_count_them_in_seconds(tmp_path: Path) -> None:
    """Its board is lost for five minutes and returns: what it counted meanwhile is no contradiction, nor is its busy time."""

    class LostBoard(Board):
        def samples(self, second: int, at_us: int, mono_us: int) -> Iterator[Sample]:
            samples = list(super().samples(second, at_us, mono_us))
            if not 300 <= second < 600:
                yield from samples

    agent = run(tmp_path, LostBoard(steady(280), busy=lambda second: 0.0 if 300 <= second < 600 else 1.0), seconds=900)
    for source in (COUNTER.source, POWER.source):
        assert {v.verdict for v in verdicts(agent)[source]} <= {Verdict.AGREES, Verdict.NO_WITNESS}


def test_a_witness_is_recorded_at_each_interval_as_soon_as_the_counter_is_silent(tmp_path: Path) -> None:
    class SilentCounter(Board):
        def samples(self, second: int, at_us: int, mono_us: int) -> Iterator[Sample]:
            self.has_counter = not 300 <= second < 600
            yield from super().samples(second, at_us, mono_us)

    agent = run(tmp_path, SilentCounter(steady(280)), seconds=900)
    at_s = [record.mono_us // S for record in energy_readings(agent) if record.source == POWER.source]
    assert set(range(320, 600, 10)) <= set(at_s)
    assert sum(second > 660 for second in at_s) <= 5


def test_one_misread_of_a_service_processor_is_refused_and_counted(tmp_path: Path) -> None:
    others = ((WALL, lambda second: 4_294_967.295 if second % 60 == 30 else 412),)
    agent = run(tmp_path, others=others)
    assert used_uj(energy_readings(agent), "wall") == 412 * 300 * S
    assert agent.witness.refused_samples == {("wall", "ipmi", Reason.ABOVE_CEILING): 5}


def test_a_power_that_is_never_credible_is_a_state_with_its_reason(tmp_path: Path) -> None:
    agent = run(tmp_path, others=((WALL, steady(4_294_967.295)),))
    assert energy_readings(agent) == []
    assert last_states(agent, "wall") == {"ipmi": (SensorState.DOUBTED, Reason.ABOVE_CEILING)}


def test_a_doubt_of_more_than_a_minute_is_recorded_with_its_size_and_beginning(tmp_path: Path) -> None:
    others = ((CPU, lambda second: 90 if second < 100 else 20_000),)
    agent = run(tmp_path, others=others)
    doubted = [v for v in verdicts(agent, "cpu:0")["rapl"] if v.doubt_since_us]
    assert {v.doubt_since_us for v in doubted} == {WALL_US + 100 * S}
    assert [v.at_us for v in doubted] == [WALL_US + second * S for second in range(160, 301, 10)]
    assert doubted[-1].doubt_uj == (1500 * 201 + 375) * S
    assert last_states(agent, "cpu:0")["rapl"] == (SensorState.DOUBTED, Reason.ABOVE_CEILING)


@pytest.mark.parametrize("source", ["nvml-energy", "nvml-power"])
def test_energy_above_a_limit_that_was_read_at_the_start_counts(tmp_path: Path, source: str) -> None:
    channel = Channel("GPU-1", "gpu", source, limit_uw=30 * S, model="NVIDIA RTX 5070 Ti Laptop GPU")
    agent = run(tmp_path, others=((channel, lambda second: 20 if second <= 10 else 120),), seconds=40)
    assert used_uj(energy_readings(agent), "GPU-1") == pytest.approx(20 * 10 * S + 120 * 30 * S, rel=0.02)
    assert not agent.witness.refused_samples


def test_verdicts_outlast_a_restart(tmp_path: Path) -> None:
    board = Board(steady(300), gain=0.5)
    run(tmp_path, board, seconds=100)
    again = run(tmp_path, board, seconds=20, start=130)
    assert [v.verdict for v in verdicts(again)[COUNTER.source]][-2:] == [Verdict.DISAGREES] * 2
    assert verdicts(again)[COUNTER.source][-1].at_us == WALL_US + 150 * S


def test_parts_of_a_partitioned_board_bear_its_verdict(tmp_path: Path) -> None:
    board = Board(steady(280), gain=0.5)
    parts = (DevicePart("MIG-1", "gpu:0:0", 3), DevicePart("MIG-2", "gpu:0:1", 4))
    board.counter, board.power = replace(board.counter, parts=parts), replace(board.power, parts=parts)
    agent = run(tmp_path, board)
    for device, watts in (("MIG-1", 120), ("MIG-2", 160)):
        last = verdicts(agent, device)["nvml-energy-mig"][-1]
        assert last.verdict == Verdict.DISAGREES
        assert last.low_uj <= watts * last.window_us <= last.high_uj
        counted = [r for r in energy_readings(agent) if r.device == device and r.source == "nvml-energy-mig"]
        assert used_uj(counted, device) == watts // 2 * 300 * S


def test_the_notes_of_the_agent_stay_small(tmp_path: Path) -> None:
    agent = run(tmp_path, Board(steady(300)), seconds=1200)
    assert len(agent.witness._steps) <= 2 * 300 // 5


@pytest.mark.parametrize("seed", range(8))
def test_readings_and_records_may_come_at_any_instant(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    board = Board(steady(300))
    agent = make_agent(tmp_path, type("Simulated", (Boards,), {"boards": (board,)}))
    mono_us = 0
    for tick in range(300):
        agent.read_sensors(WALL_US + mono_us, mono_us)
        if tick % 10 == 0 or luck.random() < 0.1:
            agent.write_records(WALL_US + mono_us, mono_us)
            instants = [step.mono_us for step in agent.witness._steps]
            assert all(after - before >= S for before, after in pairwise(instants))
        mono_us += luck.choice([S] * 40 + [1, 1_000, S // 2, 40 * S])
    assert agent.judgement_failures == 0


def test_an_error_of_the_judgement_is_told_once_and_stops_no_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board(steady(300))
    agent = make_agent(tmp_path, type("Simulated", (Boards,), {"boards": (board,)}))

    def fail() -> None:
        raise ZeroDivisionError("a defect")

    run(tmp_path, board, seconds=60, agent=agent)
    assert verdicts(agent)[COUNTER.source][-1].verdict == Verdict.AGREES
    monkeypatch.setattr(type(agent.witness), "judge", lambda witness: fail())
    run(tmp_path, board, seconds=59, agent=agent, start=61)
    assert agent.judgement_failures == 6
    assert verdicts(agent)[COUNTER.source][-1].verdict == Verdict.NO_WITNESS  # what nobody judges is not confirmed
    assert capsys.readouterr().err.count("cannot be judged") == 1
    assert used_uj([r for r in energy_readings(agent) if r.source == COUNTER.source], "GPU-1") == 120 * 300 * S
