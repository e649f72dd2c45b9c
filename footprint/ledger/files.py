"""This file reads CSV, JSON Lines and Parquet, plain or gzip, in blocks of bounded memory that know their lines.

A line that is no line of its format is refused with its number; what follows it is still read. A
file that ends in the middle (a torn line, a cut gzip) gives all that stands before.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from footprint.ledger.rejects import Reject
from footprint.readings import FootprintError

CHUNK_BYTES = 4 << 20
LONGEST_LINE = 1 << 20
PARQUET_ROWS = 100_000


class UnreadableFile(FootprintError):
    """A file that cannot be read as what it says it is."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a file: columns by name, the line of each row, and lines that were no rows."""

    columns: dict[str, pa.Array]
    lines: NDArray[np.int64]
    rejects: list[Reject]

    def column(self, name: str) -> pa.Array:
        """A column, all null where the file has none of that name."""
        found = self.columns.get(name)
        return pa.nulls(len(self.lines)) if found is None else found


def read_blocks(path: str, digest: Any = None) -> Iterator[Block]:
    """Blocks of a file, or of standard input for ``-``; ``digest`` is fed the bytes as they stand on disk.

    Raises
    ------
    UnreadableFile
        If there is no such file, or nothing in it can be read.
    """
    name = path.removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from _parquet(path, digest)
        return
    try:
        with _open(path) as raw:
            stream = _Bytes(raw, digest)
            lines = _Lines(stream)
            first = lines.peek()
            if not first.strip():
                raise UnreadableFile(f"{path}: empty")
            as_json = name.endswith((".jsonl", ".ndjson", ".json")) or first.lstrip()[:1] == b"{"
            yield from _json_lines(lines) if as_json else _csv(path, lines)
    except OSError as bad:
        raise UnreadableFile(f"{path}: {bad.strerror or bad}") from None


def _open(path: str) -> IO[bytes]:
    if path == "-":
        return sys.stdin.buffer
    return Path(path).open("rb")


class _Bytes:
    """Bytes of a stream, hashed as they come, unpacked where they are gzip."""

    def __init__(self, raw: IO[bytes], digest: Any) -> None:
        self._raw, self._digest = raw, digest
        head = self._read(2)
        self._head = head
        self._gzip = zlib.decompressobj(wbits=31) if head == b"\x1f\x8b" else None
        self._pending = head
        self.torn = ""

    def _read(self, size: int) -> bytes:
        data = self._raw.read(size)
        if self._digest is not None:
            self._digest.update(data)
        return data

    def read(self) -> bytes:
        """About a chunk more, empty at the end."""
        while True:
            data, self._pending = self._pending + self._read(CHUNK_BYTES // 4), b""
            if self._gzip is None:
                return data
            if not data:
                if not self._gzip.eof and not self.torn:
                    self.torn = "the gzip file ends in the middle"
                return b""
            try:
                out = self._gzip.decompress(data)
                if self._gzip.eof and self._gzip.unused_data:
                    self._pending = self._gzip.unused_data
                    self._gzip = zlib.decompressobj(wbits=31)
            except zlib.error:
                self.torn = "the gzip file is damaged"
                while self._read(CHUNK_BYTES):
                    pass
                return b""
            if out:
                return out


class _Lines:
    """Whole lines in chunks, each with the number of its first line; a line beyond all bounds is refused."""

    def __init__(self, stream: _Bytes) -> None:
        self._stream = stream
        self._rest = b""
        self._ended = False
        self.number = 1
        self.rejects: list[Reject] = []

    def peek(self) -> bytes:
        """The first line, which stays."""
        while b"\n" not in self._rest and not self._ended and len(self._rest) <= LONGEST_LINE:
            self._more()
        return self._rest.split(b"\n", 1)[0]

    def take(self) -> bytes:
        """The first line, which goes."""
        line = self.peek()
        self._rest = self._rest[len(line) + 1 :]
        self.number += 1
        return line

    def _more(self) -> None:
        data = self._stream.read()
        self._ended = not data
        self._rest += data

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """(number of the first line, whole lines); the last line may lack its end."""
        while True:
            while len(self._rest) < CHUNK_BYTES and not self._ended:
                self._more()
            cut = self._rest.rfind(b"\n", 0, 2 * CHUNK_BYTES) + 1
            if not cut and len(self._rest) > LONGEST_LINE:
                self._skip_long_line()
                continue
            if not cut:
                cut = len(self._rest)
            data, self._rest = self._rest[:cut], self._rest[cut:]
            if not data:
                break
            number = self.number
            self.number += data.count(b"\n")
            yield number, data
        if self._stream.torn:
            self.rejects.append(Reject(self.number, "line", self._stream.torn))

    def _skip_long_line(self) -> None:
        self.rejects.append(Reject(self.number, "line", f"longer than {LONGEST_LINE} bytes"))
        while b"\n" not in self._rest and not self._ended:
            self._rest = b""
            self._more()
        _, _, self._rest = self._rest.partition(b"\n")
        self.number += 1


def _csv(path: str, lines: _Lines) -> Iterator[Block]:
    head = lines.take()
    try:
        names = next(csv.reader([head.decode("utf-8-sig").rstrip("\r")]))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        raise UnreadableFile(f"{path}: line 1 is not a CSV header in UTF-8") from None
    names = [name.strip() for name in names]
    if len(set(names)) < len(names):
        raise UnreadableFile(f"{path}: line 1 names a column twice")
    empty = True
    for number, data in lines.chunks():
        yield _csv_block(names, number, data, lines)
        empty = False
    if empty or lines.rejects:
        nothing = np.zeros(0, dtype=np.int64)
        yield Block({name: pa.array([], pa.string()) for name in names}, nothing, lines.rejects[:])


def _csv_block(names: list[str], number: int, data: bytes, lines: _Lines) -> Block:
    rows = data.count(b"\n") + (not data.endswith(b"\n"))
    rejects, lines.rejects = lines.rejects, []
    try:
        table = pa_csv.read_csv(
            io.BytesIO(data),
            read_options=pa_csv.ReadOptions(column_names=names, block_size=4 * CHUNK_BYTES),
            parse_options=pa_csv.ParseOptions(ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        ).combine_chunks()
        # A blank line, or a line end within quotes, and rows are no longer lines.
        if table.num_rows == rows and b"\n\n" not in data and b"\n\r\n" not in data and b"\0" not in data:
            columns = {name: _whole(table.column(name)) for name in names}
            return Block(columns, np.arange(number, number + rows, dtype=np.int64), rejects)
    except pa.ArrowInvalid:
        pass
    return _csv_slowly(names, number, data, rejects)


def _csv_slowly(names: list[str], number: int, data: bytes, rejects: list[Reject]) -> Block:
    found: list[list[str]] = []
    where: list[int] = []
    for offset, raw in enumerate(data.split(b"\n")):
        line = number + offset
        if not raw.strip():
            continue
        try:
            cells = next(csv.reader([raw.decode("utf-8").rstrip("\r")], strict=True))
        except UnicodeDecodeError:
            rejects.append(Reject(line, "line", "not UTF-8"))
        except (csv.Error, StopIteration):
            rejects.append(Reject(line, "line", "not CSV"))
        else:
            if len(cells) == len(names):
                found.append(cells)
                where.append(line)
            else:
                rejects.append(Reject(line, "line", f"{len(cells)} columns where the header has {len(names)}"))
    columns = {
        name: pa.array([cells[index] for cells in found], pa.string()) for index, name in enumerate(names)
    }
    return Block(columns, np.array(where, dtype=np.int64), rejects)


def _json_lines(lines: _Lines) -> Iterator[Block]:
    for number, data in lines.chunks():
        rejects, lines.rejects = lines.rejects, []
        found: list[dict[str, Any]] = []
        where: list[int] = []
        for offset, raw in enumerate(data.split(b"\n")):
            if not raw.strip():
                continue
            try:
                value = json.loads(raw)
            except (ValueError, RecursionError):
                rejects.append(Reject(number + offset, "line", "not JSON"))
                continue
            if isinstance(value, dict):
                found.append(value)
                where.append(number + offset)
            else:
                rejects.append(Reject(number + offset, "line", "not a JSON object"))
        yield Block(_columns(found), np.array(where, dtype=np.int64), rejects)
    if lines.rejects:
        yield Block({}, np.zeros(0, dtype=np.int64), lines.rejects[:])


def _columns(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _array([row.get(name) for row in rows]) for name in names}


def _array(values: list[Any]) -> pa.Array:
    """An Arrow column of one type; a mixture becomes text, a nested value a text that no column accepts."""
    kinds = {type(value) for value in values if value is not None}
    try:
        if kinds <= {int} or kinds <= {str}:
            return pa.array(values)
        if kinds <= {int, float}:
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
    except (pa.ArrowInvalid, OverflowError):
        pass
    return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else f"({type(value).__name__})"


def _parquet(path: str, digest: Any) -> Iterator[Block]:
    try:
        with _open(path) as raw:
            packed = path == "-" or path.endswith(".gz")
            source: Any = io.BytesIO(raw.read()) if packed else raw
            while digest is not None and (data := source.read(CHUNK_BYTES)):
                digest.update(data)
            source.seek(0)
            if path.endswith(".gz"):
                source = gzip.GzipFile(fileobj=source)
            file = pq.ParquetFile(source)
            number = 1
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                columns = {name: _plain(batch.column(name)) for name in batch.schema.names}
                yield Block(columns, np.arange(number, number + batch.num_rows, dtype=np.int64), [])
                number += batch.num_rows
            if number == 1:
                empty = {field.name: pa.array([], field.type) for field in file.schema_arrow}
                yield Block(empty, np.zeros(0, dtype=np.int64), [])
    except OSError as bad:
        raise UnreadableFile(f"{path}: {bad.strerror or bad}") from None
    except (pa.ArrowException, EOFError, zlib.error) as bad:
        raise UnreadableFile(f"{path}: not a Parquet file that can be read: {bad}") from None


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], pa.string())])


def new_digest() -> Any:
    """The digest under which a file is known to the ledger."""
    return hashlib.sha256()
