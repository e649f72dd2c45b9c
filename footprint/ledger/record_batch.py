"""This file holds what every format of file is read into: blocks of columns that know their lines."""

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
    """A file that cannot be read as what it says it is."""


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Rows of a file: columns by name, the line of each row, and lines that were no rows."""

    columns: dict[str, pa.Array]
    lines: NDArray[np.int64]
    rejects: list[Reject]

    def column(self, name: str) -> pa.Array:
        """A column, all null where the file has none of that name."""
        found = self.columns.get(name)
        return pa.nulls(len(self.lines), pa.string()) if found is None else found

    @classmethod
    def empty(cls, names: Iterable[str], rejects: list[Reject]) -> RecordBatch:
        """A block that says which columns there are, and perhaps what was no row."""
        return cls({name: pa.array([], pa.string()) for name in names}, np.zeros(0, dtype=np.int64), rejects)


def is_wanted(name: str, wanted: Collection[str] | None) -> bool:
    """Whether a column is looked at; the others are passed over unread, for they may hold what people wrote."""
    return wanted is None or name in wanted


def line_numbers(first: int, count: int) -> NDArray[np.int64]:
    """Numbers of consecutive lines."""
    return np.arange(first, first + count, dtype=np.int64)
