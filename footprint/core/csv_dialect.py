"""Dialects of CSV: separator, decimal comma and encoding, and records that an open quote or a truncation must not swallow.

Spreadsheets in French and other languages write semicolons, decimal commas, UTF-16 or Windows-1252, and may name the separator in
a first line of its own. Standard library only, because agents read logs with it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from footprint.core.limits import MAX_LINE_BYTES, Reject, RejectList
from footprint.core.line_chunks import LineChunks

csv.field_size_limit(2 * MAX_LINE_BYTES)  # the library's default limit would reject a long prompt, which is skipped anyway

SPACES = "spaces"  # separator of tables in columns, such as those of turbostat
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
# A number with a decimal comma, and thousands apart by spaces; a unit may follow.
_COMMA_NUMBER = re.compile(r"([+-]?\d{1,3}(?:[ \u00a0\u202f]\d{3})*|[+-]?\d+),(\d+)(\s?[A-Za-z%]{0,6})")
_MAX_COMPARED = 1000
_MIN_COMPARED = 3  # cells needed before a common form counts as a rule


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are separated; where it is not by commas, decimals may have one, and Windows-1252 is read where UTF-8 is not."""

    separator: str = ","

    @property
    def is_foreign(self) -> bool:
        """Whether it is that of spreadsheets in languages with a decimal comma."""
        return self.separator in (";", "\t")

    def decoded(self, raw: bytes) -> str | None:
        """Text of a line; None if it is in no encoding that is read."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("cp1252", "replace") if self.is_foreign else None

    def cells(self, text: str) -> list[str] | None:
        """Cells of one record; None if it is no CSV."""
        if self.separator == SPACES:
            return text.split()
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.separator, strict=True))
        except csv.Error:
            return None
        return rows[0] if len(rows) == 1 else None


def find_dialect(header: str) -> Dialect:
    """The dialect of a table by its header: the separator that cuts it into most cells."""
    best = max(_SEPARATORS, key=lambda separator: len(Dialect(separator).cells(header) or ()))
    return Dialect(best)


def named_separator(line: str) -> str:
    """The separator that a spreadsheet names in a first line such as ``sep=;``; empty if the line is none."""
    match = _SEPARATOR_LINE.fullmatch(line)
    return match[1] if match else ""


def point_number(cell: str) -> str:
    """A number with a decimal comma as one with a point; any other cell is itself."""
    match = _COMMA_NUMBER.fullmatch(cell.strip())
    return re.sub(r"[ \u00a0\u202f]", "", match[1]) + "." + match[2] + match[3] if match else cell


def read_records(
    numbered_lines: Iterable[tuple[int, bytes]], dialect: Dialect, rejects: RejectList, rest: list[bytes] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each record; a quoted cell may hold line ends, an open quote costs only its line.

    ``rest`` is given where more lines follow; it takes those of a record that they may complete.
    """
    lines, waiting = iter(numbered_lines), deque[tuple[int, bytes]]()
    while (item := waiting.popleft() if waiting else next(lines, None)) is not None:
        number, raw = item
        text = dialect.decoded(raw.removesuffix(b"\r"))
        if text is None:
            rejects.append(Reject(number, "line", "not UTF-8"))
            continue
        if not text.strip():
            continue
        cells = text.split(dialect.separator) if '"' not in text and dialect.separator != SPACES else dialect.cells(text)
        if cells is None and text.count('"') % 2:
            cells, is_open = _read_open_record(text, lines, waiting, dialect)
            if is_open and rest is not None:
                rest += [raw, *(line for _, line in waiting)]
                return
        if cells is None:
            rejects.append(Reject(number, "line", "not CSV"))
        else:
            yield number, cells


def _read_open_record(
    text: str, lines: Iterator[tuple[int, bytes]], waiting: deque[tuple[int, bytes]], dialect: Dialect
) -> tuple[list[str] | None, bool]:
    """Cells of a record with an open quote, which later lines close, and whether more lines might close it.

    Without a close the lines wait to be read again.
    """
    parts, taken, size, is_open = [text], deque[tuple[int, bytes]](), len(text), True
    while is_open and size <= MAX_LINE_BYTES and (item := waiting.popleft() if waiting else next(lines, None)) is not None:
        taken.append(item)
        parts.append(dialect.decoded(item[1].removesuffix(b"\r")) or "")
        size += len(parts[-1])
        is_open = parts[-1].count('"') % 2 == 0
    cells = None if is_open else dialect.cells("\n".join(parts))
    if cells is None:
        waiting.extendleft(reversed(taken))
    return cells, is_open and size <= MAX_LINE_BYTES


def without_truncated_line(
    data: bytes, number: int, names: Sequence[str], lines: LineChunks, rejects: RejectList, separator: bytes = b","
) -> bytes:
    """The lines, without a last one that is truncated: a file copied while it was written ends anywhere."""
    if data.endswith(b"\n"):
        return data
    before, _, last = data.rpartition(b"\n")
    if last.strip() and (lines.truncation or _is_truncated(last, before, names, separator)):
        rejects.append(Reject(number + data.count(b"\n"), "line", "the file ends in the middle of this line"))
        return data[: len(data) - len(last)]
    return data


def _is_truncated(last: bytes, before: bytes, names: Sequence[str], separator: bytes) -> bool:
    """Whether the last cell of ``last`` looks truncated, compared with the lines ``before`` it."""
    if b'"' in last or last.endswith(b"\r") or last.count(separator) + 1 != len(names):
        return False  # complete, or rejected for its form
    cell = _last_cell(last, separator)
    cells_above = [
        _last_cell(line.removesuffix(b"\r"), separator) for line in before.split(b"\n")[-_MAX_COMPARED:] if line.strip()
    ]
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


def _last_cell(line: bytes, separator: bytes) -> bytes:
    return line.rpartition(separator)[2].strip()


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
