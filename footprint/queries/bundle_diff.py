"""This file says what one bundle of factors changed against another: from what, to what, and the figures that it moves."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from footprint.config import Config
from footprint.figures.query import BadQuery
from footprint.impact.factor_book import Factor, FactorBook

COLUMNS = (
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
EMBODIED = "embodied_"
_FIGURES = {
    "water_offsite": "water_l",
    "adpe": "adpe_kgsb",
    "primary_energy": "primary_energy_mj",
    "electricity_price": "cost_eur",
}


@dataclass(frozen=True, slots=True)
class Changed:
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


def as_of(book: FactorBook, bundle: str) -> FactorBook:
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


def changed(before: FactorBook, after: FactorBook) -> Iterator[Changed]:
    """Where two books differ in a value or a bound, by kind, place and date."""
    first, second = _by_place(before), _by_place(after)
    for kind, where in sorted({*first, *second}):
        old, new = first.get((kind, where), []), second.get((kind, where), [])
        found: Changed | None = None
        for start, end in _stretches((*old, *new)):
            pair = _held(old, start), _held(new, start)
            if found is not None and (found.before, found.after) == pair and found.valid_to == start:
                found = Changed(kind, where, found.valid_from, end, *pair)
                continue
            if found is not None:
                yield found
            found = Changed(kind, where, start, end, *pair) if _worth(pair[0]) != _worth(pair[1]) else None
        if found is not None:
            yield found


def _by_place(book: FactorBook) -> dict[tuple[str, str], list[Factor]]:
    found: dict[tuple[str, str], list[Factor]] = {}
    for factor in book.factors:
        found.setdefault((factor.kind, factor.where), []).append(factor)
    return found


def _stretches(factors: Iterable[Factor]) -> Iterator[tuple[datetime.date, datetime.date | None]]:
    """Days between two edges, the last one open."""
    edges = {day for factor in factors for day in (factor.valid_from, factor.valid_to) if day is not None}
    ordered = sorted(edges)
    yield from pairwise(ordered)
    if ordered:
        yield ordered[-1], None


def _held(factors: Iterable[Factor], day: datetime.date) -> Factor | None:
    """The factor that holds on a day: of those in the order of the book, the last."""
    held = [each for each in factors if each.valid_from <= day and (each.valid_to is None or day < each.valid_to)]
    return held[-1] if held else None


def _worth(factor: Factor | None) -> tuple[Any, ...] | None:
    return None if factor is None else (factor.value, factor.low, factor.high, factor.unit)


def moves(kind: str, config: Config) -> tuple[str, ...]:
    """Figures that a kind of factor goes into; none for another source's intensity, which only a variant asks."""
    if kind == config.electricity:
        return "co2e_location_g", "sci_g_per_request"
    if kind.startswith(EMBODIED):
        return "embodied_g", "sci_g_per_request"
    return (_FIGURES[kind],) if kind in _FIGURES else ()


def differences(book: FactorBook, config: Config, before: str, after: str) -> list[dict[str, Any]]:
    """Rows of ``COLUMNS``: what holds once bundle ``after`` had come against what held with bundle ``before``.

    ``change`` is relative (0.05 is 5 % more), None where one of the two is unknown or the units differ. A factor that
    says the same from another source is no difference.

    Raises
    ------
    BadQuestion
        If the book has no such bundle.
    """
    return [_row(each, config) for each in changed(as_of(book, before), as_of(book, after))]


def _row(each: Changed, config: Config) -> dict[str, Any]:
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
        "figures": " ".join(moves(each.kind, config)) or None,
    }
    for name, factor in (("before", old), ("after", new)):
        for column in ("value", "low", "high", "source", "bundle"):
            row[f"{column}_{name}"] = None if factor is None else getattr(factor, column)
    return row
