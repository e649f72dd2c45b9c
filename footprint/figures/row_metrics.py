"""This file turns the cells and counts of one row into its figures: kWh, grams, bounds, quality and flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from footprint.aggregation.calculation_basis import CalculationBasis
from footprint.aggregation.service_day import COUNT_COLUMNS
from footprint.attribution.shard import HOST_DEVICE, IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.units import UG_PER_G, UJ_PER_KWH, kwh_from_uj
from footprint.figures.cell_table import AMOUNTS, CellKey
from footprint.impact.operational import operational_g
from footprint.impact.uncertainty import UncertaintyBudget

Cell = tuple[CellKey, list[int]]
QUALITY_SHARE = 0.10  # share of a row's energy above which a quality letter is the row's
_PARTS = {
    "accelerator_active_kwh": "active_uj",
    "accelerator_idle_kwh": "idle_uj",
    "host_kwh": "host_uj",
    "facility_kwh": "facility_uj",
}
_IMPACTS = ("co2e_market_g", "embodied_g", "water_l", "adpe_kgsb", "primary_energy_mj", "cost_eur")
_INDEX = {name: index for index, name in enumerate(AMOUNTS)}


def requests_figures(counts: Iterable[Sequence[int | None]]) -> dict[str, int | None]:
    """Sums of requests and tokens; tokens that nobody told are None, none at all is 0."""
    rows = list(counts)
    found: dict[str, int | None] = {}
    for index, name in enumerate(COUNT_COLUMNS):
        told = [row[index] for row in rows if row[index] is not None]
        found[name] = sum(x for x in told if x is not None) if told or not rows else None
    return found


def energy_figures(cells: Sequence[Cell], config: Config, *, known: int, expected: int, read: int, apart: bool) -> dict[str, Any]:
    """Energy, emissions, their bounds and quality of one row; empty where nothing was read.

    ``known`` and ``expected`` are device-µs: what lacks is allowed for in the upper bound, at the mean power of what
    was read and a third more (assumption ``gap_allowance``). ``apart``: the row holds some use cases of a service and
    not others, so that how its energy was divided counts.
    """
    if not cells and not read:
        return {}
    total = {name: sum(amounts[_INDEX[name]] for _, amounts in cells) for name in AMOUNTS}
    energy, emitted, grams = budgets(cells, apart=apart)
    half = energy.half_widths(), emitted.half_widths()
    versions = {place.basis.method_version for place, _ in cells}, {place.basis.factor_version for place, _ in cells}
    return summed_figures(total, grams, half, impact_figures(cells), versions, gap_allowance(known, expected))


def summed_figures(
    total: dict[str, int],
    grams: float | None,
    half: tuple[tuple[float, float], tuple[float, float]],
    impacts: dict[str, float | None],
    versions: tuple[set[str], set[str]],
    allowance: float,
) -> dict[str, Any]:
    """Figures of one row from its sums: ``half`` are the half-widths of energy [kWh] and of emissions [g]."""
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
        figures |= dict.fromkeys((*_PARTS, *_IMPACTS, "energy_kwh", "co2e_location_g")) | {"quality": "C"}
    figures["method_version"] = "+".join(sorted(versions[0]))
    figures["factor_version"] = "+".join(sorted(versions[1] - {""}))
    return figures


def impact_figures(cells: Sequence[Cell]) -> dict[str, float | None]:
    """Impacts beside location-based emissions; None where a fact or a factor is missing for some of the energy.

    Market-based: E x the contract's factor, with evidence only (GHG Protocol Scope 2, 2015). Water: IT x WUE + E x the
    water of power plants. ADPe and primary energy: those of the electricity. Embodied: what was spread over reserved time.
    Cost: E x a dated price, which the operator enters (kind ``electricity_price``, EUR/kWh).
    """
    sums: dict[str, float | None] = dict.fromkeys(_IMPACTS, 0.0)

    def add(name: str, amount: float, factor: float | None) -> None:
        before = sums[name]
        sums[name] = None if before is None or (factor is None and amount) else before + amount * (factor or 0.0)

    for place, amounts in cells:
        of = dict(zip(AMOUNTS, amounts, strict=True))
        basis = place.basis
        whole_kwh = sum(of[name] for name in _PARTS.values()) / UJ_PER_KWH
        it_kwh = whole_kwh - of["facility_uj"] / UJ_PER_KWH
        add("co2e_market_g", whole_kwh, basis.market)
        add("water_l", whole_kwh, basis.water[0] if basis.water else None)
        add("water_l", it_kwh, basis.wue[0])
        add("adpe_kgsb", whole_kwh, basis.adpe_kgsb_per_kwh)
        add("primary_energy_mj", whole_kwh, basis.primary_mj_per_kwh)
        add("cost_eur", whole_kwh, basis.price_eur_per_kwh)
        embodied_g = of["embodied_ug"] / UG_PER_G
        add("embodied_g", embodied_g if basis.embodied_known else whole_kwh, 1.0 if basis.embodied_known else None)
    return sums


def gap_allowance(known: int, expected: int) -> float:
    """What may have been used while nothing was read, relative to what was."""
    gap = max(expected - known, 0) / known if known > 0 else 0.0
    return gap * assumption("gap_allowance").high


def _towards_zero(low: float, value: float) -> float:
    """Energy is not negative, unless the figure itself is (a wall meter that reads less than its parts)."""
    return max(low, 0.0) if value >= 0 else low


def quality_letter(total: dict[str, int], energy_uj: int) -> str:
    """The worst letter that, with those worse, bears more than a tenth of the energy."""
    if energy_uj <= 0:
        return "A"
    assumed, modelled = total["grade_c_uj"], total["grade_b_uj"] + abs(total["modelled_uj"])
    if assumed > QUALITY_SHARE * energy_uj:
        return "C"
    return "B" if assumed + modelled > QUALITY_SHARE * energy_uj else "A"


def budgets(cells: Sequence[Cell], *, apart: bool) -> tuple[UncertaintyBudget, UncertaintyBudget, float | None]:
    """Uncertainty budgets of energy [kWh] and of emissions [g], and the emissions; None where a factor is missing."""
    energy, emitted = UncertaintyBudget(), UncertaintyBudget()
    grams: float | None = 0.0
    sensed = uplifted = accelerator = followed = 0.0
    for place, amounts in cells:
        of = dict(zip(AMOUNTS, amounts, strict=True))
        basis = place.basis
        whole = sum(of[name] for name in _PARTS.values())
        factor = Estimate(*basis.factor) if basis.factor else None
        if factor is not None and grams is not None:
            grams += operational_g(whole, factor.value)
            emitted.add(f"factor {basis.factor_id}", whole / UJ_PER_KWH, factor)
        elif whole:
            grams = None
        intensity = factor.value if factor else 0.0
        for cause, sensitivity_kwh, bounds in _causes(place, of, apart=apart):
            energy.add(cause, sensitivity_kwh, bounds)
            emitted.add(cause, sensitivity_kwh * intensity, bounds)
        it = of["active_uj"] + of["idle_uj"] + of["host_uj"]
        accelerator += of["active_uj"] + of["idle_uj"]
        followed += of["host_uj"]
        if basis.component == "host":
            uplifted += added_by_uplift(basis, of)
        else:
            sensed += it
    if sensed > 0 and uplifted > 0:
        # What an uplift adds errs with the sensors that it multiplies.
        for budget in (energy, emitted):
            budget.scale("gain gpu", 1 + uplifted / sensed)
            budget.scale("gain cpu", 1 + uplifted / sensed)
            budget.scale("gain dram", 1 + uplifted / sensed)
    if accelerator > 0 and followed > 0:
        # So does, with the split of the accelerators, the host energy that follows them.
        for budget in (energy, emitted):
            budget.scale("split ", 1 + followed / accelerator)
    return energy, emitted, grams


def added_by_uplift(basis: CalculationBasis, of: dict[str, int]) -> float:
    """Energy [µJ] of a ``(host)`` row that an uplift, not a whole-server meter, added."""
    return max(of["grade_b_uj"] + of["grade_c_uj"] - abs(of["facility_uj"]), 0)


def _causes(place: CellKey, of: dict[str, int], *, apart: bool) -> Iterable[tuple[str, float, Estimate]]:
    """(cause, sensitivity [kWh per unit of the cause], bounds) of one cell."""
    basis = place.basis
    it_kwh = (of["active_uj"] + of["idle_uj"] + of["host_uj"]) / UJ_PER_KWH
    pue = Estimate(*basis.pue)
    yield (f"pue {'assumed' if basis.pue_assumed else basis.site}"), it_kwh, pue
    if basis.component == "host":
        added = added_by_uplift(basis, of) / UJ_PER_KWH
        uplift = Estimate(*basis.uplift)
        if added and uplift.value > 1:
            name = "assumed" if basis.uplift_assumed else basis.host
            yield f"uplift {name}", added * pue.value / (uplift.value - 1), uplift
        yield f"gain {HOST_DEVICE} {basis.host}", (it_kwh - added) * pue.value, assumption("gain_host_power")
        return
    facility = abs(of["facility_uj"])
    estimated = max(of["grade_c_uj"] - (facility if basis.pue_assumed else 0), 0) / UJ_PER_KWH
    yield "gain estimate", estimated * pue.value, assumption("gain_estimate")
    kind = basis.method if basis.method in ("counter", "modelled") else "power"
    name = f"gain {basis.component} {kind} {basis.device_model}"
    yield name, (it_kwh - estimated) * pue.value, assumption(f"gain_{basis.component}_{kind}")
    # How energy is divided over use cases is no error of what holds all of them.
    if apart and (of["spread_a_uj"] or of["spread_b_uj"]):
        ends = 0, of["spread_a_uj"], of["spread_b_uj"]
        carried = pue.value / UJ_PER_KWH
        yield f"split {place.service}", carried, Estimate(0.0, float(min(ends)), float(max(ends)))


@dataclass(frozen=True, slots=True)
class DeclaredParameters:
    """Names that the configuration declares, and those that need no declaration."""

    hosts: frozenset[str]
    services: frozenset[str]
    use_cases: frozenset[str]

    @classmethod
    def of(cls, config: Config) -> DeclaredParameters:
        """Of a configuration."""
        kept = {IDLE_NAME, UNATTRIBUTED_NAME, ""}
        return cls(
            frozenset(host.name for host in config.hosts),
            frozenset({service.name for service in config.services} | kept),
            frozenset({use_case.name for use_case in config.use_cases} | kept),
        )


def flags_of(
    declared: DeclaredParameters, raised: set[str], services: set[str], use_cases: set[str], hosts: set[str]
) -> list[str]:
    """What a reader must know of a row: what was assumed, what nobody declared."""
    found = set(raised)
    if not hosts <= declared.hosts:
        found.add("undeclared-host")
    if not services <= declared.services:
        found.add("undeclared-service")
    if not use_cases <= declared.use_cases:
        found.add("undeclared-use-case")
    return sorted(found)
