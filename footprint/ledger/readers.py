"""Readers of CSV, JSON Lines and Parquet, plain or gzip, in batches of rows of bounded memory.

An invalid line is rejected with its number and reading continues. A truncated file (a partial line, a partial gzip stream)
gives everything before the end.
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
    path: str, digest: Any = None, wanted: Collection[str] | None = None, map_row: RowMapper | None = None
) -> Iterator[RecordBatch]:
    """Batches of rows of a file, or of standard input for ``-``.

    ``digest`` is updated with the bytes on disk; only ``wanted`` columns are read. ``map_row`` maps a JSON object to the
    columns of a row, or to None to skip it.

    Raises
    ------
    UnreadableFile
        If the file does not exist, or nothing in it can be read.
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
                yield from read_jsonl(lines, wanted, map_row)
            elif first.strip():
                yield from read_csv(path, lines, wanted)
            else:
                raise UnreadableFile(f"{path}: empty; a header is expected")
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from None


def read_mapped_log(path: str, field_map: FieldMap, digest: Any = None) -> Iterator[RecordBatch]:
    """Batches of rows of another program's log, mapped to request columns; columns that the map lacks are null.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    for batch in read_batches(
        path, digest, field_map.source_fields() if field_map.file_format == "csv" else COLUMNS, partial(map_request, field_map)
    ):
        if field_map.file_format == "csv":
            yield _map_rows(field_map, batch)
        else:
            yield RecordBatch({name: batch.column(name) for name in COLUMNS}, batch.lines, batch.rejects)


def _map_rows(field_map: FieldMap, batch: RecordBatch) -> RecordBatch:
    names = list(batch.columns)
    rows = zip(*(batch.columns[name].to_pylist() for name in names), strict=True)
    mapped = [map_request(field_map, dict(zip(names, row, strict=True))) for row in rows]
    mapped_lines = [(row, line) for row, line in zip(mapped, batch.lines.tolist(), strict=True) if row is not None]
    columns = {name: pa.array([_text(row.get(name)) for row, _ in mapped_lines], pa.string()) for name in COLUMNS}
    return RecordBatch(columns, np.array([line for _, line in mapped_lines], dtype=np.int64), batch.rejects)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _open(path: str) -> contextlib.AbstractContextManager[Any]:
    if path != "-":
        return Path(path).open("rb")
    stdin: Any = sys.stdin.buffer
    # The caller owns standard input, so it is not closed here.
    return contextlib.nullcontext(stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin))


def new_digest() -> Any:
    """New hash object of the digest that identifies a file in the ledger (SHA-256)."""
    return hashlib.sha256()
