"""This file divides the change of a period's emissions over its causes, with an interval for each; the sum is the change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.editions.edition_data import GroupNames, IndicatorRow, RowsByGroup
from footprint.impact.decomposition import IdleTerm, Term, decompose, decompose_idle, log_mean
from footprint.impact.uncertainty import UncertaintyBudget, ratio_estimate

CAUSES = (
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


ROUNDING_TOLERANCE = 1e-12  # of the totals: what rounding leaves is no effect


@dataclass(frozen=True, slots=True)
class ChangeEffects:
    """From ``before`` (as published, else as it is known now) to ``after``: effect and half-width (about 95 %) by cause."""

    unit: str  # gCO2e, or kWh where emissions are not known
    before: float
    after: float
    by_cause: Mapping[str, tuple[float, float]]
    published: bool  # whether ``before`` is what an edition said
    named: Mapping[str, tuple[str, ...]]  # uses that are new, or stopped


def decompose_change(
    before: IndicatorRow,
    after: IndicatorRow,
    pairs_before: RowsByGroup,
    pairs_after: RowsByGroup,
    published: float | None = None,
    timing: tuple[float, float] | None = None,
    confidential: frozenset[str] = frozenset(),
) -> ChangeEffects | None:
    """Causes of the change of two periods; None where one of them has no energy.

    Uses that began or stopped join the mix where one of them is ``confidential``: a bar of their own would tell of it.
    ``published`` is what the last edition of the period before said: what differs from it today is the first cause.
    ``timing`` are the means of a series by the hour over the yearly one, before and after, where the figure is counted so.
    """
    if not before.row["energy_kwh"] or not after.row["energy_kwh"]:
        return None
    grams = all(
        indicators.row["co2e_location_g"] is not None
        for indicators in (before, after, *pairs_before.values(), *pairs_after.values())
    )
    times = timing or (1.0, 1.0)
    sides = [_Side(pairs, grams, time) for pairs, time in zip((pairs_before, pairs_after), times, strict=True)]
    totals = [_amount(indicators, grams) * time for indicators, time in zip((before, after), times, strict=True)]
    found = _uses(*sides)
    _idle(found, *sides)
    found["unattributed"] = totals[1] - totals[0] - math.fsum(found.values())
    known = totals[0] if published is None else published
    found = {"method": totals[0] - known, **found}
    going = set(sides[0].uses) & set(sides[1].uses)
    named = {
        "new": tuple(sorted({use for _, use in set(sides[1].uses) - going})),
        "stopped": tuple(sorted({use for _, use in set(sides[0].uses) - going})),
    }
    if confidential & {*named["new"], *named["stopped"]}:
        found["mix"] += found.pop("new") + found.pop("stopped")
        named = {}
    scale = max(abs(known), abs(totals[1]))
    dust = [name for name, value in found.items() if abs(value) <= ROUNDING_TOLERANCE * scale]
    rest = math.fsum(found.pop(name) for name in dust)
    if found:  # it stays in the sum
        found[max(found, key=lambda name: abs(found[name]))] += rest
    widths = _widths(found, before, after, totals, grams=grams)
    kept = [name for name in CAUSES if name in found]
    return ChangeEffects(
        "gCO2e" if grams else "kWh",
        known,
        totals[1],
        {name: (found[name], widths[name]) for name in kept},
        published is not None,
        named,
    )


def _amount(indicators: IndicatorRow, grams: bool) -> float:
    return float(indicators.row["co2e_location_g"] if grams else indicators.row["energy_kwh"])


class _Side:
    """One period: uses and idle services that can be factored; what cannot is left to the last effect."""

    def __init__(self, pairs: RowsByGroup, grams: bool, timing: float) -> None:
        self.uses: dict[GroupNames, Term] = {}
        self.idle: dict[str, IdleTerm] = {}
        self.present = {
            names for names, indicators in pairs.items() if indicators.row["requests"] or indicators.row["energy_kwh"]
        }
        for names, indicators in sorted(pairs.items()):
            energy, it = (
                indicators.row["energy_kwh"] or 0.0,
                indicators.it_kwh if indicators.row["energy_kwh"] is not None else 0.0,
            )
            amount = _amount(indicators, grams) if energy > 0 else 0.0
            if min(energy, it, amount) <= 0:
                continue
            pue, intensity = energy / it, amount / energy
            service, use_case = names
            if use_case == IDLE_NAME and indicators.known_h > 0:
                self.idle[service] = IdleTerm(indicators.known_h, it * 1000 / indicators.known_h, pue, intensity, timing)
            elif use_case not in (IDLE_NAME, UNATTRIBUTED_NAME) and indicators.row["requests"]:
                tokens = indicators.row["output_tokens"] or indicators.row["requests"]  # untold: length is not told apart
                self.uses[names] = Term(indicators.row["requests"], tokens, it, pue, intensity, timing)


def _uses(before: _Side, after: _Side) -> dict[str, float]:
    """Effects of uses; one that is there in both and can be factored in one only is in neither."""
    halves = {n for n in set(before.uses) ^ set(after.uses) if n in before.present and n in after.present}
    sides = [{name: term for name, term in side.uses.items() if name not in halves} for side in (before, after)]
    return decompose(*({"\0".join(name): term for name, term in side.items()} for side in sides))


def _idle(found: dict[str, float], before: _Side, after: _Side) -> None:
    """Add what services draw while they wait: hours and power are one effect, the rest joins that of the uses."""
    mine = decompose_idle(before.idle, after.idle)
    found["idle"] = mine["idle_hours"] + mine["idle_power"]
    for name in ("overhead", "grid", "timing", "new", "stopped"):
        found[name] += mine[name]


def _widths(
    found: Mapping[str, float], before: IndicatorRow, after: IndicatorRow, totals: list[float], *, grams: bool
) -> dict[str, float]:
    """Half-widths: how sure the level is, and, of what an error that drifts would look like, how sure the drift is."""
    level = _relative(after.grams if grams else after.energy, totals[1])
    weight = log_mean(totals[1], totals[0])
    energies = before.row["energy_kwh"], after.row["energy_kwh"]
    drifts = {
        "efficiency": _drift(before.energy.filtered(without=("pue ",)), after.energy.filtered(without=("pue ",)), *energies),
        "overhead": _drift(before.energy.filtered(only=("pue ",)), after.energy.filtered(only=("pue ",)), *energies),
        "grid": _drift(before.grams.filtered(only=("factor ",)), after.grams.filtered(only=("factor ",)), *totals)
        if grams
        else 0.0,
    }
    return {name: math.hypot(effect * level, weight * drifts.get(name, 0.0)) for name, effect in found.items()}


def _relative(budget: UncertaintyBudget, value: float) -> float:
    low, high = budget.interval(value)
    return (high - low) / 2 / value if value > 0 else 0.0


def _drift(before: UncertaintyBudget, after: UncertaintyBudget, was: float, now: float) -> float:
    if was <= 0 or now <= 0:
        return 0.0
    ratio = ratio_estimate(was, before, now, after)
    return (ratio.high - ratio.low) / 2 / ratio.value
