"""Decoder of OTLP's protobuf encoding: the fields that the agent reads, as in the JSON form, and no others.

Fields that the tables do not name are skipped unread, such as events, links, arrays and nested attributes, so that no
prompt is decoded and a body cannot unfold into more than ``MAX_FIELDS`` parts. Field numbers are those of
opentelemetry-proto 1.x (https://github.com/open-telemetry/opentelemetry-proto).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

MAX_FIELDS = 300_000
_MAX_VARINT_BITS = 70
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class BadProtobuf(ValueError):
    """A body that is not the expected message, or has too many parts."""


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _double(value: int) -> float:
    return float(struct.unpack("<d", value.to_bytes(8, "little"))[0])


# By field number: wire type, name in the JSON form, and what the value is: a function, a message, or a list of messages.
Table = dict[int, tuple[int, str, Any]]
_ANY: Table = {
    1: (_BYTES, "stringValue", _text),
    2: (_VARINT, "boolValue", bool),
    3: (_VARINT, "intValue", _signed),
    4: (_FIXED64, "doubleValue", _double),
}
_ATTRIBUTES = [{1: (_BYTES, "key", _text), 2: (_BYTES, "value", _ANY)}]
_RESOURCE: Table = {1: (_BYTES, "attributes", _ATTRIBUTES)}
_SPAN: Table = {
    1: (_BYTES, "traceId", bytes.hex),
    2: (_BYTES, "spanId", bytes.hex),
    4: (_BYTES, "parentSpanId", bytes.hex),
    5: (_BYTES, "name", _text),
    6: (_VARINT, "kind", int),
    7: (_FIXED64, "startTimeUnixNano", str),
    8: (_FIXED64, "endTimeUnixNano", str),
    9: (_BYTES, "attributes", _ATTRIBUTES),
    15: (_BYTES, "status", {3: (_VARINT, "code", int)}),
}
_NUMBER_POINT: Table = {
    2: (_FIXED64, "startTimeUnixNano", str),
    3: (_FIXED64, "timeUnixNano", str),
    4: (_FIXED64, "asDouble", _double),
    6: (_FIXED64, "asInt", _signed),
    7: (_BYTES, "attributes", _ATTRIBUTES),
    8: (_VARINT, "flags", int),
}
_HISTOGRAM_POINT: Table = {
    2: (_FIXED64, "startTimeUnixNano", str),
    3: (_FIXED64, "timeUnixNano", str),
    4: (_FIXED64, "count", str),
    5: (_FIXED64, "sum", _double),
    9: (_BYTES, "attributes", _ATTRIBUTES),
    10: (_VARINT, "flags", int),
}
_EXPONENTIAL_POINT: Table = {
    1: (_BYTES, "attributes", _ATTRIBUTES),
    2: (_FIXED64, "startTimeUnixNano", str),
    3: (_FIXED64, "timeUnixNano", str),
    4: (_FIXED64, "count", str),
    5: (_FIXED64, "sum", _double),
    10: (_VARINT, "flags", int),
}
_SUMMARY_POINT: Table = {
    2: (_FIXED64, "startTimeUnixNano", str),
    3: (_FIXED64, "timeUnixNano", str),
    4: (_FIXED64, "count", str),
    5: (_FIXED64, "sum", _double),
    7: (_BYTES, "attributes", _ATTRIBUTES),
    8: (_VARINT, "flags", int),
}
_METRIC: Table = {
    1: (_BYTES, "name", _text),
    5: (_BYTES, "gauge", {1: (_BYTES, "dataPoints", [_NUMBER_POINT])}),
    7: (
        _BYTES,
        "sum",
        {
            1: (_BYTES, "dataPoints", [_NUMBER_POINT]),
            2: (_VARINT, "aggregationTemporality", int),
            3: (_VARINT, "isMonotonic", bool),
        },
    ),
    9: (_BYTES, "histogram", {1: (_BYTES, "dataPoints", [_HISTOGRAM_POINT]), 2: (_VARINT, "aggregationTemporality", int)}),
    10: (
        _BYTES,
        "exponentialHistogram",
        {1: (_BYTES, "dataPoints", [_EXPONENTIAL_POINT]), 2: (_VARINT, "aggregationTemporality", int)},
    ),
    11: (_BYTES, "summary", {1: (_BYTES, "dataPoints", [_SUMMARY_POINT])}),
}


def _export(signal: str, item: str, table: Table) -> Table:
    scope: Table = {2: (_BYTES, item, [table])}
    return {1: (_BYTES, f"resource{signal}", [{1: (_BYTES, "resource", _RESOURCE), 2: (_BYTES, f"scope{signal}", [scope])}])}


TRACES = _export("Spans", "spans", _SPAN)
METRICS = _export("Metrics", "metrics", _METRIC)


def decode(body: bytes, table: Table) -> dict[str, Any]:
    """Decode a message by its table.

    Raises
    ------
    BadProtobuf
        If it is none.
    """
    return _decode(body, table, _Budget())


class _Budget:
    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def take(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise BadProtobuf(f"more than {MAX_FIELDS} fields")


def _decode(data: bytes, table: Table, budget: _Budget) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for number, wire_type, value in _fields(data):
        budget.take()
        wanted_type, name, kind = table.get(number, (-1, "", None))
        if wire_type != wanted_type:
            continue
        if isinstance(kind, list):
            message.setdefault(name, []).append(_decode(value, kind[0], budget))
        elif isinstance(kind, dict):
            message[name] = _decode(value, kind, budget)
        else:
            convert: Callable[[Any], Any] = kind
            message[name] = convert(value)
    return message


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value) of each field of a message."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        wire_type = tag & 7
        value: int | bytes
        if wire_type == _VARINT:
            value, position = _varint(data, position)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
            value, position = int.from_bytes(data[position : position + size], "little"), position + size
        elif wire_type == _BYTES:
            size, position = _varint(data, position)
            value, position = data[position : position + size], position + size
        else:
            raise BadProtobuf("a wire type that is not known")
        if position > end:
            raise BadProtobuf("ends in the middle of a field")
        yield tag >> 3, wire_type, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < _MAX_VARINT_BITS:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise BadProtobuf("a number without an end")
