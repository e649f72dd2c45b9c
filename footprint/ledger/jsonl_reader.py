"""JSON Lines reader: one object a line, every value as the text that a CSV file would hold.

The same parsers then decide for all formats what is a number, a time or a name, independently of other lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from footprint.core.limits import Reject
from footprint.ledger.line_reader import LineChunks
from footprint.ledger.record_batch import HALF_SURROGATE, NOT_TEXT, RecordBatch, is_wanted

_SUSPECT_BYTES = (b"\\u", b"\xed")  # an escape, the first byte of a surrogate
_SURROGATE = re.compile("[\ud800-\udfff]")
RowMapper = Callable[[dict[str, Any]], dict[str, Any] | None]


def read_jsonl(lines: LineChunks, wanted: Collection[str] | None, map_row: RowMapper | None = None) -> Iterator[RecordBatch]:
    """Batches of rows of a JSON Lines stream; a batch has the columns that any of its lines has.

    ``map_row`` maps an object to the columns of a row, or to None to skip it.
    """
    for number, data in lines.chunks():
        rejects = lines.take_rejects()
        rows: list[dict[str, Any]] = []
        row_lines: list[int] = []
        # Without these bytes no text of the chunk holds half of a surrogate pair, which Arrow cannot hold.
        clean = not any(byte in data for byte in _SUSPECT_BYTES)
        for line, text in enumerate(_split(data), number):
            if not text.strip():
                continue
            value = _parsed(text)
            if isinstance(value, dict):
                row = value if map_row is None else map_row(value)
                if row is not None:
                    rows.append(row)
                    row_lines.append(line)
            else:
                rejects.append(Reject(line, "line", "not a JSON object"))
        yield RecordBatch(_columns(rows, wanted, clean), np.array(row_lines, dtype=np.int64), rejects)
    if lines.rejects:
        yield RecordBatch.empty((), lines.take_rejects())


def _split(data: bytes) -> Iterable[bytes | str]:
    """Lines of a chunk, as text if it is all UTF-8, because parsing then skips the detection of the encoding."""
    try:
        return data.decode().split("\n")
    except UnicodeDecodeError:
        return data.split(b"\n")


def _parsed(raw: bytes | str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _columns(rows: list[dict[str, Any]], wanted: Collection[str] | None, clean: bool) -> dict[str, pa.Array]:
    names = dict.fromkeys(name for row in rows for name in row if is_wanted(name, wanted))
    return {name: pa.array([_text(row.get(name), clean) for row in rows], pa.string()) for name in names}


def _text(value: Any, clean: bool) -> str | None:
    """The text of a scalar; for any other value, ``NOT_TEXT``, which every column rejects."""
    if value is None:
        return None
    if isinstance(value, str):
        return value if clean or not _SURROGATE.search(value) else HALF_SURROGATE
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return NOT_TEXT
