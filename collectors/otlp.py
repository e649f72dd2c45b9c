"""OTLP receiver over HTTP (protobuf and JSON): spans of generative AI calls, token metrics, and hardware energy.

Requirements: ``footprint-agent run --otlp`` ([agent] otlp_port); for protobuf the extra ``otlp`` (opentelemetry-proto).

Metrics
-------
spans                       gen_ai.* attributes by the map data/maps/otlp.toml: requests; on disk before the response
gen_ai.client.token.usage   windows of requests; only with ``[agent] otlp_tokens = "metrics"``, since spans of the same
                            calls would count twice
hw.energy                   counter [J] of this host's devices (hw.id, hw.type gpu, cpu or memory); source otlp-energy
hw.host.energy              counter [J] of the whole server; device wall

Spans may carry prompts and answers in attributes that the map does not name: these are never read.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from collectors.clocks import wall_and_monotonic_us
from collectors.log_tailer import request_line
from footprint.core.log_formats import load_map
from footprint.core.samples import Channel, Sample

MAX_BODY_BYTES = 8_000_000
UJ_PER_J = 1_000_000
EXPORT_INTERVAL_US = 60 * 1_000_000  # the default interval of exporters
_COMPONENT = {"gpu": "gpu", "cpu": "cpu", "memory": "dram"}
_DELTA, _CUMULATIVE = 1, 2
Document = Mapping[str, Any]


class BadExport(ValueError):
    """A body that is not OTLP."""


class OtlpReceiver:
    """OTLP server on the loopback interface; request lines go to ``store``, samples wait for ``take``."""

    def __init__(self, port: int, tokens: str, store: Callable[[list[str]], None]) -> None:
        self._map = load_map("otlp")
        self._tokens, self._store = tokens, store
        self._windows = TokenWindows()
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=100_000)
        self.refused = 0
        owner = self

        class Handler(_Handler):
            receiver = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="otlp", daemon=True).start()

    def take(self) -> Iterator[Sample]:
        """Samples received since the last call."""
        while self._samples:
            yield self._samples.popleft()

    def receive(self, path: str, document: Document) -> None:
        """Process one export.

        Raises
        ------
        OSError
            If its requests could not be written to disk.
        """
        with self._lock:
            if path == "/v1/traces" and self._tokens == "spans":
                self._store_requests(request_line(self._map, span, "") for span in spans_of(document))
            elif path == "/v1/metrics":
                if self._tokens == "metrics":
                    self._store_requests(
                        request_line(load_map("footprint"), window, "") for window in self._windows.add(document)
                    )
                self._samples.extend(energy_of(document, *wall_and_monotonic_us()))

    def _store_requests(self, results: Iterator[str | None]) -> None:
        lines = list(results)
        self.refused += sum(line == "" for line in lines)
        accepted = [line for line in lines if line]
        if accepted:
            self._store(accepted)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: OtlpReceiver

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(size, MAX_BODY_BYTES + 1))
        if self.path not in ("/v1/traces", "/v1/metrics"):
            return self._answer(404)
        if size > MAX_BODY_BYTES:
            self.close_connection = True
            return self._answer(413)
        try:
            content = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            document = parse_export(self.path, self.headers.get("Content-Type", ""), content)
            self.receiver.receive(self.path, document)
        except OSError as error:
            if isinstance(error, gzip.BadGzipFile):
                return self._answer(400)
            return self._answer(503)  # the disk is full: the sender retries
        except (ValueError, EOFError, KeyError, TypeError, AttributeError):
            return self._answer(400)
        return self._answer(200)

    def _answer(self, status: int) -> None:
        is_json = "json" in self.headers.get("Content-Type", "")
        body = b"{}" if is_json else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if is_json else "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "30")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: a path or an address may identify the client."""


def parse_export(path: str, content_type: str, body: bytes) -> Document:
    """Parse the body of an export into the JSON form of OTLP.

    Raises
    ------
    BadExport
        If it is not OTLP, or is protobuf and the extra is missing.
    """
    if "json" in content_type:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise BadExport("not an object")
        return document
    try:
        from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - optional
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415
            ExportMetricsServiceRequest,
        )
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415
    except ModuleNotFoundError:
        print("footprint-agent: OTLP: pip install 'footprint[otlp]' reads protobuf; JSON is read without", file=sys.stderr)
        raise BadExport("protobuf is not installed") from None
    message = ExportTraceServiceRequest() if path == "/v1/traces" else ExportMetricsServiceRequest()
    try:
        message.ParseFromString(body)
    except Exception as error:  # protobuf's own class differs between its implementations
        raise BadExport(str(error)) from None
    converted: Document = MessageToDict(message, use_integers_for_enums=True)
    return converted


def attributes_of(items: Any) -> dict[str, Any]:
    """Attributes as a mapping of names to scalars, without lists and bytes."""
    attributes = {}
    for item in items or ():
        value = item.get("value") or {}
        for kind in ("stringValue", "intValue", "doubleValue", "boolValue"):
            if kind in value:
                attributes[item["key"]] = int(value[kind]) if kind == "intValue" else value[kind]
    return attributes


def spans_of(document: Document) -> Iterator[dict[str, Any]]:
    """Spans with the times, kind, status and attributes that the map reads, and the attributes of their resource."""
    for resource in document.get("resourceSpans", ()):
        of_resource = attributes_of((resource.get("resource") or {}).get("attributes"))
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield {
                    "start_unix_ns": span.get("startTimeUnixNano"),
                    "end_unix_ns": span.get("endTimeUnixNano"),
                    "kind": _number(span.get("kind"), "SPAN_KIND_CLIENT", 3),
                    "span_id": f"{span.get('traceId')}/{span.get('spanId')}",
                    "status_code": _number((span.get("status") or {}).get("code", 0), "STATUS_CODE_ERROR", 2),
                    "attributes": attributes_of(span.get("attributes")),
                    "resource": of_resource,
                }


def _number(value: Any, name: str, number: int) -> Any:
    return number if value == name else value


def _points(document: Document, kind: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], int]]:
    """(metric, attributes merged over the resource's, point, temporality) of each data point of one kind."""
    for resource in document.get("resourceMetrics", ()):
        of_resource = attributes_of((resource.get("resource") or {}).get("attributes"))
        for scope in resource.get("scopeMetrics", ()):
            for metric in scope.get("metrics", ()):
                data = metric.get(kind) or {}
                temporality = _number(data.get("aggregationTemporality"), "AGGREGATION_TEMPORALITY_CUMULATIVE", _CUMULATIVE)
                temporality = _number(temporality, "AGGREGATION_TEMPORALITY_DELTA", _DELTA)
                for point in data.get("dataPoints", ()):
                    yield metric["name"], of_resource | attributes_of(point.get("attributes")), point, temporality


def energy_of(document: Document, at_us: int, mono_us: int) -> Iterator[Sample]:
    """Cumulative energies of hardware, stamped on arrival; deltas are ignored, since a lost delta cannot be recovered."""
    for name, attributes, point, temporality in _points(document, "sum"):
        component = "host" if name == "hw.host.energy" else _COMPONENT.get(str(attributes.get("hw.type")), "")
        if name not in ("hw.energy", "hw.host.energy") or not component or temporality != _CUMULATIVE:
            continue
        device = "wall" if component == "host" else str(attributes.get("hw.id", ""))
        joules = point.get("asDouble", point.get("asInt"))
        if device and joules is not None and float(joules) >= 0:
            model = str(attributes.get("hw.name", ""))
            channel = Channel(device, component, "otlp-energy", period_us=EXPORT_INTERVAL_US, model=model)
            yield Sample(channel, at_us, mono_us, round(float(joules) * UJ_PER_J))


def _first(attributes: Mapping[str, Any], *names: str) -> str:
    return next((str(attributes[name]) for name in names if attributes.get(name)), "")


class TokenWindows:
    """Windows of requests from token histograms: between two exports of the same process and model."""

    def __init__(self) -> None:
        self._previous: dict[tuple[str, ...], tuple[int, int, float]] = {}

    def add(self, document: Document) -> Iterator[dict[str, Any]]:
        """Windows that an export closes; the first point of a cumulative series only sets its baseline."""
        windows: dict[tuple[str, ...], dict[str, Any]] = {}
        for name, attributes, point, temporality in _points(document, "histogram"):
            kind = str(attributes.get("gen_ai.token.type", ""))
            column = {"input": "input_tokens", "output": "output_tokens", "cached_input": "cached_input_tokens"}.get(kind)
            if name != "gen_ai.client.token.usage" or column is None:
                continue
            model = _first(attributes, "gen_ai.response.model", "gen_ai.request.model")
            use_case = _first(attributes, "footprint.use_case", "use_case", "service.name")
            series = str(attributes.get("service.instance.id", "")), model, use_case
            end_ns, count, tokens = int(point["timeUnixNano"]), int(point.get("count", 0)), float(point.get("sum", 0))
            start_ns = int(point.get("startTimeUnixNano", 0))
            if temporality == _CUMULATIVE:
                before = self._previous.get((*series, kind, str(start_ns)))
                self._previous[*series, kind, str(start_ns)] = end_ns, count, tokens
                if before is None:
                    continue
                start_ns, count, tokens = before[0], count - before[1], tokens - before[2]
            if count <= 0 or not start_ns < end_ns:
                continue
            window = windows.setdefault(
                (*series, str(end_ns)),
                {
                    "start": repr(start_ns / 1e9),
                    "end": repr(end_ns / 1e9),
                    "model": model,
                    "use_case": use_case,
                    "id": "/".join((*series, str(end_ns))),
                },
            )
            window[column] = round(tokens)
            if kind == "input":
                window["requests"] = count
        yield from windows.values()
