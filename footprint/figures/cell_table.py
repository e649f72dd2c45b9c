"""This file holds cells as columns: many at once, summed, sorted and chosen by arrays, in one order whatever the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from footprint.aggregation.calculation_basis import CalculationBasis
from footprint.attribution.shard import ENERGY_COLUMNS, OTHER_COLUMNS
from footprint.attribution.step.model import REFUSED, SUSPECT

NAMED = ("service", "use_case", "model", "device", "charter")  # columns of a row that are numbers of names
AMOUNTS = (*ENERGY_COLUMNS, *OTHER_COLUMNS)
BITS = 20  # sums are taken of what lies above and below so many bits, for 2^63 µJ is no more than 2.56 GWh
Ints = NDArray[np.int64]
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
    """Which of BASIS_FLAGS a basis raises: the second where a cell holds anything, the last two where a model divided it."""
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
    """What the energy of a cell belongs to; names that were not asked for are empty."""

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
    """Cells as one source gives them, each column as places in a list of its own; amounts as (high, low) of BITS."""

    period: Ints
    names: dict[str, tuple[Ints, list[str]]]
    basis: tuple[Ints, list[CalculationBasis]]
    high: Ints
    low: Ints
    divided: Ints


@dataclass(slots=True)
class CellTable:
    """Cells in order of period, names and basis; ``amounts`` (n, len(AMOUNTS)), of Python integers where 64 bits are too few."""

    period: Ints
    names: dict[str, Ints]  # places in texts
    texts: list[str]
    basis: Ints  # places in bases
    bases: list[CalculationBasis]
    amounts: NDArray[np.int64] | NDArray[np.object_]
    divided: Ints  # rows of which part was shared by a model
    _places: dict[int, CellKey] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.period)

    @property
    def small(self) -> bool:
        """Whether every amount, and every sum of the parts of one cell, has room in 64 bits."""
        return self.amounts.dtype != np.object_

    def place(self, index: int) -> CellKey:
        """What one cell belongs to."""
        if index not in self._places:
            named = {name: self.texts[int(codes[index])] for name, codes in self.names.items()}
            self._places[index] = CellKey(period=int(self.period[index]), basis=self.bases[int(self.basis[index])], **named)
        return self._places[index]

    def cells(self, chosen: Iterable[int] | None = None) -> Iterator[tuple[CellKey, list[int]]]:
        """Cells one by one."""
        for index in range(len(self)) if chosen is None else chosen:
            yield self.place(index), [int(x) for x in self.amounts[index]]

    def raised(self, order: Ints, starts: Ints, *, together: bool) -> list[set[str]]:
        """Flags that the bases of each group of cells raise, as far as what the cells hold can raise them."""
        if not len(starts):
            return []
        amounts = self.amounts[order]
        divided = self.divided[order] > 0 if together else (amounts[:, _MODELLED] != 0) | (amounts[:, _SPREAD] != 0)
        always = np.ones(len(order), dtype=bool)
        weighs = np.stack([always, (amounts != 0).any(axis=1), always, always, always, divided, divided], axis=1)
        flags = np.array([basis_flags(basis) for basis in self.bases], dtype=bool).reshape(-1, len(BASIS_FLAGS))
        told = np.logical_or.reduceat(flags[self.basis[order]] & weighs, starts, axis=0)
        rows: list[list[bool]] = told.tolist()
        return [{flag for flag, raised in zip(BASIS_FLAGS, row, strict=True) if raised} for row in rows]

    def codes(self, name: str) -> tuple[Ints, list[str]]:
        """A column to group by: places in a list of texts; ``host`` and ``site`` are those of the basis."""
        if name in self.names:
            return self.names[name], self.texts
        told = [getattr(basis, name) for basis in self.bases]
        texts = sorted(set(told))
        place = {text: number for number, text in enumerate(texts)}
        return np.array([place[text] for text in told], dtype=np.int64)[self.basis], texts


@lru_cache(maxsize=100_000)
def line_of(basis: CalculationBasis) -> str:
    """What bases are sorted by."""
    return basis.to_json()


def combined(columns: Sequence[tuple[Ints, int]]) -> Ints:
    """One number a row that orders rows as the columns do, each given with the size of its range."""
    key, width = columns[0]
    for codes, size in columns[1:]:
        if width * max(size, 1) >= _WIDE:
            found, key = np.unique(key, return_inverse=True)
            width = len(found)
        key, width = key * size + codes, width * max(size, 1)
    return key


def table_of(parts: Sequence[CellChunk]) -> CellTable:
    """Parts put together: cells of one place are summed, and all are sorted."""
    texts = sorted({"", *(text for part in parts for _, told in part.names.values() for text in told)})
    number = {text: index for index, text in enumerate(texts)}
    by_line = {line_of(basis): basis for part in parts for basis in part.basis[1]}
    lines = sorted(by_line)
    rank = {line: index for index, line in enumerate(lines)}
    none = np.zeros(0, dtype=np.int64)
    period = np.concatenate([none, *(part.period for part in parts)])
    names = {name: np.concatenate([none, *(_renumbered(part, name, number) for part in parts)]) for name in NAMED}
    basis = np.concatenate(
        [none, *(np.array([rank[line_of(each)] for each in part.basis[1]], dtype=np.int64)[part.basis[0]] for part in parts)]
    )
    wide = np.zeros((0, len(AMOUNTS)), dtype=np.int64)
    high, low = (np.concatenate([wide, *(getattr(part, side) for part in parts)]) for side in ("high", "low"))
    divided = np.concatenate([none, *(part.divided for part in parts)])
    periods = int(period.max()) + 1 if len(period) else 1
    key = combined([(period, periods), *((names[name], len(texts)) for name in NAMED), (basis, max(len(lines), 1))])
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    if len(first) < len(order):
        high, low = (np.add.reduceat(each[order], first, axis=0) for each in (high, low))
        divided = np.add.reduceat(divided[order], first)
    else:
        high, low, divided = high[order], low[order], divided[order]
    kept = order[first]
    return CellTable(
        period[kept],
        {name: codes[kept] for name, codes in names.items()},
        texts,
        basis[kept],
        [by_line[line] for line in lines],
        _amounts(high, low),
        divided,
    )


def _renumbered(part: CellChunk, name: str, number: dict[str, int]) -> Ints:
    if name not in part.names:
        return np.full(len(part.period), number[""], dtype=np.int64)
    codes, told = part.names[name]
    return np.array([number[text] for text in told], dtype=np.int64)[codes]


def _amounts(high: Ints, low: Ints) -> NDArray[np.int64] | NDArray[np.object_]:
    if not len(high) or max(int(np.abs(high).max()), int(np.abs(low).max()) >> BITS) < 2**39:
        return (high << BITS) + low
    wide: NDArray[np.object_] = high.astype(object) * 2**BITS + low.astype(object)
    return wide


def part_at(table: CellTable, chosen: Ints) -> CellChunk:
    """Some cells of a table as a part, to be put together with others."""
    names = {name: (codes[chosen], table.texts) for name, codes in table.names.items()}
    basis = table.basis[chosen], table.bases
    return CellChunk(table.period[chosen], names, basis, *halves(table.amounts[chosen]), table.divided[chosen])


def halves(amounts: NDArray[np.int64] | NDArray[np.object_]) -> tuple[Ints, Ints]:
    """What lies above and below BITS of amounts, each of their shape."""
    return (amounts >> BITS).astype(np.int64), (amounts & (2**BITS - 1)).astype(np.int64)


def part_of(cells: Iterable[tuple[CellKey, Sequence[int]]], divided: Iterable[int] | None = None) -> CellChunk:
    """Cells one by one as a part, to be put together with others."""
    found = list(cells)
    bases: dict[CalculationBasis, int] = {}
    named: dict[str, tuple[Ints, list[str]]] = {}
    for name in NAMED:
        texts = [getattr(place, name) for place, _ in found]
        known = sorted(set(texts))
        place_of = {text: index for index, text in enumerate(known)}
        named[name] = np.array([place_of[text] for text in texts], dtype=np.int64), known
    numbers = [bases.setdefault(place.basis, len(bases)) for place, _ in found]
    high = np.array([[amount >> BITS for amount in amounts] for _, amounts in found], dtype=np.int64).reshape(-1, len(AMOUNTS))
    low = np.array([[amount & (2**BITS - 1) for amount in amounts] for _, amounts in found], dtype=np.int64)
    modelled, spread = AMOUNTS.index("modelled_uj"), AMOUNTS.index("spread_b_uj")
    told = [int(bool(amounts[modelled] or amounts[spread])) for _, amounts in found] if divided is None else list(divided)
    return CellChunk(
        np.array([place.period for place, _ in found], dtype=np.int64),
        named,
        (np.array(numbers, dtype=np.int64), list(bases)),
        high,
        low.reshape(-1, len(AMOUNTS)),
        np.array(told, dtype=np.int64),
    )
