"""Registry of indicators: name, formula, source, boundary, and the function that computes each.

Pages and reports take the label of an indicator from here only, so that none names a method that did not compute the figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]  # a row of `footprint query` (docs/reference/contract.md, section 6)


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator; ``compute`` takes a row and returns the value in ``unit``, None where a needed amount is unknown."""

    name: str
    version: str
    unit: str
    label: tuple[str, str]  # French, English
    formula: str
    source: str
    boundary: tuple[str, str]  # French, English
    compute: Callable[[Row], float | None]


def _sum(row: Row, *names: str) -> float | None:
    values = [row[name] for name in names]
    return None if None in values else float(sum(values))


def _per(amount: float | None, count: float | None, of: float = 1.0) -> float | None:
    return amount / count * of if amount is not None and count else None


def _accelerators(row: Row) -> float | None:
    return _sum(row, "accelerator_active_kwh", "accelerator_idle_kwh")


_CONSUMER = (
    (
        "Exploitation : serveurs d’inférence (accélérateurs, processeurs, mémoire, ce que les capteurs ne voient pas), bâtiment, "
        "fabrication des serveurs. Hors périmètre : entraînement, réseau, terminaux des utilisateurs."
    ),
    (
        "Operation: inference servers (accelerators, processors, memory, what sensors do not see), building, making of the servers. "
        "Out: training, network, users’ devices."
    ),
)
_GRID = (
    "Électricité achetée, y compris le bâtiment ; réseau électrique du lieu.",
    "Purchased electricity, building included; the grid of the place.",
)
_BOARDS = ("Cartes accélératrices seules.", "Accelerator boards alone.")

INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        "sci_g_per_request",
        "1",
        "gCO2e/request",
        ("SCI par requête", "SCI per request"),
        "(O + M) / R, O = E x I, R = requests",
        "ISO/IEC 21031:2024, 5",
        _CONSUMER,
        lambda row: _per(_sum(row, "co2e_location_g", "embodied_g"), row["requests"]),
    ),
    Indicator(
        "sci_g_per_1000_output_tokens",
        "1",
        "gCO2e/1000 tokens",
        ("SCI pour 1 000 jetons produits", "SCI per 1,000 output tokens"),
        "(O + M) / R, O = E x I, R = output tokens / 1000",
        "ISO/IEC 21031:2024, 5; GSF SCI for AI, consumer boundary, 8.1",
        _CONSUMER,
        lambda row: _per(_sum(row, "co2e_location_g", "embodied_g"), row["output_tokens"], 1000),
    ),
    Indicator(
        "full_stack_wh_per_request",
        "1",
        "Wh/request",
        ("Énergie complète par requête", "Full-stack energy per request"),
        "E / requests",
        "after the boundary of Google, arXiv 2508.15734",
        _CONSUMER,
        lambda row: _per(row["energy_kwh"], row["requests"], 1000),
    ),
    Indicator(
        "accelerator_wh_per_request",
        "1",
        "Wh/request",
        ("Énergie des accélérateurs par requête", "Accelerator energy per request"),
        "(active + idle) / requests",
        "after the narrow boundary of Google, arXiv 2508.15734",
        _BOARDS,
        lambda row: _per(_accelerators(row), row["requests"], 1000),
    ),
)

INVENTORY: tuple[Indicator, ...] = (
    Indicator(
        "scope_2_location",
        "1",
        "kgCO2e",
        ("Scope 2, selon le lieu", "Scope 2, location-based"),
        "E x grid-average factor",
        "GHG Protocol Scope 2 Guidance, 2015",
        _GRID,
        lambda row: _per(row["co2e_location_g"], 1000),
    ),
    Indicator(
        "scope_2_market",
        "1",
        "kgCO2e",
        ("Scope 2, selon le marché", "Scope 2, market-based"),
        "E x factor of the contract, with evidence only",
        "GHG Protocol Scope 2 Guidance, 2015",
        (
            "Électricité achetée, y compris le bâtiment ; contrats prouvés.",
            "Purchased electricity, building included; contracts with evidence.",
        ),
        lambda row: _per(row["co2e_market_g"], 1000),
    ),
    Indicator(
        "scope_3_category_2",
        "1",
        "kgCO2e",
        ("Scope 3, catégorie 2 : biens d’équipement", "Scope 3, category 2: capital goods"),
        "TE x TiR / EL",
        "GHG Protocol Scope 3 Standard, 2011; spread over life as ISO/IEC 21031:2024, 5.3 does",
        (
            "Fabrication des serveurs, étalée sur leur durée de vie ; le protocole GES la compte l’année de l’achat.",
            "Making of the servers, spread over their life; the GHG Protocol counts it in the year of purchase.",
        ),
        lambda row: _per(row["embodied_g"], 1000),
    ),
)
