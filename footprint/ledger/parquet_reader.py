"""Parquet reader; columns that are not wanted are not decoded."""

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
from footprint.ledger.rejects import file_rejects

MAGIC = b"PAR1"
_ROWS = 100_000


def read_parquet(path: str, raw: IO[bytes], digest: Any, wanted: Collection[str] | None) -> Iterator[RecordBatch]:
    """Batches of rows of a Parquet file, plain or gzip; line numbers are row numbers from 1.

    Raises
    ------
    UnreadableFile
        If it is damaged or truncated; the rows before the damage have been yielded.
    """
    try:
        with tempfile.TemporaryFile() as spool:
            file = pq.ParquetFile(_seekable(raw, spool, digest))
            names = [name for name in file.schema_arrow.names if is_wanted(name, wanted)]
            if len(set(names)) < len(names):
                raise UnreadableFile(f"{path}: names a column twice")
            yield RecordBatch.empty(names, file_rejects())
            number = 1
            for record_batch in file.iter_batches(batch_size=_ROWS, columns=names) if names else ():
                columns = {name: _decoded_column(record_batch.column(name)) for name in names}
                yield RecordBatch(columns, line_numbers(number, record_batch.num_rows), file_rejects())
                number += record_batch.num_rows
    except (pa.ArrowException, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"{path}: not a Parquet file that can be read: {error}") from None


def _seekable(raw: IO[bytes], spool: IO[bytes], digest: Any) -> IO[bytes]:
    """The Parquet bytes as a seekable file; a pipe or a gzip file is copied to disk first."""
    source = raw
    if not raw.seekable():
        shutil.copyfileobj(raw, spool)
        source = spool
        source.seek(0)
    magic = source.read(2)
    source.seek(0)
    if digest is not None:
        while data := source.read(CHUNK_BYTES):
            digest.update(data)
        source.seek(0)
    if magic == b"\x1f\x8b":
        unpacked = spool if source is raw else tempfile.TemporaryFile()  # noqa: SIM115 - closed when garbage-collected
        with gzip.open(source) as decompressed:
            shutil.copyfileobj(decompressed, unpacked)
        unpacked.seek(0)
        return unpacked
    return source


def _decoded_column(column: pa.Array) -> pa.Array:
    """A column in one of the few types that ``column_parsers`` accepts."""
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
