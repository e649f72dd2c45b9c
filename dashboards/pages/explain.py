"""Lineage of a figure: definition, formula with values, facts and factors, rows by device, raw readings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards.card_frames import CardFrame, PageParts, head_frame, page_total, whole_page
from dashboards.components import Row, card, message, page_title, scrollable, table
from dashboards.pages import trace
from dashboards.parts.energy_breakdown import ENERGY_COLUMNS
from dashboards.parts.filters import filter_bar, period_label
from dashboards.parts.headlines import empty_state, source_line
from dashboards.parts.notices import balance_finding
from dashboards.translations import translate
from dashboards.url_state import FIGURES, PageContext
from footprint.access.authorization import CONFIDENTIAL
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.figures.engine import open_result
from footprint.i18n.formatting import energy_unit, format_estimate, format_interval, format_number, mass_unit
from footprint.queries.energy_balance import energy_balance
from footprint.queries.methods import METHODS

PATH, TITLE = "/explain", "explain"
_METHOD_FIGURES = {"wh_thousand": "energy_kwh"}
MAX_ROWS = 60
STEP_HEIGHT_PX = 220


def content(context: PageContext) -> PageParts:
    """One card a step; the trace page if the URL names a published figure."""
    view, language = context.view, context.view.language
    figure = view.get("figure") if view.get("figure") in FIGURES else "energy_kwh"
    method = next(candidate for candidate in METHODS if _METHOD_FIGURES.get(figure, figure) in candidate.figures)
    text_index = 0 if language == "fr" else 1
    label = translate(language, "per_thousand") if figure == "wh_thousand" else method.label[text_index]
    title = translate(language, "explain_title", label=label)
    if context.store is not None and trace.published_figure_id(view):
        return whole_page(translate(language, TITLE), lambda: trace.content(context, trace.published_figure_id(view)))

    def definition(row: Row) -> html.Section:
        return card(
            f"1. {translate(language, 'step_definition')}",
            method.source,
            html.P(method.words[text_index]),
            language,
            source=source_line(row, language),
        )

    def formula(row: Row) -> html.Section:
        return card(
            f"2. {translate(language, 'step_formula')}",
            method.formula_in(language),
            _formula_table(row, figure, language),
            language,
        )

    cards = {"definition": definition, "formula": formula} | (
        {"facts": partial(_facts_card, context), "rows": partial(_rows_card, context), "check": partial(_check_card, context)}
        if context.store is not None
        else {"protected": lambda _: html.P(f"[c] {translate(language, 'explain_protected')}", role="status")}
    )
    return PageParts(
        [
            head_frame(title, partial(_head, context, title, figure)),
            *(
                CardFrame(name, partial(_build_if_known, context, build), height_px=STEP_HEIGHT_PX)
                for name, build in cards.items()
            ),
        ],
        partial(filter_bar, context),
    )


def _head(context: PageContext, title: str, figure: str) -> list[Any]:
    language, rows = context.view.language, context.rows()
    if rows and rows[0].get("conf_status") == CONFIDENTIAL:
        hidden = translate(language, "entity_hidden", period=period_label(context))
        return [message(translate(language, "refused_title"), f"[c] {hidden}")]
    if not rows or rows[0]["energy_kwh"] is None:
        return empty_state(context)
    return [page_title(title), html.P(_format_figure(rows[0], figure, language), className="lead")]


def _build_if_known(context: PageContext, build: Callable[[Row], Any]) -> Any:
    total = page_total(context)
    return None if total is None or total["energy_kwh"] is None else build(total)


def _facts_card(context: PageContext, _total: Row) -> html.Section:
    language = context.view.language
    title = translate(language, "step_facts")
    return card(f"3. {title}", "", scrollable(_facts_table(context), title), language)


def _rows_card(context: PageContext, _total: Row) -> html.Section:
    language = context.view.language
    title = translate(language, "step_rows")
    data = context.data_links(group="host,device", every="day")
    return card(f"4. {title}", "", scrollable(_device_days_table(context), title), language, data=data)


def _check_card(context: PageContext, _total: Row) -> html.Section:
    language = context.view.language
    return card(f"5. {translate(language, 'step_check')}", "", html.P(_balance_sentence(context)), language)


def _format_figure(row: dict[str, Any], figure: str, language: str) -> str:
    if figure == "requests":
        return f"{format_number(row['requests'] or 0, language)} · {translate(language, 'exact')}"
    if figure == "wh_thousand":
        if not row["requests"]:
            return translate(language, "unknown")
        values = [1e6 * row[name] / row["requests"] for name in ("energy_kwh", "energy_low_kwh", "energy_high_kwh")]
        text = format_estimate(values[0], values[1], values[2], language)
        return f"{text.value}\u00a0Wh {text.interval}"
    names = (
        figure,
        figure.replace("_kwh", "_low_kwh").replace("_g", "_low_g"),
        figure.replace("_kwh", "_high_kwh").replace("_g", "_high_g"),
    )
    if row[figure] is None:
        return translate(language, "unknown")
    size, unit = (energy_unit if figure.endswith("kwh") else mass_unit)(row[figure])
    value, low, high = (row[name] / size for name in names)
    text = format_estimate(value, low, high, language)
    return f"{text.value}\u00a0{unit} {text.interval} · {translate(language, 'quality_' + row['quality'])}"


def _formula_table(row: dict[str, Any], figure: str, language: str) -> html.Table:
    size, unit = energy_unit(row["energy_kwh"])
    body: list[tuple[Any, ...]] = [
        (translate(language, name), format_number(row[name] / size, language)) for name in ENERGY_COLUMNS
    ]
    body.append((html.B(translate(language, "sum")), html.B(format_number(row["energy_kwh"] / size, language))))
    if figure == "co2e_location_g" and row["co2e_location_g"] is not None:
        body.append(
            (f"× {translate(language, 'grid')}, g/kWh", format_number(row["co2e_location_g"] / row["energy_kwh"], language))
        )
        body.append((f"= {translate(language, 'co2e')}, g", format_number(row["co2e_location_g"], language)))
    if figure in ("requests", "wh_thousand") and row["requests"]:
        body.append((f"÷ {translate(language, 'requests')}", format_number(row["requests"], language)))
    return table([translate(language, "name"), unit], body, translate(language, "step_formula"))


def _facts_table(context: PageContext) -> html.Table:
    """Table of the distinct facts and factors behind the figure."""
    language = context.view.language
    assert context.store is not None
    facts: dict[tuple[Any, ...], None] = {}
    with open_result(context.store, context.config, context.query(), context.now_us) as result:
        for group in (result.groups if result is not None else {}).values():
            for cell, _ in group.cells:
                basis = cell.basis
                intervals = (
                    format_interval(basis.pue[1], basis.pue[2], language),
                    format_interval(basis.uplift[1], basis.uplift[2], language),
                )
                facts[
                    basis.host,
                    basis.site,
                    f"{format_number(basis.pue[0], language)} {intervals[0]}{' [e]' if basis.pue_assumed else ''}",
                    f"{format_number(basis.uplift[0], language)} {intervals[1]}{' [e]' if basis.uplift_assumed else ''}",
                    f"{basis.factor_id} = {format_number(basis.factor[0], language)} g/kWh"
                    if basis.factor
                    else translate(language, "unknown"),
                    basis.factor_version,
                ] = None
    head = [translate(language, "host"), translate(language, "site"), "PUE", "k", translate(language, "factor"), "version"]
    return table(head, sorted(facts), translate(language, "step_facts"))


def _device_days_table(context: PageContext) -> Any:
    view, language = context.view, context.view.language
    rows = [row for row in context.rows(group=("host", "device"), every="day") if row["energy_kwh"]]
    rows.sort(key=lambda row: -row["energy_kwh"])
    if not rows:
        return message(translate(language, "unknown"), "")
    size, unit = energy_unit(rows[0]["energy_kwh"])
    body = []
    for row in rows[:MAX_ROWS]:
        day = row["period_start"][:10]
        utc = parse_instant(row["period_end"]) - 1
        link: Any = ""
        if not row["device"].startswith("("):
            label = f"{translate(language, 'readings_of')} {day}"
            address = (
                view.link("/readings", host=None)
                + "&"
                + urlencode({"of": row["host"], "device": row["device"], "day": str(utc // US_PER_DAY)})
            )
            link = html.A(label, href=address)
        body.append((row["host"], row["device"], day, format_number(row["energy_kwh"] / size, language), row["quality"], link))
    head = [translate(language, name) for name in ("host", "device", "date")] + [
        unit,
        translate(language, "quality"),
        translate(language, "readings_of"),
    ]
    return table(head, body, translate(language, "step_rows"))


def _balance_sentence(context: PageContext) -> str:
    """Whether the meters and the sum of rows agree over the period, as a sentence."""
    assert context.store is not None
    balances = energy_balance(context.store, context.config, *context.view.bounds(context.config, context.now_us))
    return balance_finding(context, balances, "not_recomputed", "recomputed")
