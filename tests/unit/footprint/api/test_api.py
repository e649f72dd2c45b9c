"""The HTTP API: what agents ship is stored before it is answered for; figures are those of the command line."""

import gzip
import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient

from footprint.access.agent_tokens import add_token
from footprint.api.ingest import AdmissionControl
from footprint.core.limits import decompress_gzip
from footprint.core.records import ActivityReading, EnergyReading, RequestRecord, to_line
from footprint.ledger.refusals import refusals_by_reason
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, config
from tests.support.services import api_over, local_client

US = 1_000_000


def lines(host: str = "a", count: int = 12) -> list[str]:
    found = []
    for n in range(count):
        at = (DAY_S + 10 * n) * US
        found.append(
            to_line(EnergyReading(host, "GPU-x", "gpu", "nvml-energy", "e1", n, at, n * 2000 * US, n * 10 * US, alias="gpu:0"))
        )
        found.append(to_line(ActivityReading(host, "(host)", "e1", n, at, n * 5 * US, n * 40 * US)))
    found.append(to_line(RequestRecord(DAY_S * US, "chat", "drafting", (DAY_S + 60) * US, output_tokens=5, id="one")))
    return found


@pytest.fixture
def served(store: Store) -> tuple[TestClient, dict[str, str], Store]:
    facts = config()
    api = api_over(store, facts, lambda: NOW_US)
    token = add_token(store, "a", NOW_US)
    return local_client(api), {"Authorization": f"Bearer {token}", "Content-Encoding": "gzip"}, store


def body(text: list[str]) -> bytes:
    return gzip.compress("\n".join(text).encode())


def test_what_is_shipped_is_stored_once_and_becomes_figures(served: tuple[TestClient, dict[str, str], Store]) -> None:
    client, headers, store = served
    first = client.post("/api/v1/ingest", content=body(lines()), headers=headers)
    assert first.json() == {
        "accepted": 12 + 24 + 1,
        "duplicate": 0,
        "rejected": [],
        "rejected_count": 0,
        "rejected_by_reason": {},
    }
    again = client.post("/api/v1/ingest", content=body(lines()), headers=headers)
    assert again.json()["accepted"] == 0
    assert again.json()["duplicate"] == 37
    compute(store, config())
    rows = client.get("/api/v1/footprint?group=service,device").json()["rows"]
    chat = [row for row in rows if row["service"] == "chat" and row["device"] == "GPU-x"]
    assert chat[0]["accelerator_active_kwh"] + chat[0]["accelerator_idle_kwh"] == pytest.approx(11 * 2000 / 3.6e6)


def test_a_token_writes_for_its_own_host_only(served: tuple[TestClient, dict[str, str], Store]) -> None:
    """Records of another host are named and wait; everything else of the shipment is stored, and people can see what waits."""
    client, headers, store = served
    mixed = [*lines("a", 1), *lines("b", 1)[:2], *lines("c", 1)[:1]]
    answer = client.post("/api/v1/ingest", content=body(mixed), headers=headers)
    assert answer.status_code == 403
    document = answer.json()
    assert (document["accepted"], document["rejected"]) == (4, [])
    assert (document["hosts"], document["refused_lines"]) == (["b", "c"], [4, 5, 6])
    assert "b, c" in document["error"]
    again = client.post("/api/v1/ingest", content=body(lines("a", 1)), headers=headers)
    assert (again.status_code, again.json()["duplicate"]) == (200, 4)
    assert refusals_by_reason(store) == {"host: the token may not write for this host": 3}


PLACED = """
[[service]]
name = "chat"
devices = ["h1/gpu:0", "h2/gpu:0"]

[[service]]
name = "hosted"
"""


@pytest.mark.parametrize(
    ("host", "services", "service", "accepted"),
    [
        ("h1", [], "chat", 1),
        ("h2", [], "chat", 1),
        ("evil", [], "chat", 0),
        ("gateway", ["chat"], "chat", 1),
        ("gateway", ["*"], "chat", 1),
        ("gateway", ["other"], "chat", 0),
        ("evil", [], "hosted", 1),
        ("evil", [], "undeclared", 1),
    ],
)
def test_a_token_writes_requests_of_its_services_only(
    store: Store, host: str, services: list[str], service: str, accepted: int
) -> None:
    client = local_client(api_over(store, config(PLACED), lambda: NOW_US))
    headers = {"Authorization": f"Bearer {add_token(store, host, NOW_US, services)}"}
    line = to_line(RequestRecord(DAY_S * US, service, "drafting", (DAY_S + 60) * US, id="one"))
    answer = client.post("/api/v1/ingest", content=line, headers=headers).json()
    assert (answer["accepted"], answer["rejected_count"]) == (accepted, 1 - accepted)
    if not accepted:
        assert "footprint token add" in answer["rejected"][0]["reason"]


def test_a_hostile_body_gets_a_small_answer(served: tuple[TestClient, dict[str, str], Store]) -> None:
    client, headers, store = served
    for content in (b"1\n" * 3_000_000, b"\n" * 3_000_000):
        assert client.post("/api/v1/ingest", content=gzip.compress(content), headers=headers).status_code == 413
    plain = {"Authorization": headers["Authorization"]}
    assert client.post("/api/v1/ingest", content=b"\n" * 200_000, headers=plain).status_code == 413
    answer = client.post("/api/v1/ingest", content=b"1\n" * 50_000, headers=plain)
    document = answer.json()
    assert (answer.status_code, len(document["rejected"]), document["rejected_count"]) == (200, 1_000, 50_000)
    assert document["rejected_by_reason"] == {"line: not a JSON object": 50_000}
    assert len(answer.content) < 100_000
    assert refusals_by_reason(store) == {"line: not a JSON object": 50_000, "shipment: too large": 3}


def test_the_bytes_of_all_hosts_have_one_budget(store: Store) -> None:
    control = AdmissionControl(max_bytes=1000)
    client = local_client(api_over(store, config(), lambda: NOW_US, admission=control))
    headers = {"Authorization": f"Bearer {add_token(store, 'a', NOW_US)}"}
    assert client.post("/api/v1/ingest", content=b"1\n" * 600, headers=headers).status_code == 503
    assert (control.bytes, control.active.total()) == (0, 0)
    control.bytes = 1000
    assert client.post("/api/v1/ingest", content=b"1\n", headers=headers).status_code == 503
    control.bytes = 0
    assert client.post("/api/v1/ingest", content=b"1\n" * 400, headers=headers).status_code == 200
    assert control.bytes == 0


def test_a_shipment_is_unpacked_and_stored_beside_the_event_loop(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a body takes, other routes answer meanwhile."""
    threads: dict[str, int] = {}

    def unpack(*arguments: Any) -> bytes:
        threads["unpack"] = threading.get_ident()
        return decompress_gzip(*arguments)

    monkeypatch.setattr("footprint.api.ingest.decompress_gzip", unpack)
    api = api_over(store, config(), lambda: NOW_US)

    @api.middleware("http")
    async def note_loop(request: Any, call_next: Any) -> Any:
        threads["loop"] = threading.get_ident()
        return await call_next(request)

    headers = {"Authorization": f"Bearer {add_token(store, 'a', NOW_US)}", "Content-Encoding": "gzip"}
    assert TestClient(api).post("/api/v1/ingest", content=body(lines()), headers=headers).status_code == 200
    assert threads["unpack"] != threads["loop"]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, b"", 401),
        ({"Authorization": "Bearer wrong"}, b"", 401),
        ({"Content-Encoding": "gzip"}, b"not gzip", 400),
        ({"Content-Encoding": "br"}, b"", 400),
        ({"Content-Encoding": ""}, b"x" * (9 << 20), 413),
        ({"Content-Encoding": "gzip"}, gzip.compress(b" " * (65 << 20)), 413),
    ],
)
def test_what_cannot_be_taken_is_refused(
    served: tuple[TestClient, dict[str, str], Store], headers: dict[str, str], content: bytes, status: int
) -> None:
    client, own, _ = served
    if status != 401:
        headers = {**own, **headers}
    assert client.post("/api/v1/ingest", content=content, headers=headers).status_code == status


def test_torn_lines_are_named_and_the_others_kept(served: tuple[TestClient, dict[str, str], Store]) -> None:
    client, headers, _ = served
    good = lines(count=2)
    answer = client.post("/api/v1/ingest", content=body([good[0], good[1][:20], good[2]]), headers=headers).json()
    assert answer["accepted"] == 2
    assert [reject["line"] for reject in answer["rejected"]] == [2]


def test_unknown_paths_and_parameters_are_said_in_json(served: tuple[TestClient, dict[str, str], Store]) -> None:
    client = served[0]
    assert client.get("/api/v1/nothing").status_code == 404
    assert "error" in client.get("/api/v1/nothing").json()
    assert client.get("/api/v1/footprint?colour=red").status_code == 400
    assert client.get("/api/v1/footprint?group=colour").status_code == 400
    assert client.get("/api/v1/footprint?format=csv").text.startswith("period_start,")
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"):
        assert client.get(path).status_code == 200


def test_a_demonstration_counts_no_real_requests(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from footprint.api.app import build_application

    facts = config('[organisation]\ndemo = true\n[access]\nmode = "open"\n')
    app, gateway = build_application(facts, sqlite, None)
    assert gateway is None
    assert "demonstration" in local_client(app).get("/api/v1/footprint").json()["columns"]


def test_who_sends_too_much_at_once_is_told_when_to_come_again(store: Store) -> None:
    facts = config()
    gate = AdmissionControl(max_waiting=3, max_waiting_per_host=2)
    api = api_over(store, facts, lambda: NOW_US, admission=gate)
    client = local_client(api)
    headers = {"Authorization": f"Bearer {add_token(store, 'a', NOW_US)}"}
    gate.active["a"] = 2
    answer = client.post("/api/v1/ingest", content="\n".join(lines()), headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    gate.active.clear()
    gate.active["b"] = 3
    assert client.post("/api/v1/ingest", content="\n".join(lines()), headers=headers).status_code == 503
    gate.active.clear()
    assert client.post("/api/v1/ingest", content="\n".join(lines()), headers=headers).json()["accepted"] > 0
    assert gate.active.total() == 0
    assert (
        client.post("/api/v1/ingest", content=b"\x1f\x8bno", headers={**headers, "Content-Encoding": "gzip"}).status_code == 400
    )
    assert gate.active.total() == 0


def test_a_database_that_is_away_is_said_so_and_nothing_is_answered_for(served: tuple[TestClient, dict[str, str], Store]) -> None:
    client, headers, store = served
    with store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE reading RENAME TO elsewhere")
    answer = client.post("/api/v1/ingest", content=body(lines()), headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    with store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO reading")
    assert client.post("/api/v1/ingest", content=body(lines()), headers=headers).json()["accepted"] == 37


def test_large_answers_travel_packed(served: tuple[TestClient, dict[str, str], Store]) -> None:
    client, _, _ = served
    packed = client.get("/api/v1/tables/factors", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/api/v1/tables/factors", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 4


def test_tables_beside_the_figures_are_answered_in_every_form(served: tuple[TestClient, dict[str, str], Store]) -> None:
    client, headers, store = served
    client.post("/api/v1/ingest", content=body(lines()), headers=headers)
    compute(store, config())
    for name in ("methods", "facts", "factors", "balance", "splits", "uncertainty", "jobs", "silent", "objectives", "bundles"):
        answer = client.get(f"/api/v1/tables/{name}")
        assert (name, answer.status_code) == (name, 200)
        assert set(answer.json()) == {"columns", "rows"}
        assert client.get(f"/api/v1/tables/{name}?format=csv").text.splitlines()[0] == ",".join(answer.json()["columns"])
        assert client.get(f"/api/v1/tables/{name}?format=parquet").content[:4] == b"PAR1"
    assert client.get("/api/v1/tables/nothing").status_code == 404
    bad = client.get("/api/v1/tables/objectives?period=2026-Q9")
    assert bad.status_code == 400
    assert "2026-Q9" in bad.json()["error"]
    raw = client.get("/api/v1/readings?host=a&device=gpu:0&from=2026-07-01T00:00:00Z&to=2026-07-02T00:00:00Z").json()["rows"]
    assert [row["value"] for row in raw] == [n * 2000 * US for n in range(12)]
    assert {row["unit"] for row in raw} == {"µJ"}
    assert client.get("/api/v1/readings?host=a&device=gpu:0&from=2026-01-01&to=2026-07-02").status_code == 400
