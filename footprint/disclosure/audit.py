"""Audit of published tables: how closely a reader who knows all of them can bound each hidden amount.

The reader knows every shown cell, that amounts are not negative, that a margin is the sum of its parts, the ratio of linked
measures, and every edition and version at once (late data only add). Each bound is the optimum of a linear program (HiGHS), so
that no reader can do better. The audit does not use how cells were selected, and works on any table.

References
----------
A. Hundepool et al., Statistical Disclosure Control, Wiley 2012, chapter 4 (auditing of suppression patterns).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, vstack
from scipy.sparse.csgraph import connected_components

from footprint.calendar.periods import parse_period
from footprint.core.records import FootprintError
from footprint.disclosure.linear_program import Rows, minimise
from footprint.disclosure.primary_suppression import Key
from footprint.disclosure.table import Floats

RATIO_KNOWN = 0.01
_TOLERANCE = 1e-6  # of the scale, for sums of published numbers and the solver's rounding


class ContradictoryTable(FootprintError):
    """Published numbers that no amounts can give, because a sum is wrong."""


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One edition, or one version of it: amounts of the shown cells, and keys of the hidden cells.

    ``shown`` holds amounts by measure, each in one unit; ``linked`` names measures that are a multiple of another. ``ratios`` are
    the ratios of linked measures of hidden cells that a reader knows from elsewhere (a table of factors). Without them, the ratio
    of the service in the period counts as known where the service is shown.
    """

    shown: Mapping[Key, Mapping[str, float]]
    hidden: frozenset[Key]
    linked: tuple[tuple[str, str], ...] = ()
    ratios: Mapping[Key, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lowest and highest value that a reader can derive for a hidden amount, in its unit."""

    low: float
    high: float

    def recovers(self, truth: float, within: float) -> bool:
        """Whether both bounds are within the fraction ``within`` of the true amount.

        Examples
        --------
        >>> Bounds(90.0, 110.0).recovers(100.0, 0.15), Bounds(0.0, 110.0).recovers(100.0, 0.15)
        (True, False)
        """
        return self.nears_from_below(truth, within) and self.nears_from_above(truth, within)

    def nears_from_below(self, truth: float, within: float) -> bool:
        """Whether the lower bound is nearer to the true amount than the fraction ``within`` of it; False for an amount of 0."""
        return truth > 0 and self.low > truth * (1 - within + _TOLERANCE)

    def nears_from_above(self, truth: float, within: float) -> bool:
        """Whether the upper bound is nearer to the true amount than the fraction ``within`` of it; False for an amount of 0."""
        return truth > 0 and self.high < truth * (1 + within - _TOLERANCE)


EditionKey = tuple[int, Key]  # (number of the edition, key)
Truth = Mapping[EditionKey, Mapping[str, float]]
_Row = tuple[dict[int, float], float, float]  # coefficients by variable, least, most


def attack(
    editions: Sequence[PublishedTable], truth: Truth | None = None, within: float = 0.15
) -> dict[EditionKey, dict[str, Bounds]]:
    """Bounds of every hidden cell that a reader of all editions can derive.

    Parameters
    ----------
    editions
        Published tables in their order of publication.
    truth
        True amounts of the hidden cells. With them the search for a bound stops as soon as it no longer recovers a cell: less
        work, for judging a protection only.
    within
        Fraction of the true amount within which a cell counts as recovered.

    Returns
    -------
    dict
        Bounds by (number of the edition, key) and measure, in the unit of the measure.

    Raises
    ------
    ContradictoryTable
        If no amounts give all published sums.

    Examples
    --------
    A single hidden part of a shown sum is recovered exactly:

    >>> shown = {("2026-07", "chat", ""): {"kwh": 10.0}, ("2026-07", "chat", "a"): {"kwh": 4.0}}
    >>> hidden = ("2026-07", "chat", "b")
    >>> bounds = attack([PublishedTable(shown, frozenset({hidden}))])[0, hidden]["kwh"]
    >>> round(bounds.low, 3), round(bounds.high, 3)
    (6.0, 6.0)
    """
    measures = sorted({m for edition in editions for amounts in edition.shown.values() for m in amounts})
    links = {name: other for edition in editions for name, other in edition.linked if name in measures and other in measures}
    bounds: dict[EditionKey, dict[str, Bounds]] = defaultdict(dict)
    for measure in measures:
        if measure in links:
            continue
        followers = [name for name, other in links.items() if other == measure]
        _AttackModel(editions, [measure, *followers]).run(bounds, truth, within)
    return dict(bounds)


def leaf_keys(keys: Iterable[Key]) -> dict[Key, list[Key]]:
    """For every key, the finest keys that it is the sum of; a finest key is its own leaf.

    Examples
    --------
    >>> leaf_keys([("2026-07", "chat", ""), ("2026-07", "chat", "a")])[("2026-07", "chat", "")]
    [('2026-07', 'chat', 'a')]
    """
    keys = list(keys)
    above = {name: _containing_periods(name, {key[0] for key in keys}) for name in {key[0] for key in keys}}
    present, sums = set(keys), set()
    for key in keys:
        sums |= {up for up in _sums_of(key, above) if up != key}
    leaves: dict[Key, list[Key]] = {key: [] for key in keys}
    for key in keys:
        if key not in sums:
            for up in _sums_of(key, above):
                if up in present:
                    leaves[up].append(key)
    return leaves


def _containing_periods(name: str, names: set[str]) -> list[str]:
    period = parse_period(name)
    periods = {other: parse_period(other) for other in names}
    return [
        other
        for other, candidate in periods.items()
        if candidate.year == period.year
        and candidate.month <= period.month
        and period.month + period.length <= candidate.month + candidate.length
    ]


def _sums_of(key: Key, above: Mapping[str, list[str]]) -> set[Key]:
    return {(p, s, u) for p in above[key[0]] for s in (key[1], "") for u in (key[2], "")}


class _AttackModel:
    """Equations over the hidden cells of all editions, for a measure and its multiples."""

    def __init__(self, editions: Sequence[PublishedTable], measures: list[str]) -> None:
        self.editions, self.measures = editions, measures
        self.leaves = [leaf_keys([*edition.shown, *edition.hidden]) for edition in editions]
        self.numbers: dict[tuple[int, Key, str], int] = {}
        self.rows: list[_Row] = []
        for number, edition in enumerate(editions):
            for key in sorted(edition.hidden):
                if self.leaves[number][key] == [key]:
                    for measure in measures:
                        self.numbers[number, key, measure] = len(self.numbers)
        for number in range(len(editions)):
            self._sums(number)
            self._ratios(number)
        for later in range(1, len(editions)):
            for earlier in range(later):
                self._late_adds(earlier, later)

    def expression(self, number: int, key: Key, measure: str) -> tuple[dict[int, float], float]:
        """A cell as (coefficients of unknown amounts, sum of the known amounts)."""
        unknown, rest = {}, 0.0
        for leaf in self.leaves[number][key]:
            variable = self.numbers.get((number, leaf, measure))
            if variable is None:
                rest += self.editions[number].shown[leaf].get(measure, 0.0)
            else:
                unknown[variable] = 1.0
        return unknown, rest

    def _sums(self, number: int) -> None:
        for key, amounts in self.editions[number].shown.items():
            for measure in self.measures:
                unknown, rest = self.expression(number, key, measure)
                if unknown:
                    self.rows.append((unknown, amounts[measure] - rest, amounts[measure] - rest))

    def _ratios(self, number: int) -> None:
        base, edition = self.measures[0], self.editions[number]
        for (edition_number, key, measure), variable in self.numbers.items():
            if edition_number != number or measure == base:
                continue
            service_total = edition.shown.get((key[0], key[1], ""), {})
            ratio = edition.ratios.get(key, {}).get(measure) or (
                service_total[measure] / service_total[base] if service_total.get(base) else None
            )
            if ratio is not None:
                other = self.numbers[number, key, base]
                self.rows.append(({variable: 1.0, other: -ratio * (1 + RATIO_KNOWN)}, -np.inf, 0.0))
                self.rows.append(({variable: 1.0, other: -ratio * (1 - RATIO_KNOWN)}, 0.0, np.inf))

    def _late_adds(self, earlier: int, later: int) -> None:
        for key in self.leaves[earlier].keys() & self.leaves[later].keys():
            for measure in self.measures:
                old, old_rest = self._known_or_sum(earlier, key, measure)
                new, new_rest = self._known_or_sum(later, key, measure)
                if old or new:
                    both = {**new, **{variable: -factor for variable, factor in old.items()}}
                    self.rows.append((both, old_rest - new_rest, np.inf))

    def _known_or_sum(self, number: int, key: Key, measure: str) -> tuple[dict[int, float], float]:
        shown = self.editions[number].shown.get(key)
        return self.expression(number, key, measure) if shown is None else ({}, shown[measure])

    def run(self, bounds: dict[EditionKey, dict[str, Bounds]], truth: Truth | None, within: float) -> None:
        """Add the bounds of every hidden cell to ``bounds``."""
        expressions: dict[tuple[EditionKey, str], tuple[dict[int, float], float]] = {}
        for number, edition in enumerate(self.editions):
            for key in sorted(edition.hidden):
                for measure in self.measures:
                    expressions[(number, key), measure] = self.expression(number, key, measure)
        system = _BoundSolver(len(self.numbers), self.rows, [unknown_cells for unknown_cells, _ in expressions.values()])
        for (edition_key, measure), (unknown, rest) in expressions.items():
            limits = None
            if truth is not None:
                amount = truth[edition_key][measure]
                limits = amount * (1 - within) - rest, amount * (1 + within) - rest
            low, high = system.bounds(unknown, limits)
            bounds[edition_key][measure] = Bounds(max(low, 0.0) + rest, high + rest)


@dataclass(frozen=True, slots=True)
class _Program:
    """One independent block: its variables, its equations, its inequalities, and the scale of its amounts."""

    variables: NDArray[np.intp]
    equal: Rows
    below: Rows
    scale: float


class _BoundSolver:
    """Constraints over non-negative variables, separated into independent blocks."""

    def __init__(self, count: int, rows: list[_Row], together: list[dict[int, float]]) -> None:
        self.matrix, self.least, self.most = _matrix(count, rows)
        groups = [list(row[0]) for row in rows] + [list(unknown) for unknown in together]
        pairs = [(group[0], other) for group in groups if group for other in group]
        graph = coo_array((np.ones(len(pairs)), tuple(zip(*pairs, strict=True)) if pairs else ([], [])), shape=(count, count))
        self.part = connected_components(graph, directed=False)[1] if count else np.zeros(0, dtype=np.int32)
        row_of = [self.part[group[0]] if group else -1 for group in groups[: len(rows)]]
        self.row_part = np.asarray(row_of, dtype=np.int64)
        self.seen: dict[int, list[Floats]] = defaultdict(list)
        self.cut: dict[int, _Program] = {}

    def bounds(self, unknown: dict[int, float], limits: tuple[float, float] | None) -> tuple[float, float]:
        """Minimum and maximum of a sum of variables; the search stops at ``limits`` where they are given."""
        if not unknown:
            return 0.0, 0.0
        part = int(self.part[next(iter(unknown))])
        program = self._program(part)
        goal = np.zeros(len(program.variables))
        goal[np.searchsorted(program.variables, list(unknown))] = 1.0
        ends = []
        for sign in (1.0, -1.0):
            values = [float(goal @ point) for point in self.seen[part]]
            if limits and values and (min(values) <= limits[0] if sign > 0 else max(values) >= limits[1]):
                ends.append(min(values) if sign > 0 else max(values))
                continue
            ends.append(self._solve(part, goal, program, sign))
        return ends[0], ends[1]

    def _solve(self, part: int, goal: Floats, program: _Program, sign: float) -> float:
        status, point = minimise(sign * goal, program.equal, program.below)
        if status == "unbounded":
            return np.inf if sign < 0 else 0.0
        if status == "infeasible":
            raise ContradictoryTable("the published numbers contradict each other: no amounts give all of their sums")
        self.seen[part].append(point * program.scale)
        return float(goal @ point) * program.scale

    def _program(self, part: int) -> _Program:
        if part not in self.cut:
            variables, rows = np.flatnonzero(self.part == part), np.flatnonzero(self.row_part == part)
            matrix, least, most = self.matrix[rows][:, variables], self.least[rows], self.most[rows]
            finite = np.concatenate([least[np.isfinite(least)], most[np.isfinite(most)]])
            scale = float(np.abs(finite).max()) if finite.size and np.abs(finite).max() > 0 else 1.0
            same = least == most
            above, under = np.isfinite(most) & ~same, np.isfinite(least) & ~same
            # Published sums are exact to rounding only; a little slack keeps the truth inside.
            limit = np.concatenate([most[above], -least[under]]) / scale + _TOLERANCE
            below = vstack([matrix[above], -matrix[under]]).tocsr(), limit
            self.cut[part] = _Program(variables, (matrix[same], least[same] / scale), below, scale)
        return self.cut[part]


def _matrix(count: int, rows: list[_Row]) -> tuple[Any, Floats, Floats]:
    data = [(i, j, v) for i, (row, _, _) in enumerate(rows) for j, v in row.items()]
    at = tuple(zip(*[(i, j) for i, j, _ in data], strict=True)) if data else ([], [])
    matrix = coo_array(([v for _, _, v in data], at), shape=(len(rows), count)).tocsr()
    return matrix, np.asarray([row[1] for row in rows], float), np.asarray([row[2] for row in rows], float)
