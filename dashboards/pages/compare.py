"""This file compares: A against B, their ratio with its interval, conditions in words; and a period with the one before."""

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
    """Two of a kind, and two periods."""
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
                [(each, translate(language, each)) for each in KINDS],
            ),
            link_menu(view, "a", translate(language, "compare_a"), a or "–", [(name, name) for name in names]),
            link_menu(view, "b", translate(language, "compare_b"), b or "–", [(name, name) for name in names]),
        ],
        className="filters",
    )
    found: list[Any] = [filter_bar(context), choices]
    if context.store is None:
        found.append(message(translate(language, "refused_title"), f"[c] {translate(language, 'compare_published')}"))
    elif not a or not b or a == b:
        found.append(message(translate(language, "compare_pick", kind=translate(language, kind).lower()), period_label(context)))
    else:
        found += _comparison(context, kind, a, b)
    found.append(change_card(context))
    return found


def _comparison(context: PageContext, kind: str, a: str, b: str) -> list[Any]:
    """A over B with its interval; what differs is said first."""
    language = context.view.language
    assert context.store is not None
    questions = queries_by_name(kind, b, a, context.query())
    try:
        found = compare(context.store, context.config, questions, (b, a), context.now_us, anyway=True)
    except BadQuery:
        return [message(translate(language, "compare_pick", kind=translate(language, kind).lower()), period_label(context))]
    ratio = found.ratio
    written = format_estimate(ratio.value, ratio.low, ratio.high, language)
    title = translate(language, "compare_none", a=a, b=b)
    if found.measurable:
        title = translate(language, "compare_title", a=a, b=b, ratio=written.value, interval=written.interval)
    warned = [translate(language, each.name).lower() for each in found.conditions if not each.alike]
    lead = translate(language, "compare_warn", what=", ".join(warned)) if warned else period_label(context)
    each = [format_estimate(wh.value, wh.low, wh.high, language) for wh in (found.b_wh, found.a_wh)]
    shown = [f"{one.value} {one.interval}" for one in each]
    told: list[tuple[Any, ...]] = [(translate(language, "per_request"), *shown, f"{written.value} {written.interval}")]
    told += [
        (
            translate(language, each.name),
            _format_condition(each.b, language),
            _format_condition(each.a, language),
            _difference_label(each, language),
        )
        for each in found.conditions
    ]
    head = [translate(language, "condition"), a, b, translate(language, "difference")]
    data = [("CSV", context.api_url(group=kind))]
    conditions = card(
        translate(language, "compare_cond"),
        period_label(context),
        scrollable(table(head, told, title), title),
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
    """Whether a condition is alike, in words."""
    if condition.alike:
        return translate(language, "same")
    if condition.ratio is None:
        return translate(language, "differs_words")
    return translate(language, "differs", ratio=format_number(max(condition.ratio, 1 / condition.ratio), language))
