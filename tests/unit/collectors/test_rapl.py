"""CPU packages and memory on powercap trees as real machines show them."""

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collectors.probe
from collectors.agent import Agent
from collectors.base import PermissionRequired, SourceState, Unavailable
from collectors.cli import main
from collectors.config import AgentConfig
from collectors.rapl import RaplCollector
from footprint.core.sensor_verdicts import Reason, SensorState
from tests.simulation.sensors import RANGE_UJ, Zone, dies, powercap
from tests.support.agents import WALL_US, S, context_readings, covered_us, energy_readings, make_agent, readings_by_epoch, used_uj
from tests.support.privileges import without_override


def collector(root: Path, **options: object) -> RaplCollector:
    return RaplCollector(AgentConfig(sysfs=root, **options))  # type: ignore[arg-type]


def devices(found: RaplCollector) -> list[tuple[str, str]]:
    return [(sample.channel.device, sample.channel.component) for sample in found.collect(1, 1)]


def test_c1_a_counter_that_only_root_may_read_is_refused_with_its_remedy_and_is_no_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    zones = powercap(tmp_path, 1)
    monkeypatch.setenv("FOOTPRINT_SYSFS", str(tmp_path))
    monkeypatch.setenv("FOOTPRINT_PROC", str(tmp_path / "none"))
    monkeypatch.setattr(collectors.probe, "COLLECTORS", (RaplCollector,))  # no estimate stands in
    assert without_override(lambda: main(["probe"])) == 0
    assert "root only" not in "".join(capsys.readouterr())
    for zone in zones:
        zone.file.chmod(0)
    status = without_override(lambda: main(["probe"]))
    errors = capsys.readouterr().err
    assert "energy_uj is readable by root only" in errors
    assert "60-footprint-rapl.rules" in errors
    assert status == 4  # nothing to read is a failure, not a success with no figures


@pytest.mark.parametrize("content", ["", "nonsense", "-5x"])
def test_c2_c5_a_read_that_fails_gives_no_sample_and_later_loses_nothing(tmp_path: Path, content: str) -> None:
    package, memory = powercap(tmp_path / "sys", 1, dram=True)
    agent = make_agent(tmp_path, RaplCollector)
    for at in range(61):
        package.add(100 * S)
        memory.add(10 * S)
        if 20 <= at <= 30:
            package.file.write_text(content)
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            agent.write_records(WALL_US + at * S, at * S)
    assert used_uj(energy_readings(agent), "cpu:0") == 100 * 60 * S
    assert used_uj(energy_readings(agent), "dram:0") == 10 * 60 * S
    assert covered_us(energy_readings(agent), "dram:0") == 60 * S
    assert covered_us(energy_readings(agent), "cpu:0") == (60 - 12) * S
    assert len(readings_by_epoch(energy_readings(agent))) == 2


def test_c3_psys_is_never_read_with_packages_and_only_when_chosen(tmp_path: Path) -> None:
    powercap(tmp_path, 2, dram=True, psys=True)
    assert devices(collector(tmp_path)) == [("cpu:0", "cpu"), ("dram:0", "dram"), ("cpu:1", "cpu"), ("dram:1", "dram")]
    chosen = collector(tmp_path, rapl_zone="psys")
    assert devices(chosen) == [("psys:0", "cpu")]
    assert next(iter(chosen.collect(1, 1))).channel.source == "rapl-psys"


def test_c3_psys_that_is_chosen_and_absent_is_said(tmp_path: Path) -> None:
    powercap(tmp_path, 1)
    with pytest.raises(Unavailable, match="no psys zone"):
        collector(tmp_path, rapl_zone="psys")


@pytest.mark.parametrize("range_uj", [RANGE_UJ, 65_532_610_987])
@given(st.lists(st.integers(0, 500 * S), min_size=20, max_size=200), st.integers(0, 2**40))
def test_c4_each_zone_wraps_by_its_own_range(
    tmp_path_factory: pytest.TempPathFactory, range_uj: int, used: list[int], start: int
) -> None:
    folder = tmp_path_factory.mktemp("wrap")
    package, memory = powercap(folder / "sys", 1, dram=True, range_uj=range_uj)
    package.add(range_uj - 1001 - start % (3000 * S))  # soon at the end of its range
    memory.add(range_uj // 4 - 502 - start % (1000 * S))
    agent = make_agent(folder, RaplCollector)
    for at, energy_uj in enumerate([0, *used]):
        package.add(energy_uj)
        memory.add(energy_uj // 3)
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + len(used) * S, len(used) * S)
    assert used_uj(energy_readings(agent), "cpu:0") == sum(used)
    assert used_uj(energy_readings(agent), "dram:0") == sum(each // 3 for each in used)
    assert len(readings_by_epoch(energy_readings(agent))) == 2


def test_c4_a_sampling_period_that_could_hide_a_wrap_is_refused(tmp_path: Path) -> None:
    powercap(tmp_path, 1, range_uj=5_000 * S)  # 525 W believed: 9.5 s
    assert devices(collector(tmp_path, sample_s=1)) == [("cpu:0", "cpu")]
    with pytest.raises(PermissionRequired, match="wrap unseen between two samples 5 s apart; lower"):
        collector(tmp_path, sample_s=5)


@pytest.mark.parametrize("text", [None, "", "0", "unknown"])
def test_c5_a_counter_whose_range_is_not_known_is_read_and_opens_an_epoch_where_it_restarts(
    tmp_path: Path, text: str | None
) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    range_file = package.file.with_name("max_energy_range_uj")
    range_file.unlink() if text is None else range_file.write_text(text)
    package.add(RANGE_UJ - 30 * 100 * S - 1000)
    agent = make_agent(tmp_path, RaplCollector)
    for at in range(61):
        agent.read_sensors(WALL_US + at * S, at * S)
        package.add(100 * S)
    agent.write_records(WALL_US + 60 * S, 60 * S)
    records = energy_readings(agent)
    assert len(readings_by_epoch(records)) == 2
    assert 100 * 57 * S <= used_uj(records, "cpu:0") <= 100 * 60 * S  # the seconds around the restart are not known
    assert [remark for remark in agent.sensors.remarks() if "gives no range" in remark]


def test_c6_a_package_shown_by_msr_mmio_and_tpmi_is_read_once(tmp_path: Path) -> None:
    powercap(tmp_path / "all", 2, mmio=True, tpmi=True)
    assert devices(collector(tmp_path / "all")) == [("cpu:0", "cpu"), ("cpu:1", "cpu")]
    Zone(tmp_path / "one/class/powercap/intel-rapl-mmio:0", "package-0", 5)  # where nothing else shows it
    assert devices(collector(tmp_path / "one")) == [("cpu:0", "cpu")]


def test_c7_dies_that_mirror_the_package_count_once(tmp_path: Path) -> None:
    zones = dies(tmp_path / "sys", 2, mirrored=True)
    agent = make_agent(tmp_path, RaplCollector)
    for at in range(61):
        for zone in zones:
            zone.add(68 * S)
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + 60 * S, 60 * S)
    assert {r.device for r in energy_readings(agent)} == {"cpu:0"}
    assert used_uj(energy_readings(agent), "cpu:0") == 68 * 60 * S
    assert list(agent.sensors.remarks()) == ["cpu:1 mirrors cpu:0 and is not counted"]


def test_c7_dies_of_their_own_lose_nothing_while_it_is_found_out(tmp_path: Path) -> None:
    zones = dies(tmp_path / "sys", 2, mirrored=False)
    agent = make_agent(tmp_path, RaplCollector)
    for at in range(61):
        zones[0].add(68 * S)
        zones[1].add((68 if at < 2 else 60) * S)  # alike at first
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + 60 * S, 60 * S)
    assert used_uj(energy_readings(agent), "cpu:0") == 68 * 60 * S
    assert used_uj(energy_readings(agent), "cpu:1") == (68 + 60 * 59) * S
    assert covered_us(energy_readings(agent), "cpu:1") == 60 * S


def test_c8_memory_below_a_package_is_read_and_core_is_not(tmp_path: Path) -> None:
    powercap(tmp_path, 1, dram=True)
    assert devices(collector(tmp_path)) == [("cpu:0", "cpu"), ("dram:0", "dram")]


def test_a_virtual_machine_says_that_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no package zone"):
        collector(tmp_path)


def test_after_a_restart_within_the_boot_the_counter_goes_on(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    first = make_agent(tmp_path, RaplCollector)
    for at in range(36):
        package.add(100 * S)
        first.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            first.write_records(WALL_US + at * S, at * S)
    again = make_agent(tmp_path, RaplCollector)  # killed after 35, up at 100
    package.add(64 * 100 * S)
    for at in range(100, 131):
        package.add(100 * S)
        again.read_sensors(WALL_US + at * S, at * S)
    again.write_records(WALL_US + 130 * S, 130 * S)
    records = energy_readings(again)
    assert used_uj(records, "cpu:0") == 100 * 130 * S
    assert len(readings_by_epoch(records)) == 1
    assert covered_us(records, "cpu:0") == (30 + 30) * S  # what was watched after the last record was not told
    assert records[-1].status == "gap"


def walk(agent: Agent, zones: list[Zone], watts: list[int], seconds: int, start: int = 0) -> None:
    """Advance zones by their powers [W], sample every second and record every ten."""
    for at in range(start, start + seconds + 1):
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            agent.write_records(WALL_US + at * S, at * S)
        for zone, power_w in zip(zones, watts, strict=True):
            zone.add(power_w * S)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.tuples(st.integers(0, 15), st.integers(0, 3) | st.none()).map(
            lambda pair: f"package-{pair[0]}" + ("" if pair[1] is None else f"-die-{pair[1]}")
        ),
        min_size=1,
        max_size=6,
    ),
    data=st.data(),
)
def test_no_naming_of_packages_and_dies_loses_one_or_counts_it_twice(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("names")
    base = root / "sys/class/powercap"
    watts = data.draw(st.lists(st.integers(20, 400), min_size=len(names), max_size=len(names), unique=True))
    order = data.draw(st.permutations(range(len(names))))
    zones = [Zone(base / f"intel-rapl:{order[index]}", name, 10**9 * (index + 1)) for index, name in enumerate(names)]
    if data.draw(st.booleans()):
        for index, name in enumerate(names):  # a second interface shows the same packages
            Zone(base / f"intel-rapl-mmio:{order[index]}", name, 5)
    agent = make_agent(root, RaplCollector)
    walk(agent, zones, watts, 30)
    records = energy_readings(agent)
    devices = {r.device for r in records}
    assert devices == {f"cpu:{index}" for index in range(len(names))}
    assert sum(used_uj(records, device) for device in devices) == sum(watts) * 30 * S


def test_a_package_is_read_from_the_next_interface_where_the_first_cannot_be_read(tmp_path: Path) -> None:
    base = tmp_path / "sys/class/powercap"
    first, second = Zone(base / "intel-rapl:0", "package-0", 5), Zone(base / "intel-rapl-tpmi:0", "package-0", 7)
    first.file.write_text("")
    agent = make_agent(tmp_path, RaplCollector)
    walk(agent, [second], [200], 60)
    assert used_uj(energy_readings(agent), "cpu:0") == 200 * 60 * S
    first.add(0)
    second.file.write_text("")  # the one that is read stops: the other is found within a minute
    for at in range(61, 181):
        first.add(200 * S)
        agent.read_sensors(WALL_US + at * S, at * S)
    agent.write_records(WALL_US + 180 * S, 180 * S)
    assert used_uj(energy_readings(agent), "cpu:0") >= 200 * (60 + 100) * S
    assert {state.state for state in agent.sensors.states()} == {SensorState.READS}


def test_packages_that_come_and_go_are_followed_and_named(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    agent = make_agent(tmp_path, RaplCollector)
    walk(agent, [package], [100], 60)
    second = Zone(tmp_path / "sys/class/powercap/intel-rapl:1", "package-1", 10)
    walk(agent, [package, second], [100, 50], 119, start=61)
    assert used_uj(energy_readings(agent), "cpu:1") >= 50 * 55 * S
    shutil.rmtree(second.file.parent)
    walk(agent, [package], [100], 99, start=181)
    gone = [state for state in agent.sensors.states() if state.device == "cpu:1"]
    assert [(state.state, state.reason) for state in gone] == [(SensorState.GONE, Reason.WAS_SEEN)]
    assert used_uj(energy_readings(agent), "cpu:0") == 100 * 280 * S


def test_one_package_that_may_not_be_read_is_named_with_its_remedy_and_the_other_is_read(tmp_path: Path) -> None:
    zones = powercap(tmp_path / "sys", 2)
    zones[1].file.chmod(0)

    def sample() -> tuple[set[str], list[SourceState]]:
        agent = make_agent(tmp_path, RaplCollector)
        agent.read_sensors(WALL_US, 0)
        return {device for device, _ in agent.meters}, agent.sensors.states()

    devices_read, states = without_override(sample)
    assert devices_read == {"cpu:0"}
    (denied,) = [state for state in states if state.state is SensorState.NOT_PERMITTED]
    assert (denied.device, denied.reason) == ("cpu:1", Reason.ROOT_ONLY)
    assert "60-footprint-rapl.rules" in denied.message


def test_a_counter_that_alternates_between_sockets_is_counted_between_its_jumps_and_it_is_said(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    luck, agent, where = random.Random(1), make_agent(tmp_path, RaplCollector), 0
    for at in range(601):
        where ^= luck.random() < 0.35
        package.value = (194_127_997_354, 45_766_381_128)[where] + 65 * at * S
        package.add(0)
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            agent.write_records(WALL_US + at * S, at * S)
    assert used_uj(energy_readings(agent), "cpu:0") <= 65 * 600 * S
    assert [remark for remark in agent.sensors.remarks() if "moves between sockets" in remark]


def test_caps_are_hints_that_are_read_again(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    limit = package.file.with_name("constraint_0_power_limit_uw")
    limit.write_text(f"{100 * S}\n")
    agent = make_agent(tmp_path, RaplCollector)
    walk(agent, [package], [80], 299)
    limit.write_text(f"{250 * S}\n")
    walk(agent, [package], [240], 300, start=300)
    assert used_uj(energy_readings(agent), "cpu:0") == (80 * 300 + 240 * 300) * S
    limits = [r.values["power_limit_uw"] for r in context_readings(agent) if "power_limit_uw" in r.values]
    assert limits == [100 * S, 250 * S]


def test_constraint_files_that_answer_nothing_stop_nothing(tmp_path: Path) -> None:
    zones = powercap(tmp_path / "sys", 2, dram=True, psys=True)
    for zone in zones[:4]:
        for name in ("constraint_0_max_power_uw", "constraint_0_power_limit_uw"):
            (zone.file.with_name(name)).unlink(missing_ok=True)
            zone.file.with_name(name).mkdir()  # EISDIR stands for ENODATA
    agent = make_agent(tmp_path, RaplCollector)
    walk(agent, zones[:4], [250, 30, 240, 28], 60)
    used = {device: used_uj(energy_readings(agent), device) for device in ("cpu:0", "dram:0", "cpu:1", "dram:1")}
    assert used == {"cpu:0": 250 * 60 * S, "dram:0": 30 * 60 * S, "cpu:1": 240 * 60 * S, "dram:1": 28 * 60 * S}
