"""CSV reader: vectorised where every line is a row, else record by record.

A quoted cell may contain line ends, as prompts do. An unclosed quote must not swallow the file: only the line that opens it
is rejected. A truncated last line is rejected too: a file copied while it was written ends anywhere, and ``…,1234`` may be all
that arrived of 1234567.8. Many complete files lack the last line end as well, so the last cell is compared with those above
it; the next copy of the file brings the complete line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from footprint.core.csv_text import MARK, plain_text
from footprint.core.limits import MAX_LINE_BYTES, Reject, RejectList
from footprint.ledger.input_description import looks_like
from footprint.ledger.line_reader import LineChunks
from footprint.ledger.record_batch import CHUNK_BYTES, RecordBatch, UnreadableFile, is_wanted, line_numbers
from footprint.ledger.rejects import file_rejects

csv.field_size_limit(2 * MAX_LINE_BYTES)  # the library's default limit would reject a long prompt, which is skipped anyway


_MAX_COMPARED = 1000
_MIN_COMPARED = 3  # cells needed before a common form counts as a rule


def read_csv(path: str, lines: LineChunks, wanted: Collection[str] | None) -> Iterator[RecordBatch]:
    """Batches of rows of a CSV stream with a header.

    Raises
    ------
    UnreadableFile
        If the first line is not a header, or names a wanted column twice.
    """
    header = _Header(path, lines.take(), wanted)
    yield RecordBatch.empty(header.columns, file_rejects())
    number, remainder = 0, b""
    for first, chunk in lines.chunks():
        number, data = (number, remainder + chunk) if remainder else (first, chunk)
        rejects = lines.take_rejects()
        data = _without_truncated_line(data, number, header, lines, rejects)
        batch = _parse_at_once(header, number, data, rejects)
        remainder = b""
        if batch is None:
            batch, remainder = _parse_record_by_record(header, number, data, rejects, more=True)
        yield batch
        number += data.count(b"\n") - remainder.count(b"\n")
    if remainder or lines.rejects:
        yield _parse_record_by_record(header, number, remainder, lines.take_rejects(), more=False)[0]


class _Header:
    """Names of all columns, and the indices of the wanted ones."""

    def __init__(self, path: str, line: bytes, wanted: Collection[str] | None) -> None:
        try:
            names = [name.strip() for name in next(csv.reader([line.decode("utf-8").rstrip("\r")], strict=True))]
        except (UnicodeDecodeError, csv.Error, StopIteration):
            raise UnreadableFile(f"{path}: the first line is not a CSV header in UTF-8{looks_like(path)}") from None
        self.names = names
        self.columns = {name: index for index, name in enumerate(names) if is_wanted(name, wanted)}
        for name in self.columns:
            if names.count(name) > 1:
                raise UnreadableFile(f"{path}: the header names the column {name} twice")


def _without_truncated_line(data: bytes, number: int, header: _Header, lines: LineChunks, rejects: RejectList) -> bytes:
    """The lines, without a last one that is truncated."""
    if data.endswith(b"\n"):
        return data
    before, _, last = data.rpartition(b"\n")
    if last.strip() and (lines.truncation or _is_truncated(last, before, header.names)):
        rejects.append(Reject(number + data.count(b"\n"), "line", "the file ends in the middle of this line"))
        return data[: len(data) - len(last)]
    return data


def _is_truncated(last: bytes, before: bytes, names: Sequence[str]) -> bool:
    """Whether the last cell of ``last`` looks truncated, compared with the lines ``before`` it."""
    if b'"' in last or last.endswith(b"\r") or last.count(b",") + 1 != len(names):
        return False  # complete, or rejected for its form
    cell = _last_cell(last)
    cells_above = [_last_cell(line.removesuffix(b"\r")) for line in before.split(b"\n")[-_MAX_COMPARED:] if line.strip()]
    if len(cells_above) < _MIN_COMPARED or cell in cells_above:
        return False
    if any(cell_above.startswith(cell) for cell_above in cells_above):  # every cell starts with an empty one
        return True
    if _is_number(cell):
        if all(b"." in cell_above for cell_above in cells_above) and b"." not in cell:
            return True
        # A counter that falls in the last line is taken as truncated; after a true reset the next file has more readings.
        return names[-1] == "energy_j" and float(cell) < min((float(x) for x in cells_above if _is_number(x)), default=0.0)
    lengths = {len(cell_above) for cell_above in cells_above}
    return len(lengths) == 1 and len(cell) < min(lengths)


def _last_cell(line: bytes) -> bytes:
    return line.rpartition(b",")[2].strip()


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parse_at_once(header: _Header, number: int, data: bytes, rejects: RejectList) -> RecordBatch | None:
    """The batch if every line is certainly one row, else None."""
    rows = data.count(b"\n") + (not data.endswith(b"\n"))
    if not header.columns or data.startswith((b"\n", b"\r")) or b"\n\n" in data or b"\n\r" in data or data.count(b'"') % 2:
        return None
    try:
        table = pa_csv.read_csv(
            io.BytesIO(data),
            read_options=pa_csv.ReadOptions(
                column_names=[str(index) for index in range(len(header.names))], block_size=4 * CHUNK_BYTES, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(
                column_types={str(index): pa.string() for index in header.columns.values()},
                include_columns=[str(index) for index in header.columns.values()],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != rows:
        return None
    columns = {name: _plain_texts(_single_chunk(table.column(str(index)))) for name, index in header.columns.items()}
    return RecordBatch(columns, line_numbers(number, rows), rejects)


def _plain_texts(column: pa.Array) -> pa.Array:
    """A column without the apostrophes by which this project's own CSV keeps names from being formulas."""
    if not pc.any(pc.starts_with(column, MARK)).as_py():
        return column
    return pa.array([plain_text(cell) for cell in column.to_pylist()], pa.string())


def _single_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], pa.string())])


def _parse_record_by_record(
    header: _Header, number: int, data: bytes, rejects: RejectList, *, more: bool
) -> tuple[RecordBatch, bytes]:
    """The batch, and with ``more`` the lines of a record that the next chunk may complete."""
    lines = data.split(b"\n")
    rows: list[list[str]] = []
    row_lines: list[int] = []
    index = 0
    while index < len(lines):
        start, index = index, index + 1
        if not lines[start].strip():
            continue
        cells, index = _read_record(lines, start)
        if cells is None and index == len(lines) and more and sum(map(len, lines[start:])) < MAX_LINE_BYTES:
            return _to_batch(header, rows, row_lines, rejects), b"\n".join(lines[start:])
        if cells is None:
            rejects.append(Reject(number + start, "line", "not CSV"))
            index = start + 1
        elif len(cells) != len(header.names):
            reason = f"{len(cells)} columns where the header has {len(header.names)}"
            rejects.append(Reject(number + start, "line", reason))
            index = start + 1
        elif any("\udc80" <= character <= "\udcff" for column in header.columns.values() for character in cells[column]):
            rejects.append(Reject(number + start, "line", "not UTF-8"))
        else:
            rows.append(cells)
            row_lines.append(number + start)
    return _to_batch(header, rows, row_lines, rejects), b""


def _read_record(lines: list[bytes], start: int) -> tuple[list[str] | None, int]:
    """Cells of the record that starts at a line, or None if it is invalid, and the index of the line after it.

    If a quote is still open at the last line, the index is the number of lines.
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


def _to_batch(header: _Header, rows: list[list[str]], row_lines: list[int], rejects: RejectList) -> RecordBatch:
    columns = {
        name: _plain_texts(pa.array([cells[index] for cells in rows], pa.string())) for name, index in header.columns.items()
    }
    return RecordBatch(columns, np.array(row_lines, dtype=np.int64), rejects)
