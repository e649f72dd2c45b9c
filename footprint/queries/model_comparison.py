"""Comparison of models by use case: Wh per response, response time, score, and the best measured alternative.

Response times come from the latest stored successful requests, at most ``MAX_LATENCY_REQUESTS`` per service, in whole days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footprint.aggregation.request_logs import WASTED, request_keys
from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.config.models import UNDECLARED
from footprint.core.estimate import Estimate
from footprint.core.units import US_PER_DAY, US_PER_S
from footprint.figures.engine import QueryResult, run_query
from footprint.figures.query import BadQuery, Query
from footprint.ledger.ledger_view import LedgerView
from footprint.queries.comparison import Comparison, compare, queries_by_name
from footprint.queries.pareto import Option, pareto_front, quantile
from footprint.storage.database import Store

COLUMNS = (
    "use_case",
    "model",
    "requests",
    "output_tokens",
    "wh_per_response",
    "wh_low",
    "wh_high",
    "latency_p95_s",
    "latency_low_s",
    "latency_high_s",
    "latency_requests",
    "score",
    "score_low",
    "score_high",
    "score_answers",
    "score_source",
    "meets_limits",
    "undominated_latency",
    "undominated_score",
)
ALTERNATIVE_COLUMNS = (
    "use_case",
    "current",
    "alternative",
    "current_requests",
    "alternative_requests",
    "current_wh",
    "current_wh_low",
    "current_wh_high",
    "alternative_wh",
    "alternative_wh_low",
    "alternative_wh_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "measurable",
    "differs",
)
MAX_LATENCY_REQUESTS = 4_000
P95 = 0.95
RunQuery = Callable[[Query], QueryResult]
Row = dict[str, Any]


def compare_models(
    store: Store,
    config: Config,
    query: Query,
    now_us: int,
    *,
    use_case: str = "",
    max_s: float | None = None,
    min_score: float | None = None,
    run: RunQuery | None = None,
) -> list[Row]:
    """Models that answered in the period, by use case.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    now_us : int
        The current instant [µs, UTC].
    use_case : str
        Restrict to one use case; empty means all.
    max_s : float, optional
        Limit of the 95th percentile of response times [s].
    min_score : float, optional
        Least score.
    run : callable, optional
        Runs the query, for example with the permissions of a reader; default `run_query`.

    Returns
    -------
    list of dict
        Rows with the columns ``COLUMNS``: energy per response [Wh] and response times [s] with about 95 % bounds, scores [1].
        ``meets_limits`` is False if a value with a limit is unknown. ``undominated_latency`` and ``undominated_score`` compare
        the models of a use case that meet the limits: True if no other model takes less energy at as good a time or score;
        None if unknown.
    """
    run = run or (lambda grouped: run_query(store, config, grouped, now_us))
    grouped = replace(query, group=("use_case", "model"), every="all", view="active")
    if use_case:
        grouped = replace(grouped, where=(*grouped.where, ("use_case", use_case)))
    measured = [row for row in run(grouped).rows if row["requests"] and row["energy_kwh"] and _is_model_row(row)]
    latencies_s = _latencies(store, config, query, {(row["use_case"], row["model"]) for row in measured}) if measured else {}
    rows = [_row(config, row, latencies_s.get((row["use_case"], row["model"]), ())) for row in measured]
    for row in rows:
        row["meets_limits"] = _within_limit(row["latency_p95_s"], max_s, is_maximum=True) and _within_limit(
            row["score"], min_score, is_maximum=False
        )
    for name, column in (("undominated_latency", "latency_p95_s"), ("undominated_score", "score")):
        _mark_undominated(rows, name, column, sign=-1.0 if column == "latency_p95_s" else 1.0)
    return sorted(rows, key=lambda row: (row["use_case"], row["wh_per_response"], row["model"]))


def alternatives(
    store: Store, config: Config, query: Query, now_us: int, rows: list[Row], *, score_limited: bool = False
) -> list[Row]:
    """The most requested model of each use case, and the best measured alternative.

    The alternative has the least energy per response of the other models that meet the limits. Without a score limit, models
    whose score is surely below that of the current model are excluded.

    Parameters
    ----------
    query : Query
        Groups, periods and filters.
    now_us : int
        The current instant [µs, UTC].
    rows : list of dict
        Rows of `compare_models`.
    score_limited : bool
        Whether the rows were computed with a score limit.

    Returns
    -------
    list of dict
        Rows by use case with the columns ``ALTERNATIVE_COLUMNS``: energies [Wh], ``ratio`` current over alternative [1] with its
        own interval; ``differs`` names the conditions in which the two are not comparable.
    """
    rows_by_use_case: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        rows_by_use_case[row["use_case"]].append(row)
    pairs = []
    for use_case, candidates in sorted(rows_by_use_case.items()):
        current = max(candidates, key=lambda row: (row["requests"], row["model"]))
        eligible = [
            row
            for row in candidates
            if row is not current and row["meets_limits"] and (score_limited or not _surely_worse(row, current))
        ]
        if not eligible:
            continue
        best = min(eligible, key=lambda row: (row["wh_per_response"], row["model"]))
        use_case_query = replace(query, where=(*query.where, ("use_case", use_case)), view="active")
        models = best["model"], current["model"]
        try:
            comparison = compare(store, config, queries_by_name("model", *models, use_case_query), models, now_us, anyway=True)
        except BadQuery:
            continue
        pairs.append(_alternative(use_case, current, best, comparison))
    return pairs


def _surely_worse(row: Row, reference: Row) -> bool:
    """Whether the interval of the score lies below that of the reference."""
    return None not in (row["score_high"], reference["score_low"]) and row["score_high"] < reference["score_low"]


def _alternative(use_case: str, current: Row, best: Row, comparison: Comparison) -> Row:
    values: Row = {"use_case": use_case, "current": current["model"], "alternative": best["model"]}
    for name, row in (("current", current), ("alternative", best)):
        values |= {f"{name}_requests": row["requests"], f"{name}_wh": row["wh_per_response"]}
        values |= {f"{name}_wh_low": row["wh_low"], f"{name}_wh_high": row["wh_high"]}
    ratio = comparison.ratio
    values |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high, "measurable": comparison.measurable}
    return {name: {**values, "differs": ", ".join(comparison.differs) or None}[name] for name in ALTERNATIVE_COLUMNS}


def _is_model_row(row: Row) -> bool:
    """Whether a row is a model's in one use case; undeclared use cases together are no use whose models can be compared."""
    return (
        row["use_case"] not in (IDLE_NAME, UNATTRIBUTED_NAME, UNDECLARED)
        and bool(row["model"])
        and not row["model"].startswith("(")
    )


def _row(config: Config, row: Row, latencies_s: Any) -> Row:
    energy = {name: 1000 * row[f"energy{suffix}_kwh"] / row["requests"] for name, suffix in _ENERGY_COLUMNS}
    latency_p95 = quantile(latencies_s, P95)
    evaluations = [e for e in config.evaluations if e.model == row["model"] and e.use_case in ("", row["use_case"])]
    best_evaluation = max(evaluations, key=lambda evaluation: bool(evaluation.use_case), default=None)
    model_row: Row = dict.fromkeys(COLUMNS)
    model_row |= {name: row[name] for name in ("use_case", "model", "requests", "output_tokens")}
    model_row |= energy | _estimate_columns("latency_p95_s", "latency_low_s", "latency_high_s", latency_p95)
    model_row["latency_requests"] = len(latencies_s)
    model_row |= _estimate_columns("score", "score_low", "score_high", best_evaluation.score if best_evaluation else None)
    if best_evaluation is not None:
        model_row |= {"score_answers": best_evaluation.answers or None, "score_source": best_evaluation.source}
    return model_row


_ENERGY_COLUMNS = (("wh_per_response", ""), ("wh_low", "_low"), ("wh_high", "_high"))


def _estimate_columns(value: str, low: str, high: str, estimate: Estimate | None) -> Row:
    return (
        {value: None, low: None, high: None}
        if estimate is None
        else {value: estimate.value, low: estimate.low, high: estimate.high}
    )


def _within_limit(value: float | None, limit: float | None, *, is_maximum: bool) -> bool:
    if limit is None:
        return True
    return value is not None and (value <= limit if is_maximum else value >= limit)


def _mark_undominated(rows: list[Row], name: str, column: str, sign: float) -> None:
    rows_by_use_case: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row[column] is not None and row["meets_limits"]:
            rows_by_use_case[row["use_case"]].append(row)
    for candidates in rows_by_use_case.values():
        best = {
            option.name
            for option in pareto_front([Option(row["model"], row["wh_per_response"], sign * row[column]) for row in candidates])
        }
        for row in candidates:
            row[name] = row["model"] in best


def _latencies(
    store: Store, config: Config, query: Query, wanted: set[tuple[str, str]]
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Response times [s] of successful requests, by use case and model."""
    parts: dict[tuple[str, str], list[NDArray[np.float64]]] = defaultdict(list)
    services = {value for name, value in query.where if name == "service"}
    with store.read() as connection:
        view = LedgerView(store, connection)
        services_with_days = view.service_days()
        for service in sorted(services & set(services_with_days) if services else services_with_days):
            for key, seconds in _service_latencies(view, config, query, service):
                if key in wanted:
                    parts[key].append(seconds)
    return {key: np.concatenate(chunks) for key, chunks in parts.items()}


def _service_latencies(view: LedgerView, config: Config, query: Query, service: str) -> list[tuple[tuple[str, str], Any]]:
    low = -(2**62) if query.from_us is None else query.from_us
    high = 2**62 if query.to_us is None else query.to_us
    latencies: list[tuple[tuple[str, str], Any]] = []
    count = 0
    for day in sorted(view.service_days()[service], reverse=True):
        begin, end = max(day * US_PER_DAY, low), min((day + 1) * US_PER_DAY, high)
        if begin >= end or count >= MAX_LATENCY_REQUESTS:
            continue
        requests = view.requests(service, begin, end)
        if not len(requests):
            continue
        keys, key = request_keys(view, config, service, requests)
        statuses = view.store.texts(view.connection, np.unique(requests.status).tolist())
        failed_statuses = [number for number, text in statuses.items() if text in WASTED]
        answered = (
            (requests.end_us > begin)
            & (requests.end_us <= end)
            & (requests.requests == 1)
            & ~np.isin(requests.status, failed_statuses)
        )
        seconds = (requests.end_us - requests.start_us) / US_PER_S
        count += int(answered.sum())
        latencies += [(name, seconds[answered & (key == number)]) for number, name in enumerate(keys)]
    return latencies
