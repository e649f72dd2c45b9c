"""Sensitivity of figures to choices that reasonable people make differently.

Not an interval: each row is the figure under another factor table, another lifetime of servers, or other water factors.
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
from footprint.impact.factor_book import FactorBook, MissingFactor
from footprint.impact.operational import operational_g
from footprint.ledger.factor_store import load_factor_book
from footprint.storage.database import Store

COLUMNS = ("period_start", "period_end", "figure", "variant", "value", "published", "ratio", "source")
ELECTRICITY = "carbon_intensity"
_Cells = Sequence[tuple[Any, list[int]]]


def sensitivity(store: Store, config: Config, query: Query, now_us: int) -> list[dict[str, Any]]:
    """Figures by group, period and variant; a variant without a factor for every zone is left out.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows of the groups and ``COLUMNS``: ``value`` and ``published`` in the unit of the figure, ``ratio`` [1].
    """
    book = load_factor_book(store)
    rows: list[dict[str, Any]] = []
    with open_result(store, config, query, now_us) as result:
        if result is None:
            return rows
        for (period, names), group in sorted(result.groups.items(), key=lambda item: (item[0][1], item[0][0])):
            start, end = result.periods[period]
            fixed = {
                **dict(zip(query.group, names, strict=True)),
                "period_start": format_instant(start),
                "period_end": format_instant(end),
            }
            for figure, variant, value, published, source in _variants(
                config, book, group.cells, start, result.impact(group, "water_l")
            ):
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
    config: Config, book: FactorBook, cells: _Cells, at_us: int, water_l: float | None
) -> Iterator[tuple[str, str, float | None, float | None, str]]:
    by_basis = [(key.basis, dict(zip(AMOUNTS, amounts, strict=True))) for key, amounts in cells]
    energies = [
        (basis, sum(amounts[name] for name in ("active_uj", "idle_uj", "host_uj", "facility_uj")), amounts)
        for basis, amounts in by_basis
    ]
    all_known = all(basis.factor is not None for basis, _, _ in energies)
    published = (
        sum(operational_g(energy_uj, basis.factor[0]) for basis, energy_uj, _ in energies if basis.factor) if all_known else None
    )
    for kind in sorted({factor.kind for factor in book.factors if factor.kind.startswith(ELECTRICITY)}):
        try:
            factors = {basis.zone: book.find(kind, basis.zone, at_us, config.timezone) for basis, _, _ in energies}
        except MissingFactor:
            continue
        value = sum(operational_g(energy_uj, factors[basis.zone].value) for basis, energy_uj, _ in energies)
        sources = "; ".join(sorted({f"{factor.value:g} {factor.unit}: {factor.source}" for factor in factors.values()}))
        yield "co2e_location_g", kind, value, published, sources
    yield from _lifetime_variants(config, energies, at_us)
    yield from _water_variants(water_l, energies)


def _lifetime_variants(
    config: Config, energies: Sequence[Any], at_us: int
) -> Iterator[tuple[str, str, float | None, float | None, str]]:
    """M = TE / EL: embodied emissions are inversely proportional to the lifetime."""
    if not energies or not all(basis.embodied_known for basis, _, _ in energies):
        return
    assumed_years = assumption("embodied_lifetime")
    published = sum(amounts["embodied_ug"] for _, _, amounts in energies) / UG_PER_G
    for lifetime_years in (assumed_years.low, assumed_years.value, assumed_years.high):
        value = sum(
            amounts["embodied_ug"]
            / UG_PER_G
            * (config.host_at(basis.host, at_us).lifetime_years or assumed_years.value)
            / lifetime_years
            for basis, _, amounts in energies
        )
        yield "embodied_g", f"life of {lifetime_years:g} years", value, published, "assumption embodied_lifetime"


def _water_variants(
    published: float | None, energies: Sequence[Any]
) -> Iterator[tuple[str, str, float | None, float | None, str]]:
    if published is None:
        return
    for bound, variant in ((1, "low"), (2, "high")):
        value = sum(
            energy_uj / UJ_PER_KWH * basis.water[bound] + (energy_uj - amounts["facility_uj"]) / UJ_PER_KWH * basis.wue[bound]
            for basis, energy_uj, amounts in energies
            if basis.water
        )
        yield "water_l", f"{variant} factors, on and off site", value, published, "water_offsite; wue"
