"""This file reads JSON Lines into blocks: one object a line, every value as the text that a CSV file would hold.

One rule for all formats then says what is a number, a time or a name, whatever stands in the lines around.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from footprint.core.records import is_storable
from footprint.ledger.line_reader import LineChunks
from footprint.ledger.record_batch import RecordBatch, is_wanted
from footprint.ledger.rejects import Reject

_SUSPECT_BYTES = (b"\\u", b"\0", b"\xed")  # an escape, a NUL, the first byte of a surrogate
RowMapper = Callable[[dict[str, Any]], dict[str, Any] | None]


def read_jsonl(lines: LineChunks, wanted: Collection[str] | None, shape: RowMapper | None = None) -> Iterator[RecordBatch]:
    """Blocks of a stream of JSON Lines; a column is there once any line of the first block has it.

    ``shape`` makes of an object the columns that are wanted, or None of one that is no row.
    """
    for number, data in lines.chunks():
        rejects, lines.rejects = lines.rejects, []
        found: list[dict[str, Any]] = []
        where: list[int] = []
        # Where no byte of a chunk can stand for a text that a store refuses, none of its texts is looked at for it.
        clean = not any(byte in data for byte in _SUSPECT_BYTES)
        for line, raw in enumerate(_split(data), number):
            if not raw.strip():
                continue
            value = _parsed(raw)
            if isinstance(value, dict):
                row = value if shape is None else shape(value)
                if row is not None:
                    found.append(row)
                    where.append(line)
            else:
                rejects.append(Reject(line, "line", "not a JSON object"))
        yield RecordBatch(_columns(found, wanted, clean), np.array(where, dtype=np.int64), rejects)
    if lines.rejects:
        yield RecordBatch.empty((), lines.rejects[:])


def _split(data: bytes) -> Iterable[bytes | str]:
    """Lines of a chunk, as text where it is all UTF-8, for a line is then read without asking which encoding it has."""
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
    """The text of a scalar; of anything else, one that no column accepts (it holds a NUL)."""
    if value is None:
        return None
    if isinstance(value, str):
        return value if clean or is_storable(value) else "\0text"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return f"\0{type(value).__name__}"
