"""Key figures: value, interval, quality, and change against the reference period."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import Row, interval_ruler, key_figure, quality_badge
from dashboards.parts.filters import reference_label
from dashboards.parts.headlines import format_percent_change, format_percent_interval
from dashboards.parts.reference_period import compare_with_reference
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.core.estimate import Estimate
from footprint.i18n.formatting import energy_unit, format_estimate, format_number, mass_unit

MILLION = 1_000_000


def key_figures(context: PageContext, row: Row) -> html.Div:
    """Key figures of energy, emissions, requests, and energy per 1,000 requests, compared with the reference period."""
    before, ratio, requests = compare_with_reference(context)
    figures = [
        _energy_figure(context, row, before, ratio),
        _emissions_figure(context, row, before),
        _requests_figure(context, row, before, requests),
        _per_thousand_figure(context, row, before, ratio, requests),
    ]
    return html.Div([figure for figure in figures if figure is not None], className="cards")


def _explain_link(context: PageContext, figure: str) -> html.A:
    return html.A(translate(context.view.language, "explain"), href=context.view.link("/explain", figure=figure))


def change_text(context: PageContext, ratio: Any) -> Any:
    """Change with its interval, or the reason why there is none."""
    language = context.view.language
    if ratio is None:
        return translate(language, "no_reference" if context.role.sees_services else "reference_published")
    value = format_percent_change(ratio.value - 1, language) + ("\u202f%" if language == "fr" else "%")
    period = translate(language, "over_year" if context.view.versus == "yoy" else "over_period")
    if ratio.low == ratio.high:
        return [html.B(value), f" {period}"]
    interval = format_percent_interval(ratio.low - 1, ratio.high - 1, language)
    if ratio.low <= 1 <= ratio.high:
        return [
            html.B(value),
            f" {interval} : {translate(language, 'not_measurable')}".replace(" : ", "\u00a0: " if language == "fr" else ": "),
        ]
    return [html.B(value), f" {interval} {period}"]


def _ruler(context: PageContext, values: tuple[float, float, float], reference: float | None) -> Any:
    return interval_ruler(values[1], values[0], values[2], reference, reference_label(context))


def _energy_figure(context: PageContext, row: Row, before: Row | None, ratio: Any) -> Any:
    language = context.view.language
    if row["energy_kwh"] is None:
        return None
    size, unit = energy_unit(row["energy_kwh"])
    values = row["energy_kwh"] / size, row["energy_low_kwh"] / size, row["energy_high_kwh"] / size
    text = format_estimate(values[0], values[1], values[2], language)
    ruler = _ruler(context, values, before["energy_kwh"] / size if before else None)
    badge = quality_badge(row["quality"], language)
    return key_figure(
        translate(language, "energy"),
        text.value,
        unit,
        text.interval,
        badge,
        ruler,
        change_text(context, ratio),
        _explain_link(context, "energy_kwh"),
    )


def _emissions_figure(context: PageContext, row: Row, before: Row | None) -> Any:
    language = context.view.language
    if row["co2e_location_g"] is None:
        return None
    size, unit = mass_unit(row["co2e_location_g"])
    values = row["co2e_location_g"] / size, row["co2e_location_low_g"] / size, row["co2e_location_high_g"] / size
    text = format_estimate(values[0], values[1], values[2], language)
    reference = before["co2e_location_g"] / size if before and before["co2e_location_g"] is not None else None
    ratio = compare_with_reference(context, emissions=True)[1] if reference else None
    return key_figure(
        translate(language, "co2e"),
        text.value,
        unit,
        text.interval,
        quality_badge(row["quality"], language),
        _ruler(context, values, reference),
        change_text(context, ratio),
        _explain_link(context, "co2e_location_g"),
    )


def _requests_figure(context: PageContext, row: Row, before: Row | None, requests: float | None) -> Any:
    language = context.view.language
    if not row["requests"]:
        return None
    count = row["requests"]
    in_millions = count >= MILLION
    value = format_number(count / MILLION, language) if in_millions else format_number(count, language, 9)
    exact = (
        translate(language, "exact_count", count=format_number(count, language, 9))
        if in_millions
        else translate(language, "exact")
    )
    unit = translate(language, "million") if in_millions else ""
    reference = before["requests"] if before and before["requests"] else None
    ruler = _ruler(context, (count, count, count), reference) if reference else None
    change = Estimate.exactly(requests) if requests else None
    return key_figure(
        translate(language, "requests"),
        value,
        unit,
        exact,
        quality_badge("A", language, translate(language, "counted_word")),
        ruler,
        change_text(context, change),
        _explain_link(context, "requests"),
    )


def _per_thousand_figure(context: PageContext, row: Row, before: Row | None, ratio: Any, requests: float | None) -> Any:
    language = context.view.language
    if not row["requests"] or row["energy_kwh"] is None:
        return None
    wh_per_kwh = 1e6 / row["requests"]
    values = row["energy_kwh"] * wh_per_kwh, row["energy_low_kwh"] * wh_per_kwh, row["energy_high_kwh"] * wh_per_kwh
    text = format_estimate(values[0], values[1], values[2], language)
    reference = 1e6 * before["energy_kwh"] / before["requests"] if before and before["requests"] else None
    change = None
    if ratio is not None and requests:
        change = Estimate(ratio.value / requests, ratio.low / requests, ratio.high / requests)
    return key_figure(
        translate(language, "per_thousand"),
        text.value,
        "Wh",
        text.interval,
        quality_badge(row["quality"], language),
        _ruler(context, values, reference),
        change_text(context, change),
        _explain_link(context, "wh_thousand"),
    )
