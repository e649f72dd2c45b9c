"""Cells as a cube of periods, services and use cases with their margins, checked for additivity.

The last index of the second and third axis is the margin (an empty name). A period whose months or quarters are present too is
their margin. A part without a cell is a known zero; a margin without a cell is not published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from footprint.calendar.periods import Period, parse_period
from footprint.disclosure.primary_suppression import Cell, Key, NotAdditive

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Index = tuple[int, int, int]
SUM_TOLERANCE = 1e-6  # of the larger, for sums of doubles and impacts computed row by row


@dataclass(frozen=True, slots=True)
class CellCube:
    """Amounts by measure, arrays of shape (T, S, U) for periods, services and use cases.

    ``present`` (T, S, U) marks the cells of the table, ``parents`` (T,) holds the index of the next longer period, or -1.
    """

    periods: tuple[str, ...]
    services: tuple[str, ...]
    use_cases: tuple[str, ...]
    parents: tuple[int, ...]
    present: Bools
    amounts: dict[str, Floats]

    @property
    def leaves(self) -> tuple[int, ...]:
        """Indices of the periods that contain no other period of the table."""
        return tuple(t for t in range(len(self.periods)) if t not in self.parents)

    def ancestors(self, t: int) -> tuple[int, ...]:
        """Indices of a period and all longer periods that contain it."""
        chain = [t]
        while self.parents[chain[-1]] >= 0:
            chain.append(self.parents[chain[-1]])
        return tuple(chain)

    def key(self, index: Index) -> Key:
        """Key of the cell at an index."""
        return self.periods[index[0]], self.services[index[1]], self.use_cases[index[2]]

    def mask(self, keys: Collection[Key]) -> Bools:
        """Mask (T, S, U) of the cells with these keys; keys outside the cube are ignored."""
        indices = self.indices(keys)
        mask = np.zeros(self.present.shape, dtype=bool)
        for index in indices.values():
            mask[index] = True
        return mask

    def indices(self, keys: Iterable[Key]) -> dict[Key, Index]:
        """Index of each key in the cube."""
        t, s, u = ({name: i for i, name in enumerate(axis)} for axis in (self.periods, self.services, self.use_cases))
        return {k: (t[k[0]], s[k[1]], u[k[2]]) for k in keys if k[0] in t and k[1] in s and k[2] in u}


def build_cube(cells: Collection[Cell]) -> CellCube:
    """The cube of a table.

    Parameters
    ----------
    cells
        Cells of the table, in any order; amounts of one measure in one unit.

    Raises
    ------
    NotAdditive
        If a margin is not the sum of its parts within ``SUM_TOLERANCE``, a cell occurs twice, or an amount is negative.
    BadPeriod
        If a period is not a month, quarter or year.
    """
    periods_by_name = {name: parse_period(name) for name in {cell.period for cell in cells}}
    periods = tuple(sorted(periods_by_name, key=lambda name: (periods_by_name[name].length, name)))
    axes = (
        periods,
        (*sorted({cell.service for cell in cells} - {""}), ""),
        (*sorted({cell.use_case for cell in cells} - {""}), ""),
    )
    parents = tuple(_parent(i, [periods_by_name[name] for name in periods]) for i in range(len(periods)))
    shape = (len(axes[0]), len(axes[1]), len(axes[2]))
    measures = sorted({measure for cell in cells for measure in cell.amounts})
    cube = CellCube(*axes, parents, np.zeros(shape, dtype=bool), {measure: np.zeros(shape) for measure in measures})
    indices = cube.indices([cell.key for cell in cells])
    for cell in cells:
        index = indices[cell.key]
        if cube.present[index]:
            raise NotAdditive(f"the cell {cell.key} is given twice")
        cube.present[index] = True
        for measure, amount in cell.amounts.items():
            if not amount >= 0:
                raise NotAdditive(f"{measure} of {cell.key} is {amount:g}; amounts are known and not negative")
            cube.amounts[measure][index] = amount
    for measure in measures:
        _check_additivity(cube, measure)
    return cube


def _parent(number: int, periods: list[Period]) -> int:
    """Index of the shortest longer period that contains a period, or -1."""
    period = periods[number]
    longer = [
        i
        for i, other in enumerate(periods)
        if other.length > period.length
        and other.year == period.year
        and other.month <= period.month
        and period.month + period.length <= other.month + other.length
    ]
    return min(longer, key=lambda i: periods[i].length, default=-1)


ArrayIndex = tuple[slice | int | list[int], ...]


def additivity_constraints(cube: CellCube) -> list[tuple[int, ArrayIndex, ArrayIndex]]:
    """Every kind of sum as (axis, index of the margins, index of the parts): over services, use cases, shorter periods."""
    every = slice(None)
    constraints: list[tuple[int, ArrayIndex, ArrayIndex]] = [
        (1, (every, -1, every), (every, slice(0, -1), every)),
        (2, (every, every, -1), (every, every, slice(0, -1))),
    ]
    for t in sorted(set(cube.parents) - {-1}):
        parts = [i for i, parent in enumerate(cube.parents) if parent == t]
        constraints += [(0, (t, every, every), (parts, every, every))]
    return constraints


def _check_additivity(cube: CellCube, measure: str) -> None:
    amounts = cube.amounts[measure]
    for axis, margin, parts in additivity_constraints(cube):
        margins, summed, present = amounts[margin], amounts[parts].sum(axis=axis), cube.present[margin]
        wrong = present & (np.abs(margins - summed) > SUM_TOLERANCE * np.maximum(margins, summed) + 1e-9)
        if wrong.any():
            names = np.empty(amounts.shape, dtype=object)
            for index in np.ndindex(amounts.shape):
                names[index] = cube.key(index)
            where = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise NotAdditive(
                f"{measure} of {names[margin][where]} is {margins[where]:g}, and its parts sum to {summed[where]:g}; "
                "give every part, idle and unattributed rows too"
            )
