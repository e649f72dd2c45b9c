"""Authorization of query results: masks or refuses figures by role. All figures reach a reader through it; pure.

A row is shown if it is a cell of the protected table that may be shown, or a sum of such cells, which reveals nothing new.
Any other row keeps its names and its period, and loses every figure. Queries that the table has no cells for (a window
below a month, also of totals; a use case on a host) are refused, because subtraction could reveal a hidden cell. A month
that is not over is hidden, because repeated queries would make it such a window. ``footprint.disclosure`` decides which
cells may be shown.

To a role that may not see names that the configuration does not declare, undeclared use cases are one use case, with one row,
one cell and no other name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from footprint.access.policy import Role, allows, decide
from footprint.calendar.periods import MONTHS_PER_PERIOD, period_at
from footprint.core.timestamps import parse_instant
from footprint.figures.engine import QueryResult
from footprint.figures.query import PLACE_COLUMNS, BadQuery, Query

CONF_STATUS = "conf_status"  # SDMX CL_CONF_STATUS: F free, C confidential
FREE, CONFIDENTIAL = "F", "C"
_VISIBLE_COLUMNS = ("period_start", "period_end", "method_version", "factor_version", "status")
_CALENDAR_PERIODS = ("month", "quarter", "year", "all")

Cell = tuple[str, str, str]  # period, service, use case; an empty name is the margin
CellPolicy = Callable[[str, str, str], bool]
RunQuery = Callable[[Query], QueryResult]


class AccessRefused(BadQuery):
    """A query for which the protected table has no cells; the message names the allowed queries."""


def is_below_service_level(query: Query) -> bool:
    """Whether the rows of a query are below service level."""
    return bool(_dimensions_of(query) & {"use_case", "charter"})


def authorize_answer(
    query: Query, role: Role, run: RunQuery, is_shown: CellPolicy, zone: ZoneInfo, closed_until_us: int
) -> QueryResult:
    """Run a query and mask its result for a role; ``is_shown`` tells whether a cell may be shown.

    Protected figures cover months that ended by ``closed_until_us``: repeated queries of a running total would reveal
    single days.

    Raises
    ------
    AccessRefused
        If the role sees protected figures only, and the protected table has no cells for the query.
    """
    query = replace(query, undeclared_together=not allows(role, "names:undeclared_use_case"))
    if role.sees_uses or (role.sees_services and not is_below_service_level(query)):
        return run(query)
    check_query(query, role, zone)
    result = run(query)
    hidden = _ProtectedRows(query, run, is_shown, zone).is_hidden
    rows = [
        _mask(query, row) if parse_instant(row["period_end"]) > closed_until_us or hidden(row) else {**row, CONF_STATUS: FREE}
        for row in result.rows
    ]
    return QueryResult([*result.columns, CONF_STATUS], rows, result.notes)


def check_query(query: Query, role: Role, zone: ZoneInfo) -> None:
    """Check that the protected table has cells for a query.

    Raises
    ------
    AccessRefused
        If it has none; the message names the allowed queries.
    """
    if not decide(role, "figures:protected"):
        raise AccessRefused("figures for the public are in the published editions: /api/v1/reports")
    dimensions = _dimensions_of(query)
    if dimensions & PLACE_COLUMNS and not role.sees_services:
        raise AccessRefused("figures by host, device or site are not shown to this role; ask by service or use case")
    if dimensions & PLACE_COLUMNS:
        raise AccessRefused("use cases are not shown by host, device or site; ask by service and use case")
    if query.every not in _CALENDAR_PERIODS:
        # On a day when only one cell drew energy, the totals of its service and of the organisation equal that cell.
        raise AccessRefused(f"protected figures are shown by calendar month, quarter or year, not by {query.every}")
    for bound_us in (query.from_us, query.to_us):
        if bound_us is not None and period_at(bound_us, zone, 1).bounds_us(zone)[0] != bound_us:
            raise AccessRefused("protected figures are shown for whole calendar months: from and to must be the first of a month")


def _dimensions_of(query: Query) -> set[str]:
    return {*query.group, *(name for name, _ in query.where)}


def _mask(query: Query, row: dict[str, Any]) -> dict[str, Any]:
    masked = {name: value if name in (*query.group, *_VISIBLE_COLUMNS) else None for name, value in row.items()}
    return {**masked, "flags": "", CONF_STATUS: CONFIDENTIAL}


@dataclass(frozen=True, slots=True)
class _FinestCell:
    """Finest cell that rows are sums of; ``in_one_row``: not divided over several models or statuses."""

    start_us: int
    names: dict[str, str]
    in_one_row: bool


class _ProtectedRows:
    """Rows of one query, as cells of the protected table."""

    def __init__(self, query: Query, run: RunQuery, is_shown: CellPolicy, zone: ZoneInfo) -> None:
        self.query, self.run, self.is_shown, self.zone = query, run, is_shown, zone
        self.named = _dimensions_of(query)
        self.dimensions = tuple(
            name
            for name, implied_by in (("service", {"service", "model"}), ("use_case", {"use_case", "charter"}))
            if self.named & implied_by
        )
        self.attributes = tuple(sorted(self.named & {"model", "charter"}))
        self.selected: dict[str, set[str]] = {}
        for name, value in query.where:
            self.selected.setdefault(name, set()).add(value)
        self.finest_cells: list[_FinestCell] | None = None

    def is_hidden(self, row: dict[str, Any]) -> bool:
        """Whether a row may not be shown."""
        if not self.dimensions:
            return False  # the total of the organisation
        start_us, end_us = parse_instant(row["period_start"]), parse_instant(row["period_end"])
        period = self._period_name(start_us, end_us)
        exact_cell = self._exact_cell(row)
        if period and exact_cell is not None:
            return not self.is_shown(period, *exact_cell)
        # The quarter of a service that changed its model is divided over two rows, which are sums of months.
        cells = list(self._cells(row, start_us, end_us, "" if self.attributes else period))
        return not cells or not all(in_one_row and self.is_shown(*cell) for cell, in_one_row in cells)

    def _period_name(self, start_us: int, end_us: int) -> str:
        """Name of the calendar period of a row; empty if the bounds of the query cut it."""
        every = self.query.every
        bounds_us = self.query.from_us, self.query.to_us
        lengths = (
            MONTHS_PER_PERIOD.values() if every == "all" else [MONTHS_PER_PERIOD[every]] if every in MONTHS_PER_PERIOD else []
        )
        for length in lengths:
            period = period_at(start_us, self.zone, length)
            first_us, last_us = period.bounds_us(self.zone)
            if every == "all" and bounds_us == (first_us, last_us):
                return str(period)
            is_cut = (bounds_us[0] is not None and bounds_us[0] > first_us) or (
                bounds_us[1] is not None and bounds_us[1] < last_us
            )
            if every != "all" and not is_cut and first_us <= start_us and end_us <= last_us:
                return str(period)
        return ""

    def _exact_cell(self, row: dict[str, Any]) -> tuple[str, str] | None:
        """(service, use case) if the names of a row identify one cell; else None."""
        if self.attributes:
            return None
        names = []
        for name in ("service", "use_case"):
            values = self.selected.get(name, set())
            if name not in self.query.group and len(values) > 1:
                return None
            names.append(row[name] if name in self.query.group else next(iter(values), ""))
        return names[0], names[1]

    def _cells(self, row: dict[str, Any], start_us: int, end_us: int, period: str) -> Iterable[tuple[Cell, bool]]:
        """Cells that a row is a sum of, each with whether one row holds all of it."""
        for cell in self._load_finest_cells():
            if not start_us <= cell.start_us < max(end_us, start_us + 1):
                continue
            if all(cell.names[name] == row[name] for name in self.query.group):
                names = cell.names.get("service", ""), cell.names.get("use_case", "")
                for month in [period] if period else self._month_names(cell.start_us, end_us):
                    yield (month, *names), cell.in_one_row

    def _month_names(self, start_us: int, end_us: int) -> Iterable[str]:
        month = period_at(start_us, self.zone, 1)
        last_us = start_us + 1 if self._cell_period() == "month" else end_us
        while month.bounds_us(self.zone)[0] < last_us:
            yield str(month)
            month = month.shifted(1)

    def _cell_period(self) -> str:
        """Period of the finest cells: months for aligned bounds; else the query's own, each belonging to its months."""
        is_aligned = all(
            bound_us is None or period_at(bound_us, self.zone, 1).bounds_us(self.zone)[0] == bound_us
            for bound_us in (self.query.from_us, self.query.to_us)
        )
        return "month" if is_aligned and self.query.every in _CALENDAR_PERIODS else self.query.every

    def _load_finest_cells(self) -> list[_FinestCell]:
        if self.finest_cells is None:
            self.finest_cells = self._query_finest_cells()
        return self.finest_cells

    def _query_finest_cells(self) -> list[_FinestCell]:
        query = self.query
        where = tuple(pair for pair in query.where if pair[0] in self.dimensions)
        group = (*self.dimensions, *self.attributes)
        finest = replace(
            Query(group, self._cell_period(), query.from_us, query.to_us, where, query.view), undeclared_together=True
        )
        rows = self.run(finest).rows
        attributes_of: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for row in rows:
            cell = (row["period_start"], *(row[name] for name in self.dimensions))
            attributes_of.setdefault(cell, set()).add(tuple(row[name] for name in self.attributes))
        return [
            _FinestCell(
                parse_instant(row["period_start"]),
                {name: row[name] for name in group},
                len(attributes_of[row["period_start"], *(row[name] for name in self.dimensions)]) == 1,
            )
            for row in rows
            if all(row[name] in self.selected.get(name, {row[name]}) for name in self.attributes)
        ]
