"""OTLP over HTTP, as exporters send it: protobuf and JSON, gzip or not; spans, token metrics, hardware energy."""

import gzip
import json
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.otlp import MAX_BODY_BYTES, MAX_CONNECTIONS, OtlpReceiver, energy_of, parse_export, points_of, spans_of
from collectors.otlp_metrics import TokenWindows
from collectors.spool import Spool
from footprint.core.records import RequestRecord, from_line
from tests.support.agents import WALL_US, S, energy_readings, make_agent, used_uj
from tests.unit.collectors.test_sensor_set import One

SECRET = "Hortense"
AT = 1_790_000_000


def attributes(**found: Any) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue", bool: "boolValue"}
    return [
        {"key": name.replace("__", "."), "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
        for name, value in found.items()
    ]


def span(number: int, kind: int = 3, **more: Any) -> dict[str, Any]:
    found = {
        "gen_ai__operation__name": "chat",
        "gen_ai__request__model": "m",
        "gen_ai__usage__input_tokens": 10 + number,
        "gen_ai__usage__output_tokens": 20,
    }
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "chat m",
        "kind": kind,
        "startTimeUnixNano": str((AT + number) * 10**9),
        "endTimeUnixNano": str((AT + number) * 10**9 + 2_500_000_000),
        "attributes": attributes(**found | {"gen_ai__input__messages": SECRET, "user__id": SECRET} | more),
        "status": {"code": 2} if number == 2 else {},
    }


def traces(*spans: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {"resource": {"attributes": attributes(service__name="assistant")}, "scopeSpans": [{"spans": list(spans)}]}
        ]
    }


def metric(name: str, kind: str, *points: dict[str, Any], temporality: int = 2) -> dict[str, Any]:
    data = {"dataPoints": list(points), "aggregationTemporality": temporality} | ({"isMonotonic": True} if kind == "sum" else {})
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes(service__name="assistant")},
                "scopeMetrics": [{"metrics": [{"name": name, kind: data}]}],
            }
        ]
    }


def joules(value: float, hw_id: str = "GPU-9", hw_type: str = "gpu") -> dict[str, Any]:
    return {"asDouble": value, "timeUnixNano": str(AT * 10**9), "attributes": attributes(hw__id=hw_id, hw__type=hw_type)}


def tokens(kind: str, count: int, total: float, start_s: int, end_s: int) -> dict[str, Any]:
    return {
        "count": str(count),
        "sum": total,
        "startTimeUnixNano": str(start_s * 10**9),
        "timeUnixNano": str(end_s * 10**9),
        "bucketCounts": [str(count)],
        "attributes": attributes(gen_ai__token__type=kind, gen_ai__request__model="m", footprint__use_case="drafting"),
    }


Open = Callable[..., tuple[OtlpReceiver, Spool]]


@pytest.fixture
def open_(tmp_path: Path) -> Iterator[Open]:
    opened: list[OtlpReceiver] = []

    def act(tokens: str = "spans", max_mb: float = 1, **options: Any) -> tuple[OtlpReceiver, Spool]:
        spool = Spool(tmp_path / f"spool{len(opened)}", max_mb)
        opened.append(OtlpReceiver(0, tokens, spool.append, **options))
        return opened[-1], spool

    yield act
    for each in opened:
        each.close()


def post(port: OtlpReceiver, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port.port}{path}",
        body,
        {"Content-Type": content_type} | {k.replace("_", "-"): v for k, v in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as bad:
        return bad.code


def requests(spool: Spool) -> list[RequestRecord]:
    found = [from_line(line) for line in spool.read(10**9)[1]]
    assert all(isinstance(record, RequestRecord) for record in found)
    return found  # type: ignore[return-value]


def as_protobuf(document: dict[str, Any], message: Any) -> bytes:
    """Identifiers are hexadecimal in the JSON of OTLP and base64 in that of protobuf; here any bytes do."""
    return bytes(ParseDict(document, message, ignore_unknown_fields=True).SerializeToString())


@pytest.mark.parametrize("how", ["json", "json gzip", "protobuf", "protobuf gzip"])
def test_spans_are_requests_on_disk_before_the_answer(open_: Open, how: str) -> None:
    port, spool = open_()
    document = traces(
        span(1),
        span(2, footprint__use_case="drafting"),
        span(3, kind=2),
        {**span(4), "attributes": attributes(http__method="GET")},
    )
    body = json.dumps(document).encode() if "json" in how else as_protobuf(document, ExportTraceServiceRequest())
    headers = {"Content_Encoding": "gzip"} if "gzip" in how else {}
    content_type = "application/json" if "json" in how else "application/x-protobuf"
    assert post(port, "/v1/traces", gzip.compress(body) if headers else body, content_type, **headers) == 200
    found = requests(spool)
    # The server's own span of a call, and a span of something else, are no requests.
    assert [(r.input_tokens, r.output_tokens, r.use_case, r.status, r.model) for r in found] == [
        (11, 20, "assistant", "ok", "m"),
        (12, 20, "drafting", "error", "m"),
    ]
    assert found[0].end_us is not None
    assert (found[0].start_us, found[0].end_us - found[0].start_us) == ((AT + 1) * S, 2_500_000)
    assert len({r.id for r in found}) == 2
    assert not any(SECRET.encode() in line for line in spool.read(10**9)[1])


def test_the_names_of_before_are_read_too() -> None:
    from collectors.log_tailer import request_line
    from footprint.core.log_formats import load_map

    old = {
        **span(1),
        "attributes": attributes(
            gen_ai__system="openai",
            gen_ai__request__model="m",
            gen_ai__usage__prompt_tokens=7,
            gen_ai__usage__completion_tokens=8,
        ),
    }
    (found,) = (request_line(load_map("otlp"), each, "") for each in spans_of(traces(old)))
    assert found is not None
    record = from_line(found)
    assert isinstance(record, RequestRecord)
    assert (record.input_tokens, record.output_tokens) == (7, 8)


def test_a_full_disk_is_told_to_the_sender_who_keeps_them(open_: Open) -> None:
    port, spool = open_(max_mb=0.0001)
    assert post(port, "/v1/traces", json.dumps(traces(span(1))).encode()) == 503
    spool._max_bytes = 10**6
    assert post(port, "/v1/traces", json.dumps(traces(span(1))).encode()) == 200
    assert len(requests(spool)) == 1


@pytest.mark.parametrize(
    ("path", "body", "content_type", "headers", "status"),
    [
        ("/v1/logs", b"{}", "application/json", {}, 404),
        ("/v1/traces", b"no json", "application/json", {}, 400),
        ("/v1/traces", b"[1]", "application/json", {}, 400),
        ("/v1/traces", b"\xff\xff\xff", "application/x-protobuf", {}, 400),
        ("/v1/traces", b"no gzip", "application/json", {"Content_Encoding": "gzip"}, 400),
        ("/v1/metrics", b'{"resourceMetrics": 3}', "application/json", {}, 400),
        ("/v1/traces", b" " * (MAX_BODY_BYTES + 1), "application/json", {}, 413),
        ("/v1/traces", b"{}", "application/json", {}, 200),
    ],
)
def test_what_is_no_otlp_is_refused_and_the_port_goes_on(
    open_: Open, path: str, body: bytes, content_type: str, headers: dict[str, str], status: int
) -> None:
    port, spool = open_()
    try:
        assert post(port, path, body, content_type, **headers) == status
    except (urllib.error.URLError, ConnectionError):
        assert status == 413  # the port closed while more was sent
    assert post(port, "/v1/traces", json.dumps(traces(span(1))).encode()) == 200
    assert len(requests(spool)) == 1


def test_hardware_energy_becomes_a_meter_of_the_agent(open_: Open, tmp_path: Path) -> None:
    port, _ = open_(devices=("GPU-9", "wall"))
    agent = make_agent(tmp_path)
    agent.external_sources.append(port.take)
    for at in range(0, 61, 10):
        for document in (
            metric("hw.energy", "sum", joules(100.0 + 3 * at)),
            metric("hw.host.energy", "sum", {"asInt": str(500 * at), "attributes": []}),
        ):
            assert (
                post(port, "/v1/metrics", as_protobuf(document, ExportMetricsServiceRequest()), "application/x-protobuf") == 200
            )
        for each in port.take():
            agent.add_sample(each._replace(at_us=WALL_US + at * S, mono_us=at * S))
    agent.write_records(WALL_US + 60 * S, 60 * S)
    assert used_uj(energy_readings(agent), "GPU-9") == 180 * S
    assert used_uj(energy_readings(agent), "wall") == 500 * 60 * S
    assert {(r.component, r.source) for r in energy_readings(agent)} == {("gpu", "otlp-energy"), ("host", "otlp-energy")}


def test_what_a_sensor_of_our_own_measures_is_not_taken_twice(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, One)  # covers gpu
    agent.external_sources.append(
        lambda: [
            s for d in (metric("hw.energy", "sum", joules(5), joules(6, "package-0", "cpu")),) for s in energy_of(d, WALL_US, 1)
        ]
    )
    agent.read_sensors(WALL_US, 1)
    assert {device for device, _ in agent.meters} == {"one", "package-0"}


def test_deltas_and_other_hardware_are_no_meters() -> None:
    assert list(energy_of(metric("hw.energy", "sum", joules(5), temporality=1), 1, 1)) == []
    assert list(energy_of(metric("hw.energy", "sum", joules(5, "psu", "power_supply"), joules(-1), joules(5, "")), 1, 1)) == []
    assert list(energy_of(metric("hw.power", "sum", joules(5)), 1, 1)) == []


def test_histograms_of_tokens_become_windows(open_: Open) -> None:
    port, spool = open_(tokens="metrics")
    exports = [
        metric(
            "gen_ai.client.token.usage",
            "histogram",
            tokens("input", 10, 1000, AT, AT + 60),
            tokens("output", 10, 500, AT, AT + 60),
        ),
        metric(
            "gen_ai.client.token.usage",
            "histogram",
            tokens("input", 14, 1900, AT, AT + 120),
            tokens("output", 14, 700, AT, AT + 120),
        ),
        metric("gen_ai.client.token.usage", "histogram", tokens("input", 3, 30, AT + 150, AT + 180)),  # started anew
        metric("gen_ai.client.token.usage", "histogram", tokens("input", 5, 80, AT + 150, AT + 240)),
    ]
    for document in exports:
        assert post(port, "/v1/metrics", json.dumps(document).encode()) == 200
    windows = [
        (r.requests, r.input_tokens, r.output_tokens, r.start_us // S - AT, (r.end_us or 0) // S - AT, r.use_case)
        for r in requests(spool)
    ]
    assert windows == [
        (4, 900, 200, 60, 120, "drafting"),
        (3, 30, None, 150, 180, "drafting"),
        (2, 50, None, 180, 240, "drafting"),
    ]
    assert post(port, "/v1/traces", json.dumps(traces(span(1))).encode()) == 200
    assert len(requests(spool)) == 3  # spans of the same calls would count them twice


def test_deltas_of_tokens_are_windows_as_they_come() -> None:
    windows = list(
        TokenWindows().add(
            points_of(metric("gen_ai.client.token.usage", "histogram", tokens("input", 2, 30, AT, AT + 60), temporality=1)),
            Counter(),
        )
    )
    assert [(w["requests"], w["input_tokens"]) for w in windows] == [(2, 30)]


def without_ids(flat: dict[str, Any]) -> dict[str, Any]:
    """Identifiers of the JSON of protobuf are others."""
    return {name: value for name, value in flat.items() if name not in ("span_id", "trace", "span", "parent")}


def test_protobuf_and_json_say_the_same() -> None:
    document = traces(span(1))
    first = next(
        spans_of(parse_export("/v1/traces", "application/x-protobuf", as_protobuf(document, ExportTraceServiceRequest())))
    )
    second = next(spans_of(document))
    assert without_ids(first) == without_ids(second)


def raw(port: OtlpReceiver, data: bytes, wait_s: float = 10) -> bytes:
    """Send bytes as they are; return what comes back until the end."""
    with socket.create_connection(("127.0.0.1", port.port), timeout=wait_s) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass
        return answer


def head(path: str = "/v1/traces", *headers: str, kind: str = "application/json") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", *headers, "", ""]).encode()


GOOD = json.dumps(traces(span(1))).encode()
BOMB = zlib.compressobj(9, wbits=31)
BOMB_BYTES = b"".join(BOMB.compress(b" " * (1 << 20)) for _ in range(100)) + BOMB.flush()


def energies(value: str) -> bytes:
    point = '{"asDouble": ' + value + "}"
    return (
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"hw.host.energy","sum":{"aggregationTemporality":2,'
        b'"dataPoints":[' + point.encode() + b"]}}]}]}]}"
    )


HOSTILE: list[tuple[str, bytes, int | None]] = [
    ("gzip bomb", head("/v1/traces", "Content-Encoding: gzip", f"Content-Length: {len(BOMB_BYTES)}") + BOMB_BYTES, 413),
    ("negative length", head("/v1/traces", "Content-Length: -1") + GOOD, 400),
    ("length of words", head("/v1/traces", "Content-Length: abc") + GOOD, 400),
    ("length of other digits", head("/v1/traces", "Content-Length: +5") + GOOD, 400),
    ("length with underscores", head("/v1/traces", "Content-Length: 1_0") + GOOD, 400),
    ("huge length", head("/v1/traces", "Content-Length: " + "9" * 5000) + GOOD, 413),
    ("no length", head("/v1/traces") + GOOD, 411),
    ("two lengths", head("/v1/traces", "Content-Length: 2", "Content-Length: 9") + GOOD, 400),
    ("length and chunks", head("/v1/traces", "Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("another transfer", head("/v1/traces", "Transfer-Encoding: gzip") + b"0\r\n\r\n", 400),
    ("chunk of words", head("/v1/traces", "Transfer-Encoding: chunked") + b"zz\r\n", 400),
    ("negative chunk", head("/v1/traces", "Transfer-Encoding: chunked") + b"-5\r\nabc\r\n", 400),
    ("huge chunk", head("/v1/traces", "Transfer-Encoding: chunked") + b"7fffffff\r\nabc\r\n", 413),
    ("endless chunk line", head("/v1/traces", "Transfer-Encoding: chunked") + b"1" * 5000, 400),
    ("another encoding", head("/v1/traces", "Content-Encoding: br", "Content-Length: 2") + b"{}", 415),
    ("deep", head("/v1/traces", "Content-Length: 200000") + b"[" * 200_000, 400),
    ("many parts", head("/v1/traces", "Content-Length: 1000000") + b"[" + b"{}," * 333_332 + b"{}]", 413),
    ("short body", head("/v1/traces", "Content-Length: 5000") + GOOD[:50], 400),
]
for name, document in {
    "infinite energy": energies("Infinity"),
    "no number": energies("NaN"),
    "resourceMetrics is a number": b'{"resourceMetrics": 5}',
}.items():
    HOSTILE.append((name, head("/v1/metrics", f"Content-Length: {len(document)}") + document, 400))
for name, bad_span in {
    "huge number": {**span(1), "startTimeUnixNano": "9" * 5000, "endTimeUnixNano": "1"},
    "number without a float": {**span(1), "startTimeUnixNano": 10**400},
    "attribute without key": {"attributes": [{"value": {"stringValue": "x"}}]},
    "attributes are a number": {"attributes": 5},
    "too many attributes": {"attributes": attributes(**{f"a{n}": 1 for n in range(500)})},
    "span is a list": [],
}.items():
    document = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [bad_span]}]}]}).encode()
    HOSTILE.append((name, head("/v1/traces", f"Content-Length: {len(document)}") + document, None))


def test_nothing_hostile_ends_the_port_or_prints_a_traceback(open_: Open, capfd: pytest.CaptureFixture[str]) -> None:
    port, spool = open_(devices=("wall",))
    for name, request, status in HOSTILE:
        before = port.refused
        answer = raw(port, request)
        assert answer.startswith(b"HTTP/1.1 "), name
        if status is not None:
            assert int(answer.split()[1]) == status, name
        assert port.refused > before, name
        assert post(port, "/v1/traces", GOOD) == 200, name
    assert len(requests(spool)) == len(HOSTILE)
    assert list(port.take()) == []
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize("value", ["1e308", "1e13", "-1", '"x"', '"inf"', "true", "null", "[]"])
def test_an_energy_that_cannot_be_is_none(open_: Open, value: str) -> None:
    port, _ = open_(devices=("wall",))
    post(port, "/v1/metrics", energies(value))
    assert list(port.take()) == []
    assert port.refused == 1


def test_chunks_are_read_as_a_whole_body(open_: Open) -> None:
    port, spool = open_()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (GOOD[:10], GOOD[10:])) + b"0\r\n\r\n"
    assert b" 200 " in raw(port, head("/v1/traces", "Transfer-Encoding: chunked") + chunks)
    assert len(requests(spool)) == 1


def test_a_user_of_the_host_cannot_claim_its_energy(open_: Open) -> None:
    port, _ = open_()
    body = json.dumps(metric("hw.host.energy", "sum", {"asDouble": 12345.0, "attributes": []})).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port.port}/v1/metrics", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        partial = json.loads(answer.read())["partialSuccess"]
    assert list(port.take()) == []
    assert partial["rejectedDataPoints"] == "1"
    assert "otlp_devices does not name" in partial["errorMessage"]
    assert port.reasons == Counter({"energy of a device that [agent] otlp_devices does not name": 1})


def test_a_partial_success_is_one_in_protobuf_too(open_: Open) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    port, spool = open_()
    body = as_protobuf(traces(span(1), {**span(3), "endTimeUnixNano": "1"}), ExportTraceServiceRequest())
    request = urllib.request.Request(f"http://127.0.0.1:{port.port}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        response = ExportTraceServiceResponse.FromString(answer.read())
    assert (response.partial_success.rejected_spans, len(requests(spool))) == (1, 1)
    assert "cannot be" in response.partial_success.error_message


def test_senders_present_the_token(open_: Open) -> None:
    port, spool = open_(token="t0ken")
    assert post(port, "/v1/traces", GOOD) == 401
    assert post(port, "/v1/traces", GOOD, Authorization="Bearer other") == 401
    assert post(port, "/v1/traces", GOOD, Authorization="Bearer t0ken") == 200
    assert len(requests(spool)) == 1


def test_idle_connections_take_no_more_than_their_number_and_time(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    port, _ = open_()
    threads = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", port.port)) for _ in range(100)]
    for connection in idle:
        try:
            connection.sendall(head("/v1/traces", "Content-Length: 100"))
        except OSError:
            continue  # refused already
    until = time.monotonic() + 10
    while port.reasons["too many connections"] < 100 - MAX_CONNECTIONS and time.monotonic() < until:
        time.sleep(0.05)
    assert threading.active_count() <= threads + MAX_CONNECTIONS
    assert port.reasons["too many connections"] == 100 - MAX_CONNECTIONS
    monkeypatch.setattr("collectors.otlp.DEADLINE_S", 0.0)
    while port._server.begun_s and time.monotonic() < until:
        time.sleep(0.05)
    monkeypatch.undo()
    assert post(port, "/v1/traces", GOOD) == 200
    for connection in idle:
        connection.close()


def test_random_bytes_are_refused(open_: Open) -> None:
    port, spool = open_()
    chance = random.Random(7)
    good = as_protobuf(traces(span(1), span(2)), ExportTraceServiceRequest())
    for number in range(300):
        broken = bytearray(good if number % 2 else GOOD)
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            document = parse_export("/v1/traces", "application/x-protobuf" if number % 2 else "application/json", bytes(broken))
            port.receive("/v1/traces", document)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
            continue  # each is an answer 400
    assert all(record.input_tokens is None or record.input_tokens >= 0 for record in requests(spool))


def test_our_decoder_reads_what_exporters_send() -> None:
    from google.protobuf.json_format import MessageToDict

    for document, path, message in (
        (traces(span(1), span(2, more=True, share=0.5, count=-7)), "/v1/traces", ExportTraceServiceRequest()),
        (
            metric("hw.energy", "sum", joules(5.5), {"asInt": "3", "attributes": attributes(hw__id="c", hw__type="cpu")}),
            "/v1/metrics",
            ExportMetricsServiceRequest(),
        ),
        (metric("t", "histogram", tokens("input", 4, 90.5, AT, AT + 60)), "/v1/metrics", ExportMetricsServiceRequest()),
    ):
        body = as_protobuf(document, message)
        theirs = MessageToDict(message, use_integers_for_enums=True)
        ours = parse_export(path, "application/x-protobuf", body)
        if path == "/v1/traces":
            assert [without_ids(each) for each in spans_of(ours)] == [without_ids(each) for each in spans_of(theirs)]
        else:
            assert list(energy_of(ours, 1, 1)) == list(energy_of(theirs, 1, 1))
            assert TokenWindows().add(points_of(ours), Counter()) == TokenWindows().add(points_of(theirs), Counter())


def test_no_body_takes_more_memory_than_the_unit_gives() -> None:
    """The worst bodies that are accepted for reading, in a process whose address space may grow by 100 MB."""
    script = """
import resource
from collectors.otlp import MAX_BODY_BYTES, parse_export, spans_of
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
half = MAX_BODY_BYTES // 2
for kind, body in (
    ("protobuf", bytes([10, 0]) * half),
    ("protobuf", bytes([10, 128, 128, 128, 1]) + bytes([18, 0]) * (half - 3)),
    ("json", b"[" + b"{}," * 299_000 + b"{}]"),
    ("json", b'{"a":[' + b'{"b":0},' * 149_000 + b"{}]}"),
    ("json", b"[" * half),
    ("json", b'{"a": "' + "\U0001f600".encode() * (MAX_BODY_BYTES // 4 - 10) + b'"}'),
):
    try:
        parse_export("/v1/traces", kind, body)
    except ValueError:
        pass
print((peak() - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 80  # MB
