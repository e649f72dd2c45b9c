"""Cell table: energy cells as columns of arrays, merged, sorted and selected in an order independent of the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from footprint.aggregation.calculation_basis import CalculationBasis
from footprint.attribution.array_types import Ints
from footprint.attribution.shard import ENERGY_COLUMNS, OTHER_COLUMNS
from footprint.attribution.step.model import REFUSED, SUSPECT

NAME_COLUMNS = ("service", "use_case", "model", "device", "charter")  # columns of a row that refer to names by number
AMOUNTS = (*ENERGY_COLUMNS, *OTHER_COLUMNS)
LOW_BITS = 20  # sums are taken separately above and below this many bits, because 2^63 µJ is only 2.56 GWh
_WIDE = 2**62
_MODELLED, _SPREAD = AMOUNTS.index("modelled_uj"), AMOUNTS.index("spread_b_uj")


BASIS_FLAGS = (
    "assumed-pue",
    "assumed-uplift",
    "assumed-wue",
    "embodied-life-over",
    "idle-not-learnt",
    "split-suspect",
    "split-by-declared-weights",
)


def basis_flags(basis: CalculationBasis) -> tuple[bool, ...]:
    """Which of BASIS_FLAGS a basis raises: the second for non-zero cells only, the last two for cells that a model divided."""
    return (
        basis.pue_assumed,
        basis.uplift_assumed and basis.component == "host",
        basis.wue_assumed and basis.water is not None,
        basis.life_over,
        not basis.idle_known,
        basis.split == SUSPECT,
        basis.split == REFUSED,
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


Cells = dict[CellKey, list[int]]  # AMOUNTS in µJ, Python integers


@dataclass(slots=True)
class CellChunk:
    """Cells of one source; each column as indices into its own list, amounts as (high, low) parts at LOW_BITS."""

    period: Ints
    names: dict[str, tuple[Ints, list[str]]]
    basis: tuple[Ints, list[CalculationBasis]]
    high: Ints
    low: Ints
    divided: Ints


@dataclass(slots=True)
class CellTable:
    """Cells by period, names and basis; ``amounts`` [µJ] of shape (n, len(AMOUNTS)), Python integers if 64 bits overflow."""

    period: Ints
    names: dict[str, Ints]  # indices into texts
    texts: list[str]
    basis: Ints  # indices into bases
    bases: list[CalculationBasis]
    amounts: NDArray[np.int64] | NDArray[np.object_]
    divided: Ints  # number of rows that a model divided
    _places: dict[int, CellKey] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.period)

    @property
    def fits_int64(self) -> bool:
        """Whether every amount, and every sum of the parts of a cell, fits in 64 bits."""
        return self.amounts.dtype != np.object_

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
        applies = np.stack([always, (amounts != 0).any(axis=1), always, always, always, divided, divided], axis=1)
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


def merge_chunks(chunks: Sequence[CellChunk]) -> CellTable:
    """Merge chunks into a sorted table; cells with equal keys are summed."""
    texts = sorted({"", *(text for chunk in chunks for _, names_of_chunk in chunk.names.values() for text in names_of_chunk)})
    number = {text: index for index, text in enumerate(texts)}
    by_line = {basis_sort_key(basis): basis for chunk in chunks for basis in chunk.basis[1]}
    lines = sorted(by_line)
    rank = {line: index for index, line in enumerate(lines)}
    none = np.zeros(0, dtype=np.int64)
    period = np.concatenate([none, *(chunk.period for chunk in chunks)])
    names = {name: np.concatenate([none, *(_renumber(chunk, name, number) for chunk in chunks)]) for name in NAME_COLUMNS}
    basis = np.concatenate(
        [
            none,
            *(
                np.array([rank[basis_sort_key(item)] for item in chunk.basis[1]], dtype=np.int64)[chunk.basis[0]]
                for chunk in chunks
            ),
        ]
    )
    wide = np.zeros((0, len(AMOUNTS)), dtype=np.int64)
    high, low = (np.concatenate([wide, *(getattr(chunk, side) for chunk in chunks)]) for side in ("high", "low"))
    divided = np.concatenate([none, *(chunk.divided for chunk in chunks)])
    periods = int(period.max()) + 1 if len(period) else 1
    key = combine_codes([(period, periods), *((names[name], len(texts)) for name in NAME_COLUMNS), (basis, max(len(lines), 1))])
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    if len(first) < len(order):
        high, low = (np.add.reduceat(item[order], first, axis=0) for item in (high, low))
        divided = np.add.reduceat(divided[order], first)
    else:
        high, low, divided = high[order], low[order], divided[order]
    first_cells = order[first]
    return CellTable(
        period[first_cells],
        {name: codes[first_cells] for name, codes in names.items()},
        texts,
        basis[first_cells],
        [by_line[line] for line in lines],
        _join_amounts(high, low),
        divided,
    )


def _renumber(chunk: CellChunk, name: str, number: dict[str, int]) -> Ints:
    if name not in chunk.names:
        return np.full(len(chunk.period), number[""], dtype=np.int64)
    codes, chunk_texts = chunk.names[name]
    return np.array([number[text] for text in chunk_texts], dtype=np.int64)[codes]


def _join_amounts(high: Ints, low: Ints) -> NDArray[np.int64] | NDArray[np.object_]:
    if not len(high) or max(int(np.abs(high).max()), int(np.abs(low).max()) >> LOW_BITS) < 2**39:
        return (high << LOW_BITS) + low
    wide: NDArray[np.object_] = high.astype(object) * 2**LOW_BITS + low.astype(object)
    return wide


def chunk_at(table: CellTable, chosen: Ints) -> CellChunk:
    """Chosen cells of a table as a chunk."""
    names = {name: (codes[chosen], table.texts) for name, codes in table.names.items()}
    basis = table.basis[chosen], table.bases
    return CellChunk(table.period[chosen], names, basis, *split_amounts(table.amounts[chosen]), table.divided[chosen])


def split_amounts(amounts: NDArray[np.int64] | NDArray[np.object_]) -> tuple[Ints, Ints]:
    """Amounts split at LOW_BITS into high and low parts, each of the same shape."""
    return (amounts >> LOW_BITS).astype(np.int64), (amounts & (2**LOW_BITS - 1)).astype(np.int64)


def chunk_from_cells(cells: Iterable[tuple[CellKey, Sequence[int]]], divided: Iterable[int] | None = None) -> CellChunk:
    """Cells given one by one as a chunk."""
    listed = list(cells)
    bases: dict[CalculationBasis, int] = {}
    named: dict[str, tuple[Ints, list[str]]] = {}
    for name in NAME_COLUMNS:
        texts = [getattr(key, name) for key, _ in listed]
        known = sorted(set(texts))
        place_of = {text: index for index, text in enumerate(known)}
        named[name] = np.array([place_of[text] for text in texts], dtype=np.int64), known
    numbers = [bases.setdefault(key.basis, len(bases)) for key, _ in listed]
    high = np.array([[amount >> LOW_BITS for amount in amounts] for _, amounts in listed], dtype=np.int64).reshape(
        -1, len(AMOUNTS)
    )
    low = np.array([[amount & (2**LOW_BITS - 1) for amount in amounts] for _, amounts in listed], dtype=np.int64)
    modelled, spread = AMOUNTS.index("modelled_uj"), AMOUNTS.index("spread_b_uj")
    is_divided = [int(bool(amounts[modelled] or amounts[spread])) for _, amounts in listed] if divided is None else list(divided)
    return CellChunk(
        np.array([key.period for key, _ in listed], dtype=np.int64),
        named,
        (np.array(numbers, dtype=np.int64), list(bases)),
        high,
        low.reshape(-1, len(AMOUNTS)),
        np.array(is_divided, dtype=np.int64),
    )
