"""This file answers a question: energy, requests and impact by period and group, with bounds, coverage and quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import select

from footprint.aggregation.host_day import grain_us
from footprint.aggregation.result_writer import data_version
from footprint.attribution.shard import ENERGY_COLUMNS, IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.ranges import split_by_period
from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import UJ_PER_KWH, US_PER_DAY
from footprint.figures.coverage import CoverageIndex, build_coverage_index, coverage_state
from footprint.figures.energy_cells import CellSource
from footprint.figures.group_by import USES, Group, Names, columns_of, groups_of
from footprint.figures.metrics import GroupedMetrics
from footprint.figures.query import COLUMNS, PLACES, Query
from footprint.figures.row_metrics import (
    DeclaredParameters,
    budgets,
    energy_figures,
    flags_of,
    gap_allowance,
    requests_figures,
    summed_figures,
)
from footprint.impact.factor_book import FactorBook
from footprint.impact.uncertainty import UncertaintyBudget
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.ledger_view import LedgerView
from footprint.storage import schema
from footprint.storage.database import Store, table


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Columns in order, rows by column; what nobody knows is None. ``notes`` say what a reader must know of it."""

    columns: list[str]
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ResultSet:
    """Everything that the rows of a question are made of; ``groups`` by period and names."""

    source: CellSource
    question: Query
    periods: list[tuple[int, int]]
    groups: dict[tuple[int, Names], Group]
    sums: GroupedMetrics | None
    declared: DeclaredParameters
    watched: CoverageIndex
    _times: dict[object, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def apart(self) -> bool:
        """Whether rows hold some use cases of a service and not others."""
        return bool(columns_of(self.question) & USES)

    def times(self, period: int, group: Group) -> tuple[int, int, int]:
        """(read, known, expected) device-µs of a row."""
        start_us, end_us = self.periods[period]
        devices = frozenset(group.devices) if "device" in self.question.group else None
        place = period, frozenset(group.services), frozenset(group.hosts), devices  # all that _where looks at
        if place not in self._times:
            where = _where(self.question, group, self.watched)
            self._times[place] = self.watched.measure(where, start_us, max(end_us, start_us + 1))
        return self._times[place]

    def states(self) -> dict[Names, list[str]]:
        """What the devices' time was in every period, by names of rows: measured, in part estimated or missing, not expected."""
        named: dict[Names, Group] = defaultdict(Group)
        for (_, names), group in self.groups.items():
            named[names].services |= group.services
            named[names].hosts |= group.hosts
        found = {}
        for names, group in named.items():
            where = _where(self.question, group, self.watched)
            spans = [(start_us, max(end_us, start_us + 1)) for start_us, end_us in self.periods]
            found[names] = [
                coverage_state(*self.watched.measure(where, *span), self.watched.modelled(where, *span)) for span in spans
            ]
        return found

    def budgets(self, group: Group) -> tuple[UncertaintyBudget, UncertaintyBudget]:
        """The uncertainty budgets of a row: of its energy [kWh] and of its emissions [g]."""
        if self.sums is not None and group.number >= 0:
            return self.sums.budgets(group.number)
        energy, emitted, _ = budgets(group.cells, apart=self.apart)
        return energy, emitted

    def grams(self, group: Group) -> float | None:
        """Location-based emissions of a row [g]; None where a factor is missing for some of its energy."""
        if self.sums is not None and group.number >= 0:
            return self.sums.grams[group.number]
        return budgets(group.cells, apart=self.apart)[2]

    def energy_uj(self, group: Group) -> int:
        """Energy of a row [µJ]."""
        if self.sums is not None and group.number >= 0:
            return sum(self.sums.totals[group.number][name] for name in ENERGY_COLUMNS)
        return sum(sum(amounts[: len(ENERGY_COLUMNS)]) for _, amounts in group.cells)


@contextmanager
def open_result(
    store: Store, config: Config, question: Query, now_us: int, book: FactorBook | None = None, *, by_slot: bool = False
) -> Iterator[ResultSet | None]:
    """What the rows of a question are made of, as the store is at one moment; None where the period holds nothing.

    ``by_slot``: coverage is to be looked at within the periods too, slot by slot.
    """
    with store.read() as connection:
        source = CellSource(LedgerView(store, connection), config, book or load_factor_book(store))
        extent = source.view.extent_us()
        if extent is None:
            yield None
            return
        start_us = extent[0] if question.from_us is None else question.from_us
        # Half-open, and yet the last instant counts: what ends there belongs to the period that it closes.
        end_us, closing = (extent[1], 1) if question.to_us is None else (question.to_us, 0)
        if start_us >= end_us + closing:
            yield None
            return
        periods = split_by_period(question.every, start_us, max(end_us, start_us + 1), config.timezone)
        summed = _stretched(source, periods, question)
        groups, sums = groups_of(source, question, summed)
        told: tuple[set[str], set[str]] | None = None
        if question.where and columns_of(question) & {"service", "host", "site", *USES}:
            every = groups.values()
            told = set().union(*(each.services for each in every)), set().union(*(each.hosts for each in every))
        watched = build_coverage_index(source, periods[0][0], periods[-1][1], summed, now_us, by_slot=by_slot, of=told)
        yield ResultSet(source, question, periods, groups, sums, DeclaredParameters.of(config), watched)


@dataclass(frozen=True, slots=True)
class BudgetedRow:
    """A row with what makes it uncertain: budgets of energy [kWh] and emissions [g], the allowance for gaps, time known [µs]."""

    period: int
    names: Names
    row: dict[str, Any]
    energy: UncertaintyBudget
    grams: UncertaintyBudget
    gap: float
    known_us: int
    group: Group


def budgeted_rows(found: ResultSet, *, budgeted: bool = True) -> list[BudgetedRow]:
    """The rows of a question by period and names, each with its budgets: empty ones where nobody looks at them."""
    rows = []
    summed, open_days = _summed(found), _open_days(found.source)
    for (period, names), group in sorted(found.groups.items(), key=lambda item: item[0]):
        row = _row(found, period, group, summed, open_days)
        if row is not None:
            energy, grams = found.budgets(group) if budgeted else (UncertaintyBudget(), UncertaintyBudget())
            _, known, expected = found.times(period, group)
            rows.append(BudgetedRow(period, names, row, energy, grams, gap_allowance(known, expected), known, group))
    return rows


def run_query(store: Store, config: Config, question: Query, now_us: int, book: FactorBook | None = None) -> QueryResult:
    """Rows of the contract's section 6; none where the period holds nothing."""
    columns = [*question.group, *COLUMNS]
    with open_result(store, config, question, now_us, book) as found:
        if found is None:
            return QueryResult(columns, [])
        if not question.group and question.every == "all":
            _total(found)
        return QueryResult(columns, rows_of(found))


@dataclass(frozen=True, slots=True)
class Total:
    """Energy [kWh] and emissions [g] of a question without groups, with their budgets."""

    energy_kwh: float
    energy: UncertaintyBudget
    grams: float | None
    emitted: UncertaintyBudget


def total_of(store: Store, config: Config, question: Query, now_us: int) -> Total | None:
    """The total of a question without groups; None where there is none.

    What was told once holds while no row changed: a page asks for the figures of a question and for their budgets.
    """
    with store.read() as connection:
        known = _totals.get(store, {}).get(question)
        if known is not None and known[0] == data_version(connection) and known[1] is config:
            return known[2]
    with open_result(store, config, question, now_us) as found:
        return None if found is None else _total(found)


_totals: WeakKeyDictionary[Store, dict[Query, tuple[str, Config, Total | None]]] = WeakKeyDictionary()
_KEPT = 256


def _total(found: ResultSet) -> Total | None:
    """The total, kept where it rests on stored rows alone."""
    question, source = found.question, found.source
    group = found.groups.get((0, ()))
    total = None
    if group is not None and group.number >= 0:
        energy, emitted = found.budgets(group)
        total = Total(found.energy_uj(group) / UJ_PER_KWH, energy, found.grams(group), emitted)
    edges = (question.from_us, question.to_us)
    if all(edge is None or edge % grain_us(source.config) == 0 for edge in edges):
        kept = _totals.setdefault(source.view.store, {})
        if len(kept) >= _KEPT:
            kept.clear()
        kept[question] = data_version(source.view.connection), source.config, total
    return total


def rows_of(found: ResultSet) -> list[dict[str, Any]]:
    """The rows of a question, by names and period."""
    rows = []
    summed, open_days = _summed(found), _open_days(found.source)
    for (period, names), group in found.groups.items():
        row = _row(found, period, group, summed, open_days)
        if row is not None:
            named = dict(zip(found.question.group, names, strict=True))
            rows.append((names, found.periods[period][0], {**named, **row}))
    rows.sort(key=lambda row: row[:2])
    return [row for _, _, row in rows]


def _stretched(source: CellSource, periods: Sequence[tuple[int, int]], question: Query) -> list[tuple[int, int]]:
    """Periods to sum over: an end that nobody asked for reaches to the end of its slot, where no data is."""
    grain = grain_us(source.config)
    first, last = periods[0], periods[-1]
    found = list(periods)
    if question.to_us is None:
        found[-1] = last[0], last[1] + grain - last[1] % grain
    if question.from_us is None:
        found[0] = first[0] - first[0] % grain, found[0][1]
    return found


def _open_days(source: CellSource) -> dict[str, list[int]]:
    """Days by host that were computed provisionally."""
    target = table(schema.Shard)
    rows = source.view.connection.execute(select(target.c.members, target.c.day).where(target.c.provisional))
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        kind, _, name = row.members.partition(" ")
        if kind == "host":
            found[name].append(row.day)
    return found


@dataclass(slots=True)
class _Summed:
    """Figures of all groups with cells, by their number."""

    half: list[tuple[tuple[float, float], tuple[float, float]]]
    impacts: list[dict[str, float | None]]
    methods: list[set[str]]
    factors: list[set[str]]
    present: list[bool]


def _summed(found: ResultSet) -> _Summed | None:
    sums = found.sums
    if sums is None:
        return None
    impacts = sums.impacts()
    by_group = [dict(zip(impacts, values, strict=True)) for values in zip(*impacts.values(), strict=True)]
    methods, factors = sums.texts(attrgetter("method_version")), sums.texts(attrgetter("factor_version"))
    return _Summed(sums.half_widths(), by_group, methods, factors, sums.any_amount())


def _figures(found: ResultSet, group: Group, summed: _Summed | None, times: tuple[int, int, int]) -> tuple[bool, dict[str, Any]]:
    """Whether a row holds any energy, and the figures of it."""
    read, known, expected = times
    if summed is None or found.sums is None or group.number < 0:
        cells = group.cells
        figures = energy_figures(cells, found.source.config, known=known, expected=expected, read=read, apart=found.apart)
        return any(any(amounts) for _, amounts in cells), figures
    number = group.number
    figures = summed_figures(
        found.sums.totals[number],
        found.sums.grams[number],
        summed.half[number],
        summed.impacts[number],
        (summed.methods[number], summed.factors[number]),
        gap_allowance(known, expected),
    )
    return summed.present[number], figures


def _row(
    found: ResultSet, period: int, group: Group, summed: _Summed | None, open_days: dict[str, list[int]]
) -> dict[str, Any] | None:
    question = found.question
    start_us, end_us = found.periods[period]
    times = found.times(period, group)
    read, _, expected = times
    counted = requests_figures([amounts for _, amounts in group.counts])
    present, figures = _figures(found, group, summed, times)
    if not present and not counted["requests"]:
        return None
    split = not columns_of(question) & PLACES
    first, last = start_us // US_PER_DAY, (max(end_us, start_us + 1) - 1) // US_PER_DAY
    provisional = any(first <= day <= last for host in group.hosts & open_days.keys() for day in open_days[host])
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"period_start": _written(start_us), "period_end": _written(end_us)}
    row |= counted if split else {}
    row |= figures
    kept = group.use_cases <= {IDLE_NAME, UNATTRIBUTED_NAME}
    # SCI = (O + M) / R: without embodied emissions it would not be one, and is left empty.
    parts = (row["co2e_location_g"], row["embodied_g"])
    if split and counted["requests"] and None not in parts and not kept:
        row["sci_g_per_request"] = sum(parts) / counted["requests"]
    row["coverage"] = min(read / expected, 1.0) if expected else None
    row["status"] = "provisional" if provisional else "final"
    row["flags"] = "+".join(flags_of(found.declared, group.raised, group.services, group.use_cases, group.hosts))
    return row


_written = lru_cache(maxsize=10_000)(format_instant)


def _where(question: Query, group: Group, watched: CoverageIndex) -> list[tuple[tuple[str, str], int, int]]:
    """The devices whose coverage is the row's."""
    wanted = columns_of(question)
    if wanted & {"service", "use_case", "model", "charter"}:
        found = watched.of_services(sorted(group.services), group.hosts)
    else:
        found = watched.of_hosts(group.hosts if wanted & {"host", "site"} else None)
    if wanted & {"host", "site"}:
        found = [item for item in found if item[0][0] in group.hosts]
    if "device" in wanted:
        devices = group.devices
        named = [item for item in found if item[0][1] in devices]
        found = named or [item for item in found if item[0][0] in group.hosts]
    return found
