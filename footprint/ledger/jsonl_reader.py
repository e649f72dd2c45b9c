"""Columns of JSON: every value in the type of its column, or as the text that a CSV file would hold.

The same parsers then decide for all formats what is a number, a time or a name, independently of other lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from footprint.core.line_chunks import LineChunks
from footprint.core.log_documents import read_json
from footprint.core.log_formats import NUMBERS, TIMES
from footprint.ledger.record_batch import HALF_SURROGATE, NOT_TEXT, RecordBatch, is_wanted

ROWS = 20_000  # of a batch, which is one commit
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNTYPED = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError)


def read_jsonl(lines: LineChunks, wanted: Collection[str] | None) -> Iterator[RecordBatch]:
    """Batches of rows of a JSON stream; a batch has the columns that any of its objects has."""

    def columns_of(documents: list[dict[str, Any]]) -> dict[str, pa.Array]:
        names = dict.fromkeys(name for document in documents for name in document if is_wanted(name, wanted))
        return {name: to_array(name, [document.get(name) for document in documents]) for name in names}

    return in_batches(read_json(lines), lines, columns_of)


def in_batches(
    rows: Iterable[tuple[int, Any]], lines: LineChunks, columns_of: Callable[[list[Any]], dict[str, pa.Array]]
) -> Iterator[RecordBatch]:
    """Numbered rows as batches of columns, with the lines rejected meanwhile."""
    numbers: list[int] = []
    batch: list[Any] = []
    for number, row in rows:
        numbers.append(number)
        batch.append(row)
        if len(batch) == ROWS:
            yield RecordBatch(columns_of(batch), np.array(numbers, dtype=np.int64), lines.take_rejects())
            numbers, batch = [], []
    if batch or lines.rejects:
        yield RecordBatch(columns_of(batch), np.array(numbers, dtype=np.int64), lines.take_rejects())


def to_array(name: str, values: Sequence[Any]) -> pa.Array:
    """A column: numbers in their type where all are numbers, else texts; what is no scalar is ``NOT_TEXT``, which is rejected."""
    is_number = name in NUMBERS or name in TIMES
    try:
        array = pa.array(values)
    except _UNTYPED:
        array = None
    if array is not None:
        kind = array.type
        if pa.types.is_string(kind) or pa.types.is_null(kind):
            return array if pa.types.is_string(kind) else pa.nulls(len(array), pa.string())
        if is_number and (pa.types.is_int64(kind) or pa.types.is_float64(kind)):
            return array
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    """The text of a scalar; for any other value, ``NOT_TEXT``, which every column rejects."""
    if value is None:
        return None
    if isinstance(value, str):
        return HALF_SURROGATE if _SURROGATE.search(value) else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return NOT_TEXT
