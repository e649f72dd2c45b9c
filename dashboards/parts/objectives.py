"""This file shows how each budget and target stands: what was measured, with its interval, against its limit."""

from __future__ import annotations

from typing import Any

from dashboards.components import card, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import NAMED_PERIOD, PageContext, table_links
from footprint.calendar.periods import parse_period
from footprint.editions.texts import short_period
from footprint.i18n.formatting import energy_unit, format_change, format_estimate, format_number, mass_unit
from footprint.queries.objectives import EXCEEDED, KEPT, UNITS, ObjectiveStatus, objective_statuses


def objectives_card(context: PageContext) -> Any:
    """Objectives of the period that the address names, else of the one of their kind that runs now.

    None where none was declared, and for a role that may not read the store: an objective may be about a protected cell.
    """
    view, language = context.view, context.view.language
    if context.store is None or not context.role.sees_uses or not context.config.objectives:
        return None
    named = view.period if NAMED_PERIOD.fullmatch(view.period) and not (view.since or view.until) else ""
    found = objective_statuses(context.store, context.config, context.now_us, parse_period(named) if named else None)
    title = _title(found, language)
    columns = ("objective", "objective_of", "period", "objective_measured", "interval", "objective_limit", "state", "owner")
    body = [_table_row(each, language) for each in found]
    asked = f"&period={named}" if named else ""
    return card(
        title,
        translate(language, "objectives_sub"),
        scrollable(table([translate(language, name) for name in columns], body, title, intervals=(4,)), title, "prose")
        if body
        else None,
        language,
        data=table_links("objectives", asked),
        wide=True,
    )


def _title(found: list[ObjectiveStatus], language: str) -> str:
    exceeded = sum(each.state == EXCEEDED for each in found)
    if not found:
        return translate(language, "objectives_other_period")
    if exceeded:
        return translate(language, "objectives_exceeded", number=str(exceeded), all=str(len(found)))
    return translate(language, "objectives_kept" if all(each.state == KEPT for each in found) else "objectives_none_exceeded")


def _table_row(found: ObjectiveStatus, language: str) -> tuple[Any, ...]:
    objective = found.objective
    value, interval, limit = _format_measured(found, language)
    name = objective.name + (
        f" ({translate(language, 'objective_due', period=short_period(objective.due).in_(language))})" if objective.due else ""
    )
    of = " · ".join(value_ for _, value_ in objective.where) or translate(language, "objective_whole")
    state = translate(language, f"objective_{found.state.replace(' ', '_')}")
    return name, of, short_period(found.period).in_(language), value, interval, limit, state, objective.owner


def _format_measured(found: ObjectiveStatus, language: str) -> tuple[str, str, str]:
    """Value, interval and limit, in one unit; a change in percent."""
    objective, figure = found.objective, found.figure
    if objective.baseline is not None:
        size, unit = 0.01, "\u202f%" if language == "fr" else "%"
        limit = format_change(found.limit, language)
    else:
        choose = {"energy_kwh": energy_unit, "co2e_location_g": mass_unit}.get(objective.metric)
        size, unit = choose(figure.value if figure else found.limit) if choose else (1.0, UNITS[objective.metric])
        unit = "" if unit == "1" else f"\u00a0{unit}"
        limit = f"{format_number(found.limit / size, language)}{unit}"
    if figure is None:
        return translate(language, "unknown"), "", limit
    shown = format_estimate(figure.value / size, figure.low / size, figure.high / size, language)
    return f"{shown.value}{unit}", shown.interval, limit
