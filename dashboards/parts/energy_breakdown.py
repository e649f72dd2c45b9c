"""Shares of energy: accelerators active and idle, rest of the host, building."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import DECORATIVE, Row, card, table
from dashboards.parts.filters import period_label, reference_label
from dashboards.parts.headlines import source_line
from dashboards.parts.reference_period import reference_row
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.i18n.formatting import energy_unit, format_estimate, format_percent

ENERGY_COLUMNS = ("accelerator_active_kwh", "accelerator_idle_kwh", "host_kwh", "facility_kwh")
MIN_LABELLED_SHARE = 0.09  # smaller shares have no room for a label


def energy_breakdown_card(context: PageContext, total: Row) -> Any:
    """Card with one stacked bar a period, always in the same order; None without energy."""
    language = context.view.language
    before = reference_row(context)
    rows = [] if before is None else [(reference_label(context), before)]
    rows.append((period_label(context), total))
    rows = [(name, row) for name, row in rows if row["energy_kwh"] and all((row[part] or 0.0) >= 0 for part in ENERGY_COLUMNS)]
    if not rows or rows[-1][1] is not total:
        return None
    size, unit = energy_unit(total["energy_kwh"])
    shares = {part: total[part] / total["energy_kwh"] for part in ENERGY_COLUMNS}
    not_computing = 1 - shares[ENERGY_COLUMNS[0]]
    title = translate(language, "made_of_title", share=format_percent(not_computing, language, floor=False))
    body = [
        (
            name,
            *(format_estimate(row[part] / size, None, None, language).value for part in ENERGY_COLUMNS),
            format_estimate(row["energy_kwh"] / size, None, None, language).value,
        )
        for name, row in rows
    ]
    head = [
        translate(language, "period"),
        *(f"{translate(language, part)}, {unit}" for part in ENERGY_COLUMNS),
        translate(language, "sum"),
    ]
    legend = [
        html.Span([html.Span(className=f"swatch part {part}", **DECORATIVE), translate(language, part)], className="key")
        for part in ENERGY_COLUMNS
    ]
    bars = [_stacked_row(name, row, language, current=row is total) for name, row in rows]
    return card(
        title,
        translate(language, "made_of_sub"),
        [*bars, html.P(legend, className="keys")],
        language,
        table=table(head, body, title),
        data=context.data_links(),
        source=source_line(total, language),
    )


def _stacked_row(name: str, row: Row, language: str, *, current: bool) -> html.Div:
    shares = [(part, row[part] / row["energy_kwh"]) for part in ENERGY_COLUMNS]
    bars = [html.Div(className=f"part {part}", style={"flex": f"{share:.4f} 0 0"}) for part, share in shares]
    labels = [
        html.Span(
            format_percent(share, language, floor=False) if share >= MIN_LABELLED_SHARE else "",
            style={"flex": f"{share:.4f} 0 0"},
        )
        for _, share in shares
    ]
    return html.Div(
        [html.Span(name), html.Div(bars, className="parts", **DECORATIVE), html.Div(labels, className="parts-words")],
        className=f"parts-row {'now' if current else ''}".strip(),
    )
