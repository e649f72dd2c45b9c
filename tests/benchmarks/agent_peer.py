"""Benchmark of the agent beside CodeCarbon at 1 Hz: CPU time and memory with 8 simulated GPUs and 2 sockets with DRAM."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.agent_size import cpu_s, resident_mib, start_agent

_CODECARBON = """
import codecarbon.core.cpu as cpu, logging, sys, time
cpu.IntelRAPL.__init__.__defaults__ = (sys.argv[1], False, False)
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(
    country_iso_code="FRA", measure_power_secs=1, save_to_file=False, log_level="critical", allow_multiple_runs=True)
tracker.start()
print("ready", flush=True)
for _ in sys.stdin:  # measured inside: its sampling threads end and their times are not in /proc
    print(time.process_time(), flush=True)
"""


def _peer_cpu_s(peer: subprocess.Popen[bytes]) -> float:
    """CPU time that the peer reports [s]."""
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(b"\n")
    peer.stdin.flush()
    return float(peer.stdout.readline())


def rows(seconds: int = 60) -> list[tuple[str, float, float | None]]:
    """(label, agent, CodeCarbon): share of a core, and resident memory [MiB]."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        agent, environment = start_agent(folder)
        command = [sys.executable, "-c", _CODECARBON, str(folder / "sys/class/powercap")]
        with (folder / "codecarbon.log").open("w") as log:
            peer = subprocess.Popen(
                command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        assert peer.stdout is not None
        try:
            # Its libraries may print lines before "ready"; the loop ends if the process exits.
            if not any(line.strip() == b"ready" for line in iter(peer.stdout.readline, b"")):
                return [("agent's share of a core / CodeCarbon's", 0.0, None)]
            time.sleep(10)
            before = cpu_s(agent.pid), _peer_cpu_s(peer)
            time.sleep(seconds)
            used = cpu_s(agent.pid) - before[0], _peer_cpu_s(peer) - before[1]
            memory = resident_mib(agent.pid), resident_mib(peer.pid)
        finally:
            for process in (agent, peer):
                process.terminate()
                process.wait(15)
        return [
            ("agent's share of a core / CodeCarbon's, 1 Hz", used[0] / seconds, used[1] / seconds),
            ("agent's memory [MiB] / CodeCarbon's", memory[0], memory[1]),
        ]
