"""User count files: distinct users per publication cell (docs/reference/contract.md, section 5b); counts, never names.

A cell is a period, a service and a use case; an empty service or use case is the margin over all of them, because distinct
counts do not add up.
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

from footprint.config.models import OWN_SERVICE, OWN_SERVICE_RESERVED
from footprint.core.limits import MAX_AHEAD_US, MIN_INSTANT_US, Reject, RejectList
from footprint.core.timestamps import to_datetime
from footprint.ledger import column_parsers
from footprint.ledger.input_description import looks_like
from footprint.ledger.record_batch import RecordBatch, UnreadableFile
from footprint.ledger.rejects import CONFLICT, ColumnErrors, IngestResult
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
    """Publication cells and the counts of each: users, share of the largest user (0 to 1), teams."""

    lines: NDArray[np.int64]
    cells: list[UserCell]
    counts: list[CellCounts]


def parse_users(path: str, batches: Iterable[RecordBatch], now_us: int) -> Iterator[tuple[UserCountRows, RejectList]]:
    """Cells and rejects of each batch.

    Raises
    ------
    UnreadableFile
        If a required column is missing, before the first result.
    """
    checked = False
    for batch in batches:
        if not checked and (batch.columns or not batch.rejects):
            missing = [name for name in REQUIRED if name not in batch.columns]
            if missing:
                raise UnreadableFile(
                    f"{path}: required column missing: {', '.join(missing)}; nothing was stored{looks_like(path)}"
                )
            checked = True
        yield _parse_cells(batch, now_us)


def _parse_cells(batch: RecordBatch, now_us: int) -> tuple[UserCountRows, RejectList]:
    errors = ColumnErrors(batch.lines)
    period = column_parsers.parse_texts(batch.column("period"), "period", errors, required=True)
    malformed = ~np.asarray(pc.match_substring_regex(period, _PERIOD))
    errors.mark(malformed, "period", "must be written as 2026, 2026-Q3 or 2026-07")
    years = np.array([int(text[:4]) if text[:4].isdecimal() else 0 for text in period.to_pylist()], dtype=np.int64)
    errors.mark(years < to_datetime(MIN_INSTANT_US).year, "period", "before the year 2000")
    errors.mark(years > to_datetime(now_us + MAX_AHEAD_US).year, "period", "a year in the future")
    name_columns = [
        column_parsers.parse_texts(batch.column(name), name, errors, required=False) for name in ("service", "use_case")
    ]
    for name, column in zip(("service", "use_case"), name_columns, strict=True):
        column_parsers.mark_personal_names(column, name, errors)
    errors.mark(np.asarray(pc.equal(name_columns[0], OWN_SERVICE)), "service", OWN_SERVICE_RESERVED)
    users = column_parsers.parse_counts(batch.column("users"), "users", errors)
    errors.mark(users == column_parsers.UNKNOWN, "users", "empty; leave the row out where it is not known")
    share = column_parsers.parse_non_negative(batch.column("max_share"), "max_share", errors)
    errors.mark(share > 1, "max_share", "above 1; it is a share, not a percentage")
    teams = column_parsers.parse_counts(batch.column("teams"), "teams", errors)
    valid = ~errors.bad
    valid_mask = pa.array(valid)
    texts = [column.filter(valid_mask).to_pylist() for column in (period, *name_columns)]
    numbers = zip(users[valid].tolist(), share[valid].tolist(), teams[valid].tolist(), strict=True)
    counts: list[CellCounts] = [
        (user_count, None if np.isnan(max_share) else max_share, None if team_count < 0 else team_count)
        for user_count, max_share, team_count in numbers
    ]
    return UserCountRows(batch.lines[valid], list(zip(*texts, strict=True)), counts), errors.add_to(batch.rejects)


def store_user_counts(store: Store, cells: UserCountRows, connection: Connection, batch_id: int) -> IngestResult:
    """Store cells in a transaction: equal counts are a duplicate, other counts a conflict; the first stay."""
    result = IngestResult()
    stored = _stored_counts(connection, cells.cells)
    claims, rows = [], []
    for line, cell, counts in zip(cells.lines.tolist(), cells.cells, cells.counts, strict=True):
        if cell not in stored:
            stored[cell] = counts
            rows.append((*cell, *counts, batch_id))
        elif stored[cell] == counts:
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
    counts: dict[UserCell, CellCounts] = {}
    for start in range(0, len(cells), _CELLS_PER_STATEMENT):
        key: Any = tuple_(target.c.period, target.c.service, target.c.use_case)
        rows = connection.execute(select(target).where(key.in_(cells[start : start + _CELLS_PER_STATEMENT])))
        counts |= {(row.period, row.service, row.use_case): (row.users, row.max_share, row.teams) for row in rows}
    return counts
