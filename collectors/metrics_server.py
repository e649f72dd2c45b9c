"""Metrics endpoint of the agent: /metrics in the Prometheus text format, and /healthz, on the loopback interface.

Metrics use base units and contain no emissions: those need a place, a time and a factor with its version, which a counter
of grams would hide. The server is a bare socket with one thread, because the HTTP server of the standard library would
take more memory than the agent's sensors.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from collectors.agent import Agent
from collectors.clocks import wall_and_monotonic_us
from collectors.shipper import Shipper
from footprint.core.version import VERSION

_MAX_REQUEST_BYTES = 4096
Values = list[tuple[dict[str, str], float]]

# Name, type and help text of every metric of /metrics; a test shows that each one changes.
METRICS: tuple[tuple[str, str, str], ...] = (
    ("footprint_agent_device_energy_joules_total", "counter", "Corrected energy of a device; restarts with each epoch."),
    ("footprint_agent_device_watched_seconds_total", "counter", "Time that the energy of a device covers without a gap."),
    ("footprint_agent_device_busy_seconds_total", "counter", "Time in which a GPU computed anything."),
    ("footprint_agent_group_cpu_seconds_total", "counter", "CPU time of a group of processes."),
    ("footprint_agent_group_memory_bytes", "gauge", "Memory of a group of processes."),
    ("footprint_agent_samples_total", "counter", "Samples taken."),
    ("footprint_agent_epochs_opened_total", "counter", "Resets of counters, such as driver reloads."),
    ("footprint_agent_doubted_samples", "gauge", "Sources whose newest sample is refused or awaits the next one."),
    ("footprint_agent_doubt_seconds", "gauge", "For how long the samples of a source have not been accepted."),
    ("footprint_agent_doubt_joules", "gauge", "Energy that samples claim that are not accepted, at most what physics allows."),
    ("footprint_agent_refused_samples_total", "counter", "Samples that were not accepted, by source and reason."),
    (
        "footprint_agent_sensor_verdict",
        "gauge",
        "Verdict on a source: 0 agrees with its witness, 1 disagrees, 2 stands still, 3 has no witness.",
    ),
    ("footprint_agent_witness_ratio", "gauge", "Energy of a source over the middle of what its witness allows."),
    ("footprint_agent_sensor_state", "gauge", "State of a source, by its code; 0 reads."),
    ("footprint_agent_collector_failures_total", "counter", "Failures of a collector; the others continue."),
    ("footprint_agent_judgement_failures_total", "counter", "Failed attempts to judge the sensors: a defect of the agent."),
    ("footprint_agent_records_refused_total", "counter", "Records refused because the spool or the disk was full."),
    ("footprint_agent_log_lines_refused_total", "counter", "Unreadable lines of gateway logs."),
    (
        "footprint_agent_log_lines_left_out_total",
        "counter",
        "Lines of gateway logs that are no requests, by condition of the map.",
    ),
    (
        "footprint_agent_log_values_not_taken_total",
        "counter",
        "Values of gateway logs that are no scalar, or could not be, by reason.",
    ),
    (
        "footprint_agent_personal_names_dropped_total",
        "counter",
        "Use cases in gateway logs that look like an address, a token or the id of a person, and were not taken.",
    ),
    ("footprint_agent_log_gaps_total", "counter", "Times that lines of gateway logs may be lost: cut or deleted unread."),
    ("footprint_agent_otlp_refused_total", "counter", "Items and bodies of OTLP that were not taken, by reason."),
    (
        "footprint_agent_otlp_mended_total",
        "counter",
        "Fields of requests over OTLP that could not be, left out or mended, by reason.",
    ),
    ("footprint_agent_spool_bytes", "gauge", "Size of the records that wait to be shipped."),
    ("footprint_agent_shipped_records_total", "counter", "Records that the server acknowledged."),
    ("footprint_agent_rejected_records_total", "counter", "Records that the server rejected, stored in rejected.jsonl."),
    ("footprint_agent_refused_records_total", "counter", "Records of a host that the token may not write for; they wait."),
    ("footprint_agent_refused_bytes", "gauge", "Size of the records that wait for a token of their host."),
    ("footprint_agent_ship_failures_total", "counter", "Attempts to ship that failed."),
    ("footprint_agent_clock_synchronised", "gauge", "1 while the kernel reports a synchronised clock."),
    ("footprint_agent_cpu_seconds_total", "counter", "CPU time of the agent itself."),
    ("footprint_agent_build_info", "gauge", "1, with the version of the agent."),
)


def metrics_text(agent: Agent, shipper: Shipper, cpu_s: float) -> str:
    """All metrics as Prometheus text (exposition format 0.0.4)."""
    values = dict(_values(agent, shipper, cpu_s))
    lines = []
    for name, kind, help_text in METRICS:
        lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{_labels(labels)} {float(value)!r}" for labels, value in values[name]]
    return "\n".join(lines) + "\n"


def _values(agent: Agent, shipper: Shipper, cpu_s: float) -> Iterator[tuple[str, Values]]:
    # The main loop runs in another thread: copy everything that it may change.
    all_meters = [*agent.meters.values(), *(part for parts in list(agent.instances.values()) for part in list(parts.values()))]
    meters = [meter for meter in all_meters if not meter.last.channel.parts]
    described = [
        ({"device": c.device, "place": c.alias, "component": c.component, "source": c.source}, meter)
        for meter in meters
        for c in [meter.last.channel]
    ]
    yield "footprint_agent_device_energy_joules_total", [(labels, meter.energy_uj / 1e6) for labels, meter in described]
    yield "footprint_agent_device_watched_seconds_total", [(labels, meter.covered_us / 1e6) for labels, meter in described]
    busy = [({"device": device}, us / 1e6) for device, us in list(agent.busy_us.items())]
    yield "footprint_agent_device_busy_seconds_total", busy
    groups = sorted(agent.usage.items())
    yield "footprint_agent_group_cpu_seconds_total", [({"group": name}, usage.cpu_us / 1e6) for name, usage in groups]
    yield "footprint_agent_group_memory_bytes", [({"group": name}, float(usage.memory_bytes)) for name, usage in groups]
    yield "footprint_agent_samples_total", [({}, agent.sample_count)]
    yield "footprint_agent_epochs_opened_total", [({}, sum(meter.resets for meter in all_meters))]
    yield "footprint_agent_doubted_samples", [({}, sum(meter.suspect is not None for meter in all_meters))]
    at_us, mono_us = wall_and_monotonic_us()
    suspects = [({"device": key[0], "source": key[1]}, meter) for key, meter in list(agent.meters.items()) if meter.suspect]
    yield "footprint_agent_doubt_seconds", [(labels, max(at_us - meter.doubted_us, 0) / 1e6) for labels, meter in suspects]
    yield "footprint_agent_doubt_joules", [(labels, meter.suspense_uj / 1e6) for labels, meter in suspects]
    yield (
        "footprint_agent_refused_samples_total",
        [
            ({"device": device, "source": source, "reason": reason.name.lower()}, count)
            for (device, source, reason), count in sorted(agent.witness.refused_samples.items())
        ],
    )
    judged = [({"device": key[0], "source": key[1]}, verdict) for key, verdict in sorted(agent.witness.verdicts.items())]
    yield "footprint_agent_sensor_verdict", [(labels, float(verdict.verdict)) for labels, verdict in judged]
    ratios = ((labels, verdict.ratio) for labels, verdict in judged)
    yield "footprint_agent_witness_ratio", [(labels, ratio) for labels, ratio in ratios if ratio is not None]
    states = agent.sensor_states(at_us, mono_us)
    yield (
        "footprint_agent_sensor_state",
        [({"device": state.device, "source": state.source}, float(state.state)) for state in states],
    )
    failures: Values = [({"collector": name}, float(count)) for name, count in sorted(agent.sensors.failures.items())]
    yield "footprint_agent_collector_failures_total", failures
    yield "footprint_agent_judgement_failures_total", [({}, agent.judgement_failures)]
    yield "footprint_agent_records_refused_total", [({}, agent.refused_records)]
    yield "footprint_agent_log_lines_refused_total", [({}, sum(tailer.refused_lines for tailer in agent.log_tailers))]
    yield "footprint_agent_log_lines_left_out_total", _by_reason(tailer.field_map.left_out for tailer in agent.log_tailers)
    yield "footprint_agent_log_values_not_taken_total", _by_reason(tailer.values_not_taken for tailer in agent.log_tailers)
    yield "footprint_agent_personal_names_dropped_total", [({}, sum(tailer.personal_names for tailer in agent.log_tailers))]
    yield "footprint_agent_log_gaps_total", [({}, sum(tailer.logs.gaps for tailer in agent.log_tailers))]
    reasons: Counter[str] = sum((receiver.reasons for receiver in agent.receivers), Counter())
    yield "footprint_agent_otlp_refused_total", [({"reason": reason}, count) for reason, count in sorted(reasons.items())]
    mended = sum((receiver.mended for receiver in agent.receivers), Counter[str]())
    yield "footprint_agent_otlp_mended_total", [({"reason": reason}, count) for reason, count in sorted(mended.items())]
    yield "footprint_agent_spool_bytes", [({}, agent.spool.size_bytes())]
    yield "footprint_agent_shipped_records_total", [({}, shipper.shipped)]
    yield "footprint_agent_rejected_records_total", [({}, shipper.rejected)]
    yield "footprint_agent_refused_records_total", [({}, shipper.refused)]
    yield "footprint_agent_refused_bytes", [({}, shipper.refused_spool.size_bytes())]
    yield "footprint_agent_ship_failures_total", [({}, shipper.failures)]
    synchronised: Values = [({}, agent.sync == "synchronised")]
    yield "footprint_agent_clock_synchronised", synchronised if agent.sync != "unknown" else []
    yield "footprint_agent_cpu_seconds_total", [({}, cpu_s)]
    yield "footprint_agent_build_info", [({"version": VERSION}, 1)]


def _by_reason(counts: Iterable[Counter[str]]) -> Values:
    total: Counter[str] = sum(counts, Counter())
    return [({"reason": reason}, count) for reason, count in sorted(total.items())]


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class MetricsServer:
    """Server of /metrics and /healthz on the loopback interface, until the process ends."""

    def __init__(self, port: int, describe: Callable[[], str]) -> None:
        self._describe = describe
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._loop, name="metrics", daemon=True).start()

    def _loop(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            with connection:
                connection.settimeout(2)
                try:
                    connection.sendall(self._answer(connection.recv(_MAX_REQUEST_BYTES)))
                except OSError:
                    continue

    def _answer(self, request: bytes) -> bytes:
        path = ([*request.split(b" "), b"", b""])[1]
        if path == b"/healthz":
            status, body = "200 OK", "ok\n"
        elif path == b"/metrics":
            status, body = "200 OK", self._describe()
        else:
            status, body = "404 Not Found", "only /metrics and /healthz\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n{body}".encode()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
