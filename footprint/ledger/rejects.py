"""This file keeps what was refused: line, column and reason, and never the line's content."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Reject:
    """One refused line."""

    line: int
    column: str
    reason: str


class Marks:
    """What is wrong with the rows of one block; the first reason of a row stays."""

    def __init__(self, lines: NDArray[np.int64]) -> None:
        self.lines = lines
        self.bad = np.zeros(len(lines), dtype=bool)
        self._why: dict[int, tuple[str, str]] = {}

    def mark(self, rows: NDArray[np.bool_], column: str, reason: str) -> None:
        """Refuse rows for one reason."""
        for index in np.flatnonzero(rows & ~self.bad).tolist():
            self._why[index] = (column, reason)
        self.bad |= rows

    def mark_one(self, index: int, column: str, reason: str) -> None:
        """Refuse one row."""
        if not self.bad[index]:
            self.bad[index] = True
            self._why[index] = (column, reason)

    def rejects(self) -> list[Reject]:
        """All refused rows, in line order."""
        return [Reject(int(self.lines[index]), *why) for index, why in sorted(self._why.items())]


def write_rejects(path: Path, rejects: list[Reject]) -> None:
    """JSON Lines, replaced whole; an earlier file is removed when nothing was refused."""
    if not rejects:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        for reject in rejects:
            line = {"line": reject.line, "column": reject.column, "reason": reject.reason}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    temporary.replace(path)
