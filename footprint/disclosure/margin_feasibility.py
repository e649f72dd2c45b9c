"""This file shows without a linear program that a hidden margin gives way, where what is hidden beside it is enough for that.

All hidden parts of the margin grow in proportion, and hidden cells of the other rows (or columns) shrink by as much, each in
proportion too, so that every sum but the margin itself stays. Such a move among hidden cells costs nothing, so that the
cheapest move hides nothing either: what a program would find is known before it is asked.
"""

from __future__ import annotations

import numpy as np

from footprint.disclosure.hypercube import SuppressionProblem
from footprint.disclosure.table import Bools, Floats, Index

_ROUNDING = 1e-9  # of the cell: sums of doubles
_COST_MARGIN = 10.0  # how much more the least loss must cost than the move by which it could be had, for the solver's arithmetic


def is_feasible_with_hidden_cells(
    board: SuppressionProblem, target: Index, measure: str, linked: list[tuple[str, str, Floats]]
) -> bool:
    """Whether the margin of a service or use case moves up and down by the protection wanted, with hidden cells alone.

    False says nothing: a program may find a move all the same.
    """
    _, s, u = target
    services, uses = len(board.cube.services) - 1, len(board.cube.use_cases) - 1
    names = (measure, *(link[0] for link in linked))
    if (s == services) == (u == uses) or any(board.capacity[name][target] <= 0 for name in names):
        return False
    moves: dict[str, Floats] = {}
    factor = None
    for name in names:
        hidden = _hidden_parts(board, name)
        own = np.where(_part_mask(board, target), hidden, 0.0)
        if factor is None:
            factor = board.protection * board.capacity[measure][target] / max(float(own.sum()), 1e-300)
        moves[name] = _with_margins(board, _balanced(own * factor, hidden, axis=1 if u == uses else 2))
    return _is_allowed(board, target, moves, linked) and _is_clearly_cheapest(board, target, moves)


def _part_mask(board: SuppressionProblem, target: Index) -> Bools:
    """Cells of the shortest periods that a margin is made of."""
    t, s, u = target
    services, uses = len(board.cube.services) - 1, len(board.cube.use_cases) - 1
    found = np.zeros(board.hidden.shape, dtype=bool)
    for leaf in board.cube.leaves:
        if t in board.cube.ancestors(leaf):
            found[leaf, slice(0, -1) if s == services else s, slice(0, -1) if u == uses else u] = True
    return found


def _hidden_parts(board: SuppressionProblem, name: str) -> Floats:
    """Amounts of the hidden cells that are no margin, 0 elsewhere."""
    found = np.where(board.hidden & board.cube.present, board.capacity[name], 0.0)
    found[:, -1, :] = found[:, :, -1] = 0.0
    found[[t for t in range(len(found)) if t not in board.cube.leaves]] = 0.0
    return found


def _balanced(own: Floats, hidden: Floats, axis: int) -> Floats:
    """The parts' move, and that of the hidden cells beside them along an axis, which takes it back."""
    others = np.where(own.any(axis=3 - axis, keepdims=True).any(axis=0, keepdims=True), 0.0, hidden)
    there = others.sum(axis=axis, keepdims=True)
    taken = own.sum(axis=axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(there > 0, taken / there, np.where(taken > 0, np.nan, 0.0))
    return own - np.nan_to_num(others * share, nan=np.inf)


def _with_margins(board: SuppressionProblem, move: Floats) -> Floats:
    """The move with that of every margin and longer period."""
    move[:, -1, :] = move[:, :-1, :].sum(axis=1)
    move[:, :, -1] = move[:, :, :-1].sum(axis=2)
    for t, parent in enumerate(board.cube.parents):  # the shorter periods come first
        if parent >= 0:
            move[parent] += move[t]
    return move


def _is_allowed(
    board: SuppressionProblem, target: Index, moves: dict[str, Floats], linked: list[tuple[str, str, Floats]]
) -> bool:
    """Whether nothing shown moves, nothing by more than there is, and linked measures stay within what is known of them."""
    movable = board.hidden | ~board.cube.present
    for name, move in moves.items():
        rest = _ROUNDING * board.capacity[name][target]
        if not np.isfinite(move).all() or (np.abs(move) > np.where(movable, board.capacity[name], 0.0) + rest).any():
            return False
    measure = next(iter(moves))
    wanted = board.protection * board.capacity[measure][target]
    if abs(moves[measure][target] - wanted) > _ROUNDING * wanted:
        return False
    for name, _, ratio in linked:
        known = np.isfinite(ratio) & np.isfinite(board.capacity[measure])
        slack = board.ratio_known * ratio[known] * board.capacity[measure][known] + _ROUNDING * board.capacity[name][target]
        if (np.abs(moves[name][known] - ratio[known] * moves[measure][known]) > slack).any():
            return False
    return True


def _is_clearly_cheapest(board: SuppressionProblem, target: Index, moves: dict[str, Floats]) -> bool:
    """Whether hiding anything else costs so much more than this move that no solver would do it by its arithmetic."""
    size = sum(float(np.abs(move).sum()) / board.capacity[name][target] for name, move in moves.items())
    left = board.cost[~board.hidden & np.isfinite(board.cost) & (board.cost > 0)]
    return bool(left.min(initial=np.inf) > _COST_MARGIN * size)
