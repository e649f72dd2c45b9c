"""CSV text that a spreadsheet reads as data: names that it would run as formulas are written with an apostrophe before them.

A name reaches a ledger from any client of a model, and a spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``,
also after spaces and quotes, and in full-width forms. Every CSV file that this project writes is written here; numbers, also
written as texts and with a unit, stay as they are. `plain_text` takes the apostrophe away when such a file is read back.
Standard library only, because the agent writes CSV, too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

MARK = "'"
MAX_NUMBER_LENGTH = 200  # of a quantity with its interval
# What spreadsheets skip before a formula, then what begins one; a tab or a line end can itself move text into another cell.
_FORMULA = re.compile(
    "[\t\r\n]|[\\s\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb\u200b-\u200f\u2060\ufeff\0-\x1f\x7f-\x9f]*[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b]"
)
# A quantity with its unit, interval and flags, such as "+0.6 % [+0.4 to +0.7] [u]": without operators nothing can run.
_QUANTITY = r"[+\-\u2212]?\s?\d[\d\s.,]*(?:[eE][+-]?\d+)?\s?[%\w/²³₂·\s]{0,60}?"
_BRACKET = rf"\[(?:[a-z]|{_QUANTITY}(?:(?:;|–|to|à)\s?{_QUANTITY})?)\]\s?"
_NUMBER = re.compile(rf"{_QUANTITY}(?:{_BRACKET}){{0,4}}\w{{0,20}}")


def safe_cell(value: Any) -> Any:
    """A value as a cell: numbers in shortest round-trip decimals, None empty, texts that look like a formula marked."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if not isinstance(value, str):
        return value
    is_number = len(value) <= MAX_NUMBER_LENGTH and _NUMBER.fullmatch(value)
    return MARK + value if _FORMULA.match(value) and not is_number else value


def plain_text(cell: str) -> str:
    """The text of a cell that `safe_cell` may have marked; any other cell is itself."""
    text = cell.removeprefix(MARK)
    return text if text != cell and safe_cell(text) == cell else cell


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV with a header, comma, decimal point and line feed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in columns])
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return out.getvalue()


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV without its end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([safe_cell(value) for value in values])
    return out.getvalue()
