"""Tailing of gateway logs on this host: complete new lines become requests by a field map, through rotations.

Positions are part of the agent's checkpoint, which is written before the records: a crash repeats requests, and repeats are
harmless since a request has an identity. An unreadable line is counted and skipped; its content is never stored.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from collectors.config import Gateway
from collectors.rotated_logs import RotatedLogs
from footprint.core.line_chunks import HashedStream, LineChunks
from footprint.core.log_documents import MAX_DOCUMENT_BYTES, line_reader, read_documents
from footprint.core.log_formats import NUMBERS, FieldMap, Options, load_map
from footprint.core.log_values import number_of
from footprint.core.records import BadLine, read_request, to_line

if TYPE_CHECKING:
    from footprint.core.user_counts import DistinctUsers


class LogTailer:
    """Reader of one gateway's new log lines; ``commit`` confirms that they are on disk."""

    def __init__(self, gateway: Gateway) -> None:
        self.pattern = gateway.log
        self.field_map = load_map(gateway.field_map, Options(service=gateway.service, use_case=gateway.use_case))
        self.logs = RotatedLogs(gateway.log)
        self._lines = line_reader(self.field_map)
        self._state = b""  # of a line that a container runtime cut in two
        self._refused = self._pending_refused = 0
        self.mended: Counter[str] = Counter()  # fields of requests that could not be and were left out, by reason
        self._committed = [Counter(counts) for counts in self._counters()]

    @property
    def refused_lines(self) -> int:
        """Number of lines that are no requests, or too long."""
        return self._refused + self.logs.long_lines

    @property
    def personal_names(self) -> int:
        """Number of use cases that were not taken because they look like an address, a token or an id of a person."""
        return self.field_map.personal_names.total()

    @property
    def values_not_taken(self) -> Counter[str]:
        """Number of values that are no scalar, or could not be and were left out or mended, by reason."""
        unusable = {f"{column}: an object or a list": count for column, count in self.field_map.unusable.items()}
        return Counter(unusable) + self.mended

    def read(self) -> list[str]:
        """Request lines of all new log lines; without a ``commit`` they are read again."""
        self._pending_refused, self._lines.state = self._refused, self._state
        for counts, committed in zip(self._counters(), self._committed, strict=True):
            counts.clear()
            counts.update(committed)
        try:
            lines = [line for raw in self.logs.read() for line in self._parse_line(raw.raw, raw.identity)]
        except Exception as error:  # a log that is broken in a new way must not stop the measuring
            self._pending_refused = self._refused
            self.logs.abandon(error)
            return []
        return lines

    def commit(self) -> None:
        """Confirm that all lines read are on disk."""
        self.logs.commit()
        self._refused, self._state = self._pending_refused, self._lines.state
        self._committed = [Counter(counts) for counts in self._counters()]

    def _counters(self) -> tuple[Counter[str], ...]:
        return self.field_map.left_out, self.field_map.unusable, self.field_map.personal_names, self.mended

    def _parse_line(self, raw: bytes, identity: str) -> list[str]:
        documents = self._lines.documents(raw) if raw.strip() else []
        if documents is None:
            self._pending_refused += 1
            return []
        lines = request_lines(self.field_map, documents, identity, self.mended)
        self._pending_refused += lines.count("")
        return [line for line in lines if line]


def request_lines(
    field_map: FieldMap,
    documents: list[dict[str, Any]],
    identity: str,
    mended: Counter[str] | None = None,
    refused: Counter[str] | None = None,
) -> list[str]:
    """Request lines in the wire format of the documents of a log line; empty ones for those that are invalid.

    ``identity`` is used if a row has none, so that repeats are recognised. ``mended`` counts fields that cannot be, and
    ``refused`` requests, by reason.
    """
    rows = [row for document in documents for row in field_map.mapped(document)]
    names = [f"{identity}.{number}" if number and identity else identity for number in range(len(rows))]
    return [
        _wire_line(row, name, mended, Counter() if refused is None else refused) for row, name in zip(rows, names, strict=True)
    ]


def request_line(field_map: FieldMap, document: dict[str, Any], identity: str) -> str | None:
    """Request line of a document with one row; None if the map excludes it, empty if it is invalid."""
    lines = request_lines(field_map, [document], identity)
    return lines[0] if lines else None


def _wire_line(row: dict[str, Any], identity: str, mended: Counter[str] | None, refused: Counter[str]) -> str:
    try:
        row["id"] = str(row.get("id") or identity)
        for name in NUMBERS:
            if name in row:
                row[name] = _wire_number(row[name])
        return to_line(read_request({name: _wire_text(name, row[name]) for name in row}, mended=mended))
    except BadLine as bad:
        refused[f"{bad.column}: {bad.reason}"] += 1
    except (ArithmeticError, ValueError, TypeError, RecursionError):
        refused["a value that nothing reads"] += 1  # such as a number that no float holds
    return ""


def _wire_number(value: Any) -> Any:
    """A number as the wire has it: counts that a log writes as text or with decimals are whole numbers; others stay."""
    try:
        number = number_of(value)
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _wire_text(name: str, value: Any) -> Any:
    is_text = name in ("service", "model", "unit", "status", "replica")
    return str(value) if is_text and isinstance(value, int | float) and not isinstance(value, bool) else value


def read_file(field_map: FieldMap, path: str, users: DistinctUsers | None = None) -> Iterator[tuple[int, str | None]]:
    """(line number, request as JSON) of each request in a log, plain or gzip; None for an unreadable line.

    Raises
    ------
    OSError
        If the file cannot be read.
    UnreadableFile
        If nothing in it can be read.
    """
    with contextlib.nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
        lines = LineChunks(HashedStream(file), MAX_DOCUMENT_BYTES)
        for number, document in read_documents(path, lines, field_map):
            for record in field_map.records(document):
                for row in field_map.rows(record):
                    columns = field_map.as_object(row)
                    if users is not None:
                        users.add(record, columns)
                    yield number, json.dumps(columns, ensure_ascii=False)
            yield from ((reject.line, None) for reject in lines.take_rejects())
        yield from ((reject.line, None) for reject in lines.take_rejects())
