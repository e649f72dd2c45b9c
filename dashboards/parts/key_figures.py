"""This file shows key figures: value, interval, quality, where they lie against the period before, and their change."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import Row, interval_ruler, key_figure, quality_badge
from dashboards.parts.filters import reference_label
from dashboards.parts.headlines import format_percent_change, format_percent_interval
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.core.estimate import Estimate
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import energy_unit, format_estimate, format_number, mass_unit
from footprint.impact.uncertainty import ratio_estimate
from footprint.queries.uncertainty_budget import emissions_budget, energy_budget

MIN_COVERAGE = 0.5
MILLION = 1_000_000


def compare_with_reference(context: PageContext, budget: Any = energy_budget) -> tuple[Row | None, Any, float | None]:
    """(row before, ratio of energy with its interval, ratio of requests) against the period of comparison; None where unknown.

    ``budget`` answers for energy, or for emissions.
    """
    bounds = context.view.reference_bounds(context.config, context.now_us)
    before = reference_row(context)
    if before is None or bounds is None or context.store is None:
        return None, None, None
    questions = [context.query(from_us=bounds[0], to_us=bounds[1]), context.query()]
    budgets = [budget(context.store, context.config, question, context.now_us) for question in questions]
    if any(not found or found[0] <= 0 for found in budgets):
        return None, None, None
    ratio = ratio_estimate(*budgets[0], *budgets[1])
    after = context.rows()
    requests = None
    if before["requests"] and after and after[0]["requests"]:
        requests = after[0]["requests"] / before["requests"]
    return before, ratio, requests


def reference_row(context: PageContext) -> Row | None:
    """The row of the period of comparison; None where there is none, or where half of it or less was read."""
    bounds = context.view.reference_bounds(context.config, context.now_us)
    before = context.reference_rows()
    if not before or bounds is None or not before[0]["energy_kwh"]:
        return None
    late = parse_instant(before[0]["period_start"]) > bounds[0] + US_PER_DAY
    return None if before[0]["coverage"] is None or before[0]["coverage"] < MIN_COVERAGE or late else before[0]


def key_figures(context: PageContext, row: Row, before: Row | None, ratio: Any, requests: float | None) -> html.Div:
    """Energy, emissions, requests, energy of a thousand requests."""
    found = [
        _energy_figure(context, row, before, ratio),
        _emissions_figure(context, row, before),
        _requests_figure(context, row, before, requests),
        _per_thousand_figure(context, row, before, ratio, requests),
    ]
    return html.Div([each for each in found if each is not None], className="cards")


def _explain_link(context: PageContext, figure: str) -> html.A:
    return html.A(translate(context.view.language, "explain"), href=context.view.link("/explain", figure=figure))


def change_text(context: PageContext, found: Any) -> Any:
    """A change with its own interval, or that none can be measured."""
    language = context.view.language
    if found is None:
        return translate(language, "no_reference" if context.role.sees_services else "reference_published")
    value = format_percent_change(found.value - 1, language) + ("\u202f%" if language == "fr" else "%")
    over = translate(language, "over_year" if context.view.versus == "yoy" else "over_period")
    if found.low == found.high:
        return [html.B(value), f" {over}"]
    bracket = format_percent_interval(found.low - 1, found.high - 1, language)
    if found.low <= 1 <= found.high:
        return [
            html.B(value),
            f" {bracket} : {translate(language, 'not_measurable')}".replace(" : ", "\u00a0: " if language == "fr" else ": "),
        ]
    return [html.B(value), f" {bracket} {over}"]


def _ruler(context: PageContext, values: tuple[float, float, float], reference: float | None) -> Any:
    return interval_ruler(values[1], values[0], values[2], reference, reference_label(context))


def _energy_figure(context: PageContext, row: Row, before: Row | None, ratio: Any) -> Any:
    language = context.view.language
    if row["energy_kwh"] is None:
        return None
    size, unit = energy_unit(row["energy_kwh"])
    values = row["energy_kwh"] / size, row["energy_low_kwh"] / size, row["energy_high_kwh"] / size
    shown = format_estimate(values[0], values[1], values[2], language)
    drawn = _ruler(context, values, before["energy_kwh"] / size if before else None)
    mark = quality_badge(row["quality"], language)
    return key_figure(
        translate(language, "energy"),
        shown.value,
        unit,
        shown.interval,
        mark,
        drawn,
        change_text(context, ratio),
        _explain_link(context, "energy_kwh"),
    )


def _emissions_figure(context: PageContext, row: Row, before: Row | None) -> Any:
    language = context.view.language
    if row["co2e_location_g"] is None:
        return None
    size, unit = mass_unit(row["co2e_location_g"])
    values = row["co2e_location_g"] / size, row["co2e_location_low_g"] / size, row["co2e_location_high_g"] / size
    shown = format_estimate(values[0], values[1], values[2], language)
    was = before["co2e_location_g"] / size if before and before["co2e_location_g"] is not None else None
    ratio = compare_with_reference(context, emissions_budget)[1] if was else None
    return key_figure(
        translate(language, "co2e"),
        shown.value,
        unit,
        shown.interval,
        quality_badge(row["quality"], language),
        _ruler(context, values, was),
        change_text(context, ratio),
        _explain_link(context, "co2e_location_g"),
    )


def _requests_figure(context: PageContext, row: Row, before: Row | None, requests: float | None) -> Any:
    language = context.view.language
    if not row["requests"]:
        return None
    count = row["requests"]
    many = count >= MILLION
    value = format_number(count / MILLION, language) if many else format_number(count, language, 9)
    exact = translate(language, "exact_count", count=format_number(count, language, 9)) if many else translate(language, "exact")
    unit = translate(language, "million") if many else ""
    was = before["requests"] if before and before["requests"] else None
    drawn = _ruler(context, (count, count, count), was) if was else None
    moved = Estimate.exactly(requests) if requests else None
    return key_figure(
        translate(language, "requests"),
        value,
        unit,
        exact,
        quality_badge("A", language, translate(language, "counted_word")),
        drawn,
        change_text(context, moved),
        _explain_link(context, "requests"),
    )


def _per_thousand_figure(context: PageContext, row: Row, before: Row | None, ratio: Any, requests: float | None) -> Any:
    language = context.view.language
    if not row["requests"] or row["energy_kwh"] is None:
        return None
    per = 1e6 / row["requests"]
    values = row["energy_kwh"] * per, row["energy_low_kwh"] * per, row["energy_high_kwh"] * per
    shown = format_estimate(values[0], values[1], values[2], language)
    was = 1e6 * before["energy_kwh"] / before["requests"] if before and before["requests"] else None
    moved = None
    if ratio is not None and requests:
        moved = Estimate(ratio.value / requests, ratio.low / requests, ratio.high / requests)
    return key_figure(
        translate(language, "per_thousand"),
        shown.value,
        "Wh",
        shown.interval,
        quality_badge(row["quality"], language),
        _ruler(context, values, was),
        change_text(context, moved),
        _explain_link(context, "wh_thousand"),
    )
