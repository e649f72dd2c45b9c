"""Scalar metrics: the figures of one row computed cell by cell, against which the array computation is checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from footprint.attribution.row_columns import HOST_DEVICE
from footprint.core.assumptions import assumption
from footprint.core.estimate import Estimate
from footprint.core.units import UG_PER_G, UJ_PER_KWH
from footprint.figures.cell_table import AMOUNTS, CellKey
from footprint.figures.metrics import SENSORS_IN_DOUBT
from footprint.figures.row_metrics import IMPACTS, added_by_uplift, figures_from_sums, gap_allowance
from footprint.impact.operational import operational_g
from footprint.impact.uncertainty import UncertaintyBudget

Cell = tuple[CellKey, list[int]]


class _Halves(NamedTuple):
    """Standard uncertainties towards low and high."""

    u_low: float
    u_high: float


_INDEX = {name: index for index, name in enumerate(AMOUNTS)}
_PARTS = ("active_uj", "idle_uj", "host_uj", "facility_uj")


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


def impact_figures(cells: Sequence[Cell]) -> dict[str, float | None]:
    """Impacts beside location-based emissions; None where a fact or a factor is missing for some of the energy.

    Market-based: E x the contract's factor, with evidence only (GHG Protocol Scope 2, 2015). Water: IT x WUE + E x the
    water of power plants. ADPe and primary energy: those of the electricity. Embodied: what was spread over reserved time.
    Cost: E x a dated price, which the operator enters (kind ``electricity_price``, EUR/kWh).
    """
    sums: dict[str, float | None] = dict.fromkeys(IMPACTS, 0.0)

    def add(name: str, amount: float, factor: float | None) -> None:
        before = sums[name]
        sums[name] = None if before is None or (factor is None and amount) else before + amount * (factor or 0.0)

    for key, amounts in cells:
        amounts_of = dict(zip(AMOUNTS, amounts, strict=True))
        basis = key.basis
        whole_kwh = sum(amounts_of[name] for name in _PARTS) / UJ_PER_KWH
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


def budgets(cells: Sequence[Cell], *, apart: bool) -> tuple[UncertaintyBudget, UncertaintyBudget, float | None]:
    """Uncertainty budgets of energy [kWh] and emissions [g], and the emissions [g]; None if a factor is missing."""
    energy, emitted = UncertaintyBudget(), UncertaintyBudget()
    grams: float | None = 0.0
    sensed = uplifted = accelerator = followed = 0.0
    for key, amounts in cells:
        amounts_by_name = dict(zip(AMOUNTS, amounts, strict=True))
        basis = key.basis
        energy_uj = sum(amounts_by_name[name] for name in _PARTS)
        factor = Estimate(*basis.factor) if basis.factor else None
        if factor is not None and grams is not None:
            grams += operational_g(energy_uj, factor.value)
            emitted.add(f"factor {basis.factor_id}", energy_uj / UJ_PER_KWH, factor)
        elif energy_uj:
            grams = None
        intensity = factor.value if factor else 0.0
        for cause, sensitivity_kwh, bounds in _causes(key, amounts_by_name, apart=apart):
            energy.add(cause, sensitivity_kwh, bounds)  # type: ignore[arg-type]
            emitted.add(cause, sensitivity_kwh * intensity, bounds)  # type: ignore[arg-type]
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


def _causes(key: CellKey, of: dict[str, int], *, apart: bool) -> Iterable[tuple[str, float, Estimate | _Halves]]:
    """(cause, sensitivity [kWh per unit of the cause], bounds) of one cell."""
    basis = key.basis
    it_kwh = (of["active_uj"] + of["idle_uj"] + of["host_uj"]) / UJ_PER_KWH
    pue = Estimate(*basis.pue)
    if of["doubt_low_uj"] or of["doubt_high_uj"]:
        yield SENSORS_IN_DOUBT, pue.value, _Halves(*(of[f"doubt_{side}_uj"] / UJ_PER_KWH / 2 for side in ("low", "high")))
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
