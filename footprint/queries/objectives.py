"""Status of each objective of the configuration in a period: kept, exceeded, or undecided.

A budget is compared with the interval of the figure, a change with the interval of the change (common errors cancel). If the
interval contains the limit, nothing is claimed. A budget whose period still runs can be exceeded, but is not kept yet.
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
WH_PER_KWH_OF_1000 = 1e6  # kWh per request -> Wh per 1000 requests


@dataclass(frozen=True, slots=True)
class ObjectiveStatus:
    """Status of an objective in a period; ``figure`` and ``limit`` in the unit of the metric, or relative changes [1]."""

    objective: Objective
    period: Period
    figure: Estimate | None
    limit: float
    state: str

    def row(self) -> dict[str, Any]:
        """A row with the columns ``COLUMNS``."""
        objective, figure = self.objective, self.figure
        where = dict(objective.where)
        bounds: dict[str, float | None] = dict.fromkeys(("value", "low", "high"))
        if figure is not None:
            bounds = {"value": figure.value, "low": figure.low, "high": figure.high}
        return {
            "objective": objective.name,
            "metric": objective.metric,
            "unit": "1" if objective.baseline else UNITS[objective.metric],
            "service": where.get("service"),
            "use_case": where.get("use_case"),
            "owner": objective.owner or None,
            "period": str(self.period),
            **bounds,
            "limit": self.limit,
            "state": self.state,
            "baseline": str(objective.baseline) if objective.baseline else None,
            "due": str(objective.due) if objective.due else None,
        }


def objective_statuses(
    store: Store, config: Config, now_us: int, period: Period | None = None, objectives: Iterable[Objective] | None = None
) -> list[ObjectiveStatus]:
    """Status of every objective.

    Parameters
    ----------
    now_us : int
        The current instant [µs, UTC].
    period : Period, optional
        Default: the current period of each objective. Objectives for periods of another length are left out.
    objectives : iterable of Objective, optional
        Default: those of the configuration.
    """
    statuses = []
    for objective in config.objectives if objectives is None else objectives:
        objective_period = period or period_at(now_us, config.timezone, objective.months)
        if objective_period.length == objective.months:
            statuses.append(objective_status(store, config, objective, objective_period, now_us))
    return statuses


def objective_status(store: Store, config: Config, objective: Objective, period: Period, now_us: int) -> ObjectiveStatus:
    """Status of one objective in a period, at ``now_us`` [µs, UTC]."""
    if objective.baseline is None or objective.due is None or objective.target is None:
        limit = objective.at_most or 0.0
        figure = _metric_estimate(store, config, objective, period, now_us)
    else:
        limit = allowed_change(objective.baseline, objective.due, objective.target, period)
        figure = _metric_change(store, config, objective, objective.baseline, period, now_us)
    running = period.bounds_us(config.timezone)[1] > now_us
    return ObjectiveStatus(
        objective, period, figure, limit, objective_state(figure, limit, running=running, is_sum=objective.baseline is None)
    )


def allowed_change(baseline: Period, due: Period, target: float, period: Period) -> float:
    """Relative change [1] that a straight line from the baseline (0) to the due period (``target``) allows in a period."""
    progress = (period.periods_since(baseline)) / due.periods_since(baseline)
    return target * min(max(progress, 0.0), 1.0)


def objective_state(figure: Estimate | None, limit: float, *, running: bool, is_sum: bool) -> str:
    """State of a figure against its limit; a sum (``is_sum``) still grows while its period runs."""
    if figure is None:
        return UNKNOWN
    if figure.low > limit:
        return EXCEEDED
    if running and is_sum:
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
    queries = [_objective_query(config, objective, result) for result in (baseline, period)]
    rows = [run_query(store, config, query, now_us).rows for query in queries]
    if not all(rows):
        return None
    counts = [result[0]["requests"] for result in rows]
    if objective.metric == "requests":
        return Estimate.exactly(counts[1] / counts[0] - 1) if all(counts) else None
    per_request = objective.metric == "wh_per_1000_requests"
    budget_of = emissions_budget if objective.metric == "co2e_location_g" else energy_budget
    before, after = (budget_of(store, config, query, now_us) for query in queries)
    if before is None or after is None or min(before[0], after[0]) <= 0 or (per_request and not all(counts)):
        return None
    ratio = ratio_estimate(*before, *after)
    scale = counts[0] / counts[1] if per_request else 1.0
    return Estimate(*(scale * bound - 1 for bound in (ratio.value, ratio.low, ratio.high)))
