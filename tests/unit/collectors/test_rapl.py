"""CPU packages and memory on powercap trees as real machines show them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import collectors.probe
from collectors.base import PermissionRequired, Unavailable
from collectors.cli import main
from collectors.config import AgentConfig
from collectors.rapl import RaplCollector
from tests.simulation.sensors import RANGE_UJ, Zone, dies, powercap
from tests.support.agents import WALL_US, S, covered_us, energy_readings, make_agent, readings_by_epoch, used_uj
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
