"""This file reads JSON Lines into blocks: one object a line, every value as the text that a CSV file would hold.

One rule for all formats then says what is a number, a time or a name, whatever stands in the lines around.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from footprint.ledger.blocks import Block, is_wanted
from footprint.ledger.lines import Lines
from footprint.ledger.rejects import Reject
from footprint.readings import is_storable


def json_blocks(lines: Lines, wanted: Collection[str] | None) -> Iterator[Block]:
    """Blocks of a stream of JSON Lines; a column is there once any line of the first block has it."""
    for number, data in lines.chunks():
        rejects, lines.rejects = lines.rejects, []
        found: list[dict[str, Any]] = []
        where: list[int] = []
        for line, raw in enumerate(data.split(b"\n"), number):
            if not raw.strip():
                continue
            value = _parsed(raw)
            if isinstance(value, dict):
                found.append(value)
                where.append(line)
            else:
                rejects.append(Reject(line, "line", "not a JSON object"))
        yield Block(_columns(found, wanted), np.array(where, dtype=np.int64), rejects)
    if lines.rejects:
        yield Block.without_rows((), lines.rejects[:])


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _columns(rows: list[dict[str, Any]], wanted: Collection[str] | None) -> dict[str, pa.Array]:
    names = dict.fromkeys(name for row in rows for name in row if is_wanted(name, wanted))
    return {name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names}


def _text(value: Any) -> str | None:
    """The text of a scalar; of anything else, one that no column accepts (it holds a NUL)."""
    if value is None:
        return None
    if isinstance(value, str):
        return value if is_storable(value) else "\0text"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return f"\0{type(value).__name__}"
