"""Tailing of gateway logs on this host: complete new lines become requests by a field map, through rotations.

Offsets are part of the agent's checkpoint, which is written before the records: a crash repeats requests, and repeats are
harmless since a request has an identity. An unreadable line is counted and skipped; its content is never stored.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import gzip
import io
import json
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from collectors.checkpoint import LogOffsets
from collectors.config import Gateway
from footprint.core.log_formats import FieldMap, load_map, map_request, parse_json_object
from footprint.core.records import BadLine, from_line, to_line

if TYPE_CHECKING:
    from footprint.core.user_counts import DistinctUsers

MAX_READ_BYTES = 2_000_000  # of one log per record: a log of days is read over minutes, not at once
MAX_LINE_BYTES = 1_000_000
_COUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")


class LogTailer:
    """Reader of one gateway's new log lines; ``offsets`` advance only when ``commit`` confirms that they are on disk."""

    def __init__(self, gateway: Gateway) -> None:
        self.pattern = gateway.log
        self._map = load_map(gateway.field_map, service=gateway.service, use_case=gateway.use_case)
        self.offsets: LogOffsets = {}
        self._pending: LogOffsets = {}
        self.refused_lines = 0

    def read(self) -> list[str]:
        """Request lines of all new log lines; without a ``commit`` they are read again."""
        self._pending = dict(self.offsets)
        lines: list[str] = []
        for path in sorted(glob.glob(self.pattern)):
            lines += self._read_new(path)
        return lines

    def commit(self) -> None:
        """Confirm that all lines read are on disk."""
        self.offsets = self._pending

    def pending_offsets(self) -> LogOffsets:
        """Offsets after the next ``commit``."""
        return self._pending

    def _read_new(self, path: str) -> Iterator[str]:
        inode, offset = self.offsets.get(path, (0, 0))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            status = os.fstat(descriptor)
            if inode and status.st_ino != inode:
                yield from self._read_rotated(path, inode, offset)
                offset = 0
            elif status.st_size < offset:
                offset = 0  # truncated
            end = yield from self._lines(descriptor, status.st_ino, offset)
            self._pending[path] = status.st_ino, end
        finally:
            os.close(descriptor)

    def _read_rotated(self, path: str, inode: int, offset: int) -> Iterator[str]:
        """Remaining lines of a rotated file, under whatever name it has in the folder now."""
        for entry in os.scandir(os.path.dirname(path) or "."):
            if entry.inode() == inode and entry.is_file():
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    while (end := (yield from self._lines(descriptor, inode, offset))) > offset:
                        offset = end
                finally:
                    os.close(descriptor)

    def _lines(self, descriptor: int, inode: int, offset: int) -> Generator[str, None, int]:
        """Requests of the complete lines after an offset; returns the offset after them."""
        data = os.pread(descriptor, MAX_READ_BYTES, offset)
        complete_bytes = data.rfind(b"\n") + 1
        if not complete_bytes and len(data) >= MAX_LINE_BYTES:
            self.refused_lines += 1
            return offset + len(data)  # a line too long to be one of a log
        position = offset
        for raw in data[:complete_bytes].split(b"\n")[:-1]:
            line = self._parse_line(raw, f"{inode:x}-{position:x}")
            if line is not None:
                yield line
            position += len(raw) + 1
        return offset + complete_bytes

    def _parse_line(self, raw: bytes, identity: str) -> str | None:
        document = parse_json_object(raw) if len(raw) <= MAX_LINE_BYTES else None
        line = "" if document is None and raw.strip() else document and request_line(self._map, document, identity)
        self.refused_lines += line == ""
        return line or None


def request_line(field_map: FieldMap, document: Mapping[str, Any], identity: str) -> str | None:
    """Request line in the wire format of a log row; None if the map excludes the row, empty if it is invalid.

    ``identity`` is used if the row has none, so that repeats are recognised.
    """
    row = map_request(field_map, document)
    if row is None:
        return None
    row["id"] = str(row.get("id") or identity)
    for name in _COUNTS:
        if isinstance(row.get(name), str) and row[name].isdigit():
            row[name] = int(row[name])
    try:
        return to_line(from_line(json.dumps({"kind": "request"} | row)))
    except BadLine:
        return ""


def read_file(field_map: FieldMap, path: str, users: DistinctUsers | None = None) -> Iterator[tuple[int, str | None]]:
    """(line number, request as JSON) of each request in a log, plain or gzip; None for an unreadable line.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    opener = gzip.open if path.endswith(".gz") else open
    with contextlib.nullcontext(sys.stdin.buffer) if path == "-" else opener(path, "rb") as file:
        if field_map.file_format == "csv":
            text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
            documents: Iterator[Mapping[str, Any] | None] = iter(csv.DictReader(text))
        else:
            documents = (parse_json_object(raw) if raw.strip() else {} for raw in file)
        for number, document in enumerate(documents, 2 if field_map.file_format == "csv" else 1):
            row = map_request(field_map, document) if document else None
            if users is not None and document and row is not None:
                users.add(document, row)
            if document is None or row is not None:
                yield number, None if row is None else json.dumps(row, ensure_ascii=False)
