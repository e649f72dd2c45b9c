"""Headline of a page, empty states, and the texts of changes and sources that cards share."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import Row, display_name, message, page_title
from dashboards.parts.filters import period_label, reference_label
from dashboards.parts.reference_period import compare_with_reference
from dashboards.translations import translate
from dashboards.url_state import PageContext, shows_protected_only
from footprint.access.authorization import CONFIDENTIAL
from footprint.figures import Query
from footprint.i18n.formatting import (
    energy_unit,
    format_decimals,
    format_estimate,
    format_local_time,
    format_number,
    format_percent,
)

FIRST_IMPORT = "footprint import requests --as litellm spend.jsonl"


def empty_state(context: PageContext) -> list[Any]:
    """Message for a store without figures (first steps) or a period without readings."""
    language = context.view.language
    total = context.run_query(Query()).rows
    if not total:
        return [message(translate(language, "empty_title"), translate(language, "empty")), first_steps(language)]
    last = format_local_time(total[0]["period_end"], context.config.timezone, language)
    if shows_protected_only(context.role, context.view):
        return [message(translate(language, "empty_period"), translate(language, "empty_period_protected", last=last))]
    return [
        message(translate(language, "empty_period"), translate(language, "empty_period_text", last=last)),
        html.P(html.A(translate(language, "to_all"), href=context.view.link(period="all", **{"from": "", "to": ""}))),
        html.P([translate(language, "check_sensors"), " ", html.Code("footprint doctor")]),
    ]


def first_steps(language: str) -> html.Ol:
    """First steps with a new store: three commands to copy."""
    steps = (("first_sensors", "footprint doctor"), ("first_agent", "footprint-agent run"), ("first_requests", FIRST_IMPORT))
    return html.Ol(
        [html.Li([html.P(translate(language, key)), html.Pre(html.Code(text))]) for key, text in steps], className="steps"
    )


def headline(context: PageContext, row: Row) -> list[Any]:
    """Finding and lead of a page; a change is stated only if its interval excludes no change."""
    language = context.view.language
    dates = {name: format_local_time(row[f"period_{name}"], context.config.timezone, language) for name in ("start", "end")}
    lead = translate(language, "lead", **dates, zone=str(context.config.timezone))
    if row.get("conf_status") == CONFIDENTIAL:
        return [page_title(translate(language, "headline_hidden")), html.P(translate(language, "lead_hidden"), className="lead")]
    if row["energy_kwh"] is None:
        title = translate(language, "headline_unread", requests=format_number(row["requests"] or 0, language))
        return [page_title(title), html.P(lead, className="lead")]
    _, ratio, requests = compare_with_reference(context)
    if ratio is None:
        size, unit = energy_unit(row["energy_kwh"])
        value = format_estimate(row["energy_kwh"] / size, row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language)
        key = "headline" if row["requests"] else "headline_alone"
        energy = f"{value.value}\u00a0{unit}"
        title = translate(language, key, energy=energy, requests=format_number(row["requests"] or 0, language))
        return [page_title(title), html.P(lead, className="lead")]
    if ratio.low <= 1 <= ratio.high:
        title = translate(language, "no_change")
    else:
        title = translate(
            language, "rose" if ratio.value > 1 else "fell", change=format_percent(abs(ratio.value - 1), language, floor=False)
        )
    if requests and round(requests, 2) != 1:
        more = translate(
            language,
            "with_more" if requests > 1 else "with_fewer",
            change=format_percent(abs(requests - 1), language, floor=False),
        )
        title = f"{title}, {more}"
    compared = translate(language, "compared", period=period_label(context), before=reference_label(context))
    return [page_title(title), html.P(f"{compared} {_per_request_sentence(ratio, requests, language)}".strip(), className="lead")]


def _per_request_sentence(ratio: Any, requests: float | None, language: str) -> str:
    """Change in energy per request as a sentence; empty without requests."""
    if not requests:
        return ""
    value, low, high = (bound / requests - 1 for bound in (ratio.value, ratio.low, ratio.high))
    if low <= 0 <= high:
        return translate(language, "each_same")
    return translate(
        language,
        "each_more" if value > 0 else "each_less",
        change=format_percent(abs(value), language, floor=False),
        interval=format_percent_interval(low, high, language),
    )


def format_percent_interval(low: float, high: float, language: str) -> str:
    """Interval of a relative change, in signed whole percent."""
    separator = "\u202f;\u00a0" if language == "fr" else "\u00a0to\u00a0"
    return f"[{format_percent_change(low, language)}{separator}{format_percent_change(high, language)}]"


def format_percent_change(share: float, language: str) -> str:
    """Relative change in signed whole percent, without the percent sign."""
    text = format_decimals(share * 100, 0, language)
    return f"+{text}" if round(share * 100) > 0 else text


def largest_shares_title(rows: list[Row], column: str, language: str, fallback: str) -> str:
    """Finding that names the largest rows and their share; ``fallback`` if a row is suppressed or there is no energy."""
    if any(row.get("conf_status") == CONFIDENTIAL for row in rows):
        return fallback
    ranked = sorted(
        (r for r in rows if r["energy_kwh"] and r[column] and not r[column].startswith("(")), key=lambda r: -r["energy_kwh"]
    )
    total = sum(row["energy_kwh"] or 0.0 for row in rows)
    if not ranked or total <= 0:
        return fallback
    first = display_name(ranked[0][column], language)
    if column == "use_case":  # use cases are phrases; names of services, models and hosts keep their case
        first = first[:1].upper() + first[1:]
    if len(ranked) < 3:
        return translate(
            language, "share_one", first=first, share=format_percent(ranked[0]["energy_kwh"] / total, language, floor=False)
        )
    share = (ranked[0]["energy_kwh"] + ranked[1]["energy_kwh"]) / total
    second = display_name(ranked[1][column], language)
    return translate(language, "share_two", first=first, second=second, share=format_percent(share, language, floor=False))


def source_line(row: Row, language: str) -> str:
    """Source of a figure: versions of method and factors."""
    return translate(language, "source", method=row["method_version"] or "–", factors=row["factor_version"] or "–")
