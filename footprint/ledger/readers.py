"""This file reads CSV, JSON Lines and Parquet, plain or gzip, in blocks of bounded memory that know their lines.

A line that is no line of its format is refused with its number; what follows it is still read. A
file that ends in the middle (a torn line, a cut gzip) gives all that stands before.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from footprint.core.log_formats import COLUMNS, FieldMap, map_request
from footprint.ledger.csv_reader import read_csv
from footprint.ledger.jsonl_reader import RowMapper, read_jsonl
from footprint.ledger.line_reader import HashedStream, LineChunks
from footprint.ledger.parquet_reader import MAGIC, read_parquet
from footprint.ledger.record_batch import RecordBatch, UnreadableFile

_JSON_NAMES = (".jsonl", ".ndjson", ".json")


def read_batches(
    path: str, digest: Any = None, wanted: Collection[str] | None = None, shape: RowMapper | None = None
) -> Iterator[RecordBatch]:
    """Blocks of a file, or of standard input for ``-``.

    ``digest`` is fed the bytes as they stand on disk; of columns not ``wanted`` nothing is looked at. ``shape`` makes
    of a JSON object the columns of a row, or None.

    Raises
    ------
    UnreadableFile
        If there is no such file, or nothing in it can be read.
    """
    name = path.removesuffix(".gz")
    try:
        with _open(path) as raw:
            if name.endswith(".parquet") or raw.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:
                yield from read_parquet(path, raw, digest, wanted)
                return
            lines = LineChunks(HashedStream(raw, digest))
            first = lines.peek()
            if name.endswith(_JSON_NAMES) or first.lstrip()[:1] == b"{":
                yield from read_jsonl(lines, wanted, shape)
            elif first.strip():
                yield from read_csv(path, lines, wanted)
            else:
                raise UnreadableFile(f"{path}: empty; a header is expected")
    except OSError as bad:
        raise UnreadableFile(f"{path}: {bad.strerror or bad}") from None


def read_mapped_log(path: str, found: FieldMap, digest: Any = None) -> Iterator[RecordBatch]:
    """Blocks of a log, with the columns of requests that the map gives; every column is there, empty where it has none.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    for block in read_batches(
        path, digest, found.source_fields() if found.file_format == "csv" else COLUMNS, partial(map_request, found)
    ):
        if found.file_format == "csv":
            yield _map_rows(found, block)
        else:
            yield RecordBatch({name: block.column(name) for name in COLUMNS}, block.lines, block.rejects)


def _map_rows(found: FieldMap, block: RecordBatch) -> RecordBatch:
    names = list(block.columns)
    rows = zip(*(block.columns[name].to_pylist() for name in names), strict=True)
    mapped = [map_request(found, dict(zip(names, row, strict=True))) for row in rows]
    kept = [(row, line) for row, line in zip(mapped, block.lines.tolist(), strict=True) if row is not None]
    columns = {name: pa.array([_text(row.get(name)) for row, _ in kept], pa.string()) for name in COLUMNS}
    return RecordBatch(columns, np.array([line for _, line in kept], dtype=np.int64), block.rejects)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _open(path: str) -> contextlib.AbstractContextManager[Any]:
    if path != "-":
        return Path(path).open("rb")
    given: Any = sys.stdin.buffer
    # Not closed here: standard input is not ours.
    return contextlib.nullcontext(given if hasattr(given, "peek") else io.BufferedReader(given))


def new_digest() -> Any:
    """The digest under which a file is known to the ledger."""
    return hashlib.sha256()
