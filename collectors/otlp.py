"""OTLP receiver over HTTP (protobuf and JSON): spans of generative AI calls, token metrics, and hardware energy.

Requirements: ``footprint-agent run --otlp`` ([agent] otlp_port); no package.

Metrics
-------
spans                       calls of models (``otlp_spans``) by the map data/maps/otlp.toml; on disk before the response
gen_ai.client.*             windows of requests (``otlp_metrics``); only with ``[agent] otlp_tokens = "metrics"``, since spans
                            of the same calls would count twice
hw.energy                   counter [J] of this host's devices (hw.id, hw.type gpu, cpu or memory); source otlp-energy
hw.host.energy              counter [J] of the whole server; device wall

Every user of the host can reach the port. So energy counts only for the devices that ``[agent] otlp_devices`` names, and
``[agent] otlp_token_file`` makes senders present a token. Connections, bodies, what they unpack to and their parts are
bounded; what is not taken is counted by reason and answered as a partial success.

Spans may carry prompts and answers in attributes that the map does not name: these are never read.
"""

from __future__ import annotations

import hmac
import json
import math
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from collectors.clocks import wall_and_monotonic_us
from collectors.log_tailer import request_lines
from collectors.otlp_metrics import AGENT_METRICS, CUMULATIVE, DELTA, DURATION, KINDS, TOKENS, Point, TokenWindows
from collectors.otlp_protobuf import METRICS, TRACES, BadProtobuf, decode
from collectors.otlp_spans import CLIENT, NO_CALLS, REPEATS, SERVER, CallSpans
from footprint.core.limits import MAX_POWER_W, BadGzip, TooLarge, decompress_gzip, name_fault
from footprint.core.log_formats import FieldMap, load_map
from footprint.core.samples import Channel, Sample

MAX_BODY_BYTES = 4_000_000  # compressed and unpacked; the unit file gives the agent 64 MiB
MAX_BYTES_IN_FLIGHT = 8_000_000
MAX_PARTS = 300_000  # objects, lists and values of a JSON body
MAX_CONNECTIONS = 16
MAX_SAMPLES = 10_000
WAIT_S = 30  # for one packet
DEADLINE_S = 60  # for a whole request
MAX_ATTRIBUTES = 256
UJ_PER_J = 1_000_000
MAX_J = 9_000_000_000_000  # what fits into 63 bits of microjoules
EXPORT_INTERVAL_US = 60 * 1_000_000  # the default interval of exporters
_COMPONENT = {"gpu": "gpu", "cpu": "cpu", "memory": "dram"}
_SPAN_KINDS = {"SPAN_KIND_SERVER": SERVER, "SPAN_KIND_CONSUMER": SERVER, 5: SERVER, "SPAN_KIND_CLIENT": CLIENT}
_PATHS = {"/v1/traces": TRACES, "/v1/metrics": METRICS}
Document = Mapping[str, Any]


class BadExport(ValueError):
    """A body that is not OTLP."""


class _Refused(Exception):
    """A request that is not read; ``args`` are the status and the reason."""


class OtlpReceiver:
    """OTLP server on the loopback interface; request lines go to ``store``, samples wait for ``take``.

    ``devices`` are those whose energy is believed. ``token``: what senders must present, if any. ``reasons`` counts what was
    not taken.
    """

    def __init__(
        self, port: int, tokens: str, store: Callable[[list[str]], None], devices: Sequence[str] = (), token: str = ""
    ) -> None:
        self._map = load_map("otlp")
        self._window_map = load_map("footprint")
        self._tokens, self._store, self._devices, self.token = tokens, store, frozenset(devices), token
        self._windows, self._calls = TokenWindows(), CallSpans()
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._bytes_in_flight = 0
        self.reasons: Counter[str] = Counter()
        self.mended: Counter[str] = Counter()  # fields of requests that could not be and were left out or mended, by reason
        owner = self

        class Handler(_Handler):
            receiver = owner

        self._server = _OtlpServer(("127.0.0.1", port), Handler, self)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="otlp", daemon=True).start()

    @property
    def refused(self) -> int:
        """Number of requests, data points, spans and bodies that were not taken, without what is no request or repeats one."""
        return self.reasons.total() - sum(self.reasons[reason] for reason in (NO_CALLS, AGENT_METRICS, *REPEATS))

    def take(self) -> Iterator[Sample]:
        """Samples received since the last call."""
        while self._samples:
            yield self._samples.popleft()

    def receive(self, path: str, document: Document) -> Counter[str]:
        """Process one export; return the items that were not taken, by reason.

        Raises
        ------
        OSError
            If its requests could not be written to disk.
        """
        reasons: Counter[str] = Counter()
        with self._lock:
            if path == "/v1/traces" and self._tokens == "spans":
                calls = self._calls.select(spans_of(document), reasons)
                self._store_requests(self._map, calls, reasons)
            elif path == "/v1/traces":
                reasons["spans, while otlp_tokens is metrics"] += sum(1 for _ in spans_of(document))
            elif path == "/v1/metrics":
                if self._tokens == "metrics":
                    windows = self._windows.add(points_of(document), reasons)
                    self._store_requests(self._window_map, windows, reasons)
                else:
                    metrics = sum(point.metric in (TOKENS, DURATION) for point in points_of(document))
                    reasons["metrics of calls, while otlp_tokens is spans"] += metrics
                self._add_samples(document, reasons)
        self.reasons += reasons
        # A sender logs what an answer names as a warning: spans of other work are no fault of its own, and are only counted.
        return Counter({reason: count for reason, count in reasons.items() if count and reason != NO_CALLS})

    def _add_samples(self, document: Document, reasons: Counter[str]) -> None:
        for sample in energy_of(document, *wall_and_monotonic_us(), reasons=reasons):
            if sample.channel.device not in self._devices:
                reasons["energy of a device that [agent] otlp_devices does not name"] += 1
            elif len(self._samples) == MAX_SAMPLES:
                reasons["more samples than the agent takes"] += 1
            else:
                self._samples.append(sample)

    def _store_requests(self, field_map: FieldMap, documents: list[dict[str, Any]], reasons: Counter[str]) -> None:
        refused = Counter[str]()
        lines = request_lines(field_map, documents, "", self.mended, refused)
        reasons.update({f"requests that cannot be ({reason})": count for reason, count in refused.items()})
        accepted = [line for line in lines if line]
        if accepted:
            self._store(accepted)

    def reserve(self, size: int) -> bool:
        """Whether there is room for a body of a size; ``release`` gives it back."""
        with self._lock:
            if self._bytes_in_flight + size > MAX_BYTES_IN_FLIGHT:
                return False
            self._bytes_in_flight += size
            return True

    def release(self, size: int) -> None:
        """Give the room of a body back."""
        with self._lock:
            self._bytes_in_flight -= size

    def count(self, reason: str) -> None:
        """Count something that was not taken."""
        self.reasons[reason] += 1

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _OtlpServer(ThreadingHTTPServer):
    """HTTP server with a limit of connections, and a deadline for each request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], receiver: OtlpReceiver) -> None:
        super().__init__(address, handler)
        self._receiver = receiver
        self.begun_s: dict[socket.socket, float] = {}  # when each connection began its request

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, if there are not too many."""
        if len(self.begun_s) >= MAX_CONNECTIONS:
            self._receiver.count("too many connections")
            self.shutdown_request(request)
            return
        self.begun_s[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.begun_s.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut connections whose request takes too long in all, however its bytes drip."""
        now_s = time.monotonic()
        for connection, begun_s in list(self.begun_s.items()):
            if now_s - begun_s > DEADLINE_S:
                self.begun_s[connection] = now_s
                self._receiver.count("a request that took too long")
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count an error and print nothing: a traceback would name the client."""
        self._receiver.count("broken connections")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = WAIT_S
    receiver: OtlpReceiver

    def handle_one_request(self) -> None:
        server: Any = self.server
        server.begun_s[self.connection] = time.monotonic()
        super().handle_one_request()

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        try:
            self._check_token()
            if path not in _PATHS:
                raise _Refused(404, "an unknown path")
            reasons = self._take_export(path)
        except _Refused as refused:
            status, reason = refused.args
            self.receiver.count(reason)
            self.close_connection = True  # the body may be unread
            self._answer(status)
        else:
            self._answer(200, _partial_success(path, reasons, is_json=self._is_json()))

    def _take_export(self, path: str) -> Counter[str]:
        size = self._size()
        if not self.receiver.reserve(size):
            raise _Refused(503, "too many bodies at a time")
        try:
            content = self._read_content(size)
            document = parse_export(path, self.headers.get("Content-Type", ""), content)
            return self.receiver.receive(path, document)
        except TooLarge:
            raise _Refused(413, "a body that is too large") from None
        except (BadGzip, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise _Refused(400, "a body that is not OTLP") from None
        except TimeoutError:
            raise _Refused(408, "a request that took too long") from None
        except OSError:
            raise _Refused(503, "the disk is full") from None  # the sender tries again
        finally:
            self.receiver.release(size)

    def _check_token(self) -> None:
        wanted = self.receiver.token
        if wanted and not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {wanted}".encode()):
            raise _Refused(401, "no token, or a wrong one")

    def _size(self) -> int:
        """Room for the body [bytes]: its length, or the most that a body in chunks may have."""
        lengths, encoding = self.headers.get_all("Content-Length", []), self.headers.get("Transfer-Encoding")
        if encoding is not None:
            if lengths or encoding.strip().lower() != "chunked":
                raise _Refused(400, "a body without a clear length")
            return MAX_BODY_BYTES
        if not lengths:
            raise _Refused(411, "a body without a length")
        length = lengths[0].strip()
        if len(lengths) > 1 or not (length.isascii() and length.isdecimal()):
            raise _Refused(400, "a body without a clear length")
        if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
            raise _Refused(413, "a body that is too large")
        return int(length)

    def _read_content(self, size: int) -> bytes:
        body = self._read_chunks() if self.headers.get("Transfer-Encoding") else self.rfile.read(size)
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if encoding == "gzip":
            return decompress_gzip(body, MAX_BODY_BYTES)
        if encoding not in ("", "identity"):
            raise _Refused(415, "an encoding that is not known")
        return body

    def _read_chunks(self) -> bytes:
        """Body in chunks (RFC 9112, section 7.1)."""
        parts, size = [], 0
        while True:
            text = self.rfile.readline(64).partition(b";")[0].strip()
            if not text or len(text) > 8 or text.strip(b"0123456789abcdefABCDEF"):
                raise BadExport("not a chunk")
            length = int(text, 16)
            size += length
            if size > MAX_BODY_BYTES:
                raise TooLarge
            if not length:
                break
            parts.append(self.rfile.read(length))
            if self.rfile.readline(3).strip():
                raise BadExport("not the end of a chunk")
        if self.rfile.readline(3).strip():  # trailers are not read
            self.close_connection = True
        return b"".join(parts)

    def _is_json(self) -> bool:
        return "json" in self.headers.get("Content-Type", "")

    def _answer(self, status: int, body: bytes = b"") -> None:
        if not body and self._is_json():
            body = b"{}"
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if self._is_json() else "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "30")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: a path or an address may identify the client."""


def _partial_success(path: str, reasons: Counter[str], *, is_json: bool) -> bytes:
    """Body that says what was not taken (OTLP, partial success); empty if all was."""
    count = reasons.total()
    if not count:
        return b""
    message = "; ".join(f"{number} {reason}" for reason, number in reasons.most_common() if number)
    if is_json:
        name = "rejectedSpans" if path == "/v1/traces" else "rejectedDataPoints"
        return json.dumps({"partialSuccess": {name: str(count), "errorMessage": message}}).encode()
    text = message.encode()
    inner = b"\x08" + _varint(count) + b"\x12" + _varint(len(text)) + text
    return b"\x0a" + _varint(len(inner)) + inner


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def parse_export(path: str, content_type: str, body: bytes) -> Document:
    """Parse the body of an export into the JSON form of OTLP.

    Raises
    ------
    BadExport
        If it is not OTLP.
    TooLarge
        If it has too many parts.
    """
    if "json" not in content_type:
        try:
            return decode(body, _PATHS[path])
        except BadProtobuf as error:
            raise BadExport(str(error)) from None
    if body.count(b"{") + body.count(b"[") + body.count(b",") > MAX_PARTS:
        raise TooLarge(f"more than {MAX_PARTS} parts")
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadExport("nested too deeply") from None
    if not isinstance(document, dict):
        raise BadExport("not an object")
    return document


def _refuse_constant(name: str) -> float:
    raise BadExport(f"{name} is not JSON")


def attributes_of(items: Any) -> dict[str, Any]:
    """Attributes as a mapping of names to scalars, without lists and bytes."""
    attributes = {}
    if len(items or ()) > MAX_ATTRIBUTES:
        raise BadExport("too many attributes")
    for item in items or ():
        value = item.get("value") or {}
        for kind in ("stringValue", "intValue", "doubleValue", "boolValue"):
            if kind in value:
                attributes[item["key"]] = int(value[kind]) if kind == "intValue" else value[kind]
    return attributes


def spans_of(document: Document) -> Iterator[dict[str, Any]]:
    """Spans with their times, kind, status, parentage and attributes, and the attributes of their resource."""
    for resource in document.get("resourceSpans", ()):
        of_resource = attributes_of((resource.get("resource") or {}).get("attributes"))
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield {
                    "start_unix_ns": span.get("startTimeUnixNano"),
                    "end_unix_ns": span.get("endTimeUnixNano"),
                    "kind": _SPAN_KINDS.get(span.get("kind"), span.get("kind")),
                    "name": span.get("name"),
                    "trace": str(span.get("traceId")),
                    "span": str(span.get("spanId")),
                    "parent": str(span.get("parentSpanId") or ""),
                    "span_id": f"{span.get('traceId')}/{span.get('spanId')}",
                    "status_code": _number((span.get("status") or {}).get("code", 0), "STATUS_CODE_ERROR", 2),
                    "attributes": attributes_of(span.get("attributes")),
                    "resource": of_resource,
                }


def _number(value: Any, name: str, number: int) -> Any:
    return number if value == name else value


def points_of(document: Document) -> Iterator[Point]:
    """Data points of every type, with the attributes of their resource."""
    for resource in document.get("resourceMetrics", ()):
        of_resource = attributes_of((resource.get("resource") or {}).get("attributes"))
        for scope in resource.get("scopeMetrics", ()):
            for metric in scope.get("metrics", ()):
                for kind in KINDS:
                    data = metric.get(kind) or {}
                    temporality = _number(data.get("aggregationTemporality"), "AGGREGATION_TEMPORALITY_CUMULATIVE", CUMULATIVE)
                    temporality = _number(temporality, "AGGREGATION_TEMPORALITY_DELTA", DELTA)
                    for point in data.get("dataPoints", ()):
                        yield Point(
                            str(metric["name"]).replace(".", "_"),
                            of_resource,
                            attributes_of(point.get("attributes")),
                            kind,
                            temporality,
                            bool(data.get("isMonotonic")),
                            point,
                        )


def energy_of(document: Document, at_us: int, mono_us: int, reasons: Counter[str] | None = None) -> Iterator[Sample]:
    """Cumulative energies of hardware, stamped on arrival; deltas are not taken, since a lost delta cannot be recovered.

    ``reasons`` counts energies that are not taken.
    """
    reasons = Counter() if reasons is None else reasons
    for point in points_of(document):
        if point.metric not in ("hw_energy", "hw_host_energy"):
            continue
        attributes = point.resource | point.attributes
        component = "host" if point.metric == "hw_host_energy" else _COMPONENT.get(str(attributes.get("hw.type")), "")
        device = "wall" if component == "host" else str(attributes.get("hw.id", ""))
        model = str(attributes.get("hw.name", ""))
        if not component or not device or name_fault(device) or name_fault(model):
            reasons["energy of no known kind of device"] += 1
            continue
        joules = _joules(point.value.get("asDouble", point.value.get("asInt")))
        if point.kind != "sum" or point.temporality != CUMULATIVE or joules is None:
            reasons["energy that is no cumulative counter"] += 1
            continue
        limit_uw = MAX_POWER_W[component] * UJ_PER_J
        channel = Channel(device, component, "otlp-energy", None, limit_uw, period_us=EXPORT_INTERVAL_US, model=model)
        yield Sample(channel, at_us, mono_us, round(joules * UJ_PER_J))


def _joules(value: Any) -> float | None:
    joules = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    return joules if 0 <= joules <= MAX_J else None
