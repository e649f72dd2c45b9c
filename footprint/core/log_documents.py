"""Documents of a log: objects of JSON in any of its usual forms, rows of a table, or the named parts of lines of text.

JSON comes one object a line, as an array, as objects over several lines, or behind the prefix or within the envelope that a
container runtime, a collector or syslog adds. Files and the follower of logs read with the same code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from footprint.core.csv_dialect import (
    SPACES,
    Dialect,
    find_dialect,
    named_separator,
    point_number,
    read_records,
    without_truncated_line,
)
from footprint.core.limits import Reject
from footprint.core.line_chunks import LineChunks, UnreadableFile
from footprint.core.log_formats import BadMap, FieldMap

Document = dict[str, Any]
Loads = Callable[[bytes | str], Any]
MAX_DOCUMENT_BYTES = 64 << 20  # of one JSON document, such as a page of an API
MAX_PART_BYTES = 4 << 20  # of a line that a container runtime has cut into parts
DOCKER_PART_BYTES = 16 << 10  # at which docker cuts a line
_LINES_TRIED = 20
NO_OBJECT = "not a JSON object"

# Fields in which collectors and loggers put the object or the text of a line: fluent-bit, journald, Loki, Cloud Logging, Splunk…
_ENVELOPES = (
    "log",
    "message",
    "MESSAGE",
    "msg",
    "line",
    "body",
    "event",
    "_raw",
    "textPayload",
    "jsonPayload",
    "standard_logging_object",
)
# docker's json-file driver: {"log": "…\n", "stream": "stdout", "time": "…"}
_DOCKER = re.compile(rb'\s*\{\s*"log"\s*:\s*"')
# CRI: "2026-10-14T00:00:00.1Z stdout F …"; P marks a part that the next line continues
_CRI = re.compile(rb"\d{4}-\d\d-\d\dT\S+ std(?:out|err) ([PF])(?::\S*)? (.*)", re.DOTALL)


class UnknownColumns(UnreadableFile):
    """A table whose header has none of the columns that a map reads."""


class JsonLines:
    """Objects of lines; a line may stand behind a prefix or in an envelope, and be cut into parts."""

    def __init__(self, field_map: FieldMap | None = None, loads: Loads = json.loads) -> None:
        self._loads = loads
        self._opens_docker = field_map is None or "log" not in field_map.top_fields()
        self._needed = frozenset[str]() if field_map is None else field_map.needed_fields
        self.state = b""  # of a line that is not complete yet

    def documents(self, raw: bytes) -> list[Document] | None:
        """Objects of a line: usually one, none of a part of a line; None if it holds no object."""
        if not (self._opens_docker and _DOCKER.match(raw)):
            try:
                value = self._loads(raw)
            except (ValueError, RecursionError):
                return self._unwrapped(raw)
            if type(value) is not dict:
                return _objects(value)
            return self._opened(raw, value) if self._needed and self._needed.isdisjoint(value) else [value]
        envelope = _loaded(raw)
        if not isinstance(envelope, dict) or not isinstance(envelope.get("log"), str):
            return _objects(envelope)
        if "stream" not in envelope:
            return self._opened(raw, envelope)
        text = envelope["log"].encode("utf-8", "surrogatepass")
        return self._joined(text, is_last=text.endswith(b"\n") or len(text) < DOCKER_PART_BYTES)

    def _opened(self, raw: bytes, document: Document) -> list[Document]:
        """The object within an envelope; the document itself if it is none."""
        envelope = _loaded(raw)
        for name in _ENVELOPES if isinstance(envelope, dict) else ():
            inner = envelope.get(name)
            inner = _loaded(inner.encode("utf-8", "surrogatepass")) if isinstance(inner, str) and inner[:1] == "{" else inner
            if isinstance(inner, dict) and not self._needed.isdisjoint(inner):
                return [inner]
        return [document]

    def _joined(self, text: bytes, *, is_last: bool) -> list[Document] | None:
        if not is_last:
            self.state = (self.state + text)[:MAX_PART_BYTES]
            return []
        text, self.state = self.state + text, b""
        value = _loaded(text)
        return _objects(value) if value is not None else self._behind_prefix(text)

    def _unwrapped(self, raw: bytes) -> list[Document] | None:
        if match := _CRI.match(raw):
            return self._joined(match[2].rstrip(b"\r\n") if match[1] == b"P" else match[2], is_last=match[1] == b"F")
        value = _loaded(raw)  # a faster reader refuses some that are right, such as half of a surrogate pair
        return _objects(value) if value is not None else self._behind_prefix(raw)

    def _behind_prefix(self, raw: bytes) -> list[Document] | None:
        start = raw.find(b"{")
        if start <= 0 or not raw.rstrip().endswith(b"}"):
            return None
        return _objects(_loaded(raw[start:]))


def _loaded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _objects(value: Any) -> list[Document] | None:
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return value
    return None


def read_json(lines: LineChunks, field_map: FieldMap | None = None, loads: Loads = json.loads) -> Iterator[tuple[int, Document]]:
    """(line, object) of a stream of JSON; what is no object is rejected. In an array the number is that of the element."""
    first = lines.peek().strip()
    is_array = first[:1] == b"[" and first[1:].lstrip()[:1] in (b"", b"{", b"[", b"]")  # and no prefix such as [pod/a]
    if is_array or _spans_lines(lines.head()):
        yield from _read_values(lines, is_array=is_array)
        return
    reader = JsonLines(field_map, loads)
    for first_number, data in lines.chunks():
        for number, raw in enumerate(data.split(b"\n"), first_number):
            if not raw or raw.isspace():
                continue
            documents = reader.documents(raw)
            if documents is None:
                lines.rejects.append(Reject(number, "line", NO_OBJECT))
                continue
            for document in documents:
                yield number, document


def _spans_lines(head: bytes) -> bool:
    """Whether the first object goes on over several lines, and is not one that was cut off before a whole one."""
    first, _, rest = head.lstrip().partition(b"\n")
    first, second = first.strip(), rest.lstrip().partition(b"\n")[0]
    is_open = first[:1] == b"{" and first[-1:] in (b"{", b"[", b",")
    return is_open and second[:1] in (b'"', b"{", b"}", b"[", b"]") and not isinstance(_loaded(second), dict)


def _read_values(lines: LineChunks, *, is_array: bool) -> Iterator[tuple[int, Document]]:
    """Objects of an array, or one after the other over several lines."""
    decoder, number, text, position, is_open = json.JSONDecoder(), 0, "", 0, is_array
    blocks, is_ended, wanted = lines.blocks(), False, 0
    while True:
        position = _skip(text, position, " \t\r\n,[" if number == 0 and is_array else " \t\r\n,")
        if is_open and text[position : position + 1] == "]":
            position, is_open = _skip(text, position + 1, " \t\r\n,["), False
            continue
        if position < len(text) and (len(text) - position >= wanted or is_ended):
            try:
                value, position = decoder.raw_decode(text, position)
            except (ValueError, RecursionError):
                wanted = 2 * (len(text) - position)
                if is_ended or wanted > 2 * MAX_DOCUMENT_BYTES:
                    number, wanted = number + 1, 0
                    lines.rejects.append(Reject(number, "line", "not JSON, or the file ends in the middle"))
                    position = text.find("\n", position) + 1  # the next line may be whole
                    if is_array or not position:
                        return
                    continue
            else:
                number, wanted, is_open = number + 1, 0, is_array
                if isinstance(value, dict):
                    yield number, value
                else:
                    lines.rejects.append(Reject(number, "line", NO_OBJECT))
                continue
        if is_ended:
            return
        block = next(blocks, b"")
        is_ended = not block
        text, position = text[position:] + block.decode("utf-8", "surrogateescape"), 0


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position


def read_table(path: str, lines: LineChunks, field_map: FieldMap) -> Iterator[tuple[int, Document]]:
    """(line, row) of a table, each row an object of the cells that the map reads.

    Raises
    ------
    UnreadableFile
        If the header has none of the columns that the map reads, or one of them twice.
    """
    form, header_line = field_map.form, b""
    dialect = Dialect(form.separator) if form.separator else None
    if not form.columns:
        header_line = lines.take()
        text = (dialect or Dialect(";")).decoded(header_line.rstrip(b"\r")) or ""
        if separator := named_separator(text):
            dialect, header_line = Dialect(separator), lines.take()
            text = dialect.decoded(header_line.rstrip(b"\r")) or ""
        dialect = dialect or find_dialect(text)
        names = [name.strip().lstrip("#") for name in dialect.cells(text) or ()]
    else:
        names = list(form.columns)
        dialect = dialect or find_dialect(lines.peek().decode("utf-8", "replace"))
    reader = TableRows(path, names, dialect, field_map)
    number, rest = 0, b""
    for first_number, chunk in lines.chunks():
        number, data = (number, rest + chunk) if rest else (first_number, chunk)
        if dialect.separator != SPACES:
            data = without_truncated_line(data, number, names, lines, lines.rejects, dialect.separator.encode())
        rest_lines: list[bytes] = []
        yield from _table_rows(
            read_records(enumerate(data.split(b"\n"), number), dialect, lines.rejects, rest_lines), reader, lines
        )
        rest = b"\n".join(rest_lines)
        number += data.count(b"\n") - rest.count(b"\n")
    yield from _table_rows(read_records(enumerate(rest.split(b"\n"), number), dialect, lines.rejects), reader, lines)


def _table_rows(records: Iterator[tuple[int, list[str]]], reader: TableRows, lines: LineChunks) -> Iterator[tuple[int, Document]]:
    for number, cells in records:
        document = reader.document(cells)
        if isinstance(document, str):
            lines.rejects.append(Reject(number, "line", document))
        elif document is not None:
            yield number, document


class TableRows:
    """Rows of a table as objects of the cells that a map reads; names of columns fit in any case."""

    def __init__(self, path: str, names: Sequence[str], dialect: Dialect, field_map: FieldMap) -> None:
        self._names, self._dialect = list(names), dialect
        lower = [name.lower() for name in names]
        self._indices: dict[str, int] = {}
        for wanted in field_map.top_fields():
            place = names if wanted in names else lower
            name = wanted if wanted in names else wanted.lower()
            if place.count(name) > 1:
                raise UnreadableFile(f"{path}: the header names the column {wanted} twice")
            if name in place:
                self._indices[wanted] = list(place).index(name)
        if not self._indices:
            wanted_names = ", ".join(sorted(field_map.top_fields()))
            raise UnknownColumns(
                f"{path}: its header has none of the columns that the map {field_map.name} reads ({wanted_names})"
            )

    def document(self, cells: Sequence[str]) -> Document | str | None:
        """The row of some cells; None for a repeated header, the reason if it is no row."""
        if len(cells) != len(self._names):
            return f"{len(cells)} columns where the header has {len(self._names)}"
        row = {name: cells[index].strip() for name, index in self._indices.items()}
        if all(cells[index].strip().lower() == self._names[index].lower() for index in self._indices.values()):
            return None
        if self._dialect.separator != ",":
            row = {name: point_number(cell) for name, cell in row.items()}
        return row


def read_text(lines: LineChunks, field_map: FieldMap) -> Iterator[tuple[int, Document]]:
    """(line, named parts) of each line or block of lines of a text that the map's pattern matches; others are left out."""
    reader = TextLines(field_map)
    for first_number, data in lines.chunks():
        for number, raw in enumerate(data.split(b"\n"), first_number):
            yield from ((number, document) for document in reader.documents(raw))
    yield from ((lines.number, document) for document in reader.last())


class TextLines:
    """Named parts of the lines, or of the blocks of lines, that the map's pattern matches."""

    def __init__(self, field_map: FieldMap) -> None:
        self._map = field_map
        self.state = b""  # of a block that is not complete yet

    def documents(self, raw: bytes) -> list[Document]:
        """The parts of a line, or of the block that it ends."""
        if self._map.form.block is None:
            return self._parts(raw) if raw.strip() else []
        if not self._map.form.block.search(raw.decode("utf-8", "replace")):
            self.state += b"\n" + raw if self.state and len(self.state) < MAX_PART_BYTES else b""
            return []
        block, self.state = self.state, raw
        return self._parts(block) if block else []

    def last(self) -> list[Document]:
        """The parts of the last block."""
        block, self.state = self.state, b""
        return self._parts(block) if block else []

    def _parts(self, raw: bytes) -> list[Document]:
        pattern = self._map.form.pattern
        match = pattern.search(raw.decode("utf-8", "replace").replace("\r", "")) if pattern is not None else None
        if match is None:
            self._map.left_out["a line that the pattern of the map does not match"] += 1
            return []
        return [match.groupdict()]


class TableLines:
    """Rows of a table that is followed line by line, whose columns the map lists."""

    def __init__(self, field_map: FieldMap) -> None:
        if not field_map.form.columns:
            raise BadMap(
                f'{field_map.name}: a table is followed without its header; list its columns in the map: columns = ["…"]'
            )
        self._dialect = Dialect(field_map.form.separator or ",")
        self._rows = TableRows(field_map.name, field_map.form.columns, self._dialect, field_map)
        self.state = b""

    def documents(self, raw: bytes) -> list[Document] | None:
        """The row of a line; None if it is none."""
        text = self._dialect.decoded(raw.removesuffix(b"\r"))
        cells = None if text is None else self._dialect.cells(text)
        document = "" if cells is None else self._rows.document(cells)
        return None if isinstance(document, str) else [] if document is None else [document]


def line_reader(field_map: FieldMap) -> JsonLines | TextLines | TableLines:
    """A reader of the lines of a log that is followed.

    Raises
    ------
    BadMap
        If the map cannot read a log line by line.
    """
    field_map.check_readable()
    readers = {"jsonl": JsonLines, "any": JsonLines, "text": TextLines, "csv": TableLines}
    return readers[field_map.form.file_format](field_map)


def _is_json(head: bytes) -> bool:
    """Whether a file that may be a table is JSON: it begins so, or one of its first lines is an object."""
    first_lines = [line for line in head.split(b"\n")[: _LINES_TRIED + 1] if line.strip()]
    reader = JsonLines()  # one for all lines: a container runtime may have cut the first one
    return head.lstrip()[:1] in (b"{", b"[") or any(reader.documents(line) for line in first_lines)


def read_documents(
    path: str, lines: LineChunks, field_map: FieldMap, loads: Loads = json.loads
) -> Iterator[tuple[int, Document]]:
    """(line, document) of a log in the form of its map.

    Raises
    ------
    UnreadableFile
        If nothing in it can be read.
    """
    field_map.check_readable()
    file_format = field_map.form.file_format
    if file_format == "csv" or (file_format == "any" and not _is_json(lines.head())):
        return read_table(path, lines, field_map)
    return read_text(lines, field_map) if field_map.form.file_format == "text" else read_json(lines, field_map, loads)
