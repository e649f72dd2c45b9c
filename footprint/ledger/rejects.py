"""This file keeps what was refused: line, column and reason, and never the line's content."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CONFLICT = "conflict"  # prefix of the reason of such rejects


@dataclass(frozen=True, slots=True)
class Reject:
    """One refused line."""

    line: int
    column: str
    reason: str


@dataclass(slots=True)
class IngestResult:
    """How many rows were new, how many were there already, and which were refused."""

    accepted: int = 0
    duplicates: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def add(self, other: IngestResult) -> None:
        """Count in what another block gave."""
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.rejects += other.rejects


class ColumnErrors:
    """What is wrong with the rows of one block; the first reason of a row stays."""

    def __init__(self, lines: NDArray[np.int64]) -> None:
        self.lines = lines
        self.bad = np.zeros(len(lines), dtype=bool)
        self._reasons: dict[int, tuple[str, str]] = {}

    def mark(self, rows: NDArray[np.bool_], column: str, reason: str) -> None:
        """Refuse rows for one reason."""
        for index in np.flatnonzero(rows & ~self.bad).tolist():
            self._reasons[index] = (column, reason)
        self.bad |= rows

    def mark_one(self, index: int, column: str, reason: str) -> None:
        """Refuse one row."""
        if not self.bad[index]:
            self.bad[index] = True
            self._reasons[index] = (column, reason)

    def rejects(self) -> list[Reject]:
        """All refused rows, in line order."""
        return [Reject(int(self.lines[index]), *why) for index, why in sorted(self._reasons.items())]


def write_rejects(path: Path, rejects: list[Reject]) -> None:
    """JSON Lines, replaced whole; an earlier file is removed when nothing was refused."""
    if path.exists() and not path.is_file():  # /dev/null, a pipe
        path.write_text(_lines(rejects), encoding="utf-8")
    elif rejects:
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(_lines(rejects), encoding="utf-8")
        temporary.replace(path)
    else:
        path.unlink(missing_ok=True)


def _lines(rejects: list[Reject]) -> str:
    told = ({"line": r.line, "column": r.column, "reason": r.reason} for r in rejects)
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told)
