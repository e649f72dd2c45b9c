"""No name of a person reaches the store, a reject file, a message or a page: every shipped map and reader is fed with canaries."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.gateways.litellm import row_of
from collectors.log_tailer import request_line
from collectors.otlp import spans_of
from footprint.cli.app import status_of
from footprint.core.log_formats import load_map, shipped_maps
from footprint.ledger.prometheus_request_import import import_gateway_counters
from footprint.storage.database import Store
from tests.support.contract_files import CONFIG, DAY_S, config
from tests.support.map_fixtures import FOLDER, first_document, map_of

# Fields in which the programs of the shipped maps, or a proxy before them, name a person, a key or a client.
PERSONAL_FIELDS = [
    "user",
    "user_id",
    "user_name",
    "username",
    "user_email",
    "email",
    "mail",
    "login",
    "owner",
    "created_by",
    "author",
    "end_user",
    "end_user_id",
    "customer",
    "customer_id",
    "key",
    "key_name",
    "key_alias",
    "api_key",
    "api_key_alias",
    "token",
    "token_name",
    "token_id",
    "token_alias",
    "hashed_token",
    "api_key_hash",
    "user_api_key",
    "user_api_key_alias",
    "user_api_key_hash",
    "user_api_key_user_id",
    "user_api_key_user_email",
    "user_api_key_end_user_id",
    "user_alias",
    "user_api_key_user_alias",
    "requester_ip_address",
    "remote_addr",
    "remote_user",
    "client",
    "client_ip",
    "client_address",
    "ip",
    "x-forwarded-for",
    "x_forwarded_for",
    "downstream_remote_address",
    "http_user_agent",
    "user_agent",
    "user-agent",
    "agent",
    "session",
    "session_id",
    "chat_id",
    "folder",
    "enduser.id",
    "user.id",
    "user.email",
    "client.address",
    "gen_ai.user",
    "service.instance.user",
    "user-api-key",
    "label:user",
    "label:owner",
    "pod",
    "account",
    "sub",
    "preferred_username",
    "given_name",
    "name",
    "full_name",
    "authorization",
]
NESTED = ("metadata", "requester_metadata", "spend_logs_metadata", "requester_custom_headers", "meta", "attributes", "resource")
# What people write where a use case belongs.
ADDRESSES = (
    "alice.{}@example.org",
    "mailto:alice.{}@example.org",
    "Alice {} <alice{}@example.org>",
    "alice.{}%40example.org",
    "sk-{}abcdefGHIJ0123456789klmnop",
    "Bearer {}abcdefgh",
    "eyJhbGciOi{}JIUzI1NiJ9.e30.abc",
)


class Canaries:
    """Unique words; ``leaks`` gives those that occur in a text."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1000)
        self.words: list[str] = []

    def word(self) -> str:
        self.words.append(f"Zq{next(self._numbers)}kanari")
        return self.words[-1]

    def leaks(self, text: str) -> list[str]:
        folded = text.lower()
        return [word for word in self.words if word.lower() in folded]


def planted(row: dict[str, Any], canaries: Canaries) -> dict[str, Any]:
    """A row with a canary in every personal field, at the top and in every nested object, and in tags and lists."""

    def plant(document: dict[str, Any], depth: int) -> dict[str, Any]:
        result = {name: canaries.word() for name in PERSONAL_FIELDS}
        if depth:
            result |= {name: plant({}, depth - 1) for name in NESTED}  # type: ignore[misc]
        for name, value in document.items():
            result[name] = plant(value, 1) if isinstance(value, dict) else value
        return result

    document = plant(row, 2)
    document["request_tags"] = [*row.get("request_tags", ()), f"User-Agent: {canaries.word()}", f"user:{canaries.word()}"]
    return document


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def everything(folder: Path, store: Path, printed: str) -> str:
    """All that a run left behind, apart from its input: the database, reject files and messages."""
    parts = [printed, *(path.read_text() for path in folder.glob("*.rejected.jsonl"))]
    parts += [path.read_bytes().decode("latin-1") for path in store.parent.glob(f"{store.name}*")]
    return "".join(parts)


# Maps of logs with one JSON object a request; the files of the others are in tests/fixtures/maps with a name of a person in them.
LINE_MAPS = sorted(name for name in shipped_maps("requests") if (FOLDER / f"{name}.jsonl").exists())


@pytest.mark.parametrize("name", LINE_MAPS)
def test_no_personal_field_of_a_log_reaches_the_store(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    services = "".join(f'[[service]]\nname = "s{model}"\nmodel = "{model}"\n' for model in ("m", "m-1", "mooncake"))
    (tmp_path / "footprint.toml").write_text(CONFIG + services + '[store]\nurl = "sqlite:///store.db"\n')
    canaries = Canaries()
    row = first_document(name)
    rows = [planted(row, canaries), planted({**row, "start": "no time"}, canaries), {"noise": canaries.word()}]
    path = written(tmp_path, "log", rows)
    origin = ["--origin", "2026-07-01T00:00:00Z"] if name == "mooncake" else []
    service = ["--service", "chat"] if name == "tgi" else []
    assert status_of(["import", "requests", "--as", name, *origin, *service, str(path)]) in (0, 1, 5)
    printed = capsys.readouterr()
    left = everything(tmp_path, tmp_path / "store.db", printed.out + printed.err)
    assert canaries.leaks(left) == []
    if name != "otlp":
        assert " 0 new" not in printed.err  # the request itself counts
    # The agent reads the same log into its spool, and a person tries the map on it.
    field_map = map_of(f"{name}.")
    assert canaries.leaks("".join(request_line(field_map, document, "1-1") or "" for document in rows)) == []
    for command in (["maps", "check", name, *origin, str(path)], ["maps", "guess", str(path)]):
        assert status_of(command) in (0, 1, 5)
        printed = capsys.readouterr()
        assert canaries.leaks(printed.out + printed.err) == []


def rule_paths(name: str) -> Iterator[tuple[str, ...]]:
    for rule in map_of(f"{name}.").rules:
        yield from (path for source in rule for path in source.paths)


@pytest.mark.parametrize("name", LINE_MAPS)
def test_an_address_or_a_key_in_place_of_a_use_case_is_not_taken_and_is_counted(name: str) -> None:
    field_map = map_of(f"{name}.")
    for path in rule_paths(name):
        for form in ADDRESSES:
            canaries = Canaries()
            value = form.replace("{}", canaries.word())
            document: dict[str, Any] = json.loads(json.dumps(first_document(name)))
            place = document
            for step in path[:-1]:
                if isinstance(place.get(step), str) and place[step].startswith("{"):
                    place[step] = json.loads(place[step])
                place[step] = place.get(step) if isinstance(place.get(step), dict) else {}
                place = place[step]
            place[path[-1]] = [f"use_case:{value}"] if path[-1] in ("request_tags", "tags") else value
            before = field_map.personal_names.total()
            line = request_line(field_map, document, "1-1")
            assert line, (path, form)  # the energy of the request is not lost
            assert canaries.leaks(line) == [], (path, form)
            if json.dumps(document).count(canaries.words[0]) and "use_case" not in json.loads(line):
                assert field_map.personal_names.total() == before + 1, (path, form)


def test_the_callback_of_litellm_writes_no_person() -> None:
    canaries = Canaries()
    payload = planted(first_document("litellm"), canaries)
    row = row_of(payload)
    assert row["use_case"] == "drafting"
    assert canaries.leaks(json.dumps(row)) == []
    for rule in ("metadata.use_case", "header.x-use-case", "team", "key"):
        for form in ADDRESSES[:1] + ADDRESSES[2:3] + ADDRESSES[4:]:
            value = form.replace("{}", canaries.word())
            metadata = {
                "requester_metadata": {"use_case": value},
                "requester_custom_headers": {"x-use-case": value},
                "user_api_key_team_alias": value,
                "user_api_key_alias": value,
            }
            assert canaries.leaks(json.dumps(row_of({"startTime": 1, "metadata": metadata}, rule))) == []


def test_no_alias_of_a_key_names_a_use_case_by_the_rules_that_are_shipped() -> None:
    for name in shipped_maps():
        fields = {path[-1].lower() for path in rule_paths(name)} - {"user_api_key_team_alias"}
        assert not [field for field in fields for word in ("key", "token", "user", "email", "alias") if word in field], name
    canaries = Canaries()
    row = row_of({"startTime": 1, "metadata": {"user_api_key_alias": canaries.word()}})
    assert row["use_case"] == ""


def test_spans_of_a_client_name_no_person() -> None:
    canaries = Canaries()

    def attributes(names: list[str]) -> list[dict[str, Any]]:
        return [{"key": name, "value": {"stringValue": canaries.word()}} for name in names]

    known = [{"key": "gen_ai.request.model", "value": {"stringValue": "m"}}]
    known += [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]
    span = {
        "startTimeUnixNano": str(DAY_S * 10**9),
        "endTimeUnixNano": str((DAY_S + 2) * 10**9),
        "kind": 3,
        "traceId": "t",
        "spanId": "s",
        "name": canaries.word(),
        "attributes": [*known, *attributes(PERSONAL_FIELDS)],
    }
    resource = {"attributes": attributes([*PERSONAL_FIELDS, "host.name", "process.owner", "process.command_line"])}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    (line,) = (request_line(load_map("otlp"), read, "") for read in spans_of(document))
    assert line
    assert canaries.leaks(line) == []


def test_labels_of_a_gateways_counters_name_no_person(sqlite: Store) -> None:
    canaries = Canaries()
    labels = {name.replace("-", "_").replace(".", "_"): canaries.word() for name in PERSONAL_FIELDS if ":" not in name}
    labels |= {"requested_model": "m1", "instance": "proxy:4000", "job": "litellm"}
    address = f"{canaries.word()}@example.org"
    metric = "litellm_proxy_total_requests_metric_total"

    def fetch(path: str, parameters: dict[str, str]) -> bytes:
        data: Any = [metric]
        if path.endswith("series"):
            data = [{"__name__": metric, **labels}]
        elif path.endswith("query"):
            values = [[DAY_S + second, str(second)] for second in range(0, 60, 15)]
            series = [labels, {**labels, "team_alias": address}, {**labels, "metadata_use_case": address}]
            data = {"result": [{"metric": {"__name__": metric, **each}, "values": values} for each in series]}
        return json.dumps({"status": "success", "data": data}).encode()

    start_us = DAY_S * 1_000_000
    done = import_gateway_counters(
        sqlite, config(), "http://prometheus", start_us, start_us + 60_000_000, start_us + 10**9, fetch
    )
    assert done.accepted
    raw = Path(str(sqlite.engine.url.database)).read_bytes().decode("latin-1")
    assert canaries.leaks(raw + str(done.rejects)) == []
