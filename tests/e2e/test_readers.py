"""Load test: twenty concurrent readers with different filters on a large store, while an agent ships."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from footprint.access.agent_tokens import add_token
from footprint.core.records import EnergyReading, to_line
from footprint.storage import schema
from footprint.storage.database import Store
from tests.benchmarks.large import build, config_text
from tests.support.ledger_contents import count
from tests.support.page_requests import card_request, frame_names, json_list, shell_request
from tests.support.processes import start_server

pytestmark = pytest.mark.slow
READERS, ROUNDS, SERVICES, USES, DAYS = 20, 3, 50, 20, 40
PERIODS = ("2026-01", "2026-02", "2026-Q1", "2026", "all")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("large")
    (folder / "footprint.toml").write_text(config_text(SERVICES, USES), encoding="utf-8")
    build(folder / "footprint.db", DAYS, SERVICES, USES)[0].close()
    process, address = start_server(folder)
    yield address, folder
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def page(base: str, search: str) -> tuple[str, float, float]:
    """Request the overview like a browser; return its content, and the durations to its shell and to its last card [s]."""

    def post(request: dict[str, Any]) -> str:
        body = json.dumps(request).encode()
        message = urllib.request.Request(f"{base}/_dash-update-component", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(message, timeout=120) as answer:
            assert answer.status in (200, 204)
            return str(answer.read().decode())

    start = time.perf_counter()
    shell = post(shell_request("/", search))
    first_paint_s = time.perf_counter() - start
    cards = [post(card_request(name, f"/{search}")) for name in frame_names(shell)]
    return json_list(cards), first_paint_s, time.perf_counter() - start


def searches(reader: int) -> list[str]:
    return [
        f"?lang=en&period={PERIODS[(reader + turn) % len(PERIODS)]}&service=service-{(7 * reader + turn) % SERVICES:02}"
        for turn in range(ROUNDS)
    ]


def test_twenty_concurrent_readers_and_the_ingest_are_served(base: tuple[str, Path], capsys: Any) -> None:
    address, folder = base
    store = Store(f"sqlite:///{folder / 'footprint.db'}")
    token = add_token(store, "host-000", 1)
    before = count(store, schema.Reading)
    sent, stop = [0], threading.Event()

    def ship() -> None:
        while not stop.is_set():
            at = time.time_ns() // 1000
            line = to_line(EnergyReading("host-000", "gpu:0", "gpu", "nvml-energy", "e", sent[0], at, sent[0] * 1_000_000, at))
            request = urllib.request.Request(
                f"{address}/api/v1/ingest", (line + "\n").encode(), {"Authorization": f"Bearer {token}"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert json.load(answer)["accepted"] == 1
            sent[0] += 1
            time.sleep(0.05)

    agent = threading.Thread(target=ship)
    agent.start()
    with ThreadPoolExecutor(READERS) as pool:
        answers = [
            answer
            for answers_of_reader in pool.map(lambda n: [page(address, search) for search in searches(n)], range(READERS))
            for answer in answers_of_reader
        ]
    stop.set()
    agent.join()
    assert len(answers) == READERS * ROUNDS
    assert not [body for body, _, _ in answers if "cannot be read" in body or "does not answer" in body or "kWh" not in body]
    assert sent[0] > 0
    assert count(store, schema.Reading) - before == sent[0]
    store.close()
    paints, durations = (sorted(answer[part] for answer in answers) for part in (1, 2))
    with capsys.disabled():
        print(
            f"\n{len(durations)} pages, p50 {durations[len(durations) // 2]:.2f} s, last {durations[-1]:.2f} s; "
            f"first paint p50 {paints[len(paints) // 2]:.2f} s, last {paints[-1]:.2f} s; {sent[0]} ingests"
        )
