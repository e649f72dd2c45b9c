"""Decomposition of the change of a period's emissions into causes, each with an interval; the effects sum to the change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.editions.edition_data import GroupNames, IndicatorRow, RowsByGroup
from footprint.impact.decomposition import IdleTerm, Term, decompose, decompose_idle, log_mean
from footprint.impact.uncertainty import UncertaintyBudget, ratio_estimate

CAUSES = (  # in the order of the waterfall
    "method",
    "volume",
    "mix",
    "length",
    "efficiency",
    "idle",
    "overhead",
    "grid",
    "timing",
    "new",
    "stopped",
    "unattributed",
)
ROUNDING_TOLERANCE = 1e-12  # relative to the totals: smaller effects are rounding errors


@dataclass(frozen=True, slots=True)
class ChangeEffects:
    """Effects from ``before`` (as published, else as known now) to ``after``: value and half-width (about 95 %) by cause."""

    unit: str  # gCO2e, or kWh if emissions are unknown
    before: float
    after: float
    by_cause: Mapping[str, tuple[float, float]]
    is_published: bool  # whether ``before`` is as published
    use_cases: Mapping[str, tuple[str, ...]]  # new and stopped use cases


def decompose_change(
    before: IndicatorRow,
    after: IndicatorRow,
    pairs_before: RowsByGroup,
    pairs_after: RowsByGroup,
    published: float | None = None,
    timing: tuple[float, float] | None = None,
    confidential: frozenset[str] = frozenset(),
) -> ChangeEffects | None:
    """Decompose the change between two periods into causes; None if one of them has no energy.

    Use cases that began or stopped join the mix if one of them is ``confidential``: a bar of its own would disclose it.
    ``published`` is the total that the last edition of the period before gave: its difference from today's is the first cause.
    ``timing`` holds, before and after, the mean of an hourly intensity series over the yearly one, if figures use hours.
    """
    if not before.row["energy_kwh"] or not after.row["energy_kwh"]:
        return None
    in_grams = all(
        indicators.row["co2e_location_g"] is not None
        for indicators in (before, after, *pairs_before.values(), *pairs_after.values())
    )
    timing_factors = timing or (1.0, 1.0)
    sides = [
        _PeriodTerms(rows_by_group, in_grams, timing_factor)
        for rows_by_group, timing_factor in zip((pairs_before, pairs_after), timing_factors, strict=True)
    ]
    totals = [
        _amount(indicators, in_grams) * timing_factor
        for indicators, timing_factor in zip((before, after), timing_factors, strict=True)
    ]
    effects = _use_case_effects(*sides)
    _add_idle_effects(effects, *sides)
    effects["unattributed"] = totals[1] - totals[0] - math.fsum(effects.values())
    published_total = totals[0] if published is None else published
    effects = {"method": totals[0] - published_total, **effects}
    in_both = set(sides[0].uses) & set(sides[1].uses)
    use_cases = {
        "new": tuple(sorted({use for _, use in set(sides[1].uses) - in_both})),
        "stopped": tuple(sorted({use for _, use in set(sides[0].uses) - in_both})),
    }
    if confidential & {*use_cases["new"], *use_cases["stopped"]}:
        effects["mix"] += effects.pop("new") + effects.pop("stopped")
        use_cases = {}
    scale = max(abs(published_total), abs(totals[1]))
    negligible = [name for name, value in effects.items() if abs(value) <= ROUNDING_TOLERANCE * scale]
    remainder = math.fsum(effects.pop(name) for name in negligible)
    if effects:  # keep the sum
        effects[max(effects, key=lambda name: abs(effects[name]))] += remainder
    widths = _half_widths(effects, before, after, totals, in_grams=in_grams)
    causes = [name for name in CAUSES if name in effects]
    return ChangeEffects(
        "gCO2e" if in_grams else "kWh",
        published_total,
        totals[1],
        {name: (effects[name], widths[name]) for name in causes},
        published is not None,
        use_cases,
    )


def _amount(indicators: IndicatorRow, in_grams: bool) -> float:
    """Emissions [gCO2e], or energy [kWh] if emissions are unknown."""
    return float(indicators.row["co2e_location_g"] if in_grams else indicators.row["energy_kwh"])


class _PeriodTerms:
    """Use cases and idle services of one period that can be factored; the others fall into the last effect."""

    def __init__(self, rows_by_group: RowsByGroup, in_grams: bool, timing: float) -> None:
        self.uses: dict[GroupNames, Term] = {}
        self.idle: dict[str, IdleTerm] = {}
        self.present = {
            names for names, indicators in rows_by_group.items() if indicators.row["requests"] or indicators.row["energy_kwh"]
        }
        for names, indicators in sorted(rows_by_group.items()):
            row = indicators.row
            energy_kwh = row["energy_kwh"] or 0.0
            it_kwh = indicators.it_kwh if row["energy_kwh"] is not None else 0.0
            amount = _amount(indicators, in_grams) if energy_kwh > 0 else 0.0
            if min(energy_kwh, it_kwh, amount) <= 0:
                continue
            pue, intensity = energy_kwh / it_kwh, amount / energy_kwh
            service, use_case = names
            if use_case == IDLE_NAME and indicators.known_h > 0:
                self.idle[service] = IdleTerm(indicators.known_h, it_kwh * 1000 / indicators.known_h, pue, intensity, timing)
            elif use_case not in (IDLE_NAME, UNATTRIBUTED_NAME) and row["requests"]:
                tokens = row["output_tokens"] or row["requests"]  # unknown tokens: no separate length effect
                self.uses[names] = Term(row["requests"], tokens, it_kwh, pue, intensity, timing)


def _use_case_effects(before: _PeriodTerms, after: _PeriodTerms) -> dict[str, float]:
    """Effects of use cases; those present in both periods but factorable in only one of them are left out."""
    one_sided = {names for names in set(before.uses) ^ set(after.uses) if names in before.present and names in after.present}
    sides = [{name: term for name, term in side.uses.items() if name not in one_sided} for side in (before, after)]
    return decompose(*({"\0".join(name): term for name, term in side.items()} for side in sides))


def _add_idle_effects(effects: dict[str, float], before: _PeriodTerms, after: _PeriodTerms) -> None:
    """Add the energy that services draw while idle: hours and power form one effect, the others join those of the use cases."""
    idle_effects = decompose_idle(before.idle, after.idle)
    effects["idle"] = idle_effects["idle_hours"] + idle_effects["idle_power"]
    for name in ("overhead", "grid", "timing", "new", "stopped"):
        effects[name] += idle_effects[name]


def _half_widths(
    effects: Mapping[str, float], before: IndicatorRow, after: IndicatorRow, totals: list[float], *, in_grams: bool
) -> dict[str, float]:
    """Half-widths by cause: uncertainty of the level and, for causes that a drifting error would resemble, of the drift."""
    level = _relative_half_width(after.grams if in_grams else after.energy, totals[1])
    weight = log_mean(totals[1], totals[0])
    energies = before.row["energy_kwh"], after.row["energy_kwh"]
    drifts = {
        "efficiency": _drift_half_width(
            before.energy.filtered(without=("pue ",)), after.energy.filtered(without=("pue ",)), *energies
        ),
        "overhead": _drift_half_width(before.energy.filtered(only=("pue ",)), after.energy.filtered(only=("pue ",)), *energies),
        "grid": _drift_half_width(before.grams.filtered(only=("factor ",)), after.grams.filtered(only=("factor ",)), *totals)
        if in_grams
        else 0.0,
    }
    return {name: math.hypot(effect * level, weight * drifts.get(name, 0.0)) for name, effect in effects.items()}


def _relative_half_width(budget: UncertaintyBudget, value: float) -> float:
    low, high = budget.interval(value)
    return (high - low) / 2 / value if value > 0 else 0.0


def _drift_half_width(before: UncertaintyBudget, after: UncertaintyBudget, was: float, now: float) -> float:
    if was <= 0 or now <= 0:
        return 0.0
    ratio = ratio_estimate(was, before, now, after)
    return (ratio.high - ratio.low) / 2 / ratio.value
