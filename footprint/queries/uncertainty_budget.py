"""This file says what makes a figure uncertain, cause by cause, and how sure a change from one period to another is."""

from __future__ import annotations

from typing import Any

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import UJ_PER_KWH
from footprint.figures.engine import open_result, total_of
from footprint.figures.query import Query
from footprint.figures.row_metrics import gap_allowance
from footprint.impact.uncertainty import UncertaintyBudget, ratio_estimate
from footprint.storage.database import Store

COLUMNS = ("period_start", "period_end", "energy_kwh", "cause", "low_kwh", "high_kwh", "share_of_variance")
CHANGE_COLUMNS = ("before_kwh", "after_kwh", "ratio", "ratio_low", "ratio_high")
GAP = "gaps"


def uncertainty_budget(store: Store, config: Config, question: Query, now_us: int) -> list[dict[str, Any]]:
    """Rows by group, period and cause: half-widths of about 95 % [kWh], and the share in the variance.

    Gaps count towards high only: what was not read can only be more.
    """
    rows: list[dict[str, Any]] = []
    with open_result(store, config, question, now_us) as found:
        if found is None:
            return rows
        for (period, names), group in sorted(found.groups.items()):
            whole = found.energy_uj(group) / UJ_PER_KWH
            _, known, expected = found.times(period, group)
            budget = found.budgets(group)[0].causes()
            budget[GAP] = 0.0, max(whole, 0.0) * gap_allowance(known, expected)
            variance = sum((low * low + high * high) / 2 for low, high in budget.values())
            start, end = found.periods[period]
            fixed = {
                **dict(zip(question.group, names, strict=True)),
                "period_start": format_instant(start),
                "period_end": format_instant(end),
                "energy_kwh": whole,
            }
            ranked = sorted(budget.items(), key=lambda item: (-(item[1][0] ** 2 + item[1][1] ** 2), item[0]))
            rows += [
                {
                    **fixed,
                    "cause": cause,
                    "low_kwh": low,
                    "high_kwh": high,
                    "share_of_variance": (low * low + high * high) / 2 / variance,
                }
                for cause, (low, high) in ranked
                if low or high
            ]
    return rows


def energy_change(store: Store, config: Config, before: Query, after: Query, now_us: int) -> list[dict[str, Any]]:
    """Rows by group: energy before and after, and their ratio with its interval; what errs alike in both cancels."""
    first, second = _group_budgets(store, config, before, now_us), _group_budgets(store, config, after, now_us)
    rows = []
    for names in sorted({*first, *second}):
        (was, was_budget), (now, now_budget) = (
            first.get(names, (0.0, UncertaintyBudget())),
            second.get(names, (0.0, UncertaintyBudget())),
        )
        row: dict[str, Any] = dict.fromkeys(CHANGE_COLUMNS)
        row |= dict(zip(after.group, names, strict=True))
        row |= {"before_kwh": was if names in first else None, "after_kwh": now if names in second else None}
        if was > 0 and now > 0:
            ratio = ratio_estimate(was, was_budget, now, now_budget)
            row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
        rows.append(row)
    return rows


def energy_budget(store: Store, config: Config, question: Query, now_us: int) -> tuple[float, UncertaintyBudget] | None:
    """Energy [kWh] of a question without groups, with its uncertainty budget; None where there is none."""
    total = total_of(store, config, question, now_us)
    return None if total is None else (total.energy_kwh, total.energy)


def emissions_budget(store: Store, config: Config, question: Query, now_us: int) -> tuple[float, UncertaintyBudget] | None:
    """Location-based emissions [g] of a question without groups, with their budget; None where a factor is missing."""
    total = total_of(store, config, question, now_us)
    return None if total is None or total.grams is None else (total.grams, total.emitted)


def _group_budgets(
    store: Store, config: Config, question: Query, now_us: int
) -> dict[tuple[str, ...], tuple[float, UncertaintyBudget]]:
    with open_result(store, config, question, now_us) as found:
        if found is None:
            return {}
        return {
            names: (found.energy_uj(group) / UJ_PER_KWH, found.budgets(group)[0])
            for (_, names), group in found.groups.items()
            if group.number >= 0
        }
