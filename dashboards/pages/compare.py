"""Comparison of two models, services or use cases per request, and of a period with the one before."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import card, link_menu, message, scrollable, table
from dashboards.parts.change_waterfall import change_card
from dashboards.parts.filters import filter_bar, period_label
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.figures.query import BadQuery
from footprint.i18n.formatting import format_estimate, format_number
from footprint.queries.comparison import KINDS, Condition, compare, queries_by_name

PATH, TITLE = "/compare", "nav_compare"


def content(context: PageContext) -> list[Any]:
    """Choice of A and B, their comparison, and the change between periods."""
    view, language = context.view, context.view.language
    kind = view.get("kind") if view.get("kind") in KINDS else "model"
    rows = {
        row[kind]: row
        for row in context.rows(group=(kind,))
        if row["requests"] and row["energy_kwh"] and row[kind] and row[kind][0] != "("
    }
    names = sorted(rows, key=lambda name: -rows[name]["energy_kwh"])
    a = view.get("a") if view.get("a") in rows else (names[0] if names else "")
    b = view.get("b") if view.get("b") in rows else next((name for name in names if name != a), "")
    choices = html.Nav(
        [
            link_menu(
                view,
                "kind",
                translate(language, "name"),
                translate(language, kind),
                [(choice, translate(language, choice)) for choice in KINDS],
            ),
            link_menu(view, "a", translate(language, "compare_a"), a or "–", [(name, name) for name in names]),
            link_menu(view, "b", translate(language, "compare_b"), b or "–", [(name, name) for name in names]),
        ],
        className="filters",
    )
    body: list[Any] = [filter_bar(context), choices]
    if context.store is None:
        body.append(message(translate(language, "refused_title"), f"[c] {translate(language, 'compare_published')}"))
    elif not a or not b or a == b:
        body.append(message(translate(language, "compare_pick", kind=translate(language, kind).lower()), period_label(context)))
    else:
        body += _comparison(context, kind, a, b)
    body.append(change_card(context))
    return body


def _comparison(context: PageContext, kind: str, a: str, b: str) -> list[Any]:
    """Energy per request of A over that of B with its interval, and their conditions."""
    language = context.view.language
    assert context.store is not None
    queries = queries_by_name(kind, b, a, context.query())
    try:
        comparison = compare(context.store, context.config, queries, (b, a), context.now_us, anyway=True)
    except BadQuery:
        return [message(translate(language, "compare_pick", kind=translate(language, kind).lower()), period_label(context))]
    ratio = comparison.ratio
    ratio_text = format_estimate(ratio.value, ratio.low, ratio.high, language)
    title = translate(language, "compare_none", a=a, b=b)
    if comparison.measurable:
        title = translate(language, "compare_title", a=a, b=b, ratio=ratio_text.value, interval=ratio_text.interval)
    differing = [translate(language, condition.name).lower() for condition in comparison.conditions if not condition.alike]
    lead = translate(language, "compare_warn", what=", ".join(differing)) if differing else period_label(context)
    estimates = [
        format_estimate(estimate.value, estimate.low, estimate.high, language) for estimate in (comparison.b_wh, comparison.a_wh)
    ]
    per_request = [f"{text.value} {text.interval}" for text in estimates]
    rows: list[tuple[Any, ...]] = [
        (translate(language, "per_request"), *per_request, f"{ratio_text.value} {ratio_text.interval}")
    ]
    rows += [
        (
            translate(language, condition.name),
            _format_condition(condition.b, language),
            _format_condition(condition.a, language),
            _difference_label(condition, language),
        )
        for condition in comparison.conditions
    ]
    head = [translate(language, "condition"), a, b, translate(language, "difference")]
    data = [("CSV", context.api_url(group=kind))]
    conditions = card(
        translate(language, "compare_cond"),
        period_label(context),
        scrollable(table(head, rows, title), title),
        language,
        data=data,
        wide=True,
    )
    return [html.H1(title), html.P(lead, className="lead"), conditions]


def _format_condition(value: Any, language: str) -> str:
    if value is None or value == "":
        return translate(language, "unknown")
    return format_number(float(value), language) if isinstance(value, int | float) else str(value)


def _difference_label(condition: Condition, language: str) -> str:
    """How a condition of A differs from that of B, as text."""
    if condition.alike:
        return translate(language, "same")
    if condition.ratio is None:
        return translate(language, "differs_words")
    return translate(language, "differs", ratio=format_number(max(condition.ratio, 1 / condition.ratio), language))
