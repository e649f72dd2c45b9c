"""This file compares: A against B, their ratio with its interval, conditions in words; and a period with the one before."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards import parts
from dashboards.components import block, menu, message, scrolled, table
from dashboards.translations import say
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
            menu(view, "kind", say(language, "name"), say(language, kind), [(each, say(language, each)) for each in KINDS]),
            menu(view, "a", say(language, "compare_a"), a or "–", [(name, name) for name in names]),
            menu(view, "b", say(language, "compare_b"), b or "–", [(name, name) for name in names]),
        ],
        className="filters",
    )
    found: list[Any] = [parts.filters(context), choices]
    if context.store is None:
        found.append(message(say(language, "refused_title"), f"[c] {say(language, 'compare_published')}"))
    elif not a or not b or a == b:
        found.append(message(say(language, "compare_pick", kind=say(language, kind).lower()), parts.period_words(context)))
    else:
        found += _two(context, kind, a, b)
    found.append(parts.change(context))
    return found


def _two(context: PageContext, kind: str, a: str, b: str) -> list[Any]:
    """A over B with its interval; what differs is said first."""
    language = context.view.language
    assert context.store is not None
    questions = queries_by_name(kind, b, a, context.question())
    try:
        found = compare(context.store, context.config, questions, (b, a), context.now_us, anyway=True)
    except BadQuery:
        return [message(say(language, "compare_pick", kind=say(language, kind).lower()), parts.period_words(context))]
    ratio = found.ratio
    written = format_estimate(ratio.value, ratio.low, ratio.high, language)
    title = say(language, "compare_none", a=a, b=b)
    if found.measurable:
        title = say(language, "compare_title", a=a, b=b, ratio=written.value, interval=written.interval)
    warned = [say(language, each.name).lower() for each in found.conditions if not each.alike]
    lead = say(language, "compare_warn", what=", ".join(warned)) if warned else parts.period_words(context)
    each = [format_estimate(wh.value, wh.low, wh.high, language) for wh in (found.b_wh, found.a_wh)]
    shown = [f"{one.value} {one.interval}" for one in each]
    told: list[tuple[Any, ...]] = [(say(language, "per_request"), *shown, f"{written.value} {written.interval}")]
    told += [
        (say(language, each.name), _cell(each.b, language), _cell(each.a, language), _difference(each, language))
        for each in found.conditions
    ]
    head = [say(language, "condition"), a, b, say(language, "difference")]
    data = [("CSV", context.data(group=kind))]
    card = block(
        say(language, "compare_cond"),
        parts.period_words(context),
        scrolled(table(head, told, title), title),
        language,
        data=data,
        wide=True,
    )
    return [html.H1(title), html.P(lead, className="lead"), card]


def _cell(value: Any, language: str) -> str:
    if value is None or value == "":
        return say(language, "unknown")
    return format_number(float(value), language) if isinstance(value, int | float) else str(value)


def _difference(condition: Condition, language: str) -> str:
    """Whether a condition is alike, in words."""
    if condition.alike:
        return say(language, "same")
    if condition.ratio is None:
        return say(language, "differs_words")
    return say(language, "differs", ratio=format_number(max(condition.ratio, 1 / condition.ratio), language))
