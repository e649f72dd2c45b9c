"""CSV reader: vectorised where every line is a row, else record by record; in the dialects of `footprint.core.csv_dialect`.

A quoted cell may contain line ends, as prompts do. An unclosed quote must not swallow the file: only the line that opens it
is rejected. A truncated last line is rejected too: a file copied while it was written ends anywhere, and ``…,1234`` may be all
that arrived of 1234567.8. Many complete files lack the last line end as well, so the last cell is compared with those above
it; the next copy of the file brings the complete line.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from footprint.core.csv_dialect import Dialect, find_dialect, named_separator, point_number, read_records, without_truncated_line
from footprint.core.csv_text import MARK, plain_text
from footprint.core.limits import Reject, RejectList
from footprint.core.line_chunks import LineChunks
from footprint.ledger.input_description import looks_like
from footprint.ledger.record_batch import CHUNK_BYTES, RecordBatch, UnreadableFile, is_wanted, line_numbers
from footprint.ledger.rejects import file_rejects


def read_csv(path: str, lines: LineChunks, wanted: Collection[str] | None) -> Iterator[RecordBatch]:
    """Batches of rows of a CSV stream with a header.

    Raises
    ------
    UnreadableFile
        If the first line is not a header, or names a wanted column twice.
    """
    line, dialect = lines.take(), None
    if separator := named_separator(line.decode("utf-8", "replace").strip()):
        line, dialect = lines.take(), Dialect(separator)
    header = _Header(path, line, wanted, dialect)
    yield RecordBatch.empty(header.columns, file_rejects())
    number, remainder = 0, b""
    for first, chunk in lines.chunks():
        number, data = (number, remainder + chunk) if remainder else (first, chunk)
        rejects = lines.take_rejects()
        data = without_truncated_line(data, number, header.names, lines, rejects, header.dialect.separator.encode())
        batch = _parse_at_once(header, number, data, rejects)
        remainder = b""
        if batch is None:
            batch, remainder = _parse_record_by_record(header, number, data, rejects, more=True)
        yield batch
        number += data.count(b"\n") - remainder.count(b"\n")
    if remainder or lines.rejects:
        yield _parse_record_by_record(header, number, remainder, lines.take_rejects(), more=False)[0]


class _Header:
    """Names of all columns, and the indices of the wanted ones; those fit in capital letters, too."""

    def __init__(self, path: str, line: bytes, wanted: Collection[str] | None, dialect: Dialect | None) -> None:
        try:
            text = line.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError:
            text = line.decode("cp1252", "replace").rstrip("\r")
        self.dialect = dialect or find_dialect(text)
        if self.dialect.decoded(line) is None or (cells := self.dialect.cells(text)) is None:
            raise UnreadableFile(f"{path}: the first line is not a CSV header in UTF-8{looks_like(path)}")
        self.names = [_column_name(cell.strip(), wanted) for cell in cells]
        self.columns = {name: index for index, name in enumerate(self.names) if is_wanted(name, wanted)}
        for name in self.columns:
            if self.names.count(name) > 1:
                raise UnreadableFile(f"{path}: the header names the column {name} twice")


def _column_name(cell: str, wanted: Collection[str] | None) -> str:
    return cell.lower() if wanted is not None and cell not in wanted and cell.lower() in wanted else cell


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
            parse_options=pa_csv.ParseOptions(delimiter=header.dialect.separator, ignore_empty_lines=False),
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
    columns = {
        name: _plain_texts(_single_chunk(table.column(str(index))), header.dialect) for name, index in header.columns.items()
    }
    return RecordBatch(columns, line_numbers(number, rows), rejects)


def _plain_texts(column: pa.Array, dialect: Dialect) -> pa.Array:
    """A column with decimal points, without the apostrophes by which this project's CSV keeps names from being formulas."""
    if dialect.separator != ",":
        column = pa.array([point_number(cell) for cell in column.to_pylist()], pa.string())
    if not pc.any(pc.starts_with(column, MARK)).as_py():
        return column
    return pa.array([plain_text(cell) for cell in column.to_pylist()], pa.string())


def _single_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], pa.string())])


def _parse_record_by_record(
    header: _Header, number: int, data: bytes, rejects: RejectList, *, more: bool
) -> tuple[RecordBatch, bytes]:
    """The batch, and with ``more`` the lines of a record that the next chunk may complete."""
    rows: list[list[str]] = []
    row_lines: list[int] = []
    rest: list[bytes] | None = [] if more else None
    for line, cells in read_records(enumerate(data.split(b"\n"), number), header.dialect, rejects, rest):
        if len(cells) != len(header.names):
            rejects.append(Reject(line, "line", f"{len(cells)} columns where the header has {len(header.names)}"))
        else:
            rows.append(cells)
            row_lines.append(line)
    return _to_batch(header, rows, row_lines, rejects), b"\n".join(rest or ())


def _to_batch(header: _Header, rows: list[list[str]], row_lines: list[int], rejects: RejectList) -> RecordBatch:
    columns = {
        name: _plain_texts(pa.array([cells[index] for cells in rows], pa.string()), header.dialect)
        for name, index in header.columns.items()
    }
    return RecordBatch(columns, np.array(row_lines, dtype=np.int64), rejects)
