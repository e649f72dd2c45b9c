"""This file says what a new bundle of factors would change in the figures, before it is adopted."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from footprint.aggregation.calculation_basis import IMPACT_KINDS, CalculationBasis
from footprint.config import Config
from footprint.core.units import US_PER_DAY, kwh_from_uj
from footprint.figures.energy_cells import load_bases
from footprint.impact.factor_book import FactorBook, MissingFactor
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

COLUMNS = (
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
_ENERGY = "r.active_uj + r.idle_uj + r.host_uj + r.facility_uj"


def revision(store: Store, config: Config, before: FactorBook, after: FactorBook) -> list[dict[str, Any]]:
    """Rows by factor that a figure rests on and that would change: both values, the energy on it, both figures.

    ``figure`` is energy x factor, in the factor's unit times kWh: grams, litres, kgSb or MJ.
    """
    with store.read() as connection:
        view = LedgerView(store, connection)
        rows = connection.exec_driver_sql(
            f"SELECT r.slot / 86400, r.basis_id, SUM({_ENERGY}) FROM footprint_row r GROUP BY r.slot / 86400, r.basis_id"
        ).all()
        bases = load_bases(view, {int(row[1]) for row in rows})
    found: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [set(), 0])
    for day, basis_id, energy in rows:
        basis = bases[int(basis_id)]
        for kind in (config.electricity, *IMPACT_KINDS):
            old, new = (_held(book, kind, basis, int(day), config) for book in (before, after))
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


def _held(book: FactorBook, kind: str, basis: CalculationBasis, day: int, config: Config):  # type: ignore[no-untyped-def]
    try:
        return book.find(kind, basis.zone, day * US_PER_DAY + US_PER_DAY // 2, config.timezone)
    except MissingFactor:
        return None
