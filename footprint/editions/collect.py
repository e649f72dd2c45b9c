"""Collection of an edition's data: all queries to the ledger, in a few passes; everything after is arithmetic and text."""

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
from footprint.config.models import UNDECLARED
from footprint.core.records import FootprintError
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_DAY, US_PER_HOUR
from footprint.editions.coverage import coverage_report
from footprint.editions.edition_data import (
    MAX_RANKED_USE_CASES,
    RESERVED_NAMES,
    CalibrationEffect,
    CoverageReport,
    EditionData,
    IndicatorRow,
    RowsByGroup,
)
from footprint.editions.release_context import ReleaseContext
from footprint.figures.certificate_effect import half_width_without_certificates
from footprint.figures.engine import BudgetedRow, budgeted_rows, open_result
from footprint.figures.query import BadQuery, Query
from footprint.impact.factor_book import FactorBook
from footprint.ledger.certificates import certified_config
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
    """The ledger holds nothing of a period."""


class EditionQueries:
    """Ledger queries of one edition; ``query_count`` counts them."""

    def __init__(self, store: Store, config: Config, book: FactorBook, now_us: int, *, undeclared_together: bool) -> None:
        self.store, self.config, self.book, self.now_us = store, config, book, now_us
        self.undeclared_together = undeclared_together
        self.query_count = 0

    def rows(
        self, group: tuple[str, ...], every: str, from_us: int, to_us: int, where: tuple[tuple[str, str], ...] = ()
    ) -> dict[str, RowsByGroup]:
        """Rows by period name and group; empty if the ledger holds nothing."""
        self.query_count += 1
        rows: dict[str, dict[tuple[str, ...], IndicatorRow]] = {}
        query = Query(group, every, from_us, to_us, where, undeclared_together=self.undeclared_together)
        months = {"month": 1, "quarter": 3, "year": 12}[every]
        with open_result(self.store, self.config, query, self.now_us, self.book) as results:
            if results is None:
                return {}
            for budgeted_row in budgeted_rows(results):
                name = str(period_at(results.periods[budgeted_row.period][0], self.config.timezone, months))
                rows.setdefault(name, {})[budgeted_row.names] = _indicator_row(budgeted_row)
        return dict(rows)

    def coverage(self, start_us: int, end_us: int) -> CoverageReport:
        """Coverage by day and site."""
        self.query_count += 1
        zone = self.config.timezone
        query = Query(group=("host",), from_us=start_us, to_us=end_us)
        with open_result(self.store, self.config, query, self.now_us, self.book, by_slot=True) as results:
            if results is None:
                return CoverageReport()
            days = [
                (to_datetime(start).astimezone(zone).date().isoformat(), start, end)
                for start, end in split_by_period("day", start_us, end_us, zone)
            ]
            hosts = {host for host, _ in results.coverage_index.devices}
            sites = {host: self.config.host_at(host, end_us - 1).site for host in hosts}
            return coverage_report(results.coverage_index, days, sites)

    def calibration(self, start_us: int, end_us: int, cut_us: int) -> CalibrationEffect:
        """Effect of the certificates that were made by ``cut_us`` and valid in [start, end)."""
        certificates = certified_config(self.store, self.config).certificates
        valid = tuple(c for c in certificates if c.made_us <= cut_us and c.since_us < end_us and c.until_us > start_us)
        if not valid:
            return CalibrationEffect()
        self.query_count += 1
        with open_result(self.store, self.config, Query(from_us=start_us, to_us=end_us), self.now_us, self.book) as result:
            rows = [] if result is None else budgeted_rows(result)
            energy_kwh = rows[0].row["energy_kwh"] if rows else None
            without = half_width_without_certificates(rows[0].group) if rows else None
            if without is None or not energy_kwh:
                return CalibrationEffect(valid)
            half_with, half_without = (max(sides) / energy_kwh for sides in (rows[0].energy.half_widths(), without))
            return CalibrationEffect(valid, half_with, half_without)


def _indicator_row(budgeted_row: BudgetedRow) -> IndicatorRow:
    return IndicatorRow(
        budgeted_row.row,
        budgeted_row.energy,
        budgeted_row.grams,
        budgeted_row.gap,
        budgeted_row.known_us / US_PER_HOUR,
        budgeted_row.witnessed,
    )


def collect_data(
    store: Store, config: Config, context: ReleaseContext, now_us: int, book: FactorBook | None = None
) -> EditionData:
    """Collect the data of the edition of ``context.period``.

    Raises
    ------
    NoData
        If the ledger holds nothing of the period.
    """
    period = parse_period(context.period)
    start, end = period.bounds_us(config.timezone)
    factor_book = book or load_factor_book(store)
    queries = EditionQueries(
        store, config, factor_book, end if now_us >= end else now_us, undeclared_together=context.undeclared_together
    )
    period_kind = {1: "month", 3: "quarter", 12: "year"}[period.length]
    since = _first_period_us(period, config)
    totals = queries.rows((), period_kind, since, end)
    if not totals.get(str(period), {}).get(()) or totals[str(period)][()].row["energy_kwh"] is None:
        raise NoData(f"no data in {period}; `footprint import list` shows what there is, `footprint aggregate` computes it")
    months_from = period.split(1)[-1].shifted(1 - TREND_MONTHS).bounds_us(config.timezone)[0]
    months = queries.rows((), "month", months_from, end)
    previous_start = period.shifted(-1).bounds_us(config.timezone)[0]
    uses = queries.rows(("use_case",), period_kind, since, end)
    data = EditionData(
        config=config,
        context=context,
        period=period,
        totals={name: rows[()] for name, rows in totals.items() if () in rows and _has_energy(rows[()])},
        months={name: rows[()] for name, rows in months.items() if () in rows and _has_energy(rows[()])},
        uses=uses,
        services=queries.rows(("service",), period_kind, previous_start, end),
        charters=queries.rows(("charter",), period_kind, since, end),
        models=queries.rows(("model",), period_kind, start, end).get(str(period), {}),
        pairs=queries.rows(("service", "use_case"), period_kind, previous_start, end),
        coverage=queries.coverage(start, end),
        closure=tuple(energy_balance(store, config, start, end, factor_book)),
        sensitivity=tuple(sensitivity(store, config, Query(from_us=start, to_us=end), queries.now_us)),
        comparisons=tuple(_model_comparisons(queries, start, end)),
        hourly=_hourly_intensities(store, config, period, period_kind),
        factors=tuple(_used_factors(factor_book, totals[str(period)][()])),
        heads=sealed_day_heads(store, start, end, context.cut_us),
        inputs=inputs_fingerprint(store, start, end),
        ledger=store_identity(store),
        objectives=tuple(objective_statuses(store, config, queries.now_us, period, context.objectives)),
        calibration=queries.calibration(start, end, context.cut_us),
    )
    unranked = tuple(data.ranked_use_cases()[MAX_RANKED_USE_CASES:])
    if len(unranked) > 1:
        unranked_rows = queries.rows((), period_kind, start, end, tuple(("use_case", name) for name in unranked))
        data = replace(data, other_uses=(unranked, unranked_rows.get(str(period), {}).get(())))
    return data


def _has_energy(indicators: IndicatorRow) -> bool:
    return indicators.row["energy_kwh"] is not None


def _first_period_us(period: Period, config: Config) -> int:
    """Start of the earlier one of: the same period a year before, and the first of the charter's five periods."""
    return min(period.year_before(), period.shifted(1 - CHARTER_QUARTERS)).bounds_us(config.timezone)[0]


def _hourly_intensities(store: Store, config: Config, period: Period, kind: str) -> dict[str, float]:
    """Mean intensity by hour [g/kWh] of this period and the one before, from the first series that covers both."""
    start, end = period.shifted(-1).bounds_us(config.timezone)[0], period.bounds_us(config.timezone)[1]
    for series in _intensity_series(store):
        try:
            rows = hourly_emissions(store, config, Query(every=kind, from_us=start, to_us=end), series)
        except BadQuery:  # marginal intensities advise when to run; they do not measure emissions
            continue
        if len(rows) == 2 and all(row["mean_g_per_kwh"] is not None for row in rows):
            return {str(period.shifted(-1)): rows[0]["mean_g_per_kwh"], str(period): rows[1]["mean_g_per_kwh"]}
    return {}


def _intensity_series(store: Store) -> list[str]:
    with store.read() as connection:
        return sorted(str(row[0]) for row in connection.execute(select(table(schema.Intensity).c.series).distinct()))


def _used_factors(book: FactorBook, current: IndicatorRow) -> Iterable[Any]:
    """The rows of the factor book that the period's figures use, once each."""
    causes = set(current.grams.causes())
    for factor in book.factors:
        if (
            f"factor {factor.kind}/{factor.where}/{factor.valid_from}" in causes
            and factor.bundle in current.row["factor_version"]
        ):
            yield factor


def _model_comparisons(queries: EditionQueries, start: int, end: int) -> Iterable[Mapping[str, Any]]:
    """Compare, for use cases that several models serve, the most used model with the one that needs least energy a request.

    Undeclared use cases, which may be one row, are not one use. Equal conditions only: sides with different machines, methods or
    token mixes are not compared.
    """
    sides: dict[str, dict[str, ComparisonSide]] = {}
    queries.query_count += 1
    query = Query(group=("use_case", "model"), from_us=start, to_us=end, undeclared_together=queries.undeclared_together)
    with open_result(queries.store, queries.config, query, queries.now_us, queries.book) as results:
        if results is None:
            return
        for budgeted_row in budgeted_rows(results):
            (use_case, model), row = budgeted_row.names, budgeted_row.row
            if (
                model
                and not {use_case, model} & {*RESERVED_NAMES, UNDECLARED}
                and row["requests"]
                and (row["energy_kwh"] or 0) > 0
            ):
                budget = row["energy_kwh"], budgeted_row.energy
                sides.setdefault(use_case, {})[model] = ComparisonSide(row, budget, accelerator_models(budgeted_row.group.cells))
    for use_case, models in sorted(sides.items()):
        current = max(sorted(models), key=lambda name: models[name].row["requests"])
        better = list(_more_frugal(models, current))
        if better:
            best = min(better, key=lambda comparison: comparison.ratio.value)
            yield {
                "use_case": use_case,
                "current": best.a,
                "best": best.b,
                "current_wh": best.a_wh,
                "best_wh": best.b_wh,
                "ratio": best.ratio,
                "n": min(models[best.a].row["requests"], models[best.b].row["requests"]),
            }


def _more_frugal(models: Mapping[str, ComparisonSide], current: str) -> Iterable[Comparison]:
    for other in sorted(set(models) - {current}):
        try:
            comparison = compare_sides(models[current], models[other], (current, other))
        except NotComparable:
            continue
        if comparison.ratio.value < 1:
            yield comparison


def sealed_day_heads(store: Store, start_us: int, end_us: int, cut_us: int) -> tuple[tuple[str, str], ...]:
    """(day, digest over the links of that day's hash chains) of a period's sealed days, as of an instant."""
    sealed_days = table(schema.Sealed)
    in_period = (sealed_days.c.day >= start_us // US_PER_DAY) & (sealed_days.c.day <= (end_us - 1) // US_PER_DAY)
    with store.read() as connection:
        rows = connection.execute(
            select(sealed_days.c.day, sealed_days.c.source, sealed_days.c.seq, sealed_days.c.link).where(
                in_period, sealed_days.c.sealed_us <= cut_us
            )
        ).all()
    days: dict[int, list[tuple[str, int, str]]] = {}
    for row in rows:
        if row.source != "events":  # operations on the ledger are not readings
            days.setdefault(int(row.day), []).append((row.source, int(row.seq), row.link))
    epoch = datetime.date(1970, 1, 1)
    return tuple(
        ((epoch + datetime.timedelta(days=day)).isoformat(), hashlib.sha256(repr(sorted(links)).encode()).hexdigest())
        for day, links in sorted(days.items())
    )


def inputs_fingerprint(store: Store, start_us: int, end_us: int) -> str:
    """Fingerprint of a period's inputs: equal if its days rest on the same readings, requests, facts and factors."""
    shards = table(schema.Shard)
    in_period = (shards.c.day >= start_us // US_PER_DAY) & (shards.c.day <= (end_us - 1) // US_PER_DAY)
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(
            select(shards.c.members, shards.c.day, shards.c.fingerprint).where(in_period)
        ).all()
    stamps = sorted((row.members, int(row.day), row.fingerprint) for row in rows)
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def store_identity(store: Store) -> str:
    """Identity of a store: shared with its clones, different for any other store."""
    batches = table(schema.Batch)
    with store.read() as connection:
        row = connection.execute(select(batches.c.sha256, batches.c.imported_us).order_by(batches.c.id).limit(1)).first()
    return hashlib.sha256(repr(tuple(row) if row else ()).encode()).hexdigest()[:16]
