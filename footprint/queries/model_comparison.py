"""This file says what models cost and are worth: Wh per response, response time, score, and what each use case could run on.

Response times are of the latest stored requests that were answered, at most ``ENOUGH`` a service, in whole days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footprint.aggregation.request_logs import WASTED, request_keys
from footprint.attribution.shard import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
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
    question: Query,
    now_us: int,
    *,
    use_case: str = "",
    max_s: float | None = None,
    min_score: float | None = None,
    ask: RunQuery | None = None,
) -> list[Row]:
    """Rows by use case and model that answered in the period; of one use case, or of all.

    ``meets_limits`` is whether the 95th percentile of response times and the score keep the limits given; what is not known keeps
    none. ``undominated_…`` is among the models of the use case that meet them: no other takes less energy at as good a time or
    score; None where it cannot be told.
    """
    ask = ask or (lambda asked: run_query(store, config, asked, now_us))
    asked = replace(question, group=("use_case", "model"), every="all", view="active")
    if use_case:
        asked = replace(asked, where=(*asked.where, ("use_case", use_case)))
    found = [row for row in ask(asked).rows if row["requests"] and row["energy_kwh"] and _is_model_row(row)]
    times = _latencies(store, config, question, {(row["use_case"], row["model"]) for row in found}) if found else {}
    rows = [_row(config, row, times.get((row["use_case"], row["model"]), ())) for row in found]
    for row in rows:
        row["meets_limits"] = _within_limit(row["latency_p95_s"], max_s, most=True) and _within_limit(
            row["score"], min_score, most=False
        )
    for name, worth in (("undominated_latency", "latency_p95_s"), ("undominated_score", "score")):
        _mark_undominated(rows, name, worth, sign=-1.0 if worth == "latency_p95_s" else 1.0)
    return sorted(rows, key=lambda row: (row["use_case"], row["wh_per_response"], row["model"]))


def alternatives(
    store: Store, config: Config, question: Query, now_us: int, rows: list[Row], *, chosen: bool = False
) -> list[Row]:
    """Rows by use case that more than one model answers: the one that most requests took, and the best measured other one.

    The best is that of the least energy a response among those of ``models`` that meet the limits; unless a score was ``chosen``
    as limit, one whose answers are surely worse than the current model's is none. ``ratio`` is current over alternative, with its
    own interval; ``differs`` says in what the two are not comparable.
    """
    by_use: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_use[row["use_case"]].append(row)
    found = []
    for use_case, mine in sorted(by_use.items()):
        current = max(mine, key=lambda row: (row["requests"], row["model"]))
        others = [
            row for row in mine if row is not current and row["meets_limits"] and (chosen or not _surely_worse(row, current))
        ]
        if not others:
            continue
        best = min(others, key=lambda row: (row["wh_per_response"], row["model"]))
        asked = replace(question, where=(*question.where, ("use_case", use_case)), view="active")
        pair = best["model"], current["model"]
        try:
            compared = compare(store, config, queries_by_name("model", *pair, asked), pair, now_us, anyway=True)
        except BadQuery:
            continue
        found.append(_alternative(use_case, current, best, compared))
    return found


def _surely_worse(row: Row, than: Row) -> bool:
    """Whether the intervals of two scores leave no doubt."""
    return None not in (row["score_high"], than["score_low"]) and row["score_high"] < than["score_low"]


def _alternative(use_case: str, current: Row, best: Row, compared: Comparison) -> Row:
    values: Row = {"use_case": use_case, "current": current["model"], "alternative": best["model"]}
    for name, row in (("current", current), ("alternative", best)):
        values |= {f"{name}_requests": row["requests"], f"{name}_wh": row["wh_per_response"]}
        values |= {f"{name}_wh_low": row["wh_low"], f"{name}_wh_high": row["wh_high"]}
    ratio = compared.ratio
    values |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high, "measurable": compared.measurable}
    return {name: {**values, "differs": ", ".join(compared.differs) or None}[name] for name in ALTERNATIVE_COLUMNS}


def _is_model_row(row: Row) -> bool:
    return row["use_case"] not in (IDLE_NAME, UNATTRIBUTED_NAME) and bool(row["model"]) and not row["model"].startswith("(")


def _row(config: Config, row: Row, seconds: Any) -> Row:
    each = {name: 1000 * row[f"energy{end}_kwh"] / row["requests"] for name, end in _ENERGY_COLUMNS}
    time = quantile(seconds, P95)
    told = [e for e in config.evaluations if e.model == row["model"] and e.use_case in ("", row["use_case"])]
    graded = max(told, key=lambda evaluation: bool(evaluation.use_case), default=None)
    found: Row = dict.fromkeys(COLUMNS)
    found |= {name: row[name] for name in ("use_case", "model", "requests", "output_tokens")}
    found |= each | _estimate_columns("latency_p95_s", "latency_low_s", "latency_high_s", time)
    found["latency_requests"] = len(seconds)
    found |= _estimate_columns("score", "score_low", "score_high", graded.score if graded else None)
    if graded is not None:
        found |= {"score_answers": graded.answers or None, "score_source": graded.source}
    return found


_ENERGY_COLUMNS = (("wh_per_response", ""), ("wh_low", "_low"), ("wh_high", "_high"))


def _estimate_columns(value: str, low: str, high: str, of: Estimate | None) -> Row:
    return {value: None, low: None, high: None} if of is None else {value: of.value, low: of.low, high: of.high}


def _within_limit(value: float | None, limit: float | None, *, most: bool) -> bool:
    if limit is None:
        return True
    return value is not None and (value <= limit if most else value >= limit)


def _mark_undominated(rows: list[Row], name: str, worth: str, sign: float) -> None:
    by_use: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row[worth] is not None and row["meets_limits"]:
            by_use[row["use_case"]].append(row)
    for mine in by_use.values():
        best = {o.name for o in pareto_front([Option(row["model"], row["wh_per_response"], sign * row[worth]) for row in mine])}
        for row in mine:
            row[name] = row["model"] in best


def _latencies(
    store: Store, config: Config, question: Query, wanted: set[tuple[str, str]]
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Seconds from start to end of answered requests, by use case and model."""
    parts: dict[tuple[str, str], list[NDArray[np.float64]]] = defaultdict(list)
    services = {value for name, value in question.where if name == "service"}
    with store.read() as connection:
        view = LedgerView(store, connection)
        texts = view.service_days()
        for service in sorted(services & set(texts) if services else texts):
            for key, seconds in _service_latencies(view, config, question, service):
                if key in wanted:
                    parts[key].append(seconds)
    return {key: np.concatenate(each) for key, each in parts.items()}


def _service_latencies(view: LedgerView, config: Config, question: Query, service: str) -> list[tuple[tuple[str, str], Any]]:
    low = -(2**62) if question.from_us is None else question.from_us
    high = 2**62 if question.to_us is None else question.to_us
    found: list[tuple[tuple[str, str], Any]] = []
    count = 0
    for day in sorted(view.service_days()[service], reverse=True):
        begin, end = max(day * US_PER_DAY, low), min((day + 1) * US_PER_DAY, high)
        if begin >= end or count >= MAX_LATENCY_REQUESTS:
            continue
        held = view.requests(service, begin, end)
        if not len(held):
            continue
        keys, key = request_keys(view, config, service, held)
        statuses = view.store.texts(view.connection, np.unique(held.status).tolist())
        failed = [number for number, text in statuses.items() if text in WASTED]
        chosen = (held.end_us > begin) & (held.end_us <= end) & (held.requests == 1) & ~np.isin(held.status, failed)
        seconds = (held.end_us - held.start_us) / US_PER_S
        count += int(chosen.sum())
        found += [(name, seconds[chosen & (key == number)]) for number, name in enumerate(keys)]
    return found
