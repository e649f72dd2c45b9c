"""Query engine: energy, requests and impact by period and group, with bounds, coverage and quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import select

from footprint.attribution.row_columns import AMOUNTS, ENERGY_COLUMNS, IDLE_NAME, UNATTRIBUTED_NAME
from footprint.calendar.ranges import clip_to_data, split_by_period
from footprint.config import Config
from footprint.core.limits import MAX_AHEAD_US
from footprint.core.timestamps import format_instant
from footprint.core.units import UJ_PER_KWH, US_PER_DAY
from footprint.figures.coverage import CoverageIndex, build_coverage_index, coverage_state
from footprint.figures.energy_cells import CellSource
from footprint.figures.group_by import USE_CASE_COLUMNS, Group, Names, group_cells, query_columns, select_undeclared
from footprint.figures.metrics import GroupedMetrics
from footprint.figures.own_traffic import is_own_row, services_not_counted
from footprint.figures.query import COLUMNS, PLACE_COLUMNS, Query, check_bounds, check_period_count
from footprint.figures.row_metrics import IMPACTS, DeclaredNames, figures_from_sums, gap_allowance, requests_figures, row_flags
from footprint.impact.factor_book import FactorBook
from footprint.impact.uncertainty import UncertaintyBudget
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.ledger_view import LedgerView
from footprint.storage import schema
from footprint.storage.database import Store, table
from footprint.storage.shard_key import ShardKey

SENSOR_IN_DOUBT = "sensor-in-doubt"  # flag of rows


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Columns in order and rows by column; unknown values are None. ``notes`` are remarks for the reader."""

    columns: list[str]
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ResultSet:
    """Data behind the rows of a query; ``groups`` by period and names."""

    source: CellSource
    query: Query
    periods: list[tuple[int, int]]
    groups: dict[tuple[int, Names], Group]
    sums: GroupedMetrics | None
    declared: DeclaredNames
    coverage_index: CoverageIndex
    _times: dict[object, list[list[int]]] = field(default_factory=dict)

    @property
    def apart(self) -> bool:
        """Whether rows hold single use cases of a service."""
        return bool(query_columns(self.query) & USE_CASE_COLUMNS)

    def times(self, period: int, group: Group) -> tuple[int, int, int]:
        """(read, known, expected) device-µs of a row."""
        devices = frozenset(group.devices) if "device" in self.query.group else None
        key = frozenset(group.services), frozenset(group.hosts), devices  # all that _devices_of_row uses
        if key not in self._times:
            where = _devices_of_row(self.query, group, self.coverage_index)
            self._times[key] = self.coverage_index.measure_periods(where, self._spans)[:, :3].tolist()
        read, known, expected = self._times[key][period]
        return read, known, expected

    @property
    def _spans(self) -> list[tuple[int, int]]:
        return [(start_us, max(end_us, start_us + 1)) for start_us, end_us in self.periods]

    def states(self) -> dict[Names, list[str]]:
        """Coverage state of every period, by names of rows: measured, estimated, missing (in part), or unexpected."""
        named: dict[Names, Group] = defaultdict(Group)
        for (_, names), group in self.groups.items():
            named[names].services |= group.services
            named[names].hosts |= group.hosts
        states = {}
        for names, group in named.items():
            where = _devices_of_row(self.query, group, self.coverage_index)
            measured = self.coverage_index.measure_periods(where, self._spans)
            states[names] = [coverage_state(*times) for times in measured.tolist()]
        return states

    def budgets(self, group: Group) -> tuple[UncertaintyBudget, UncertaintyBudget]:
        """Uncertainty budgets of a row: energy [kWh] and emissions [g]."""
        if self.sums is None or group.number < 0:
            return UncertaintyBudget(), UncertaintyBudget()
        return self.sums.budgets(group.number)

    def grams(self, group: Group) -> float | None:
        """Location-based emissions of a row [g]; None if a factor is missing for some of its energy."""
        return self.sums.grams[group.number] if self.sums is not None and group.number >= 0 else 0.0

    def impact(self, group: Group, name: str) -> float | None:
        """An impact of a row beside location-based emissions, in the unit of its column; None where a factor is missing."""
        return self.sums.impacts()[name][group.number] if self.sums is not None and group.number >= 0 else 0.0

    def is_doubted(self, group: Group) -> bool:
        """Whether energy of a row rests on a sensor that its witness disputes."""
        if self.sums is None or group.number < 0:
            return False
        return any(self.sums.totals[group.number][name] for name in ("disputed_uj", "doubt_low_uj", "doubt_high_uj"))

    def witnessed(self, group: Group) -> tuple[float, float]:
        """Shares [1] of the IT energy of a row whose sensors a witness confirms and contradicts."""
        if self.sums is None or group.number < 0:
            return 0.0, 0.0
        totals = self.sums.totals[group.number]
        it_uj = max(totals["active_uj"] + totals["idle_uj"] + totals["host_uj"], 1)
        return totals["confirmed_uj"] / it_uj, totals["disputed_uj"] / it_uj

    def energy_uj(self, group: Group) -> int:
        """Energy of a row [µJ]."""
        if self.sums is None or group.number < 0:
            return 0
        return sum(self.sums.totals[group.number][name] for name in ENERGY_COLUMNS)


@contextmanager
def open_result(
    store: Store, config: Config, query: Query, now_us: int, book: FactorBook | None = None, *, by_slot: bool = False
) -> Iterator[ResultSet | None]:
    """Open the data behind a query on a snapshot of the store; None if the period is empty.

    ``by_slot`` keeps coverage within the periods, slot by slot.
    """
    check_bounds(query, config.timezone)
    with store.read() as connection:
        source = CellSource(LedgerView(store, connection), config, book or load_factor_book(store))
        extent = source.view.extent_us(services_not_counted(query), now_us + MAX_AHEAD_US)
        if extent is None:
            yield None
            return
        start_us = extent[0] if query.from_us is None else query.from_us
        # Ranges are half-open, except that a sample exactly at the end of the data closes the last period.
        end_us, closing = (extent[1], 1) if query.to_us is None else (query.to_us, 0)
        if start_us >= end_us + closing:
            yield None
            return
        start_us, end_us = clip_to_data(query.every, start_us, max(end_us, start_us + 1), extent, config.timezone)
        check_period_count(query.every, start_us, end_us)
        periods = split_by_period(query.every, start_us, end_us, config.timezone)
        summed = _periods_to_sum(source, periods, query)
        query = select_undeclared(source, query, summed)
        groups, sums = group_cells(source, query, summed)
        services_and_hosts: tuple[set[str], set[str]] | None = None
        if query.where and query_columns(query) & {"service", "host", "site", *USE_CASE_COLUMNS}:
            all_groups = groups.values()
            services_and_hosts = (
                set().union(*(group.services for group in all_groups)),
                set().union(*(group.hosts for group in all_groups)),
            )
        coverage_index = build_coverage_index(
            source, periods[0][0], periods[-1][1], summed, now_us, by_slot=by_slot, services_and_hosts=services_and_hosts
        )
        yield ResultSet(source, query, periods, groups, sums, DeclaredNames.of(config), coverage_index)


@dataclass(frozen=True, slots=True)
class BudgetedRow:
    """A row with its uncertainty: budgets of energy [kWh] and emissions [g], allowance for gaps [1], known time [µs].

    ``witnessed`` are the shares [1] of its IT energy whose sensors a witness confirms and contradicts.
    """

    period: int
    names: Names
    row: dict[str, Any]
    energy: UncertaintyBudget
    grams: UncertaintyBudget
    gap: float
    known_us: int
    group: Group
    witnessed: tuple[float, float] = (0.0, 0.0)


def budgeted_rows(result: ResultSet, *, budgeted: bool = True) -> list[BudgetedRow]:
    """Rows of a query by period and names, with their budgets; empty budgets unless ``budgeted``."""
    rows = []
    summed, open_days = _group_figures(result), _provisional_days(result.source)
    for (period, names), group in sorted(result.groups.items(), key=lambda item: item[0]):
        row = _row(result, period, group, summed, open_days)
        if row is not None:
            energy, grams = result.budgets(group) if budgeted else (UncertaintyBudget(), UncertaintyBudget())
            _, known, expected = result.times(period, group)
            rows.append(
                BudgetedRow(
                    period, names, row, energy, grams, gap_allowance(known, expected), known, group, result.witnessed(group)
                )
            )
    return rows


def run_query(store: Store, config: Config, query: Query, now_us: int, book: FactorBook | None = None) -> QueryResult:
    """Run a query.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    now_us : int
        The current instant [µs, UTC].
    book : FactorBook, optional
        Factors in use; default those of the store.

    Returns
    -------
    QueryResult
        Rows (docs/reference/contract.md, section 6): energies [kWh], emissions [g]; empty if the period is empty.
    """
    columns = [*query.group, *COLUMNS]
    with open_result(store, config, query, now_us, book) as result:
        if result is None:
            return QueryResult(columns, [])
        return QueryResult(columns, result_rows(result))


@dataclass(frozen=True, slots=True)
class Total:
    """Energy [kWh] and emissions [g] of a query without groups, with their budgets."""

    energy_kwh: float
    energy: UncertaintyBudget
    grams: float | None
    emitted: UncertaintyBudget


def query_total(store: Store, config: Config, query: Query, now_us: int) -> Total | None:
    """Total of a query without groups; None without data.

    Cached until a figure changes: a page asks for the figures of a query and for their budgets.
    """
    with open_result(store, config, query, now_us) as result:
        return None if result is None else _total(result)


def _total(result: ResultSet) -> Total | None:
    group = result.groups.get((0, ()))
    if group is None or group.number < 0:
        return None
    energy, emitted = result.budgets(group)
    return Total(result.energy_uj(group) / UJ_PER_KWH, energy, result.grams(group), emitted)


def result_rows(result: ResultSet) -> list[dict[str, Any]]:
    """Rows of a query, by names and period."""
    rows = []
    summed, open_days = _group_figures(result), _provisional_days(result.source)
    for (period, names), group in result.groups.items():
        row = _row(result, period, group, summed, open_days)
        if row is not None:
            named = dict(zip(result.query.group, names, strict=True))
            rows.append((names, result.periods[period][0], {**named, **row}))
    rows.sort(key=lambda row: row[:2])
    return [row for _, _, row in rows]


def _periods_to_sum(source: CellSource, periods: Sequence[tuple[int, int]], query: Query) -> list[tuple[int, int]]:
    """Periods to sum over; an open end extends to the end of its slot, where no data is."""
    grain = source.slot_us
    first, last = periods[0], periods[-1]
    extended = list(periods)
    if query.to_us is None:
        extended[-1] = last[0], last[1] + grain - last[1] % grain
    if query.from_us is None:
        extended[0] = first[0] - first[0] % grain, extended[0][1]
    return extended


def _provisional_days(source: CellSource) -> dict[str, list[int]]:
    """Days by host with provisional results."""
    target = table(schema.Shard)
    rows = source.view.connection.execute(select(target.c.members, target.c.day).where(target.c.provisional))
    days: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        key = ShardKey.parse(row.members)
        if key.kind == "host":
            days[key.name].append(row.day)
    return days


@dataclass(slots=True)
class _GroupFigures:
    """Figures of all groups with cells, by group number."""

    half: list[tuple[tuple[float, float], tuple[float, float]]]
    impacts: list[dict[str, float | None]]
    methods: list[set[str]]
    factors: list[set[str]]
    present: list[bool]


def _group_figures(result: ResultSet) -> _GroupFigures | None:
    sums = result.sums
    if sums is None:
        return None
    impacts = sums.impacts()
    by_group = [dict(zip(impacts, values, strict=True)) for values in zip(*impacts.values(), strict=True)]
    methods, factors = sums.texts(attrgetter("method_version")), sums.texts(attrgetter("factor_version"))
    return _GroupFigures(sums.half_widths(), by_group, methods, factors, sums.any_amount())


def _row_figures(
    result: ResultSet, group: Group, summed: _GroupFigures | None, times: tuple[int, int, int]
) -> tuple[bool, dict[str, Any]]:
    """Whether a row holds any energy, and its figures."""
    read, known, expected = times
    if summed is None or result.sums is None or group.number < 0:
        return False, _WITHOUT_ENERGY if read else {}
    number = group.number
    figures = figures_from_sums(
        result.sums.totals[number],
        result.sums.grams[number],
        summed.half[number],
        summed.impacts[number],
        (summed.methods[number], summed.factors[number]),
        gap_allowance(known, expected),
    )
    return summed.present[number], figures


_WITHOUT_ENERGY = figures_from_sums(
    dict.fromkeys(AMOUNTS, 0), 0.0, ((0.0, 0.0), (0.0, 0.0)), dict.fromkeys(IMPACTS, 0.0), (set(), set()), 0.0
)


def _row(
    result: ResultSet, period: int, group: Group, summed: _GroupFigures | None, open_days: dict[str, list[int]]
) -> dict[str, Any] | None:
    query = result.query
    start_us, end_us = result.periods[period]
    times = result.times(period, group)
    read, _, expected = times
    counted = requests_figures(group.counts)
    present, figures = _row_figures(result, group, summed, times)
    if not present and not any(counted.values()):  # tokens of a window may fall into a slot without a whole request
        return None
    split = not query_columns(query) & PLACE_COLUMNS
    first, last = start_us // US_PER_DAY, (max(end_us, start_us + 1) - 1) // US_PER_DAY
    provisional = any(first <= day <= last for host in group.hosts & open_days.keys() for day in open_days[host])
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"period_start": _format_instant_cached(start_us), "period_end": _format_instant_cached(end_us)}
    row |= counted if split else {}
    row |= figures
    is_overhead = group.use_cases <= {IDLE_NAME, UNATTRIBUTED_NAME}
    # SCI = (O + M) / R needs embodied emissions; without them it stays empty.
    parts = (row["co2e_location_g"], row["embodied_g"])
    if split and counted["requests"] and None not in parts and not is_overhead and not is_own_row(group.services):
        row["sci_g_per_request"] = sum(parts) / counted["requests"]
    row["coverage"] = min(read / expected, 1.0) if expected else None
    row["status"] = "provisional" if provisional else "final"
    raised = group.raised_flags | ({SENSOR_IN_DOUBT} if result.is_doubted(group) else set())
    row["flags"] = "+".join(row_flags(result.declared, raised, group.services, group.use_cases, group.hosts))
    return row


_format_instant_cached = lru_cache(maxsize=10_000)(format_instant)


def _devices_of_row(query: Query, group: Group, coverage_index: CoverageIndex) -> list[tuple[tuple[str, str], int, int]]:
    """(device, since, until) whose coverage applies to the row."""
    wanted = query_columns(query)
    if wanted & {"service", "use_case", "model", "charter"}:
        spans = coverage_index.of_services(sorted(group.services), group.hosts)
    else:
        spans = coverage_index.of_hosts(group.hosts if wanted & {"host", "site"} else None)
    if wanted & {"host", "site"}:
        spans = [item for item in spans if item[0][0] in group.hosts]
    if "device" in wanted:
        devices = group.devices
        named = [item for item in spans if item[0][1] in devices]
        spans = named or [item for item in spans if item[0][0] in group.hosts]
    return spans
