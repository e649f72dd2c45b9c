"""NVIDIA GPUs through the real binding and a simulated library, against the energy that the boards really used."""

import itertools
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.agent import Agent
from collectors.base import Unavailable
from collectors.config import AgentConfig
from collectors.nvml import NvmlCollector
from footprint.core.sensor_verdicts import Reason, SensorState
from tests.simulation.nvml import SimulatedNvml
from tests.simulation.sensors import build_nvml
from tests.support.agents import (
    WALL_US,
    S,
    context_readings,
    counted,
    covered_us,
    energy_readings,
    make_agent,
    readings_by_epoch,
    used_uj,
)

Load = Callable[[str], SimulatedNvml]


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = build_nvml(tmp_path_factory.mktemp("nvml"))
    if found is None:
        pytest.skip("no C compiler for the simulated library")
    return found


@pytest.fixture
def load(nvml_library: Path, tmp_path: Path) -> Iterator[Load]:
    opened: list[SimulatedNvml] = []

    def act(scenario: str) -> SimulatedNvml:
        opened.append(SimulatedNvml(nvml_library, scenario, tmp_path))
        return opened[-1]

    yield act
    for each in opened[::-1]:
        each.close()


def run(agent: Agent, nvml: SimulatedNvml, seconds: int, start: int = 0, record_s: int = 10) -> None:
    """Sample every second from ``start`` to ``seconds``, both included, and record every ten and at the end."""
    for at in range(start, seconds + 1):
        nvml.set_time_s(at)
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % record_s == 0 or at == seconds:
            agent.write_records(WALL_US + at * S, at * S)


def test_the_counter_is_told_to_its_resolution_and_keyed_by_uuid(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu uuid=GPU-a power=100\ngpu uuid=GPU-b power=250.5\nat 7.5 power 0 333.333\nat 20.25 power 1 61\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 60)
    for index, uuid in enumerate(("GPU-a", "GPU-b")):
        assert abs(used_uj(energy_readings(agent), uuid) - nvml.true_uj(index)) <= 1000
        assert covered_us(energy_readings(agent), uuid) == 60 * S
    assert {(r.device, r.alias, r.source) for r in counted(energy_readings(agent))} == {
        ("GPU-a", "gpu:0", "nvml-energy"),
        ("GPU-b", "gpu:1", "nvml-energy"),
    }


def test_c9_a_driver_reload_opens_an_epoch_and_never_gives_negative_energy(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\nat 24.5 driver_down\nat 27.5 driver_up\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 24)
    before = nvml.true_uj(0)
    run(agent, nvml, 60, start=25)
    groups = list(readings_by_epoch(counted(energy_readings(agent))).values())
    assert len(groups) == 2
    assert all(b.energy_uj >= a.energy_uj for group in groups for a, b in itertools.pairwise(group))
    assert groups[0][-1].at_us == WALL_US + 24 * S
    assert groups[0][-1].energy_uj - groups[0][0].energy_uj == before  # up to the last sample before the driver went
    begun_s = (groups[1][0].at_us - WALL_US) / S
    assert 28 <= begun_s <= 36  # handles are opened again after five seconds, or ten
    assert groups[1][-1].energy_uj - groups[1][0].energy_uj == 300 * (60 - begun_s) * S
    assert covered_us(energy_readings(agent), "GPU-sim-0") == (24 + 60 - begun_s) * S


def test_c9_a_counter_that_is_set_anew_and_a_misread_one(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\nat 12.9 misread 0 7\nat 30.9 misread 0 99999999999\nat 44.5 reset 0\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 60)
    first, second = readings_by_epoch(counted(energy_readings(agent))).values()
    assert first[-1].energy_uj == 300 * 44 * S  # both misreadings passed over, nothing lost
    assert second[0].at_us == WALL_US + 45 * S
    assert second[-1].energy_uj == 300 * 15 * S


def test_c9_where_there_is_no_counter_power_is_polled_and_integrated(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=200 counter=0 fields=0\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 30)
    assert {r.source for r in energy_readings(agent)} == {"nvml-power"}
    assert used_uj(energy_readings(agent), "GPU-sim-0") == 200 * 30 * S
    assert any("no energy counter" in remark and "nvml-power)" in remark for remark in agent.sensors.remarks())


@pytest.mark.parametrize(("choice", "watts"), [("average", 199), ("instant", 200)])
def test_c10_the_power_field_is_chosen_by_name(load: Load, tmp_path: Path, choice: str, watts: int) -> None:
    nvml = load("gpu power=200 counter=0\n")
    agent = make_agent(tmp_path, NvmlCollector, nvml_power=choice)
    run(agent, nvml, 30)
    assert {r.source for r in energy_readings(agent)} == {f"nvml-power-{choice}"}
    assert used_uj(energy_readings(agent), "GPU-sim-0") == watts * 30 * S


def test_c10_a_sample_within_one_refresh_of_the_counter_loses_nothing(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=500 refresh_ms=100\n")
    agent = make_agent(tmp_path, NvmlCollector, sample_s=0.1)
    for tick in range(1001):
        at = tick * 30_000  # three samples a refresh: two of them see no change
        nvml.set_time_s(at / S)
        agent.read_sensors(WALL_US + at, at)
    agent.write_records(WALL_US + 30 * S, 30 * S)
    assert abs(used_uj(energy_readings(agent), "GPU-sim-0") - nvml.true_uj(0)) <= 500 * S // 10
    assert not any(meter.resets for meter in agent.meters.values())


def test_c11_a_partitioned_board_is_counted_once_and_its_instances_sum_to_it(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=333.333\nat 0 mig 0 3,2,1\nat 41 power 0 91.7\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 100)
    records = energy_readings(agent)
    assert {(r.device, r.alias, r.source) for r in records} == {
        (f"MIG-0-{i}-{slices}", f"gpu:0:{i}", "nvml-energy-mig") for i, slices in enumerate((3, 2, 1))
    }
    whole = [used_uj(records, f"MIG-0-{i}-{slices}") for i, slices in enumerate((3, 2, 1))]
    assert abs(sum(whole) - nvml.true_uj(0)) <= 1000
    assert sum(whole) == agent.meters["GPU-sim-0", "nvml-energy"].energy_uj
    assert whole[0] == pytest.approx(3 / 6 * sum(whole), abs=200)


def test_c11_partitions_that_change_while_it_runs_keep_every_joule(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\nat 15 mig 0 4,3\nat 45 mig 0 4,2,1\nat 75 mig 0 0\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 120)
    records = energy_readings(agent)
    total = sum(used_uj(records, device) for device in {r.device for r in records})
    assert total == nvml.true_uj(0) == 300 * 120 * S
    four = [r for r in records if r.device == "MIG-0-0-4"]
    assert len({r.epoch for r in four}) == 1  # the instance that stayed goes on
    # Instances are looked at every ten seconds.
    assert four[-1].energy_uj == pytest.approx(300 * S * 60 * 4 / 7, abs=60)  # a µJ a sample
    assert four[-1].status == "closed"


def test_c11_instances_go_on_after_a_restart_of_the_agent(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\nat 0 mig 0 4,3\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 35)
    again = make_agent(tmp_path, NvmlCollector)  # killed at 35, up again at 50
    run(again, nvml, 90, start=50)
    records = energy_readings(again)
    assert len(readings_by_epoch(records)) == 2
    assert sum(used_uj(records, device) for device in {r.device for r in records}) == 300 * 90 * S
    assert covered_us(records, "MIG-0-0-4") == (35 + 40) * S


def test_c12_a_module_is_told_apart_and_can_be_read_without_its_cpu(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=400 module=1\n")
    agent = make_agent(tmp_path / "module", NvmlCollector)
    run(agent, nvml, 10)
    assert {r.source for r in energy_readings(agent)} == {"nvml-energy-module", "nvml-power-module"}
    nvml = load("gpu power=400 module=1\n")
    alone = make_agent(tmp_path / "gpu", NvmlCollector, nvml_scope="gpu")
    run(alone, nvml, 10)
    assert {r.source for r in energy_readings(alone)} == {"nvml-power-average"}
    assert used_uj(energy_readings(alone), "GPU-sim-0") == 399 * 10 * S


def test_a_lost_gpu_is_a_gap_that_its_counter_bridges_and_the_others_go_on(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\ngpu power=100\nat 20.5 lost 0\nat 50.5 back 0\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 120)
    records = counted(energy_readings(agent))
    assert used_uj(records, "GPU-sim-0") == 300 * 120 * S
    assert used_uj(records, "GPU-sim-1") == 100 * 120 * S
    assert covered_us(records, "GPU-sim-1") >= 118 * S
    lost = [r for r in records if r.device == "GPU-sim-0"]
    assert [r.status for r in lost].count("gap") == 1
    assert not [r for r in lost if 21 * S < r.at_us - WALL_US < 51 * S]  # nothing is told while it is away, zero least of all
    assert covered_us(records, "GPU-sim-0") <= 90 * S


def test_a_gpu_that_is_plugged_in_appears(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\ngpu power=100\nat 0 count 1\nat 20 count 2\n")
    listing = tmp_path / "proc/driver/nvidia/gpus"
    (listing / "0000:01:00.0").mkdir(parents=True)
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 20)
    (listing / "0000:02:00.0").mkdir()
    run(agent, nvml, 60, start=21)
    assert used_uj(energy_readings(agent), "GPU-sim-0") == 300 * 60 * S
    assert used_uj(energy_readings(agent), "GPU-sim-1") == 100 * 29 * S  # seen with the record at 30, sampled from 31


def test_circumstances_are_told_when_they_change(load: Load, tmp_path: Path) -> None:
    nvml = load(
        "gpu power=300\nat 0 clock 0 1410\nat 0 memory 0 1000\nat 15 util 0 50\nat 65 clock 0 1980\nat 65 memory 0 2000\n"
        "at 65 enforced 0 500\nat 15 process 0 77 4096\nat 15 computes 0 77 40\nat 75 ended 0 77\n"
    )
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 100)
    seen: dict[str, list[tuple[int, int]]] = {}
    for record in context_readings(agent):
        for name, value in record.values.items():
            seen.setdefault(name, []).append(((record.at_us - WALL_US) // S, value))
    assert seen["clock_sm_hz"] == seen["clock_memory_hz"] == [(0, 1_410_000_000), (70, 1_980_000_000)]
    assert seen["power_limit_uw"] == [(0, 700 * S), (70, 500 * S)]
    assert seen["memory_used_bytes"] == [(0, 1000), (70, 2000)]
    assert seen["busy_us"][-1] == (100, round((100 - 14) * S * 0.5))
    assert seen["holding/(unknown)"] == [(20, 1), (80, 0)]
    assert seen["memory_used_bytes/(unknown)"] == [(20, 4096), (80, 0)]
    assert seen["busy_us/(unknown)"][-1] == (70, 60 * S * 4 // 10)  # asked every ten seconds, since the first time


def test_a_process_that_slept_is_busy_only_since_it_woke(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\nat 0 process 0 77 4096\nat 85 computes 0 77 50\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 100)
    told = [r.values["busy_us/(unknown)"] for r in context_readings(agent) if "busy_us/(unknown)" in r.values]
    assert told[-1] <= 20 * S * 0.5


def test_c16_a_first_power_that_no_board_draws_is_not_begun_with(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=9000 counter=0 fields=0 limit=300\nat 2.5 power 0 200\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 33)
    assert used_uj(energy_readings(agent), "GPU-sim-0") == 200 * 30 * S


def test_c12_a_module_is_not_judged_by_the_limit_of_its_gpu(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=1000 limit=700 module=1\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 30)
    assert used_uj(energy_readings(agent), "GPU-sim-0") == 1000 * 30 * S


def test_a_gpu_that_was_lost_before_the_agent_began_is_found_when_it_is_back(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\ngpu power=100\nat 0 lost 1\nat 20 back 1\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 120)
    assert used_uj(energy_readings(agent), "GPU-sim-1") >= 100 * 60 * S


def test_no_driver_and_no_gpu_say_so(load: Load, tmp_path: Path) -> None:
    load("at 0 driver_down\ngpu power=1\n")
    with pytest.raises(Unavailable, match="no NVIDIA driver"):
        NvmlCollector(AgentConfig())
    load("")
    with pytest.raises(Unavailable, match="counts no GPU"):
        NvmlCollector(AgentConfig())


NOT_READY, UNKNOWN, NOT_SUPPORTED, NO_PERMISSION = 27, 999, 3, 4


@pytest.mark.parametrize("error", [NOT_READY, UNKNOWN, NOT_SUPPORTED, NO_PERMISSION, 21, 16])
def test_an_energy_query_that_fails_for_ever_leaves_the_power_alone(load: Load, tmp_path: Path, error: int) -> None:
    nvml = load(f"gpu power=180 energy_error={error}\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 300)
    records = energy_readings(agent)
    assert {r.source for r in records} == {"nvml-power-average"}
    assert used_uj(records, "GPU-sim-0") == 179 * 300 * S
    (remark,) = [remark for remark in agent.sensors.remarks() if "no energy counter" in remark]
    assert "nvml-power-average" in remark


@pytest.mark.parametrize("error", [NOT_READY, UNKNOWN, NOT_SUPPORTED])
def test_a_power_query_that_fails_leaves_the_counter_alone(load: Load, tmp_path: Path, error: int) -> None:
    nvml = load(f"gpu power=180 power_error={error}\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 60)
    assert {r.source for r in energy_readings(agent)} == {"nvml-energy"}
    assert used_uj(energy_readings(agent), "GPU-sim-0") == 180 * 60 * S
    assert any("no witness by power" in remark for remark in agent.sensors.remarks())


def test_queries_that_fail_for_a_while_are_read_again(load: Load, tmp_path: Path) -> None:
    nvml = load(
        "gpu power=180\nat 20.5 energy_error 0 999\nat 100.5 energy_error 0 0\nat 150.5 power_error 0 27\nat 190.5 power_error 0 0\n"
    )
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 300)
    assert used_uj(energy_readings(agent), "GPU-sim-0", "nvml-energy") == 180 * 300 * S  # the counter bridges its silence
    assert used_uj(energy_readings(agent), "GPU-sim-0", "nvml-power-average") >= 179 * 190 * S
    assert {state.state for state in agent.sensors.states()} == {SensorState.READS}


@pytest.mark.parametrize("others", [0, 1])
def test_a_board_that_answers_nothing_is_named_and_nothing_is_said_to_be_read_of_it(
    load: Load, tmp_path: Path, others: int
) -> None:
    nvml = load("gpu name=Orin counter=0 fields=0 power_error=3\n" + others * "gpu power=450\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 60)
    assert {r.device for r in energy_readings(agent)} == ({"GPU-sim-1"} if others else set())
    about = [remark for remark in agent.sensors.remarks() if "gpu:0" in remark]
    assert len(about) == 1
    assert "neither energy nor power" in about[0]
    assert "Orin" in about[0]
    assert not any("is read" in remark or "integrated" in remark for remark in about)
    assert agent.sensors.delivering() == (["nvml"] if others else [])
    states = [state for state in agent.sensors.states() if state.device == "GPU-sim-0"]
    assert {state.reason for state in states} == {Reason.NOT_SUPPORTED}


@pytest.mark.parametrize("fault", ["handle_error=999", "uuid_error=999", "handle_error=15"])
def test_a_board_that_cannot_be_opened_is_named_with_its_reason(load: Load, tmp_path: Path, fault: str) -> None:
    nvml = load(f"gpu power=300\ngpu power=310 {fault}\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 60)
    assert used_uj(energy_readings(agent), "GPU-sim-0") == 300 * 60 * S
    (state,) = [state for state in agent.sensors.states() if state.reason is Reason.CANNOT_OPEN]
    assert state.message.startswith("gpu:1")
    assert state.state is SensorState.UNREADABLE
    assert ("0000:02:00.0" in state.message) == fault.startswith("uuid")


def test_a_board_without_uuid_is_read_where_the_kernel_module_lists_it(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\ngpu power=310 uuid_error=999\n")
    information = tmp_path / "proc/driver/nvidia/gpus/0000:02:00.0/information"
    information.parent.mkdir(parents=True)
    information.write_text("Model: \t\t Simulated\nGPU UUID: \t GPU-0a0a0a0a-1111-2222-3333-444444444444\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 30)
    assert used_uj(energy_readings(agent), "GPU-0a0a0a0a-1111-2222-3333-444444444444") == 310 * 30 * S


def test_a_board_that_the_kernel_lists_and_the_library_does_not_count_is_named(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\ngpu power=310\nat 0 count 1\n")
    for bus_address in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / bus_address).mkdir(parents=True)
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 30)
    assert [state.device for state in agent.sensors.states() if state.reason is Reason.CANNOT_OPEN] == ["gpu-0000:02:00.0"]


def test_a_board_that_was_seen_and_is_gone_is_named(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=300\ngpu power=310\nat 30.5 count 1\n")
    listing = tmp_path / "proc/driver/nvidia/gpus"
    for bus_address in ("0000:01:00.0", "0000:02:00.0"):
        (listing / bus_address).mkdir(parents=True)
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 30)
    (listing / "0000:02:00.0").rmdir()
    run(agent, nvml, 90, start=31)
    gone = [state for state in agent.sensors.states() if state.device == "GPU-sim-1"]
    assert {state.state for state in gone} == {SensorState.GONE}
    assert all("was read" in state.message for state in gone)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(uuids=st.lists(st.sampled_from(["GPU-a", "GPU-b", "GPU-c"]), min_size=1, max_size=5), data=st.data())
def test_boards_of_one_uuid_are_told_apart_by_their_bus_address(
    load: Load, tmp_path: Path, uuids: list[str], data: st.DataObject
) -> None:
    watts = data.draw(st.lists(st.integers(20, 690), min_size=len(uuids), max_size=len(uuids)))
    nvml = load("".join(f"gpu uuid={uuid} power={power_w}\n" for uuid, power_w in zip(uuids, watts, strict=True)))
    with tempfile.TemporaryDirectory() as folder:
        agent = make_agent(Path(folder), NvmlCollector)
        run(agent, nvml, 10)
        records = energy_readings(agent)
    devices = {r.device for r in records}
    assert len(devices) == len(uuids)
    assert sum(used_uj(records, device) for device in devices) == sum(watts) * 10 * S
    for uuid, power_w in zip(uuids, watts, strict=True):
        if uuids.count(uuid) == 1:
            assert used_uj(records, uuid) == power_w * 10 * S


def test_two_boards_with_one_uuid_and_one_bus_address_are_one_and_it_is_said(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu uuid=GPU-a bus=00000000:01:00.0 power=300\ngpu uuid=GPU-a bus=00000000:01:00.0 power=300\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 10)
    assert sum(used_uj(energy_readings(agent), d) for d in {r.device for r in energy_readings(agent)}) == 300 * 10 * S
    assert [state.reason for state in agent.sensors.states() if state.message] == [Reason.SAME_IDENTITY]


@pytest.mark.parametrize("named_by", ["numa_node", "model"])
def test_c12_two_boards_of_one_module_that_show_its_counter_count_once(load: Load, tmp_path: Path, named_by: str) -> None:
    name = "GB200" if named_by == "model" else "Superchip"
    nvml = load(f"gpu power=1000 module=1 name={name}\ngpu power=1000 module=1 name={name}\n")
    if named_by == "numa_node":
        for bus_address in ("0000:01:00.0", "0000:02:00.0"):
            (tmp_path / "sys/bus/pci/devices" / bus_address).mkdir(parents=True)
            (tmp_path / "sys/bus/pci/devices" / bus_address / "numa_node").write_text("0\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 60)
    assert {r.device for r in energy_readings(agent)} == {"GPU-sim-0"}
    assert used_uj(energy_readings(agent), "GPU-sim-0") == 1000 * 60 * S
    assert [state.device for state in agent.sensors.states() if state.reason is Reason.MIRRORS_SIBLING] == ["GPU-sim-1"]


def test_c12_modules_of_their_own_are_all_counted(load: Load, tmp_path: Path) -> None:
    nvml = load("gpu power=900 module=1 name=GH200\ngpu power=900 module=1 name=GH200\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 60)
    assert [used_uj(energy_readings(agent), f"GPU-sim-{index}") for index in range(2)] == [900 * 60 * S] * 2


@pytest.mark.parametrize("power_mw", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_power_that_means_not_known_is_none(load: Load, tmp_path: Path, power_mw: int) -> None:
    nvml = load(f"gpu counter=0 fields=0 power={power_mw / 1000}\n")
    agent = make_agent(tmp_path, NvmlCollector)
    run(agent, nvml, 30)
    assert not energy_readings(agent)
    assert any("neither energy nor power" in remark for remark in agent.sensors.remarks())


def test_persistence_off_is_remarked_with_its_remedy(load: Load) -> None:
    load("gpu persistence=0\ngpu\n")
    assert [said for said in NvmlCollector(AgentConfig()).remarks() if "nvidia-smi -pm 1" in said and said.startswith("gpu:0")]


def scenario(luck: random.Random, seconds: int) -> tuple[str, list[tuple[float, str]]]:
    """A random power curve with faults well apart, in order of time."""
    lines, faults = [], []
    at = 0.0
    while (at := at + luck.expovariate(1 / 4)) < seconds:
        lines.append((at, f"power 0 {luck.uniform(40, 690):.3f}"))
    at = 0.0
    while (at := at + luck.uniform(25, 60)) < seconds - 30:
        kind = luck.choice(["reset", "reload", "lost", "misread"])
        faults.append((at, kind))
        if kind == "reset":
            lines.append((at, "reset 0"))
        elif kind == "misread":
            lines.append((at, f"misread 0 {luck.choice([0, 5, 10**12])}"))
        else:
            end = at + luck.uniform(0.2, 12)
            away, back = ("driver_down", "driver_up") if kind == "reload" else ("lost 0", "back 0")
            lines += [(at, away), (end, back)]
    return "gpu power=100\n" + "".join(f"at {at:.6f} {what}\n" for at, what in sorted(lines)), faults


@pytest.mark.parametrize("seed", range(25))
def test_over_random_faults_each_epoch_holds_what_the_board_used_in_it(load: Load, tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    text, faults = scenario(luck, 400)
    nvml = load(text)
    agent = make_agent(tmp_path, NvmlCollector)
    truth = {}
    for at in range(401):
        nvml.set_time_s(at)
        truth[at] = nvml.true_uj(0)
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            agent.write_records(WALL_US + at * S, at * S)
    groups = list(readings_by_epoch(counted(energy_readings(agent))).values())
    for group in groups:
        first, last = ((each.at_us - WALL_US) // S for each in (group[0], group[-1]))
        assert abs(group[-1].energy_uj - group[0].energy_uj - (truth[last] - truth[first])) <= 1000
    resets = sum(kind in ("reset", "reload") for _, kind in faults)
    assert len(groups) <= resets + 1  # a fault that hides nothing opens no epoch
    # Everything is in some epoch but for the seconds around a reset.
    held = sum(group[-1].energy_uj - group[0].energy_uj for group in groups)
    assert truth[400] - held <= sum(690 * S * (2 if kind == "reset" else 32) for _, kind in faults if kind in ("reset", "reload"))
