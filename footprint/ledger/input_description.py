"""Description of an input that the readers cannot use: what its first bytes look like, so that a person knows what to change."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from pathlib import Path

_HEAD_BYTES = 4096
_MAGIC = (
    (b"PK\x03\x04", "a spreadsheet or another zip archive; save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet; save it as CSV"),
    (b"SQLite format 3", "an SQLite database; export its table as CSV"),
    (b"%PDF", "a PDF document"),
    (codecs.BOM_UTF16_LE, "UTF-16; save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16; save it as UTF-8"),
    (b"BZh", "compressed with bzip2; unpack it, or use gzip"),
    (b"\xfd7zXZ", "compressed with xz; unpack it, or use gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it, or use gzip"),
)
_SERIAL_DATE = re.compile(r"[2-7]\d{4}([.,]\d+)?")


def describe_input(path: str) -> str:
    """What a file looks like, as the end of a sentence; empty if it looks like what the readers expect, or cannot be read."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as unpacked:
                head = unpacked.read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return ""
    for magic, description in _MAGIC:
        if head.startswith(magic):
            return description
    text = head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    return _describe_text([line for line in text.splitlines() if line.strip()])


def _describe_text(lines: list[str]) -> str:
    if not lines:
        return "an empty file"
    return _describe_header(lines[0].strip()) or _describe_cells(lines)


def _describe_header(header: str) -> str:
    if header.lower().startswith("sep="):
        return f"a spreadsheet's export whose first line names the separator ({header}); remove that line, and separate by commas"
    if header.startswith(("[", "<")):
        return "one JSON array; write one object a line" if header[0] == "[" else "HTML or XML"
    if "[W]" in header or "uuid, " in header or header.startswith("timestamp, "):
        return "the output of nvidia-smi; its columns must be time, host, device, component and power_w, without units"
    return _describe_columns(header)


def _describe_columns(header: str) -> str:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if header.count(separator) > header.count(","):
            return f"columns separated by {name}; separate them by commas, with a decimal point"
    if header != header.lower() and "," in header:
        return "a header with capital letters; the names of columns are in small letters"
    return ""


def _describe_cells(lines: list[str]) -> str:
    cells = [line.partition(",")[0].strip().strip('"') for line in lines[1:20]]
    if cells and all(_SERIAL_DATE.fullmatch(cell) for cell in cells):
        return "dates written as serial numbers of a spreadsheet; write them as 2026-10-14T00:00:00+02:00"
    return ""


def looks_like(path: str) -> str:
    """``describe_input`` as a sentence to append to a message."""
    description = describe_input(path)
    return f". It looks like {description}" if description else ""
