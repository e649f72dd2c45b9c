"""Every door refuses every hostile value with a reason, and what got in before there were limits stops nothing."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footprint.core.limits import MAX_NEW_NAMES_PER_DAY
from footprint.core.records import RequestRecord, to_line
from footprint.figures.query import BadQuery, parse_query
from footprint.ledger.backup import BackupError, restore
from footprint.ledger.importers import import_codecarbon, import_energy, import_requests, import_users
from footprint.ledger.ingest import IngestService
from footprint.ledger.input_description import describe_input
from footprint.ledger.rejects import IngestResult
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, compute, config
from tests.support.services import api_over, local_client, pages_over

US = 1_000_000
ENERGY = {"time": DAY_S, "host": "a", "device": "gpu:0", "component": "gpu", "power_w": 100, "source": "nvml-power"}
REQUEST = {"start": DAY_S, "end": DAY_S + 5, "service": "chat", "use_case": "drafting", "model": "m1", "output_tokens": 5}
READING = {
    "kind": "energy", "host": "a", "device": "gpu:0", "component": "gpu", "source": "nvml-energy", "epoch": "e", "seq": 1,
    "at": DAY_S, "energy_uj": 7, "covered_us": US,
}  # fmt: skip
ACTIVITY = {"kind": "activity", "host": "a", "group": "vllm", "epoch": "e", "seq": 1, "at": DAY_S, "cpu_us": 5, "capacity_us": 9}
CONTEXT = {
    "kind": "context", "host": "a", "device": "gpu:0", "component": "gpu", "source": "nvml", "epoch": "e", "seq": 1, "at": DAY_S,
    "values": {"busy_us": 3},
}  # fmt: skip
JOB = {
    "timestamp": "2026-07-01T12:00:00", "project_name": "training", "run_id": "r1", "duration": 60, "gpu_energy": 0.001,
    "cpu_energy": "", "ram_energy": "",
}  # fmt: skip
USERS = {"period": "2026-07", "service": "chat", "use_case": "drafting", "users": 12}

Row = dict[str, Any]
Door = Callable[[Store, Path, Row], IngestResult]


def _csv(path: Path, row: Row) -> str:
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return str(path)


def _jsonl(path: Path, row: Row) -> str:
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return str(path)


def wire(store: Store, _: Path, row: Row) -> IngestResult:
    return IngestService(store, lambda _: set()).accept("a", [json.dumps(row).encode()], NOW_US)


DOORS: dict[str, tuple[Door, Row]] = {
    "wire energy": (wire, READING),
    "wire activity": (wire, ACTIVITY),
    "wire context": (wire, CONTEXT),
    "wire request": (wire, REQUEST | {"kind": "request"}),
    "energy csv": (lambda store, path, row: import_energy(store, _csv(path / "e.csv", row), NOW_US), ENERGY),
    "energy jsonl": (lambda store, path, row: import_energy(store, _jsonl(path / "e.jsonl", row), NOW_US), ENERGY),
    "requests csv": (lambda store, path, row: import_requests(store, config(), _csv(path / "r.csv", row), NOW_US), REQUEST),
    "requests jsonl": (lambda store, path, row: import_requests(store, config(), _jsonl(path / "r.jsonl", row), NOW_US), REQUEST),
    "users": (lambda store, path, row: import_users(store, _csv(path / "u.csv", row), NOW_US), USERS),
    "codecarbon": (
        lambda store, path, row: import_codecarbon(store, config(), _csv(path / "c.csv", row), "b", "batch", NOW_US)[0][0],
        JOB,
    ),
}
TIME_COLUMNS = {"at", "time", "start", "end", "timestamp", "period"}
NAME_COLUMNS = {"host", "device", "group", "service", "use_case", "model", "source", "epoch", "project_name"}
PERSONAL_COLUMNS = {"service", "use_case", "model", "project_name"}
TIMES = ["9999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2026-08-13T00:00:00Z", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
PERIODS = ["9999", "2200-Q1", "2028-01", "1999-12", "0001"]
NAMES = ["a\0b", "\x1b[31mred", "a\x9bm", "a\nb", "a\u2028b", "a\u202egpj.exe", "a\u2066b", "chat\u200bx", "x" * 201]
PEOPLE = ["alice.martin@example.org", "sk-abcdef1234567890", "550e8400-e29b-41d4-a716-446655440000", "eyJhbGciOiJIUzI1NiJ9.e30.x"]

CASES = [
    pytest.param(door, column, value, id=f"{door}-{column}-{value.encode('unicode_escape').decode()[:28]}")
    for door, (_, row) in DOORS.items()
    for columns, values in (
        (TIME_COLUMNS, PERIODS if door == "users" else TIMES),
        (NAME_COLUMNS, NAMES),
        (PERSONAL_COLUMNS, PEOPLE),
        ({"host", "device"}, [*PEOPLE[:2], PEOPLE[3]]),  # a machine may be named by an opaque id
    )
    for column in sorted(columns & row.keys() - ({"host"} if door.startswith("wire") else set()))  # there it is the token's
    for value in values
]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_takes_what_is_right(sqlite: Store, tmp_path: Path, door: str) -> None:
    enter, row = DOORS[door]
    result = enter(sqlite, tmp_path, row)
    assert (result.accepted > 0, list(result.rejects)) == (True, [])


@pytest.mark.parametrize(("door", "column", "value"), CASES)
def test_a_door_refuses_a_hostile_value_with_its_reason(
    shared_store: Store, tmp_path: Path, door: str, column: str, value: str
) -> None:
    enter, row = DOORS[door]
    result = enter(shared_store, tmp_path, row | {column: value})
    assert (result.accepted, result.duplicates, len(result.rejects)) == (0, 0, 1)
    reject = result.rejects[0]
    assert value not in reject.reason
    assert reject.reason.isprintable()


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(f"sqlite:///{tmp_path_factory.mktemp('doors')}/f.db", demo=False)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (READING | {"energy_uj": 9 * 10**18}, "energy_uj"),
        (READING | {"energy_uj": 10**13, "covered_us": US}, "energy_uj"),
        (REQUEST | {"kind": "request", "requests": 10**15}, "requests"),
        (REQUEST | {"kind": "request", "output_tokens": 10**14}, "output_tokens"),
        (REQUEST | {"kind": "request", "start": DAY_S - 8 * 86_400}, "end"),
        (REQUEST | {"kind": "request", "start": DAY_S - 63 * 86_400, "requests": 9}, "end"),
    ],
)
def test_the_server_refuses_what_no_machine_does(sqlite: Store, tmp_path: Path, row: Row, column: str) -> None:
    result = wire(sqlite, tmp_path, row)
    assert [(reject.column, result.accepted) for reject in result.rejects] == [(column, 0)]


@pytest.mark.parametrize(
    "values", [{"power_w": 120_000_000}, {"power_w": 300_000}, {"time": "46309.0001"}, {"time": "2036-01-01T00:00:00Z"}]
)
def test_implausible_rows_are_taken_anyway_and_flagged(sqlite: Store, tmp_path: Path, values: Row) -> None:
    path = _csv(tmp_path / "e.csv", ENERGY | values)
    refused = import_energy(sqlite, path, NOW_US)
    assert (refused.accepted, len(refused.rejects), refused.implausible) == (0, 1, 0)
    taken = import_energy(sqlite, path, NOW_US, anyway=True)
    assert (taken.accepted, len(taken.rejects), taken.implausible) == (1, 0, 1)
    compute(sqlite, config())


def _counter_file(path: Path, values: list[int]) -> str:
    rows = [f"{DAY_S + 10 * n},a,gpu:0,gpu,{value}" for n, value in enumerate(values)]
    path.write_text("\n".join(["time,host,device,component,energy_j", *rows]) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ([0, 1000, 2000], []),
        ([0, 1000, 10**9, 2000, 3000], [4]),  # a spike
        ([0, 1000, 10**9], [4]),
        ([0, 1000, 10**9, 10**9 + 1000], []),  # another counter from here on
        ([0, 10**6, 2 * 10**6, 3 * 10**6], [3, 4, 5]),  # millijoules for joules
        ([5, 4, 3], []),  # resets
    ],
)
def test_energy_beyond_physics_is_refused_row_by_row(
    sqlite: Store, tmp_path: Path, values: list[int], refused: list[int]
) -> None:
    result = import_energy(sqlite, _counter_file(tmp_path / "e.csv", values), NOW_US)
    assert [reject.line for reject in result.rejects] == refused


def test_new_names_have_a_quota_of_a_day(sqlite: Store) -> None:
    ingest = IngestService(sqlite, lambda _: set())
    lines = [
        to_line(RequestRecord(DAY_S * US, "chat", f"case {number}", (DAY_S + 1) * US)).encode()
        for number in range(MAX_NEW_NAMES_PER_DAY + 500)
    ]
    first = ingest.accept("a", lines, NOW_US)
    assert 0 < first.accepted <= MAX_NEW_NAMES_PER_DAY
    assert first.accepted + len(first.rejects) == len(lines)
    again = IngestService(sqlite, lambda _: set()).accept("a", lines, NOW_US)  # after a restart
    assert (again.accepted, again.duplicates) == (0, first.accepted)
    assert ingest.accept("b", lines[-1:], NOW_US).accepted == 1
    assert ingest.accept("a", lines[-1:], NOW_US + 86_400 * US).duplicates == 1


@pytest.mark.parametrize("bound", ["0001-01-01", "9999-12-31", "now-999999w", "1800-01-01", "9999", "2300-Q1", "-99999999999"])
def test_a_bound_that_no_period_has_is_a_bad_query_on_every_route(sqlite: Store, bound: str) -> None:
    client = local_client(api_over(sqlite, config(), lambda: NOW_US), raise_server_exceptions=False)
    for name in ("from", "to"):
        with pytest.raises(BadQuery):
            parse_query(config().timezone, **{"from_" if name == "from" else "to": bound})
        for route in ("footprint", "tables/balance", "tables/splits", "tables/uncertainty", "tables/avoidable", "tables/models"):
            answer = client.get(f"/api/v1/{route}", params={name: bound})
            assert (route, answer.status_code) == (route, 400)
            assert answer.json()["error"]
    assert client.get("/api/v1/readings?host=a&device=b&from=&to=").status_code == 400


def test_periods_are_bounded_by_the_data(sqlite: Store, tmp_path: Path) -> None:
    import_energy(sqlite, _csv(tmp_path / "e.csv", ENERGY), NOW_US)
    client = local_client(api_over(sqlite, config(), lambda: NOW_US))
    assert client.get("/api/v1/footprint?every=hour&from=1970-01-02&to=2099-01-01").status_code == 200
    import_energy(sqlite, _csv(tmp_path / "old.csv", ENERGY | {"time": "2001-01-01T00:00:00Z"}), NOW_US)
    refused = client.get("/api/v1/footprint?every=hour")
    assert refused.status_code == 400
    assert "20,000" in refused.json()["error"]
    assert client.get("/api/v1/footprint?every=day").status_code == 200


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_record_makes_the_ingest_fail(shared_store: Store, data: st.DataObject) -> None:
    base = data.draw(st.sampled_from([READING, ACTIVITY, CONTEXT, REQUEST | {"kind": "request"}]))
    values = st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=30), st.just({}), st.just([]),
        st.sampled_from([*TIMES, *NAMES, *PEOPLE]),
    )  # fmt: skip
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(base)), values, max_size=4))
    line = json.dumps(base | changes).encode("utf-8", "surrogatepass")
    result = IngestService(shared_store, lambda _: set()).accept("a", [line], NOW_US)
    waiting = sum(map(len, result.refused_lines.values()))
    assert (result.accepted + result.duplicates > 0) + len(result.rejects) + waiting == 1


@pytest.mark.parametrize("late", ["2099-01-01T00:00:00Z", "9999-12-31T23:59:58Z"])
def test_what_got_in_before_there_were_limits_stops_nothing(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    import_energy(sqlite, _csv(tmp_path / "e.csv", ENERGY), NOW_US)
    monkeypatch.setattr("footprint.core.records.instant_fault", lambda *_: "")
    monkeypatch.setattr("footprint.core.request_checks.MAX_REQUEST_US", 10**18)
    monkeypatch.setattr("footprint.core.request_checks.MAX_WINDOW_US", 10**18)
    rows = [
        READING,
        REQUEST | {"kind": "request"},
        READING | {"at": late, "seq": 2},
        REQUEST | {"kind": "request", "start": late, "end": late},
    ]
    rows += [REQUEST | {"kind": "request", "end": late}]  # lasts for centuries
    lines = [json.dumps(row).encode() for row in rows]
    assert IngestService(sqlite, lambda _: set()).accept("a", lines, NOW_US).accepted == 5
    compute(sqlite, config())
    client = local_client(pages_over(sqlite, config(), lambda: NOW_US))
    for url in ("/metrics", "/", "/quality", "/api/v1/tables/balance", "/api/v1/tables/uncertainty"):
        assert (url, client.get(url).status_code) == (url, 200)
    rows = client.get("/api/v1/footprint?every=hour&group=service").json()["rows"]
    assert 0 < len(rows) < 200
    assert all(row["period_end"] < "2026-09" for row in rows)


@pytest.mark.parametrize(
    "query",
    ["from=0001-01-01", "to=9999-12-31", "from=now-999999w", "period=9999", "vs=9999", "period=0000", "lang=xx", "from=%00"],
)
def test_no_address_of_a_page_is_an_error_of_the_server(sqlite: Store, query: str) -> None:
    client = local_client(pages_over(sqlite, config(), lambda: NOW_US), raise_server_exceptions=False)
    for path in ("/", "/quality"):
        assert client.get(f"{path}?{query}").status_code < 500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"when;machine;load\n1;2;3\n", "other columns: `footprint maps guess"),
        ("when,machine\n1,2\n".encode("utf-16"), "other columns"),
        (b'1.2.3.4 - - [12/Mar/2026:16:24:57 +0530] "POST /v1 HTTP/1.1" 200 3\n', "text access log"),
        (b'[GIN] 2026/07/01 - 00:01:45 | 200 | 4.7s | 1.2.3.4 | POST "/api/chat"\n', "Ollama"),
        (b"a line of text\nanother one\n", "text log"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"[{}]", "JSON of another program"),
        (b'{"ts": 1}\n', "`footprint maps guess"),
        (b"time,host\n46309.0001,a\n46309.0002,a\n", "serial numbers"),
        (b"timestamp, index, power.draw [W]\n", "nvidia-smi"),
    ],
)
def test_an_input_is_described(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    described = describe_input(str(path))
    assert words in described


def test_a_file_with_the_right_columns_is_not_called_another_form(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for content, described in {
        b"time,host,device,component,power_w\n1782864000,a,g,gpu,1\n": "",
        b"time,host,device,component,power_w\n": "a header without rows",
    }.items():
        path.write_bytes(content)
        assert describe_input(str(path), has_columns=True) == described


def test_a_backup_that_would_fill_the_memory_is_refused(sqlite: Store, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    for name in ("backup.json", "reading.parquet"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, b"\0" * (4 << 20))
        with pytest.raises(BackupError):
            restore(sqlite, path)
