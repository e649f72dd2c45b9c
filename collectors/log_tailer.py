"""This file follows the logs of gateways on this host: whole new lines, each a request by a field map, through rotations.

What was read is remembered with the agent's other memory, before the records are on disk: a crash repeats requests, and
a request has an identity, so that repeats are harmless. A line that is no request is counted and left; its content goes nowhere.
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

from collectors.checkpoint import Places
from collectors.config import Gateway
from footprint.core.log_formats import FieldMap, load_map, map_request, parse_json_object
from footprint.core.records import BadLine, from_line, to_line

if TYPE_CHECKING:
    from footprint.core.user_counts import DistinctUsers

MAX_BYTES = 2_000_000  # of one log and record: a log of days is caught up with in minutes, not in one gulp
LONGEST_LINE = 1_000_000
_COUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")


class Follower:
    """Reads one gateway's logs on; ``places`` say how far, and change only when what was read is safe."""

    def __init__(self, gateway: Gateway) -> None:
        self.pattern = gateway.log
        self._map = load_map(gateway.form, service=gateway.service, use_case=gateway.use_case)
        self.places: Places = {}
        self._next: Places = {}
        self.refused = 0

    def read(self) -> list[str]:
        """Lines of the wire for what is new; ``keep`` them, or they are read again."""
        self._next = dict(self.places)
        found: list[str] = []
        for path in sorted(glob.glob(self.pattern)):
            found += self._read_on(path)
        return found

    def keep(self) -> None:
        """What was read is safe."""
        self.places = self._next

    def ahead(self) -> Places:
        """How far it will have been read once that is safe."""
        return self._next

    def _read_on(self, path: str) -> Iterator[str]:
        number, offset = self.places.get(path, (0, 0))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            state = os.fstat(descriptor)
            if number and state.st_ino != number:
                yield from self._rest_of(path, number, offset)
                offset = 0
            elif state.st_size < offset:
                offset = 0  # cut off and begun anew
            end = yield from self._lines(descriptor, state.st_ino, offset)
            self._next[path] = state.st_ino, end
        finally:
            os.close(descriptor)

    def _rest_of(self, path: str, number: int, offset: int) -> Iterator[str]:
        """What the file of before still held when it was moved away, wherever it stands in the folder now."""
        for entry in os.scandir(os.path.dirname(path) or "."):
            if entry.inode() == number and entry.is_file():
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    while (end := (yield from self._lines(descriptor, number, offset))) > offset:
                        offset = end
                finally:
                    os.close(descriptor)

    def _lines(self, descriptor: int, number: int, offset: int) -> Generator[str, None, int]:
        """Requests of the whole lines after an offset; the offset after them."""
        data = os.pread(descriptor, MAX_BYTES, offset)
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) >= LONGEST_LINE:
            self.refused += 1
            return offset + len(data)  # the middle of a line that is no line of a log
        at = offset
        for raw in data[:whole].split(b"\n")[:-1]:
            line = self._request(raw, f"{number:x}-{at:x}")
            if line is not None:
                yield line
            at += len(raw) + 1
        return offset + whole

    def _request(self, raw: bytes, identity: str) -> str | None:
        document = parse_json_object(raw) if len(raw) <= LONGEST_LINE else None
        line = "" if document is None and raw.strip() else document and request_line(self._map, document, identity)
        self.refused += line == ""
        return line or None


def request_line(found: FieldMap, document: Mapping[str, Any], identity: str) -> str | None:
    """The wire's line of a row of a log; None where the map says that it is no request, empty where it cannot be right.

    ``identity`` stands in where the row has none, so that repeats are known as such.
    """
    row = map_request(found, document)
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


def read_file(found: FieldMap, path: str, users: DistinctUsers | None = None) -> Iterator[tuple[int, str | None]]:
    """(line, request line) of each request in a log, plain or gzip; None in place of a line that cannot be read.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    opener = gzip.open if path.endswith(".gz") else open
    with contextlib.nullcontext(sys.stdin.buffer) if path == "-" else opener(path, "rb") as file:
        if found.file_format == "csv":
            text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
            documents: Iterator[Mapping[str, Any] | None] = iter(csv.DictReader(text))
        else:
            documents = (parse_json_object(raw) if raw.strip() else {} for raw in file)
        for number, document in enumerate(documents, 2 if found.file_format == "csv" else 1):
            row = map_request(found, document) if document else None
            if users is not None and document and row is not None:
                users.add(document, row)
            if document is None or row is not None:
                yield number, None if row is None else json.dumps(row, ensure_ascii=False)
