"""Description of an input that the readers cannot use: what its first bytes look like, so that a person knows what to change."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from footprint.core.csv_dialect import find_dialect, named_separator
from footprint.core.limits import personal_name_fault
from footprint.core.line_chunks import HashedStream, LineChunks
from footprint.core.log_documents import read_json
from footprint.core.records import FootprintError

_HEAD_BYTES = 4096
_MAX_NAMED, _DOCUMENTS = 12, 100
_NAME = re.compile(r"[^\W\d][\w .:/\[\]()%-]{0,40}")
# The common and combined logs: an address, a time in brackets, a request line in quotes.
_ACCESS_LOG = re.compile(r'\[\d{1,2}/[A-Za-z]{3}/\d{4}:[^\]]*\].*"[A-Z]+ \S+')
_MAGIC = (
    (b"PK\x03\x04", "a spreadsheet or another zip archive; save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet; save it as CSV"),
    (b"SQLite format 3", "an SQLite database; export its table as CSV"),
    (b"%PDF", "a PDF document"),
    (b"BZh", "compressed with bzip2; unpack it, or use gzip"),
    (b"\xfd7zXZ", "compressed with xz; unpack it, or use gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it, or use gzip"),
)
_SERIAL_DATE = re.compile(r"[2-7]\d{4}([.,]\d+)?")


def describe_input(path: str, *, has_columns: bool = False) -> str:
    """What a file looks like, as the end of a sentence; empty if it looks like what the readers expect, or cannot be read.

    ``has_columns``: its columns are those expected, so that the fault is in its rows.
    """
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
    is_utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = head.decode("utf-16", "replace") if is_utf16 else head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    return _describe_text([line for line in text.splitlines() if line.strip()], has_columns=has_columns)


def _describe_text(lines: list[str], *, has_columns: bool) -> str:
    if not lines:
        return "an empty file"
    if len(lines) == 1 and has_columns:
        return "a header without rows"
    return _describe_cells(lines) or ("" if has_columns else _describe_header(lines[0].strip()) or _describe_log(lines))


def _describe_header(header: str) -> str:
    if header.startswith("<"):
        return "HTML or XML"
    if "[W]" in header or "power.draw" in header:
        return "the output of nvidia-smi: footprint import energy --as nvidia-smi --host NAME --timezone Europe/Paris"
    if header.startswith(("[{", "{")) or header == "[":
        return "JSON of another program: `footprint maps guess FILE` proposes a map that reads it"
    return ""


def _describe_log(lines: list[str]) -> str:
    if any(_ACCESS_LOG.search(line) for line in lines[:20]):
        return (
            "a text access log of nginx, Apache or APISIX, without tokens: it is no JSON and no table with a header; "
            "deploy/nginx-footprint.conf writes a log that --as nginx reads"
        )
    if any("[GIN]" in line for line in lines[:20]):
        return "the log of an Ollama server: footprint import requests --as ollama-server --service NAME --timezone Europe/Paris"
    cells = find_dialect(lines[0]).cells(lines[0]) or []
    if len(cells) < 2:
        return 'a text log: it is no JSON and no table with a header; a map with format = "text" and a pattern reads it'
    return "a table with other columns: `footprint maps guess FILE` proposes a map that reads it"


def _describe_cells(lines: list[str]) -> str:
    cells = [line.partition(",")[0].strip().strip('"') for line in lines[1:20]]
    if cells and all(_SERIAL_DATE.fullmatch(cell) for cell in cells):
        return "dates written as serial numbers of a spreadsheet; write them as 2026-10-14T00:00:00+02:00"
    return ""


def unread_columns(path: str, wanted: Collection[str]) -> list[str]:
    """Names of the columns or fields at the head of a file that are not read, as far as they are safe to print."""
    if path == "-" or not wanted:
        return []
    try:
        with Path(path).open("rb") as file:
            names = _names_at_head(LineChunks(HashedStream(file)))
    except (OSError, FootprintError):
        return []
    known = {name.lower() for name in wanted}
    unread = [name for name in dict.fromkeys(names) if name and name.lower() not in known]
    if not known & {name.lower() for name in names}:
        return []  # another form altogether, or a log whose first line is no header
    safe = [name for name in unread if _NAME.fullmatch(name) and not personal_name_fault(name)]
    return safe[:_MAX_NAMED] + ([f"{len(unread) - _MAX_NAMED} more"] if len(safe) > _MAX_NAMED else [])


def _names_at_head(lines: LineChunks) -> list[str]:
    if lines.peek().lstrip()[:1] in (b"{", b"["):
        return [name for _, document in islice(read_json(lines), _DOCUMENTS) for name in document]
    header = lines.peek().decode("utf-8", "replace").strip()
    if named_separator(header):
        lines.take()
        header = lines.peek().decode("utf-8", "replace").strip()
    return [name.strip() for name in find_dialect(header).cells(header) or ()]


def looks_like(path: str, *, has_columns: bool = False) -> str:
    """``describe_input`` as a sentence to append to a message."""
    description = describe_input(path, has_columns=has_columns)
    return f". It looks like {description}" if description else ""
