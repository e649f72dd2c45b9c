"""Column types of migrations."""

from __future__ import annotations

import sqlalchemy as sa


def big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    """A 64-bit integer."""
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def number(name: str) -> sa.Column[int]:
    """An autoincrement primary key."""
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


def words(name: str) -> sa.Column[str]:
    """A text."""
    return sa.Column(name, sa.String(), nullable=False)
