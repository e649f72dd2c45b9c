"""Energy over time: chart with intervals, annotations and table."""

from __future__ import annotations

from dash import html

from dashboards import plotly_figures
from dashboards.components import Row, card, plotly_graph, refusal_text, table
from dashboards.parts.filters import period_label
from dashboards.parts.headlines import source_line
from dashboards.parts.ranked_bars import format_row_energy
from dashboards.translations import translate
from dashboards.url_state import PageContext, shows_protected_only
from footprint.access import AccessRefused
from footprint.core.timestamps import format_instant, parse_instant, to_datetime
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import energy_unit, format_local_time, format_percent

MAX_HOURLY_DAYS = 3  # up to this length by hour
MAX_DAILY_DAYS = 120  # up to this length by day, beyond it by month
STEP_KEYS = {"hour": "hour", "day": "day", "week": "week", "month": "months", "quarter": "quarters"}


def time_step(context: PageContext, total: Row) -> str:
    """Time step that the URL asks for, else one that suits the length of the period."""
    requested = context.view.get("every")
    if requested in STEP_KEYS:
        return requested
    if shows_protected_only(context.role, context.view):
        return "month"
    length = (parse_instant(total["period_end"]) - parse_instant(total["period_start"])) / US_PER_DAY
    return "hour" if length <= MAX_HOURLY_DAYS else "month" if length > MAX_DAILY_DAYS else "day"


def trend_card(context: PageContext, total: Row) -> html.Section:
    """Card of energy by time step."""
    language, zone = context.view.language, context.config.timezone
    every = time_step(context, total)
    try:
        rows = context.rows(every=every)
    except AccessRefused as refused:
        by_month = html.A(translate(language, "trend_months"), href=context.view.link(every="month"))
        sentence = html.P([f"[c] {refusal_text(refused, language)} ", by_month], className="sentence", role="status")
        return card(translate(language, "trend"), period_label(context), sentence, language)
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    title, sentences = _finding(rows, size, unit, context)
    annotations = annotations_in_period(context, total)
    sentences += [
        f"{number}. {format_local_time(format_instant(at), zone, language)} : {text}"
        for number, (at, text) in enumerate(annotations, 1)
    ]
    head = [
        translate(language, "period"),
        unit,
        translate(language, "interval"),
        translate(language, "quality"),
        translate(language, "coverage_short"),
    ]
    body = [
        (
            format_local_time(row["period_start"], zone, language),
            *format_row_energy(row, size, language),
            row["quality"],
            _format_coverage(row, language),
        )
        for row in rows
    ]
    subtitle = translate(
        language, "trend_sub", unit=unit, step=translate(language, STEP_KEYS[every]), period=period_label(context), zone=str(zone)
    )
    local_annotations = [(to_datetime(at).astimezone(zone), text) for at, text in annotations]
    chart = plotly_graph(
        plotly_figures.trend_figure(rows, size, unit, zone, language, local_annotations),
        "trend",
        f"{title}. {subtitle}",
        "trend",
        plotly_figures.plotly_locale(language),
    )
    return card(
        title,
        subtitle,
        chart,
        language,
        sentences=sentences,
        table=table(head, body, title, intervals=(2,)),
        data=context.data_links(every=every),
        source=source_line(total, language),
    )


def _format_coverage(row: Row, language: str) -> str:
    return "" if row["coverage"] is None else format_percent(row["coverage"], language)


def _finding(rows: list[Row], size: float, unit: str, context: PageContext) -> tuple[str, list[str]]:
    """Title, and a sentence on the largest step."""
    language, zone = context.view.language, context.config.timezone
    known = [row for row in rows if row["energy_kwh"] is not None]
    if not known:
        return translate(language, "trend"), []
    largest = max(known, key=lambda row: row["energy_kwh"])
    energy_text = format_row_energy(largest, size, language)
    amount = f"{energy_text[0]}\u00a0{unit} {energy_text[1]}".strip()
    when = format_local_time(largest["period_start"], zone, language)
    return translate(language, "trend"), [translate(language, "most", when=when, amount=amount)]


def annotations_in_period(context: PageContext, total: Row) -> list[tuple[int, str]]:
    """Annotations of the period that concern the filters, as (instant [µs], text)."""
    begin, end = parse_instant(total["period_start"]), parse_instant(total["period_end"])
    return [
        (annotation.at_us, annotation.text_in(context.view.language))
        for annotation in context.config.annotations
        if annotation.at_us < end and annotation.until_us > begin and annotation.concerns(context.view.filters)
    ]
