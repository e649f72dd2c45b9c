"""This file says what a new bundle of factors would change in the figures, before it is adopted."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from footprint.aggregation.calculation_basis import IMPACT_KINDS, CalculationBasis
from footprint.config import Config
from footprint.core.units import US_PER_DAY, kwh_from_uj
from footprint.figures.energy_cells import load_bases
from footprint.figures.query import BadQuery
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
_ENERGY_SQL = "r.active_uj + r.idle_uj + r.host_uj + r.facility_uj"


def revised_figures(store: Store, config: Config, before: FactorBook, after: FactorBook) -> list[dict[str, Any]]:
    """Rows by factor that a figure rests on and that would change: both values, the energy on it, both figures.

    ``figure`` is energy x factor, in the factor's unit times kWh: grams, litres, kgSb or MJ.
    """
    with store.read() as connection:
        view = LedgerView(store, connection)
        rows = connection.exec_driver_sql(
            f"SELECT r.slot / 86400, r.basis_id, SUM({_ENERGY_SQL}) FROM footprint_row r GROUP BY r.slot / 86400, r.basis_id"
        ).all()
        bases = load_bases(view, {int(row[1]) for row in rows})
    found: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [set(), 0])
    for day, basis_id, energy in rows:
        basis = bases[int(basis_id)]
        for kind in (config.electricity, *IMPACT_KINDS):
            old, new = (_factor_for_basis(book, kind, basis, int(day), config) for book in (before, after))
            if (old and (old.value, old.low, old.high)) != (new and (new.value, new.low, new.high)):
                place = found[kind, basis.zone, old, new]
                place[0].add(int(day))
                place[1] += int(energy)
    result = []
    for (kind, zone, old, new), (days, energy) in found.items():
        kwh = kwh_from_uj(energy)
        result.append(
            {
                "kind": kind,
                "where": zone,
                "unit": (new or old).unit,
                "value_before": old and old.value,
                "value_after": new and new.value,
                "source_before": old and old.source,
                "source_after": new and new.source,
                "days": len(days),
                "energy_kwh": kwh,
                "figure_before": None if old is None else kwh * old.value,
                "figure_after": None if new is None else kwh * new.value,
            }
        )
    return sorted(result, key=lambda row: (row["kind"], row["where"], row["value_before"] or 0.0))


def _factor_for_basis(book: FactorBook, kind: str, basis: CalculationBasis, day: int, config: Config):  # type: ignore[no-untyped-def]
    try:
        return book.find(kind, basis.zone, day * US_PER_DAY + US_PER_DAY // 2, config.timezone)
    except MissingFactor:
        return None


@dataclass(frozen=True, slots=True)
class FactorChange:
    """One factor over one stretch of days [valid_from, valid_to) in which the two books differ; None where a book has none."""

    kind: str
    where: str
    valid_from: datetime.date
    valid_to: datetime.date | None
    before: Factor | None
    after: Factor | None


def bundles_of(book: FactorBook) -> tuple[str, ...]:
    """Names of the bundles of a book, in order of import; what is shipped comes first."""
    when: dict[str, int] = {}
    for factor in book.factors:
        when[factor.bundle] = min(factor.imported_us, when.get(factor.bundle, factor.imported_us))
    return tuple(sorted(when, key=lambda name: (when[name], name)))


def book_as_of(book: FactorBook, bundle: str) -> FactorBook:
    """The book as it was once a bundle had come.

    Raises
    ------
    BadQuestion
        If the book has no bundle of that name.
    """
    names = bundles_of(book)
    if bundle not in names:
        raise BadQuery(f"no bundle of factors {bundle!r}; there are {', '.join(names)}")
    known = set(names[: names.index(bundle) + 1])
    return FactorBook(factor for factor in book.factors if factor.bundle in known)


def factor_changes(before: FactorBook, after: FactorBook) -> Iterator[FactorChange]:
    """Where two books differ in a value or a bound, by kind, place and date."""
    first, second = _by_place(before), _by_place(after)
    for kind, where in sorted({*first, *second}):
        old, new = first.get((kind, where), []), second.get((kind, where), [])
        found: FactorChange | None = None
        for start, end in _date_ranges((*old, *new)):
            pair = _valid_on(old, start), _valid_on(new, start)
            if found is not None and (found.before, found.after) == pair and found.valid_to == start:
                found = FactorChange(kind, where, found.valid_from, end, *pair)
                continue
            if found is not None:
                yield found
            found = FactorChange(kind, where, start, end, *pair) if _comparable(pair[0]) != _comparable(pair[1]) else None
        if found is not None:
            yield found


def _by_place(book: FactorBook) -> dict[tuple[str, str], list[Factor]]:
    found: dict[tuple[str, str], list[Factor]] = {}
    for factor in book.factors:
        found.setdefault((factor.kind, factor.where), []).append(factor)
    return found


def _date_ranges(factors: Iterable[Factor]) -> Iterator[tuple[datetime.date, datetime.date | None]]:
    """Days between two edges, the last one open."""
    edges = {day for factor in factors for day in (factor.valid_from, factor.valid_to) if day is not None}
    ordered = sorted(edges)
    yield from pairwise(ordered)
    if ordered:
        yield ordered[-1], None


def _valid_on(factors: Iterable[Factor], day: datetime.date) -> Factor | None:
    """The factor that holds on a day: of those in the order of the book, the last."""
    held = [each for each in factors if each.valid_from <= day and (each.valid_to is None or day < each.valid_to)]
    return held[-1] if held else None


def _comparable(factor: Factor | None) -> tuple[Any, ...] | None:
    return None if factor is None else (factor.value, factor.low, factor.high, factor.unit)


def affected_figures(kind: str, config: Config) -> tuple[str, ...]:
    """Figures that a kind of factor goes into; none for another source's intensity, which only a variant asks."""
    if kind == config.electricity:
        return "co2e_location_g", "sci_g_per_request"
    if kind.startswith(_EMBODIED_PREFIX):
        return "embodied_g", "sci_g_per_request"
    return (_FIGURE_BY_KIND[kind],) if kind in _FIGURE_BY_KIND else ()


def bundle_differences(book: FactorBook, config: Config, before: str, after: str) -> list[dict[str, Any]]:
    """Rows of ``BUNDLE_COLUMNS``: what holds once bundle ``after`` had come against what held with bundle ``before``.

    ``change`` is relative (0.05 is 5 % more), None where one of the two is unknown or the units differ. A factor that
    says the same from another source is no difference.

    Raises
    ------
    BadQuestion
        If the book has no such bundle.
    """
    return [_bundle_row(each, config) for each in factor_changes(book_as_of(book, before), book_as_of(book, after))]


def _bundle_row(each: FactorChange, config: Config) -> dict[str, Any]:
    old, new = each.before, each.after
    either = new or old
    assert either is not None
    same = old is not None and new is not None and old.value != 0 and old.unit == new.unit
    row: dict[str, Any] = {
        "kind": each.kind,
        "where": each.where,
        "valid_from": each.valid_from.isoformat(),
        "valid_to": None if each.valid_to is None else each.valid_to.isoformat(),
        "unit": either.unit,
        "change": new.value / old.value - 1 if same and old is not None and new is not None else None,
        "figures": " ".join(affected_figures(each.kind, config)) or None,
    }
    for name, factor in (("before", old), ("after", new)):
        for column in ("value", "low", "high", "source", "bundle"):
            row[f"{column}_{name}"] = None if factor is None else getattr(factor, column)
    return row
