"""Comparison of a page with its reference period: ratios of energy, emissions and requests."""

from __future__ import annotations

from typing import Any

from dashboards.answers import budgeted_total
from dashboards.components import Row
from dashboards.url_state import PageContext
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.impact.uncertainty import ratio_estimate

MIN_COVERAGE = 0.5


def compare_with_reference(context: PageContext, *, emissions: bool = False) -> tuple[Row | None, Any, float | None]:
    """Reference row, ratio of energy (or emissions) to it (an `Estimate`), and ratio of requests; None where unknown."""
    bounds = context.view.reference_bounds(context.config, context.now_us)
    before = reference_row(context)
    if before is None or bounds is None or context.store is None:
        return None, None, None
    queries = [context.query(from_us=bounds[0], to_us=bounds[1]), context.query()]
    totals = [context.read(budgeted_total, query).row for query in queries]
    if None in totals:
        return None, None, None
    (amount_before, budget_before), (amount, budget) = (
        (row.row["co2e_location_g"], row.grams) if emissions else (row.row["energy_kwh"], row.energy) for row in totals
    )
    if not amount_before or not amount or min(amount_before, amount) <= 0:
        return None, None, None
    ratio = ratio_estimate(amount_before, budget_before, amount, budget)
    requests = None
    if before["requests"] and totals[1].row["requests"]:
        requests = totals[1].row["requests"] / before["requests"]
    return before, ratio, requests


def reference_row(context: PageContext) -> Row | None:
    """Row of the reference period; None if there is none, if it starts late, or if its coverage is below one half."""
    bounds = context.view.reference_bounds(context.config, context.now_us)
    before = context.reference_rows()
    if not before or bounds is None or not before[0]["energy_kwh"]:
        return None
    late = parse_instant(before[0]["period_start"]) > bounds[0] + US_PER_DAY
    return None if before[0]["coverage"] is None or before[0]["coverage"] < MIN_COVERAGE or late else before[0]
