"""Grouping: the energy cells and request counts of each row of a query, by period and names."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from footprint.attribution.array_types import Ints
from footprint.calendar.ranges import split_by_period
from footprint.config.models import UNDECLARED
from footprint.core.records import COUNT_COLUMNS
from footprint.figures.cell_table import NAME_COLUMNS, CellKey, CellTable, build_table, combine_codes
from footprint.figures.energy_cells import CellSource, gather_cells, undeclared_use_cases
from footprint.figures.idle_redistribution import calendar_months, month_index, month_weights, redistribute_idle
from footprint.figures.metrics import GroupedMetrics
from footprint.figures.own_traffic import services_not_counted
from footprint.figures.query import PLACE_COLUMNS, Query
from footprint.figures.request_counts import CountTable, count_requests
from footprint.figures.row_metrics import DeclaredNames

USE_CASE_COLUMNS = frozenset({"use_case", "model", "charter"})  # columns that separate the use cases of a service
Names = tuple[str, ...]


@dataclass(slots=True)
class Group:
    """Contents of one row: cells of the table (``chosen``), counts, and the names that occur in it."""

    table: CellTable | None = None
    chosen: Ints | None = None
    number: int = -1  # index in the grouped metrics; -1 without cells
    counts: list[Sequence[int | None]] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    use_cases: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    raised_flags: set[str] = field(default_factory=set)  # flags of the bases

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


def query_columns(query: Query) -> set[str]:
    """Columns that a query groups or filters by."""
    return {*query.group, *(name for name, _ in query.where)}


def group_cells(
    source: CellSource, query: Query, periods: list[tuple[int, int]]
) -> tuple[dict[tuple[int, Names], Group], GroupedMetrics | None]:
    """Groups by period and names, and the metrics of those with cells."""
    wanted = query_columns(query)
    together = query.view == "active" and not wanted & USE_CASE_COLUMNS
    cells, owner = _gather_energy(source, query, periods, wanted, together=together)
    declared = DeclaredNames.of(source.config).use_cases
    if query.undeclared_together:
        cells = _merge_undeclared(cells, declared)
    groups: dict[tuple[int, Names], Group] = defaultdict(Group)
    keys, order, starts = _sort_into_groups(cells, query, owner)
    sums = GroupedMetrics(cells, order, starts, apart=bool(wanted & USE_CASE_COLUMNS)) if len(starts) else None
    bounds = [*starts.tolist(), len(order)]
    services, use_cases, hosts = (_names_by_group(cells, name, order, bounds) for name in ("service", "use_case", "host"))
    raised = cells.raised_flags(order, starts, together=together)
    for number, key in enumerate(keys):
        members = order[bounds[number] : bounds[number + 1]]
        groups[key] = Group(cells, members, number, [], services[number], use_cases[number], hosts[number], raised[number])
    if together:
        _add_undeclared_use_cases(groups, source, query, periods)
    if not wanted & PLACE_COLUMNS:
        counts = count_requests(source, periods, wanted, _pushed_down(query) if query.view == "active" else ())
        if query.undeclared_together and "use_case" in counts.names:
            codes, texts = counts.names["use_case"]
            counts.names["use_case"] = codes, _merged_names(texts, declared)
        _add_counts(groups, query, counts)
    return groups, sums


def _merged_names(texts: Sequence[str], declared: Set[str]) -> list[str]:
    return [text if text in declared else UNDECLARED for text in texts]


def _merge_undeclared(cells: CellTable, declared: Set[str]) -> CellTable:
    """The same energy with undeclared use cases as one. Idle energy is redistributed before, so no other figure changes."""
    names: dict[str, tuple[Ints, list[str]]] = {name: (codes, cells.texts) for name, codes in cells.names.items()}
    names["use_case"] = cells.names["use_case"], _merged_names(cells.texts, declared)
    return build_table(cells.period, names, (cells.basis, cells.bases), cells.amounts, cells.divided)


def _pushed_down(query: Query) -> tuple[tuple[str, str], ...]:
    """Conditions that the store can apply: it knows no use case ``(undeclared)``."""
    if query.undeclared_together and ("use_case", UNDECLARED) in query.where:
        return tuple(condition for condition in query.where if condition[0] != "use_case")
    return query.where


def select_undeclared(source: CellSource, query: Query, periods: Sequence[tuple[int, int]]) -> Query:
    """The query with the names of all undeclared use cases in place of the condition ``(undeclared)``."""
    if query.undeclared_together or ("use_case", UNDECLARED) not in query.where:
        return query
    names = [("use_case", name) for name in undeclared_use_cases(source, periods)]
    others = [condition for condition in query.where if condition != ("use_case", UNDECLARED)]
    return replace(query, where=(*others, *names)) if names else query


def _names_by_group(cells: CellTable, name: str, order: Ints, bounds: Sequence[int]) -> list[set[str]]:
    """Names of one column in each group of cells."""
    codes, texts = cells.codes(name)
    ordered_codes = codes[order].tolist()
    return [{texts[code] for code in set(ordered_codes[low:high])} for low, high in itertools.pairwise(bounds)]


def _sort_into_groups(cells: CellTable, query: Query, owner: list[int]) -> tuple[list[tuple[int, Names]], Ints, Ints]:
    """Groups in order, their cells one group after the other, and the start of each group."""
    columns = [cells.codes(name) for name in query.group]
    period = np.array(owner, dtype=np.int64)[cells.period]
    chosen = np.flatnonzero(_matching_cells(cells, query))
    key = combine_codes([(period, len(owner)), *((codes, len(texts)) for codes, texts in columns)])[chosen]
    ranked = np.argsort(key, kind="stable")
    order = chosen[ranked]
    starts = np.flatnonzero(np.diff(key[ranked], prepend=-1))
    places = [
        (int(period[first]), tuple(texts[int(codes[first])] for codes, texts in columns)) for first in order[starts].tolist()
    ]
    return places, order, starts


def _matching_cells(cells: CellTable, query: Query) -> NDArray[np.bool_]:
    """Mask of cells that match: values of one name are alternatives, names combine."""
    chosen = np.ones(len(cells), dtype=bool)
    for name, allowed in _allowed_values(query).items():
        codes, texts = cells.codes(name)
        chosen &= np.isin(codes, [number for number, text in enumerate(texts) if text in allowed])
    return chosen


def _allowed_values(query: Query) -> dict[str, set[str]]:
    allowed: dict[str, set[str]] = defaultdict(set)
    for name, value in query.where:
        allowed[name].add(value)
    return allowed


def _add_undeclared_use_cases(
    groups: dict[tuple[int, Names], Group], source: CellSource, query: Query, periods: list[tuple[int, int]]
) -> None:
    """Add undeclared use cases, which a flag names, to groups that sum use cases."""
    unknown = undeclared_use_cases(source, periods)
    if not unknown or not groups:
        return
    widened = replace(query, where=(*query.where, *(("use_case", name) for name in unknown)))
    columns = {name for name in query_columns(widened) if name in NAME_COLUMNS}
    cells = gather_cells(source, periods, columns, widened.where)
    keys, order, starts = _sort_into_groups(cells, widened, list(range(len(periods))))
    names = _names_by_group(cells, "use_case", order, [*starts.tolist(), len(order)])
    for key, use_cases in zip(keys, names, strict=True):
        groups[key].use_cases |= use_cases


def _gather_energy(
    source: CellSource, query: Query, periods: list[tuple[int, int]], wanted: set[str], *, together: bool
) -> tuple[CellTable, list[int]]:
    """Cells, and the requested period of each of their periods."""
    columns = {name for name in wanted if name in NAME_COLUMNS}
    if query.view == "active":
        cells = gather_cells(source, periods, {*columns, "use_case"}, _pushed_down(query), together=together)
        return cells, list(range(len(periods)))
    months = calendar_months(source, periods[0][0], periods[-1][1])
    pieces, owner = [], []
    for index, (start, end) in enumerate(periods):
        for month_span in split_by_period("month", start, end, source.config.timezone):
            pieces.append(month_span)
            owner.append(index)
    # Idle energy is divided within a service, so other services need not be read.
    services = tuple(condition for condition in query.where if condition[0] == "service")
    cells = gather_cells(source, pieces, {*columns, "use_case", "model", "charter"}, services)
    month = [month_index(months, start) for start, _ in pieces]
    return redistribute_idle(cells, month, month_weights(source, months, services)), owner


def _add_counts(groups: dict[tuple[int, Names], Group], query: Query, table: CountTable) -> None:
    """Add counts to the groups, each row by period, names and service."""
    not_counted = services_not_counted(query)
    service_codes, services = table.names["service"]
    chosen = np.array([service not in not_counted for service in services], dtype=bool)[service_codes]
    for name, allowed in _allowed_values(query).items():
        codes, texts = table.names[name]
        chosen &= np.array([text in allowed for text in texts], dtype=bool)[codes]
    names = {name: [texts[code] for code in codes.tolist()] for name, (codes, texts) in table.names.items()}
    counts = list(zip(*(table.counts[name] for name in COUNT_COLUMNS), strict=True))
    for row in np.flatnonzero(chosen).tolist():
        group = groups[int(table.period[row]), tuple(names[name][row] for name in query.group)]
        group.counts.append(counts[row])
        group.services.add(names["service"][row])
        group.use_cases.add(names["use_case"][row] if "use_case" in names else "")
