"""This file asks the ledger all that an edition needs to know, in few questions; what comes after it is arithmetic and words."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from footprint.calendar.periods import Period, parse_period, period_at
from footprint.calendar.ranges import split_by_period
from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_DAY, US_PER_HOUR
from footprint.editions.coverage import coverage_report
from footprint.editions.edition_data import (
    MAX_RANKED_USE_CASES,
    RESERVED_NAMES,
    CoverageReport,
    EditionData,
    IndicatorRow,
    RowsByGroup,
)
from footprint.editions.release_context import ReleaseContext
from footprint.figures.engine import BudgetedRow, budgeted_rows, open_result
from footprint.figures.query import BadQuery, Query
from footprint.impact.factor_book import FactorBook
from footprint.ledger.factor_store import load_factor_book
from footprint.queries.comparison import Comparison, ComparisonSide, NotComparable, accelerator_models, compare_sides
from footprint.queries.energy_balance import energy_balance
from footprint.queries.hourly_emissions import hourly_emissions
from footprint.queries.objectives import objective_statuses
from footprint.queries.sensitivity import sensitivity
from footprint.storage import schema
from footprint.storage.database import Store, table

TREND_MONTHS = 24
CHARTER_QUARTERS = 5


class NoData(FootprintError):
    """A period of which the ledger holds nothing."""


class EditionQueries:
    """Questions of one edition; ``query_count`` counts them."""

    def __init__(self, store: Store, config: Config, book: FactorBook, now_us: int) -> None:
        self.store, self.config, self.book, self.now_us = store, config, book, now_us
        self.query_count = 0

    def rows(
        self, group: tuple[str, ...], every: str, from_us: int, to_us: int, where: tuple[tuple[str, str], ...] = ()
    ) -> dict[str, RowsByGroup]:
        """Rows by period name and group; none where the ledger holds nothing."""
        self.query_count += 1
        found: dict[str, dict[tuple[str, ...], IndicatorRow]] = {}
        question = Query(group=group, every=every, from_us=from_us, to_us=to_us, where=where)
        length = {"month": 1, "quarter": 3, "year": 12}[every]
        with open_result(self.store, self.config, question, self.now_us, self.book) as all_:
            if all_ is None:
                return {}
            for each in budgeted_rows(all_):
                name = str(period_at(all_.periods[each.period][0], self.config.timezone, length))
                found.setdefault(name, {})[each.names] = _asked(each)
        return dict(found)

    def coverage(self, start_us: int, end_us: int) -> CoverageReport:
        """What was read, by day and site."""
        self.query_count += 1
        zone = self.config.timezone
        question = Query(group=("host",), from_us=start_us, to_us=end_us)
        with open_result(self.store, self.config, question, self.now_us, self.book, by_slot=True) as found:
            if found is None:
                return CoverageReport()
            days = [
                (to_datetime(start).astimezone(zone).date().isoformat(), start, end)
                for start, end in split_by_period("day", start_us, end_us, zone)
            ]
            hosts = {host for host, _ in found.coverage_index.devices}
            sites = {host: self.config.host_at(host, end_us - 1).site for host in hosts}
            return coverage_report(found.coverage_index, days, sites)


def _asked(each: BudgetedRow) -> IndicatorRow:
    return IndicatorRow(each.row, each.energy, each.grams, each.gap, each.known_us / US_PER_HOUR)


def collect_data(
    store: Store, config: Config, context: ReleaseContext, now_us: int, book: FactorBook | None = None
) -> EditionData:
    """The facts of the edition of ``context.period``.

    Raises
    ------
    NoData
        If the ledger holds nothing of the period.
    """
    period = parse_period(context.period)
    start, end = period.bounds_us(config.timezone)
    held = book or load_factor_book(store)
    queries = EditionQueries(store, config, held, end if now_us >= end else now_us)
    kind = {1: "month", 3: "quarter", 12: "year"}[period.length]
    since = _since(period, config)
    whole = queries.rows((), kind, since, end)
    if not whole.get(str(period), {}).get(()) or whole[str(period)][()].row["energy_kwh"] is None:
        raise NoData(f"no data in {period}; `footprint import list` shows what there is, `footprint aggregate` computes it")
    months_from = period.split(1)[-1].shifted(1 - TREND_MONTHS).bounds_us(config.timezone)[0]
    months = queries.rows((), "month", months_from, end)
    before = period.shifted(-1).bounds_us(config.timezone)[0]
    uses = queries.rows(("use_case",), kind, since, end)
    data = EditionData(
        config=config,
        context=context,
        period=period,
        totals={name: rows[()] for name, rows in whole.items() if () in rows and _told(rows[()])},
        months={name: rows[()] for name, rows in months.items() if () in rows and _told(rows[()])},
        uses=uses,
        services=queries.rows(("service",), kind, before, end),
        charters=queries.rows(("charter",), kind, since, end),
        models=queries.rows(("model",), kind, start, end).get(str(period), {}),
        pairs=queries.rows(("service", "use_case"), kind, before, end),
        coverage=queries.coverage(start, end),
        closure=tuple(energy_balance(store, config, start, end, held)),
        sensitivity=tuple(sensitivity(store, config, Query(from_us=start, to_us=end), queries.now_us)),
        comparisons=tuple(_comparisons(queries, start, end)),
        hourly=_hourly(store, config, period, kind),
        factors=tuple(_factors(held, config, whole[str(period)][()])),
        heads=sealed_day_heads(store, start, end, context.cut_us),
        inputs=inputs_fingerprint(store, start, end),
        ledger=store_identity(store),
        objectives=tuple(objective_statuses(store, config, queries.now_us, period, context.objectives)),
    )
    behind = tuple(data.ranked_use_cases()[MAX_RANKED_USE_CASES:])
    if len(behind) > 1:
        together = queries.rows((), kind, start, end, tuple(("use_case", name) for name in behind))
        data = replace(data, other_uses=(behind, together.get(str(period), {}).get(())))
    return data


def _told(indicators: IndicatorRow) -> bool:
    return indicators.row["energy_kwh"] is not None


def _since(period: Period, config: Config) -> int:
    """The same period of the year before, or five periods back: whichever is earlier."""
    return min(period.year_before(), period.shifted(1 - CHARTER_QUARTERS)).bounds_us(config.timezone)[0]


def _hourly(store: Store, config: Config, period: Period, kind: str) -> dict[str, float]:
    """Emissions by the hour of this period and the one before, from the first series that knows both."""
    start, end = period.shifted(-1).bounds_us(config.timezone)[0], period.bounds_us(config.timezone)[1]
    for series in _series(store):
        try:
            rows = hourly_emissions(store, config, Query(every=kind, from_us=start, to_us=end), series)
        except BadQuery:  # a marginal series says when to run, not what was emitted
            continue
        if len(rows) == 2 and all(row["mean_g_per_kwh"] is not None for row in rows):
            return {str(period.shifted(-1)): rows[0]["mean_g_per_kwh"], str(period): rows[1]["mean_g_per_kwh"]}
    return {}


def _series(store: Store) -> list[str]:
    with store.read() as connection:
        return sorted(str(row[0]) for row in connection.execute(select(table(schema.Intensity).c.series).distinct()))


def _factors(book: FactorBook, config: Config, now: IndicatorRow) -> Iterable[Any]:
    """The rows of the book that the period's figures rest on, once each."""
    wanted = set(now.grams.causes())
    for factor in book.factors:
        if f"factor {factor.kind}/{factor.where}/{factor.valid_from}" in wanted and factor.bundle in now.row["factor_version"]:
            yield factor


def _comparisons(queries: EditionQueries, start: int, end: int) -> Iterable[Mapping[str, Any]]:
    """For uses that several models serve: the one with most requests against the one that needs least energy a request.

    Equal conditions only: what differs in machines, method or mix of tokens is not compared.
    """
    sides: dict[str, dict[str, ComparisonSide]] = {}
    queries.query_count += 1
    question = Query(group=("use_case", "model"), from_us=start, to_us=end)
    with open_result(queries.store, queries.config, question, queries.now_us, queries.book) as found:
        if found is None:
            return
        for each in budgeted_rows(found):
            (use_case, model), row = each.names, each.row
            if model and not {use_case, model} & {*RESERVED_NAMES} and row["requests"] and (row["energy_kwh"] or 0) > 0:
                budget = row["energy_kwh"], each.energy
                sides.setdefault(use_case, {})[model] = ComparisonSide(row, budget, accelerator_models(each.group.cells))
    for use_case, models in sorted(sides.items()):
        current = max(sorted(models), key=lambda name: models[name].row["requests"])
        better = list(_better(models, current))
        if better:
            best = min(better, key=lambda each: each.ratio.value)
            yield {
                "use_case": use_case,
                "current": best.a,
                "best": best.b,
                "current_wh": best.a_wh,
                "best_wh": best.b_wh,
                "ratio": best.ratio,
                "n": min(models[best.a].row["requests"], models[best.b].row["requests"]),
            }


def _better(models: Mapping[str, ComparisonSide], current: str) -> Iterable[Comparison]:
    for other in sorted(set(models) - {current}):
        try:
            found = compare_sides(models[current], models[other], (current, other))
        except NotComparable:
            continue
        if found.ratio.value < 1:
            yield found


def sealed_day_heads(store: Store, start_us: int, end_us: int, cut_us: int) -> tuple[tuple[str, str], ...]:
    """(day, digest over the chains' links of that day) of the sealed days of a period, as they were at an instant."""
    target = table(schema.Sealed)
    inside = (target.c.day >= start_us // US_PER_DAY) & (target.c.day <= (end_us - 1) // US_PER_DAY)
    with store.read() as connection:
        rows = connection.execute(
            select(target.c.day, target.c.source, target.c.seq, target.c.link).where(inside, target.c.sealed_us <= cut_us)
        ).all()
    days: dict[int, list[tuple[str, int, str]]] = {}
    for row in rows:
        if row.source != "events":  # what was done to the ledger is no reading
            days.setdefault(int(row.day), []).append((row.source, int(row.seq), row.link))
    epoch = datetime.date(1970, 1, 1)
    return tuple(
        ((epoch + datetime.timedelta(days=day)).isoformat(), hashlib.sha256(repr(sorted(links)).encode()).hexdigest())
        for day, links in sorted(days.items())
    )


def inputs_fingerprint(store: Store, start_us: int, end_us: int) -> str:
    """The same for stores in which the days of a period were computed from the same readings, requests, facts and factors."""
    target = table(schema.Shard)
    inside = (target.c.day >= start_us // US_PER_DAY) & (target.c.day <= (end_us - 1) // US_PER_DAY)
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(select(target.c.members, target.c.day, target.c.fingerprint).where(inside)).all()
    marks = sorted((row.members, int(row.day), row.fingerprint) for row in rows)
    return hashlib.sha256(repr(marks).encode()).hexdigest()


def store_identity(store: Store) -> str:
    """A store and its clones have one; two stores have two."""
    target = table(schema.Batch)
    with store.read() as connection:
        row = connection.execute(select(target.c.sha256, target.c.imported_us).order_by(target.c.id).limit(1)).first()
    return hashlib.sha256(repr(tuple(row) if row else ()).encode()).hexdigest()[:16]
