"""This file draws energy over time as a card: its finding, its band, what happened, its table."""

from __future__ import annotations

from dash import html

from dashboards import plotly_figures
from dashboards.components import Row, block, graph, refused_words, table
from dashboards.parts.filters import period_words
from dashboards.parts.headlines import source
from dashboards.ranked_bars import shown_of
from dashboards.translations import say
from dashboards.url_state import PageContext, protects
from footprint.access import AccessRefused
from footprint.core.timestamps import format_instant, parse_instant, to_datetime
from footprint.core.units import US_PER_DAY
from footprint.i18n.formatting import energy_unit, format_local_time, format_percent

FEW_DAYS = 3  # up to so many, the trend is shown by hour
MANY_DAYS = 120  # from so many on, by month
STEPS = {"hour": "hour", "day": "day", "week": "week", "month": "months", "quarter": "quarters"}


def every_of(context: PageContext, whole: Row) -> str:
    """The steps that the address asks for, else those that suit the length of the period."""
    asked = context.view.get("every")
    if asked in STEPS:
        return asked
    if protects(context.role, context.view):
        return "month"
    length = (parse_instant(whole["period_end"]) - parse_instant(whole["period_start"])) / US_PER_DAY
    return "hour" if length <= FEW_DAYS else "month" if length > MANY_DAYS else "day"


def trend(context: PageContext, whole: Row) -> html.Section:
    """Energy by hour, day or month with its band."""
    language, zone = context.view.language, context.config.timezone
    every = every_of(context, whole)
    try:
        rows = context.rows(every=every)
    except AccessRefused as refused:
        by_month = html.A(say(language, "trend_months"), href=context.view.link(every="month"))
        said = html.P([f"[c] {refused_words(refused, language)} ", by_month], className="sentence", role="status")
        return block(say(language, "trend"), period_words(context), said, language)
    size, unit = energy_unit(max((row["energy_kwh"] or 0.0 for row in rows), default=0.0))
    finding, sentences = _finding(rows, size, unit, context)
    notes = noted(context, whole)
    sentences += [
        f"{number}. {format_local_time(format_instant(at), zone, language)} : {text}"
        for number, (at, text) in enumerate(notes, 1)
    ]
    head = [say(language, "period"), unit, say(language, "interval"), say(language, "quality"), say(language, "coverage_short")]
    body = [
        (
            format_local_time(row["period_start"], zone, language),
            *shown_of(row, size, language),
            row["quality"],
            _covered(row, language),
        )
        for row in rows
    ]
    sub = say(language, "trend_sub", unit=unit, step=say(language, STEPS[every]), period=period_words(context), zone=str(zone))
    happened = [(to_datetime(at).astimezone(zone), text) for at, text in notes]
    drawn = graph(
        plotly_figures.trend(rows, size, unit, zone, language, happened),
        "trend",
        f"{finding}. {sub}",
        "trend",
        plotly_figures.locale_of(language),
    )
    return block(
        finding,
        sub,
        drawn,
        language,
        sentences=sentences,
        table=table(head, body, finding, intervals=(2,)),
        data=[(form.upper(), context.data(form, every=every)) for form in ("csv", "json", "parquet")],
        source=source(whole, language),
    )


def _covered(row: Row, language: str) -> str:
    return "" if row["coverage"] is None else format_percent(row["coverage"], language)


def _finding(rows: list[Row], size: float, unit: str, context: PageContext) -> tuple[str, list[str]]:
    """The largest and the smallest step that were seen whole, as title and sentence."""
    language, zone = context.view.language, context.config.timezone
    known = [row for row in rows if row["energy_kwh"] is not None]
    if not known:
        return say(language, "trend"), []
    most = max(known, key=lambda row: row["energy_kwh"])
    shown = shown_of(most, size, language)
    amount = f"{shown[0]}\u00a0{unit} {shown[1]}".strip()
    when = format_local_time(most["period_start"], zone, language)
    return say(language, "trend"), [say(language, "most", when=when, amount=amount)]


def noted(context: PageContext, whole: Row) -> list[tuple[int, str]]:
    """(instant, text) of what happened in the period to what the page shows."""
    begin, end = parse_instant(whole["period_start"]), parse_instant(whole["period_end"])
    return [
        (each.at_us, each.text_in(context.view.language))
        for each in context.config.annotations
        if each.at_us < end and each.until_us > begin and each.concerns(context.view.filters)
    ]
