"""Every door under seeded, bounded fuzzing: a refusal with a reason, never a failure of the server, never a traceback.

The memory of a door is at most ``MAX_PEAK_BYTES`` of Python objects for inputs of up to 64 kB.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from collectors.log_tailer import request_line
from collectors.otlp import BadExport, energy_of, parse_export, points_of, spans_of
from collectors.otlp_metrics import TokenWindows
from dashboards.page_shell import PAGES
from footprint.access.agent_tokens import add_token
from footprint.config import ConfigError, parse_config
from footprint.core.exposition import parse_exposition
from footprint.core.log_formats import BadMap, load_map, shipped_maps
from footprint.core.records import FootprintError
from footprint.core.resources import data_path
from footprint.ledger import verifier
from footprint.ledger.archive_writer import seal
from footprint.ledger.backup import backup, restore
from footprint.ledger.object_store import ObjectStore
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, NOW_US, compute, config
from tests.support.page_requests import card_request, frame_names, pause_request, poll_request, power_request, shell_request
from tests.support.services import api_over, local_client, pages_over
from tests.support.three_days import import_all
from tests.unit.footprint.api.test_api import lines as record_lines

SEED, CASES = 20, 300
CALLBACKS = "/_dash-update-component"
MAX_PEAK_BYTES = 256 << 20
WORDS = [
    "",
    "0",
    "-1",
    "9" * 40,
    "1e999",
    "NaN",
    "null",
    "[]",
    "{}",
    "\x00",
    "\u202e",
    "\ud800",
    "A" * 5000,
    "9999-12-31T23:59:59Z",
]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x" * 5000,
    "\x00",
    "\u202e",
    [],
    {},
    [[]],
    {"a": {}},
]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("fuzz")
    store = Store(f"sqlite:///{folder / 'store.db'}")
    import_all(store, folder / "in")
    compute(store, config())
    yield store
    store.close()


@contextmanager
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] <= MAX_PEAK_BYTES
    finally:
        tracemalloc.stop()


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Bytes with a few pieces flipped, cut, repeated or put in."""
    data = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1) if data else 0
        match rng.randrange(5):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.randint(1, 40)]
            case 2:
                data[at:at] = data[at : at + rng.randint(1, 200)] * rng.randint(1, 20)
            case 3:
                data[at:at] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
            case _:
                data[at:at] = rng.randbytes(rng.randint(1, 20))
    return bytes(data[: 64 << 10])


def altered(value: Any, rng: random.Random) -> Any:
    """A JSON value with some of its parts replaced by values of other types and sizes."""
    if rng.random() < 0.08:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        return {key: altered(item, rng) for key, item in value.items() if rng.random() > 0.05}
    if isinstance(value, list):
        return [altered(item, rng) for item in value]
    return value


@pytest.fixture(scope="module")
def api(ledger: Store) -> Any:
    return api_over(ledger, config(), lambda: NOW_US)


@pytest.fixture(scope="module")
def openapi(api: Any) -> Any:
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", api, headers={"Host": "127.0.0.1"})


@schemathesis.serializer("application/x-ndjson")
def lines_of_json(_context: Any, value: Any) -> bytes:
    """The body of a shipment as it is sent."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else json.dumps(value).encode()


@pytest.mark.slow
def test_every_route_answers_as_the_openapi_document_says(openapi: Any) -> None:
    tried = 0
    for result in openapi.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        def check(case: Any) -> None:
            case.call_and_validate(base_url="http://127.0.0.1", checks=[not_a_server_error, status_code_conformance])

        check()
        tried += 1
    assert tried > 15


def test_the_openapi_document_is_complete(api: Any) -> None:
    document = local_client(api).get("/api/v1/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert {"200", "400", "401", "403", "404", "429", "503"} <= set(operation["responses"]), path
            assert operation["security"]
    ingest = document["paths"]["/api/v1/ingest"]["post"]
    assert ingest["requestBody"]["content"] == {"application/x-ndjson": {"schema": {"type": "string"}}}
    assert "413" in ingest["responses"]
    assert ingest["security"] == [{"bearer": []}]


def test_shipments(api: Any, ledger: Store) -> None:
    rng, client = random.Random(SEED), TestClient(api, raise_server_exceptions=False)
    token = add_token(ledger, "a", NOW_US)
    records = [json.loads(line) for line in record_lines()]
    statuses: Counter[int] = Counter()
    with bounded_memory():
        for _ in range(CASES):
            body = "\n".join(json.dumps(altered(rng.choice(records), rng)) for _ in range(5)).encode()
            body = mutated(body, rng) if rng.random() < 0.5 else body
            headers = {"Authorization": f"Bearer {token}"}
            if rng.random() < 0.4:
                body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
                body = mutated(body, rng) if rng.random() < 0.5 else body
            answer = client.post("/api/v1/ingest", content=body, headers=headers)
            statuses[answer.status_code] += 1
            assert answer.status_code in (200, 400, 403, 413), body
            assert "Traceback" not in answer.text
    assert statuses[200] > CASES / 4


def test_callbacks_of_pages(ledger: Store) -> None:
    rng = random.Random(SEED)
    client = local_client(pages_over(ledger, config(), lambda: NOW_US), raise_server_exceptions=False)
    requests = [
        shell_request("/", "?lang=en"),
        shell_request("/compare", "?a=chat"),
        card_request("trend", "/"),
        poll_request("/"),
        power_request("/hosts", "?name=a"),
        pause_request(),
    ]
    assert {client.post(CALLBACKS, json=request).status_code for request in requests} <= {200, 204}
    with bounded_memory():
        for _ in range(CASES // 3):
            document = altered(rng.choice(requests), rng)
            body = json.dumps(document).encode()
            body = mutated(body, rng) if rng.random() < 0.3 else body
            answer = client.post(CALLBACKS, content=body, headers={"Content-Type": "application/json"})
            assert "Traceback" not in answer.text
            assert answer.status_code < 500, (answer.status_code, body[:300])


def test_cards_of_any_address(ledger: Store, caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(SEED)
    client = local_client(pages_over(ledger, config(), lambda: NOW_US), raise_server_exceptions=False)
    params = [
        "from",
        "to",
        "period",
        "vs",
        "view",
        "name",
        "at",
        "model",
        "a",
        "b",
        "kind",
        "day",
        "of",
        "figure",
        "id",
        "service",
    ]
    values = ["now-999999w", "0001-01-01", "9999", "9999-Q4", "2026-07-02", "2026-07-01", "hour", "chat", "gpu:0", "1s", *WORDS]
    backwards = [(path, [("from", "2026-07-02"), ("to", "2026-07-01")]) for path in sorted(PAGES)]
    arbitrary = [
        (rng.choice(sorted(PAGES)), [(rng.choice(params), rng.choice(values)) for _ in range(rng.randint(1, 3))])
        for _ in range(CASES // 3)
    ]
    for path, pairs in backwards + arbitrary:
        search = f"?{urlencode(pairs, errors='replace')}"
        shell = client.post(CALLBACKS, json=shell_request(path, search))
        assert shell.status_code == 200, (path, search, shell.text[:300])
        names = frame_names(shell.text)
        for name in rng.sample(names, min(3, len(names))):
            answer = client.post(CALLBACKS, json=card_request(name, path + search))
            assert answer.status_code in (200, 204), (name, path, search, answer.text[:300])
        assert "Traceback" not in caplog.text, (path, search)


def test_addresses_of_pages_and_of_the_api(ledger: Store) -> None:
    rng = random.Random(SEED)
    client = local_client(pages_over(ledger, config(), lambda: NOW_US), raise_server_exceptions=False)
    paths = [
        "/",
        "/compare",
        "/charter",
        "/quality",
        "/explain",
        "/api/v1/footprint",
        "/api/v1/readings",
        "/api/v1/trace",
        "/metrics",
    ]
    names = ["from", "to", "period", "lang", "group", "every", "where", "view", "format", "name", "at", "model"]
    values = [*WORDS[:-1], "now-999999w", "0001-01-01", "9999", "2026-Q9", "2026-07-01", "hour", "service,use_case", "x=y"]
    for _ in range(CASES // 2):
        query = {rng.choice(names): rng.choice(values).encode("utf-8", "replace").decode() for _ in range(rng.randint(1, 3))}
        answer = client.get(rng.choice(paths), params=query)
        assert answer.status_code < 500, (answer.request.url, answer.text[:300])
        assert "Traceback" not in answer.text


def test_exports_of_telemetry() -> None:
    rng = random.Random(SEED)
    attributes = [
        {"key": "gen_ai.request.model", "value": {"stringValue": "m"}},
        {"key": "hw.type", "value": {"stringValue": "gpu"}},
    ]
    span = {
        "startTimeUnixNano": "1782864000000000000",
        "endTimeUnixNano": "1782864001000000000",
        "kind": 3,
        "traceId": "t",
        "spanId": "s",
        "status": {"code": 0},
        "attributes": attributes,
    }
    point = {
        "asDouble": 5.0,
        "timeUnixNano": "1782864000000000000",
        "startTimeUnixNano": "1",
        "count": 2,
        "sum": 3.0,
        "attributes": attributes,
    }
    metric = {"name": "hw.energy", "sum": {"aggregationTemporality": 2, "dataPoints": [point]}}
    tokens = {"name": "gen_ai.client.token.usage", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}}
    document = {
        "resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [span]}]}],
        "resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric, tokens]}]}],
    }
    field_map, windows = load_map("otlp"), TokenWindows()
    refusals = (BadExport, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
    with bounded_memory():
        for _ in range(CASES):
            body = json.dumps(altered(document, rng)).encode()
            body = mutated(body, rng) if rng.random() < 0.3 else body
            try:
                parsed = parse_export("/v1/traces", "application/json", body)
                list(energy_of(parsed, NOW_US, 1))
                windows.add(points_of(parsed), Counter())
                for each in spans_of(parsed):
                    assert isinstance(request_line(field_map, each, ""), str | None)
            except refusals:
                pass  # what the receiver answers with 400 (tests of the receiver itself are in test_otlp.py)


def test_expositions() -> None:
    rng = random.Random(SEED)
    text = "".join(f'DCGM_FI_DEV_POWER_USAGE{{gpu="{n}",Hostname="a\\"b"}} {n}.5 1782864000000\n# HELP x y\n' for n in range(50))
    with bounded_memory():
        for _ in range(CASES):
            list(parse_exposition(mutated(text.encode(), rng).decode("utf-8", "replace")))


def test_maps_and_their_logs(tmp_path: Path) -> None:
    rng, path = random.Random(SEED), tmp_path / "map.toml"
    texts = [(data_path("maps") / f"{name}.toml").read_bytes() for name in shipped_maps()]
    row = {
        "startTime": 1782864000,
        "endTime": 1782864001,
        "start": 1782864000,
        "end": 1782864001,
        "model": "m",
        "metadata": {"use_case": "x"},
        "request_tags": ["use_case:x"],
        "usage": {"prompt_tokens": 3},
        "prompt_tokens": 3,
        "status": 200,
    }
    for _ in range(CASES):
        path.write_bytes(mutated(rng.choice(texts), rng))
        try:
            field_map = load_map(str(path))
        except BadMap:
            field_map = load_map(rng.choice(shipped_maps()))
        for _ in range(3):
            assert isinstance(request_line(field_map, altered(row, rng), "1"), str | None)


def test_configurations() -> None:
    rng = random.Random(SEED)
    full = (data_path("footprint.toml")).read_text()
    uncommented = "\n".join(
        line.removeprefix("# ") for line in full.splitlines() if not line.startswith("# ") or "=" in line or "[" in line
    )
    for _ in range(CASES):
        text = mutated(rng.choice([CONFIG, full, uncommented]).encode(), rng).decode("utf-8", "replace")
        message = config_fault(text)
        assert message is None or message.startswith("footprint.toml:"), message


def config_fault(text: str) -> str | None:
    """Message with which a configuration is refused; None if it is right."""
    try:
        parse_config(text)
    except ConfigError as error:
        return str(error)
    return None


def test_sealed_files(ledger: Store, tmp_path: Path) -> None:
    rng, folder = random.Random(SEED), tmp_path / "sealed"
    seal(ledger, ObjectStore(str(folder)), NOW_US, after_days=2, keep_days=4000)
    assert verifier.verify(folder)[0] == []
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for _ in range(CASES // 3):
        path = rng.choice(paths)
        before = path.read_bytes()
        changed = mutated(before, rng)
        if changed == before:
            continue
        path.write_bytes(changed)
        is_last_head = path.parent.name == "heads"  # nothing follows it: it is compared with what an edition prints
        assert verifier.verify(folder)[0] or is_last_head, path
        path.write_bytes(before)


def test_restored_files(ledger: Store, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    backup(ledger, tmp_path / "whole.zip", NOW_US)
    whole = (tmp_path / "whole.zip").read_bytes()
    store, path = Store(f"sqlite:///{tmp_path / 'empty.db'}"), tmp_path / "bad.zip"
    with bounded_memory():
        for number in range(CASES // 10):
            if number % 2:
                path.write_bytes(mutated(whole, rng))
            else:
                path.write_bytes(_rezipped(whole, rng))
            with pytest.raises(FootprintError):
                restore(store, path)
    store.close()


def _rezipped(whole: bytes, rng: random.Random) -> bytes:
    """A valid zip file of which one member is changed or missing."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(out, "w") as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            raw = old.read(name)
            if name != chosen:
                new.writestr(name, raw)
            elif rng.random() < 0.7:
                new.writestr(name, mutated(raw, rng) + b"!")
    return out.getvalue()
