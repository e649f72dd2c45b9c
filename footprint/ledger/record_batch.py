"""Batch of rows read from a file: columns, line numbers and rejected lines, the same for every format."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from footprint.core.records import FootprintError
from footprint.ledger.rejects import Reject

CHUNK_BYTES = 4 << 20
MAX_LINE_BYTES = 1 << 20


class UnreadableFile(FootprintError):
    """The file cannot be read in its format, or lacks a required column."""


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Rows of a file: columns by name, the line number of each row, and the rejected lines."""

    columns: dict[str, pa.Array]
    lines: NDArray[np.int64]
    rejects: list[Reject]

    def column(self, name: str) -> pa.Array:
        """A column; all null if the file has none of that name."""
        values = self.columns.get(name)
        return pa.nulls(len(self.lines), pa.string()) if values is None else values

    @classmethod
    def empty(cls, names: Iterable[str], rejects: list[Reject]) -> RecordBatch:
        """A batch without rows, which declares the columns and may carry rejects."""
        return cls({name: pa.array([], pa.string()) for name in names}, np.zeros(0, dtype=np.int64), rejects)


def is_wanted(name: str, wanted: Collection[str] | None) -> bool:
    """Whether to read a column; others stay unread, because they may contain personal text."""
    return wanted is None or name in wanted


def line_numbers(first: int, count: int) -> NDArray[np.int64]:
    """Numbers of consecutive lines."""
    return np.arange(first, first + count, dtype=np.int64)
