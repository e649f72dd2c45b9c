"""Row metrics: the figures of one row from its sums and counts: kWh, grams, bounds, quality and flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.core.assumptions import assumption
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import kwh_from_uj

QUALITY_SHARE = 0.10  # share of a row's energy above which a quality letter applies to the row
_PARTS = {
    "accelerator_active_kwh": "active_uj",
    "accelerator_idle_kwh": "idle_uj",
    "host_kwh": "host_uj",
    "facility_kwh": "facility_uj",
}
IMPACTS = ("co2e_market_g", "embodied_g", "water_l", "adpe_kgsb", "primary_energy_mj", "cost_eur")


def requests_figures(counts: Iterable[Sequence[int | None]]) -> dict[str, int | None]:
    """Sums of requests and tokens; None if all values are unknown, 0 without rows."""
    rows = list(counts)
    sums: dict[str, int | None] = {}
    for index, name in enumerate(COUNT_COLUMNS):
        known = [row[index] for row in rows if row[index] is not None]
        sums[name] = sum(x for x in known if x is not None) if known or not rows else None
    return sums


def figures_from_sums(
    total: dict[str, int],
    grams: float | None,
    half: tuple[tuple[float, float], tuple[float, float]],
    impacts: dict[str, float | None],
    versions: tuple[set[str], set[str]],
    allowance: float,
) -> dict[str, Any]:
    """Figures of one row from its sums.

    Parameters
    ----------
    total
        Sums of AMOUNTS [µJ, µg].
    grams
        Location-based emissions [g]; None if a factor is missing.
    half
        Half-widths (low, high) of energy [kWh] and of emissions [g].
    impacts
        Impacts by column, from `GroupedMetrics.impacts`.
    versions
        Versions of the method and of the factors.
    allowance
        Energy possibly used during gaps, relative to the known energy [1]; it widens the upper bounds only.
    """
    energy_uj = sum(total[name] for name in _PARTS.values())
    figures: dict[str, Any] = {column: kwh_from_uj(total[name]) for column, name in _PARTS.items()}
    energy_kwh = kwh_from_uj(energy_uj)
    figures["energy_kwh"] = energy_kwh
    figures["energy_low_kwh"] = _towards_zero(energy_kwh - half[0][0], energy_uj)
    figures["energy_high_kwh"] = energy_kwh + half[0][1] + max(energy_kwh, 0.0) * allowance
    figures["co2e_location_g"] = grams
    if grams is not None:
        figures["co2e_location_low_g"] = _towards_zero(grams - half[1][0], grams)
        figures["co2e_location_high_g"] = grams + half[1][1] + max(grams, 0.0) * allowance
    figures["quality"] = quality_letter(total, energy_uj)
    figures |= impacts
    if not energy_uj and total["spread_b_uj"] > 0:
        # Counts without tokens: a range, and no value (their energy stands in ``(unattributed)``).
        figures |= dict.fromkeys((*_PARTS, *IMPACTS, "energy_kwh", "co2e_location_g")) | {"quality": "C"}
    figures["method_version"] = "+".join(sorted(versions[0]))
    figures["factor_version"] = "+".join(sorted(versions[1] - {""}))
    return figures


def gap_allowance(known: int, expected: int) -> float:
    """Energy possibly used during gaps, relative to the known energy [1]."""
    gap = max(expected - known, 0) / known if known > 0 else 0.0
    return gap * assumption("gap_allowance").high


def _towards_zero(low: float, value: float) -> float:
    """Energy is not negative, unless the figure itself is (a wall meter that reads less than its parts)."""
    return max(low, 0.0) if value >= 0 else low


def quality_letter(total: dict[str, int], energy_uj: int) -> str:
    """Worst letter that, together with worse ones, covers more than a tenth of the energy.

    Energy of a sensor that its witness disputes is no better than modelled, nor is a figure that may be wrong by more than a
    tenth because of what witnesses say.
    """
    if energy_uj <= 0 and total["doubt_high_uj"] > 0:
        return "C"  # nothing is known but how much it may be
    if energy_uj <= 0:
        return "A"
    assumed, modelled = total["grade_c_uj"], total["grade_b_uj"] + abs(total["modelled_uj"]) + total["disputed_uj"]
    if assumed > QUALITY_SHARE * energy_uj:
        return "C"
    doubt = max(total["doubt_low_uj"], total["doubt_high_uj"])
    return "B" if max(assumed + modelled, doubt) > QUALITY_SHARE * energy_uj else "A"


def added_by_uplift(of: dict[str, int]) -> float:
    """Energy [µJ] of a ``(host)`` row that an uplift, not a whole-server meter, added."""
    return max(of["grade_b_uj"] + of["grade_c_uj"] - abs(of["facility_uj"]), 0)


@dataclass(frozen=True, slots=True)
class DeclaredNames:
    """Names that the configuration declares, and those that need no declaration."""

    hosts: frozenset[str]
    services: frozenset[str]
    use_cases: frozenset[str]

    @classmethod
    def of(cls, config: Config) -> DeclaredNames:
        """Names declared in a configuration."""
        always_declared = {IDLE_NAME, UNATTRIBUTED_NAME, ""}
        return cls(
            frozenset(host.name for host in config.hosts),
            frozenset({service.name for service in config.services} | always_declared),
            frozenset({use_case.name for use_case in config.use_cases} | always_declared),
        )


def row_flags(declared: DeclaredNames, raised: set[str], services: set[str], use_cases: set[str], hosts: set[str]) -> list[str]:
    """Flags of a row: assumptions, and undeclared names."""
    flags = set(raised)
    if not hosts <= declared.hosts:
        flags.add("undeclared-host")
    if not services <= declared.services:
        flags.add("undeclared-service")
    if not use_cases <= declared.use_cases:
        flags.add("undeclared-use-case")
    return sorted(flags)
