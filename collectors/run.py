"""This file is the agent's loop: sample every second, one record a device every ten, and ship."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from collectors.base import Collector, Sample, Unavailable
from collectors.config import AgentConfig
from collectors.metering import MIN_GAP_US, Meter, advance, begin, reading
from collectors.metrics import MetricsPort
from collectors.proc import Activity
from collectors.registry import open_collectors
from collectors.ship import Shipper
from collectors.spool import Spool
from collectors.tdp import TdpCollector, announce
from footprint.readings import to_line

VERSION = "0.1.0"
_STATE = "meters.json"


def boot_id() -> str:
    """The kernel's name for this boot, or the agent's start where there is none."""
    path = Path(os.environ.get("FOOTPRINT_PROC", "/proc"), "sys/kernel/random/boot_id")
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return f"start-{time.time_ns()}"


@dataclass(slots=True)
class Agent:
    """Meters of every device, and where their records go."""

    config: AgentConfig
    collectors: list[Collector]
    spool: Spool
    activity: Activity
    boot: str
    meters: dict[tuple[str, str], Meter] = field(default_factory=dict)
    samples: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    seq: int = 0

    def gap_us(self) -> int:
        """A spacing of samples above this is a gap: max(5 s, 3 x the sampling period)."""
        return max(MIN_GAP_US, round(3 * self.config.sample_s * 1e6))

    def sample(self, at_us: int, mono_us: int) -> None:
        """Read every sensor once."""
        for collector in self.collectors:
            try:
                for each in collector.collect(at_us, mono_us):
                    self._take(each)
            except Unavailable:
                self.failures[collector.name] = self.failures.get(collector.name, 0) + 1

    def _take(self, sample: Sample) -> None:
        place = sample.device, sample.source
        meter = self.meters.get(place)
        fresh = f"{self.boot}/{sample.at_us}"
        self.meters[place] = begin(sample, fresh) if meter is None else advance(meter, sample, fresh, self.gap_us())
        self.samples += 1

    def record(self, at_us: int) -> None:
        """One record a device that was read since the last, and the CPU times, onto the disk."""
        lines = []
        for place, meter in self.meters.items():
            found, self.meters[place] = reading(meter, self.config.host, agent=VERSION)
            lines.append(to_line(found))
        lines += [
            to_line(each) for each in self.activity.collect(self.config.host, self.boot, self.seq, at_us)
        ]
        self.seq += 1
        self.spool.append(lines)
        self.remember()

    def remember(self) -> None:
        """Leave the raw counters of this boot for the next start: energy used meanwhile is not lost."""
        kept = {
            "boot": self.boot,
            "meters": [asdict(meter) for meter in self.meters.values() if meter.last.counter_uj is not None],
        }
        part = self.config.spool / (_STATE + ".part")
        part.write_text(json.dumps(kept), encoding="utf-8")
        part.replace(self.config.spool / _STATE)

    def recall(self) -> None:
        """Go on with the counters of an earlier run of this boot; unseen time stays uncovered."""
        try:
            kept = json.loads((self.config.spool / _STATE).read_text(encoding="utf-8"))
            if kept["boot"] != self.boot:
                return
            for fields in kept["meters"]:
                meter = Meter(**{**fields, "last": Sample(**fields["last"])})
                self.meters[meter.last.device, meter.last.source] = meter
        except (OSError, ValueError, KeyError, TypeError):
            self.meters.clear()  # an unreadable memory is no memory: the next samples open new epochs


def run(config: AgentConfig, *, with_parent: bool = False) -> None:
    """Sample, record and ship until told to stop.

    Raises
    ------
    Unavailable
        If nothing at all can be measured here.
    """
    collectors, reasons = open_collectors()
    for why in reasons.values():
        print(f"footprint-agent: {why}", file=sys.stderr)
    if not collectors:
        raise Unavailable("no sensor can be read on this host")
    for collector in collectors:
        if isinstance(collector, TdpCollector):
            announce(collector)
    agent = Agent(
        config, collectors, Spool(config.spool, config.spool_max_mb), Activity(list(config.processes)), boot_id()
    )
    agent.recall()
    shipper = Shipper(agent.spool, config.server, config.token_file, config.ca_file, config.interval_s / 2)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    port = MetricsPort(config.metrics_port, lambda: describe(agent, shipper)) if config.metrics_port else None
    shipper.start()
    parent = os.getppid()
    try:
        loop(agent, stop.wait, lambda: with_parent and os.getppid() != parent)
    finally:
        agent.record(time.time_ns() // 1000)
        shipper.stop()
        for collector in collectors:
            collector.close()
        if port is not None:
            port.close()


def loop(agent: Agent, wait: Callable[[float], bool], orphaned: Callable[[], bool]) -> None:
    """Sample on a schedule that does not drift; ``wait`` says whether to stop."""
    config = agent.config
    begun = time.monotonic()
    ticks, recorded = 0, -1
    while not orphaned():
        agent.sample(time.time_ns() // 1000, time.monotonic_ns() // 1000)
        # Records fall on whole intervals, and once soon after the start, so that a first figure comes early.
        due = int(ticks * config.sample_s / config.interval_s)
        if due > recorded or ticks == 2:
            agent.record(time.time_ns() // 1000)
            recorded = due
        ticks += 1
        late = begun + ticks * config.sample_s - time.monotonic()
        if late < -config.sample_s:
            ticks -= int(late / config.sample_s)  # the host slept: go on from now
        if wait(max(late, 0.0)):
            return


def describe(agent: Agent, shipper: Shipper) -> str:
    """The agent's own figures, as Prometheus text."""
    values = {
        "samples_total": agent.samples, "shipped_total": shipper.shipped, "refused_total": shipper.refused,
        "ship_failures_total": shipper.failures, "spool_bytes": agent.spool.size_bytes(),
        "spool_lost_segments_total": agent.spool.lost_segments, "devices": len(agent.meters),
        "epochs_opened_total": sum(meter.resets for meter in agent.meters.values()),
        **{f'collector_failures_total{{collector="{name}"}}': count for name, count in agent.failures.items()},
    }  # fmt: skip
    return "".join(f"footprint_agent_{name} {value}\n" for name, value in values.items())
