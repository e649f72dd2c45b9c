"""OTLP over HTTP, as exporters send it: protobuf and JSON, gzip or not; spans, token metrics, hardware energy."""

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.otlp import MAX_BODY_BYTES, OtlpReceiver, TokenWindows, energy_of, parse_export, spans_of
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

    def act(tokens: str = "spans", max_mb: float = 1) -> tuple[OtlpReceiver, Spool]:
        spool = Spool(tmp_path / f"spool{len(opened)}", max_mb)
        opened.append(OtlpReceiver(0, tokens, spool.append))
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
    port, _ = open_()
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
    told = [
        (r.requests, r.input_tokens, r.output_tokens, r.start_us // S - AT, (r.end_us or 0) // S - AT, r.use_case)
        for r in requests(spool)
    ]
    assert told == [(4, 900, 200, 60, 120, "drafting"), (2, 50, None, 180, 240, "drafting")]
    assert post(port, "/v1/traces", json.dumps(traces(span(1))).encode()) == 200
    assert len(requests(spool)) == 2  # spans of the same calls would count them twice


def test_deltas_of_tokens_are_windows_as_they_come() -> None:
    windows = list(
        TokenWindows().add(metric("gen_ai.client.token.usage", "histogram", tokens("input", 2, 30, AT, AT + 60), temporality=1))
    )
    assert [(w["requests"], w["input_tokens"]) for w in windows] == [(2, 30)]


def test_protobuf_and_json_say_the_same() -> None:
    document = traces(span(1))
    first = next(
        spans_of(parse_export("/v1/traces", "application/x-protobuf", as_protobuf(document, ExportTraceServiceRequest())))
    )
    second = next(spans_of(document))
    assert {**first, "span_id": ""} == {**second, "span_id": ""}
