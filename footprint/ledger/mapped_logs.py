"""This file reads another program's log into blocks of request columns, by a field map."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from footprint.core.log_formats import COLUMNS, FieldMap, map_request
from footprint.ledger.readers import read_blocks
from footprint.ledger.record_batch import Block


def foreign_blocks(path: str, found: FieldMap, digest: Any = None) -> Iterator[Block]:
    """Blocks of a log, with the columns of requests that the map gives; every column is there, empty where it has none.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    for block in read_blocks(path, digest, found.sources() if found.form == "csv" else COLUMNS, partial(map_request, found)):
        if found.form == "csv":
            yield _shaped(found, block)
        else:
            yield Block({name: block.column(name) for name in COLUMNS}, block.lines, block.rejects)


def _shaped(found: FieldMap, block: Block) -> Block:
    names = list(block.columns)
    rows = zip(*(block.columns[name].to_pylist() for name in names), strict=True)
    mapped = [map_request(found, dict(zip(names, row, strict=True))) for row in rows]
    kept = [(row, line) for row, line in zip(mapped, block.lines.tolist(), strict=True) if row is not None]
    columns = {name: pa.array([_text(row.get(name)) for row, _ in kept], pa.string()) for name in COLUMNS}
    return Block(columns, np.array([line for _, line in kept], dtype=np.int64), block.rejects)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
