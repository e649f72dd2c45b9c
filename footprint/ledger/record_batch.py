"""Batch of rows read from a file: columns, line numbers and rejected lines, the same for every format."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from footprint.core.limits import RejectList
from footprint.core.line_chunks import CHUNK_BYTES, UnreadableFile

__all__ = ["CHUNK_BYTES", "HALF_SURROGATE", "NOT_TEXT", "RecordBatch", "UnreadableFile", "is_wanted", "line_numbers"]
# Stand for values that are no text that can be kept; the columns reject them.
NOT_TEXT, HALF_SURROGATE = "\0not a text", "\0half of a surrogate pair"


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Rows of a file: columns by name, the line number of each row, and the rejected lines."""

    columns: dict[str, pa.Array]
    lines: NDArray[np.int64]
    rejects: RejectList

    def column(self, name: str) -> pa.Array:
        """A column; all null if the file has none of that name."""
        values = self.columns.get(name)
        return pa.nulls(len(self.lines), pa.string()) if values is None else values

    @classmethod
    def empty(cls, names: Iterable[str], rejects: RejectList) -> RecordBatch:
        """A batch without rows, which declares the columns and may carry rejects."""
        return cls({name: pa.array([], pa.string()) for name in names}, np.zeros(0, dtype=np.int64), rejects)


def is_wanted(name: str, wanted: Collection[str] | None) -> bool:
    """Whether to read a column; others stay unread, because they may contain personal text."""
    return wanted is None or name in wanted


def line_numbers(first: int, count: int) -> NDArray[np.int64]:
    """Numbers of consecutive lines."""
    return np.arange(first, first + count, dtype=np.int64)
