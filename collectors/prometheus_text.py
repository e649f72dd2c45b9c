"""This file says what the agent measured and how it fares, as Prometheus text: base units, and no emissions.

Emissions need a place, a time and a factor with its version; a counter of grams would hide all three.
"""

from __future__ import annotations

from collections.abc import Iterator

from collectors.agent import VERSION, Agent
from collectors.shipper import Shipper

Values = list[tuple[dict[str, str], float]]

# Name, type, and what it says: every row is told by /metrics, and shown to move by a test.
METRICS: tuple[tuple[str, str, str], ...] = (
    ("footprint_energy_joules_total", "counter", "Energy of a device as corrected by its meter; restarts with its epoch."),
    ("footprint_watched_seconds_total", "counter", "Time for which that energy was watched without a gap."),
    ("footprint_device_busy_seconds_total", "counter", "Time in which a GPU computed anything."),
    ("footprint_group_cpu_seconds_total", "counter", "CPU time of a group of processes."),
    ("footprint_group_memory_bytes", "gauge", "Memory of a group of processes."),
    ("footprint_agent_samples_total", "counter", "Samples taken."),
    ("footprint_agent_epochs_opened_total", "counter", "Resets seen: driver loads, counters set anew."),
    ("footprint_agent_doubted_samples", "gauge", "Samples of counters that are not believed yet."),
    ("footprint_agent_collector_failures_total", "counter", "Failures of one collector; the others went on."),
    ("footprint_agent_records_refused_total", "counter", "Records refused because the spool or the disk was full."),
    ("footprint_agent_log_lines_refused_total", "counter", "Lines of gateways' logs that are no requests."),
    ("footprint_agent_spool_bytes", "gauge", "Records that wait to be shipped."),
    ("footprint_agent_shipped_records_total", "counter", "Records that the server answered for."),
    ("footprint_agent_rejected_records_total", "counter", "Records that the server rejected, kept in rejected.jsonl."),
    ("footprint_agent_ship_failures_total", "counter", "Attempts to ship that failed."),
    ("footprint_agent_clock_synchronised", "gauge", "1 while the kernel calls its clock synchronised."),
    ("footprint_agent_cpu_seconds_total", "counter", "CPU time of the agent itself."),
    ("footprint_agent_info", "gauge", "Version of the agent."),
)


def describe(agent: Agent, shipper: Shipper, cpu_s: float) -> str:
    """All metrics as Prometheus text (exposition format 0.0.4)."""
    values = dict(_values(agent, shipper, cpu_s))
    lines = []
    for name, kind, said in METRICS:
        lines += [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{_labels(labels)} {float(value)!r}" for labels, value in values[name]]
    return "\n".join(lines) + "\n"


def _values(agent: Agent, shipper: Shipper, cpu_s: float) -> Iterator[tuple[str, Values]]:
    # The loop goes on in another thread: what it may change is copied first.
    whole = [*agent.meters.values(), *(each for parts in list(agent.instances.values()) for each in list(parts.values()))]
    meters = [meter for meter in whole if not meter.last.channel.parts]
    described = [
        ({"device": c.device, "place": c.alias, "component": c.component, "source": c.source}, meter)
        for meter in meters
        for c in [meter.last.channel]
    ]
    yield "footprint_energy_joules_total", [(labels, meter.energy_uj / 1e6) for labels, meter in described]
    yield "footprint_watched_seconds_total", [(labels, meter.covered_us / 1e6) for labels, meter in described]
    busy = [({"device": device}, us / 1e6) for device, us in list(agent.busy_us.items())]
    yield "footprint_device_busy_seconds_total", busy
    groups = sorted(agent.usage.items())
    yield "footprint_group_cpu_seconds_total", [({"group": name}, usage.cpu_us / 1e6) for name, usage in groups]
    yield "footprint_group_memory_bytes", [({"group": name}, float(usage.memory_bytes)) for name, usage in groups]
    yield "footprint_agent_samples_total", [({}, agent.samples)]
    yield "footprint_agent_epochs_opened_total", [({}, sum(meter.resets for meter in whole))]
    yield "footprint_agent_doubted_samples", [({}, sum(meter.suspect is not None for meter in whole))]
    failures: Values = [({"collector": name}, float(count)) for name, count in sorted(agent.sensors.failures.items())]
    yield "footprint_agent_collector_failures_total", failures
    yield "footprint_agent_records_refused_total", [({}, agent.refused)]
    yield "footprint_agent_log_lines_refused_total", [({}, sum(follower.refused for follower in agent.followers))]
    yield "footprint_agent_spool_bytes", [({}, agent.spool.size_bytes())]
    yield "footprint_agent_shipped_records_total", [({}, shipper.shipped)]
    yield "footprint_agent_rejected_records_total", [({}, shipper.rejected)]
    yield "footprint_agent_ship_failures_total", [({}, shipper.failures)]
    synchronised: Values = [({}, agent.sync == "synchronised")]
    yield "footprint_agent_clock_synchronised", synchronised if agent.sync != "unknown" else []
    yield "footprint_agent_cpu_seconds_total", [({}, cpu_s)]
    yield "footprint_agent_info", [({"version": VERSION}, 1)]


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    told = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(told) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
