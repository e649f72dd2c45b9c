"""Every metric that the agent documents is there, has its help and type, and moves."""

import re
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.agent import Agent
from collectors.base import Collector, DeviceContext, ProcessUsage, Unavailable
from collectors.config import AgentConfig, Gateway
from collectors.log_tailer import LogTailer
from collectors.metrics_server import METRICS, MetricsServer, metrics_text
from collectors.otlp import OtlpReceiver
from collectors.process_groups import ProcessGroups
from collectors.sensor_set import SensorSet
from collectors.shipper import Shipper
from collectors.spool import Spool
from footprint.core.resources import data_path
from footprint.core.samples import Channel, Sample
from tests.unit.collectors.test_otlp import traces
from tests.unit.collectors.test_otlp_calls import chat

S = 1_000_000
GPU = Channel("GPU-1", "gpu", "nvml-energy", ceiling_uw=1000 * S, alias="gpu:0")


class Simulated(Collector):
    """A GPU of 300 W whose counter is set anew once, and read wrongly at the end, and another with counter and power."""

    name, covers = "simulated", "gpu"

    def __init__(self, config: AgentConfig) -> None:
        self.tick = 0

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        self.tick += 1
        counter_j = self.tick * 300 + (10**9 if self.tick >= 5 else 0)
        yield Sample(GPU, at_us, mono_us, counter_j * S if self.tick < 9 else (9, 10**16)[self.tick % 2])
        yield Sample(replace(GPU, device="GPU-2"), at_us, mono_us, self.tick * 200 * S)
        yield Sample(replace(GPU, device="GPU-2", source="nvml-power"), at_us, mono_us, None, 210 * S)

    def context(self) -> Iterator[DeviceContext]:
        yield DeviceContext("GPU-1", "gpu", "nvml", {"busy_us": self.tick * S // 2}, {1: ProcessUsage(10**9, 0)})


class Broken(Collector):
    """Opens, and never gives anything."""

    name, covers = "broken", "cpu"

    def __init__(self, config: AgentConfig) -> None:
        pass

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        raise Unavailable("broken")


def parsed(text: str) -> dict[str, float]:
    """Sum of the values of each name."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = re.fullmatch(r"(\w+)(?:\{.*\})? (\S+)", line).groups()  # type: ignore[union-attr]
            found[name] = found.get(name, 0) + float(value)
    return found


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    proc = tmp_path / "proc"
    (proc / "1").mkdir(parents=True)
    config = AgentConfig(host="a", spool=tmp_path / "spool", proc=proc, sysfs=tmp_path / "sys", processes=("own=pid:1",))
    field_map = (data_path("maps") / "footprint.toml").read_text() + '\n[[keep]]\npath = "start"\n'
    (tmp_path / "own.toml").write_text(field_map)
    follower = LogTailer(Gateway(str(tmp_path / "requests.jsonl"), str(tmp_path / "own.toml")))
    groups = ProcessGroups(config.processes, proc, config.sysfs)
    return Agent(
        config, SensorSet(config, (Simulated, Broken)), Spool(config.spool, 0.01), groups, "boot", log_tailers=[follower]
    )


def second(agent: Agent, at_s: int) -> None:
    """The host a second later: two processors, of which group `own` uses a half."""
    (agent.config.proc / "stat").write_text(f"cpu {at_s * 50} 0 0 {at_s * 150} 0 0 0 0\n")
    fields = ["S", "0", *["0"] * 9, str(at_s * 50), "0", *["0"] * 6, "7", "0", str(100 + at_s)]
    (agent.config.proc / "1" / "stat").write_text(f"1 (serve) {' '.join(fields)} 0 0\n")
    agent.read_sensors(at_s * S, at_s * S)


def test_every_documented_metric_moves(agent: Agent) -> None:
    shipper = Shipper(agent.spool, "http://127.0.0.1:1", Path("no token"), None, 1)
    agent.sync = "unsynchronised"
    for at_s in range(1, 4):
        second(agent, at_s)
    agent.write_records(3 * S, 3 * S)
    before = parsed(metrics_text(agent, shipper, 0.5))
    agent.sync = "synchronised"
    for at_s in range(4, 10):
        second(agent, at_s)
    log = Path(agent.log_tailers[0].pattern)
    log.write_text('no request\n{"start": "2026-07-01T00:00:00Z", "model": "m", "use_case": "ada@example.org", "unit": []}\n{}\n')
    agent.write_records(9 * S, 9 * S)
    log.write_text("cut\n")
    shipper.ship_pending()
    shipper.shipped = shipper.rejected = shipper.refused = 1  # what a server answers is proved in test_shipper.py
    agent.judgement_failures = 1  # proved in test_witness.py
    shipper.refused_spool.append(["{}"])
    receiver = OtlpReceiver(0, "spans", agent.spool.append)
    receiver.count("a body that is not OTLP")
    receiver.receive("/v1/traces", traces(chat("1", 0, 2, gen_ai__usage__cache_read__input_tokens=2495)))
    receiver.close()
    agent.receivers.append(receiver)
    for at_s in range(10, 60):
        second(agent, at_s)
        agent.write_records(at_s * S, at_s * S)  # until the spool of 10 kB is full
    text = metrics_text(agent, shipper, 0.6)
    after = parsed(text)
    still = {name for name, _, _ in METRICS if after.get(name) == before.get(name)}
    assert still == {"footprint_agent_build_info"}
    for name, kind, _ in METRICS:
        assert f"# TYPE {name} {kind}\n" in text
        assert (name.endswith("_total")) == (kind == "counter")


def test_no_metric_is_one_of_emissions_and_all_are_in_base_units() -> None:
    for name, _, said in METRICS:
        assert not re.search(r"co2|carbon|emission|gram", name + said, re.IGNORECASE)
        assert not re.search(r"_(kwh|wh|mj|uj|us|ms|kb|mb|minutes|hours)(_|$)", name)


def test_metrics_are_served_on_the_loopback_and_nothing_else_is(agent: Agent) -> None:
    port = MetricsServer(0, lambda: "footprint_agent_build_info 1.0\n")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port.port}/metrics") as answer:
            assert answer.read() == b"footprint_agent_build_info 1.0\n"
            assert answer.headers["Content-Type"].startswith("text/plain")
        with urllib.request.urlopen(f"http://127.0.0.1:{port.port}/healthz") as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port.port}/etc/passwd")
    finally:
        port.close()
