"""Charter: use cases by the decision of the committee, with their energy; undeclared ones come last."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from dashboards.card_frames import CardFrame, PageParts, head_frame
from dashboards.components import DECORATIVE, Drawing, Row, card, display_name, page_title, scrollable, svg_document, table
from dashboards.parts.filters import filter_bar, period_label
from dashboards.parts.objectives import objectives_card
from dashboards.translations import missing_mark, translate
from dashboards.url_state import PageContext, shows_protected_only
from footprint.access import AccessRefused
from footprint.access.authorization import CONFIDENTIAL
from footprint.config.models import UNDECLARED, fact_at
from footprint.i18n.formatting import energy_unit, format_estimate, format_percent

PATH, TITLE = "/charter", "nav_charter"
STATUSES = ("recommended", "authorised", "under-study", "proscribed", UNDECLARED)


def content(context: PageContext) -> PageParts:
    """Five columns of cards: four statuses of the charter, and undeclared; then objectives and decisions."""
    language = context.view.language
    has_objectives = context.store is not None and context.role.sees_uses and bool(context.config.objectives)
    objectives = CardFrame(
        "objectives", lambda: objectives_card(context), translate(language, "frame_objectives"), 300, kind="wide"
    )
    return PageParts(
        [
            head_frame(translate(language, "charter_all"), partial(_head, context)),
            CardFrame("uses", partial(_status_columns, context), height_px=900),
            *([objectives] if has_objectives else []),
            CardFrame("decisions", partial(_decisions_card, context), translate(language, "decisions_title"), 300, kind="wide"),
        ],
        partial(filter_bar, context),
    )


def _rows_by_use(context: PageContext) -> dict[str, Row]:
    """Rows of use cases; undeclared ones are one row for a role that may not see their names."""
    return {
        row["use_case"]: row
        for row in context.rows(group=("use_case",))
        if not row["use_case"].startswith("(") or row["use_case"] == UNDECLARED
    }


def _names_by_status(context: PageContext, rows: dict[str, Row]) -> dict[str, list[str]]:
    by_status: dict[str, list[str]] = {status: [] for status in STATUSES}
    for name in sorted({*rows, *(use.name for use in context.config.use_cases)}):
        by_status.setdefault(context.config.charter_at(name, context.now_us), []).append(name)
    return by_status


def _head(context: PageContext) -> list[Any]:
    language, rows = context.view.language, _rows_by_use(context)
    total_kwh = sum(row["energy_kwh"] or 0.0 for row in rows.values())
    undecided = _names_by_status(context, rows)[UNDECLARED]
    undecided_kwh = sum(rows[name]["energy_kwh"] or 0.0 for name in undecided if name in rows)
    title = translate(language, "charter_all")
    # With suppressed rows the share of the total is unknown.
    hidden = any(row.get("conf_status") == CONFIDENTIAL for row in rows.values())
    if undecided_kwh and total_kwh and not hidden:
        title = translate(language, "charter_title", share=format_percent(undecided_kwh / total_kwh, language, floor=False))
    lead = translate(language, "charter_lead", period=period_label(context))
    return [page_title(title), html.P(lead, className="lead")]


def _status_columns(context: PageContext) -> Any:
    """Use cases by status; None if the head of the page says why they are not shown."""
    language = context.view.language
    try:
        rows = _rows_by_use(context)
    except AccessRefused:
        return None
    largest = max((row["energy_kwh"] or 0.0 for row in rows.values()), default=0.0)
    daily_energy = _daily_energy(context)
    columns: list[Any] = []
    for status, names in _names_by_status(context, rows).items():
        cards = [
            _use_case_card(context, name, rows.get(name), largest, daily_energy.get(name, []))
            for name in _sort_by_energy(names, rows)
        ]
        uses = html.Div(cards, className="uses") if cards else html.P(translate(language, "no_use"), className="sub")
        kind = "charter-column undecided" if status == UNDECLARED else "charter-column"
        columns.append(html.Section([html.H2(translate(language, status)), uses], className=kind))
    return html.Div(columns, className="charter")


def _decisions_card(context: PageContext) -> html.Section:
    language = context.view.language
    title = translate(language, "decisions_title")
    head = [translate(language, name) for name in ("use_case", "charter_status", "decided", "owner")]
    decisions = [
        (use.name, translate(language, use.charter), use.decided or translate(language, "unknown"), use.owner)
        for use in sorted(context.config.use_cases, key=lambda use: use.decided, reverse=True)
    ]
    return card(
        title,
        translate(language, "decisions_sub"),
        scrollable(table(head, decisions, title), title, "prose"),
        language,
        data=context.data_links(group="use_case,charter"),
        wide=True,
    )


def _daily_energy(context: PageContext) -> dict[str, list[float | None]]:
    """Energy of each use case by day [kWh], None without readings; empty for roles that see whole months only."""
    if shows_protected_only(context.role, context.view):
        return {}
    days: dict[str, dict[str, float | None]] = {}
    for row in context.rows(group=("use_case",), every="day"):
        days.setdefault(row["period_start"], {})[row["use_case"]] = row["energy_kwh"]
    names = {name for energies in days.values() for name in energies}
    return {name: [days[day].get(name) for day in sorted(days)] for name in names}


def _sparkline(values: list[float | None], language: str) -> Any:
    """Sparkline of a use case over the period, from zero on its own scale; gaps stay open."""
    known = [value for value in values if value is not None]
    if len(known) < 3 or max(known) <= 0:
        return None
    points, command = [], "M"
    for n, value in enumerate(values):
        if value is None:
            command = "M"
            continue
        points.append(f"{command}{100 * n / (len(values) - 1):.1f} {27 - 25 * value / max(known):.1f}")
        command = "L"
    return Drawing(
        svg_document(100, 28, [f'<path d="{" ".join(points)}"/>'], stretched=True), translate(language, "spark"), "spark"
    )


def _sort_by_energy(names: list[str], rows: dict[str, Any]) -> list[str]:
    return sorted(names, key=lambda name: -((rows.get(name) or {}).get("energy_kwh") or 0.0))


def _use_case_card(
    context: PageContext, name: str, row: dict[str, Any] | None, largest: float, daily_kwh: list[float | None]
) -> html.Article:
    view, language = context.view, context.view.language
    fact = fact_at(context.config.use_cases, name, context.now_us)
    details = [fact.decided, fact.owner] if fact is not None else [translate(language, "not_decided")]
    body: list[Any] = [html.H3(html.A(display_name(name, language, "use_case"), href=view.link("/use-cases", name=name)))]
    body += [html.P(" · ".join(detail for detail in details if detail), className="sub")]
    if row is None or row["energy_kwh"] is None:
        body.append(html.P(missing_mark(row or {}, language), className="interval"))
    else:
        size, unit = energy_unit(row["energy_kwh"])
        width = 100 * row["energy_kwh"] / largest if largest > 0 else 0.0
        body.append(
            html.Div(
                html.Div(className=f"bar quality-{row['quality']}", style={"width": f"{width:.1f}%"}),
                className="track",
                **DECORATIVE,
            )
        )
        text = format_estimate(row["energy_kwh"] / size, row["energy_low_kwh"] / size, row["energy_high_kwh"] / size, language)
        body.append(html.P([html.B(f"{text.value}\u00a0{unit} "), text.interval], className="interval"))
        body.append(_sparkline(daily_kwh, language))
    return html.Article(body, className="use")
