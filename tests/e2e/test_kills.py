"""Real agent against a real server, with repeated SIGKILLs, full disks and a cut network."""

import itertools
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import select

from footprint.access.agent_tokens import add_token
from footprint.ledger.ledger_view import LedgerView
from footprint.storage import schema
from footprint.storage.database import Store, table
from tests.simulation.sensors import host_time, powercap
from tests.support.contract_files import config
from tests.support.services import api_over

US = 1_000_000
WATTS = 200


class Relay:
    """TCP relay to the server that can be cut before a shipment, or after its storage and before the response."""

    def __init__(self, port: int) -> None:
        self.target, self.mode = port, "open"
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self.mode == "cut":
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
                while data := server.recv(65536):
                    if self.mode != "open":
                        return  # the server has stored it, but the agent gets no response
                    client.sendall(data)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)

    def close(self) -> None:
        self.listening.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Store, Relay, str]]:
    store, facts = Store(f"sqlite:///{tmp_path / 'store.db'}"), config()
    api = api_over(store, facts, lambda: time.time_ns() // 1000)
    server = uvicorn.Server(uvicorn.Config(api, "127.0.0.1", 0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    relay = Relay(server.servers[0].sockets[0].getsockname()[1])
    yield store, relay, add_token(store, "a", 1)
    relay.close()
    server.should_exit = True
    thread.join(10)
    store.close()


def agent(folder: Path, relay: Relay) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "FOOTPRINT_SYSFS": str(folder / "sys"),
        "FOOTPRINT_PROC": str(folder / "proc"),
        "FOOTPRINT_AGENT__HOST": "a",
        "FOOTPRINT_AGENT__SERVER": f"http://127.0.0.1:{relay.port}",
        "FOOTPRINT_AGENT__SAMPLE_S": "0.1",
        "FOOTPRINT_AGENT__INTERVAL_S": "0.1",
        "FOOTPRINT_AGENT__TOKEN_FILE": str(folder / "token"),
        "FOOTPRINT_AGENT__SPOOL": str(folder / "spool"),
        "FOOTPRINT_AGENT__DISCOVER": "false",
        "PYTHONPATH": str(Path.cwd()),
    }
    with (folder / "agent.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "collectors", "run"], env=environment, cwd=folder, stderr=log)


def meter(zone: object, stop: threading.Event) -> None:
    """Advance the counter of a package that draws 200 W, whether or not the agent runs."""
    while not stop.wait(0.02):
        zone.add(WATTS * US // 50)  # type: ignore[attr-defined]


def wait_for_a_record(memory: Path, than: str = "") -> None:
    """Wait until the checkpoint has a record of the package and differs from ``than``."""
    until = time.monotonic() + 20
    while not (memory.exists() and "cpu:0" in (text := memory.read_text()) and text != than):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("kills", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_joule_arrives_once_although_agents_are_killed(
    served: tuple[Store, Relay, str], tmp_path: Path, kills: int
) -> None:
    store, relay, token = served
    rng = random.Random(kills)
    (zone,) = powercap(tmp_path / "sys", 1)
    host_time(tmp_path / "proc", 10, 90)
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("one-boot\n")  # a killed agent is not a reboot
    (tmp_path / "token").write_text(token)
    start_uj, stop, remembered = zone.value, threading.Event(), ""
    memory = tmp_path / "spool" / "meters.json"
    process = agent(tmp_path, relay)
    wait_for_a_record(memory)  # the counter does not move before the first reading
    threading.Thread(target=meter, args=(zone, stop), daemon=True).start()
    for number in range(kills):
        relay.mode = rng.choice(["open", "open", "open", "cut", "deaf"])
        if number % 4 == 0:  # other agents may be killed before their first record, even during start-up
            wait_for_a_record(memory, than=remembered)
        remembered = memory.read_text()
        time.sleep(rng.uniform(0.1, 0.9) if kills < 100 else rng.uniform(0.1, 0.5))
        if number % 5 == 3:  # the disk is full until the kill
            with suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = agent(tmp_path, relay)
    stop.set()
    relay.mode = "open"
    time.sleep(2)
    process.terminate()
    process.wait(20)
    assert process.returncode == 0
    assert not list((tmp_path / "spool").glob("*.ndjson"))
    assert not (tmp_path / "spool" / "rejected.jsonl").exists()  # no conflict and no unreadable line
    with store.read() as connection:
        view = LedgerView(store, connection)
        (stream,) = [s for s in view.streams()["a"] if (s.device, s.quantity) == ("cpu:0", "energy")]
        readings = connection.execute(select(table(schema.Reading)).where(table(schema.Reading).c.stream_id == stream.id)).all()
    readings = sorted(readings, key=lambda row: row.time_us)
    assert len({row.epoch_id for row in readings}) == 1
    assert all(b.value >= a.value for a, b in itertools.pairwise(readings))
    assert readings[-1].value - readings[0].value == zone.value - start_uj  # no energy is lost or counted twice
    assert len(readings) >= kills / 4  # one for every agent that lived until its first record
