"""Lists and pages of entities: use cases, services, models, hosts, sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dash import html

from dashboards.components import Row, card, display_name, error_boundary, message, scrollable, table
from dashboards.parts.calendar import calendar_card
from dashboards.parts.day_strip import coverage_card, day_strip
from dashboards.parts.energy_breakdown import energy_breakdown_card
from dashboards.parts.filters import filter_bar, period_label
from dashboards.parts.headlines import empty_state, largest_shares_title, source_line
from dashboards.parts.key_figures import compare_with_reference, key_figures
from dashboards.parts.notices import notices_card
from dashboards.parts.power import power_card
from dashboards.parts.ranked_bars import format_row_energy, ranked_bars_card
from dashboards.parts.request_distribution import request_distribution_card
from dashboards.parts.sankey import energy_flow_card
from dashboards.parts.trend import trend_card
from dashboards.translations import translate
from dashboards.url_state import PageContext
from footprint.access.authorization import CONFIDENTIAL
from footprint.config.models import ALWAYS, OWN_SERVICE, UNDECLARED, UseCaseFact, fact_at
from footprint.core.timestamps import format_instant
from footprint.i18n.formatting import energy_unit, format_local_time, format_number, format_percent


@dataclass(frozen=True, slots=True)
class EntityPages:
    """List and pages of one kind of entity; ``related`` are the groupings on an entity's page."""

    PATH: str
    TITLE: str
    column: str
    related: tuple[str, ...]

    def content(self, context: PageContext) -> list[Any]:
        """List of the kind, or the page of the entity that ``name`` in the URL selects."""
        name = context.view.get("name")
        return _entity_page(self, context, name) if name else _list_page(self, context)


MAIN = (
    EntityPages("/use-cases", "nav_use_cases", "use_case", ("service", "model")),
    EntityPages("/services", "nav_services", "service", ("use_case", "model")),
)
MORE = (
    EntityPages("/models", "nav_models", "model", ("use_case", "service")),
    EntityPages("/hosts", "nav_hosts", "host", ("service", "device")),
    EntityPages("/sites", "nav_sites", "site", ("host", "service")),
)
PAGES = (*MAIN, *MORE)
LOCATION_COLUMNS = ("host", "site")  # requests are not attributed to these


def _list_page(kind: EntityPages, context: PageContext) -> list[Any]:
    view, language = context.view, context.view.language
    rows = context.rows(group=(kind.column,), own_traffic=kind.column == "service")
    if not rows:
        return [filter_bar(context), *empty_state(context)]
    kind_label = translate(language, kind.column).lower()
    title = largest_shares_title(rows, kind.column, language, translate(language, "all_of", kind=kind_label))
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    has_requests = kind.column not in LOCATION_COLUMNS
    head = [translate(language, kind.column), unit, translate(language, "interval"), translate(language, "quality")]
    head += [translate(language, "requests"), translate(language, "per_request")] if has_requests else []
    head += [translate(language, "coverage_short")]
    head += [translate(language, "charter_status")] if kind.column == "use_case" else []
    body = [_table_row(kind, context, row, size) for row in sorted(rows, key=lambda row: -(row["energy_kwh"] or 0.0))]
    total = context.rows()[0]
    return [
        filter_bar(context),
        error_boundary(lambda: day_strip(context, total), context),
        html.H1(title),
        html.P(period_label(context), className="lead"),
        html.Div(
            ranked_bars_card(
                rows,
                kind.column,
                language,
                context.data_links(group=kind.column),
                translate(language, "all_of", kind=kind_label),
                lambda name: view.link(kind.PATH, name=name),
                source=source_line(total, language),
            ),
            className="row single",
        ),
        card(
            translate(language, "all_table", kind=kind_label),
            period_label(context),
            scrollable(table(head, body, title, intervals=(2,)), title),
            language,
            data=context.data_links(group=kind.column),
            source=source_line(total, language),
            wide=True,
        ),
    ]


def _table_row(kind: EntityPages, context: PageContext, row: Row, size: float) -> list[Any]:
    view, language = context.view, context.view.language
    name = row[kind.column]
    is_residual = name.startswith("(") or not name
    label: Any = display_name(name, language) if is_residual else html.A(name, href=view.link(kind.PATH, name=name))
    cells: list[Any] = [label or translate(language, "unknown"), *format_row_energy(row, size, language), row["quality"]]
    hidden = row.get("conf_status") == CONFIDENTIAL
    if hidden:
        cells += ([] if kind.column in LOCATION_COLUMNS else ["[c]", ""]) + ["[c]"]
    elif kind.column not in LOCATION_COLUMNS:
        has_requests = row["requests"] and not is_residual
        cells.append(format_number(row["requests"], language, 9) if has_requests else translate(language, "not_applicable"))
        has_energy = has_requests and row["energy_kwh"] is not None and name != OWN_SERVICE
        cells.append(format_number(1000 * row["energy_kwh"] / row["requests"], language) if has_energy else "")
    if not hidden:
        cells.append(format_percent(row["coverage"], language) if row["coverage"] is not None else translate(language, "unknown"))
    if kind.column == "use_case":
        cells.append("" if is_residual else translate(language, context.config.charter_at(name, context.now_us)))
    return cells


def _entity_page(kind: EntityPages, context: PageContext, name: str) -> list[Any]:
    view, language = context.view, context.view.language
    entity = replace(context, view=replace(view, filters=(*view.filters, (kind.column, name))))
    rows = entity.rows()
    back = html.P([html.A(translate(language, kind.TITLE), href=view.link(kind.PATH, name="")), f" / {name}"], className="back")
    if not rows:
        return [filter_bar(context), back, message(translate(language, "entity_none"), translate(language, "entity_none_text"))]
    total = rows[0]
    if total.get("conf_status") == CONFIDENTIAL:
        hidden = translate(language, "entity_hidden", period=period_label(context))
        return [
            filter_bar(context),
            back,
            *_charter_stamp(kind, context, name),
            html.H1(name),
            html.P(f"[c] {hidden}", className="lead"),
            _decisions_card(context, name) if kind.column == "use_case" else None,
        ]
    before, ratio, requests = compare_with_reference(entity)
    cards: list[Callable[[], Any]] = [partial(_ranked_card, entity, column, total, context) for column in kind.related]
    cards += [lambda: energy_breakdown_card(entity, total), lambda: request_distribution_card(entity, total)]
    cards += [lambda: coverage_card(entity, total)] if kind.column in LOCATION_COLUMNS else []
    cards += [lambda: calendar_card(entity, total)]
    built_cards = [built for build in cards if (built := error_boundary(build, entity)) is not None]
    return [
        filter_bar(context),
        back,
        *_charter_stamp(kind, context, name),
        html.H1(name),
        html.P(_share_of_total(kind, context, total), className="lead"),
        error_boundary(lambda: day_strip(entity, total), entity) if kind.column in LOCATION_COLUMNS else None,
        key_figures(entity, total, before, ratio, requests),
        html.Div([error_boundary(lambda: trend_card(entity, total), entity), notices_card(entity, total)], className="row wide"),
        error_boundary(lambda: power_card(entity, name), entity) if kind.column == "host" else None,
        html.Div(built_cards, className="row"),
        error_boundary(lambda: energy_flow_card(entity, total), entity),
        _decisions_card(context, name) if kind.column == "use_case" else None,
    ]


def _share_of_total(kind: EntityPages, context: PageContext, total: Row) -> str:
    """Share of the entity in all energy, as a sentence."""
    language = context.view.language
    all_rows = context.rows()
    if not all_rows or not all_rows[0]["energy_kwh"] or total["energy_kwh"] is None:
        return period_label(context)
    share = format_percent(total["energy_kwh"] / all_rows[0]["energy_kwh"], language, floor=False)
    return translate(language, "part_of", kind=translate(language, kind.column), share=share, period=period_label(context))


def _ranked_card(entity: PageContext, column: str, total: Row, context: PageContext) -> Any:
    view, language = context.view, context.view.language
    rows = entity.rows(group=(column,))
    path = next((pages.PATH for pages in PAGES if pages.column == column), None)
    title = largest_shares_title(rows, column, language, translate(language, "all_of", kind=translate(language, column).lower()))
    link = (lambda value: view.link(path, name=value)) if path else None
    subtitle = translate(language, "all_of", kind=translate(language, column).lower())
    return ranked_bars_card(
        rows,
        column,
        language,
        entity.data_links(group=column),
        title,
        link,
        subtitle=subtitle,
        source=source_line(total, language),
    )


def _charter_stamp(kind: EntityPages, context: PageContext, name: str) -> list[Any]:
    """Charter status of a use case, framed above its name."""
    if kind.column != "use_case":
        return []
    language = context.view.language
    fact = fact_at(context.config.use_cases, name, context.now_us)
    status = translate(language, fact.charter if fact else UNDECLARED)
    stamp = (
        translate(language, "stamp_since", status=status, date=fact.decided)
        if fact and fact.decided
        else translate(language, "stamp", status=status)
    )
    return [html.P(stamp, className="stamp")]


def _decisions_card(context: PageContext, name: str) -> Any:
    """Card of the committee's decisions on a use case; None without any."""
    language, zone = context.view.language, context.config.timezone
    facts: list[UseCaseFact] = [fact for fact in context.config.use_cases if fact.name == name]
    if not facts:
        return None
    body = []
    for fact in sorted(facts, key=lambda fact: -fact.since_us):
        since = "" if fact.since_us == ALWAYS else format_local_time(format_instant(fact.since_us), zone, language)
        body.append(
            (fact.decided or since or translate(language, "unknown"), translate(language, fact.charter), fact.owner or "", since)
        )
    head = [translate(language, column) for column in ("decided", "charter_status", "owner", "holds_since")]
    title = translate(language, "decisions_title")
    return card(
        title, translate(language, "decisions_sub"), scrollable(table(head, body, title), title, "prose"), language, wide=True
    )
