"""Table output: aligned text for people; CSV, JSON or Parquet for programs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from footprint.core.csv_text import csv_text
from footprint.core.limits import printable
from footprint.core.output_files import write_output


class Format(StrEnum):
    """Output formats of a table."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def render(columns: Sequence[str], rows: Sequence[dict[str, Any]], form: Format) -> bytes:
    """Encode a table; numbers in CSV and JSON are shortest round-trip decimals, None is empty."""
    if form is Format.json:
        document = {"columns": list(columns), "rows": [{name: row.get(name) for name in columns} for row in rows]}
        return (json_text(document) + "\n").encode()
    if form is Format.csv:
        return _csv(columns, rows)
    if form is Format.parquet:
        return _parquet(columns, rows)
    return _text(columns, rows)


def json_text(document: Any, indent: int | None = None) -> str:
    """JSON in which control and bidi characters are escaped, so that a terminal shows it as it is."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    return "\n".join(line if printable(line) == line else _escaped(line) for line in text.split("\n"))


def _escaped(line: str) -> str:
    return "".join(char if printable(char) == char else json.dumps(char)[1:-1] for char in line)


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    return csv_text(columns, ([row.get(name) for name in columns] for row in rows)).encode()


def _parquet(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _text(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """Aligned text; columns that are empty in every row are left out and listed below the table."""
    visible = [name for name in columns if any(row.get(name) not in (None, "") for row in rows)] if rows else [*columns]
    cells = [[_short(row.get(name)) for name in visible] for row in rows]
    widths = [max([len(name), *(len(line[index]) for line in cells)]) for index, name in enumerate(visible)]
    align_right = [all(not isinstance(row.get(name), str) for row in rows) for name in visible]
    lines = ["  ".join(_pad(name, widths[i], align_right[i]) for i, name in enumerate(visible)).rstrip()]
    lines += ["  ".join(_pad(cell, widths[i], align_right[i]) for i, cell in enumerate(line)).rstrip() for line in cells]
    hidden = [name for name in columns if name not in visible]
    if hidden and rows:
        lines.append(f"(empty in every row: {', '.join(hidden)})")
    return ("\n".join(lines) + "\n").encode()


def _pad(text: str, width: int, align_right: bool) -> str:
    return text.rjust(width) if align_right else text.ljust(width)


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(str(value))


def emit(columns: Sequence[str], rows: Sequence[dict[str, Any]], form: Format = Format.table, output: Path | None = None) -> None:
    """Write a table to standard output, or to a file that is replaced atomically."""
    data = render(columns, rows, form)
    if output is None or str(output) == "-":
        if sys.stdout.isatty() and form is Format.csv:
            data = "".join(printable(line) + "\n" for line in data.decode().splitlines()).encode()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    write_output(output, data)
