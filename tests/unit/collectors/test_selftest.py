"""Self-test: verdicts on generated sensors of known faults, load that ends with its parent, and the report."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors import selftest
from collectors.cli import main
from collectors.config import AgentConfig
from collectors.rapl import RaplCollector
from collectors.selftest import SelftestReport, SensorResult, SensorSeries, Step, measure, report_lines
from footprint.core.samples import Channel
from tests.simulation.sensors import powercap

S = 1_000_000
STEP_S = 30
POWERS_W = (80.0, 140.0, 200.0, 80.0)


def steps(*, busy: tuple[float, ...] = (0.05, 0.55, 1.0, 0.05), gpu_busy: tuple[float, ...] = ()) -> list[Step]:
    listed = []
    for number, load in enumerate(selftest.LOADS):
        start_us, end_us = number * STEP_S * S, (number + 1) * STEP_S * S
        shares = {"gpu:0": [(start_us, 0), (end_us, round(gpu_busy[number] * STEP_S * S))]} if gpu_busy else {}
        listed.append(Step(load, bool(gpu_busy) and load > 0, start_us, end_us, busy[number], shares))
    return listed


def counter(power_w: tuple[float, ...], *, scale: float = 1.0, period_s: float = 0.05, lag_s: float = 0.0) -> SensorSeries:
    """A counter of a CPU whose power follows the steps."""
    series = SensorSeries(Channel("cpu:0", "cpu", "rapl", model="Xeon"), is_counter=True)
    energy = 0.0
    for tick in range(round(4 * STEP_S / period_s)):
        at_s = tick * period_s
        energy += scale * period_s * power_w[min(int(max(at_s - lag_s, 0) // STEP_S), 3)]
        series.time_us.append(round(at_s * S))
        series.value.append(round(energy * 1e6))
    return series


def power(
    power_w: tuple[float, ...], *, component: str = "cpu", source: str = "acpi-power", seed: int = 1, every: int = 1
) -> SensorSeries:
    rng = random.Random(seed)
    device = "gpu:0" if component == "gpu" else "cpu:0"
    series = SensorSeries(Channel(device, component, source, model=""), is_counter=False)
    value = 0
    for tick in range(4 * STEP_S * 20):
        if tick % every == 0:
            value = round((power_w[min(tick // 20 // STEP_S, 3)] + rng.gauss(0, 0.5)) * 1e6)
        series.time_us.append(tick * S // 20)
        series.value.append(value)
    return series


def even_power(power_w: float) -> SensorSeries:
    """A power of a CPU that shows one value all the time."""
    times_us = list(range(0, 4 * STEP_S * S, S // 20))
    return SensorSeries(Channel("cpu:0", "cpu", "acpi-power"), False, times_us, [round(power_w * 1e6)] * len(times_us))


def judged(one: SensorSeries, others: tuple[SensorSeries, ...] = (), load: list[Step] | None = None) -> SensorResult:
    return selftest._judge(one, [one, *others], load or steps(), one.time_us)


def test_a_counter_that_follows_the_load_agrees_with_its_figures() -> None:
    result = judged(counter(POWERS_W, lag_s=1.0))
    assert (result.verdict, result.witness, result.follows) == ("agrees", "host_load", True)
    assert result.power_w == pytest.approx(POWERS_W, rel=0.01)
    assert result.response_w == pytest.approx(120, rel=0.01)
    assert result.lag_s == pytest.approx(1.0, abs=0.5)
    assert result.update_period_s == pytest.approx(0.05, abs=0.001)
    assert result.resolution == pytest.approx(80 * 0.05, rel=0.01)
    assert result.judged_j == pytest.approx(sum(POWERS_W) * STEP_S, rel=0.01)


def test_a_sensor_that_is_refreshed_slowly_says_its_period_and_noise() -> None:
    result = judged(power(POWERS_W, every=20))
    assert result.update_period_s == pytest.approx(1.0, abs=0.05)
    assert result.noise_w == pytest.approx(0.5, rel=0.5)
    assert result.verdict == "agrees"


@pytest.mark.parametrize(
    ("one", "others", "verdict", "reason"),
    [
        pytest.param(counter(POWERS_W, scale=0.0), (), "stands still", "counter_stands", id="a counter that stands"),
        pytest.param(power((90.0,) * 4), (), "disagrees", "busy_without_power", id="a power that ignores the load"),
        pytest.param(counter(POWERS_W, scale=400.0), (), "disagrees", "above_ceiling", id="a counter in other units"),
        pytest.param(
            counter(POWERS_W, scale=0.57), (power(POWERS_W),), "disagrees", "counter_against_power", id="a counter of 57 %"
        ),
        pytest.param(
            counter(POWERS_W, scale=0.0),
            (power(POWERS_W),),
            "stands still",
            "counter_stands",
            id="a standing counter beside power",
        ),
        pytest.param(
            counter((37.5,) * 4),
            (even_power(65.4),),
            "disagrees",
            "counter_against_power",
            id="a counter of 57 % beside an even power",
        ),
        pytest.param(
            even_power(65.4),
            (counter((37.5,) * 4),),
            "disagrees",
            "counter_against_power",
            id="an even power beside an even counter",
        ),
        pytest.param(
            even_power(90.0), (counter(POWERS_W),), "stands still", "power_stands", id="a power beside a counter that moves"
        ),
    ],
)
def test_faults_are_named(one: SensorSeries, others: tuple[SensorSeries, ...], verdict: str, reason: str) -> None:
    result = judged(one, others)
    assert (result.verdict, result.reason) == (verdict, reason)
    assert result.fails


def test_two_sources_that_agree_are_each_other_s_witness() -> None:
    own, other = counter(POWERS_W, scale=1.04), power(POWERS_W)
    result = judged(own, (other,))
    assert (result.verdict, result.witness) == ("agrees", "own_power")
    assert result.agreement["acpi-power"] == pytest.approx(1.04, rel=0.01)
    assert result.witness_low_j is not None
    assert result.witness_high_j is not None
    assert result.witness_low_j < sum(POWERS_W) * STEP_S < result.witness_high_j


def test_a_live_power_is_not_blamed_for_a_standing_counter() -> None:
    assert judged(power(POWERS_W), (counter(POWERS_W, scale=0.0),)).verdict == "agrees"


def test_a_steady_power_that_agrees_with_a_counter_is_a_witness() -> None:
    steady = power((80.0,) * 4, every=10**9)
    of_counter, of_power = judged(counter((80.0,) * 4), (steady,), quiet()), judged(steady, (counter((80.0,) * 4),), quiet())
    assert (of_counter.verdict, of_power.verdict) == ("agrees", "agrees")


def quiet() -> list[Step]:
    return steps(busy=(0.95, 1.0, 1.0, 0.95))


def test_a_gpu_without_load_and_a_host_that_was_busy_before_have_no_witness() -> None:
    gpu = power((60.0,) * 4, component="gpu", source="nvml-power")
    assert (judged(gpu).verdict, judged(gpu).follows) == ("no witness", None)
    busy = steps(busy=(0.95, 1.0, 1.0, 0.95))
    assert judged(power((90.0,) * 4), load=busy).verdict == "no witness"


def test_a_gpu_under_load_is_judged_by_it() -> None:
    rising = power((60.0, 300.0, 300.0, 60.0), component="gpu", source="nvml-power")
    flat = power((60.0,) * 4, component="gpu", source="nvml-power")
    load = steps(gpu_busy=(0.0, 0.9, 0.9, 0.0))
    assert judged(rising, load=load).verdict == "agrees"
    assert judged(flat, load=load).verdict == "disagrees"
    # The load command used another board, as the busy time of this one says.
    assert judged(flat, load=steps(gpu_busy=(0.0, 0.0, 0.0, 0.0))).verdict == "no witness"


def test_an_estimate_is_no_sensor() -> None:
    estimate = replace_source(power(POWERS_W), "estimate")
    result = judged(estimate)
    assert (result.grade, result.verdict) == ("estimate", "no witness")
    assert report(result).status == 4
    assert any("an estimate" in line for line in report_lines(report(result)))


def replace_source(series: SensorSeries, source: str) -> SensorSeries:
    series.channel = replace(series.channel, source=source)
    return series


def report(*sensors: SensorResult) -> SelftestReport:
    return SelftestReport("2026-10-01T00:00:00Z", "h", "0", "6.1", {}, 120.0, 4, (), sensors, (), ())


def test_the_status_follows_the_verdicts() -> None:
    good, bad = judged(counter(POWERS_W)), judged(counter(POWERS_W, scale=0.0))
    assert report().status == 4
    assert report(good).status == 0
    assert report(good, bad).status == 6
    assert json.loads(report(good, bad).to_json())["sensors"][1]["verdict"] == "stands still"


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[AgentConfig]:
    """A host of one package whose energy and processor time grow with the number of busy children."""
    (zone,) = powercap(tmp_path / "sys", 1)
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc" / "stat"
    stat.write_text("cpu  0 0 0 1000 0 0 0 0\n")
    stop = threading.Event()

    def drive() -> None:
        busy_ticks, idle_ticks, before = 0.0, 1000.0, time.monotonic()
        while not stop.wait(0.01):
            now = time.monotonic()
            share = min(len(children()) / (os.cpu_count() or 1), 1.0)
            busy_ticks, idle_ticks = busy_ticks + 1e4 * share * (now - before), idle_ticks + 1e4 * (1 - share) * (now - before)
            part = stat.with_suffix(".part")
            part.write_text(f"cpu  {busy_ticks:.0f} 0 0 {idle_ticks:.0f} 0 0 0 0\n")
            part.replace(stat)
            zone.add(round((60 + 100 * share) * 1e6 * (now - before)))
            before = now

    thread = threading.Thread(target=drive)
    thread.start()
    yield AgentConfig(host="simulated", sysfs=tmp_path / "sys", proc=tmp_path / "proc")
    stop.set()
    thread.join()


def children(parent: int | None = None) -> list[int]:
    """Busy loops of a process that still live."""
    parent = parent or os.getpid()
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                command = Path("/proc", name, "cmdline").read_bytes()
                state = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if b"while os.getppid() == parent" in command and command.split(b"\0")[-2] == str(parent).encode() and state != "Z":
                pids.append(int(name))
    return pids


def test_the_whole_test_on_a_simulated_host(simulated: AgentConfig) -> None:
    result = measure(simulated, 0.15, collector_types=(RaplCollector,))
    (sensor,) = result.sensors
    assert (sensor.verdict, sensor.follows, result.status) == ("agrees", True, 0)
    assert [step["load"] for step in result.steps] == list(selftest.LOADS)
    assert children() == []
    assert any("observed at rest" in note for note in result.notes)


def test_a_load_command_is_stopped_with_all_it_started(simulated: AgentConfig, tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    script = f"sleep 60 & echo $! >> {mark}; echo $$ >> {mark}; trap '' TERM; wait"
    result = measure(simulated, 0.05, f"/bin/sh -c {script!r}", collector_types=(RaplCollector,))
    pids = [int(pid) for pid in mark.read_text().split()]
    assert len(pids) == 4  # of the two steps of load
    assert [pid for pid in pids if lives(pid)] == []
    assert not any("observed at rest" in note for note in result.notes)


def test_a_load_command_that_is_none_is_said(simulated: AgentConfig) -> None:
    result = measure(simulated, 0.02, "/no/such/program", collector_types=(RaplCollector,))
    assert any("cannot be started" in note for note in result.notes)


@pytest.mark.parametrize(
    ("load", "words"), [("while :; do :; done", "sh -c"), ("'open", "no command"), ("/no/such a", "no program")]
)
def test_a_load_that_cannot_start_is_refused_before_the_test(capsys: pytest.CaptureFixture[str], load: str, words: str) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["selftest", "--load", load])
    assert refused.value.code == 2
    assert words in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_refused_before_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(selftest, "measure", lambda *_: pytest.fail("the test began"))
    assert main(["selftest", "--output", str(tmp_path / "missing" / "kept.json")]) == 1
    assert "kept.json" in capsys.readouterr().err


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_an_interrupted_test(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "FOOTPRINT_SYSFS": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "collectors", "selftest", "--minutes", "0.2"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: bool(children(process.pid)) or process.poll() is not None, 60)
        assert children(process.pid)
        process.send_signal(number)
        status = process.wait(30)
        wait_until(lambda: not children(process.pid), 30)
        assert children(process.pid) == []
        assert status == (-number if number == signal.SIGKILL else 130)
    finally:
        process.kill()
        process.wait()


def wait_until(condition: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():  # type: ignore[operator]
        time.sleep(0.05)


def test_a_machine_without_any_sensor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(selftest, "measure", lambda *_: report())
    monkeypatch.chdir(tmp_path)
    assert main(["selftest", "--minutes", "0.01", "--output", "kept.json"]) == 4
    assert "No sensor can be read here." in capsys.readouterr().out
    assert json.loads(Path("kept.json").read_text())["form"] == selftest.FORM


def test_a_length_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for length in ("0", "-1", "x", "nan"):
        with pytest.raises(SystemExit) as refused:
            main(["selftest", "--minutes", length])
        assert refused.value.code == 2
        assert "--minutes" in capsys.readouterr().err
