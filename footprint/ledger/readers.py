"""This file reads CSV, JSON Lines and Parquet, plain or gzip, in blocks of bounded memory that know their lines.

A line that is no line of its format is refused with its number; what follows it is still read. A
file that ends in the middle (a torn line, a cut gzip) gives all that stands before.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from footprint.ledger.csv_reader import csv_blocks
from footprint.ledger.jsonl_reader import Shape, json_blocks
from footprint.ledger.line_reader import HashedStream, LineChunks
from footprint.ledger.parquet_reader import MAGIC, parquet_blocks
from footprint.ledger.record_batch import Block, UnreadableFile

_JSON_NAMES = (".jsonl", ".ndjson", ".json")


def read_blocks(
    path: str, digest: Any = None, wanted: Collection[str] | None = None, shape: Shape | None = None
) -> Iterator[Block]:
    """Blocks of a file, or of standard input for ``-``.

    ``digest`` is fed the bytes as they stand on disk; of columns not ``wanted`` nothing is looked at. ``shape`` makes
    of a JSON object the columns of a row, or None.

    Raises
    ------
    UnreadableFile
        If there is no such file, or nothing in it can be read.
    """
    name = path.removesuffix(".gz")
    try:
        with _open(path) as raw:
            if name.endswith(".parquet") or raw.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:
                yield from parquet_blocks(path, raw, digest, wanted)
                return
            lines = LineChunks(HashedStream(raw, digest))
            first = lines.peek()
            if name.endswith(_JSON_NAMES) or first.lstrip()[:1] == b"{":
                yield from json_blocks(lines, wanted, shape)
            elif first.strip():
                yield from csv_blocks(path, lines, wanted)
            else:
                raise UnreadableFile(f"{path}: empty; a header is expected")
    except OSError as bad:
        raise UnreadableFile(f"{path}: {bad.strerror or bad}") from None


def _open(path: str) -> contextlib.AbstractContextManager[Any]:
    if path != "-":
        return Path(path).open("rb")
    given: Any = sys.stdin.buffer
    # Not closed here: standard input is not ours.
    return contextlib.nullcontext(given if hasattr(given, "peek") else io.BufferedReader(given))


def new_digest() -> Any:
    """The digest under which a file is known to the ledger."""
    return hashlib.sha256()


__all__ = ["Block", "UnreadableFile", "new_digest", "read_blocks"]
