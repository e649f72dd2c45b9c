"""One sensor's failure is its own; what is missing is looked for again; nothing is measured twice. And the small parts."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.base import Collector, Unavailable
from collectors.clocks import boot_id, sync_state
from collectors.config import AgentConfig, BadConfig, load_config
from collectors.intel import IntelCollector
from collectors.main_loop import notify_systemd
from collectors.rapl import RaplCollector
from collectors.registry import COLLECTORS
from collectors.sensor_set import SensorSet
from footprint.core.samples import Channel, Sample
from footprint.core.sensor_verdicts import Reason, SensorState
from tests.simulation.sensors import build_nvml, host_time, monitor, powercap
from tests.support.agents import WALL_US, S, energy_readings, make_agent, used_uj

MINUTE = 60 * S


class One(Collector):
    name, covers = "one", "gpu"
    present = True

    def __init__(self, config: AgentConfig) -> None:
        if not self.present:
            raise Unavailable("one is away")
        self.closed = False

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        yield Sample(Channel(self.name, "gpu", "x"), at_us, mono_us, 1)

    def close(self) -> None:
        self.closed = True


class StandIn(One):
    name, is_estimate = "stand-in", True

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        yield Sample(Channel(self.name, "gpu", "estimate"), at_us, mono_us, None, 1)


class Broken(One):
    name, covers = "broken", "cpu"

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        yield Sample(Channel(self.name, "cpu", "x"), at_us, mono_us, 1)
        raise ZeroDivisionError("in a driver")


class BrokenAtOnce(One):
    name, covers = "at once", "wall"

    def __init__(self, config: AgentConfig) -> None:
        raise RuntimeError("in a library")


def devices(sensors: SensorSet) -> list[str]:
    return [sample.channel.device for sample in sensors.collect(0, 0)]


def test_a_collector_that_fails_in_any_way_does_not_stop_the_others() -> None:
    sensors = SensorSet(AgentConfig(), (Broken, BrokenAtOnce, One))
    sensors.open_missing(0)
    assert devices(sensors) == devices(sensors) == ["broken", "one"]
    assert sensors.failures == {"broken": 2}
    assert sensors.reasons == {"broken": "ZeroDivisionError: in a driver", "at once": "at once: RuntimeError: in a library"}


def test_an_estimate_stands_in_while_nothing_measures_its_component_and_is_closed_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(One, "present", False)
    monkeypatch.setattr(StandIn, "present", True, raising=False)
    sensors = SensorSet(AgentConfig(), (One, StandIn))
    sensors.open_missing(0)
    assert devices(sensors) == ["stand-in"]
    stand_in = sensors.working[StandIn]
    monkeypatch.setattr(One, "present", True)
    sensors.open_missing(MINUTE - 1)
    assert devices(sensors) == ["stand-in"]  # looked for once a minute
    sensors.open_missing(MINUTE)
    assert devices(sensors) == ["one"]
    sensors.open_missing(2 * MINUTE)
    assert stand_in.closed  # type: ignore[attr-defined]
    assert sensors.reasons == {}


class Table(Collector):
    """An estimate of the CPU, as CodeCarbon's table gives it."""

    name, covers, is_estimate = "table", "cpu", True

    def __init__(self, config: AgentConfig) -> None:
        pass

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        yield Sample(Channel("cpu:0", "cpu", "estimate"), at_us, mono_us, None, 8 * S)


@pytest.mark.parametrize("first_scrape_s", [0, 9, 55])
def test_an_estimate_never_displaces_a_scraped_counter(tmp_path: Path, first_scrape_s: int) -> None:
    scraped = Channel("cpu:0", "cpu", "node_exporter-energy", period_us=10 * S)
    agent = make_agent(tmp_path, RaplCollector, Table, scrape=("http://127.0.0.1:9100/metrics",))
    agent.external_sources.append(
        lambda: [Sample(scraped, WALL_US + at * S, at * S, 180 * S * at)] if at >= first_scrape_s and at % 10 == 9 else []
    )
    for at in range(601):
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            agent.write_records(WALL_US + at * S, at * S)
    assert {r.source for r in energy_readings(agent)} == {"node_exporter-energy"}
    assert not [remark for remark in agent.sensors.remarks() if "ESTIMATED" in remark]


def test_an_estimate_stands_in_while_a_scraped_counter_is_away(tmp_path: Path) -> None:
    scraped = Channel("cpu:0", "cpu", "node_exporter-energy", period_us=10 * S)
    agent = make_agent(tmp_path, Table, scrape=("http://127.0.0.1:9100/metrics",))
    agent.external_sources.append(
        lambda: [Sample(scraped, WALL_US + at * S, at * S, 180 * S * at)] if at % 10 == 9 and not 200 <= at < 400 else []
    )
    estimated = []
    for at in range(601):
        agent.read_sensors(WALL_US + at * S, at * S)
        meter = agent.meters.get(("cpu:0", "estimate"))
        if meter is not None and meter.last.mono_us == at * S:
            estimated.append(at)
    assert estimated
    assert 229 < estimated[0] <= 300  # silent for three periods, and looked for once a minute
    assert 399 <= estimated[-1] < 410
    assert estimated == list(range(estimated[0], estimated[-1] + 1))


def test_a_source_that_its_witness_contradicts_hands_over_to_the_estimate_and_back(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    sensors = SensorSet(AgentConfig(sysfs=tmp_path / "sys"), (RaplCollector, Table))
    seen: dict[str, list[int]] = {}
    for at in range(300):
        package.add(50 * S if at >= 200 else 0)
        sensors.distrust([("cpu:0", "rapl")] if 90 <= at < 210 else [])
        sensors.open_missing(at * S)
        for sample in sensors.collect(WALL_US + at * S, at * S):
            seen.setdefault(sample.channel.source, []).append(at)
    assert seen["rapl"] == list(range(300))  # it is still read, or nobody would see that it moves again
    assert seen["estimate"] == list(range(120, 210))
    sensors.close()


def test_a_source_whose_values_are_refused_gives_way_and_is_named(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "sys", 0, "xe", "0000:03:00.0", energy1_input=0)
    agent = make_agent(tmp_path, IntelCollector)
    for at in range(301):
        (folder / "energy1_input").write_text(str(at * 11_000 * S))  # no board draws 11 kW
        agent.read_sensors(WALL_US + at * S, at * S)
        if at % 10 == 0:
            agent.write_records(WALL_US + at * S, at * S)
    assert used_uj(energy_readings(agent), "gpu-0000:03:00.0") == 0
    assert [remark for remark in agent.sensors.remarks() if remark.startswith("xpu:0 (xe-energy): its values are refused")]
    assert not agent.sensors.overlaps.delivers("gpu")


def test_a_package_whose_register_counts_beyond_physics_is_named(tmp_path: Path) -> None:
    (package,) = powercap(tmp_path / "sys", 1)
    agent = make_agent(tmp_path, RaplCollector)
    for at in range(121):
        package.add(11_000 * S)
        agent.read_sensors(WALL_US + at * S, at * S)
    assert [remark for remark in agent.sensors.remarks() if remark.startswith("cpu:0: its counter rose")]


def test_what_was_read_and_fell_silent_is_named() -> None:
    sensors = SensorSet(AgentConfig(), (One,))
    sensors.open_missing(0)
    sensors.collect(0, 0)
    assert [(state.device, state.state) for state in sensors.states()] == [("one", SensorState.READS)]
    sensors.working[One].collect = lambda at_us, mono_us: iter(())  # type: ignore[method-assign]
    for at in range(1, 20):
        sensors.collect(at * S, at * S)
    (state,) = sensors.states()
    assert (state.state, state.reason) == (SensorState.SILENT, Reason.NO_SAMPLE)
    assert list(sensors.remarks()) == [state.message]


def test_whole_server_sources_cover_the_same_and_so_do_those_of_the_cpu() -> None:
    covers = {make.name: make.covers for make in COLLECTORS}
    assert covers["redfish"] == covers["ipmi"] == covers["acpi"] == "wall"
    assert covers["rapl"] == covers["amd-cpu"] == covers["tdp"] == "cpu"
    assert len(covers) == len(COLLECTORS)


def agent(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"FOOTPRINT_SYSFS": str(root / "sys"), "FOOTPRINT_PROC": str(root / "proc")} | environment
    return subprocess.run(
        [sys.executable, "-m", "collectors", *arguments], env=given, cwd=root, capture_output=True, text=True, check=False
    )


def test_probe_says_what_is_measured_at_which_quality_and_why_the_rest_is_not(tmp_path: Path) -> None:
    powercap(tmp_path / "sys", 1, dram=True)
    host_time(tmp_path / "proc", 1, 1)
    library = build_nvml(tmp_path)
    done = agent(tmp_path, "probe", LD_LIBRARY_PATH=str(library.parent) if library else "", PYTHONPATH=str(Path.cwd()))
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "doubted" in lines["cpu:0"]  # nothing moves the simulated files
    assert "stood still for 1." in lines["cpu:0"]
    assert lines["dram:0"].split()[1] == "dram"
    if library:
        by_source = {line.split()[-3]: line for line in done.stdout.splitlines() if line.startswith("gpu:0")}
        assert by_source.keys() == {"nvml-energy", "nvml-power-average"}
        assert "A, counter" in by_source["nvml-energy"]
        assert all("agrees with its second source" in line for line in by_source.values())
        assert float(by_source["nvml-energy"].split("(")[1].split()[0]) == pytest.approx(300, rel=0.05)
    assert "not measured: Redfish: not configured" in done.stderr


def test_probe_of_a_host_without_sensors_fails(tmp_path: Path) -> None:
    done = agent(tmp_path, "probe", PYTHONPATH=str(Path.cwd()))
    assert (done.returncode, done.stdout) == (4, "")


def test_list_names_every_collector(tmp_path: Path) -> None:
    done = agent(tmp_path, "list", PYTHONPATH=str(Path.cwd()))
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [(name, covers) for name, covers, _ in rows] == [(collector.name, collector.covers) for collector in COLLECTORS]
    assert len({summary for _, _, summary in rows}) == len(COLLECTORS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sample_s = 9", "sample_s must be from"),
        ("nvml_power = 'peak'", "must be one of average, instant"),
        ("rapl_zone = 1", "must be one of package, psys"),
        ("watts = 1", "unknown key"),
        ("discover = 'yes'", "true or false"),
        ("server = 'ftp://x'", "must begin with https"),
        ("bmc_s = 0", "bmc_s"),
        ("interval_s = 0.5", "at least sample_s"),
    ],
)
def test_a_configuration_that_cannot_be_right_is_refused_with_its_file(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "footprint.toml").write_text(f"[agent]\n{text}\n")
    with pytest.raises(BadConfig, match=why) as error:
        load_config(str(tmp_path / "footprint.toml"))
    assert "footprint.toml" in str(error.value)


def test_the_environment_overrides_and_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "footprint.toml").write_text("[agent]\nspool = 'deep/spool'\nredfish_chassis = ['a', 'b']\n")
    monkeypatch.setenv("FOOTPRINT_AGENT__SAMPLE_S", "0.5")
    found = load_config(str(tmp_path / "footprint.toml"))
    assert (found.spool, found.sample_us, found.redfish_chassis) == (tmp_path / "deep/spool", 500_000, ("a", "b"))


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notify_systemd("READY=1")  # nobody listens
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify_systemd("WATCHDOG=1")
        assert listening.recv(100) == b"WATCHDOG=1"
    notify_systemd("WATCHDOG=1")  # gone again


def test_the_kernel_says_its_boot_and_whether_its_clock_is_set(tmp_path: Path) -> None:
    assert len(boot_id(Path("/proc"))) == 36
    assert boot_id(tmp_path) != boot_id(tmp_path)
    assert sync_state() in ("synchronised", "unsynchronised", "unknown")


class Costly(One):
    name, covers, is_costly_to_open = "costly", "wall", True
    attempts = 0

    def __init__(self, config: AgentConfig) -> None:
        type(self).attempts += 1
        super().__init__(config)


def test_a_sensor_that_starts_a_program_is_looked_for_ever_more_rarely_and_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Costly, "present", False)
    monkeypatch.setattr(Costly, "attempts", 0)
    sensors = SensorSet(AgentConfig(), (Costly,))
    for minute in range(60):
        sensors.open_missing(minute * MINUTE)
    assert Costly.attempts == len([0, 1, 3, 7, 15, 31, 47])
    monkeypatch.setattr(Costly, "present", True)
    for minute in range(60, 64):
        sensors.open_missing(minute * MINUTE)
    assert Costly in sensors.working
