"""Sensors that the kernel's hardware monitors show: whole server, AMD and Intel GPUs; and the memory model."""

import dataclasses
import itertools
import sys
from pathlib import Path

import pytest

from collectors.acpi import AcpiCollector
from collectors.amd import AmdCollector
from collectors.base import Collector, Unavailable
from collectors.config import AgentConfig
from collectors.dram_estimate import DramCollector
from collectors.intel import IntelCollector
from collectors.rapl import RaplCollector
from collectors.sensor_set import SensorSet
from footprint.core.sensor_verdicts import Reason
from tests.simulation.sensors import monitor, powercap
from tests.support.agents import WALL_US, S, energy_readings, make_agent, used_uj


def run(folder: Path, make_of: type[Collector], each: dict[int, dict[Path, int]], seconds: int, **options: object):  # type: ignore[no-untyped-def]
    """An agent over some seconds; ``each`` says what a file says from a second on."""
    agent = make_agent(folder, make_of, **options)
    for at in range(seconds + 1):
        for file, value in each.get(at, {}).items():
            file.write_text(f"{value}\n")
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + seconds * S, seconds * S)
    return agent


def test_a_whole_server_meter_is_the_host(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "sys", 0, "power_meter", power1_average=412 * S, power1_average_interval=1000)
    agent = run(tmp_path, AcpiCollector, {5: {folder / "power1_average": 0}, 6: {folder / "power1_average": 412 * S}}, 60)
    assert {(r.device, r.component, r.source) for r in energy_readings(agent)} == {("wall", "host", "acpi-power")}
    assert used_uj(energy_readings(agent), "wall") == 412 * 60 * S  # zero at 5 s was no reading


GRACE_LABELS = ("Module Power Socket 0", "Grace Power Socket 0", "CPU Power Socket 0", "SysIO Power Socket 0")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize(("has_gpu", "expected_w"), [(False, 400), (True, 300)])
def test_c12_of_the_meters_of_a_socket_the_outermost_counts_alone(
    tmp_path: Path, order: tuple[int, ...], has_gpu: bool, expected_w: int
) -> None:
    for index, position in enumerate(order):
        power_uw = (400, 300, 200, 50)[position] * S
        monitor(tmp_path / "sys", index, "power_meter", power1_average=power_uw, power1_oem_info=GRACE_LABELS[position])
    if has_gpu:
        (tmp_path / "proc/driver/nvidia/gpus/0009:01:00.0").mkdir(parents=True)
    samples = list(AcpiCollector(AgentConfig(sysfs=tmp_path / "sys", proc=tmp_path / "proc")).collect(1, 1))
    assert [(s.channel.device, s.channel.component, s.power_uw) for s in samples] == [("cpu:0", "cpu", expected_w * S)]


def test_c12_rails_that_nothing_holds_are_summed_and_said_to_be_a_part(tmp_path: Path) -> None:
    for index, (label, watts) in enumerate((("SysIO Power Socket 1", 6), ("CPU Power Socket 1", 51))):
        monitor(tmp_path / "sys", index, "power_meter", power1_average=watts * S, power1_oem_info=label)
    meters = AcpiCollector(AgentConfig(sysfs=tmp_path / "sys", proc=tmp_path))
    assert {sample.channel.device: sample.power_uw for sample in meters.collect(1, 1)} == {"cpu:1": 51 * S, "cpu:1/sysio": 6 * S}
    assert any("is not measured" in remark for remark in meters.remarks())


def test_two_meters_that_could_both_be_the_server_are_not_added(tmp_path: Path) -> None:
    for index in range(2):
        monitor(tmp_path / "sys", index, "power_meter", power1_average=100 * S)
    with pytest.raises(Unavailable, match="2 power meters"):
        AcpiCollector(AgentConfig(sysfs=tmp_path / "sys"))


@pytest.mark.parametrize("driver", ["xe", "i915"])
def test_c16_a_leap_of_an_intel_counter_is_not_counted(tmp_path: Path, driver: str) -> None:
    folder = monitor(tmp_path / "sys", 0, driver, "0000:03:00.0", energy1_input=0, power1_max=200 * S)
    values = {at: {folder / "energy1_input": at * 150 * S} for at in range(61)}
    values[30] = {folder / "energy1_input": 10**18}
    agent = run(tmp_path, IntelCollector, values, 60)
    assert {(r.device, r.source) for r in energy_readings(agent)} == {("gpu-0000:03:00.0", f"{driver}-energy")}
    assert used_uj(energy_readings(agent), "gpu-0000:03:00.0") == 150 * 60 * S


def test_an_intel_gpu_without_a_counter_is_not_guessed(tmp_path: Path) -> None:
    monitor(tmp_path, 0, "i915", "0000:00:02.0", temp1_input=1)
    with pytest.raises(Unavailable):
        IntelCollector(AgentConfig(sysfs=tmp_path))


def test_an_amd_gpu_by_its_driver(tmp_path: Path) -> None:
    for index, bus in enumerate(("0000:c3:00.0", "0000:83:00.0")):
        monitor(tmp_path / "sys", index, "amdgpu", bus, power1_average=(index + 1) * 100 * S, power1_cap_max=300 * S)
    agent = run(tmp_path, AmdCollector, {}, 30)
    # By the place on the bus, not by the order in which drivers were loaded.
    assert {(r.device, r.alias) for r in energy_readings(agent)} == {("gpu-0000:83:00.0", "amd:0"), ("gpu-0000:c3:00.0", "amd:1")}
    assert used_uj(energy_readings(agent), "gpu-0000:c3:00.0") == 100 * 30 * S
    assert {r.source for r in energy_readings(agent)} == {"amd-power"}


AMDSMI = """
clock = {"t": 0}
FROZEN = %r
def amdsmi_init(): pass
def amdsmi_shut_down(): pass
def amdsmi_get_processor_handles(): return ["good", "frozen", "second die"]
def amdsmi_get_gpu_device_uuid(handle): return handle.replace(" ", "-")
def amdsmi_get_gpu_asic_info(handle): return {"market_name": "MI300"}
def amdsmi_get_power_cap_info(handle): raise RuntimeError("not supported")
def amdsmi_get_power_info(handle):
    if handle == "second die": return {"current_socket_power": 0, "average_socket_power": "N/A"}
    return {"current_socket_power": "N/A", "average_socket_power": 500}
def amdsmi_get_energy_count(handle):
    ticks = 0 if handle == "frozen" else clock["t"] * 500 * 1000000 / 15.3
    return {%r: ticks + 1e6, "counter_resolution": 15.3}
"""


@pytest.mark.parametrize("key", ["energy_accumulator", "power"])
def test_c14_counter_and_power_of_an_amd_gpu_are_read_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "amdsmi.py").write_text(AMDSMI % ("", key))
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    sys.modules.pop("amdsmi", None)
    agent = make_agent(tmp_path, AmdCollector)
    for at in range(101):
        if "amdsmi" in sys.modules:
            sys.modules["amdsmi"].clock["t"] = at  # type: ignore[attr-defined]
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            agent.write_records(WALL_US + at * S, at * S)
    del sys.modules["amdsmi"]
    records = energy_readings(agent)
    assert {(r.device, r.source) for r in records} == {
        ("gpu-good", "amd-power"),
        ("gpu-good", "amd-energy"),
        ("gpu-frozen", "amd-power"),
        ("gpu-frozen", "amd-energy"),
    }
    # The counter counts in units of 15.3 µJ; the second die repeats the counter of the first and is not counted.
    assert used_uj(records, "gpu-good", "amd-energy") == pytest.approx(500 * 100 * S, abs=200)
    assert used_uj(records, "gpu-frozen", "amd-power") == 500 * 99 * S  # from where it proved to be no mirror
    assert [state.device for state in agent.sensors.states() if state.reason is Reason.MIRRORS_SIBLING] == ["gpu-second-die"]


def amd_host(root: Path, vendor: str = "AuthenticAMD") -> AgentConfig:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    (root / "proc/meminfo").write_text("MemTotal:       500000000 kB\n")
    return AgentConfig(sysfs=root / "sys", proc=root / "proc")


def test_memory_of_an_amd_host_is_estimated_and_says_so(tmp_path: Path) -> None:
    powercap(tmp_path / "sys", 1)
    found = DramCollector(amd_host(tmp_path))
    (sample,) = found.collect(1, 1)
    assert (sample.channel.device, sample.channel.component, sample.channel.source) == ("dram:0", "dram", "estimate")
    assert sample.power_uw == pytest.approx(512 * 0.392 * 1e6)
    assert "ESTIMATED (quality C)" in "".join(found.remarks())


def test_memory_of_an_intel_host_is_not_estimated(tmp_path: Path) -> None:
    powercap(tmp_path / "sys", 1)
    with pytest.raises(Unavailable):
        DramCollector(amd_host(tmp_path, "GenuineIntel"))


@pytest.mark.parametrize(("zones", "expected"), [({"dram": True}, "rapl"), ({}, "estimate")])
def test_memory_that_a_counter_measures_is_not_estimated_too(tmp_path: Path, zones: dict[str, bool], expected: str) -> None:
    powercap(tmp_path / "sys", 1, **zones)
    sensors = SensorSet(amd_host(tmp_path), (RaplCollector, DramCollector))
    sensors.open_missing(0)
    samples = list(sensors.collect(1, 1))
    assert [s.channel.source for s in samples if s.channel.device == "dram:0"] == [expected]
    assert sensors.components() == {"cpu", "dram"}  # what an exporter shows of the same is not taken
    sensors.close()


def test_the_whole_platform_includes_its_memory(tmp_path: Path) -> None:
    powercap(tmp_path / "sys", 1, psys=True)
    config = dataclasses.replace(amd_host(tmp_path), rapl_zone="psys")
    sensors = SensorSet(config, (RaplCollector, DramCollector))
    sensors.open_missing(0)
    assert [s.channel.device for s in sensors.collect(1, 1)] == ["psys:0"]
    sensors.close()
