"""Benchmark of a model on another host, with energy from the readings that its agent ships."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from footprint.benchmark.result_store import read_result
from footprint.cli.app import status_of
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store
from tests.integration.benchmark.conftest import Endpoint

US = 1_000_000


@pytest.mark.slow
def test_a_model_on_another_host_is_measured_by_shipped_readings(
    serve: Callable[..., Endpoint], prompts: Path, tmp_path: Path, sqlite: Store
) -> None:
    endpoint = serve("--step-s", "0.01")
    (tmp_path / "footprint.toml").write_text(f'[store]\nurl = "{sqlite.url}"\n')
    environment = os.environ | {
        "FOOTPRINT_AGENT__SPOOL": str(tmp_path / "spool"),
        "FOOTPRINT_AGENT__SERVER": "http://127.0.0.1:9",
        "FOOTPRINT_AGENT__HOST": "inf-01",
        "FOOTPRINT_AGENT__SAMPLE_S": "0.2",
        "FOOTPRINT_AGENT__INTERVAL_S": "0.2",
        "FOOTPRINT_AGENT__TOKEN_FILE": str(tmp_path / "none"),
    }
    agent = subprocess.Popen(
        [sys.executable, "-m", "collectors", "run"], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    running, shipped = True, set()

    def ship() -> None:
        ingest = IngestService(sqlite, lambda _: set())
        while running:
            for path in sorted((tmp_path / "spool").glob("*.ndjson")):
                if path.name not in shipped:
                    shipped.add(path.name)
                    ingest.accept("inf-01", path.read_bytes().splitlines(), time.time_ns() // US * 1000)
            time.sleep(0.3)

    shipping = threading.Thread(target=ship, daemon=True)
    shipping.start()
    command = ["bench-model", endpoint.url, "--prompts", str(prompts), "--concurrency", "2", "--repeats", "1", "--least-s", "4"]
    try:
        status = status_of(
            [*command, "--rest-s", "2", "--warm-up-s", "1", "--device", "cpu:0", "--host", "inf-01", "--output", "r.json"]
        )
    finally:
        running = False
        shipping.join()
        agent.terminate()
        agent.wait(timeout=20)
    assert status == 0
    result = read_result(tmp_path / "r.json").result
    truth = endpoint.truth()
    point = result.served()[0]
    assert result.conditions.sensors == "ledger"
    expected = 0.4 + (3.1 + 10 * truth["step_seconds"] / truth["steps"]) / point.steady.in_flight  # type: ignore[union-attr]
    assert point.j_per_token == pytest.approx(expected, rel=0.08)
