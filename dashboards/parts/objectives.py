"""State of budgets and targets: value with its interval against the limit."""

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
    """Objectives of the period in the URL, else of the current period of each objective.

    None without objectives, and for roles that may not read the store: an objective may be about a protected cell.
    """
    view, language = context.view, context.view.language
    if context.store is None or not context.role.sees_uses or not context.config.objectives:
        return None
    period = view.period if NAMED_PERIOD.fullmatch(view.period) and not (view.since or view.until) else ""
    statuses = objective_statuses(context.store, context.config, context.now_us, parse_period(period) if period else None)
    title = _title(statuses, language)
    columns = ("objective", "objective_of", "period", "objective_value", "interval", "objective_limit", "state", "owner")
    body = [_table_row(status, language) for status in statuses]
    params = f"&period={period}" if period else ""
    return card(
        title,
        translate(language, "objectives_sub"),
        scrollable(table([translate(language, name) for name in columns], body, title, intervals=(4,)), title, "prose")
        if body
        else None,
        language,
        data=table_links("objectives", params),
        wide=True,
    )


def _title(statuses: list[ObjectiveStatus], language: str) -> str:
    exceeded = sum(status.state == EXCEEDED for status in statuses)
    if not statuses:
        return translate(language, "objectives_other_period")
    if exceeded:
        return translate(language, "objectives_exceeded", number=str(exceeded), all=str(len(statuses)))
    return translate(
        language, "objectives_kept" if all(status.state == KEPT for status in statuses) else "objectives_none_exceeded"
    )


def _table_row(status: ObjectiveStatus, language: str) -> tuple[Any, ...]:
    objective = status.objective
    value, interval, limit = _format_value(status, language)
    name = objective.name + (
        f" ({translate(language, 'objective_due', period=short_period(objective.due).in_(language))})" if objective.due else ""
    )
    scope = " · ".join(condition for _, condition in objective.where) or translate(language, "objective_whole")
    state = translate(language, f"objective_{status.state.replace(' ', '_')}")
    return name, scope, short_period(status.period).in_(language), value, interval, limit, state, objective.owner


def _format_value(status: ObjectiveStatus, language: str) -> tuple[str, str, str]:
    """Value, interval and limit in one unit; in percent for a change."""
    objective, figure = status.objective, status.figure
    if objective.baseline is not None:
        size, unit = 0.01, "\u202f%" if language == "fr" else "%"
        limit = format_change(status.limit, language)
    else:
        choose_unit = {"energy_kwh": energy_unit, "co2e_location_g": mass_unit}.get(objective.metric)
        size, unit = choose_unit(figure.value if figure else status.limit) if choose_unit else (1.0, UNITS[objective.metric])
        unit = "" if unit == "1" else f"\u00a0{unit}"
        limit = f"{format_number(status.limit / size, language)}{unit}"
    if figure is None:
        return translate(language, "unknown"), "", limit
    text = format_estimate(figure.value / size, figure.low / size, figure.high / size, language)
    return f"{text.value}{unit}", text.interval, limit
