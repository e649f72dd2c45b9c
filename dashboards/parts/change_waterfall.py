"""This file says why emissions changed from the period of comparison to this one: a waterfall of effects that sum exactly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dash import html

from dashboards.components import DECORATIVE, card, table
from dashboards.parts.filters import period_label, reference_label
from dashboards.parts.headlines import format_percent_change
from dashboards.parts.key_figures import reference_row
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.core.units import US_PER_HOUR
from footprint.editions.change_effects import ChangeEffects, decompose_change
from footprint.editions.edition_data import IndicatorRow
from footprint.figures import Query
from footprint.figures.engine import budgeted_rows, open_result
from footprint.i18n.formatting import format_estimate, format_number, mass_unit

RESIDUAL_EFFECTS = {"idle": "(idle)", "unattributed": "(unattributed)"}  # effects that are called as their rows are
LoadEffects = Callable[[], ChangeEffects | None]


def change_effects(context: PageContext) -> ChangeEffects | None:
    """Why emissions changed, as editions say it; None where there is nothing to compare."""
    bounds = context.view.reference_bounds(context.config, context.now_us)
    if context.store is None or not context.role.sees_uses:
        return None  # effects are sums over use cases: of few, and over any days, they would give one away
    if bounds is None or reference_row(context) is None:
        return None
    before = {"from_us": bounds[0], "to_us": bounds[1], "view": "active"}
    sides = [_indicator_rows(context, context.query(**options)) for options in (before, {"view": "active"})]
    pairs = [  # how sure an effect is follows from the totals
        _indicator_rows(context, context.query(group=("service", "use_case"), **options), budgeted=False)
        for options in (before, {"view": "active"})
    ]
    if any(() not in side for side in sides):
        return None
    found = decompose_change(sides[0][()], sides[1][()], pairs[0], pairs[1])
    # Without a factor for a part of the energy, a sum of emissions would be another sum.
    return found if found is not None and found.unit == "gCO2e" else None


def _indicator_rows(context: PageContext, question: Query, *, budgeted: bool = True) -> dict[tuple[str, ...], IndicatorRow]:
    """Rows by names, with their budgets where these are looked at."""
    assert context.store is not None
    with open_result(context.store, context.config, question, context.now_us) as found:
        rows = budgeted_rows(found, budgeted=budgeted) if found is not None else []
        return {
            each.names: IndicatorRow(each.row, each.energy, each.grams, each.gap, each.known_us / US_PER_HOUR) for each in rows
        }


def change_card(context: PageContext, finding: LoadEffects | None = None, *, wide: bool = True) -> Any:
    """The card; ``finding`` gives what was found already."""
    language = context.view.language
    found = (finding or partial(change_effects, context))()
    if found is None:
        why, title = ("change_none", "change_title_none") if context.role.sees_uses else ("change_protected", "change_of_what")
        return card(translate(language, title), "", html.P(translate(language, why), className="sentence"), language, wide=wide)
    size, unit = mass_unit(max(found.before, found.after))
    moved = f"{format_percent_change(found.after / found.before - 1, language)}\u202f%" if found.before else "–"
    moved = moved if language == "fr" else moved.replace("\u202f%", "%")
    title = translate(language, "change_title", change=moved)
    sub = translate(language, "change_sub", unit=unit, before=reference_label(context), after=period_label(context))
    total = _format_value(abs(found.after - found.before) / size, language)
    return card(
        title,
        sub,
        html.Div(_waterfall_table(found, size, unit, language, title, context), className="waterfall"),
        language,
        sentences=[translate(language, "change_note", total=f"{_sign_prefix(found.after - found.before)}{total}\u00a0{unit}")],
        table=table(
            [translate(language, "effect"), unit, translate(language, "interval")],
            _table_rows(found, size, language),
            title,
            intervals=(2,),
        ),
        data=context.data_links(group="service,use_case"),
        source=translate(language, "source_lmdi"),
        wide=wide,
        identity="change",
    )


def _format_value(value: float, language: str) -> str:
    return format_estimate(value, None, None, language).value


def _sign_prefix(value: float) -> str:
    return "+" if value > 0 else "\u2212" if value < 0 else ""


def effect_name(name: str, language: str) -> str:
    """An effect as people read it."""
    return translate(language, RESIDUAL_EFFECTS.get(name, name))


def _format_effect(value: float, width: float, size: float, language: str) -> tuple[str, str]:
    """An effect with its sign, and its half-width."""
    shown = format_estimate(abs(value) / size, (abs(value) - width) / size, (abs(value) + width) / size, language)
    return f"{_sign_prefix(value)}{shown.value}", f"±{format_number(width / size, language, 2)}" if width > 0 else ""


def _table_rows(found: ChangeEffects, size: float, language: str) -> list[tuple[str, str, str]]:
    body = [(translate(language, "before"), _format_value(found.before / size, language), "")]
    body += [(effect_name(name, language), *_format_effect(*each, size, language)) for name, each in found.by_cause.items()]
    return [*body, (translate(language, "after"), _format_value(found.after / size, language), "")]


def _waterfall_table(found: ChangeEffects, size: float, unit: str, language: str, title: str, context: PageContext) -> html.Table:
    """One effect a row, each where the one before ends; totals are points, so that the scale may start above zero."""
    level, levels = found.before, [found.before]
    for value, _ in found.by_cause.values():
        level += value
        levels.append(level)
    ends = [*zip(levels[1:], (width for _, width in found.by_cause.values()), strict=True), (found.before, 0.0)]
    low, high = min(end - width for end, width in ends), max(end + width for end, width in ends)
    span = (high - low) or max(high, 1.0)
    low, high = low - span * 0.06, high + span * 0.06

    def place(grams: float) -> float:
        return 100 * (grams - low) / (high - low)

    def total(name: str, grams: float, *, joint: bool) -> html.Tr:
        drawn: list[Any] = [html.Div(className="total-point", style={"left": f"{place(grams):.2f}%"})]
        drawn += [html.Div(className="joint", style={"left": f"{place(grams):.2f}%"})] if joint else []
        shown = f"{_format_value(grams / size, language)}\u00a0{unit}"
        cells = [
            html.Td(html.Div(drawn, className="fall", **DECORATIVE), className="drawn"),
            html.Td(shown),
            html.Td(className="iv"),
        ]
        return html.Tr([html.Th(name, scope="row"), *cells], className="total")

    rows = [total(reference_label(context), found.before, joint=True)]
    for (name, (value, width)), start, end in zip(found.by_cause.items(), levels, levels[1:], strict=False):
        kind = "more" if value > 0 else "less"
        style = {"left": f"{place(min(start, end)):.2f}%", "width": f"{abs(place(end) - place(start)):.2f}%"}
        drawn = [
            html.Div(className=f"step {kind}", style=style),
            html.Div(className="joint", style={"left": f"{place(end):.2f}%"}),
        ]
        if width > 0:
            reach = {"left": f"{place(end - width):.2f}%", "width": f"{place(end + width) - place(end - width):.2f}%"}
            drawn.append(html.Div(className="whisker", style=reach))
        mark = "▲" if value > 0 else "▼" if value < 0 else ""
        shown, spread = _format_effect(value, width, size, language)
        written: list[Any] = [html.Span(mark, className=f"sign {'up' if value > 0 else 'down'}", **DECORATIVE), shown]
        cells = [
            html.Td(html.Div(drawn, className="fall", **DECORATIVE), className="drawn"),
            html.Td(written),
            html.Td(spread, className="iv"),
        ]
        rows.append(html.Tr([html.Th(effect_name(name, language), scope="row"), *cells]))
    rows.append(total(period_label(context), found.after, joint=False))
    head = html.Tr(
        [html.Th(text, scope="col") for text in (translate(language, "effect"), translate(language, "chart"), unit, "±")]
    )
    return html.Table([html.Caption(title, className="hidden"), html.Thead(head), html.Tbody(rows)])
