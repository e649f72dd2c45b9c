"""Canonical figures: the rows of a shard with texts instead of the numbers of the store, rebuilt from blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, select

from footprint.attribution.array_types import Ints
from footprint.storage import schema
from footprint.storage.figure_blocks import LAYOUTS, ShardTables

if TYPE_CHECKING:
    from footprint.storage.database import Store

SHARD_COLUMN = {"energy": "host", "coverage": "host", "counts": "service"}  # kind of the shard to which a row belongs


@dataclass(frozen=True, slots=True)
class StoredTexts:
    """Texts behind the numbers of figures: names, and calculation bases as lines of JSON."""

    names: Mapping[int, str]
    bases: Mapping[int, str]

    @classmethod
    def of(cls, store: Store, connection: Connection, tables: Mapping[str, Mapping[str, Ints]]) -> StoredTexts:
        """Texts of all numbers in tables."""
        numbers = {
            number
            for name, columns in tables.items()
            for key in LAYOUTS[name].names
            for number in np.unique(columns[key]).tolist()
        }
        bases = np.unique(tables["energy"]["basis"]).tolist() if "energy" in tables else []
        return cls(store.texts(connection, numbers), _basis_lines(connection, bases))

    def tables(self, tables: Mapping[str, Mapping[str, Ints]]) -> ShardTables:
        """Tables whose columns of names and bases are indices into sorted texts."""
        names, name_code = _codes(self.names, [columns[key] for name, columns in tables.items() for key in LAYOUTS[name].names])
        bases, base_code = _codes(self.bases, [columns["basis"] for columns in tables.values() if "basis" in columns])
        coded = {
            name: {
                column: _recode(values, name_code if column in LAYOUTS[name].names else base_code)
                if column in LAYOUTS[name].names or column == "basis"
                else values
                for column, values in columns.items()
            }
            for name, columns in tables.items()
        }
        return ShardTables(names, bases, coded)


def rows_by_shard(tables: Mapping[str, Mapping[str, Ints]]) -> dict[tuple[str, int], dict[str, dict[str, Ints]]]:
    """Tables of each shard, by its kind and the number of its name."""
    shards: dict[tuple[str, int], dict[str, dict[str, Ints]]] = {}
    for layout, columns in tables.items():
        kind = SHARD_COLUMN[layout]
        order = np.argsort(columns[kind], kind="stable")
        numbers, starts = np.unique(columns[kind][order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, starts)[1:], strict=True):
            shards.setdefault((kind, number), {})[layout] = {name: column[rows] for name, column in columns.items()}
    return shards


def _basis_lines(connection: Connection, numbers: Sequence[int]) -> dict[int, str]:
    basis = schema.BasisRow.__table__  # type: ignore[attr-defined]
    rows: list[Any] = []
    for start in range(0, len(numbers), 10_000):
        rows += connection.execute(select(basis.c.id, basis.c.content).where(basis.c.id.in_(numbers[start : start + 10_000])))
    return {row.id: row.content for row in rows}


def _codes(texts: Mapping[int, str], columns: Sequence[Ints]) -> tuple[list[str], dict[int, int]]:
    """Sorted texts of the numbers in columns, and the index of each number's text."""
    numbers = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *columns])).tolist()
    distinct = sorted({texts[number] for number in numbers})
    index = {text: position for position, text in enumerate(distinct)}
    return distinct, {number: index[texts[number]] for number in numbers}


def _recode(values: Ints, code: Mapping[int, int]) -> Ints:
    distinct, position = np.unique(values, return_inverse=True)
    return np.array([code[number] for number in distinct.tolist()], dtype=np.int64)[position]
