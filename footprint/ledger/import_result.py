"""This file says what became of rows that were brought in, and numbers what was brought in together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert

from footprint.ledger.rejects import Reject
from footprint.storage import schema
from footprint.storage.database import table

CONFLICT = "conflict"  # the word by which such rejects are found


@dataclass(slots=True)
class Outcome:
    """How many rows were new, how many were there already, and which were refused."""

    accepted: int = 0
    duplicates: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count in what another block gave."""
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.rejects += other.rejects


def add_batch(connection: Connection, **values: Any) -> int:
    """Open a batch; its number."""
    target = table(schema.Batch)
    return int(connection.execute(insert(target).values(**values).returning(target.c.id)).scalar_one())
