"""Factor differences: what a new file of factors would change in the figures, and what one bundle changed against another."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from footprint.aggregation.basis_lookup import IMPACT_KINDS
from footprint.config import Config
from footprint.core.units import US_PER_DAY, kwh_from_uj
from footprint.figures.dataset import ENERGY_SQL, Dataset
from footprint.figures.energy_cells import load_bases
from footprint.figures.query import BadQuery
from footprint.impact.calculation_basis import CalculationBasis
from footprint.impact.factor_book import Factor, FactorBook, MissingFactor
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

REVISION_COLUMNS = (
    "kind",
    "where",
    "unit",
    "value_before",
    "value_after",
    "source_before",
    "source_after",
    "days",
    "energy_kwh",
    "figure_before",
    "figure_after",
)
BUNDLE_COLUMNS = (
    "kind",
    "where",
    "valid_from",
    "valid_to",
    "unit",
    "value_before",
    "low_before",
    "high_before",
    "value_after",
    "low_after",
    "high_after",
    "change",
    "source_before",
    "source_after",
    "bundle_before",
    "bundle_after",
    "figures",
)
_EMBODIED_PREFIX = "embodied_"
_FIGURE_BY_KIND = {
    "water_offsite": "water_l",
    "adpe": "adpe_kgsb",
    "primary_energy": "primary_energy_mj",
    "electricity_price": "cost_eur",
}


def revised_figures(store: Store, config: Config, before: FactorBook, after: FactorBook) -> list[dict[str, Any]]:
    """Factors in use whose value would change, with the energy that rests on them and both figures.

    Parameters
    ----------
    before, after : FactorBook
        The book in use, and the book with the new factors.

    Returns
    -------
    list of dict
        Rows with the columns ``REVISION_COLUMNS``. ``figure_before`` and ``figure_after`` are ``energy_kwh`` [kWh] times the
        factor: g, L, kgSb, MJ or EUR by the unit of the factor.
    """
    with store.read() as connection:
        view = LedgerView(store, connection)
        dataset = Dataset(store, connection, config.timezone)
        extent = dataset.extent_s()
        if extent is None:
            return []
        statement = f"SELECT start_s // 86400, basis, SUM({ENERGY_SQL}) FROM rows GROUP BY ALL ORDER BY ALL"
        rows = dataset.rows("energy", *extent, statement)
        bases = load_bases(view, {int(row[1]) for row in rows})
    changed: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [set(), 0])
    for day, basis_id, energy in rows:
        basis = bases[int(basis_id)]
        for kind in (config.electricity, *IMPACT_KINDS):
            factor_before, factor_after = (_factor_for_basis(book, kind, basis, int(day), config) for book in (before, after))
            if _bounds(factor_before) != _bounds(factor_after):
                change = changed[kind, basis.zone, factor_before, factor_after]
                change[0].add(int(day))
                change[1] += int(energy)
    revised = []
    for (kind, zone, factor_before, factor_after), (days, energy) in changed.items():
        kwh = kwh_from_uj(energy)
        revised.append(
            {
                "kind": kind,
                "where": zone,
                "unit": (factor_after or factor_before).unit,
                "value_before": factor_before and factor_before.value,
                "value_after": factor_after and factor_after.value,
                "source_before": factor_before and factor_before.source,
                "source_after": factor_after and factor_after.source,
                "days": len(days),
                "energy_kwh": kwh,
                "figure_before": None if factor_before is None else kwh * factor_before.value,
                "figure_after": None if factor_after is None else kwh * factor_after.value,
            }
        )
    return sorted(revised, key=lambda row: (row["kind"], row["where"], row["value_before"] or 0.0))


def _bounds(factor: Factor | None) -> tuple[float | None, ...] | None:
    return None if factor is None else (factor.value, factor.low, factor.high)


def _factor_for_basis(book: FactorBook, kind: str, basis: CalculationBasis, day: int, config: Config) -> Factor | None:
    try:
        return book.find(kind, basis.zone, day * US_PER_DAY + US_PER_DAY // 2, config.timezone)
    except MissingFactor:
        return None


@dataclass(frozen=True, slots=True)
class FactorChange:
    """A factor over days [valid_from, valid_to) in which two books differ; None where a book has no factor."""

    kind: str
    where: str
    valid_from: datetime.date
    valid_to: datetime.date | None
    before: Factor | None
    after: Factor | None


def bundles_of(book: FactorBook) -> tuple[str, ...]:
    """Names of the bundles of a book in order of import; the shipped bundle comes first."""
    imported_us: dict[str, int] = {}
    for factor in book.factors:
        imported_us[factor.bundle] = min(factor.imported_us, imported_us.get(factor.bundle, factor.imported_us))
    return tuple(sorted(imported_us, key=lambda name: (imported_us[name], name)))


def book_as_of(book: FactorBook, bundle: str) -> FactorBook:
    """The book as it was after the import of a bundle.

    Raises
    ------
    BadQuery
        If the book has no bundle of that name.
    """
    names = bundles_of(book)
    if bundle not in names:
        raise BadQuery(f"no bundle of factors {bundle!r}; there are {', '.join(names)}")
    known = set(names[: names.index(bundle) + 1])
    return FactorBook(factor for factor in book.factors if factor.bundle in known)


def factor_changes(before: FactorBook, after: FactorBook) -> Iterator[FactorChange]:
    """Differences of two books in value, bounds or unit, by kind, place and date range."""
    factors_before, factors_after = _by_place(before), _by_place(after)
    for kind, where in sorted({*factors_before, *factors_after}):
        before_here, after_here = factors_before.get((kind, where), []), factors_after.get((kind, where), [])
        change: FactorChange | None = None
        for start, end in _date_ranges((*before_here, *after_here)):
            factors = _valid_on(before_here, start), _valid_on(after_here, start)
            if change is not None and (change.before, change.after) == factors and change.valid_to == start:
                change = FactorChange(kind, where, change.valid_from, end, *factors)
                continue
            if change is not None:
                yield change
            change = (
                FactorChange(kind, where, start, end, *factors) if _comparable(factors[0]) != _comparable(factors[1]) else None
            )
        if change is not None:
            yield change


def _by_place(book: FactorBook) -> dict[tuple[str, str], list[Factor]]:
    factors: dict[tuple[str, str], list[Factor]] = {}
    for factor in book.factors:
        factors.setdefault((factor.kind, factor.where), []).append(factor)
    return factors


def _date_ranges(factors: Iterable[Factor]) -> Iterator[tuple[datetime.date, datetime.date | None]]:
    """Ranges between consecutive validity dates; the last range is open."""
    edges = {day for factor in factors for day in (factor.valid_from, factor.valid_to) if day is not None}
    ordered = sorted(edges)
    yield from pairwise(ordered)
    if ordered:
        yield ordered[-1], None


def _valid_on(factors: Iterable[Factor], day: datetime.date) -> Factor | None:
    """The factor valid on a day; the last one in the order of the book wins."""
    valid = [factor for factor in factors if factor.valid_from <= day and (factor.valid_to is None or day < factor.valid_to)]
    return valid[-1] if valid else None


def _comparable(factor: Factor | None) -> tuple[Any, ...] | None:
    return None if factor is None else (factor.value, factor.low, factor.high, factor.unit)


def affected_figures(kind: str, config: Config) -> tuple[str, ...]:
    """Figures that use a kind of factor; empty for intensities of sources that only sensitivity variants use."""
    if kind == config.electricity:
        return "co2e_location_g", "sci_g_per_request"
    if kind.startswith(_EMBODIED_PREFIX):
        return "embodied_g", "sci_g_per_request"
    return (_FIGURE_BY_KIND[kind],) if kind in _FIGURE_BY_KIND else ()


def bundle_differences(book: FactorBook, config: Config, before: str, after: str) -> list[dict[str, Any]]:
    """Factors after the import of bundle ``after`` against those after the import of bundle ``before``.

    Returns
    -------
    list of dict
        Rows with the columns ``BUNDLE_COLUMNS``. ``change`` is relative (0.05 is 5 % more), None if either factor is missing or
        the units differ. The same value from another source is no difference.

    Raises
    ------
    BadQuery
        If the book has no such bundle.
    """
    return [_bundle_row(change, config) for change in factor_changes(book_as_of(book, before), book_as_of(book, after))]


def _bundle_row(change: FactorChange, config: Config) -> dict[str, Any]:
    before, after = change.before, change.after
    any_factor = after or before
    assert any_factor is not None
    comparable = before is not None and after is not None and before.value != 0 and before.unit == after.unit
    row: dict[str, Any] = {
        "kind": change.kind,
        "where": change.where,
        "valid_from": change.valid_from.isoformat(),
        "valid_to": None if change.valid_to is None else change.valid_to.isoformat(),
        "unit": any_factor.unit,
        "change": after.value / before.value - 1 if comparable and before is not None and after is not None else None,
        "figures": " ".join(affected_figures(change.kind, config)) or None,
    }
    for name, factor in (("before", before), ("after", after)):
        for column in ("value", "low", "high", "source", "bundle"):
            row[f"{column}_{name}"] = None if factor is None else getattr(factor, column)
    return row
