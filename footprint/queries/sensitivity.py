"""This file shows how far figures move with choices that reasonable people make otherwise.

Not an interval: each row is the figure as another table, another life of servers or the other water factor would give it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from footprint.config import Config
from footprint.core.assumptions import assumption
from footprint.core.timestamps import format_instant
from footprint.core.units import UG_PER_G, UJ_PER_KWH
from footprint.figures.cell_table import AMOUNTS
from footprint.figures.engine import open_result
from footprint.figures.query import Query
from footprint.figures.row_metrics import impact_figures
from footprint.impact.factor_book import FactorBook, MissingFactor
from footprint.impact.operational import operational_g
from footprint.ledger.factor_store import load_factor_book
from footprint.storage.database import Store

COLUMNS = ("period_start", "period_end", "figure", "variant", "value", "published", "ratio", "source")
ELECTRICITY = "carbon_intensity"
_Cells = Sequence[tuple[Any, list[int]]]


def sensitivity(store: Store, config: Config, question: Query, now_us: int) -> list[dict[str, Any]]:
    """Rows by group, period, figure and variant; a variant that some zone has no factor for is not shown."""
    book = load_factor_book(store)
    rows: list[dict[str, Any]] = []
    with open_result(store, config, question, now_us) as found:
        if found is None:
            return rows
        for (period, names), group in sorted(found.groups.items(), key=lambda item: (item[0][1], item[0][0])):
            start, end = found.periods[period]
            fixed = {
                **dict(zip(question.group, names, strict=True)),
                "period_start": format_instant(start),
                "period_end": format_instant(end),
            }
            for figure, variant, value, published, source in _variants(config, book, group.cells, start):
                ratio = value / published if value is not None and published else None
                rows.append(
                    {
                        **fixed,
                        "figure": figure,
                        "variant": variant,
                        "value": value,
                        "published": published,
                        "ratio": ratio,
                        "source": source,
                    }
                )
    return rows


def _variants(
    config: Config, book: FactorBook, cells: _Cells, at_us: int
) -> Iterator[tuple[str, str, float | None, float | None, str]]:
    energy = [(place.basis, dict(zip(AMOUNTS, amounts, strict=True))) for place, amounts in cells]
    whole = [(basis, sum(of[name] for name in ("active_uj", "idle_uj", "host_uj", "facility_uj")), of) for basis, of in energy]
    known = all(basis.factor is not None for basis, _, _ in whole)
    published = sum(operational_g(uj, basis.factor[0]) for basis, uj, _ in whole if basis.factor) if known else None
    for kind in sorted({factor.kind for factor in book.factors if factor.kind.startswith(ELECTRICITY)}):
        try:
            used = {basis.zone: book.find(kind, basis.zone, at_us, config.timezone) for basis, _, _ in whole}
        except MissingFactor:
            continue
        value = sum(operational_g(uj, used[basis.zone].value) for basis, uj, _ in whole)
        said = "; ".join(sorted({f"{each.value:g} {each.unit}: {each.source}" for each in used.values()}))
        yield "co2e_location_g", kind, value, published, said
    yield from _lifetime_variants(config, whole, at_us)
    yield from _water_variants(cells, whole)


def _lifetime_variants(
    config: Config, whole: Sequence[Any], at_us: int
) -> Iterator[tuple[str, str, float | None, float | None, str]]:
    """M = TE / EL: inversely with the life."""
    if not whole or not all(basis.embodied_known for basis, _, _ in whole):
        return
    years = assumption("embodied_lifetime")
    published = sum(of["embodied_ug"] for _, _, of in whole) / UG_PER_G
    for life in (years.low, years.value, years.high):
        value = sum(
            of["embodied_ug"] / UG_PER_G * (config.host_at(basis.host, at_us).lifetime_years or years.value) / life
            for basis, _, of in whole
        )
        yield "embodied_g", f"life of {life:g} years", value, published, "assumption embodied_lifetime"


def _water_variants(cells: _Cells, whole: Sequence[Any]) -> Iterator[tuple[str, str, float | None, float | None, str]]:
    published = impact_figures(cells)["water_l"]
    if published is None:
        return
    for end, variant in ((1, "low"), (2, "high")):
        value = sum(
            uj / UJ_PER_KWH * basis.water[end] + (uj - of["facility_uj"]) / UJ_PER_KWH * basis.wue[end]
            for basis, uj, of in whole
            if basis.water
        )
        yield "water_l", f"{variant} factors, on and off site", value, published, "water_offsite; wue"
