"""Sensors that the kernel's hardware monitors show: whole server, AMD and Intel GPUs; and the memory model."""

import dataclasses
import itertools
import sys
import types
from pathlib import Path

import pytest

from collectors.acpi import AcpiCollector
from collectors.amd import AmdCollector
from collectors.amd_cpu import AmdCpuCollector
from collectors.base import Collector, PermissionRequired, Unavailable
from collectors.config import AgentConfig
from collectors.dram_estimate import DramCollector
from collectors.intel import IntelCollector
from collectors.rapl import RaplCollector
from collectors.sensor_set import SensorSet
from footprint.core.sensor_verdicts import Reason, SensorState
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
    assert not list(agent.sensors.remarks())  # the monitor of the driver has no counter to miss


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


SENTINELS_UW = [
    4_294_967_295_000,
    4_294_967_295,
    2_147_483_647_000,
    2_147_483_647,
    65_535_000_000,
    65_534_000_000,
    -5,
    0,
    300_000 * S,
]


@pytest.mark.parametrize("value_uw", SENTINELS_UW)
@pytest.mark.parametrize("label", ["", "Grace Power Socket 0"])
def test_a_value_that_means_not_known_is_refused_counted_and_named(tmp_path: Path, value_uw: int, label: str) -> None:
    folder = monitor(
        tmp_path / "sys", 0, "power_meter", power1_average=412 * S, power1_oem_info=label, power1_average_interval=1000
    )
    values = {at: {folder / "power1_average": value_uw if at % 20 == 10 else 412 * S} for at in range(61)}
    agent = run(tmp_path, AcpiCollector, values, 60)
    (device,) = {r.device for r in energy_readings(agent)}
    assert used_uj(energy_readings(agent), device) == 412 * 60 * S
    assert [remark for remark in agent.sensors.remarks() if "3 values" in remark and "refused" in remark]
    root = tmp_path / "always"
    monitor(root / "sys", 0, "power_meter", power1_average=value_uw, power1_oem_info=label)
    always = run(root, AcpiCollector, {}, 60)
    assert not energy_readings(always)
    assert [state for state in always.sensors.states() if state.state is SensorState.UNREADABLE and "refused" in state.message]


def test_a_meter_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "sys", 0, "power_meter", power1_oem_info="")
    (folder / "power1_average").mkdir()  # exists, and cannot be read
    with pytest.raises(PermissionRequired, match="power1_average cannot be read"):
        AcpiCollector(AgentConfig(sysfs=tmp_path / "sys"))


def test_of_several_meters_the_one_labelled_as_the_whole_counts(tmp_path: Path) -> None:
    for index, (label, watts) in enumerate((("PSU1", 200), ("System Power", 390), ("PSU2", 190))):
        monitor(tmp_path / "sys", index, "power_meter", power1_average=watts * S, power1_oem_info=label)
    assert [sample.power_uw for sample in AcpiCollector(AgentConfig(sysfs=tmp_path / "sys")).collect(1, 1)] == [390 * S]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"energy1_input": 1, "energy1_label": "card", "energy2_input": 2, "energy2_label": "pkg"}, [("xe-energy", 1)]),
        ({"energy2_input": 2, "energy2_label": "pkg"}, [("xe-energy-package", 2)]),
        ({"energy1_input": 1}, [("xe-energy", 1)]),
        ({"energy1_input": 1, "energy1_label": "pkg", "energy2_input": 2, "energy2_label": "card"}, [("xe-energy", 2)]),
        (
            {"energy1_input": 1, "energy1_label": "card", "power1_input": 7, "power1_label": "card"},
            [("xe-energy", 1), ("xe-power", 7)],
        ),
        ({"energy1_input": 1, "energy1_label": "card", "power2_input": 7, "power2_label": "pkg"}, [("xe-energy", 1)]),
        ({"power1_input": 7}, [("xe-power", 7)]),
    ],
)
def test_channels_of_an_intel_card_are_known_by_their_labels(
    tmp_path: Path, files: dict[str, object], expected: list[tuple[str, int]]
) -> None:
    monitor(tmp_path, 0, "xe", "0000:03:00.0", **files)
    collector = IntelCollector(AgentConfig(sysfs=tmp_path))
    assert [(s.channel.source, s.counter_uj or s.power_uw) for s in collector.collect(1, 1)] == expected
    assert any("its package only" in remark for remark in collector.remarks()) == (expected[0][0] == "xe-energy-package")


def test_a_card_channel_that_stops_is_followed_by_the_package_and_comes_back(tmp_path: Path) -> None:
    folder = monitor(
        tmp_path / "sys", 0, "xe", "0000:03:00.0", energy1_input=0, energy1_label="card", energy2_input=0, energy2_label="pkg"
    )
    agent = make_agent(tmp_path, IntelCollector)
    for at in range(121):
        (folder / "energy1_input").write_text("" if 30 <= at < 90 else str(at * 150 * S))
        (folder / "energy2_input").write_text(str(at * 120 * S))
        agent.read_sensors(WALL_US + at * S, at * S)
        if at == 80:
            assert any("energy1_input cannot be read now" in remark for remark in agent.sensors.remarks())
    agent.write_records(WALL_US + 120 * S, 120 * S)
    records = energy_readings(agent)
    assert used_uj(records, "gpu-0000:03:00.0", "xe-energy") == 150 * 120 * S
    assert used_uj(records, "gpu-0000:03:00.0", "xe-energy-package-witness") >= 120 * 50 * S


def test_an_intel_card_without_energy_and_power_is_named(tmp_path: Path) -> None:
    monitor(tmp_path, 0, "xe", "0000:03:00.0", temp1_input=1)
    with pytest.raises(Unavailable, match=r"gpu-0000:03:00.0 \(xe\)"):
        IntelCollector(AgentConfig(sysfs=tmp_path))


def test_the_gpu_of_an_intel_processor_is_within_its_package(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    folder = monitor(tmp_path / "sys", 0, "xe", "0000:00:02.0", energy2_input=0, energy2_label="pkg")
    agent = make_agent(tmp_path, IntelCollector, RaplCollector)
    for at in range(61):
        package.add(60 * S)
        (folder / "energy2_input").write_text(str(at * 60 * S))
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + 60 * S, 60 * S)
    assert {r.source for r in energy_readings(agent)} == {"rapl", "xe-energy-witness"}
    assert {r.device for r in energy_readings(agent)} == {"cpu:0"}


APU_FILES: list[tuple[str, dict[str, object]]] = [
    ("northbridge", {"in1_label": "vddnb", "power1_cap": 25 * S}),
    ("thermal cap", {}),
    ("level alone", {}),
]


@pytest.mark.parametrize(("evidence", "files"), APU_FILES)
def test_an_apu_is_counted_once(tmp_path: Path, evidence: str, files: dict[str, object]) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    monitor(tmp_path / "sys", 0, "amdgpu", "0000:c5:00.0", power1_label="PPT", power1_input=95 * S, **files)
    if evidence == "thermal cap":
        (tmp_path / "sys/devices/0000:c5:00.0/apu_thermal_cap").write_text("90\n")
    agent = make_agent(tmp_path, AmdCollector, RaplCollector)
    for at in range(121):
        package.add((95 + at % 3) * S)
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + 120 * S, 120 * S)
    assert {r.device for r in energy_readings(agent)} == {"cpu:0"}
    assert used_uj(energy_readings(agent), "cpu:0") == sum(95 + at % 3 for at in range(1, 121)) * S


def test_a_board_beside_a_processor_of_another_level_keeps_every_joule(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    monitor(tmp_path / "sys", 0, "amdgpu", "0000:03:00.0", power1_average=200 * S)
    agent = make_agent(tmp_path, AmdCollector, RaplCollector)
    for at in range(181):
        package.add(95 * S)
        agent.read_sensors(WALL_US + at * S, at * S)
        if at == 10:
            assert any("compared" in remark for remark in agent.sensors.remarks())
    agent.write_records(WALL_US + 180 * S, 180 * S)
    assert used_uj(energy_readings(agent), "gpu-0000:03:00.0") == 200 * 180 * S


class FakeSmi:
    """A library amdsmi whose handles are dictionaries of answers; ``watts`` is what moves their counters."""

    def __init__(self, *handles: dict[str, object]) -> None:
        self.handles, self.at_s = list(handles), 0

    def module(self) -> types.ModuleType:
        library = types.ModuleType("amdsmi")
        library.amdsmi_init = library.amdsmi_shut_down = lambda: None  # type: ignore[attr-defined]
        library.amdsmi_get_processor_handles = lambda: self.handles  # type: ignore[attr-defined]
        for name, key in (("gpu_device_uuid", "uuid"), ("gpu_device_bdf", "bdf")):
            setattr(library, f"amdsmi_get_{name}", lambda handle, key=key: handle[key])
        library.amdsmi_get_gpu_asic_info = lambda handle: {
            "market_name": handle.get("name", "AMD Instinct MI300X"),
            **handle.get("asic", {}),
        }  # type: ignore[attr-defined]
        library.amdsmi_get_power_info = lambda handle: {"current_socket_power": handle.get("power", "N/A")}  # type: ignore[attr-defined]
        library.amdsmi_get_energy_count = self._energy  # type: ignore[attr-defined]
        return library

    def _energy(self, handle: dict[str, float]) -> dict[str, object]:
        if "watts" not in handle:
            return {"energy_accumulator": "N/A", "counter_resolution": 15.259}
        return {"energy_accumulator": round(1e9 + handle["watts"] * self.at_s * S / 15.259), "counter_resolution": 15.259}


def run_smi(folder: Path, smi: FakeSmi, monkeypatch: pytest.MonkeyPatch, seconds: int = 60):  # type: ignore[no-untyped-def]
    """An agent over boards of a fake library."""
    monkeypatch.setitem(sys.modules, "amdsmi", smi.module())
    agent = make_agent(folder, AmdCollector)
    for at in range(seconds + 1):
        smi.at_s = at
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + seconds * S, seconds * S)
    return agent


def total_uj(agent, source: str = "") -> int:  # type: ignore[no-untyped-def]
    records = energy_readings(agent)
    return sum(used_uj(records, device, source) for device in {r.device for r in records})


def test_a_counter_without_a_power_counts_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = run_smi(tmp_path, FakeSmi({"uuid": "u", "bdf": "0000:05:00.0", "watts": 400}), monkeypatch)
    assert total_uj(agent) == pytest.approx(400 * 60 * S, rel=1e-6)
    assert any("no power is shown; its energy counter is read" in remark for remark in agent.sensors.remarks())


@pytest.mark.parametrize("who", ["all", "first", "last"])
@pytest.mark.parametrize("bdf", ["0000:05:00.{}", "0000:05:00.0"])
def test_partitions_of_a_board_are_one_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str, bdf: str) -> None:
    handles: list[dict[str, object]] = []
    for index in range(8):
        answers = who == "all" or index == {"first": 0, "last": 7}.get(who)
        handles.append(
            {"uuid": f"44ff74a1-{index}", "bdf": bdf.format(index), **({"power": 600, "watts": 600} if answers else {})}
        )
    agent = run_smi(tmp_path, FakeSmi(*handles), monkeypatch, 120)
    lost_s = 40 if who == "last" else 0  # the partitions are asked one after the other
    assert 600 * (120 - lost_s) * S * (1 - 1e-6) <= total_uj(agent) <= 600 * 120 * S * (1 + 1e-6)
    assert any("8 partitions of one board" in remark for remark in agent.sensors.remarks())


@pytest.mark.parametrize("bdf", [None, "0000:{:02x}:00.0"])
def test_handles_that_repeat_a_counter_count_once_where_nothing_tells_boards_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bdf: str | None
) -> None:
    asic = {"asic_serial": "0x5a17"} if bdf else {}
    handles = [
        {"uuid": f"44ff74a1-{i}", "bdf": bdf and bdf.format(i + 5), "power": 600, "watts": 600, "asic": asic} for i in range(4)
    ]
    agent = run_smi(tmp_path, FakeSmi(*handles), monkeypatch)
    assert total_uj(agent) == pytest.approx(600 * 60 * S, rel=1e-6)
    assert len([state for state in agent.sensors.states() if state.reason is Reason.MIRRORS_SIBLING]) == 3


@pytest.mark.parametrize("uuids", [("a", "b", "c"), ("a", "a", "b"), ("", "", "")])
def test_boards_on_different_buses_are_all_counted_whatever_their_uuids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uuids: tuple[str, ...]
) -> None:
    boards = [{"uuid": uuid, "bdf": f"0000:0{i + 5}:00.0", "power": 300, "watts": 300} for i, uuid in enumerate(uuids)]
    agent = run_smi(tmp_path, FakeSmi(*boards), monkeypatch)
    assert len({r.device for r in energy_readings(agent)}) == 3
    assert total_uj(agent) == pytest.approx(3 * 300 * 60 * S, rel=1e-6)


@pytest.mark.parametrize(
    ("power", "watts"), [(600, 600), (600 * S, 600), ("N/A", None), (0, None), (-3, None), (70_000, None), (True, None)]
)
def test_a_power_is_read_in_watts_or_microwatts_and_refused_beyond_physics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, power: object, watts: int | None
) -> None:
    agent = run_smi(tmp_path, FakeSmi({"uuid": "u", "bdf": "0000:05:00.0", "power": power}), monkeypatch, 20)
    assert total_uj(agent) == (watts or 0) * 20 * S
    assert any("neither energy nor power" in remark for remark in agent.sensors.remarks()) == (watts is None)


def test_sockets_of_amd_are_read_where_rapl_is_not_and_are_witnesses_where_it_is(tmp_path: Path) -> None:
    files: dict[str, object] = {}
    for number, label in enumerate(("Ecore000", "Ecore001", "Esocket0", "Esocket1"), start=1):
        files |= {f"energy{number}_label": label, f"energy{number}_input": number * 1000}
    monitor(tmp_path / "sys", 0, "amd_energy", **files)
    monitor(tmp_path / "sys", 1, "amd_hsmp_hwmon", power1_input=120 * S)
    collector = AmdCpuCollector(AgentConfig(sysfs=tmp_path / "sys"))
    assert [(s.channel.device, s.channel.source, s.counter_uj or s.power_uw) for s in collector.collect(1, 1)] == [
        ("cpu:0", "amd-cpu-energy", 3000),
        ("cpu:1", "amd-cpu-energy", 4000),
        ("cpu:0", "hsmp-power", 120 * S),
    ]
    powercap(tmp_path / "sys", 2)
    agent = make_agent(tmp_path, RaplCollector, AmdCpuCollector)
    agent.read_sensors(WALL_US, 0)
    assert {source for _, source in agent.meters} == {"rapl", "amd-cpu-energy-witness", "hsmp-power"}
