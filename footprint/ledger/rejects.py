"""Rejected lines (line, column and reason, never the content) and the counts of an ingest."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from footprint.core.limits import Reject, RejectList

CONFLICT = "conflict"  # prefix of the reason of such rejects
NEGATIVE = "negative"
MAX_FILE_REJECTS_LISTED = 100_000


def file_rejects() -> RejectList:
    """An empty list of the rejects of a file."""
    return RejectList(MAX_FILE_REJECTS_LISTED)


@dataclass(slots=True)
class IngestResult:
    """Numbers of new and duplicate rows, and the rejected ones.

    ``mended`` counts, by reason, fields of taken rows that could not be and were left out or mended. ``refused_lines`` are of
    another host than the token's, by host: they were not taken and wait at the agent.
    """

    accepted: int = 0
    duplicates: int = 0
    rejects: RejectList = field(default_factory=file_rejects)
    implausible: int = 0  # taken with --anyway
    mended: Counter[str] = field(default_factory=Counter)
    refused_lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, other: IngestResult) -> None:
        """Add the counts and rejects of another result."""
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.rejects.extend(other.rejects)
        self.implausible += other.implausible
        self.mended += other.mended


class ColumnErrors:
    """Errors of the rows of one batch; a row keeps its first reason. With ``anyway``, implausible rows are taken."""

    def __init__(self, lines: NDArray[np.int64], *, anyway: bool = False) -> None:
        self.lines, self.anyway = lines, anyway
        self.bad = np.zeros(len(lines), dtype=bool)
        self.implausible = np.zeros(len(lines), dtype=bool)
        self._reasons: dict[int, tuple[str, str]] = {}
        self._mends: list[tuple[str, NDArray[np.bool_]]] = []

    def mark(self, rows: NDArray[np.bool_], column: str, reason: str) -> None:
        """Reject rows for one reason."""
        for index in np.flatnonzero(rows & ~self.bad).tolist():
            self._reasons[index] = (column, reason)
        self.bad |= rows

    def mark_implausible(self, rows: NDArray[np.bool_], column: str, reason: str) -> None:
        """Reject rows that cannot be right by the limits of what is plausible, unless they are to be taken anyway."""
        self.implausible |= rows
        if not self.anyway:
            self.mark(rows, column, reason)

    def mark_one(self, index: int, column: str, reason: str) -> None:
        """Reject one row."""
        if not self.bad[index]:
            self.bad[index] = True
            self._reasons[index] = (column, reason)

    def mark_mended(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Note that a field of rows was left out or mended for a reason; the rows stay."""
        if rows.any():
            self._mends.append((reason, rows))

    def leave_out(self, faults: ColumnErrors) -> NDArray[np.bool_]:
        """Note the faults of an optional column as fields that are left out; return their rows. Negative counts cost the row."""
        by_reason: dict[str, list[int]] = {}
        for index, (column, reason) in faults._reasons.items():
            if reason == NEGATIVE and column != "units":
                self.mark_one(index, column, reason)
                continue
            by_reason.setdefault(f"{column}: {reason}, left out", []).append(index)
        for reason, indices in by_reason.items():
            rows = np.zeros(len(self.lines), dtype=bool)
            rows[indices] = True
            self.mark_mended(rows, reason)
        return faults.bad

    def mended(self) -> Counter[str]:
        """Number of fields of rows that are not rejected that were left out or mended, by reason."""
        counts = Counter[str]()
        for reason, rows in self._mends:
            counts[reason] += int((rows & ~self.bad).sum())
        return +counts

    def add_to(self, rejects: RejectList) -> RejectList:
        """Append all rejected rows, in line order, to a list, and return it."""
        rejects.extend(Reject(int(self.lines[index]), *reason) for index, reason in sorted(self._reasons.items()))
        return rejects


def write_rejects(path: Path, rejects: RejectList) -> None:
    """Write JSON Lines atomically, then how many are not listed; without rejects, remove an earlier file."""
    if path.exists() and not path.is_file():  # /dev/null, a pipe
        path.write_text(_lines(rejects), encoding="utf-8")
    elif rejects:
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(_lines(rejects), encoding="utf-8")
        temporary.replace(path)
    else:
        path.unlink(missing_ok=True)


def _lines(rejects: RejectList) -> str:
    objects = [{"line": reject.line, "column": reject.column, "reason": reject.reason} for reject in rejects]
    unlisted = len(rejects) - len(objects)
    if unlisted:
        objects.append({"line": 0, "column": "line", "reason": f"{unlisted} more lines are refused and not listed"})
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in objects)
