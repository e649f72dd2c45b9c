"""This file draws energy over time as a card: its finding, its band, what happened, its table."""

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

MAX_HOURLY_DAYS = 3  # up to so many, the trend is shown by hour
MAX_DAILY_DAYS = 120  # from so many on, by month
STEP_KEYS = {"hour": "hour", "day": "day", "week": "week", "month": "months", "quarter": "quarters"}


def time_step(context: PageContext, whole: Row) -> str:
    """The steps that the address asks for, else those that suit the length of the period."""
    asked = context.view.get("every")
    if asked in STEP_KEYS:
        return asked
    if shows_protected_only(context.role, context.view):
        return "month"
    length = (parse_instant(whole["period_end"]) - parse_instant(whole["period_start"])) / US_PER_DAY
    return "hour" if length <= MAX_HOURLY_DAYS else "month" if length > MAX_DAILY_DAYS else "day"


def trend_card(context: PageContext, whole: Row) -> html.Section:
    """Energy by hour, day or month with its band."""
    language, zone = context.view.language, context.config.timezone
    every = time_step(context, whole)
    try:
        rows = context.rows(every=every)
    except AccessRefused as refused:
        by_month = html.A(translate(language, "trend_months"), href=context.view.link(every="month"))
        said = html.P([f"[c] {refusal_text(refused, language)} ", by_month], className="sentence", role="status")
        return card(translate(language, "trend"), period_label(context), said, language)
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    finding, sentences = _finding(rows, size, unit, context)
    notes = annotations_in_period(context, whole)
    sentences += [
        f"{number}. {format_local_time(format_instant(at), zone, language)} : {text}"
        for number, (at, text) in enumerate(notes, 1)
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
    sub = translate(
        language, "trend_sub", unit=unit, step=translate(language, STEP_KEYS[every]), period=period_label(context), zone=str(zone)
    )
    happened = [(to_datetime(at).astimezone(zone), text) for at, text in notes]
    drawn = plotly_graph(
        plotly_figures.trend_figure(rows, size, unit, zone, language, happened),
        "trend",
        f"{finding}. {sub}",
        "trend",
        plotly_figures.plotly_locale(language),
    )
    return card(
        finding,
        sub,
        drawn,
        language,
        sentences=sentences,
        table=table(head, body, finding, intervals=(2,)),
        data=context.data_links(every=every),
        source=source_line(whole, language),
    )


def _format_coverage(row: Row, language: str) -> str:
    return "" if row["coverage"] is None else format_percent(row["coverage"], language)


def _finding(rows: list[Row], size: float, unit: str, context: PageContext) -> tuple[str, list[str]]:
    """The largest and the smallest step that were seen whole, as title and sentence."""
    language, zone = context.view.language, context.config.timezone
    known = [row for row in rows if row["energy_kwh"] is not None]
    if not known:
        return translate(language, "trend"), []
    most = max(known, key=lambda row: row["energy_kwh"])
    shown = format_row_energy(most, size, language)
    amount = f"{shown[0]}\u00a0{unit} {shown[1]}".strip()
    when = format_local_time(most["period_start"], zone, language)
    return translate(language, "trend"), [translate(language, "most", when=when, amount=amount)]


def annotations_in_period(context: PageContext, whole: Row) -> list[tuple[int, str]]:
    """(instant, text) of what happened in the period to what the page shows."""
    begin, end = parse_instant(whole["period_start"]), parse_instant(whole["period_end"])
    return [
        (each.at_us, each.text_in(context.view.language))
        for each in context.config.annotations
        if each.at_us < end and each.until_us > begin and each.concerns(context.view.filters)
    ]
