"""Agents: one silent host among many is seen, page views are no readings, and hostile headers are bounded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprint.access.agent_tokens import add_token
from footprint.cli.app import status_of
from footprint.config import load_config
from footprint.core.limits import name_fault
from footprint.core.records import EnergyReading, RequestRecord, to_line
from footprint.core.timestamps import format_instant
from footprint.ledger.agent_status import BAD_HEADER, agent_statuses, parse_status
from footprint.storage.database import Store
from tests.support.commands import printed_rows
from tests.support.services import api_over, local_client

S = 1_000_000


def readings(host: str, until_us: int, count: int = 60) -> str:
    return "\n".join(
        to_line(EnergyReading(host, "GPU-x", "gpu", "nvml-energy", "e", n, until_us - (count - n) * S, n * S, n * S))
        for n in range(count)
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    blocks = "".join(f'[[host]]\nname = "{name}"\n' for name in ("inf-01", "inf-02", "inf-03"))
    (tmp_path / "footprint.toml").write_text(blocks)
    return tmp_path


def test_one_silent_host_is_seen_by_every_door(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts, now_us = load_config(), time.time_ns() // 1000
    store = Store(facts.store_url, demo=False)
    client = local_client(api_over(store, facts, lambda: now_us))
    problems = json.dumps({"rejected": 3, "ship_failures": 2})
    for host, age_s in (("inf-01", 5), ("inf-02", 7200), ("other", 30)):
        headers = {
            "Authorization": f"Bearer {add_token(store, host, now_us)}",
            "Footprint-Agent-Version": "0.3.0",
            "Footprint-Agent-Backlog": "1234",
            "Footprint-Agent-Clock": format_instant(now_us + 7 * S),
            "Footprint-Agent-Problems": problems,
        }
        answer = client.post("/api/v1/ingest", content=readings(host, now_us - age_s * S), headers=headers)
        assert answer.json()["accepted"] == 60
    add_token(store, "with-token", now_us)
    # A request of this minute, of the silent host's service: no sign of a sensor.
    request = to_line(RequestRecord(start_us=now_us - S, end_us=now_us, service="chat", use_case="drafting", id="x"))
    assert client.post("/api/v1/ingest", content=request, headers=headers).json()["accepted"] == 1

    rows = {row["host"]: row for row in printed_rows(capsys, "agents")}
    assert {host: row["state"] for host, row in rows.items()} == {
        "inf-01": "reporting",
        "inf-02": "silent",
        "inf-03": "never",
        "other": "reporting",
        "with-token": "never",
    }
    assert [row["declared"] for row in rows.values()] == [True, True, True, False, False]
    assert rows["inf-02"]["age_s"] == pytest.approx(7200, abs=60)
    assert rows["inf-01"]["backlog_bytes"] == 1234
    assert rows["inf-01"]["clock_offset_s"] == 7
    assert rows["inf-01"]["problems"] == "rejected: 3; ship_failures: 2"
    assert status_of(["agents", "--check"]) == 6
    assert "inf-02, inf-03" in capsys.readouterr().err

    metrics = client.get("/metrics").text
    assert 'footprint_build_info{version="' in metrics
    ages = dict(
        line.removeprefix("footprint_host_last_reading_age_seconds").split(" ")
        for line in metrics.splitlines()
        if line.startswith("footprint_host_last_reading_age_seconds{")
    )
    assert float(ages['{host="inf-02"}']) > 7000
    assert float(ages['{host="inf-01"}']) < 60

    capsys.readouterr()
    assert status_of(["check", "--format", "json"]) == 6
    out, err = capsys.readouterr()
    checks = {row["check"]: row for row in json.loads(out)["rows"]}
    assert checks["age of the last reading of inf-01 [s]"]["met"]
    assert not checks["age of the last reading of inf-02 [s]"]["met"]
    assert not checks["age of the last reading of inf-03 [s]"]["met"]
    assert "inf-02" in err
    store.close()


def test_no_reading_is_never_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    facts, now_us = load_config(), time.time_ns() // 1000
    store = Store(facts.store_url, demo=False)
    client = local_client(api_over(store, facts, lambda: now_us))
    headers = {"Authorization": f"Bearer {add_token(store, 'gw', now_us)}"}
    request = to_line(RequestRecord(start_us=now_us - S, end_us=now_us, service="chat", use_case="drafting", id="x"))
    assert client.post("/api/v1/ingest", content=request, headers=headers).json()["accepted"] == 1
    assert status_of(["check"]) == 6
    assert "age of the last reading" in capsys.readouterr().err
    assert "last_reading_age_seconds{" not in client.get("/metrics").text
    store.close()


HEADERS = ("version", "backlog", "clock", "problems")
texts = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "[" * 4000,
            '{"a":' * 800,
            "9" * 5000,
            "-1",
            "1e400",
            "NaN",
            '{"x": 1e999}',
            '{"x": true, "y": -1, "z": "1"}',
            '{"jean@example.org": 5}',
            '{"\\u001b[2J": 1, "\\u202e": 2, "a\\nb": 3}',
            "٣",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
            json.dumps({f"reason {n}": n for n in range(1000)}),
            json.dumps({f"r{n}": 10**30 for n in range(20)}),
            "x" * 100_000,
        ]
    ),
)


@given(st.dictionaries(st.sampled_from(HEADERS), texts))
def test_any_header_gives_a_small_status(values: dict[str, str]) -> None:
    now_us = 1_790_000_000 * S
    status = parse_status({f"footprint-agent-{name}": value for name, value in values.items()}, now_us)
    assert (status is None) == (not values)
    if status is None:
        return
    assert len(status.version) <= 40
    assert status.backlog_bytes is None or 0 <= status.backlog_bytes <= 10**15
    assert len(status.problems) <= 51
    for reason, count in status.problems.items():
        assert name_fault(reason) == ""
        assert "@" not in reason
        assert 0 < count <= 10**15
    assert len(json.dumps(status.problems)) < 6000


def test_what_is_not_understood_is_counted(sqlite: Store) -> None:
    facts = load_config()
    client = local_client(api_over(sqlite, facts, lambda: 1_790_000_000 * S))
    headers = {
        "Authorization": f"Bearer {add_token(sqlite, 'a', 1)}",
        "Footprint-Agent-Version": "0.3<script>",
        "Footprint-Agent-Backlog": "many",
        "Footprint-Agent-Problems": '{"good": 1, "bad": -1}',
    }
    assert client.post("/api/v1/ingest", content="", headers=headers).status_code == 200
    (status,) = agent_statuses(sqlite).values()
    assert status.problems == {"good": 1, BAD_HEADER: 3}
    assert (status.version, status.backlog_bytes) == ("", None)
