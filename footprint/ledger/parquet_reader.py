"""This file reads Parquet into blocks; columns that nobody asked for are not even unpacked."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from footprint.ledger.record_batch import CHUNK_BYTES, RecordBatch, UnreadableFile, is_wanted, line_numbers

MAGIC = b"PAR1"
_ROWS = 100_000


def read_parquet(path: str, raw: IO[bytes], digest: Any, wanted: Collection[str] | None) -> Iterator[RecordBatch]:
    """Blocks of a Parquet file, plain or within gzip; lines are rows, from 1.

    Raises
    ------
    UnreadableFile
        If it is damaged or cut; what stood before the damage was given out.
    """
    try:
        with tempfile.TemporaryFile() as copy:
            file = pq.ParquetFile(_seekable(raw, copy, digest))
            names = [name for name in file.schema_arrow.names if is_wanted(name, wanted)]
            if len(set(names)) < len(names):
                raise UnreadableFile(f"{path}: names a column twice")
            yield RecordBatch.empty(names, [])
            number = 1
            for batch in file.iter_batches(batch_size=_ROWS, columns=names) if names else ():
                columns = {name: _decoded_column(batch.column(name)) for name in names}
                yield RecordBatch(columns, line_numbers(number, batch.num_rows), [])
                number += batch.num_rows
    except (pa.ArrowException, EOFError, zlib.error, gzip.BadGzipFile) as bad:
        raise UnreadableFile(f"{path}: not a Parquet file that can be read: {bad}") from None


def _seekable(raw: IO[bytes], copy: IO[bytes], digest: Any) -> IO[bytes]:
    """The Parquet bytes, for reading here and there; a pipe or a gzip file is copied to disk first."""
    source = raw
    if not raw.seekable():
        shutil.copyfileobj(raw, copy)
        source = copy
        source.seek(0)
    start = source.read(2)
    source.seek(0)
    if digest is not None:
        while data := source.read(CHUNK_BYTES):
            digest.update(data)
        source.seek(0)
    if start == b"\x1f\x8b":
        unpacked = copy if source is raw else tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is dropped
        with gzip.open(source) as plain:
            shutil.copyfileobj(plain, unpacked)
        unpacked.seek(0)
        return unpacked
    return source


def _decoded_column(column: pa.Array) -> pa.Array:
    """A column of one of the few types that columns.py knows."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _decoded_column(column.dictionary_decode())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        try:
            return pc.cast(column, pa.string())
        except pa.ArrowInvalid:
            return column
    return column.cast(pa.float32()) if pa.types.is_float16(kind) else column
