"""This file reads CSV into blocks: in one go where every line is a row, else record by record.

A quoted cell may hold line ends, as prompts do. A quote that never closes must not swallow the file:
then only the line that opened it is refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from footprint.ledger.line_reader import LineChunks
from footprint.ledger.record_batch import CHUNK_BYTES, MAX_LINE_BYTES, RecordBatch, UnreadableFile, is_wanted, line_numbers
from footprint.ledger.rejects import Reject

csv.field_size_limit(2 * MAX_LINE_BYTES)  # the library's own limit would refuse a long prompt that we pass over


_MAX_COMPARED = 1000
_MIN_COMPARED = 3  # so many cells make a rule of what they have in common


def read_csv(path: str, lines: LineChunks, wanted: Collection[str] | None) -> Iterator[RecordBatch]:
    """Blocks of a stream of CSV with a header.

    Raises
    ------
    UnreadableFile
        If the first line is not a header, or names a wanted column twice.
    """
    header = _Header(path, lines.take(), wanted)
    yield RecordBatch.empty(header.columns, [])
    number, rest = 0, b""
    for first, chunk in lines.chunks():
        number, data = (number, rest + chunk) if rest else (first, chunk)
        rejects, lines.rejects = lines.rejects, []
        data = _without_truncated_line(data, number, header, lines, rejects)
        block = _parse_at_once(header, number, data, rejects)
        rest = b""
        if block is None:
            block, rest = _parse_record_by_record(header, number, data, rejects, more=True)
        yield block
        number += data.count(b"\n") - rest.count(b"\n")
    if rest or lines.rejects:
        yield _parse_record_by_record(header, number, rest, lines.rejects[:], more=False)[0]


class _Header:
    """Names of all columns, and where the wanted ones stand."""

    def __init__(self, path: str, line: bytes, wanted: Collection[str] | None) -> None:
        try:
            names = [name.strip() for name in next(csv.reader([line.decode("utf-8").rstrip("\r")], strict=True))]
        except (UnicodeDecodeError, csv.Error, StopIteration):
            raise UnreadableFile(f"{path}: the first line is not a CSV header in UTF-8") from None
        self.names = names
        self.columns = {name: place for place, name in enumerate(names) if is_wanted(name, wanted)}
        for name in self.columns:
            if names.count(name) > 1:
                raise UnreadableFile(f"{path}: the header names the column {name} twice")


def _without_truncated_line(data: bytes, number: int, header: _Header, lines: LineChunks, rejects: list[Reject]) -> bytes:
    """The lines, without a last one that the end of the file cut off."""
    if data.endswith(b"\n"):
        return data
    before, _, last = data.rpartition(b"\n")
    if last.strip() and (lines.truncation or _is_truncated(last, before, header.names)):
        rejects.append(Reject(number + data.count(b"\n"), "line", "the file ends in the middle of this line"))
        return data[: len(data) - len(last)]
    return data


def _is_truncated(last: bytes, before: bytes, names: Sequence[str]) -> bool:
    """Whether the last cell of ``last`` looks cut off, beside the lines ``before`` it."""
    if b'"' in last or last.endswith(b"\r") or last.count(b",") + 1 != len(names):
        return False  # whole, or refused for its form
    cell = _last_cell(last)
    above = [_last_cell(line.removesuffix(b"\r")) for line in before.split(b"\n")[-_MAX_COMPARED:] if line.strip()]
    if len(above) < _MIN_COMPARED or cell in above:
        return False
    if any(other.startswith(cell) for other in above):  # all begin with an empty one
        return True
    if _is_number(cell):
        if all(b"." in other for other in above) and b"." not in cell:
            return True
        # A device that was reset in the last line has its next readings in the next file.
        return names[-1] == "energy_j" and float(cell) < min((float(x) for x in above if _is_number(x)), default=0.0)
    lengths = {len(other) for other in above}
    return len(lengths) == 1 and len(cell) < min(lengths)


def _last_cell(line: bytes) -> bytes:
    return line.rpartition(b",")[2].strip()


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parse_at_once(header: _Header, number: int, data: bytes, rejects: list[Reject]) -> RecordBatch | None:
    """The block, where each line is one row; None where that is not sure."""
    rows = data.count(b"\n") + (not data.endswith(b"\n"))
    if not header.columns or data.startswith((b"\n", b"\r")) or b"\n\n" in data or b"\n\r" in data or data.count(b'"') % 2:
        return None
    try:
        table = pa_csv.read_csv(
            io.BytesIO(data),
            read_options=pa_csv.ReadOptions(
                column_names=[str(place) for place in range(len(header.names))], block_size=4 * CHUNK_BYTES, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(
                column_types={str(place): pa.string() for place in header.columns.values()},
                include_columns=[str(place) for place in header.columns.values()],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != rows:
        return None
    columns = {name: _single_chunk(table.column(str(place))) for name, place in header.columns.items()}
    return RecordBatch(columns, line_numbers(number, rows), rejects)


def _single_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], pa.string())])


def _parse_record_by_record(
    header: _Header, number: int, data: bytes, rejects: list[Reject], *, more: bool
) -> tuple[RecordBatch, bytes]:
    """The block, and with ``more`` the lines of a record that the next chunk may complete."""
    lines = data.split(b"\n")
    found: list[list[str]] = []
    where: list[int] = []
    index = 0
    while index < len(lines):
        start, index = index, index + 1
        if not lines[start].strip():
            continue
        cells, index = _read_record(lines, start)
        if cells is None and index == len(lines) and more and sum(map(len, lines[start:])) < MAX_LINE_BYTES:
            return _to_batch(header, found, where, rejects), b"\n".join(lines[start:])
        if cells is None:
            rejects.append(Reject(number + start, "line", "not CSV"))
            index = start + 1
        elif len(cells) != len(header.names):
            told = f"{len(cells)} columns where the header has {len(header.names)}"
            rejects.append(Reject(number + start, "line", told))
            index = start + 1
        elif any("\udc80" <= c <= "\udcff" for place in header.columns.values() for c in cells[place]):
            rejects.append(Reject(number + start, "line", "not UTF-8"))
        else:
            found.append(cells)
            where.append(number + start)
    return _to_batch(header, found, where, rejects), b""


def _read_record(lines: list[bytes], start: int) -> tuple[list[str] | None, int]:
    """The cells of the record that begins at a line, and the index of the line after it; None if it is no record.

    The index is that of the end of the lines where a quote is open up to there.
    """
    text = _decode(lines[start])
    cells = _parse_cells(text)
    if cells is not None or text.count('"') % 2 == 0:
        return cells, start + 1
    parts, size = [text], len(text)
    for end in range(start + 1, len(lines)):
        parts.append(_decode(lines[end]))
        size += len(parts[-1])
        if parts[-1].count('"') % 2:
            return _parse_cells("\n".join(parts)), end + 1
        if size > MAX_LINE_BYTES:
            return None, start + 1
    return None, len(lines)


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _parse_cells(text: str) -> list[str] | None:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _to_batch(header: _Header, found: list[list[str]], where: list[int], rejects: list[Reject]) -> RecordBatch:
    columns = {name: pa.array([cells[place] for cells in found], pa.string()) for name, place in header.columns.items()}
    return RecordBatch(columns, np.array(where, dtype=np.int64), rejects)
