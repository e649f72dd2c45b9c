"""Ingest from many agents while the server is killed repeatedly: every reading is stored exactly once."""

from __future__ import annotations

import gzip
import http.client
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from footprint.access.agent_tokens import add_token
from footprint.core.records import EnergyReading, to_line
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US
from tests.support.ledger_contents import readings
from tests.support.processes import SERVE, free_port

US = 1_000_000
HOSTS, SHIPMENTS, LINES = 60, 12, 20


class Server:
    """The real server, which can be killed with SIGKILL and restarted."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        (folder / "footprint.toml").write_text(f"[server]\nport = {self.port}\n")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(SERVE, cwd=self.folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self.start()


def ship(port: int, token: str, host: str, failed: list[str]) -> None:
    """Ship like an agent: repeat the same lines until the server answers 200."""
    for shipment in range(SHIPMENTS):
        lines = [
            to_line(EnergyReading(host, "GPU-x", "gpu", "nvml-energy", "e", n, (DAY_S + 10 * n) * US, n * 3000 * US, n * 10 * US))
            for n in range(shipment * LINES, (shipment + 1) * LINES)
        ]
        body = gzip.compress("\n".join(lines).encode())
        end = time.monotonic() + 120
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request(
                    "POST", "/api/v1/ingest", body, {"Authorization": f"Bearer {token}", "Content-Encoding": "gzip"}
                )
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    break
                if answer.status not in (429, 503):
                    failed.append(f"{host}: {answer.status}")
                    return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > end:
                failed.append(f"{host}: no answer")
                return
            time.sleep(0.05)


@pytest.mark.slow
def test_readings_arrive_exactly_once_while_the_server_is_killed(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'footprint.db'}")
    tokens = {f"h{n}": add_token(store, f"h{n}", NOW_US) for n in range(HOSTS)}
    server = Server(tmp_path)
    failed: list[str] = []
    threads = [threading.Thread(target=ship, args=(server.port, token, host, failed)) for host, token in tokens.items()]
    try:
        for thread in threads:
            thread.start()
        for _ in range(4):
            time.sleep(3.0)
            server.kill()
        for thread in threads:
            thread.join()
    finally:
        server.process.kill()
        server.process.wait()
    assert failed == []
    stored = readings(store)
    expected = {
        (host, "GPU-x", "gpu", "energy", "counter", (DAY_S + 10 * n) * US, n * 3000 * US)
        for host in tokens
        for n in range(SHIPMENTS * LINES)
    }
    assert stored == expected
    assert os.path.exists(tmp_path / "footprint.db")
    store.close()
