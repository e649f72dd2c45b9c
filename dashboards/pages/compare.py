"""Comparison of two models, services or use cases per request, and of a period with the one before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import CardFrame, PageParts, head_frame
from dashboards.components import card, link_menu, message, page_title, scrollable, table
from dashboards.parts.change_waterfall import change_card
from dashboards.parts.filters import filter_bar, period_label
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.access import AccessRefused
from footprint.config import Config
from footprint.figures.query import BadQuery, Query
from footprint.i18n.formatting import format_estimate, format_number
from footprint.queries.comparison import KINDS, Comparison, Condition, compare, queries_by_name
from footprint.storage.database import Store

PATH, TITLE = "/compare", "nav_compare"


def content(context: PageContext) -> PageParts:
    """Choice of A and B, their comparison, and the change between periods."""
    language = context.view.language
    return PageParts(
        [
            CardFrame("choices", partial(_choices_bar, context), height_px=60),
            head_frame(translate(language, TITLE), partial(_head, context)),
            CardFrame("conditions", partial(_conditions_card, context), translate(language, "compare_cond"), kind="wide"),
            CardFrame("change", partial(change_card, context), translate(language, "change_of_what"), kind="wide"),
        ],
        partial(filter_bar, context),
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is compared; an empty name where there is nothing to choose."""

    kind: str
    names: list[str]
    a: str
    b: str


def _choice(context: PageContext) -> _Choice:
    view = context.view
    kind = view.get("kind") if view.get("kind") in KINDS else "model"
    rows = {
        row[kind]: row
        for row in context.rows(group=(kind,))
        if row["requests"] and row["energy_kwh"] and row[kind] and row[kind][0] != "("
    }
    names = sorted(rows, key=lambda name: -rows[name]["energy_kwh"])
    a = view.get("a") if view.get("a") in rows else (names[0] if names else "")
    b = view.get("b") if view.get("b") in rows else next((name for name in names if name != a), "")
    return _Choice(kind, names, a, b)


def _choices_bar(context: PageContext) -> Any:
    """Menus of what is compared; None if the head of the page says why there is nothing."""
    view, language = context.view, context.view.language
    try:
        choice = _choice(context)
    except AccessRefused:
        return None
    names = [(name, name) for name in choice.names]
    kinds = [(kind, translate(language, kind)) for kind in KINDS]
    return html.Nav(
        [
            link_menu(view, "kind", translate(language, "name"), translate(language, choice.kind), kinds),
            link_menu(view, "a", translate(language, "compare_a"), choice.a or "–", names),
            link_menu(view, "b", translate(language, "compare_b"), choice.b or "–", names),
        ],
        className="filters",
    )


def _head(context: PageContext) -> Any:
    language, choice = context.view.language, _choice(context)
    if context.store is None:
        return message(translate(language, "refused_title"), f"[c] {translate(language, 'compare_published')}")
    comparison = _comparison(context, choice)
    if comparison is None:
        kind = translate(language, choice.kind).lower()
        return message(translate(language, "compare_pick", kind=kind), period_label(context))
    ratio = comparison.ratio
    title = translate(language, "compare_none", a=choice.a, b=choice.b)
    if comparison.measurable:
        text = format_estimate(ratio.value, ratio.low, ratio.high, language)
        title = translate(language, "compare_title", a=choice.a, b=choice.b, ratio=text.value, interval=text.interval)
    differing = [translate(language, condition.name).lower() for condition in comparison.conditions if not condition.alike]
    lead = translate(language, "compare_warn", what=", ".join(differing)) if differing else period_label(context)
    return [page_title(title), html.P(lead, className="lead")]


def _comparison(context: PageContext, choice: _Choice) -> Comparison | None:
    """Energy per request of A over that of B; None if they cannot be compared."""
    if not choice.a or not choice.b or choice.a == choice.b:
        return None
    comparison: Comparison | None = context.read(_compare, choice.kind, choice.a, choice.b, context.query())
    return comparison


def _compare(store: Store, config: Config, kind: str, a: str, b: str, query: Query, now_us: int) -> Comparison | None:
    try:
        return compare(store, config, queries_by_name(kind, b, a, query), (b, a), now_us, anyway=True)
    except BadQuery:
        return None


def _conditions_card(context: PageContext) -> Any:
    """Energy per request and conditions of A and B; None if they cannot be compared."""
    language = context.view.language
    if context.store is None:
        return None
    choice = _choice(context)
    comparison = _comparison(context, choice)
    if comparison is None:
        return None
    title, ratio = translate(language, "compare_cond"), comparison.ratio
    ratio_text = format_estimate(ratio.value, ratio.low, ratio.high, language)
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
    head = [translate(language, "condition"), choice.a, choice.b, translate(language, "difference")]
    return card(
        title,
        period_label(context),
        scrollable(table(head, rows, title), title),
        language,
        data=[("CSV", context.api_url(group=choice.kind))],
        wide=True,
    )


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
