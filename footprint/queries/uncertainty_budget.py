"""Uncertainty budget of a figure, cause by cause, and the uncertainty of a change between two periods."""

from __future__ import annotations

from typing import Any

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.core.units import UJ_PER_KWH
from footprint.figures.engine import open_result, query_total
from footprint.figures.query import Query
from footprint.figures.row_metrics import gap_allowance
from footprint.impact.uncertainty import UncertaintyBudget, ratio_estimate
from footprint.storage.database import Store

COLUMNS = ("period_start", "period_end", "energy_kwh", "cause", "low_kwh", "high_kwh", "share_of_variance")
CHANGE_COLUMNS = ("before_kwh", "after_kwh", "ratio", "ratio_low", "ratio_high")
GAP = "gaps"


def uncertainty_budget(store: Store, config: Config, query: Query, now_us: int) -> list[dict[str, Any]]:
    """Uncertainty of energy by group, period and cause.

    Gaps widen the interval upwards only: unread energy can only add.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows of the groups and ``COLUMNS``: half-widths of about 95 % [kWh], share of the variance [1]; largest cause first.
    """
    rows: list[dict[str, Any]] = []
    with open_result(store, config, query, now_us) as result:
        if result is None:
            return rows
        for (period, names), group in sorted(result.groups.items()):
            energy_kwh = result.energy_uj(group) / UJ_PER_KWH
            _, known, expected = result.times(period, group)
            budget = result.budgets(group)[0].causes()
            budget[GAP] = 0.0, max(energy_kwh, 0.0) * gap_allowance(known, expected)
            variance = sum((low * low + high * high) / 2 for low, high in budget.values())
            start, end = result.periods[period]
            fixed = {
                **dict(zip(query.group, names, strict=True)),
                "period_start": format_instant(start),
                "period_end": format_instant(end),
                "energy_kwh": energy_kwh,
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
    """Energy of two periods by group, and their ratio with its interval; common errors cancel.

    Parameters
    ----------
    before, after : Query
        Queries with the same groups.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows of the groups and ``CHANGE_COLUMNS``: energies [kWh], ratio after over before [1]. A missing period is None.
    """
    first, second = _group_budgets(store, config, before, now_us), _group_budgets(store, config, after, now_us)
    rows = []
    for names in sorted({*first, *second}):
        (before_kwh, before_budget), (after_kwh, after_budget) = (
            first.get(names, (0.0, UncertaintyBudget())),
            second.get(names, (0.0, UncertaintyBudget())),
        )
        row: dict[str, Any] = dict.fromkeys(CHANGE_COLUMNS)
        row |= dict(zip(after.group, names, strict=True))
        row |= {"before_kwh": before_kwh if names in first else None, "after_kwh": after_kwh if names in second else None}
        if before_kwh > 0 and after_kwh > 0:
            ratio = ratio_estimate(before_kwh, before_budget, after_kwh, after_budget)
            row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
        rows.append(row)
    return rows


def energy_budget(store: Store, config: Config, query: Query, now_us: int) -> tuple[float, UncertaintyBudget] | None:
    """Energy [kWh] of a query without groups, with its uncertainty budget; None without data."""
    total = query_total(store, config, query, now_us)
    return None if total is None else (total.energy_kwh, total.energy)


def emissions_budget(store: Store, config: Config, query: Query, now_us: int) -> tuple[float, UncertaintyBudget] | None:
    """Location-based emissions [g] of a query without groups, with their budget; None if a factor is missing."""
    total = query_total(store, config, query, now_us)
    return None if total is None or total.grams is None else (total.grams, total.emitted)


def _group_budgets(
    store: Store, config: Config, query: Query, now_us: int
) -> dict[tuple[str, ...], tuple[float, UncertaintyBudget]]:
    with open_result(store, config, query, now_us) as result:
        if result is None:
            return {}
        return {
            names: (result.energy_uj(group) / UJ_PER_KWH, result.budgets(group)[0])
            for (_, names), group in result.groups.items()
            if group.number >= 0
        }
