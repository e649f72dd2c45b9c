"""This file shows what energy is made of: accelerators active and idle, the rest of the host, the building."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import ASIDE, Row, block, table
from dashboards.parts.filters import period_words, reference_words
from dashboards.parts.headlines import source
from dashboards.parts.key_figures import comparable
from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.i18n.formatting import energy_unit, format_estimate, format_percent

PARTS = ("accelerator_active_kwh", "accelerator_idle_kwh", "host_kwh", "facility_kwh")
NARROW = 0.09  # a smaller share has no place for its words


def made_of(context: PageContext, whole: Row) -> Any:
    """One row a period, the order never changes; None where nothing was read."""
    language = context.view.language
    before = comparable(context)
    rows = [] if before is None else [(reference_words(context), before)]
    rows.append((period_words(context), whole))
    rows = [(name, row) for name, row in rows if row["energy_kwh"] and all((row[part] or 0.0) >= 0 for part in PARTS)]
    if not rows or rows[-1][1] is not whole:
        return None
    size, unit = energy_unit(whole["energy_kwh"])
    shares = {part: whole[part] / whole["energy_kwh"] for part in PARTS}
    beside = 1 - shares[PARTS[0]]
    title = say(language, "made_of_title", share=format_percent(beside, language, floor=False))
    body = [
        (
            name,
            *(format_estimate(row[part] / size, None, None, language).value for part in PARTS),
            format_estimate(row["energy_kwh"] / size, None, None, language).value,
        )
        for name, row in rows
    ]
    head = [say(language, "period"), *(f"{say(language, part)}, {unit}" for part in PARTS), say(language, "sum")]
    key = [
        html.Span([html.Span(className=f"swatch part {part}", **ASIDE), say(language, part)], className="key") for part in PARTS
    ]
    drawn = [_row(name, row, language, now=row is whole) for name, row in rows]
    return block(
        title,
        say(language, "made_of_sub"),
        [*drawn, html.P(key, className="keys")],
        language,
        table=table(head, body, title),
        data=[(form.upper(), context.data(form)) for form in ("csv", "json", "parquet")],
        source=source(whole, language),
    )


def _row(name: str, row: Row, language: str, *, now: bool) -> html.Div:
    shares = [(part, row[part] / row["energy_kwh"]) for part in PARTS]
    drawn = [html.Div(className=f"part {part}", style={"flex": f"{share:.4f} 0 0"}) for part, share in shares]
    words = [
        html.Span(format_percent(share, language, floor=False) if share >= NARROW else "", style={"flex": f"{share:.4f} 0 0"})
        for _, share in shares
    ]
    return html.Div(
        [html.Span(name), html.Div(drawn, className="parts", **ASIDE), html.Div(words, className="parts-words")],
        className=f"parts-row {'now' if now else ''}".strip(),
    )
