"""This file takes in distinct users per publication cell (contract, section 5b), for disclosure control.

Numbers only: who the users are is never read. No row means unknown, and unknown means suppressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from sqlalchemy import Connection, select

from footprint import tables
from footprint.ledger import columns
from footprint.ledger.accept import Outcome
from footprint.ledger.files import Block, UnreadableFile
from footprint.ledger.rejects import Marks, Reject
from footprint.store import Store, table

REQUIRED = ("period", "service", "use_case", "users")
PERIOD = r"^\d{4}(-Q[1-4]|-(0[1-9]|1[0-2]))?$"
Cell = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class UserRows:
    """Cells of a block with their line: period, service, use case (empty: a margin), users, largest share, teams."""

    lines: list[int]
    cells: list[Cell]
    values: list[tuple[int, float | None, int | None]]


def parse_users(path: str, blocks: Iterable[Block]) -> Iterator[tuple[UserRows, list[Reject]]]:
    """Cells and rejects of each block.

    Raises
    ------
    UnreadableFile
        If a required column is missing, before anything is given out.
    """
    checked = False
    for block in blocks:
        missing = [name for name in REQUIRED if name not in block.columns]
        if not checked and missing and (block.columns or not block.rejects):
            raise UnreadableFile(f"{path}: required column missing: {', '.join(missing)}; nothing was stored")
        checked = True
        yield _rows(block)


def _rows(block: Block) -> tuple[UserRows, list[Reject]]:
    marks = Marks(block.lines)
    period = columns.texts(block.column("period"), "period", marks, required=True)
    known = pc.match_substring_regex(period, PERIOD)
    marks.mark(~np.asarray(known), "period", "must be a year, a quarter (2026-Q3) or a month (2026-07)")
    service = columns.texts(block.column("service"), "service", marks, required=False)
    use_case = columns.texts(block.column("use_case"), "use_case", marks, required=False)
    users = columns.counts(block.column("users"), "users", marks)
    marks.mark(users < 0, "users", "empty; a cell nobody counted is left out")
    share = columns.numbers(block.column("max_share"), "max_share", marks)
    with np.errstate(invalid="ignore"):
        marks.mark(share > 1, "max_share", "above 1")
    teams = columns.counts(block.column("teams"), "teams", marks)
    index = np.flatnonzero(~marks.bad).tolist()
    cells = [(period[i].as_py(), service[i].as_py(), use_case[i].as_py()) for i in index]
    values = [
        (int(users[i]), None if np.isnan(share[i]) else float(share[i]), None if teams[i] < 0 else int(teams[i]))
        for i in index
    ]
    return UserRows([int(block.lines[i]) for i in index], cells, values), block.rejects + marks.rejects()


def accept_users(store: Store, connection: Connection, rows: UserRows, batch_id: int) -> Outcome:
    """Store cells within a transaction; the same again is a duplicate, another count a conflict, the first stays."""
    outcome = Outcome()
    target = table(tables.Users)
    there: dict[Cell, Any] = {
        (row.period, row.service, row.use_case): (row.users, row.max_share, row.teams)
        for row in connection.execute(select(target).where(target.c.period.in_({cell[0] for cell in rows.cells})))
    }
    fresh = []
    for line, cell, values in zip(rows.lines, rows.cells, rows.values, strict=True):
        if cell not in there:
            there[cell] = values
            names = ("period", "service", "use_case", "users", "max_share", "teams")
            fresh.append({**dict(zip(names, (*cell, *values), strict=True)), "batch_id": batch_id})
        elif there[cell] == values:
            outcome.duplicates += 1
        else:
            outcome.rejects.append(Reject(line, "users", "conflict: another count is known for this cell; the first stays"))
    store.insert_new(connection, tables.Users, fresh)
    outcome.accepted = len(fresh)
    return outcome
