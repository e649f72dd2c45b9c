"""Lists and pages of entities: use cases, services, models, hosts, sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import CardFrame, FrameRow, PageParts, figure_frame, head_frame, key_figures_frame, strip_frame
from dashboards.components import Row, card, display_name, message, page_title, scrollable, table
from dashboards.parts.calendar import calendar_card
from dashboards.parts.day_strip import coverage_card, day_strip
from dashboards.parts.energy_breakdown import energy_breakdown_card
from dashboards.parts.filters import filter_bar, period_label
from dashboards.parts.headlines import empty_state, largest_shares_title, source_line
from dashboards.parts.key_figures import key_figures
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

    def content(self, context: PageContext) -> PageParts:
        """List of the kind, or the page of the entity that ``name`` in the URL selects."""
        name = context.view.get("name")
        parts = _entity_parts(self, context, name) if name else _list_parts(self, context)
        return PageParts(parts, partial(filter_bar, context))


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


def _list_parts(kind: EntityPages, context: PageContext) -> list[CardFrame | FrameRow]:
    language = context.view.language
    kind_label = translate(language, kind.column).lower()
    bars, table_title = (translate(language, key, kind=kind_label) for key in ("all_of", "all_table"))
    return [
        strip_frame(context, partial(day_strip, context)),
        head_frame(translate(language, kind.TITLE), partial(_list_head, kind, context)),
        FrameRow([figure_frame(context, "bars", partial(_list_bars, kind, context), bars)], "row single"),
        figure_frame(context, "table", partial(_list_table, kind, context), table_title, kind="wide"),
    ]


def _list_rows(kind: EntityPages, context: PageContext) -> list[Row]:
    return context.rows(group=(kind.column,), own_traffic=kind.column == "service")


def _list_head(kind: EntityPages, context: PageContext) -> list[Any]:
    language = context.view.language
    rows = _list_rows(kind, context)
    if not rows:
        return empty_state(context)
    fallback = translate(language, "all_of", kind=translate(language, kind.column).lower())
    title = largest_shares_title(rows, kind.column, language, fallback)
    return [page_title(title), html.P(period_label(context), className="lead")]


def _list_bars(kind: EntityPages, context: PageContext, total: Row) -> html.Section:
    view, language = context.view, context.view.language
    return ranked_bars_card(
        _list_rows(kind, context),
        kind.column,
        language,
        context.data_links(group=kind.column),
        translate(language, "all_of", kind=translate(language, kind.column).lower()),
        lambda name: view.link(kind.PATH, name=name),
        source=source_line(total, language),
    )


def _list_table(kind: EntityPages, context: PageContext, total: Row) -> html.Section:
    language, rows = context.view.language, _list_rows(kind, context)
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    head = [translate(language, kind.column), unit, translate(language, "interval"), translate(language, "quality")]
    if kind.column not in LOCATION_COLUMNS:
        head += [translate(language, "requests"), translate(language, "per_request")]
    head += [translate(language, "coverage_short")]
    head += [translate(language, "charter_status")] if kind.column == "use_case" else []
    body = [_table_row(kind, context, row, size) for row in sorted(rows, key=lambda row: -(row["energy_kwh"] or 0.0))]
    title = translate(language, "all_table", kind=translate(language, kind.column).lower())
    return card(
        title,
        period_label(context),
        scrollable(table(head, body, title, intervals=(2,)), title),
        language,
        data=context.data_links(group=kind.column),
        source=source_line(total, language),
        wide=True,
    )


def _table_row(kind: EntityPages, context: PageContext, row: Row, size: float) -> list[Any]:
    view, language = context.view, context.view.language
    name = row[kind.column]
    is_residual = (name.startswith("(") and (kind.column, name) != ("use_case", UNDECLARED)) or not name
    label: Any = display_name(name, language, kind.column)
    if not is_residual:
        label = html.A(label, href=view.link(kind.PATH, name=name))
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


def _entity_parts(kind: EntityPages, context: PageContext, name: str) -> list[CardFrame | FrameRow]:
    view, language = context.view, context.view.language
    entity = replace(context, view=replace(view, filters=(*view.filters, (kind.column, name))))
    is_place = kind.column in LOCATION_COLUMNS

    def frame(frame_name: str, build: Callable[[Row], Any], title: str = "", **options: Any) -> CardFrame:
        text = translate(language, title) if title else ""
        return figure_frame(entity, frame_name, partial(_build_if_public, build), text, **options)

    related = [frame(f"by-{column}", partial(_ranked_card, entity, column, context), column) for column in kind.related]
    decisions = CardFrame("decisions", partial(_decisions_card, context, name), translate(language, "decisions_title"), 200)
    return [
        head_frame(name, partial(_entity_head, kind, context, entity, name), above=_above_title(kind, context, name)),
        *([strip_frame(entity, partial(_build_if_public, partial(day_strip, entity)))] if is_place else []),
        key_figures_frame(entity, partial(_build_if_public, partial(key_figures, entity))),
        FrameRow(
            [
                frame("trend", partial(trend_card, entity), "trend"),
                frame("notices", partial(notices_card, entity), "facts_title"),
            ],
            "row wide",
        ),
        *([frame("power", lambda _: power_card(entity, name), "frame_power", kind="wide")] if kind.column == "host" else []),
        FrameRow(
            [
                *related,
                frame("breakdown", partial(energy_breakdown_card, entity), "frame_parts", height_px=300),
                frame("requests", partial(request_distribution_card, entity), "frame_spread"),
                *([frame("coverage", partial(coverage_card, entity), "seen_title")] if is_place else []),
                frame("calendar", partial(calendar_card, entity), "frame_hours"),
            ]
        ),
        frame("flows", partial(energy_flow_card, entity), "frame_flows", height_px=680, kind="wide"),
        *([decisions] if kind.column == "use_case" else []),
    ]


def _build_if_public(build: Callable[[Row], Any], total: Row) -> Any:
    """Card of an entity; None if its figures are suppressed, which the head of the page says."""
    return None if total.get("conf_status") == CONFIDENTIAL else build(total)


def _entity_head(kind: EntityPages, context: PageContext, entity: PageContext, name: str) -> list[Any]:
    language, rows, above = context.view.language, entity.rows(), _above_title(kind, context, name)
    if not rows:
        return [above[0], message(translate(language, "entity_none"), translate(language, "entity_none_text"))]
    lead = _share_of_total(kind, context, rows[0])
    if rows[0].get("conf_status") == CONFIDENTIAL:
        lead = f"[c] {translate(language, 'entity_hidden', period=period_label(context))}"
    return [*above, page_title(display_name(name, language, kind.column)), html.P(lead, className="lead")]


def _above_title(kind: EntityPages, context: PageContext, name: str) -> list[Any]:
    view, language = context.view, context.view.language
    sensors: list[Any] = []
    if kind.column == "host":
        sensors = [" · ", html.A(translate(language, "sens_link"), href=view.link("/sensors", host=name))]
    back = html.P(
        [
            html.A(translate(language, kind.TITLE), href=view.link(kind.PATH, name="")),
            f" / {display_name(name, language, kind.column)}",
            *sensors,
        ],
        className="back",
    )
    return [back, *_charter_stamp(kind, context, name)]


def _share_of_total(kind: EntityPages, context: PageContext, total: Row) -> str:
    """Share of the entity in all energy, as a sentence."""
    language = context.view.language
    all_rows = context.rows()
    if not all_rows or not all_rows[0]["energy_kwh"] or total["energy_kwh"] is None:
        return period_label(context)
    share = format_percent(total["energy_kwh"] / all_rows[0]["energy_kwh"], language, floor=False)
    return translate(language, "part_of", kind=translate(language, kind.column), share=share, period=period_label(context))


def _ranked_card(entity: PageContext, column: str, context: PageContext, total: Row) -> Any:
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
