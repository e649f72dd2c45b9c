"""Efficiency: which model uses least energy for a use case within limits, what load and idle time cost, and avoidable energy.

``task``, ``max_s`` (response time) and ``min_score`` in the address decide what is shown; ``by`` is score or latency.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import CardFrame, PageParts, figure_frame, head_frame
from dashboards.components import Row, card, link_menu, message, page_title, table
from dashboards.parts.filters import filter_bar, period_label
from dashboards.parts.functional_units import functional_units_card
from dashboards.parts.headlines import empty_state
from dashboards.parts.service_cards import avoidable_energy_card, period_table_links, phase_card, step_size_card, svg_chart
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.charts.figures import Axis, ScatterPoint, dumbbell_chart, scatter_plot, staircase
from footprint.config import Config
from footprint.figures import Query, QueryResult
from footprint.i18n.formatting import format_bracket, format_estimate, format_number
from footprint.queries.model_comparison import alternatives, compare_models
from footprint.storage.database import Store

PATH, TITLE = "/efficiency", "nav_efficiency"
TIME_LIMITS_S, SCORE_LIMITS = (5, 10, 20, 30, 60, 120), (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)


def content(context: PageContext) -> PageParts:
    """Model choice, then energy by load and phase, then avoidable energy."""
    language = context.view.language

    def frame(name: str, build: Callable[[], Any], title: str = "", height_px: int = 560) -> CardFrame:
        def build_over_store(_total: Row) -> Any:
            return None if context.store is None else build()  # the head says that the role may not read it

        text = translate(language, title) if title else ""
        return figure_frame(context, name, build_over_store, text, height_px=height_px, kind="wide")

    return PageParts(
        [
            head_frame(translate(language, TITLE), partial(_head, context)),
            frame("selection", partial(_selection_bar, context), height_px=60),
            frame("frontier", partial(_frontier_card, context), "frame_frontier"),
            frame("alternatives", partial(_alternatives_card, context), "frame_alternatives", 300),
            frame("steps", partial(step_size_card, context), "eff_steps"),
            frame("phases", partial(phase_card, context), "eff_phases"),
            frame("units", partial(functional_units_card, context), "units_title", 200),
            # This card names use cases.
            *([frame("avoidable", partial(avoidable_energy_card, context), "eff_waste")] if context.role.sees_uses else []),
        ],
        partial(filter_bar, context),
    )


@dataclass(frozen=True, slots=True)
class _ModelChoice:
    """Models by use case within the limits of the URL, pairs of current and best model, and the use case shown, if any."""

    rows_by_use: dict[str, list[Row]]
    pairs: list[Row]
    ranked: list[str]
    task: str

    @property
    def rows(self) -> list[Row]:
        """Models of the use case shown."""
        return self.rows_by_use.get(self.task, [])


def _model_choice(context: PageContext) -> _ModelChoice:
    # The rows that the role may see are part of the question, so that roles share no answer that differs.
    visible = context.run_query(context.query(group=("use_case", "model"), view="active")).rows
    rows, pairs = context.read(_compare_models, context.query(), tuple(tuple(row.items()) for row in visible), *_limits(context))
    by_use: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_use[row["use_case"]].append(row)
    ranked = sorted(by_use, key=lambda use: (-len(by_use[use]), -sum(row["requests"] for row in by_use[use]), use))
    task = context.view.get("task") if context.view.get("task") in by_use else (ranked[0] if ranked else "")
    return _ModelChoice(by_use, pairs, ranked, task)


def _limits(context: PageContext) -> tuple[float | None, float | None]:
    """Largest response time [s] and least score of the URL."""
    return _parse_limit(context.view.get("max_s")), _parse_limit(context.view.get("min_score"))


def _compare_models(
    store: Store,
    config: Config,
    query: Query,
    visible: tuple[tuple[tuple[str, Any], ...], ...],
    max_s: float | None,
    min_score: float | None,
    now_us: int,
) -> tuple[list[Row], list[Row]]:
    """Rows of models, and pairs of current and best model."""
    answer = QueryResult([], [dict(items) for items in visible])
    rows = compare_models(store, config, query, now_us, max_s=max_s, min_score=min_score, run=lambda _: answer)
    return rows, alternatives(store, config, query, now_us, rows, score_limited=min_score is not None)


def _head(context: PageContext) -> list[Any]:
    language = context.view.language
    if context.store is None or not context.rows():
        return empty_state(context)
    choice = _model_choice(context)
    if not choice.ranked:
        return [message(translate(language, "eff_none"), period_label(context))]
    has_choice = any(len(rows) > 1 for rows in choice.rows_by_use.values())
    title = _headline(choice.pairs, has_choice, language)
    return [page_title(title), html.P(period_label(context), className="lead")]


def _parse_limit(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _quality_metric(context: PageContext, rows: list[Row]) -> str:
    """ "score" if any is known, unless the URL asks for "latency"."""
    scored = any(row["score"] is not None for row in rows)
    return "latency" if context.view.get("by") == "latency" or not scored else "score"


def _headline(pairs: list[Row], has_choice: bool, language: str) -> str:
    better = [row for row in pairs if row["measurable"] and row["ratio_low"] > 1 and not row["differs"]]
    if not better:
        return translate(language, "eff_no_better" if has_choice else "eff_alone")
    best = max(better, key=lambda row: row["current_requests"] * (row["current_wh"] - row["alternative_wh"]))
    text = format_estimate(best["ratio"], best["ratio_low"], best["ratio_high"], language)
    values = {name: best[name] for name in ("use_case", "current", "alternative")}
    return translate(language, "eff_headline", **values, ratio=text.value, interval=text.interval)


def _selection_bar(context: PageContext) -> Any:
    """Menus of use case, measure and limits; None without models."""
    view, language, choice = context.view, context.view.language, _model_choice(context)
    if not choice.ranked:
        return None
    metric = _quality_metric(context, choice.rows)
    no_limit = translate(language, "eff_no_limit")
    menus = [
        link_menu(view, "task", translate(language, "use_case"), choice.task, [(use, use) for use in choice.ranked]),
        link_menu(
            view,
            "by",
            translate(language, "eff_by"),
            translate(language, f"eff_{metric}"),
            [(measure, translate(language, f"eff_{measure}")) for measure in ("score", "latency")],
        ),
        link_menu(
            view,
            "max_s",
            translate(language, "eff_max_s"),
            _format_limit(view.get("max_s"), no_limit, " s", language),
            [("", no_limit), *((f"{limit_s}", f"{limit_s} s") for limit_s in TIME_LIMITS_S)],
        ),
    ]
    if any(row["score"] is not None for row in choice.rows):
        scores = [("", no_limit), *((f"{score:g}", format_number(score, language)) for score in SCORE_LIMITS)]
        current = _format_limit(view.get("min_score"), no_limit, "", language)
        menus.append(link_menu(view, "min_score", translate(language, "eff_min_score"), current, scores))
    attributes: dict[str, Any] = {"aria-label": translate(language, "eff_limits")}
    return html.Nav(menus, className="filters", **attributes)


def _format_limit(text: str, no_limit: str, unit: str, language: str) -> str:
    value = _parse_limit(text)
    return no_limit if value is None else f"{format_number(value, language)}{unit}"


def _frontier_card(context: PageContext) -> Any:
    """Card of Wh per response against score or response time, with the frontier of undominated models; None without any."""
    language, choice, limits = context.view.language, _model_choice(context), _limits(context)
    rows, task = choice.rows, choice.task
    if not rows:
        return None
    metric = _quality_metric(context, rows)
    column = "score" if metric == "score" else "latency_p95_s"
    bounds = ("score_low", "score_high") if metric == "score" else ("latency_low_s", "latency_high_s")
    measured = [row for row in rows if row[column] is not None]
    current = max(rows, key=lambda row: (row["requests"], row["model"]))["model"]
    within_limits = [row for row in measured if row["meets_limits"]]
    best = min(within_limits, key=lambda row: row["wh_per_response"], default=None)
    title = translate(language, "eff_frontier_none", use_case=task)
    if best is not None:
        text = format_estimate(best["wh_per_response"], best["wh_low"], best["wh_high"], language)
        title = translate(language, "eff_frontier", use_case=task, model=best["model"], wh=text.value, interval=text.interval)
    subtitle = translate(language, f"eff_frontier_{metric}", period=period_label(context))
    body: Any = html.P(translate(language, "eff_frontier_unknown"))
    if measured:
        body = svg_chart(_frontier_chart(measured, column, bounds, current, metric, limits, language), f"{title}. {subtitle}")
    columns = ("eff_wh", "interval", "eff_latency", "interval", "eff_score", "interval", "eff_undominated", "eff_meets")
    head = [translate(language, name) for name in ("model", "requests", *columns)]
    cells = [
        (
            row["model"],
            format_number(row["requests"], language),
            *_estimate_cells(row, "wh_per_response", "wh_low", "wh_high", language),
            *_estimate_cells(row, "latency_p95_s", "latency_low_s", "latency_high_s", language),
            *_estimate_cells(row, "score", "score_low", "score_high", language),
            _yes_or_no(row[f"undominated_{metric}"], language),
            _yes_or_no(row["meets_limits"], language),
        )
        for row in rows
    ]
    data = period_table_links(context, "models", use_case=task, max_s=limits[0], min_score=limits[1])
    sentences = [translate(language, "eff_frontier_note", current=current)]
    return card(
        title,
        subtitle,
        body,
        language,
        sentences=sentences,
        table=table(head, cells, title),
        data=data,
        wide=True,
        element_id="eff-frontier",
    )


def _frontier_chart(
    rows: list[Row],
    column: str,
    bounds: tuple[str, str],
    current: str,
    metric: str,
    limits: tuple[float | None, float | None],
    language: str,
) -> Any:
    undominated = f"undominated_{metric}"
    points = [
        ScatterPoint(
            row["wh_per_response"],
            row[column],
            row["model"],
            (row["wh_low"], row["wh_high"]),
            (row[bounds[0]], row[bounds[1]]),
            "more" if row["model"] == current else "data" if row[undominated] else "idle",
            row["model"] == current,
        )
        for row in rows
    ]
    low, high = min(row["wh_low"] for row in rows), max(row["wh_high"] for row in rows)
    x = Axis(max(low, high * 1e-4) / 1.5, high * 1.5, translate(language, "eff_wh"), log=True)
    y_low, y_high = min(row[bounds[0]] for row in rows), max(row[bounds[1]] for row in rows)
    padding = (y_high - y_low or abs(y_high) or 1.0) * 0.3
    y = Axis(y_low - padding, y_high + padding, translate(language, "eff_score"))
    if metric == "latency":
        y = Axis(0.0, y_high * 1.15, translate(language, "eff_latency_axis"), inverted=True)
    best = sorted((row["wh_per_response"], row[column]) for row in rows if row[undominated])
    excluded = (
        (limits[0], translate(language, "eff_too_slow"))
        if metric == "latency"
        else (limits[1], translate(language, "eff_too_poor"))
    )
    return scatter_plot(points, x, y, title="", lines=[(staircase(best, x.high), "stair")], limit=excluded, language=language)


def _estimate_cells(row: Row, value: str, low: str, high: str, language: str) -> tuple[str, str]:
    if row[value] is None:
        return translate(language, "unknown"), ""
    text = format_estimate(row[value], row[low], row[high], language)
    return text.value, text.interval


def _yes_or_no(value: bool | None, language: str) -> str:
    return "–" if value is None else translate(language, "yes" if value else "no")


def _alternatives_card(context: PageContext) -> Any:
    """Card of use cases that several models answer: current model, best measured alternative, their ratio; None without any."""
    language, pairs = context.view.language, _model_choice(context).pairs
    if not pairs:
        return None
    bars, cells = [], []
    for row in pairs:
        text = format_estimate(row["ratio"], row["ratio_low"], row["ratio_high"], language)
        ratio_text = translate(language, "eff_times", ratio=text.value, interval=text.interval)
        if not row["measurable"]:
            ratio_text = translate(language, "no_difference")
        counts = " / ".join(format_number(row[f"{which}_requests"], language) for which in ("current", "alternative"))
        bars.append({**row, "said": f"{ratio_text} · n {counts}"})
        wh = [
            format_bracket(
                format_number(row[f"{which}_wh_low"], language), format_number(row[f"{which}_wh_high"], language), language
            )
            for which in ("current", "alternative")
        ]
        cells.append(
            (
                row["use_case"],
                row["current"],
                f"{format_number(row['current_wh'], language)} {wh[0]}",
                row["alternative"],
                f"{format_number(row['alternative_wh'], language)} {wh[1]}",
                ratio_text,
                counts,
                translate(language, "eff_differs", what=row["differs"]) if row["differs"] else translate(language, "same"),
            )
        )
    better_count = sum(row["measurable"] and row["ratio_low"] > 1 and not row["differs"] for row in pairs)
    title = translate(language, "eff_alternatives", better=str(better_count), uses=str(len(pairs)))
    names = translate(language, "eff_current"), translate(language, "eff_best")
    unit = translate(language, "eff_wh")
    body = dumbbell_chart(bars, "use_case", "current_wh", "alternative_wh", "said", unit=unit, title="", legend=names)
    columns = ("use_case", "eff_current", "eff_wh", "eff_best", "eff_wh", "eff_ratio", "requests", "condition")
    head = [translate(language, name) for name in columns]
    subtitle = f"{translate(language, 'eff_alternatives_sub')} {period_label(context)}"
    return card(
        title,
        subtitle,
        svg_chart(body, f"{title}. {subtitle}"),
        language,
        sentences=[translate(language, "eff_alternatives_note")],
        table=table(head, cells, title),
        data=period_table_links(context, "alternatives"),
        wide=True,
        element_id="eff-alternatives",
    )
