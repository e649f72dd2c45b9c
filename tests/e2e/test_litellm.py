"""Real LiteLLM proxy with the Footprint callback: every request is in the ledger once, with its tokens and its use case."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import collectors.gateways.litellm
from collectors.config import Gateway
from collectors.log_tailer import LogTailer
from footprint.aggregation.aggregate import aggregate
from footprint.config import Config
from footprint.figures import Query, run_query
from footprint.impact.factor_book import shipped_book
from footprint.ledger.ingest import IngestService
from footprint.ledger.prometheus_request_import import import_gateway_counters
from footprint.storage.database import Store
from tests.support.contract_files import config
from tests.support.processes import free_port

PROXY = Path(__file__).resolve().parents[2] / ".venv-litellm" / "bin" / "litellm"
SECRET = "Hortense"
CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: openai/gpt-4o-mini, api_key: sk-fake, mock_response: "one two three"}
  - model_name: large
    litellm_params: {model: openai/gpt-4o, api_key: sk-fake, mock_response: "one two three four five six seven"}
  - model_name: broken
    litellm_params: {model: openai/gpt-4o, api_key: sk-fake, mock_response: "litellm.RateLimitError"}
litellm_settings:
  callbacks: ["prometheus", "footprint_litellm.handler"]
  num_retries: 0
  require_auth_for_metrics_endpoint: false
  custom_prometheus_metadata_labels: ["metadata.use_case"]
general_settings: {master_key: sk-master}
router_settings: {num_retries: 0}
"""
FACTS = "".join(f'[[service]]\nname = "{name}-service"\nmodel = "{name}"\n' for name in ("small", "large", "broken"))
USE_CASES = ("drafting", "search", "code")
pytestmark = pytest.mark.slow


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FOOTPRINT", "PYTHON"))}
    environment |= {
        "FOOTPRINT_REQUESTS": str(folder / "requests.jsonl"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_DOCS": "True",
    }
    with (folder / "proxy.log").open("ab") as log:
        process = subprocess.Popen(
            [str(PROXY), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=2).status_code == 200:
                return process
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError((folder / "proxy.log").read_text()[-3000:])


def stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask_proxy(port: int, number: int, kind: str, model: str, use_case: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": SECRET}], "stream": kind != "plain", "user": SECRET}
    if number % 3 == 0:
        headers, body["metadata"] = {}, {"use_case": use_case}
    elif number % 3 == 1:
        headers, body["metadata"] = {}, {"tags": [f"use_case:{use_case}"]}
    else:
        headers = {"x-use-case": use_case}
    headers |= {"Authorization": "Bearer sk-master"}
    with (
        httpx.Client(timeout=60) as client,
        client.stream("POST", f"http://127.0.0.1:{port}/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        if kind == "given up":
            return  # the client disconnects during the response
        answer.read()


def start_prometheus(folder: Path, proxy_port: int, port: int) -> subprocess.Popen[bytes]:
    """Start a real Prometheus that scrapes the proxy every second."""
    (folder / "prometheus.yml").write_text(
        "scrape_configs: [{job_name: proxy, scrape_interval: 1s, scrape_timeout: 1s, metrics_path: /metrics/, "
        f"static_configs: [{{targets: ['127.0.0.1:{proxy_port}']}}]}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows_now(store: Store, facts: Config, group: str) -> list[dict[str, Any]]:
    """Rows by a column, computed now: the requests are of today."""
    now_us = time.time_ns() // 1000
    aggregate(store, facts, shipped_book(), now_us)
    return run_query(store, facts, Query(group=(group,)), now_us).rows


def check_counters(
    facts: Config, server: str, begun_us: int, sent: list[tuple[str, str, str]], rows: list[dict[str, object]], folder: Path
) -> None:
    """Compare with an import of the proxy's counters from Prometheus, for sites without a request log."""
    other = Store(f"sqlite:///{folder / 'counters.db'}")
    now_us = time.time_ns() // 1000
    result = import_gateway_counters(other, facts, server, begun_us, now_us, now_us)
    assert result.accepted
    assert not result.rejects
    counted = {row["model"]: row for row in rows_now(other, facts, "model")}
    for model in ("small", "large", "broken"):
        tokens = [int(str(row.get("output_tokens") or 0)) for row in rows if row["model"] == model]
        # Abandoned requests may be in either source or in both.
        given_up = sum(kind == "given up" and requested == model for kind, requested, _ in sent)
        assert abs(counted[model]["requests"] - len(tokens)) <= given_up, model
        assert abs(counted[model]["output_tokens"] - sum(tokens)) <= given_up * max(tokens), model
    other.close()


def test_every_request_through_a_real_proxy_is_in_the_ledger_once(sqlite: Store, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    shutil.copy(collectors.gateways.litellm.__file__, tmp_path / "footprint_litellm.py")
    rng = random.Random(1)
    kinds = ["plain", "plain", "streamed", "streamed", "given up"]
    sent = [(rng.choice(kinds), rng.choice(["small", "large", "large", "broken"]), rng.choice(USE_CASES)) for _ in range(500)]
    port = free_port()
    follower = LogTailer(Gateway(str(tmp_path / "requests.jsonl"), "footprint"))
    facts: Config = config(FACTS)
    inbox = IngestService(sqlite, facts.services_of_model)

    def ship() -> int:
        result = inbox.accept("gateway", [line.encode() for line in follower.read()], time.time_ns() // 1000)
        assert not result.rejects
        follower.commit()
        return result.accepted

    start_us, scraper_port = time.time_ns() // 1000, free_port()
    scraper = start_prometheus(tmp_path, port, scraper_port)
    accepted = 0
    for half in (sent[:250], sent[250:]):
        process = start(tmp_path, port)
        expected = accepted + len([request for request in half if request[0] != "given up"])
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda numbered: ask_proxy(port, numbered[0], *numbered[1]), enumerate(half)))
        until = time.monotonic() + 60
        while accepted < expected and time.monotonic() < until:
            time.sleep(0.5)
            accepted += ship()
        time.sleep(4)  # for one more scrape
        accepted += ship()
        stop(process)  # restarted in the middle
    accepted += ship()
    rows = lines_of(tmp_path / "requests.jsonl")
    assert SECRET not in (tmp_path / "requests.jsonl").read_text()
    assert len({row["id"] for row in rows}) == len(rows) == accepted
    certain = Counter((model, use_case) for kind, model, use_case in sent if kind != "given up")
    possible = Counter((model, use_case) for _, model, use_case in sent)
    logged = Counter((str(row["model"]), str(row["use_case"])) for row in rows)
    for key in possible:
        # The proxy may or may not log a call that its client abandoned; it logs every other call exactly once.
        assert certain[key] <= logged[key] <= possible[key], key
    assert {row["status"] for row in rows if row["model"] == "broken"} == {"error"}
    answered = [row for row in rows if row["status"] == "ok"]
    assert {row["model"] for row in answered if row["output_tokens"]} == {"small", "large"}
    figures = {row["use_case"]: row for row in rows_now(sqlite, facts, "use_case") if row["use_case"] in USE_CASES}
    for use_case in USE_CASES:
        use_case_rows = [row for row in rows if row["use_case"] == use_case]
        assert figures[use_case]["requests"] == len(use_case_rows)
        assert figures[use_case]["output_tokens"] == sum(int(str(row.get("output_tokens") or 0)) for row in use_case_rows)
    check_counters(facts, f"http://127.0.0.1:{scraper_port}", start_us, sent, rows, tmp_path)
    scraper.terminate()
    scraper.wait(20)
