"""Hypercube method: sets of cells whose amounts can move together without changing a shown sum.

A hypercube has the cell and a partner on each axis: another cell of the same row, or the margin of the cell. When its corners
move up and down in turn, every sum stays, so that a reader of the sums cannot tell the true amounts within that range. A
hypercube proves its protection by itself; no linear program is needed.

References
----------
S. Giessing and D. Repsilber, Tools and Strategies to Protect Multiple Tables with the GHQUAR Cell Suppression Engine, in:
Inference Control in Statistical Databases, Springer 2002.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from footprint.disclosure.table import Bools, CellCube, Floats, Index

Signs = NDArray[np.int_]
_MAX_CANDIDATES = 4  # cells of a margin that are tried
PeriodMoves = tuple[tuple[int, int], ...]  # periods that move, +1 with the cell's own and -1 against it


@dataclass(slots=True)
class SuppressionProblem:
    """State of a suppression: how far each cell can move, what hiding it costs, and what is hidden; arrays of shape (T, S, U).

    ``capacity`` is by measure: the amount of the cell, infinite for a margin that is not published, 0 for a fixed cell. ``cost``
    is infinite where a cell must be shown. ``protection`` is the fraction of an amount that a hidden cell must be able to move.
    ``ratios`` hold, for each measure that is a multiple of another, (its name, the other's name, the ratio by cell);
    ``ratio_known`` is the fraction to which a reader knows the ratio.
    """

    cube: CellCube
    capacity: dict[str, Floats]
    cost: Floats
    hidden: Bools
    protection: float
    ratios: tuple[tuple[str, str, Floats], ...]
    ratio_known: float

    def current_cost(self) -> Floats:
        """Cost of hiding each cell now: 0 where it is hidden already."""
        return np.where(self.hidden, 0.0, self.cost)


Hypercube = tuple[tuple[Index, int], ...]  # corners; +1 where a corner moves with the cell


def cheapest_hypercube(problem: SuppressionProblem, target: Index, *, both_ways: bool) -> Hypercube | None:
    """Cheapest hypercube that protects a hidden cell in every measure; None if there is none.

    Where no rectangle of cells protects the cell, exchanges are tried: two cells of different services and use cases with all
    their margins but the total.

    Parameters
    ----------
    problem
        What may move and what it costs.
    target
        Index (period, service, use case) of the hidden cell.
    both_ways
        Whether the cell must be able to move upwards and downwards; else one direction for each measure is enough.

    Returns
    -------
    tuple or None
        Corners as (index, sign), +1 where a corner moves with the cell and -1 where it moves against it.
    """
    for shape_type in (_Rectangle, _Exchange):
        best: tuple[float, PeriodMoves, _Shape, Index] | None = None
        cost = problem.current_cost()
        for shape in shape_type.around(problem, target):
            for steps in period_moves(problem.cube, target[0]):
                loss = shape.loss(cost, steps)
                if best is not None and not (loss < best[0]).any():
                    continue
                loss = np.where(_is_protective(problem, target, shape, steps, both_ways), loss, np.inf)
                s, u = (int(i) for i in np.unravel_index(int(np.argmin(loss)), loss.shape))
                if np.isfinite(loss[s, u]) and (best is None or loss[s, u] < best[0]):
                    best = float(loss[s, u]), steps, shape, (target[0], s, u)
        if best is not None:
            _, steps, shape_, (_, s, u) = best
            return tuple(((t, *cell), c * sign) for t, c in steps for cell, sign in shape_.corners(s, u))
    return None


@dataclass(frozen=True, slots=True)
class _Rectangle:
    """A cell, a partner in its row, one in its column, and the fourth corner; a partner may be the margin."""

    cube: CellCube
    service: int
    use_case: int

    @classmethod
    def around(cls, problem: SuppressionProblem, target: Index) -> Iterator[_Shape]:
        """The one rectangle around a cell."""
        yield cls(problem.cube, target[1], target[2])

    def layers(self, values: Floats) -> tuple[Floats, ...]:
        """Values at the corners of one period by partner, each of shape (S, U) or broadcastable to it."""
        s, u = self.service, self.use_case
        return values[s : s + 1, u : u + 1], values[:, u][:, None], values[s, :][None, :], values

    def signs(self) -> tuple[Signs, ...]:
        """Direction in which each corner moves, +1 or -1, by partner."""
        a = np.array([[move_sign(self.cube.services, self.service, s)] for s in range(len(self.cube.services))])
        b = np.array([[move_sign(self.cube.use_cases, self.use_case, u) for u in range(len(self.cube.use_cases))]])
        return np.ones((1, 1), dtype=np.int_), a, b, a * b

    def loss(self, cost: Floats, steps: PeriodMoves) -> Floats:
        """Cost of hiding the corners, by partner, shape (S, U); infinite where the partner is the cell itself."""
        total = np.zeros(cost.shape[1:])
        for corner in (corner for t, _ in steps for corner in self.layers(cost[t])):
            total += corner
        total[self.service, :] = np.inf
        total[:, self.use_case] = np.inf
        return total

    def corners(self, s: int, u: int) -> Iterator[tuple[tuple[int, int], int]]:
        """Corners of one partner as ((service, use case), sign)."""
        a, b = move_sign(self.cube.services, self.service, s), move_sign(self.cube.use_cases, self.use_case, u)
        yield (self.service, self.use_case), 1
        yield (s, self.use_case), a
        yield (self.service, u), b
        yield (s, u), a * b


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A cell with the margins of its service and use case, against a cell of another service with its margins."""

    service: int
    use_case: int

    @classmethod
    def around(cls, problem: SuppressionProblem, target: Index) -> Iterator[_Shape]:
        """Exchanges around a cell, or around the cheapest cells of a margin; none around the total."""
        t, s, u = target
        cost = problem.current_cost()[t]
        services = range(cost.shape[0] - 1) if s == cost.shape[0] - 1 else [s]
        use_cases = range(cost.shape[1] - 1) if u == cost.shape[1] - 1 else [u]
        if len(services) > 1 and len(use_cases) > 1:
            return
        candidates = sorted((cost[i, j], i, j) for i in services for j in use_cases if np.isfinite(cost[i, j]))
        for _, i, j in candidates[:_MAX_CANDIDATES]:
            yield cls(i, j)

    def layers(self, values: Floats) -> tuple[Floats, ...]:
        """Values at the six corners of one period, by the other service and use case."""
        s, u = self.service, self.use_case
        own = values[s : s + 1, u : u + 1], values[s : s + 1, -1:], values[-1:, u : u + 1]
        return (*own, values, values[:, -1:], values[-1:, :])

    def signs(self) -> tuple[Signs, ...]:
        """Direction in which each corner moves: the first three with the cell, the other three against it."""
        one = np.ones((1, 1), dtype=np.int_)
        return one, one, one, -one, -one, -one

    def loss(self, cost: Floats, steps: PeriodMoves) -> Floats:
        """Cost of hiding the corners; infinite where the partner shares a service or use case with the cell, or is a margin."""
        total = np.zeros(cost.shape[1:])
        for corner in (corner for t, _ in steps for corner in self.layers(cost[t])):
            total += corner
        total[[self.service, -1], :] = np.inf
        total[:, [self.use_case, -1]] = np.inf
        return total

    def corners(self, s: int, u: int) -> Iterator[tuple[tuple[int, int], int]]:
        """Corners of one partner as ((service, use case), sign)."""
        for i, j, sign in ((self.service, self.use_case, 1), (s, u, -1)):
            yield from (((i, j), sign), ((i, -1), sign), ((-1, j), sign))


_Shape = _Rectangle | _Exchange


def period_moves(cube: CellCube, t: int) -> Iterator[PeriodMoves]:
    """Ways to move a period: against another one, so that each period above both stays, or together with all periods above it."""
    below = [leaf for leaf in cube.leaves if t in cube.ancestors(leaf)]
    for leaf in below:
        own_chain = cube.ancestors(leaf)
        for other in cube.leaves:
            if other not in below:
                other_chain = cube.ancestors(other)
                if set(own_chain) & set(other_chain):
                    yield (
                        *((i, 1) for i in own_chain if i not in other_chain),
                        *((i, -1) for i in other_chain if i not in own_chain),
                    )
        yield tuple((i, 1) for i in own_chain)


def move_sign(axis: tuple[str, ...], own: int, other: int) -> int:
    """+1 for a cell and its margin, which move together; -1 for two cells of one row, which move against each other."""
    return 1 if len(axis) - 1 in (own, other) else -1


def _is_protective(problem: SuppressionProblem, target: Index, shape: _Shape, steps: PeriodMoves, both_ways: bool) -> Bools:
    """Where the corners can move by the protection wanted, both those that follow the cell and those that compensate it."""
    protective = np.ones(problem.cost.shape[1:], dtype=bool)
    signs = shape.signs()
    for capacity in problem.capacity.values():
        needed = problem.protection * capacity[target]
        if needed <= 0:
            continue
        up, down = np.ones_like(protective), np.ones_like(protective)
        for t, sign in steps:
            for corner, moving in zip(shape.layers(capacity[t]), signs, strict=True):
                gives_up, gives_down = _gives_way(corner >= needed, sign * moving)
                up, down = up & gives_up, down & gives_down
        protective &= up & down if both_ways else up | down
        if not protective.any():
            return protective
    for linked in problem.ratios:
        protective = protective & _keeps_ratio(problem, linked, target, shape, steps)
    return protective


def _gives_way(enough: Bools, moving: Signs) -> tuple[Bools, Bools]:
    """Whether a corner allows the cell to grow, and to shrink."""
    return enough | (moving > 0), enough | (moving < 0)


def _keeps_ratio(
    problem: SuppressionProblem, linked: tuple[str, str, Floats], target: Index, shape: _Shape, steps: PeriodMoves
) -> Bools:
    """Where the move keeps the ratio of two linked measures at every corner within what a reader may know of it."""
    _, other, ratio = linked
    capacity = problem.capacity[other]
    move = problem.protection * capacity[target]
    kept_ratio = np.ones(capacity.shape[1:], dtype=bool)
    if move <= 0 or not np.isfinite(ratio[target]):
        return kept_ratio
    for t, _ in steps:
        for base, own in zip(shape.layers(capacity[t]), shape.layers(ratio[t]), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                deviation = np.abs(ratio[target] / own - 1) * move / (base - move)
            kept_ratio = kept_ratio & (~np.isfinite(own) | ~np.isfinite(base) | (deviation <= problem.ratio_known))
    return kept_ratio
