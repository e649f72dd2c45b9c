"""Other programs' logs: every shipped map on a row as that program writes it, hostile rows, and nothing personal kept."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from collectors.checkpoint import Checkpoint, load, save
from collectors.config import Gateway
from collectors.gateways.litellm import Footprint, replica_of, row_of
from collectors.log_tailer import LogTailer
from collectors.rotated_logs import MAX_LINE_BYTES
from footprint.core.log_formats import BadMap, load_map, shipped_maps
from footprint.core.records import RequestRecord, from_line
from footprint.core.timestamps import now_us
from footprint.ledger.importers import import_energy, import_mapped_log
from footprint.storage.database import Store
from tests.support.agents import make_agent
from tests.support.contract_files import DAY_S, NOW_US, config
from tests.support.map_fixtures import EXPECTED, FOLDER, first_document, map_of, read_file

RECORDED = Path(__file__).resolve().parents[5] / "shared" / "recordings" / "litellm" / "standard_logging_payload.jsonl.gz"
SECRET = "Hortense"
PERSONAL = {
    "messages": [{"role": "user", "content": SECRET}],
    "response": {"choices": [{"message": {"content": SECRET}}]},
    "end_user": SECRET,
    "requester_ip_address": SECRET,
    "user": SECRET,
    "prompt": SECRET,
    "user_agent": SECRET,
    "remote_addr": SECRET,
    "content": SECRET,
}
AT = DAY_S + 100
LINE_MAPS = [name for name in shipped_maps("requests") if f"{name}.jsonl" in EXPECTED]
LITELLM = first_document("litellm")
FACTS = '[[service]]\nname = "chat"\nmodel = "m"\n[[gateway]]\nname = "proxy"\nas = "litellm"\nservice = "given"\nuse_case = ["metadata.none", "request_tags =~ ^other:(.+)"]\n'


def test_every_shipped_map_has_a_file_of_its_program_and_says_where_its_form_is_published() -> None:
    assert {file.rpartition(".")[0] for file in EXPECTED} == set(shipped_maps())
    assert all(load_map(name).sources for name in shipped_maps())


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_a_file_as_its_program_writes_it(file: str) -> None:
    rows, unread = read_file(FOLDER / file, map_of(file))
    assert rows == EXPECTED[file]
    assert unread == []


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_import_takes_every_row_of_a_file_and_nothing_personal(sqlite: Store, tmp_path: Path, file: str) -> None:
    field_map, models = map_of(file), sorted({str(row.get("model", "m")) for row in EXPECTED[file]} - {""})
    facts = config(
        FACTS + "".join(f'[[service]]\nname = "s{n}"\nmodel = "{model}"\n' for n, model in enumerate(models) if model != "m")
    )
    path, now = str(FOLDER / file), 1_792_100_000 * 10**6
    if field_map.kind == "energy":
        done = import_energy(sqlite, path, now, field_map=field_map)
    else:
        done = import_mapped_log(sqlite, facts, path, field_map, now)
    assert (done.accepted, list(done.rejects)) == (len(EXPECTED[file]), [])
    sqlite.close()
    for stored in tmp_path.glob("*.db*"):
        assert SECRET.encode() not in stored.read_bytes()


@pytest.mark.parametrize("name", sorted({file.rpartition(".")[0] for file in EXPECTED if file.endswith(".jsonl")}))
def test_a_log_is_read_behind_prefixes_and_in_envelopes_of_containers(tmp_path: Path, name: str) -> None:
    """Container runtimes, syslog and collectors wrap a line; long ones they cut in two."""
    plain = (FOLDER / f"{name}.jsonl").read_text().splitlines()
    half = [len(line) // 2 for line in plain]
    forms = {
        "cri": [f"2026-07-01T00:00:00.1Z stdout F {line}" for line in plain],
        "cri-parts": [
            part for line, cut in zip(plain, half, strict=True)
            for part in (f"2026-07-01T00:00:00.1Z stdout P {line[:cut]}", f"2026-07-01T00:00:00.2Z stdout F {line[cut:]}")
        ],
        "docker": [json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2026-07-01T00:00:00Z"}) for line in plain],
        "docker-compose": [f"gateway-1  | {line}" for line in plain],
        "pod": [f"[pod/gateway-1/proxy] {line}" for line in plain],
        "fluent-bit": [json.dumps({"date": 1, "log": line, "kubernetes": {"pod_name": "p"}}) for line in plain],
        "journald": [json.dumps({"__CURSOR": "x", "MESSAGE": line, "PRIORITY": "6"}) for line in plain],
        "cloud-logging": [json.dumps({"insertId": "x", "jsonPayload": json.loads(line)}) for line in plain],
        "syslog": [f"<134>Jul  1 00:00:00 gw nginx: {line}" for line in plain],
        "array": ["[", *(f"{line}," for line in plain[:-1]), plain[-1], "]"],
        "one-line-array": [f"[{','.join(plain)}]"],
        "pretty": [json.dumps(json.loads(line), indent=2) for line in plain],
        "utf-16": plain,
        "crlf": [f"{line}\r" for line in plain],
    }  # fmt: skip
    for form, lines in forms.items():
        path = tmp_path / f"{form}.log"
        path.write_text("\n".join(lines) + "\n", encoding="utf-16" if form == "utf-16" else "utf-8")
        rows, unread = read_file(path, map_of(f"{name}.jsonl"))
        assert (rows, unread) == (EXPECTED[f"{name}.jsonl"], []), form


def test_a_declared_gateway_takes_over_the_service_and_the_rules(sqlite: Store, tmp_path: Path) -> None:
    records = config(FACTS).field_map("proxy")
    (row,) = records.mapped(LITELLM | {"request_tags": ["use_case:drafting", "other:search"]})
    assert (row["service"], row["use_case"]) == ("given", "search")


@pytest.mark.skipif(not RECORDED.exists(), reason="the recording is not here")
def test_recorded_payloads_of_a_proxy_import_whole_and_the_callback_says_the_same(sqlite: Store, tmp_path: Path) -> None:
    payloads = [json.loads(line) for line in gzip.open(RECORDED)]
    facts = config('[[service]]\nname = "small"\nmodel = "mock-small"\n[[service]]\nname = "large"\nmodel = "mock-large"\n')
    done = import_mapped_log(sqlite, facts, str(RECORDED), load_map("litellm"), now_us())
    assert (done.accepted, len(done.rejects)) == (len(payloads), 0)
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(row_of(payload)) + "\n" for payload in payloads))
    again = import_mapped_log(sqlite, facts, str(tmp_path / "requests.jsonl"), load_map("footprint"), now_us())
    assert (again.accepted, again.duplicates) == (0, len(payloads))
    assert not any(str(payload["messages"][0]["content"]) in (tmp_path / "requests.jsonl").read_text() for payload in payloads)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[fields]\nend = 'x'\n", "start is missing"),
        ("[fields]\nstart = 'x'\nprompt = 'y'\n", "no column"),
        ("form = 1\n", "unknown key"),
        ("[fields]\nstart = {path = 'x', unit = 'h'}\n", "units are"),
        ("[fields]\nstart = {path = 'x', match = '('}\n", "start: match: is no regular"),
        ("format = 'xml'\n[fields]\nstart = 'x'\n", "must be one of"),
        ("[fields]\nstart = 3\n", "neither a path nor a table"),
        ("[", "own.toml: "),
    ],
)
def test_a_map_that_cannot_be_right_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(BadMap, match=why):
        load_map(str(tmp_path / "own.toml"))


def test_an_unknown_map_names_those_that_are_shipped() -> None:
    with pytest.raises(BadMap, match="litellm-spend, litellm, mooncake"):
        load_map("lightllm")


def test_hostile_logs_are_refused_line_by_line_and_the_rest_is_kept(sqlite: Store, tmp_path: Path) -> None:
    good = LITELLM
    lines = [
        json.dumps(good).encode(),
        b"\x00\x01\xff\xfe",
        b"x" * 2_000_000,
        json.dumps(good | {"litellm_call_id": "c2", "prompt_tokens": -1}).encode(),
        json.dumps(good | {"litellm_call_id": "c3", "startTime": "yesterday"}).encode(),
        json.dumps(good | {"litellm_call_id": "c4", "endTime": 1}).encode(),
        json.dumps(good | {"completion_tokens": 99}).encode(),
        '{"é'.encode("latin-1"),
        json.dumps(good | {"litellm_call_id": "c5"}).encode(),
        b"[1]",
        b"",
    ]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))
    done = import_mapped_log(sqlite, config(FACTS), str(tmp_path / "log.jsonl"), load_map("litellm"), NOW_US)
    assert done.accepted == 2
    assert [(reject.line, reject.column) for reject in done.rejects] == [
        (2, "line"),
        (3, "line"),
        (4, "input_tokens"),
        (5, "start"),
        (6, "end"),
        (7, "id"),
        (8, "line"),
        (10, "line"),
    ]


def follow(path: Path, name: str = "litellm") -> LogTailer:
    return LogTailer(Gateway(str(path), name))


def followed_records(follower: LogTailer) -> list[RequestRecord]:
    records = [from_line(line) for line in follower.read()]
    follower.commit()
    return records  # type: ignore[return-value]


def line(number: int, **more: Any) -> str:
    return json.dumps(LITELLM | {"litellm_call_id": f"c{number}"} | more) + "\n"


def test_a_log_is_followed_through_torn_lines_rotation_and_cutting(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    follower = follow(tmp_path / "requests*.jsonl")
    assert followed_records(follower) == []
    log.write_text(line(1) + line(2)[:50])
    assert [r.id for r in followed_records(follower)] == ["c1"]
    with log.open("a") as file:
        file.write(line(2)[50:] + line(3))
    assert [r.id for r in followed_records(follower)] == ["c2", "c3"]
    with log.open("a") as file:
        file.write(line(4))
    log.rename(tmp_path / "requests.jsonl.1")
    log.write_text(line(5))
    assert [r.id for r in followed_records(follower)] == ["c4", "c5"]
    log.write_text(line(6)[:-1] + "\n")  # cut off and begun anew
    with log.open("r+") as file:
        file.truncate(0)
        file.write("\n")
    assert followed_records(follower) == []
    with log.open("a") as file:
        file.write(line(7))
    assert [r.id for r in followed_records(follower)] == ["c7"]


def test_what_was_not_kept_is_read_again_with_the_same_identity(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_text(line(1, litellm_call_id=None))
    follower = follow(log)
    first, again = follower.read(), follower.read()
    assert first == again
    assert RequestRecord.__name__ == type(from_line(first[0])).__name__
    follower.commit()
    assert follower.read() == []


def test_lines_that_are_no_requests_are_counted_and_go_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_text(f"{SECRET}\n\n{line(1)}{line(2, prompt_tokens=-4)}{'x' * (3 * MAX_LINE_BYTES)}\n{line(3)}")
    follower = follow(log)
    records = [r.id for _ in range(4) for r in followed_records(follower)]
    assert records == ["c1", "c3"]
    assert follower.refused_lines >= 3


def test_the_agent_ships_requests_and_remembers_how_far_it_read(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_text(line(1) + line(2))
    agent = make_agent(tmp_path)
    agent.log_tailers.append(follow(log))
    agent.write_records(NOW_US, 1)
    lines = [json.loads(raw) for raw in agent.spool.read(10**9)[1]]
    assert [each["id"] for each in lines if each["kind"] == "request"] == ["c1", "c2"]
    assert not any(SECRET in json.dumps(each) for each in lines)
    logs = load(agent.spool.folder, "another boot").logs
    assert [(file["path"], file["offset"]) for file in logs[str(log)]["files"]] == [(str(log), log.stat().st_size)]
    assert SECRET not in json.dumps(logs)
    again = make_agent(tmp_path)
    again.log_tailers.append(follow(log))
    again.restore()
    with log.open("a") as file:
        file.write(line(3))
    again.boundary_lines.clear()
    assert [r.id for r in followed_records(again.log_tailers[0])] == ["c3"]


def test_while_the_disk_is_full_requests_wait_in_their_log(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_text(line(1))
    agent = make_agent(tmp_path, spool_max_mb=0.0001)
    agent.log_tailers.append(follow(log))
    agent.write_records(NOW_US, 1)
    assert agent.spool.segments() == []
    agent.spool._max_bytes = 10**6
    agent.write_records(NOW_US + 10, 2)
    assert sum(json.loads(raw)["kind"] == "request" for raw in agent.spool.read(10**9)[1]) == 1


def test_memory_of_before_logs_is_no_memory(tmp_path: Path) -> None:
    save(tmp_path, "b", Checkpoint(pending=["{}"]))
    assert load(tmp_path, "b") == Checkpoint(pending=["{}"])
    (tmp_path / "meters.json").write_text('{"boot": "b", "meters": [], "pending": []}')
    assert load(tmp_path, "b") == Checkpoint()


def test_read_prints_request_lines_that_import_takes(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(line(1) + "no json\n" + line(2))
    given = os.environ | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-m", "collectors", "read", "--as", "litellm", "log.jsonl"],
        cwd=tmp_path,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert "1 lines cannot be read, first: log.jsonl line 2" in done.stderr
    assert [json.loads(each)["id"] for each in done.stdout.splitlines()] == ["c1", "c2"]
    (tmp_path / "footprint.toml").write_text(FACTS)
    command = [sys.executable, "-m", "footprint.cli", "import", "requests", "-"]
    brought = subprocess.run(command, cwd=tmp_path, env=given, input=done.stdout, capture_output=True, text=True, check=False)
    assert brought.returncode == 0, brought.stderr
    assert "2 new" in brought.stderr
    again = subprocess.run(
        [*command[:-1], "--as", "litellm", "log.jsonl"], cwd=tmp_path, env=given, capture_output=True, text=True, check=False
    )
    assert again.returncode == 5
    assert "0 new, 2 already known, 1 refused" in again.stderr


def test_the_agent_of_a_gateway_needs_no_sensor(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(line(1) + line(2))
    (tmp_path / "footprint.toml").write_text('[[gateway]]\nname = "proxy"\nas = "litellm"\nlog = "log.jsonl"\n')
    given = os.environ | {
        "PYTHONPATH": str(Path.cwd()),
        "FOOTPRINT_SYSFS": str(tmp_path / "sys"),
        "FOOTPRINT_PROC": str(tmp_path / "proc"),
        "FOOTPRINT_AGENT__SAMPLE_S": "0.1",
        "FOOTPRINT_AGENT__INTERVAL_S": "0.2",
        "FOOTPRINT_AGENT__SERVER": "http://127.0.0.1:1",
    }
    agent = subprocess.Popen(
        [sys.executable, "-m", "collectors", "run"], cwd=tmp_path, env=given, stderr=subprocess.PIPE, text=True
    )
    try:
        until = time.monotonic() + 20
        records: list[str] = []
        while len(records) < 2 and agent.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
            segments = sorted((tmp_path / "spool").glob("*.ndjson"))
            records = [
                json.loads(raw)["id"] for path in segments for raw in path.read_text().splitlines() if '"kind":"request"' in raw
            ]
    finally:
        agent.terminate()
        expected = agent.communicate(timeout=20)[1]
    assert sorted(records) == ["c1", "c2"], expected
    assert agent.returncode == 0


@pytest.mark.parametrize(("name", "field", "value", "replica"), [
    ("nginx", "upstream_addr", "10.0.0.12:8000", "10.0.0.12"),
    ("nginx", "upstream_addr", "inf-01:8000, inf-02:8000", "inf-02"),
    ("nginx", "upstream_addr", "[fd00::12]:8000", "[fd00::12]"),
    ("nginx", "upstream_addr", "-", None),
    ("envoy", "upstream_host", "10.0.0.12:8000", "10.0.0.12"),
    ("envoy-ai-gateway", "upstream_host", "inf-01:443", "inf-01"),
    ("litellm", "api_base", "http://inf-01:8000/v1", "inf-01"),
    ("litellm", "model_id", "large-on-inf-01", "large-on-inf-01"),
    ("litellm-spend", "api_base", "https://inf-02/v1", "inf-02"),
    ("footprint", "replica", "inf-03", "inf-03"),
])  # fmt: skip
def test_maps_read_the_host_that_served_a_request(name: str, field: str, value: str, replica: str | None) -> None:
    """The server behind the gateway, as the gateway names it; never the client."""
    document = {**PERSONAL, **first_document(name), field: value}
    (row,) = load_map(name).mapped(document if field != "model_id" else document | {"api_base": None})
    assert row.get("replica") == replica


@pytest.mark.parametrize(("payload", "replica"), [
    ({"api_base": "http://inf-01:8000/v1", "model_id": "x"}, "inf-01"),
    ({"model_id": "large-1"}, "large-1"),
    ({"api_base": None, "model_id": ""}, None),
    ({}, None),
])  # fmt: skip
def test_the_callback_writes_the_host_of_the_deployment(payload: dict[str, Any], replica: str | None) -> None:
    assert row_of({"startTime": AT, "endTime": AT + 1, **payload}).get("replica") == replica


@pytest.mark.parametrize("name", LINE_MAPS)
@pytest.mark.parametrize("part", ["a", "a.", "9", "x@a.", "://:", "sk-"])
def test_long_texts_from_clients_are_not_searched(name: str, part: str) -> None:
    """A header of a client in a log: a search of such a text took an hour, and the agent measured nothing meanwhile."""
    text = part * 200_000
    field_map = map_of(f"{name}.")
    document = first_document(name)
    rules = [path for rule in field_map.rules for source in rule for path in source.paths]
    for path in (path for path in field_map.paths if path in rules or path[-1] in ("api_base", "upstream_host", "model_id")):
        inner: Any = document
        for key in path[:-1]:
            inner[key] = inner[key] if isinstance(inner.get(key), dict) else {}
            inner = inner[key]
        inner[path[-1]] = text
    rows = field_map.mapped(document)
    assert [row["use_case"] for row in rows] == [""] * len(rows)


@pytest.mark.parametrize("api_base", ["http://[", "http://a]b", 5, None, ""])
def test_an_address_that_is_none_loses_no_request_of_litellm(api_base: Any) -> None:
    assert replica_of({"api_base": api_base, "model_id": "d1"}) == "d1"


def test_half_a_surrogate_pair_loses_no_request_of_litellm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTPRINT_REQUESTS", str(tmp_path / "requests.jsonl"))
    payload = {
        "litellm_call_id": "1",
        "startTime": 1_790_000_000.0,
        "endTime": 1_790_000_001.0,
        "model": "m",
        "model_group": "\ud800",
    }
    Footprint().append({"standard_logging_object": payload})
    [line] = (tmp_path / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["id"] == "1"
