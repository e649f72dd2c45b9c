"""Readers of CSV, JSON Lines and Parquet, plain or gzip, in batches of rows of bounded memory.

An invalid line is rejected with its number and reading continues. A truncated file (a partial line, a partial gzip stream)
gives everything before the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from footprint.core.limits import Reject
from footprint.core.line_chunks import HashedStream, LineChunks
from footprint.core.log_documents import MAX_DOCUMENT_BYTES, UnknownColumns, read_documents
from footprint.core.log_formats import COLUMNS_OF, FieldMap
from footprint.core.log_times import parse_time
from footprint.core.log_values import Times
from footprint.core.timestamps import BadTimestamp, format_instant
from footprint.ledger.csv_reader import read_csv
from footprint.ledger.input_description import looks_like
from footprint.ledger.json_decoder import decoder_of
from footprint.ledger.jsonl_reader import in_batches, read_jsonl, to_array
from footprint.ledger.parquet_reader import MAGIC, read_parquet
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.rejects import file_rejects

_JSON_NAMES = (".jsonl", ".ndjson", ".json")


def read_batches(
    path: str, digest: Any = None, wanted: Collection[str] | None = None, times: Times | None = None
) -> Iterator[RecordBatch]:
    """Batches of rows of a file, or of standard input for ``-``.

    ``digest`` is updated with the bytes on disk; only ``wanted`` columns are read. ``times`` says in which zone and order times
    are written that do not say so themselves.

    Raises
    ------
    UnreadableFile
        If the file does not exist, or nothing in it can be read.
    """
    batches = _read_batches(path, digest, wanted)
    return batches if times is None else (_localised(batch, times) for batch in batches)


def _read_batches(path: str, digest: Any, wanted: Collection[str] | None) -> Iterator[RecordBatch]:
    name = path.removesuffix(".gz")
    try:
        with _open(path) as raw:
            if name.endswith(".parquet") or raw.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:
                yield from read_parquet(path, raw, digest, wanted)
                return
            lines = LineChunks(HashedStream(raw, digest))
            first = lines.peek()
            if name.endswith(_JSON_NAMES) or first.lstrip()[:1] in (b"{", b"["):
                yield from read_jsonl(lines, wanted)
            elif first.strip():
                yield from read_csv(path, lines, wanted)
            else:
                raise UnreadableFile(f"{path}: empty; a header is expected")
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from None


def read_mapped_file(path: str, field_map: FieldMap, digest: Any = None) -> Iterator[RecordBatch]:
    """Batches of rows of another program's file, mapped to the columns of its map.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    columns_of = _columns_of(field_map)
    yield RecordBatch.empty(COLUMNS_OF[field_map.kind], file_rejects())
    try:
        with _open(path) as raw:
            if path.removesuffix(".gz").endswith(".parquet") or raw.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:
                yield from _mapped_parquet(path, raw, digest, field_map)
                return
            lines = LineChunks(HashedStream(raw, digest), MAX_DOCUMENT_BYTES)
            if not lines.peek().strip():
                raise UnreadableFile(f"{path}: empty")
            documents = read_documents(path, lines, field_map, decoder_of(field_map))
            rows = ((number, row) for number, document in documents for row in field_map.read(document))
            yield from in_batches(rows, lines, columns_of)
    except UnknownColumns as error:
        raise UnreadableFile(f"{error}{looks_like(path)}") from None
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}") from None


def _columns_of(field_map: FieldMap) -> Callable[[list[Sequence[Any]]], dict[str, pa.Array]]:
    def columns_of(rows: list[Sequence[Any]]) -> dict[str, pa.Array]:
        columns = zip(*rows, strict=True) if rows else ((),) * len(field_map.columns)
        arrays = {name: to_array(name, values) for name, values in zip(field_map.columns, columns, strict=True)}
        return {name: arrays.get(name, pa.nulls(len(rows), pa.string())) for name in COLUMNS_OF[field_map.kind]}

    return columns_of


def _mapped_parquet(path: str, raw: Any, digest: Any, field_map: FieldMap) -> Iterator[RecordBatch]:
    columns_of = _columns_of(field_map)
    for batch in read_parquet(path, raw, digest, field_map.top_fields()):
        names = list(batch.columns)
        documents = zip(*(_plain_values(batch.columns[name]) for name in names), strict=True)
        numbered = zip(batch.lines.tolist(), documents, strict=True)
        rows = [(line, row) for line, cells in numbered for row in field_map.read(dict(zip(names, cells, strict=True)))]
        lines = np.array([line for line, _ in rows], dtype=np.int64)
        yield RecordBatch(columns_of([row for _, row in rows]), lines, batch.rejects)


def _plain_values(column: pa.Array) -> list[Any]:
    """Values of a column; times as RFC 3339, without an offset where they have no zone."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    instants = [
        None if value is None else format_instant(value) for value in column.cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
    ]
    return instants if column.type.tz else [None if text is None else text.removesuffix("Z") for text in instants]


def _localised(batch: RecordBatch, times: Times) -> RecordBatch:
    """A batch whose times are instants; rows with one that is none, or two, are rejected."""
    columns, is_taken = dict(batch.columns), np.ones(len(batch.lines), dtype=bool)
    for name in ("time", "start", "end", "first_token"):
        column = columns.get(name)
        if column is None or not (pa.types.is_string(column.type) or pa.types.is_timestamp(column.type)):
            continue
        texts: list[str | None] = []
        for index, value in enumerate(_plain_values(column)):
            text, reason = _instant_text(value, times)
            texts.append(text)
            if reason and is_taken[index]:
                is_taken[index] = False
                batch.rejects.append(Reject(int(batch.lines[index]), name, reason))
        columns[name] = pa.array(texts, pa.string())
    if is_taken.all():
        return RecordBatch(columns, batch.lines, batch.rejects)
    mask = pa.array(is_taken)
    return RecordBatch({name: column.filter(mask) for name, column in columns.items()}, batch.lines[is_taken], batch.rejects)


def _instant_text(value: str | None, times: Times) -> tuple[str | None, str]:
    """A time as RFC 3339 in UTC, or why it is none."""
    if value is None or not value.strip():
        return None, ""
    try:
        return format_instant(parse_time(value, times.zone, times.order)), ""
    except BadTimestamp as error:
        return None, str(error)


def _open(path: str) -> contextlib.AbstractContextManager[Any]:
    if path != "-":
        return Path(path).open("rb")
    stdin: Any = sys.stdin.buffer
    # The caller owns standard input, so it is not closed here.
    return contextlib.nullcontext(stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin))


def new_digest() -> Any:
    """New hash object of the digest that identifies a file in the ledger (SHA-256)."""
    return hashlib.sha256()
