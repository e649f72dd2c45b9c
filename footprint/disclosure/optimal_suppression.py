"""Optimal suppression by linear program: the cheapest move that protects a cell that no hypercube protects.

Minimise the sum of cost x |move| over the moves that keep every shown sum and move the cell by the protection wanted; every cell
that moves is hidden. This is the first relaxation of the method of Fischetti and Salazar.

References
----------
M. Fischetti and J. J. Salazar, Models and Algorithms for Optimizing Cell Suppression in Tabular Data with Linear Constraints,
Journal of the American Statistical Association 95 (2000) 916-928.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, eye_array, hstack, vstack

from footprint.disclosure.hypercube import SuppressionProblem
from footprint.disclosure.linear_program import Rows, minimise
from footprint.disclosure.margin_feasibility import is_feasible_with_hidden_cells
from footprint.disclosure.table import Bools, CellCube, Floats, Index, additivity_constraints

_MAX_MOVE = 1e9  # in units of the cell
_MIN_MOVE = 1e-7  # of the move wanted; less is the solver's rounding


UP, DOWN, BOTH = 1, -1, 0


def cells_of_cheapest_move(problem: SuppressionProblem, target: Index, direction: int) -> Bools | None:
    """Cells that the cheapest move of a hidden cell touches, all of which are to be hidden.

    Parameters
    ----------
    problem
        What may move and what it costs.
    target
        Index (period, service, use case) of the hidden cell.
    direction
        ``UP``, ``DOWN``, or ``BOTH`` by one move and its reverse.

    Returns
    -------
    ndarray of bool or None
        Mask of the cube's shape; None where no move exists.
    """
    touched = np.zeros(problem.hidden.shape, dtype=bool)
    links_of = {measure: [link for link in problem.ratios if link[1] == measure] for measure in problem.capacity}
    followers = {link[0] for link in problem.ratios}
    for measure, links in links_of.items():
        if measure in followers or problem.capacity[measure][target] <= 0:
            continue
        if is_feasible_with_hidden_cells(problem, target, measure, links):
            continue
        price = np.where(problem.hidden | touched, 0.0, problem.cost)
        moved = _solve(problem, price, measure, links, target, direction)
        if moved is None:
            return None
        touched |= moved
    return touched


def _solve(
    problem: SuppressionProblem, price: Floats, measure: str, links: list[tuple[str, str, Floats]], target: Index, direction: int
) -> Bools | None:
    """Solve one program over a measure and its multiples."""
    free = np.flatnonzero(np.isfinite(price.ravel()))
    sums = additivity_matrix(problem.cube)[:, free]
    count, blocks = len(free), 1 + len(links)
    names = (measure, *(link[0] for link in links))
    capacities = [np.minimum(problem.capacity[name].ravel()[free], _MAX_MOVE * problem.capacity[name][target]) for name in names]
    at = int(np.searchsorted(free, np.ravel_multi_index(target, price.shape)))
    scale = [1 / max(problem.capacity[name][target], 1e-300) for name in names]
    # Separate upward and downward moves in units of the cell's own amount: columns up(block 0), down(block 0), up(block 1), …
    pair: Any = hstack([sums, -sums])
    equal: Any = vstack([hstack([pair if i == j else csr_array(pair.shape) for j in range(blocks)]) for i in range(blocks)])
    upper = []
    for capacity, unit in zip(capacities, scale, strict=True):
        upper += [capacity * unit if direction == BOTH else np.full(count, _MAX_MOVE), capacity * unit]
    bounds = np.column_stack([np.zeros(2 * blocks * count), np.concatenate(upper)])
    moved = problem.protection
    bounds[at] = (0.0, 0.0) if direction == DOWN else (moved, moved)
    bounds[count + at] = (moved, moved) if direction == DOWN else (0.0, 0.0)
    below = _ratio_rows(problem, links, free, capacities, scale) if links else None
    status, solution = minimise(np.tile(price.ravel()[free] + 1e-9, 2 * blocks), (equal, np.zeros(equal.shape[0])), below, bounds)
    if status != "solved":
        return None
    moves = np.abs(solution.reshape(blocks, 2, count)).sum(axis=1).max(axis=0)
    touched = np.zeros(price.size, dtype=bool)
    touched[free[moves > _MIN_MOVE]] = True
    return touched.reshape(price.shape)


def _ratio_rows(
    problem: SuppressionProblem,
    links: list[tuple[str, str, Floats]],
    free: NDArray[np.intp],
    capacities: list[Floats],
    scale: list[float],
) -> Rows:
    """Rows of |move of the multiple - ratio x move| within what a reader may know of the ratio, in units of the target."""
    rows: list[Any] = []
    limits: list[Floats] = []
    count = len(free)
    one: Any = hstack([eye_array(count), -eye_array(count)])
    for block, (_, _, ratio) in enumerate(links, 1):
        own = ratio.ravel()[free]
        known = np.isfinite(own)
        factor = np.where(known, own, 0.0) * scale[block] / scale[0]
        base: Any = one.multiply(factor[:, None]).tocsr()
        slack = np.where(known, problem.ratio_known * factor * capacities[0] * scale[0], 1e15)
        for sign in (1, -1):
            blocks: list[Any] = [csr_array((count, 2 * count)) for _ in range(1 + len(links))]
            blocks[0], blocks[block] = -sign * base, (sign * one).tocsr()
            rows.append(hstack(blocks).tocsr()[known])
            limits.append(slack[known])
    return vstack(rows).tocsr(), np.concatenate(limits)


def additivity_matrix(cube: CellCube) -> csr_array:
    """Additivity constraints as a sparse matrix (margins, cells): one row for each present margin, its parts less itself."""
    numbers = np.arange(cube.present.size).reshape(cube.present.shape)
    rows: list[Any] = []
    columns: list[Any] = []
    values: list[Floats] = []
    count = 0
    for axis, margin, parts in additivity_constraints(cube):
        present = cube.present[margin]
        inner = np.moveaxis(numbers[parts], axis, -1)[present]
        outer = numbers[margin][present]
        row_numbers = count + np.arange(len(outer))
        rows += [np.repeat(row_numbers, inner.shape[1]), row_numbers]
        columns += [inner.ravel(), outer]
        values += [np.ones(inner.size), -np.ones(len(outer))]
        count += len(outer)
    data = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return coo_array(data, shape=(count, numbers.size)).tocsr()
