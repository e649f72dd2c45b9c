"""This file is the agent's loop: sample on a schedule that does not drift, record every ten seconds, and ship."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from collectors.agent import Agent
from collectors.base import Unavailable
from collectors.clocks import boot_id, now_us, sync_state
from collectors.config import AgentConfig
from collectors.log_tailer import Follower
from collectors.metrics_server import MetricsPort
from collectors.process_groups import Groups
from collectors.prometheus_text import describe
from collectors.registry import COLLECTORS
from collectors.sensor_set import Sensors
from collectors.shipper import Shipper
from collectors.spool import Spool
from collectors.systemd_notify import notify

if TYPE_CHECKING:
    from collectors.otlp import OtlpPort
    from collectors.prometheus_scraper import Scraper


def make_agent(config: AgentConfig, *, alone: bool = True) -> Agent:
    """An agent with the sensors of this host, which goes on from what an earlier run of this boot left."""
    groups = Groups(config.processes, config.proc, config.sysfs, discover=config.discover)
    boot = boot_id(config.proc)
    agent = Agent(
        config,
        Sensors(config, COLLECTORS),
        Spool(config.spool, config.spool_max_mb),
        groups,
        boot,
        alone,
        started=f"{boot}/{now_us()[0]}",
        followers=[Follower(gateway) for gateway in config.gateways],
    )
    agent.recall()
    return agent


OTLP_PORT = 4318  # OTLP over HTTP, where nothing else is said


def run(config: AgentConfig, *, with_parent: bool = False, otlp: bool = False) -> None:
    """Sample, record and ship until told to stop.

    Raises
    ------
    Unavailable
        If nothing at all can be measured here.
    """
    agent = make_agent(config, alone=not with_parent)
    agent.sensors.look(now_us()[1])
    _greet(agent.sensors)
    # A gateway's host may have no sensor at all: it has requests to tell.
    if not (agent.sensors.working or config.gateways or config.scrape or otlp or config.otlp_port):
        raise Unavailable("no sensor can be read on this host")
    shipper = Shipper(agent.spool, config.server, config.token_file, config.ca_file, config.interval_s / 2)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    port = None
    if config.metrics_port:
        port = MetricsPort(config.metrics_port, lambda: describe(agent, shipper, time.process_time()))
    received = _listen(config, agent) if otlp or config.otlp_port else None
    scraper = _scrape(config, agent) if config.scrape else None
    shipper.start()
    parent = os.getppid()
    try:
        loop(agent, stop.wait, lambda: with_parent and os.getppid() != parent)
    finally:
        notify("STOPPING=1")
        agent.record(*now_us())
        shipper.stop()
        agent.sensors.close()
        for each in (port, received, scraper):
            if each is not None:
                each.close()


def _listen(config: AgentConfig, agent: Agent) -> OtlpPort:
    """Receive OTLP: requests go to the spool at once, energies to their meters with the next sample."""
    from collectors.otlp import OtlpPort  # noqa: PLC0415 - an HTTP server costs memory that few agents need

    port = OtlpPort(config.otlp_port or OTLP_PORT, config.otlp_tokens, agent.spool.append)
    agent.sources.append(port.take)
    return port


def _scrape(config: AgentConfig, agent: Agent) -> Scraper:
    """Read other exporters of this host beside the loop."""
    from collectors.prometheus_scraper import Scraper  # noqa: PLC0415 - few agents need it

    scraper = Scraper(config.scrape, config.scrape_s)
    agent.sources.append(scraper.take)
    return scraper


def _greet(sensors: Sensors) -> None:
    """What is read here, and whatever somebody should act upon."""
    found = ", ".join(make.name for make in sensors.working) or "nothing"
    missing = ", ".join(name for name in sensors.reasons if name not in sensors.refused)
    print(f"footprint-agent: reads {found}; not here: {missing} (footprint-agent probe says why)", file=sys.stderr)
    for said in (*(sensors.reasons[name] for name in sorted(sensors.refused)), *sensors.remarks()):
        print(f"footprint-agent: {said}", file=sys.stderr)


def loop(agent: Agent, wait: Callable[[float], bool], orphaned: Callable[[], bool]) -> None:
    """Sample on the monotonic clock; ``wait`` says whether to stop."""
    config = agent.config
    begun = time.monotonic()
    ticks, recorded = 0, -1
    while not orphaned():
        agent.sample(*now_us())
        # Records fall on whole intervals, and once soon after the start, so that a first figure comes early.
        due = int(ticks * config.sample_s / config.interval_s)
        if due > recorded or ticks == 2:
            agent.sync = sync_state()
            agent.record(*now_us())
            recorded = due
        notify("WATCHDOG=1" if ticks else "READY=1")
        ticks += 1
        early = begun + ticks * config.sample_s - time.monotonic()
        if early < -config.sample_s:
            ticks -= int(early / config.sample_s)  # a sensor was slow, or the process was stopped: go on from now
        if wait(max(early, 0.0)):
            return
