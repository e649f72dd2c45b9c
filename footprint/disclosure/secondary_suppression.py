"""Secondary suppression: further cells that are hidden so that no hidden amount can be derived.

Every hidden cell is protected, not only those that a rule hides: no reader may derive any of them within ``protection``. The loop
only hides more cells, so that what is proved stays proved, and it ends.

References
----------
A. Hundepool et al., Statistical Disclosure Control, Wiley 2012, chapter 4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from footprint.disclosure.hypercube import Hypercube, SuppressionProblem, cheapest_hypercube
from footprint.disclosure.optimal_suppression import BOTH, DOWN, UP, cells_of_cheapest_move
from footprint.disclosure.primary_suppression import (
    HIDING_REASONS,
    Cell,
    Key,
    Status,
    SuppressionReason,
    SuppressionRules,
    primary_reason,
)
from footprint.disclosure.table import Bools, CellCube, Index, additivity_constraints, build_cube

COST_MEASURES = ("energy_kwh", "requests")  # the loss is counted in the first of these that the cells have
_LINKED_MARGIN = 1.1  # of the protection: of 200 organisations, three revealed a cell to within 14 % without it, none with it
_RATIO_TOLERANCE = 1e-9  # a ratio that varies by less adds no information


@dataclass(frozen=True, slots=True)
class Protection:
    """Status of each cell, and the reason for it.

    ``exposed`` are hidden cells that can be derived from cells that must be shown: they were published before, or a total of the
    organisation leaves no room. A release states them, or is held back.
    """

    statuses: Mapping[Key, Status]
    reasons: Mapping[Key, SuppressionReason]
    exposed: frozenset[Key] = frozenset()

    def status(self, period: str, service: str = "", use_case: str = "") -> Status:
        """Status of a cell; a key that is not in the table is hidden, because its users are unknown."""
        return self.statuses.get((period, service, use_case), Status.PRIMARY)

    def count(self, status: Status) -> int:
        """Number of cells with a status."""
        return sum(1 for cell_status in self.statuses.values() if cell_status is status)

    def hidden(self) -> frozenset[Key]:
        """Keys of all cells that are not shown."""
        return frozenset(key for key, status in self.statuses.items() if status is not Status.PUBLIC)


def protect(
    cells: Iterable[Cell], rules: SuppressionRules, published_before: Collection[Key] = (), hidden_before: Collection[Key] = ()
) -> Protection:
    """Status of each cell such that no hidden amount can be derived from all shown cells.

    Parameters
    ----------
    cells
        Complete table: every part of every margin, idle and unattributed rows too.
    rules
        Thresholds and the protection wanted.
    published_before
        Keys that an earlier edition or version showed; they count as shown.
    hidden_before
        Keys that were hidden before; they stay hidden, because late data would otherwise reveal the difference.

    Returns
    -------
    Protection
        Statuses and reasons by key, in the order of the keys.

    Raises
    ------
    NotAdditive
        If a margin is not the sum of its parts.

    Examples
    --------
    >>> users = {"": 30, "a": 2, "b": 12, "c": 16}
    >>> kwh = {"": 60.0, "a": 10.0, "b": 20.0, "c": 30.0}
    >>> cells = [
    ...     Cell("2026-07", service, use, count, amounts={"energy_kwh": kwh[use], "requests": 10.0 * kwh[use]})
    ...     for service in ("chat", "")
    ...     for use, count in users.items()
    ... ]
    >>> protection = protect(cells, SuppressionRules(min_users=5))
    >>> protection.status("2026-07", "chat", "a").value
    'primary'
    >>> protection.status("2026-07", "chat", "b").value  # the cheapest cell that protects it
    'secondary'
    """
    listed = list(cells)
    if not listed:
        return Protection({}, {})
    cube = build_cube(listed)
    reasons = {cell.key: primary_reason(cell, rules) for cell in listed}
    safe = {key for key, reason in reasons.items() if reason is SuppressionReason.SAFE}
    published = set(published_before)
    for key in set(hidden_before) - published:
        if reasons.get(key) in (SuppressionReason.SAFE, SuppressionReason.NO_USERS_BY_NATURE):
            reasons[key] = SuppressionReason.KEPT
    hidden = cube.mask([key for key, reason in reasons.items() if reason in HIDING_REASONS or reason is SuppressionReason.KEPT])
    fixed = cube.mask(
        [k for k, reason in reasons.items() if reason in (SuppressionReason.TOTAL, SuppressionReason.NOBODY) or k in published]
    )
    problem = _suppression_problem(cube, rules, hidden, fixed)
    exposed = _protect_hidden(problem, cube.mask(safe), fixed)
    return _result(problem, reasons, exposed | (published & {k for k, r in reasons.items() if r in HIDING_REASONS}))


def _suppression_problem(cube: CellCube, rules: SuppressionRules, hidden: Bools, fixed: Bools) -> SuppressionProblem:
    """Problem of a table: fixed cells and known zeros cannot move, unpublished margins move freely."""
    margins = np.zeros(cube.present.shape, dtype=bool)
    margins[:, -1, :] = margins[:, :, -1] = True
    margins[[t for t in range(len(cube.periods)) if t not in cube.leaves]] = True
    unshown = ~cube.present & margins
    capacity = {name: np.where(unshown, np.inf, np.where(fixed, 0.0, amounts)) for name, amounts in cube.amounts.items()}
    measure = next((name for name in COST_MEASURES if name in cube.amounts), next(iter(cube.amounts), None))
    loss = cube.amounts[measure] if measure else np.ones(cube.present.shape)
    # A small constant for each cell, so that of equal losses the one with fewer cells wins.
    cost = loss + 1e-6 * max(float(loss.max()), 1e-12)
    cost = np.where(unshown, 0.0, np.where(cube.present & ~fixed, cost, np.inf))
    ratios = []
    for name, other in rules.linked:
        if name in capacity and other in capacity:
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(cube.present & ~fixed, cube.amounts[name] / cube.amounts[other], np.nan)
            known_ratios = ratio[np.isfinite(ratio)]
            if known_ratios.size and known_ratios.max() - known_ratios.min() > _RATIO_TOLERANCE * known_ratios.max():
                ratios.append((name, other, ratio))
            else:
                del capacity[name]
    # Where ratios differ from cell to cell, a reader can narrow the range of each measure by the other.
    protection = rules.protection * (_LINKED_MARGIN if ratios else 1.0)
    return SuppressionProblem(cube, capacity, cost, hidden, protection, tuple(ratios), rules.ratio_known)


def _protect_hidden(problem: SuppressionProblem, safe: Bools, fixed: Bools) -> set[Key]:
    """Hide what protects the hidden cells; return the keys of those that cannot be protected.

    A cell that a rule hides must be safe from above and from below; a cell hidden for another's sake, on one side at least.
    """
    by_rule = problem.hidden & ~safe
    protected = fixed.copy()
    hopeless: set[Index] = set()
    while True:
        unprotected = _by_falling_cost(problem, problem.hidden & by_rule & ~protected) or _by_falling_cost(
            problem, problem.hidden & ~protected
        )
        for target in unprotected:
            if not protected[target] and not _protect_one(problem, target, protected, by_rule):
                hopeless.add(target)
                protected[target] = True
        if not unprotected and not _protect_sums(problem, safe):
            return {problem.cube.key(index) for index in hopeless}


def _by_falling_cost(problem: SuppressionProblem, which: Bools) -> list[Index]:
    """Indices of a mask by falling cost: the protection of a large cell often protects the small ones beside it."""
    return sorted(((t, s, u) for t, s, u in np.argwhere(which).tolist()), key=lambda index: (-problem.cost[index], index))


def _protect_one(problem: SuppressionProblem, target: Index, protected: Bools, by_rule: Bools) -> bool:
    """Hide what protects one hidden cell, and mark the cells that this protects; False if nothing does."""
    both_ways = bool(by_rule[target])
    hypercube = cheapest_hypercube(problem, target, both_ways=both_ways)
    if hypercube is not None:
        for corner, _ in hypercube:
            problem.hidden[corner] |= problem.cube.present[corner]
        _mark_protected(problem, hypercube, protected, by_rule)
    else:
        move = _cheapest_move(problem, target, both_ways)
        if move is None:
            return False
        problem.hidden |= move & problem.cube.present
    protected[target] = True
    return True


def _cheapest_move(problem: SuppressionProblem, target: Index, both_ways: bool) -> Bools | None:
    """Cells that the linear program hides."""
    if both_ways:
        move = cells_of_cheapest_move(problem, target, BOTH)
        if move is not None:
            return move
        up, down = cells_of_cheapest_move(problem, target, UP), cells_of_cheapest_move(problem, target, DOWN)
        return None if up is None or down is None else up | down
    up = cells_of_cheapest_move(problem, target, UP)
    return cells_of_cheapest_move(problem, target, DOWN) if up is None else up


def _mark_protected(problem: SuppressionProblem, hypercube: Hypercube, protected: Bools, by_rule: Bools) -> None:
    """Mark the corners that the same hypercube protects, where the corners that compensate them can move far enough."""
    if problem.ratios:  # ratios were tested for the target only
        return
    corners, signs = [corner for corner, _ in hypercube], np.array([sign for _, sign in hypercube])
    up, down = np.ones(len(hypercube), dtype=bool), np.ones(len(hypercube), dtype=bool)
    either = np.ones(len(hypercube), dtype=bool)
    for capacity in problem.capacity.values():
        capacities = np.array([capacity[corner] for corner in corners])
        with_it = capacities[signs > 0].min(initial=np.inf), capacities[signs < 0].min(initial=np.inf)
        same, against = np.where(signs > 0, *with_it), np.where(signs > 0, *with_it[::-1])
        grows, shrinks = problem.protection * capacities <= against, problem.protection * capacities <= same
        up, down, either = up & grows, down & shrinks, either & (grows | shrinks)
    for corner, enough, one_way in zip(corners, up & down, either, strict=True):
        protected[corner] |= bool(enough) or (bool(one_way) and not by_rule[corner])


def _protect_sums(problem: SuppressionProblem, safe: Bools) -> bool:
    """Protect the sum of the hidden cells under each shown margin; True if a cell was hidden.

    That sum can be derived, so it must contain a cell that could be shown by itself. Hide the cheapest such cell of each margin
    that has none, else the margin.
    """
    before = int(problem.hidden.sum())
    numbers = np.arange(problem.hidden.size).reshape(problem.hidden.shape)
    hidden, cost = problem.hidden.reshape(-1), problem.cost.reshape(-1)
    for axis, margin, parts in additivity_constraints(problem.cube):
        sums = numbers[margin].ravel()
        inner = np.moveaxis(numbers[parts], axis, -1).reshape(len(sums), -1)
        derived = problem.cube.present.reshape(-1)[sums] & ~hidden[sums] & hidden[inner].any(axis=1)
        unsafe = derived & ~(hidden[inner] & safe.reshape(-1)[inner]).any(axis=1)
        for margin_, parts_ in zip(sums[unsafe], inner[unsafe], strict=True):
            candidates = [p for p in parts_ if safe.reshape(-1)[p] and not hidden[p] and np.isfinite(cost[p])]
            if candidates:
                hidden[min(candidates, key=lambda p: (cost[p], p))] = True
            elif np.isfinite(cost[margin_]):
                hidden[margin_] = True
    return int(problem.hidden.sum()) > before


def _result(problem: SuppressionProblem, reasons: dict[Key, SuppressionReason], exposed: set[Key]) -> Protection:
    """Statuses and reasons of the given cells, in the order of their keys."""
    statuses, final_reasons = {}, {}
    indices = problem.cube.indices(reasons)
    for key in sorted(reasons):
        reason = reasons[key]
        if reason in HIDING_REASONS:
            status = Status.PRIMARY
        elif problem.hidden[indices[key]]:
            status = Status.SECONDARY
            reason = reason if reason is SuppressionReason.KEPT else SuppressionReason.COMPLEMENT
        else:
            status = Status.PUBLIC
        statuses[key], final_reasons[key] = status, reason
    return Protection(statuses, final_reasons, frozenset(exposed))
