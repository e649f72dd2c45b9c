"""This file gives an answer as a role may see it: the only way in which figures reach a reader. Pure.

A row is shown if it is a cell of the protected table that may be shown, or a sum of such cells: a sum of shown cells tells
nothing new. All else keeps its names and its period and loses every figure. What the table has no cells for (a window below a
month, of totals too; a use case on a host) is refused, for by subtraction it could give a hidden cell away; a month that is
not over is hidden, for it would be such a window to who comes again. Which cells may be shown is decided in
``footprint.disclosure``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from footprint.access.roles import Role
from footprint.calendar.periods import MONTHS_PER_PERIOD, period_at
from footprint.core.timestamps import parse_instant
from footprint.figures.engine import QueryResult
from footprint.figures.query import PLACE_COLUMNS, BadQuery, Query

CONF_STATUS = "conf_status"  # SDMX CL_CONF_STATUS: F free, C confidential
FREE, CONFIDENTIAL = "F", "C"
_KEPT = ("period_start", "period_end", "method_version", "factor_version", "status")
_CALENDAR = ("month", "quarter", "year", "all")

Cell = tuple[str, str, str]  # period, service, use case; an empty name is the margin
CellPolicy = Callable[[str, str, str], bool]
Ask = Callable[[Query], QueryResult]


class AccessRefused(BadQuery):
    """A question for which the protected table has no cells; the message says what may be asked."""


def below_service(question: Query) -> bool:
    """Whether rows stand below service level."""
    return bool(_named(question) & {"use_case", "charter"})


def authorize_answer(question: Query, role: Role, ask: Ask, shows: CellPolicy, zone: ZoneInfo, over_us: int) -> QueryResult:
    """The answer to a question as a role may see it; ``shows`` says of a cell whether it may be shown.

    Protected figures are of months that ended by ``over_us``: who asks a running total again and again would see every day of it.

    Raises
    ------
    Refused
        If the role sees protected figures only and the protected table has no cells for the question.
    """
    if role.sees_uses or (role.sees_services and not below_service(question)):
        return ask(question)
    check(question, role, zone)
    answer = ask(question)
    hidden = _Table(question, ask, shows, zone).hidden
    rows = [
        _hide(question, row) if parse_instant(row["period_end"]) > over_us or hidden(row) else {**row, CONF_STATUS: FREE}
        for row in answer.rows
    ]
    return QueryResult([*answer.columns, CONF_STATUS], rows, answer.notes)


def check(question: Query, role: Role, zone: ZoneInfo) -> None:
    """Refuse what the protected table has no cells for.

    Raises
    ------
    Refused
        With what may be asked instead.
    """
    if role is Role.PUBLIC:
        raise AccessRefused("the public sees what is published: /api/v1/reports")
    named = _named(question)
    if named & PLACE_COLUMNS and not role.sees_services:
        raise AccessRefused("figures by host, device or site are not shown to this role; ask by service or use case")
    if named & PLACE_COLUMNS:
        raise AccessRefused("use cases are not shown by host, device or site; ask by service and use case")
    if question.every not in _CALENDAR:
        # A day on which one cell alone drew energy is that cell, in a service's total and in the organisation's.
        raise AccessRefused(f"protected figures are shown by calendar month, quarter or year, not by {question.every}")
    for bound in (question.from_us, question.to_us):
        if bound is not None and period_at(bound, zone, 1).bounds_us(zone)[0] != bound:
            raise AccessRefused("protected figures are shown for whole calendar months: from and to must be the first of a month")


def _named(question: Query) -> set[str]:
    return {*question.group, *(name for name, _ in question.where)}


def _hide(question: Query, row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value if name in (*question.group, *_KEPT) else None for name, value in row.items()}
    return {**kept, "flags": "", CONF_STATUS: CONFIDENTIAL}


@dataclass(frozen=True, slots=True)
class _Part:
    """A finest cell that rows are sums of; ``whole``: it is in one row, not divided over several models or statuses."""

    start_us: int
    names: dict[str, str]
    whole: bool


class _Table:
    """The rows of one question, as cells of the protected table."""

    def __init__(self, question: Query, ask: Ask, shows: CellPolicy, zone: ZoneInfo) -> None:
        self.question, self.ask, self.shows, self.zone = question, ask, shows, zone
        self.named = _named(question)
        self.dims = tuple(
            name for name, by in (("service", {"service", "model"}), ("use_case", {"use_case", "charter"})) if self.named & by
        )
        self.attributes = tuple(sorted(self.named & {"model", "charter"}))
        self.chosen: dict[str, set[str]] = {}
        for name, value in question.where:
            self.chosen.setdefault(name, set()).add(value)
        self.known: list[_Part] | None = None

    def hidden(self, row: dict[str, Any]) -> bool:
        """Whether a row may not be shown."""
        if not self.dims:
            return False  # the total of the organisation
        start_us, end_us = parse_instant(row["period_start"]), parse_instant(row["period_end"])
        period = self._period(start_us, end_us)
        exact = self._exact(row)
        if period and exact is not None:
            return not self.shows(period, *exact)
        # A service that changed its model has its quarter divided over two rows: such rows are sums of months.
        cells = list(self._cells(row, start_us, end_us, "" if self.attributes else period))
        return not cells or not all(whole and self.shows(*cell) for cell, whole in cells)

    def _period(self, start_us: int, end_us: int) -> str:
        """Name of the calendar period that a row is of; empty where the question cuts it."""
        every = self.question.every
        asked = self.question.from_us, self.question.to_us
        lengths = (
            MONTHS_PER_PERIOD.values() if every == "all" else [MONTHS_PER_PERIOD[every]] if every in MONTHS_PER_PERIOD else []
        )
        for length in lengths:
            period = period_at(start_us, self.zone, length)
            first_us, last_us = period.bounds_us(self.zone)
            if every == "all" and asked == (first_us, last_us):
                return str(period)
            cut = (asked[0] is not None and asked[0] > first_us) or (asked[1] is not None and asked[1] < last_us)
            if every != "all" and not cut and first_us <= start_us and end_us <= last_us:
                return str(period)
        return ""

    def _exact(self, row: dict[str, Any]) -> tuple[str, str] | None:
        """(service, use case) where a row is one cell by its names alone."""
        if self.attributes:
            return None
        found = []
        for name in ("service", "use_case"):
            chosen = self.chosen.get(name, set())
            if name not in self.question.group and len(chosen) > 1:
                return None
            found.append(row[name] if name in self.question.group else next(iter(chosen), ""))
        return found[0], found[1]

    def _cells(self, row: dict[str, Any], start_us: int, end_us: int, period: str) -> Iterable[tuple[Cell, bool]]:
        """The cells that a row is a sum of."""
        for part in self._parts():
            if not start_us <= part.start_us < max(end_us, start_us + 1):
                continue
            if all(part.names[name] == row[name] for name in self.question.group):
                names = part.names.get("service", ""), part.names.get("use_case", "")
                for month in [period] if period else self._months(part.start_us, end_us):
                    yield (month, *names), part.whole

    def _months(self, start_us: int, end_us: int) -> Iterable[str]:
        month = period_at(start_us, self.zone, 1)
        last_us = start_us + 1 if self._finer() == "month" else end_us
        while month.bounds_us(self.zone)[0] < last_us:
            yield str(month)
            month = month.shifted(1)

    def _finer(self) -> str:
        """Cells of a window that has no name are months; a service's days are parts of the months that they touch."""
        aligned = all(
            bound is None or period_at(bound, self.zone, 1).bounds_us(self.zone)[0] == bound
            for bound in (self.question.from_us, self.question.to_us)
        )
        return "month" if aligned and self.question.every in _CALENDAR else self.question.every

    def _parts(self) -> list[_Part]:
        if self.known is None:
            self.known = self._gather()
        return self.known

    def _gather(self) -> list[_Part]:
        asked = self.question
        where = tuple(pair for pair in asked.where if pair[0] in self.dims)
        group = (*self.dims, *self.attributes)
        rows = self.ask(Query(group, self._finer(), asked.from_us, asked.to_us, where, asked.view)).rows
        kinds: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for row in rows:
            cell = (row["period_start"], *(row[name] for name in self.dims))
            kinds.setdefault(cell, set()).add(tuple(row[name] for name in self.attributes))
        return [
            _Part(
                parse_instant(row["period_start"]),
                {name: row[name] for name in group},
                len(kinds[row["period_start"], *(row[name] for name in self.dims)]) == 1,
            )
            for row in rows
            if all(row[name] in self.chosen.get(name, {row[name]}) for name in self.attributes)
        ]
