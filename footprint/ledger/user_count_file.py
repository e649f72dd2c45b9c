"""This file brings in how many distinct users a publication cell had (contract, section 5b): counts, never names.

A cell is a period, a service and a use case; an empty service or use case is the margin over all of
them, for distinct counts do not add.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection, select, tuple_

from footprint.ledger import column_parsers
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.rejects import CONFLICT, ColumnErrors, IngestResult, Reject
from footprint.storage import schema
from footprint.storage.database import Store, table

REQUIRED = ("period", "service", "use_case", "users")
COLUMNS = (*REQUIRED, "max_share", "teams")
_PERIOD = r"^\d{4}(-(Q[1-4]|0[1-9]|1[0-2]))?$"
_CELLS_PER_STATEMENT = 500

UserCell = tuple[str, str, str]
CellCounts = tuple[int, float | None, int | None]


@dataclass(frozen=True, slots=True)
class UserCountRows:
    """Publication cells and what is told of each: users, share of the largest, teams."""

    lines: NDArray[np.int64]
    cells: list[UserCell]
    counts: list[CellCounts]


def parse_users(path: str, blocks: Iterable[RecordBatch]) -> Iterator[tuple[UserCountRows, list[Reject]]]:
    """Cells and rejects of each block.

    Raises
    ------
    UnreadableFile
        If a required column is missing, before anything is given out.
    """
    checked = False
    for block in blocks:
        if not checked and (block.columns or not block.rejects):
            missing = [name for name in REQUIRED if name not in block.columns]
            if missing:
                raise UnreadableFile(f"{path}: required column missing: {', '.join(missing)}; nothing was stored")
            checked = True
        yield _parse_cells(block)


def _parse_cells(block: RecordBatch) -> tuple[UserCountRows, list[Reject]]:
    marks = ColumnErrors(block.lines)
    period = column_parsers.parse_texts(block.column("period"), "period", marks, required=True)
    wrong = ~np.asarray(pc.match_substring_regex(period, _PERIOD))
    marks.mark(wrong, "period", "must be written as 2026, 2026-Q3 or 2026-07")
    named = [column_parsers.parse_texts(block.column(name), name, marks, required=False) for name in ("service", "use_case")]
    users = column_parsers.parse_counts(block.column("users"), "users", marks)
    marks.mark(users == column_parsers.UNKNOWN, "users", "empty; leave the row out where it is not known")
    share = column_parsers.parse_numbers(block.column("max_share"), "max_share", marks)
    marks.mark(share > 1, "max_share", "above 1; it is a share, not a percentage")
    teams = column_parsers.parse_counts(block.column("teams"), "teams", marks)
    keep = ~marks.bad
    kept = pa.array(keep)
    texts = [column.filter(kept).to_pylist() for column in (period, *named)]
    numbers = zip(users[keep].tolist(), share[keep].tolist(), teams[keep].tolist(), strict=True)
    told: list[CellCounts] = [(u, None if s != s else s, None if t < 0 else t) for u, s, t in numbers]  # noqa: PLR0124 - NaN
    return UserCountRows(block.lines[keep], list(zip(*texts, strict=True)), told), block.rejects + marks.rejects()


def store_user_counts(store: Store, cells: UserCountRows, connection: Connection, batch_id: int) -> IngestResult:
    """Store cells within a transaction: the same again is a duplicate, another count a conflict, the first stays."""
    result = IngestResult()
    known = _stored_counts(connection, cells.cells)
    claims, rows = [], []
    for line, cell, told in zip(cells.lines.tolist(), cells.cells, cells.counts, strict=True):
        if cell not in known:
            known[cell] = told
            rows.append((*cell, *told, batch_id))
        elif known[cell] == told:
            result.duplicates += 1
            claims.append((*cell, batch_id))
        else:
            reason = f"{CONFLICT}: other counts are known for this cell; the first stay"
            result.rejects.append(Reject(line, "users", reason))
    store.insert_many(connection, "users", (*REQUIRED, "max_share", "teams", "batch_id"), rows)
    store.insert_many(connection, "usersclaim", ("period", "service", "use_case", "batch_id"), claims)
    result.accepted += len(rows)
    return result


def _stored_counts(connection: Connection, cells: list[UserCell]) -> dict[UserCell, CellCounts]:
    target = table(schema.Users)
    found: dict[UserCell, CellCounts] = {}
    for start in range(0, len(cells), _CELLS_PER_STATEMENT):
        key: Any = tuple_(target.c.period, target.c.service, target.c.use_case)
        rows = connection.execute(select(target).where(key.in_(cells[start : start + _CELLS_PER_STATEMENT])))
        found |= {(r.period, r.service, r.use_case): (r.users, r.max_share, r.teams) for r in rows}
    return found
