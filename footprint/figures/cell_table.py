"""Cell table: energy cells as columns of arrays, merged, sorted and selected in an order independent of the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Ints
from footprint.attribution.row_columns import ENERGY_COLUMNS, OTHER_COLUMNS
from footprint.attribution.split_status import QUARANTINE, REFUSED, SUSPECT
from footprint.impact.calculation_basis import CalculationBasis

NAME_COLUMNS = ("service", "use_case", "model", "device", "charter")  # columns of a row that refer to names by number
AMOUNTS = (*ENERGY_COLUMNS, *OTHER_COLUMNS)
_WIDE = 2**62
_LARGE = 2**60  # of an amount: sums of four of them fit in 64 bits
Amounts = NDArray[np.int64] | NDArray[np.object_]  # Python integers where 64 bits do not suffice: 2^63 µJ is only 2.56 GWh
_MODELLED, _SPREAD = AMOUNTS.index("modelled_uj"), AMOUNTS.index("spread_b_uj")


BASIS_FLAGS = (
    "assumed-pue",
    "assumed-uplift",
    "assumed-wue",
    "embodied-life-over",
    "idle-not-learnt",
    "split-suspect",
    "split-by-declared-weights",
    "requests-in-quarantine",
)


def basis_flags(basis: CalculationBasis) -> tuple[bool, ...]:
    """Which of BASIS_FLAGS a basis raises: the second for non-zero cells only, two of splits for cells that a model divided."""
    split, _, _ = basis.split.partition(QUARANTINE)
    return (
        basis.pue_assumed,
        basis.uplift_assumed and basis.component == "host",
        basis.wue_assumed and basis.water is not None,
        basis.life_over,
        not basis.idle_known,
        split.strip() == SUSPECT,
        split.strip() == REFUSED,
        basis.split.endswith(QUARANTINE),
    )


@dataclass(frozen=True, slots=True)
class CellKey:
    """Key of a cell; names that the query does not need are empty."""

    period: int
    service: str
    use_case: str
    model: str
    device: str
    charter: str
    basis: CalculationBasis


@dataclass(slots=True)
class CellTable:
    """Cells by period, names and basis; ``amounts`` [µJ] of shape (n, len(AMOUNTS)), Python integers if 64 bits overflow."""

    period: Ints
    names: dict[str, Ints]  # indices into texts
    texts: list[str]
    basis: Ints  # indices into bases
    bases: list[CalculationBasis]
    amounts: Amounts
    divided: Ints  # number of rows that a model divided
    _places: dict[int, CellKey] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.period)

    def place(self, index: int) -> CellKey:
        """Key of the cell at an index."""
        if index not in self._places:
            named = {name: self.texts[int(codes[index])] for name, codes in self.names.items()}
            self._places[index] = CellKey(period=int(self.period[index]), basis=self.bases[int(self.basis[index])], **named)
        return self._places[index]

    def cells(self, chosen: Iterable[int] | None = None) -> Iterator[tuple[CellKey, list[int]]]:
        """Keys and amounts of the chosen cells, one by one."""
        for index in range(len(self)) if chosen is None else chosen:
            yield self.place(index), [int(x) for x in self.amounts[index]]

    def raised_flags(self, order: Ints, starts: Ints, *, together: bool) -> list[set[str]]:
        """Flags that the bases of each group of cells raise, as far as the contents of the cells allow."""
        if not len(starts):
            return []
        amounts = self.amounts[order]
        divided = self.divided[order] > 0 if together else (amounts[:, _MODELLED] != 0) | (amounts[:, _SPREAD] != 0)
        always = np.ones(len(order), dtype=bool)
        applies = np.stack([always, (amounts != 0).any(axis=1), always, always, always, divided, divided, always], axis=1)
        flags = np.array([basis_flags(basis) for basis in self.bases], dtype=bool).reshape(-1, len(BASIS_FLAGS))
        raised_rows = np.logical_or.reduceat(flags[self.basis[order]] & applies, starts, axis=0)
        rows: list[list[bool]] = raised_rows.tolist()
        return [{flag for flag, raised in zip(BASIS_FLAGS, row, strict=True) if raised} for row in rows]

    def codes(self, name: str) -> tuple[Ints, list[str]]:
        """A column to group by: indices into a list of texts; ``host`` and ``site`` come from the basis."""
        if name in self.names:
            return self.names[name], self.texts
        values = [getattr(basis, name) for basis in self.bases]
        texts = sorted(set(values))
        code_of = {text: number for number, text in enumerate(texts)}
        return np.array([code_of[text] for text in values], dtype=np.int64)[self.basis], texts


@lru_cache(maxsize=100_000)
def basis_sort_key(basis: CalculationBasis) -> str:
    """Text by which bases are sorted."""
    return basis.to_json()


def combine_codes(columns: Sequence[tuple[Ints, int]]) -> Ints:
    """One integer per row with the same order as the columns; each column comes with the size of its range."""
    key, width = columns[0]
    for codes, size in columns[1:]:
        if width * max(size, 1) >= _WIDE:
            distinct, key = np.unique(key, return_inverse=True)
            width = len(distinct)
        key, width = key * size + codes, width * max(size, 1)
    return key


def build_table(
    period: Ints,
    names: Mapping[str, tuple[Ints, Sequence[str]]],
    basis: tuple[Ints, Sequence[CalculationBasis]],
    amounts: Amounts,
    divided: Ints,
) -> CellTable:
    """A sorted table, in which cells with equal keys are added up.

    Parameters
    ----------
    period, divided
        Shape (n,).
    names
        Columns of NAME_COLUMNS as indices into their texts; a column that is left out is empty.
    basis
        Indices into the calculation bases.
    amounts
        Shape (n, len(AMOUNTS)) [µJ, µg].
    """
    if amounts.dtype != np.object_ and len(amounts) and int(np.abs(amounts).max()) >= _LARGE:
        amounts = amounts.astype(object)
    texts = sorted({"", *(text for _, column_texts in names.values() for text in column_texts)})
    number = {text: index for index, text in enumerate(texts)}
    by_line = {basis_sort_key(item): item for item in basis[1]}
    lines = sorted(by_line)
    rank = {line: index for index, line in enumerate(lines)}
    columns = {}
    for name in NAME_COLUMNS:
        if name in names:
            codes, column_texts = names[name]
            columns[name] = np.array([number[text] for text in column_texts], dtype=np.int64)[codes]
        else:
            columns[name] = np.full(len(period), number[""], dtype=np.int64)
    basis_codes = np.array([rank[basis_sort_key(item)] for item in basis[1]], dtype=np.int64)[basis[0]]
    periods = int(period.max()) + 1 if len(period) else 1
    key = combine_codes(
        [(period, periods), *((codes, len(texts)) for codes in columns.values()), (basis_codes, max(len(lines), 1))]
    )
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    if len(first) < len(order):
        amounts, divided = _add_groups(amounts[order], first), np.add.reduceat(divided[order], first)
    else:
        amounts, divided = amounts[order], divided[order]
    cells = order[first]
    return CellTable(
        period[cells],
        {name: codes[cells] for name, codes in columns.items()},
        texts,
        basis_codes[cells],
        [by_line[line] for line in lines],
        amounts,
        divided,
    )


def _add_groups(amounts: Amounts, first: Ints) -> Amounts:
    if amounts.dtype != np.object_ and len(amounts) and int(np.abs(amounts).max()) * len(amounts) >= 2**63:
        amounts = amounts.astype(object)
    summed: Amounts = np.add.reduceat(amounts, first, axis=0)
    return summed
