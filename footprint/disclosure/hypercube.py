"""This file finds boxes: sets of cells that can be moved together without moving anything that is shown.

A box has a cell and a partner on each axis: other cells of the same row, or the cell's own margin. Moving its corners up and
down in turn leaves every sum as it was, so that a reader who sees the sums only cannot tell where between the moves the truth
lies. A box is a proof by itself; no linear program is needed. After the hypercube method: S. Giessing and D. Repsilber,
Tools and Strategies to Protect Multiple Tables with the GHQUAR Cell Suppression Engine, 2002.
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
    """What may be moved: ``room`` by measure (an amount, infinite for a margin that nobody shows), ``cost`` of hiding a cell.

    ``ratios`` hold, for a measure that is a multiple of another, (its name, the other's, its ratio to it by cell).
    """

    cube: CellCube
    capacity: dict[str, Floats]
    cost: Floats
    hidden: Bools
    protection: float
    ratios: tuple[tuple[str, str, Floats], ...]
    ratio_known: float

    def current_cost(self) -> Floats:
        """What hiding each cell would lose now: nothing where it is hidden already."""
        return np.where(self.hidden, 0.0, self.cost)


Hypercube = tuple[tuple[Index, int], ...]  # its corners, +1 where one moves with the cell


def cheapest_hypercube(board: SuppressionProblem, target: Index, *, both: bool) -> Hypercube | None:
    """The box around a hidden cell that protects it in every measure and loses least; None if there is none.

    ``both``: upwards and downwards; else one of the two is enough, for each measure. Where no box is, two cells of different
    services and use cases are taken with all their margins but the total: what one loses the other wins.
    """
    for kind in (_Rectangle, _Exchange):
        best: tuple[float, PeriodMoves, _Shape, Index] | None = None
        price = board.current_cost()
        for shape in kind.around(board, target):
            for steps in period_moves(board.cube, target[0]):
                lost = shape.loss(price, steps)
                if best is not None and not (lost < best[0]).any():
                    continue
                lost = np.where(_is_protective(board, target, shape, steps, both), lost, np.inf)
                s, u = (int(i) for i in np.unravel_index(int(np.argmin(lost)), lost.shape))
                if np.isfinite(lost[s, u]) and (best is None or lost[s, u] < best[0]):
                    best = float(lost[s, u]), steps, shape, (target[0], s, u)
        if best is not None:
            _, steps, found, (_, s, u) = best
            return tuple(((t, *place), c * sign) for t, c in steps for place, sign in found.corners(s, u))
    return None


@dataclass(frozen=True, slots=True)
class _Rectangle:
    """A cell, a partner in its row, one in its column, and the fourth corner; a partner may be the margin."""

    cube: CellCube
    service: int
    use_case: int

    @classmethod
    def around(cls, board: SuppressionProblem, target: Index) -> Iterator[_Shape]:
        """The one shape around a cell."""
        yield cls(board.cube, target[1], target[2])

    def layers(self, values: Floats) -> tuple[Floats, ...]:
        """Values at the corners of one period, by partner service and use case [S, U] or broadcast to it."""
        s, u = self.service, self.use_case
        return values[s : s + 1, u : u + 1], values[:, u][:, None], values[s, :][None, :], values

    def signs(self) -> tuple[Signs, ...]:
        """Which way each of them moves."""
        a = np.array([[move_sign(self.cube.services, self.service, s)] for s in range(len(self.cube.services))])
        b = np.array([[move_sign(self.cube.use_cases, self.use_case, u) for u in range(len(self.cube.use_cases))]])
        return np.ones((1, 1), dtype=np.int_), a, b, a * b

    def loss(self, price: Floats, steps: PeriodMoves) -> Floats:
        """What hiding the corners loses, by partner; infinite where the partner is the cell itself."""
        total = np.zeros(price.shape[1:])
        for corner in (corner for t, _ in steps for corner in self.layers(price[t])):
            total += corner
        total[self.service, :] = np.inf
        total[:, self.use_case] = np.inf
        return total

    def corners(self, s: int, u: int) -> Iterator[tuple[tuple[int, int], int]]:
        """Places of one partner's corners and their signs."""
        a, b = move_sign(self.cube.services, self.service, s), move_sign(self.cube.use_cases, self.use_case, u)
        yield (self.service, self.use_case), 1
        yield (s, self.use_case), a
        yield (self.service, u), b
        yield (s, u), a * b


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A cell with the margins of its service and use case, against another service's with the margins of that."""

    service: int
    use_case: int

    @classmethod
    def around(cls, board: SuppressionProblem, target: Index) -> Iterator[_Shape]:
        """Around a cell, or around the cheapest few cells of a margin; around the total there is none."""
        t, s, u = target
        price = board.current_cost()[t]
        services = range(price.shape[0] - 1) if s == price.shape[0] - 1 else [s]
        uses = range(price.shape[1] - 1) if u == price.shape[1] - 1 else [u]
        if len(services) > 1 and len(uses) > 1:
            return
        found = sorted((price[i, j], i, j) for i in services for j in uses if np.isfinite(price[i, j]))
        for _, i, j in found[:_MAX_CANDIDATES]:
            yield cls(i, j)

    def layers(self, values: Floats) -> tuple[Floats, ...]:
        """Values at the six corners of one period, by the other service and use case."""
        s, u = self.service, self.use_case
        own = values[s : s + 1, u : u + 1], values[s : s + 1, -1:], values[-1:, u : u + 1]
        return (*own, values, values[:, -1:], values[-1:, :])

    def signs(self) -> tuple[Signs, ...]:
        """The own three grow as the other three shrink."""
        one = np.ones((1, 1), dtype=np.int_)
        return one, one, one, -one, -one, -one

    def loss(self, price: Floats, steps: PeriodMoves) -> Floats:
        """What hiding the corners loses; the partner shares neither service nor use case, and is no margin."""
        total = np.zeros(price.shape[1:])
        for corner in (corner for t, _ in steps for corner in self.layers(price[t])):
            total += corner
        total[[self.service, -1], :] = np.inf
        total[:, [self.use_case, -1]] = np.inf
        return total

    def corners(self, s: int, u: int) -> Iterator[tuple[tuple[int, int], int]]:
        """Places of one partner's corners and their signs."""
        for i, j, sign in ((self.service, self.use_case, 1), (s, u, -1)):
            yield from (((i, j), sign), ((i, -1), sign), ((-1, j), sign))


_Shape = _Rectangle | _Exchange


def period_moves(cube: CellCube, t: int) -> Iterator[PeriodMoves]:
    """Ways to move a period: with another one so that what holds both stays, or with everything above it."""
    below = [leaf for leaf in cube.leaves if t in cube.ancestors(leaf)]
    for leaf in below:
        own = cube.ancestors(leaf)
        for other in cube.leaves:
            if other not in below:
                theirs = cube.ancestors(other)
                if set(own) & set(theirs):
                    yield (*((i, 1) for i in own if i not in theirs), *((i, -1) for i in theirs if i not in own))
        yield tuple((i, 1) for i in own)


def move_sign(axis: tuple[str, ...], own: int, other: int) -> int:
    """A cell and its margin move together, two cells of one row against each other."""
    return 1 if len(axis) - 1 in (own, other) else -1


def _is_protective(board: SuppressionProblem, target: Index, shape: _Shape, steps: PeriodMoves, both: bool) -> Bools:
    """Where the corners can give way by the protection wanted: those that move against the cell as it grows, and with it."""
    holds = np.ones(board.cost.shape[1:], dtype=bool)
    signs = shape.signs()
    for room in board.capacity.values():
        needed = board.protection * room[target]
        if needed <= 0:
            continue
        up, down = np.ones_like(holds), np.ones_like(holds)
        for t, sign in steps:
            for corner, moving in zip(shape.layers(room[t]), signs, strict=True):
                gives_up, gives_down = _gives_way(corner >= needed, sign * moving)
                up, down = up & gives_up, down & gives_down
        holds &= up & down if both else up | down
        if not holds.any():
            return holds
    for linked in board.ratios:
        holds = holds & _keeps_ratio(board, linked, target, shape, steps)
    return holds


def _gives_way(enough: Bools, moving: Signs) -> tuple[Bools, Bools]:
    """Whether a corner lets the cell grow, and shrink."""
    return enough | (moving > 0), enough | (moving < 0)


def _keeps_ratio(
    board: SuppressionProblem, linked: tuple[str, str, Floats], target: Index, shape: _Shape, steps: PeriodMoves
) -> Bools:
    """Where the move keeps every corner's ratio of two linked measures within what a reader may know of it."""
    _, other, ratio = linked
    room = board.capacity[other]
    moved = board.protection * room[target]
    holds = np.ones(room.shape[1:], dtype=bool)
    if moved <= 0 or not np.isfinite(ratio[target]):
        return holds
    for t, _ in steps:
        for base, own in zip(shape.layers(room[t]), shape.layers(ratio[t]), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                apart = np.abs(ratio[target] / own - 1) * moved / (base - moved)
            holds = holds & (~np.isfinite(own) | ~np.isfinite(base) | (apart <= board.ratio_known))
    return holds
