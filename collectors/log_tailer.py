"""Tailing of gateway logs on this host: complete new lines become requests by a field map, through rotations.

Positions are part of the agent's checkpoint, which is written before the records: a crash repeats requests, and repeats are
harmless since a request has an identity. An unreadable line is counted and skipped; its content is never stored.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from collectors.config import Gateway
from collectors.rotated_logs import RotatedLogs
from footprint.core.log_formats import FieldMap, load_map, map_request, parse_json_object
from footprint.core.records import BadLine, from_line, to_line

if TYPE_CHECKING:
    from footprint.core.user_counts import DistinctUsers

_COUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")


class LogTailer:
    """Reader of one gateway's new log lines; ``commit`` confirms that they are on disk."""

    def __init__(self, gateway: Gateway) -> None:
        self.pattern = gateway.log
        self._map = load_map(gateway.field_map, service=gateway.service, use_case=gateway.use_case)
        self.logs = RotatedLogs(gateway.log)
        self._refused = self._pending_refused = 0

    @property
    def refused_lines(self) -> int:
        """Number of lines that are no requests, or too long."""
        return self._refused + self.logs.long_lines

    @property
    def personal_names(self) -> int:
        """Number of use cases that were not taken because they look like an address, a token or an id of a person."""
        return self._map.personal_names.total()

    def read(self) -> list[str]:
        """Request lines of all new log lines; without a ``commit`` they are read again."""
        self._pending_refused = self._refused
        try:
            lines = [self._parse_line(line.raw, line.identity) for line in self.logs.read()]
        except Exception as error:  # a log that is broken in a new way must not stop the measuring
            self._pending_refused = self._refused
            self.logs.abandon(error)
            return []
        return [line for line in lines if line]

    def commit(self) -> None:
        """Confirm that all lines read are on disk."""
        self.logs.commit()
        self._refused = self._pending_refused

    def _parse_line(self, raw: bytes, identity: str) -> str | None:
        document = parse_json_object(raw)
        line = "" if document is None and raw.strip() else document and request_line(self._map, document, identity)
        self._pending_refused += line == ""
        return line or None


def request_line(field_map: FieldMap, document: Mapping[str, Any], identity: str) -> str | None:
    """Request line in the wire format of a log row; None if the map excludes the row, empty if it is invalid.

    ``identity`` is used if the row has none, so that repeats are recognised.
    """
    try:
        row = map_request(field_map, document)
        if row is None:
            return None
        row["id"] = str(row.get("id") or identity)
        for name in _COUNTS:
            if isinstance(row.get(name), str) and row[name].isdecimal():
                row[name] = int(row[name])
        return to_line(from_line(json.dumps({"kind": "request"} | row)))
    except (BadLine, ArithmeticError, ValueError, TypeError, RecursionError):
        return ""  # such as a number that no float holds


def read_file(field_map: FieldMap, path: str, users: DistinctUsers | None = None) -> Iterator[tuple[int, str | None]]:
    """(line number, request as JSON) of each request in a log, plain or gzip; None for an unreadable line.

    Raises
    ------
    OSError
        If the file cannot be read, or is no archive or table.
    """
    try:
        yield from _read_file(field_map, path, users)
    except (EOFError, zlib.error, csv.Error) as error:
        raise OSError(f"{path}: {error}") from None


def _read_file(field_map: FieldMap, path: str, users: DistinctUsers | None) -> Iterator[tuple[int, str | None]]:
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
