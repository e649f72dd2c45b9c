"""Main loop of the agent: sample on a schedule that does not drift, record every ten seconds, and ship."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from collectors.agent import Agent
from collectors.base import Unavailable
from collectors.clocks import boot_id, sync_state, wall_and_monotonic_us
from collectors.config import AgentConfig
from collectors.log_tailer import LogTailer
from collectors.metrics_server import MetricsServer, metrics_text
from collectors.process_groups import ProcessGroups
from collectors.registry import COLLECTORS
from collectors.sensor_set import SensorSet
from collectors.shipper import Shipper
from collectors.spool import Spool, lock_spool
from footprint.core.secret_files import exposure, read_secret
from footprint.core.sensor_verdicts import Verdict

if TYPE_CHECKING:
    from collectors.otlp import OtlpReceiver
    from collectors.prometheus_scraper import PrometheusScraper


def make_agent(config: AgentConfig, *, alone: bool = True) -> Agent:
    """Agent with the sensors of this host; it continues from the checkpoint of an earlier run of this boot."""
    groups = ProcessGroups(config.processes, config.proc, config.sysfs, discover=config.discover)
    boot = boot_id(config.proc)
    agent = Agent(
        config,
        SensorSet(config, COLLECTORS),
        Spool(config.spool, config.spool_max_mb),
        groups,
        boot,
        alone,
        started=f"{boot}/{wall_and_monotonic_us()[0]}",
        log_tailers=[LogTailer(gateway) for gateway in config.gateways],
    )
    agent.restore()
    return agent


def problem_counts(agent: Agent) -> dict[str, int]:
    """Counts of what the agent doubts or did not take, since its start, for the server's list of agents."""
    doubts = agent.doubted_since(wall_and_monotonic_us()[0])
    verdicts = [verdict.verdict for verdict in list(agent.witness.verdicts.values())]
    return {
        "sources_doubted": len(doubts),
        "sources_refused": len(agent.witness.refusals),
        "sources_contradicted": verdicts.count(Verdict.DISAGREES),
        "sources_standing_still": verdicts.count(Verdict.STANDS_STILL),
        "samples_refused": agent.witness.refused_samples.total(),
        "records_refused": agent.refused_records,
        "judgement_failures": agent.judgement_failures,
        "log_lines_refused": sum(tailer.refused_lines for tailer in agent.log_tailers),
        "personal_names_dropped": sum(tailer.personal_names for tailer in agent.log_tailers),
        "log_gaps": sum(tailer.logs.gaps for tailer in agent.log_tailers),
        "collector_failures": sum(agent.sensors.failures.values()),
        "otlp_refused": sum(receiver.refused for receiver in agent.receivers),
    }


DEFAULT_OTLP_PORT = 4318  # the standard port of OTLP over HTTP


def run(config: AgentConfig, *, with_parent: bool = False, otlp: bool = False) -> None:
    """Sample, record and ship until SIGTERM or SIGINT.

    Raises
    ------
    Unavailable
        If nothing at all can be measured here.
    SpoolInUse
        If another agent writes to the same spool.
    """
    lock_spool(config.spool)
    agent = make_agent(config, alone=not with_parent)
    agent.sensors.open_missing(wall_and_monotonic_us()[1])
    agent.read_sensors(*wall_and_monotonic_us())  # stamped once the libraries are loaded: that takes longer than a reading
    _print_summary(agent.sensors)
    # The host of a gateway may have no sensor at all, only requests.
    if not (agent.sensors.working or config.gateways or config.scrape or otlp or config.otlp_port):
        raise Unavailable("no sensor can be read on this host")
    if reason := exposure(config.token_file):
        print(f"footprint-agent: {config.token_file}: the token: {reason}", file=sys.stderr)
    shipper = Shipper(
        agent.spool, config.server, config.token_file, config.ca_file, config.interval_s / 2, lambda: problem_counts(agent)
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics_server = None
    if config.metrics_port:
        metrics_server = MetricsServer(config.metrics_port, lambda: metrics_text(agent, shipper, time.process_time()))
    received = _start_otlp_receiver(config, agent) if otlp or config.otlp_port else None
    scraper = _start_scraper(config, agent) if config.scrape else None
    shipper.start()
    parent = os.getppid()
    try:
        run_loop(agent, stop.wait, lambda: with_parent and os.getppid() != parent)
    finally:
        notify_systemd("STOPPING=1")
        agent.write_records(*wall_and_monotonic_us())
        shipper.stop()
        agent.sensors.close()
        for part in (metrics_server, received, scraper):
            if part is not None:
                part.close()


def _start_otlp_receiver(config: AgentConfig, agent: Agent) -> OtlpReceiver:
    """Start the OTLP receiver: requests go to the spool at once, energies to their meters with the next sample."""
    from collectors.otlp import OtlpReceiver  # noqa: PLC0415 - an HTTP server costs memory that few agents need

    token = read_secret(config.otlp_token_file, "the token of OTLP") if config.otlp_token_file else ""
    receiver = OtlpReceiver(
        config.otlp_port or DEFAULT_OTLP_PORT, config.otlp_tokens, agent.spool.append, config.otlp_devices, token
    )
    agent.receivers.append(receiver)
    agent.external_sources.append(receiver.take)
    return receiver


def _start_scraper(config: AgentConfig, agent: Agent) -> PrometheusScraper:
    """Start scraping other exporters of this host in the background."""
    from collectors.prometheus_scraper import open_scraper  # noqa: PLC0415 - few agents need it

    scraper = open_scraper(config)
    agent.external_sources.append(scraper.take)
    return scraper


def _print_summary(sensors: SensorSet) -> None:
    """Print the sensors that are read, and every problem with a remedy."""
    working = ", ".join(sensors.delivering()) or "nothing"
    missing = [name for name in sensors.reasons if name not in sensors.permission_denied]
    silent = [kind.name for kind in sensors.working if kind.name not in sensors.delivering()]
    rest = f"; not here: {', '.join(missing)}" if missing else ""
    rest = f"; gives nothing so far: {', '.join(silent)}{rest}" if silent else rest
    print(f"footprint-agent: reads {working}{rest} (footprint-agent probe says why)", file=sys.stderr)
    for message in (*(sensors.reasons[name] for name in sorted(sensors.permission_denied)), *sensors.remarks()):
        print(f"footprint-agent: {message}", file=sys.stderr)


def run_loop(agent: Agent, wait: Callable[[float], bool], orphaned: Callable[[], bool]) -> None:
    """Sample on the monotonic clock until ``wait(seconds)`` returns True or ``orphaned()`` is True."""
    config = agent.config
    start_s = time.monotonic()
    ticks, last_recorded = 0, -1
    while not orphaned():
        agent.read_sensors(*wall_and_monotonic_us())
        # Records fall on whole intervals; one more comes soon after the start, so that a first figure appears early.
        due = int(ticks * config.sample_s / config.interval_s)
        if due > last_recorded or ticks == 2:
            agent.sync = sync_state()
            agent.write_records(*wall_and_monotonic_us())
            last_recorded = due
        notify_systemd("WATCHDOG=1" if ticks else "READY=1")
        ticks += 1
        remaining_s = start_s + ticks * config.sample_s - time.monotonic()
        if remaining_s < -config.sample_s:
            ticks -= int(remaining_s / config.sample_s)  # a sensor was slow, or the process was stopped: skip the missed ticks
        if wait(max(remaining_s, 0.0)):
            return


def notify_systemd(state: str) -> None:
    """Send a state, such as ``READY=1`` or ``WATCHDOG=1``, to systemd (sd_notify(3)); without systemd do nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(state.encode())
    except OSError:
        return  # systemd is gone; continue measuring
