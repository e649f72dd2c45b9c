"""Measures of an edition: the level of each indicator, and its change with an interval of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.editions.document import Text
from footprint.editions.edition_data import IndicatorRow
from footprint.editions.texts import tr
from footprint.i18n.formatting import energy_unit, mass_unit
from footprint.impact.uncertainty import UncertaintyBudget, ratio_estimate

BoundedValue = tuple[float, float | None, float | None]  # value, low, high
PUE = ("pue ",)
_PER = 1000


@dataclass(frozen=True, slots=True)
class Measure:
    """One indicator: its level in a row, and the ratio of two rows with its interval."""

    indicator: str
    label: Text
    unit: str
    formula: str
    level: Callable[[IndicatorRow], BoundedValue | None]
    ratio: Callable[[IndicatorRow, IndicatorRow], Estimate | None]  # (before, after)
    kind: Literal["level", "ratio", "count"] = "level"
    display_unit: Callable[[float], tuple[float, str]] | None = None

    def display(self, value: float | None) -> tuple[float, str]:
        """(size, unit) to display a value in."""
        if self.display_unit is not None and value is not None:
            return self.display_unit(value)
        return 1.0, self.unit if self.unit != "1" else ""


def ratio_with_gaps(
    before: IndicatorRow, after: IndicatorRow, values: tuple[float, float], budgets: tuple[UncertaintyBudget, UncertaintyBudget]
) -> Estimate | None:
    """after / before; time not read widens the interval on its side only, since it can only add energy."""
    if values[0] <= 0 or values[1] <= 0:
        return None
    ratio = ratio_estimate(values[0], budgets[0], values[1], budgets[1])
    low = ((ratio.value - ratio.low) ** 2 + (ratio.value * before.gap) ** 2) ** 0.5
    high = ((ratio.high - ratio.value) ** 2 + (ratio.value * after.gap) ** 2) ** 0.5
    return Estimate(ratio.value, max(ratio.value - low, 0.0), ratio.value + high)


def energy_ratio(before: IndicatorRow, after: IndicatorRow) -> Estimate | None:
    """Ratio of energy, including the building's overhead."""
    values = before.row["energy_kwh"], after.row["energy_kwh"]
    return None if None in values else ratio_with_gaps(before, after, values, (before.energy, after.energy))


def _grams_ratio(before: IndicatorRow, after: IndicatorRow) -> Estimate | None:
    values = before.row["co2e_location_g"], after.row["co2e_location_g"]
    return None if None in values else ratio_with_gaps(before, after, values, (before.grams, after.grams))


def _energy(indicators: IndicatorRow) -> BoundedValue | None:
    row = indicators.row
    return None if row["energy_kwh"] is None else (row["energy_kwh"], row["energy_low_kwh"], row["energy_high_kwh"])


def _grams(indicators: IndicatorRow) -> BoundedValue | None:
    row = indicators.row
    return (
        None
        if row["co2e_location_g"] is None
        else (row["co2e_location_g"], row["co2e_location_low_g"], row["co2e_location_high_g"])
    )


def _it_budget(indicators: IndicatorRow) -> UncertaintyBudget:
    energy_kwh = indicators.row["energy_kwh"]
    return indicators.energy.filtered(indicators.it_kwh / energy_kwh if energy_kwh else 1.0, without=PUE)


def _it(indicators: IndicatorRow) -> BoundedValue | None:
    if indicators.row["energy_kwh"] is None:
        return None
    value = indicators.it_kwh
    low, high = _it_budget(indicators).interval(value)
    return value, max(low, 0.0), high + max(value, 0.0) * indicators.gap


def _it_ratio(before: IndicatorRow, after: IndicatorRow) -> Estimate | None:
    if None in (before.row["energy_kwh"], after.row["energy_kwh"]):
        return None
    return ratio_with_gaps(before, after, (before.it_kwh, after.it_kwh), (_it_budget(before), _it_budget(after)))


def _market(indicators: IndicatorRow) -> BoundedValue | None:
    """Market-based emissions; the contract's factor is exact, so only the uncertainty of the energy remains."""
    grams, energy = indicators.row["co2e_market_g"], _energy(indicators)
    if grams is None or energy is None or energy[1] is None or energy[2] is None:
        return None
    factor = grams / energy[0] if energy[0] else 0.0
    return grams, energy[1] * factor, energy[2] * factor


def _scaled(ratio: Estimate | None, before: float | None, after: float | None) -> Estimate | None:
    """A ratio scaled by the ratio of two exact numbers."""
    return ratio.scaled(after / before) if ratio is not None and before and after else None


def _market_ratio(before: IndicatorRow, after: IndicatorRow) -> Estimate | None:
    def factor(indicators: IndicatorRow) -> float | None:
        grams, energy = indicators.row["co2e_market_g"], indicators.row["energy_kwh"]
        return grams / energy if grams and energy else None

    return _scaled(energy_ratio(before, after), factor(before), factor(after))


def _embodied_budget(grams: float) -> UncertaintyBudget:
    budget = UncertaintyBudget()
    budget.add("factor embodied", grams, assumption("embodied_server"))
    return budget


def _embodied(indicators: IndicatorRow) -> BoundedValue | None:
    grams = indicators.row["embodied_g"]
    if grams is None:
        return None
    low, high = _embodied_budget(grams).interval(grams)
    return grams, max(low, 0.0), high


def _embodied_ratio(before: IndicatorRow, after: IndicatorRow) -> Estimate | None:
    values = before.row["embodied_g"], after.row["embodied_g"]
    if not values[0] or not values[1]:
        return None
    return ratio_estimate(values[0], _embodied_budget(values[0]), values[1], _embodied_budget(values[1]))


def _counted(
    column: str,
) -> tuple[Callable[[IndicatorRow], BoundedValue | None], Callable[[IndicatorRow, IndicatorRow], Estimate | None]]:
    """Level and ratio of counts, which gateways count exactly."""

    def level(indicators: IndicatorRow) -> BoundedValue | None:
        value = indicators.row[column]
        return None if value is None else (float(value), None, None)

    def ratio(before: IndicatorRow, after: IndicatorRow) -> Estimate | None:
        values = before.row[column], after.row[column]
        return Estimate.exactly(values[1] / values[0]) if values[0] and values[1] is not None else None

    return level, ratio


def _per(
    column: str,
) -> tuple[Callable[[IndicatorRow], BoundedValue | None], Callable[[IndicatorRow, IndicatorRow], Estimate | None]]:
    """Level and ratio of energy per thousand counted units [Wh]."""

    def level(indicators: IndicatorRow) -> BoundedValue | None:
        energy, count = _energy(indicators), indicators.row[column]
        if energy is None or not count or energy[1] is None or energy[2] is None:
            return None
        wh_per_thousand = _PER * 1000 / count  # Wh for a thousand
        return energy[0] * wh_per_thousand, energy[1] * wh_per_thousand, energy[2] * wh_per_thousand

    def ratio(before: IndicatorRow, after: IndicatorRow) -> Estimate | None:
        return _scaled(energy_ratio(before, after), after.row[column], before.row[column])

    return level, ratio


def _energy_unit(kwh: float) -> tuple[float, str]:
    """kWh up to 10 MWh, as with masses: a larger unit would drop digits that the interval still shows."""
    return (1.0, "kWh") if 1 <= abs(kwh) < 10_000 else energy_unit(kwh)


def _count_unit(value: float) -> tuple[float, str]:
    return (1e6, "million") if abs(value) >= 1e6 else (1.0, "")


ENERGY = Measure(
    "energy_kwh",
    tr("Énergie", "Energy"),
    "kWh",
    "E = (active + idle + host) x PUE",
    _energy,
    energy_ratio,
    display_unit=_energy_unit,
)
IT_ENERGY = Measure(
    "it_energy_kwh",
    tr("dont équipements informatiques", "of which IT equipment"),
    "kWh",
    "energy_kwh - facility_kwh",
    _it,
    _it_ratio,
    display_unit=_energy_unit,
)
LOCATION = Measure(
    "co2e_location_g",
    tr("CO₂e selon le lieu", "CO₂e, location-based"),
    "gCO2e",
    "O = E x I",
    _grams,
    _grams_ratio,
    display_unit=mass_unit,
)
MARKET = Measure(
    "co2e_market_g",
    tr("CO₂e selon le marché", "CO₂e, market-based"),
    "gCO2e",
    "E x factor of the contract",
    _market,
    _market_ratio,
    display_unit=mass_unit,
)
EMBODIED = Measure(
    "embodied_g",
    tr("CO₂e de fabrication", "CO₂e, embodied"),
    "gCO2e",
    "M = TE x TiR / EL",
    _embodied,
    _embodied_ratio,
    display_unit=mass_unit,
)
REQUESTS = Measure(
    "requests",
    tr("Requêtes", "Requests"),
    "1",
    "sum over requests that end in the period",
    *_counted("requests"),
    kind="count",
    display_unit=_count_unit,
)
TOKENS = Measure(
    "output_tokens",
    tr("Jetons produits", "Output tokens"),
    "1",
    "sum over requests that end in the period",
    *_counted("output_tokens"),
    kind="count",
    display_unit=_count_unit,
)
PER_REQUESTS = Measure(
    "wh_per_1000_requests",
    tr("Wh pour 1 000 requêtes", "Wh per 1,000 requests"),
    "Wh",
    "E / requests x 1000",
    *_per("requests"),
    kind="ratio",
)
PER_TOKENS = Measure(
    "wh_per_1000_output_tokens",
    tr("Wh pour 1 000 jetons produits", "Wh per 1,000 output tokens"),
    "Wh",
    "E / output tokens x 1000",
    *_per("output_tokens"),
    kind="ratio",
)
KEY_MEASURES: tuple[Measure, ...] = (ENERGY, IT_ENERGY, LOCATION, MARKET, EMBODIED, REQUESTS, TOKENS, PER_REQUESTS)
