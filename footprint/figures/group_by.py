"""This file finds the rows of a question: which cells of energy and which counts go into each, by period and names."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from footprint.calendar.ranges import split_by_period
from footprint.figures.cell_table import NAMED, CellKey, CellTable, Ints, combined
from footprint.figures.energy_cells import CellSource, gather, undeclared_uses
from footprint.figures.idle_redistribution import month_of, month_weights, months_of, respread
from footprint.figures.metrics import GroupedMetrics
from footprint.figures.query import PLACES, Query
from footprint.figures.request_counts import Counts, gather_counts

USES = frozenset({"use_case", "model", "charter"})  # what tells use cases of a service apart
Names = tuple[str, ...]


@dataclass(slots=True)
class Group:
    """What goes into one row: the cells that ``chosen`` says of the table, counts, and the names that stand in it."""

    table: CellTable | None = None
    chosen: Ints | None = None
    number: int = -1  # of the sums, where it has cells
    counts: list[tuple[str, list[int | None]]] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    use_cases: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    raised: set[str] = field(default_factory=set)  # flags of the bases

    @property
    def devices(self) -> set[str]:
        """Devices of the cells."""
        if self.table is None or self.chosen is None:
            return set()
        return {self.table.texts[code] for code in set(self.table.names["device"][self.chosen].tolist())}

    @property
    def cells(self) -> list[tuple[CellKey, list[int]]]:
        """The cells one by one, in order."""
        if self.table is None or self.chosen is None:
            return []
        return list(self.table.cells(self.chosen.tolist()))


def columns_of(question: Query) -> set[str]:
    """The columns that a question groups by, or chooses by."""
    return {*question.group, *(name for name, _ in question.where)}


def groups_of(
    source: CellSource, question: Query, periods: list[tuple[int, int]]
) -> tuple[dict[tuple[int, Names], Group], GroupedMetrics | None]:
    """Rows to be by period and names, and the sums of those with cells."""
    wanted = columns_of(question)
    together = question.view == "active" and not wanted & USES
    cells, owner = _energy(source, question, periods, wanted, together=together)
    groups: dict[tuple[int, Names], Group] = defaultdict(Group)
    places, order, starts = _grouped(cells, question, owner)
    sums = GroupedMetrics(cells, order, starts, apart=bool(wanted & USES)) if cells.small and len(starts) else None
    bounds = [*starts.tolist(), len(order)]
    services, use_cases, hosts = (_sets(cells, name, order, bounds) for name in ("service", "use_case", "host"))
    raised = cells.raised(order, starts, together=together)
    for number, place in enumerate(places):
        mine = order[bounds[number] : bounds[number + 1]]
        groups[place] = Group(cells, mine, number, [], services[number], use_cases[number], hosts[number], raised[number])
    if together:
        _add_undeclared(groups, source, question, periods)
    if not wanted & PLACES:
        _add_counts(groups, question, gather_counts(source, periods, wanted, question.where if question.view == "active" else ()))
    return groups, sums


def _sets(cells: CellTable, name: str, order: Ints, bounds: Sequence[int]) -> list[set[str]]:
    """The names of one column in each group of cells."""
    codes, texts = cells.codes(name)
    told = codes[order].tolist()
    return [{texts[code] for code in set(told[low:high])} for low, high in itertools.pairwise(bounds)]


def _grouped(cells: CellTable, question: Query, owner: list[int]) -> tuple[list[tuple[int, Names]], Ints, Ints]:
    """The groups in order, their cells one group after the other, and where each begins."""
    columns = [cells.codes(name) for name in question.group]
    period = np.array(owner, dtype=np.int64)[cells.period]
    chosen = np.flatnonzero(_chosen_cells(cells, question))
    key = combined([(period, len(owner)), *((codes, len(texts)) for codes, texts in columns)])[chosen]
    ranked = np.argsort(key, kind="stable")
    order = chosen[ranked]
    starts = np.flatnonzero(np.diff(key[ranked], prepend=-1))
    places = [
        (int(period[first]), tuple(texts[int(codes[first])] for codes, texts in columns)) for first in order[starts].tolist()
    ]
    return places, order, starts


def _chosen_cells(cells: CellTable, question: Query) -> NDArray[np.bool_]:
    """Same name: or; different names: and."""
    chosen = np.ones(len(cells), dtype=bool)
    for name, allowed in _allowed(question).items():
        codes, texts = cells.codes(name)
        chosen &= np.isin(codes, [number for number, text in enumerate(texts) if text in allowed])
    return chosen


def _allowed(question: Query) -> dict[str, set[str]]:
    allowed: dict[str, set[str]] = defaultdict(set)
    for name, value in question.where:
        allowed[name].add(value)
    return allowed


def _add_undeclared(
    groups: dict[tuple[int, Names], Group], source: CellSource, question: Query, periods: list[tuple[int, int]]
) -> None:
    """Where use cases stand together, those that nobody declared are looked for, for a flag names them."""
    unknown = undeclared_uses(source, periods)
    if not unknown or not groups:
        return
    asked = replace(question, where=(*question.where, *(("use_case", name) for name in unknown)))
    columns = {name for name in columns_of(asked) if name in NAMED}
    cells = gather(source, periods, columns, asked.where)
    places, order, starts = _grouped(cells, asked, list(range(len(periods))))
    names = _sets(cells, "use_case", order, [*starts.tolist(), len(order)])
    for place, found in zip(places, names, strict=True):
        groups[place].use_cases |= found


def _energy(
    source: CellSource, question: Query, periods: list[tuple[int, int]], wanted: set[str], *, together: bool
) -> tuple[CellTable, list[int]]:
    """Cells, and the period asked for of each period of theirs."""
    columns = {name for name in wanted if name in NAMED}
    if question.view == "active":
        found = gather(source, periods, {*columns, "use_case"}, question.where, together=together)
        return found, list(range(len(periods)))
    months = months_of(source, periods[0][0], periods[-1][1])
    pieces, owner = [], []
    for index, (start, end) in enumerate(periods):
        for part in split_by_period("month", start, end, source.config.timezone):
            pieces.append(part)
            owner.append(index)
    # Idle energy is divided within a service: of the others nothing needs to be read.
    services = tuple(each for each in question.where if each[0] == "service")
    cells = gather(source, pieces, {*columns, "use_case", "model", "charter"}, services)
    month = [month_of(months, start) for start, _ in pieces]
    return respread(cells, month, month_weights(source, months, services)), owner


def _chosen(question: Query, values: dict[str, str]) -> bool:
    """Same name: or; different names: and."""
    return all(values[name] in wanted for name, wanted in _allowed(question).items())


def _add_counts(groups: dict[tuple[int, Names], Group], question: Query, counts: Counts) -> None:
    for (period, service, use_case, model, charter), amounts in counts.items():
        values = {"service": service, "use_case": use_case, "model": model, "charter": charter}
        if _chosen(question, values):
            group = groups[period, tuple(values[name] for name in question.group)]
            group.counts.append((service, amounts))
            group.services.add(service)
            group.use_cases.add(use_case)
