"""Benchmark of the agent alone on simulated sensors: resident memory, CPU time and imported modules.

The agent samples 8 GPUs and 2 sockets with DRAM at 1 Hz, ships over TLS to a test server and serves /metrics. The benchmark fails
above 32 MiB or if the agent imports a foreign module.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.simulation.sensors import build_nvml, powercap
from tests.support.http_servers import QuietHandler

LIMIT_MIB = 32
LIMIT_CORE = 0.001
BOARDS, POWER_CHANGE_S = 8, 3
ALLOWED = (
    "footprint",
    "footprint.core.records",
    "footprint.core.timestamps",
    "footprint.core.units",
    "footprint.core.assumptions",
    "footprint.core.resources",
    "footprint.core.estimate",
    "footprint.core.log_formats",
)


class _Server(QuietHandler):
    protocol_version = "HTTP/1.1"  # keep-alive, like the real server

    def post(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.respond(200, json.dumps({"accepted": 1, "duplicate": 0, "rejected": []}).encode())


def serve(folder: Path) -> int:
    """Start a TLS server with a self-signed certificate; return its port."""
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(folder / "key.pem"),
            "-out",
            str(folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def start_agent(folder: Path) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """Start the agent on simulated sensors; return it with the environment variables of the sensors."""
    powercap(folder / "sys", sockets=2, dram=True)
    library = build_nvml(folder)
    # Boards and packages differ, as real ones do: equal ones would be taken for one sensor under several names.
    boards = [f"gpu power={220 + 40 * index}" for index in range(BOARDS)]
    changes = [
        f"at {second} power {second % BOARDS} {200 + 7 * second % 400}"
        for second in range(1, 20 * POWER_CHANGE_S * BOARDS, POWER_CHANGE_S)
    ]
    (folder / "scenario").write_text("\n".join([*boards, *changes]) + "\n")
    (folder / "token").write_text("fp_test")
    (folder / "token").chmod(0o600)
    sensors = {
        "FOOTPRINT_SYSFS": str(folder / "sys"),
        "NVML_SIM_SCENARIO": str(folder / "scenario"),
        "LD_LIBRARY_PATH": str(library.parent) if library else "",
    }
    agent_variables = {
        "FOOTPRINT_AGENT__SERVER": f"https://localhost:{serve(folder)}",
        "FOOTPRINT_AGENT__TOKEN_FILE": str(folder / "token"),
        "FOOTPRINT_AGENT__SPOOL": str(folder / "spool"),
        "FOOTPRINT_AGENT__CA_FILE": str(folder / "cert.pem"),
        "FOOTPRINT_AGENT__METRICS_PORT": "19107",
        "FOOTPRINT_AGENT__HOST": "bench",
    }
    return subprocess.Popen([sys.executable, "-m", "collectors", "run"], env=os.environ | sensors | agent_variables), sensors


def weigh(seconds: int, folder: Path) -> tuple[float, float]:
    """Resident memory [MiB] at the end, and share of a core after the first ten seconds."""
    agent, _ = start_agent(folder)
    counters = sorted((folder / "sys").rglob("energy_uj"))
    try:
        start, cpu_before_s = 0.0, 0.0
        for second in range(seconds):
            time.sleep(1)
            for index, path in enumerate(counters):
                path.write_text(str(10**9 + second * (100 + 13 * index) * 1_000_000 + second % 3 * 9_000_000))
            if second == min(10, seconds // 2):
                start, cpu_before_s = time.monotonic(), cpu_s(agent.pid)
        return resident_mib(agent.pid), (cpu_s(agent.pid) - cpu_before_s) / (time.monotonic() - start)
    finally:
        agent.terminate()
        agent.wait(15)


def resident_mib(pid: int) -> float:
    """Resident memory of a process [MiB]."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def cpu_s(pid: int) -> float:
    """CPU time of all threads of a process [s], from schedstat because clock ticks are too coarse."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def foreign_imports() -> list[str]:
    """Modules that the agent loads besides its own, the standard library and pynvml."""
    script = (
        "import sys; before = set(sys.modules); import collectors.main_loop, collectors.cli;"
        "print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [
        name
        for name in completed.stdout.split()
        if name.partition(".")[0] not in sys.stdlib_module_names
        and name.partition(".")[0] not in ("pynvml", "collectors")
        and name not in ALLOWED
    ]


def main() -> int:
    """Measure, print and compare with the limits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    foreign = foreign_imports()
    with tempfile.TemporaryDirectory() as folder:
        memory, core = weigh(arguments.seconds, Path(folder))
    print(f"resident {memory:.1f} MiB of {LIMIT_MIB} ({memory / LIMIT_MIB:.2f})")
    print(f"core {core * 100:.3f} % of {LIMIT_CORE * 100:g} % ({core / LIMIT_CORE:.2f})")
    print(f"foreign imports: {', '.join(foreign) or 'none'}")
    return int(memory > LIMIT_MIB or bool(foreign))


if __name__ == "__main__":
    sys.exit(main())
