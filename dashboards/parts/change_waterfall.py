"""Why emissions changed against the reference period: waterfall of effects that add up exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dash import html

from dashboards.answers import budgeted_total
from dashboards.components import DECORATIVE, card, table
from dashboards.parts.filters import period_label, reference_label
from dashboards.parts.headlines import format_percent_change
from dashboards.parts.reference_period import reference_row
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.attribution.row_columns import IDLE_NAME, UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.core.units import US_PER_HOUR
from footprint.editions.change_effects import ChangeEffects, decompose_change
from footprint.editions.edition_data import IndicatorRow
from footprint.figures import Query
from footprint.figures.engine import budgeted_rows, open_result
from footprint.i18n.formatting import format_estimate, format_number, mass_unit
from footprint.storage.database import Store

RESIDUAL_EFFECTS = {"idle": IDLE_NAME, "unattributed": UNATTRIBUTED_NAME}  # effects that have the name of a row


def change_effects(context: PageContext) -> ChangeEffects | None:
    """Effects on emissions [gCO2e] as in editions; None if there is nothing to compare or the role may not see use cases."""
    bounds = context.view.reference_bounds(context.config, context.now_us)
    if context.store is None or not context.role.sees_uses:
        return None  # effects are sums over use cases: with few of them, or over chosen days, they would disclose one
    if bounds is None or reference_row(context) is None:
        return None
    queries = context.query(from_us=bounds[0], to_us=bounds[1], view="active"), context.query(view="active")
    before, after = (context.read(budgeted_total, query).row for query in queries)
    if before is None or after is None:
        return None
    pairs = [context.read(_rows_by_pair, query) for query in queries]
    effects = decompose_change(before, after, pairs[0], pairs[1])
    # If a part of the energy has no emission factor, a sum of emissions would leave that part out.
    return effects if effects is not None and effects.unit == "gCO2e" else None


def _rows_by_pair(store: Store, config: Config, query: Query, now_us: int) -> dict[tuple[str, ...], IndicatorRow]:
    """Rows by service and use case, without budgets: the uncertainty of effects is derived from the totals."""
    with open_result(store, config, replace(query, group=("service", "use_case")), now_us) as result:
        rows = budgeted_rows(result, budgeted=False) if result is not None else []
        return {row.names: IndicatorRow(row.row, row.energy, row.grams, row.gap, row.known_us / US_PER_HOUR) for row in rows}


def change_card(context: PageContext, *, wide: bool = True) -> Any:
    """Card of the effects."""
    language = context.view.language
    effects = change_effects(context)
    if effects is None:
        reason, title = ("change_none", "change_title_none") if context.role.sees_uses else ("change_protected", "change_of_what")
        return card(
            translate(language, title), "", html.P(translate(language, reason), className="sentence"), language, wide=wide
        )
    size, unit = mass_unit(max(effects.before, effects.after))
    change = f"{format_percent_change(effects.after / effects.before - 1, language)}\u202f%" if effects.before else "–"
    change = change if language == "fr" else change.replace("\u202f%", "%")
    title = translate(language, "change_title", change=change)
    subtitle = translate(language, "change_sub", unit=unit, before=reference_label(context), after=period_label(context))
    total_change = _format_value(abs(effects.after - effects.before) / size, language)
    return card(
        title,
        subtitle,
        html.Div(_waterfall_table(effects, size, unit, language, title, context), className="waterfall"),
        language,
        sentences=[
            translate(language, "change_note", total=f"{_sign_prefix(effects.after - effects.before)}{total_change}\u00a0{unit}")
        ],
        table=table(
            [translate(language, "effect"), unit, translate(language, "interval")],
            _table_rows(effects, size, language),
            title,
            intervals=(2,),
        ),
        data=context.data_links(group="service,use_case"),
        source=translate(language, "source_lmdi"),
        wide=wide,
        element_id="change",
    )


def _format_value(value: float, language: str) -> str:
    return format_estimate(value, None, None, language).value


def _sign_prefix(value: float) -> str:
    return "+" if value > 0 else "\u2212" if value < 0 else ""


def effect_name(name: str, language: str) -> str:
    """Name of an effect in the reader's language."""
    return translate(language, RESIDUAL_EFFECTS.get(name, name))


def _format_effect(value: float, width: float, size: float, language: str) -> tuple[str, str]:
    """An effect with its sign, and its half-width, as text."""
    text = format_estimate(abs(value) / size, (abs(value) - width) / size, (abs(value) + width) / size, language)
    return f"{_sign_prefix(value)}{text.value}", f"±{format_number(width / size, language, 2)}" if width > 0 else ""


def _table_rows(effects: ChangeEffects, size: float, language: str) -> list[tuple[str, str, str]]:
    rows = [(translate(language, "before"), _format_value(effects.before / size, language), "")]
    rows += [(effect_name(name, language), *_format_effect(*effect, size, language)) for name, effect in effects.by_cause.items()]
    return [*rows, (translate(language, "after"), _format_value(effects.after / size, language), "")]


def _waterfall_table(
    effects: ChangeEffects, size: float, unit: str, language: str, title: str, context: PageContext
) -> html.Table:
    """Waterfall, one effect a row. Totals are points, not bars, since the scale need not start at zero."""
    level, levels = effects.before, [effects.before]
    for value, _ in effects.by_cause.values():
        level += value
        levels.append(level)
    ends = [*zip(levels[1:], (width for _, width in effects.by_cause.values()), strict=True), (effects.before, 0.0)]
    low, high = min(end - width for end, width in ends), max(end + width for end, width in ends)
    span = (high - low) or max(high, 1.0)
    low, high = low - span * 0.06, high + span * 0.06

    def position(grams: float) -> float:
        return 100 * (grams - low) / (high - low)

    def total(name: str, grams: float, *, connected: bool) -> html.Tr:
        marks: list[Any] = [html.Div(className="total-point", style={"left": f"{position(grams):.2f}%"})]
        marks += [html.Div(className="joint", style={"left": f"{position(grams):.2f}%"})] if connected else []
        value_text = f"{_format_value(grams / size, language)}\u00a0{unit}"
        cells = [
            html.Td(html.Div(marks, className="fall", **DECORATIVE), className="drawn"),
            html.Td(value_text),
            html.Td(className="iv"),
        ]
        return html.Tr([html.Th(name, scope="row"), *cells], className="total")

    rows = [total(reference_label(context), effects.before, connected=True)]
    for (name, (value, width)), start, end in zip(effects.by_cause.items(), levels, levels[1:], strict=False):
        kind = "more" if value > 0 else "less"
        style = {"left": f"{position(min(start, end)):.2f}%", "width": f"{abs(position(end) - position(start)):.2f}%"}
        marks = [
            html.Div(className=f"step {kind}", style=style),
            html.Div(className="joint", style={"left": f"{position(end):.2f}%"}),
        ]
        if width > 0:
            whisker = {"left": f"{position(end - width):.2f}%", "width": f"{position(end + width) - position(end - width):.2f}%"}
            marks.append(html.Div(className="whisker", style=whisker))
        arrow = "▲" if value > 0 else "▼" if value < 0 else ""
        value_text, half_width = _format_effect(value, width, size, language)
        value_cell: list[Any] = [html.Span(arrow, className=f"sign {'up' if value > 0 else 'down'}", **DECORATIVE), value_text]
        cells = [
            html.Td(html.Div(marks, className="fall", **DECORATIVE), className="drawn"),
            html.Td(value_cell),
            html.Td(half_width, className="iv"),
        ]
        rows.append(html.Tr([html.Th(effect_name(name, language), scope="row"), *cells]))
    rows.append(total(period_label(context), effects.after, connected=False))
    head = html.Tr(
        [html.Th(text, scope="col") for text in (translate(language, "effect"), translate(language, "chart"), unit, "±")]
    )
    return html.Table([html.Caption(title, className="hidden"), html.Thead(head), html.Tbody(rows)])
