"""This file says how each objective of the configuration stands in a period: kept, exceeded, or not to be told.

A budget is compared with the interval of the figure, a change with the interval of the change (in which common errors cancel):
where the interval holds the limit, nothing is claimed. A budget whose period still runs can be exceeded, and is not kept yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from footprint.calendar.periods import Period, period_at
from footprint.config import Config
from footprint.config.objectives import Objective
from footprint.core.estimate import Estimate
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.impact.uncertainty import ratio_estimate
from footprint.queries.uncertainty_budget import emissions_budget, energy_budget
from footprint.storage.database import Store

KEPT, EXCEEDED, NOT_MEASURABLE, RUNNING, UNKNOWN = "kept", "exceeded", "not measurable", "running", "unknown"
COLUMNS = (
    "objective",
    "metric",
    "unit",
    "service",
    "use_case",
    "owner",
    "period",
    "value",
    "low",
    "high",
    "limit",
    "state",
    "baseline",
    "due",
)
UNITS = {"energy_kwh": "kWh", "co2e_location_g": "gCO2e", "wh_per_1000_requests": "Wh", "requests": "1"}
WH_PER_KWH_OF_1000 = 1e6  # Wh a thousand requests, from kWh a request


@dataclass(frozen=True, slots=True)
class ObjectiveStatus:
    """One objective in one period. ``figure`` and ``limit`` are in the metric's unit, or changes (fractions)."""

    objective: Objective
    period: Period
    figure: Estimate | None
    limit: float
    state: str

    def row(self) -> dict[str, Any]:
        """As a row of COLUMNS."""
        o, figure = self.objective, self.figure
        where = dict(o.where)
        bounds: dict[str, float | None] = dict.fromkeys(("value", "low", "high"))
        if figure is not None:
            bounds = {"value": figure.value, "low": figure.low, "high": figure.high}
        return {
            "objective": o.name,
            "metric": o.metric,
            "unit": "1" if o.baseline else UNITS[o.metric],
            "service": where.get("service"),
            "use_case": where.get("use_case"),
            "owner": o.owner or None,
            "period": str(self.period),
            **bounds,
            "limit": self.limit,
            "state": self.state,
            "baseline": str(o.baseline) if o.baseline else None,
            "due": str(o.due) if o.due else None,
        }


def objective_statuses(
    store: Store, config: Config, now_us: int, period: Period | None = None, objectives: Iterable[Objective] | None = None
) -> list[ObjectiveStatus]:
    """Every objective in ``period``, or in the one of its kind that runs now; those of another length are left out."""
    found = []
    for objective in config.objectives if objectives is None else objectives:
        at = period or period_at(now_us, config.timezone, objective.months)
        if at.length == objective.months:
            found.append(objective_status(store, config, objective, at, now_us))
    return found


def objective_status(store: Store, config: Config, objective: Objective, period: Period, now_us: int) -> ObjectiveStatus:
    """One objective in one period."""
    if objective.baseline is None or objective.due is None or objective.target is None:
        limit = objective.at_most or 0.0
        figure = _metric_estimate(store, config, objective, period, now_us)
    else:
        limit = allowed_change(objective.baseline, objective.due, objective.target, period)
        figure = _metric_change(store, config, objective, objective.baseline, period, now_us)
    running = period.bounds_us(config.timezone)[1] > now_us
    return ObjectiveStatus(
        objective, period, figure, limit, objective_state(figure, limit, running=running, whole=objective.baseline is None)
    )


def allowed_change(baseline: Period, due: Period, target: float, period: Period) -> float:
    """The change that a straight line from the baseline (0) to the due period (``target``) allows in a period."""
    way = (period.periods_since(baseline)) / due.periods_since(baseline)
    return target * min(max(way, 0.0), 1.0)


def objective_state(figure: Estimate | None, limit: float, *, running: bool, whole: bool) -> str:
    """What may be claimed of a figure and its limit; ``whole`` figures (sums) still grow while their period runs."""
    if figure is None:
        return UNKNOWN
    if figure.low > limit:
        return EXCEEDED
    if running and whole:
        return RUNNING
    return KEPT if figure.high <= limit else NOT_MEASURABLE


def _objective_query(config: Config, objective: Objective, period: Period) -> Query:
    start, end = period.bounds_us(config.timezone)
    return Query(from_us=start, to_us=end, where=objective.where)


def _metric_estimate(store: Store, config: Config, objective: Objective, period: Period, now_us: int) -> Estimate | None:
    rows = run_query(store, config, _objective_query(config, objective, period), now_us).rows
    return _row_estimate(rows[0], objective.metric) if rows else None


def _row_estimate(row: dict[str, Any], metric: str) -> Estimate | None:
    if metric == "requests":
        return None if row["requests"] is None else Estimate.exactly(float(row["requests"]))
    names = ("energy_kwh", "energy_low_kwh", "energy_high_kwh")
    if metric == "co2e_location_g":
        names = ("co2e_location_g", "co2e_location_low_g", "co2e_location_high_g")
    bounds = [row[name] for name in names]
    if None in bounds:
        return None
    if metric != "wh_per_1000_requests":
        return Estimate(*bounds)
    return Estimate(*(bound / row["requests"] * WH_PER_KWH_OF_1000 for bound in bounds)) if row["requests"] else None


def _metric_change(
    store: Store, config: Config, objective: Objective, baseline: Period, period: Period, now_us: int
) -> Estimate | None:
    questions = [_objective_query(config, objective, each) for each in (baseline, period)]
    rows = [run_query(store, config, question, now_us).rows for question in questions]
    if not all(rows):
        return None
    counts = [each[0]["requests"] for each in rows]
    if objective.metric == "requests":
        return Estimate.exactly(counts[1] / counts[0] - 1) if all(counts) else None
    per_request = objective.metric == "wh_per_1000_requests"
    ask = emissions_budget if objective.metric == "co2e_location_g" else energy_budget
    before, after = (ask(store, config, question, now_us) for question in questions)
    if before is None or after is None or min(before[0], after[0]) <= 0 or (per_request and not all(counts)):
        return None
    ratio = ratio_estimate(*before, *after)
    scale = counts[0] / counts[1] if per_request else 1.0
    return Estimate(*(scale * bound - 1 for bound in (ratio.value, ratio.low, ratio.high)))
