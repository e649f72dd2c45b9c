"""This file follows a figure: definition, formula with its values, facts and factors, rows by device, to the raw readings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboards import parts
from dashboards.components import block, message, scrolled, table
from dashboards.pages import trace
from dashboards.translations import say
from dashboards.url_state import FIGURES, PageContext
from footprint.access.authorization import CONFIDENTIAL
from footprint.core.timestamps import parse_instant
from footprint.core.units import US_PER_DAY
from footprint.figures.engine import open_result
from footprint.i18n.formatting import energy_unit, format_estimate, format_interval, format_number, mass_unit
from footprint.queries.energy_balance import energy_balance
from footprint.queries.methods import METHODS

PATH, TITLE = "/explain", "explain"
PARTS = ("accelerator_active_kwh", "accelerator_idle_kwh", "host_kwh", "facility_kwh")
_METHOD = {"wh_thousand": "energy_kwh"}
MAX_ROWS = 60


def content(context: PageContext) -> list[Any]:
    """The steps, one card each, in the order in which a sceptic asks; a published figure by its id."""
    view, language = context.view, context.view.language
    if context.store is not None and trace.followed(view):
        return trace.content(context, trace.followed(view))
    figure = view.get("figure") if view.get("figure") in FIGURES else "energy_kwh"
    rows = context.rows()
    if rows and rows[0].get("conf_status") == CONFIDENTIAL:
        hidden = say(language, "entity_hidden", period=parts.period_words(context))
        return [parts.filters(context), message(say(language, "refused_title"), f"[c] {hidden}")]
    if not rows or rows[0]["energy_kwh"] is None:
        return [parts.filters(context), *parts.nothing(context)]
    row = rows[0]
    method = next(m for m in METHODS if _METHOD.get(figure, figure) in m.figures)
    chosen = 0 if language == "fr" else 1
    label = say(language, "per_thousand") if figure == "wh_thousand" else method.label[chosen]
    return [
        parts.filters(context),
        html.H1(say(language, "explain_title", label=label)),
        html.P(_value(row, figure, language), className="lead"),
        block(
            f"1. {say(language, 'step_definition')}",
            method.source,
            html.P(method.words[chosen]),
            language,
            source=parts.source(row, language),
        ),
        block(f"2. {say(language, 'step_formula')}", method.formula_in(language), _formula(row, figure, language), language),
        *(_below(context) if context.store is not None else [html.P(f"[c] {say(language, 'explain_protected')}", role="status")]),
    ]


def _below(context: PageContext) -> list[Any]:
    """What stands under a figure, to who may see hosts and days."""
    language = context.view.language
    return [
        block(f"3. {say(language, 'step_facts')}", "", scrolled(_facts(context), say(language, "step_facts")), language),
        block(
            f"4. {say(language, 'step_rows')}",
            "",
            scrolled(_rows(context), say(language, "step_rows")),
            language,
            data=[(form.upper(), context.data(form, group="host,device", every="day")) for form in ("csv", "json", "parquet")],
        ),
        block(f"5. {say(language, 'step_check')}", "", html.P(_checked(context)), language),
    ]


def _value(row: dict[str, Any], figure: str, language: str) -> str:
    if figure == "requests":
        return f"{format_number(row['requests'] or 0, language)} · {say(language, 'exact')}"
    if figure == "wh_thousand":
        if not row["requests"]:
            return say(language, "unknown")
        each = [1e6 * row[name] / row["requests"] for name in ("energy_kwh", "energy_low_kwh", "energy_high_kwh")]
        shown = format_estimate(each[0], each[1], each[2], language)
        return f"{shown.value}\u00a0Wh {shown.interval}"
    names = (
        figure,
        figure.replace("_kwh", "_low_kwh").replace("_g", "_low_g"),
        figure.replace("_kwh", "_high_kwh").replace("_g", "_high_g"),
    )
    if row[figure] is None:
        return say(language, "unknown")
    size, unit = (energy_unit if figure.endswith("kwh") else mass_unit)(row[figure])
    value, low, high = (row[name] / size for name in names)
    shown = format_estimate(value, low, high, language)
    return f"{shown.value}\u00a0{unit} {shown.interval} · {say(language, 'quality_' + row['quality'])}"


def _formula(row: dict[str, Any], figure: str, language: str) -> html.Table:
    size, unit = energy_unit(row["energy_kwh"])
    body: list[tuple[Any, ...]] = [(say(language, name), format_number(row[name] / size, language)) for name in PARTS]
    body.append((html.B(say(language, "sum")), html.B(format_number(row["energy_kwh"] / size, language))))
    if figure == "co2e_location_g" and row["co2e_location_g"] is not None:
        body.append((f"× {say(language, 'grid')}, g/kWh", format_number(row["co2e_location_g"] / row["energy_kwh"], language)))
        body.append((f"= {say(language, 'co2e')}, g", format_number(row["co2e_location_g"], language)))
    if figure in ("requests", "wh_thousand") and row["requests"]:
        body.append((f"÷ {say(language, 'requests')}", format_number(row["requests"], language)))
    return table([say(language, "name"), unit], body, say(language, "step_formula"))


def _facts(context: PageContext) -> html.Table:
    """The distinct facts and factors under the rows of the figure."""
    language = context.view.language
    assert context.store is not None
    found: dict[tuple[Any, ...], None] = {}
    with open_result(context.store, context.config, context.question(), context.now_us) as together:
        for group in (together.groups if together is not None else {}).values():
            for place, _ in group.cells:
                b = place.basis
                low_high = (format_interval(b.pue[1], b.pue[2], language), format_interval(b.uplift[1], b.uplift[2], language))
                found[
                    b.host,
                    b.site,
                    f"{format_number(b.pue[0], language)} {low_high[0]}{' [e]' if b.pue_assumed else ''}",
                    f"{format_number(b.uplift[0], language)} {low_high[1]}{' [e]' if b.uplift_assumed else ''}",
                    f"{b.factor_id} = {format_number(b.factor[0], language)} g/kWh" if b.factor else say(language, "unknown"),
                    b.factor_version,
                ] = None
    head = [say(language, "host"), say(language, "site"), "PUE", "k", say(language, "factor"), "version"]
    return table(head, sorted(found), say(language, "step_facts"))


def _rows(context: PageContext) -> Any:
    view, language = context.view, context.view.language
    rows = [row for row in context.rows(group=("host", "device"), every="day") if row["energy_kwh"]]
    rows.sort(key=lambda row: -row["energy_kwh"])
    if not rows:
        return message(say(language, "unknown"), "")
    size, unit = energy_unit(rows[0]["energy_kwh"])
    body = []
    for row in rows[:MAX_ROWS]:
        day = row["period_start"][:10]
        utc = parse_instant(row["period_end"]) - 1
        link: Any = ""
        if not row["device"].startswith("("):
            shown = f"{say(language, 'readings_of')} {day}"
            address = (
                view.link("/readings", host=None)
                + "&"
                + urlencode({"of": row["host"], "device": row["device"], "day": str(utc // US_PER_DAY)})
            )
            link = html.A(shown, href=address)
        body.append((row["host"], row["device"], day, format_number(row["energy_kwh"] / size, language), row["quality"], link))
    head = [say(language, name) for name in ("host", "device", "date")] + [
        unit,
        say(language, "quality"),
        say(language, "readings_of"),
    ]
    return table(head, body, say(language, "step_rows"))


def _checked(context: PageContext) -> str:
    """The balance of the period: what meters read against what rows sum to."""
    language = context.view.language
    assert context.store is not None
    found = energy_balance(context.store, context.config, *context.view.bounds(context.config, context.now_us))
    bad = [row["host"] for row in found if not row["closes"]]
    return say(language, "not_recomputed", hosts=", ".join(bad)) if bad else say(language, "recomputed")
