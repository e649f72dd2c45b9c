"""Feasibility check for hidden margins: whether cells that are hidden already let the margin move, without a linear program.

All hidden parts of the margin grow in proportion, and hidden cells of the other rows (or columns) shrink by the same amount, each
in proportion, so that every sum but the margin stays. A move among hidden cells costs nothing, so the cheapest move hides
nothing either: the result of the linear program is known before it runs.
"""

from __future__ import annotations

import numpy as np

from footprint.disclosure.hypercube import SuppressionProblem
from footprint.disclosure.table import Bools, Floats, Index

_ROUNDING = 1e-9  # fraction of the cell, for sums of doubles
_COST_MARGIN = 10.0  # least cost of hiding another cell over the cost of the move, against the solver's rounding


def is_feasible_with_hidden_cells(
    problem: SuppressionProblem, target: Index, measure: str, linked: list[tuple[str, str, Floats]]
) -> bool:
    """Whether hidden cells alone let the margin of a service or use case move up and down by the protection wanted.

    Parameters
    ----------
    problem
        What may move and what is hidden.
    target
        Index (period, service, use case) of the margin.
    measure
        Measure that moves.
    linked
        Measures that are a multiple of it, as (name, ``measure``, ratio by cell).

    Returns
    -------
    bool
        True if the move exists and costs clearly less than hiding another cell. False proves nothing: a linear program may still
        find a move.
    """
    _, s, u = target
    services, use_cases = len(problem.cube.services) - 1, len(problem.cube.use_cases) - 1
    names = (measure, *(link[0] for link in linked))
    if (s == services) == (u == use_cases) or any(problem.capacity[name][target] <= 0 for name in names):
        return False
    moves: dict[str, Floats] = {}
    factor = None
    for name in names:
        hidden = _hidden_parts(problem, name)
        own = np.where(_part_mask(problem, target), hidden, 0.0)
        if factor is None:
            factor = problem.protection * problem.capacity[measure][target] / max(float(own.sum()), 1e-300)
        moves[name] = _with_margins(problem, _balanced(own * factor, hidden, axis=1 if u == use_cases else 2))
    return _is_allowed(problem, target, moves, linked) and _is_clearly_cheapest(problem, target, moves)


def _part_mask(problem: SuppressionProblem, target: Index) -> Bools:
    """Mask of the cells of the shortest periods that a margin sums."""
    t, s, u = target
    services, use_cases = len(problem.cube.services) - 1, len(problem.cube.use_cases) - 1
    mask = np.zeros(problem.hidden.shape, dtype=bool)
    for leaf in problem.cube.leaves:
        if t in problem.cube.ancestors(leaf):
            mask[leaf, slice(0, -1) if s == services else s, slice(0, -1) if u == use_cases else u] = True
    return mask


def _hidden_parts(problem: SuppressionProblem, name: str) -> Floats:
    """Amounts of the hidden cells that are not margins, 0 elsewhere."""
    amounts = np.where(problem.hidden & problem.cube.present, problem.capacity[name], 0.0)
    amounts[:, -1, :] = amounts[:, :, -1] = 0.0
    amounts[[t for t in range(len(amounts)) if t not in problem.cube.leaves]] = 0.0
    return amounts


def _balanced(own: Floats, hidden: Floats, axis: int) -> Floats:
    """The move of the parts, and the opposite move of the other hidden cells along an axis."""
    counterparts = np.where(own.any(axis=3 - axis, keepdims=True).any(axis=0, keepdims=True), 0.0, hidden)
    available = counterparts.sum(axis=axis, keepdims=True)
    needed = own.sum(axis=axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(available > 0, needed / available, np.where(needed > 0, np.nan, 0.0))
    return own - np.nan_to_num(counterparts * share, nan=np.inf)


def _with_margins(problem: SuppressionProblem, move: Floats) -> Floats:
    """The move completed by that of every margin and longer period."""
    move[:, -1, :] = move[:, :-1, :].sum(axis=1)
    move[:, :, -1] = move[:, :, :-1].sum(axis=2)
    for t, parent in enumerate(problem.cube.parents):  # the shorter periods come first
        if parent >= 0:
            move[parent] += move[t]
    return move


def _is_allowed(
    problem: SuppressionProblem, target: Index, moves: dict[str, Floats], linked: list[tuple[str, str, Floats]]
) -> bool:
    """Whether no shown cell moves, none by more than its amount, and linked measures stay within what a reader knows of them."""
    movable = problem.hidden | ~problem.cube.present
    for name, move in moves.items():
        tolerance = _ROUNDING * problem.capacity[name][target]
        if not np.isfinite(move).all() or (np.abs(move) > np.where(movable, problem.capacity[name], 0.0) + tolerance).any():
            return False
    measure = next(iter(moves))
    needed = problem.protection * problem.capacity[measure][target]
    if abs(moves[measure][target] - needed) > _ROUNDING * needed:
        return False
    for name, _, ratio in linked:
        known = np.isfinite(ratio) & np.isfinite(problem.capacity[measure])
        slack = problem.ratio_known * ratio[known] * problem.capacity[measure][known] + _ROUNDING * problem.capacity[name][target]
        if (np.abs(moves[name][known] - ratio[known] * moves[measure][known]) > slack).any():
            return False
    return True


def _is_clearly_cheapest(problem: SuppressionProblem, target: Index, moves: dict[str, Floats]) -> bool:
    """Whether hiding another cell costs so much more than this move that rounding in the solver cannot prefer it."""
    size = sum(float(np.abs(move).sum()) / problem.capacity[name][target] for name, move in moves.items())
    other_costs = problem.cost[~problem.hidden & np.isfinite(problem.cost) & (problem.cost > 0)]
    return bool(other_costs.min(initial=np.inf) > _COST_MARGIN * size)
