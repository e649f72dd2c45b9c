"""Row metrics: the figures of one row from its cells and counts: kWh, grams, bounds, quality and flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from footprint.attribution.shard import HOST_DEVICE, IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.records import COUNT_COLUMNS
from footprint.core.units import UG_PER_G, UJ_PER_KWH, kwh_from_uj
from footprint.figures.cell_table import AMOUNTS, CellKey
from footprint.impact.operational import operational_g
from footprint.impact.uncertainty import UncertaintyBudget

Cell = tuple[CellKey, list[int]]
QUALITY_SHARE = 0.10  # share of a row's energy above which a quality letter applies to the row
_PARTS = {
    "accelerator_active_kwh": "active_uj",
    "accelerator_idle_kwh": "idle_uj",
    "host_kwh": "host_uj",
    "facility_kwh": "facility_uj",
}
_IMPACTS = ("co2e_market_g", "embodied_g", "water_l", "adpe_kgsb", "primary_energy_mj", "cost_eur")
_INDEX = {name: index for index, name in enumerate(AMOUNTS)}


def requests_figures(counts: Iterable[Sequence[int | None]]) -> dict[str, int | None]:
    """Sums of requests and tokens; None if all values are unknown, 0 without rows."""
    rows = list(counts)
    sums: dict[str, int | None] = {}
    for index, name in enumerate(COUNT_COLUMNS):
        known = [row[index] for row in rows if row[index] is not None]
        sums[name] = sum(x for x in known if x is not None) if known or not rows else None
    return sums


def energy_figures(cells: Sequence[Cell], *, known: int, expected: int, read: int, apart: bool) -> dict[str, Any]:
    """Energy, emissions, bounds and quality of one row; empty without readings.

    ``known`` and ``expected`` are device-µs: the upper bound allows for the missing time, at the mean power of the known time
    and a third more (assumption ``gap_allowance``). ``apart``: the row holds single use cases of a service, so the uncertainty of
    the split counts.
    """
    if not cells and not read:
        return {}
    total = {name: sum(amounts[_INDEX[name]] for _, amounts in cells) for name in AMOUNTS}
    energy, emitted, grams = budgets(cells, apart=apart)
    half = energy.half_widths(), emitted.half_widths()
    versions = {key.basis.method_version for key, _ in cells}, {key.basis.factor_version for key, _ in cells}
    return figures_from_sums(total, grams, half, impact_figures(cells), versions, gap_allowance(known, expected))


def figures_from_sums(
    total: dict[str, int],
    grams: float | None,
    half: tuple[tuple[float, float], tuple[float, float]],
    impacts: dict[str, float | None],
    versions: tuple[set[str], set[str]],
    allowance: float,
) -> dict[str, Any]:
    """Figures of one row from its sums; ``half`` are the half-widths of energy [kWh] and of emissions [g]."""
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

    for key, amounts in cells:
        amounts_of = dict(zip(AMOUNTS, amounts, strict=True))
        basis = key.basis
        whole_kwh = sum(amounts_of[name] for name in _PARTS.values()) / UJ_PER_KWH
        it_kwh = whole_kwh - amounts_of["facility_uj"] / UJ_PER_KWH
        add("co2e_market_g", whole_kwh, basis.market)
        add("water_l", whole_kwh, basis.water[0] if basis.water else None)
        add("water_l", it_kwh, basis.wue[0])
        add("adpe_kgsb", whole_kwh, basis.adpe_kgsb_per_kwh)
        add("primary_energy_mj", whole_kwh, basis.primary_mj_per_kwh)
        add("cost_eur", whole_kwh, basis.price_eur_per_kwh)
        embodied_g = amounts_of["embodied_ug"] / UG_PER_G
        add("embodied_g", embodied_g if basis.embodied_known else whole_kwh, 1.0 if basis.embodied_known else None)
    return sums


def gap_allowance(known: int, expected: int) -> float:
    """Energy possibly used during gaps, relative to the known energy [1]."""
    gap = max(expected - known, 0) / known if known > 0 else 0.0
    return gap * assumption("gap_allowance").high


def _towards_zero(low: float, value: float) -> float:
    """Energy is not negative, unless the figure itself is (a wall meter that reads less than its parts)."""
    return max(low, 0.0) if value >= 0 else low


def quality_letter(total: dict[str, int], energy_uj: int) -> str:
    """Worst letter that, together with worse ones, covers more than a tenth of the energy."""
    if energy_uj <= 0:
        return "A"
    assumed, modelled = total["grade_c_uj"], total["grade_b_uj"] + abs(total["modelled_uj"])
    if assumed > QUALITY_SHARE * energy_uj:
        return "C"
    return "B" if assumed + modelled > QUALITY_SHARE * energy_uj else "A"


def budgets(cells: Sequence[Cell], *, apart: bool) -> tuple[UncertaintyBudget, UncertaintyBudget, float | None]:
    """Uncertainty budgets of energy [kWh] and emissions [g], and the emissions [g]; None if a factor is missing."""
    energy, emitted = UncertaintyBudget(), UncertaintyBudget()
    grams: float | None = 0.0
    sensed = uplifted = accelerator = followed = 0.0
    for key, amounts in cells:
        amounts_by_name = dict(zip(AMOUNTS, amounts, strict=True))
        basis = key.basis
        energy_uj = sum(amounts_by_name[name] for name in _PARTS.values())
        factor = Estimate(*basis.factor) if basis.factor else None
        if factor is not None and grams is not None:
            grams += operational_g(energy_uj, factor.value)
            emitted.add(f"factor {basis.factor_id}", energy_uj / UJ_PER_KWH, factor)
        elif energy_uj:
            grams = None
        intensity = factor.value if factor else 0.0
        for cause, sensitivity_kwh, bounds in _causes(key, amounts_by_name, apart=apart):
            energy.add(cause, sensitivity_kwh, bounds)
            emitted.add(cause, sensitivity_kwh * intensity, bounds)
        it_uj = amounts_by_name["active_uj"] + amounts_by_name["idle_uj"] + amounts_by_name["host_uj"]
        accelerator += amounts_by_name["active_uj"] + amounts_by_name["idle_uj"]
        followed += amounts_by_name["host_uj"]
        if basis.component == "host":
            uplifted += added_by_uplift(amounts_by_name)
        else:
            sensed += it_uj
    if sensed > 0 and uplifted > 0:
        # Energy added by an uplift errs with the sensors that it multiplies.
        for budget in (energy, emitted):
            budget.scale("gain gpu", 1 + uplifted / sensed)
            budget.scale("gain cpu", 1 + uplifted / sensed)
            budget.scale("gain dram", 1 + uplifted / sensed)
    if accelerator > 0 and followed > 0:
        # Host energy that follows the accelerators errs with their split.
        for budget in (energy, emitted):
            budget.scale("split ", 1 + followed / accelerator)
    return energy, emitted, grams


def added_by_uplift(of: dict[str, int]) -> float:
    """Energy [µJ] of a ``(host)`` row that an uplift, not a whole-server meter, added."""
    return max(of["grade_b_uj"] + of["grade_c_uj"] - abs(of["facility_uj"]), 0)


def _causes(key: CellKey, of: dict[str, int], *, apart: bool) -> Iterable[tuple[str, float, Estimate]]:
    """(cause, sensitivity [kWh per unit of the cause], bounds) of one cell."""
    basis = key.basis
    it_kwh = (of["active_uj"] + of["idle_uj"] + of["host_uj"]) / UJ_PER_KWH
    pue = Estimate(*basis.pue)
    yield (f"pue {'assumed' if basis.pue_assumed else basis.site}"), it_kwh, pue
    if basis.component == "host":
        added = added_by_uplift(of) / UJ_PER_KWH
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
    # The split over use cases adds no error to a row that holds all of them.
    if apart and (of["spread_a_uj"] or of["spread_b_uj"]):
        ends = 0, of["spread_a_uj"], of["spread_b_uj"]
        carried = pue.value / UJ_PER_KWH
        yield f"split {key.service}", carried, Estimate(0.0, float(min(ends)), float(max(ends)))


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
