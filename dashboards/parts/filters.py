"""This file offers what a reader may choose: period, comparison, filters; each choice is a link, hence an address."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from babel.dates import format_date
from dash import html

from dashboards.components import menu
from dashboards.parts.edition_link import published
from dashboards.translations import say
from dashboards.url_state import FILTERS, PERIODS, VERSUS, VIEWS, PageContext, protects
from footprint.calendar.periods import MONTHS_PER_PERIOD, BadPeriod, Period, parse_period, period_at
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_DAY
from footprint.figures.query import PLACE_COLUMNS

QUARTERS, MONTHS = 4, 3  # past ones that the menu offers by name; months to who sees periods that are over only


def filters(context: PageContext) -> html.Nav:
    """Period, comparison, and one menu a filter; folded into one button on a narrow screen."""
    view, language = context.view, context.view.language
    quarters = _over(context, "quarter", QUARTERS)
    protected = protects(context.role, view)
    periods = [] if protected else [(each, say(language, each)) for each in PERIODS]
    named_periods = [*_over(context, "month", MONTHS), *quarters, *_over(context, "year", 1)] if protected else quarters
    periods += [(str(each), period_name(each, language)) for each in named_periods]
    chosen = period_words(context)
    folded: dict[str, Any] = {"aria-expanded": "false", "data-fold": "filters"}
    parts: list[Any] = [
        html.Button(
            f"{chosen}, {say(language, 'vs')} {reference_words(context)}", type="button", className="fold button", **folded
        ),
        menu(view, "period", say(language, "periods"), chosen, periods),
        *published(context),
        menu(view, "vs", say(language, "vs"), reference_words(context), [(each, _versus(context, each)) for each in VERSUS]),
        menu(view, "view", say(language, "views"), say(language, view.view), [(each, say(language, each)) for each in VIEWS]),
    ]
    known = {
        "service": [s.name for s in context.config.services],
        "use_case": [u.name for u in context.config.use_cases],
        "site": [s.name for s in context.config.sites],
        "host": [h.name for h in context.config.hosts],
    }
    filtered = dict(view.filters)
    for name in [name for name in FILTERS if not protected or name not in PLACE_COLUMNS]:
        names = sorted({*known.get(name, ()), *([filtered[name]] if name in filtered else [])})
        if names:
            everything = say(language, "every_service")
            choices = [("", everything), *((n, n) for n in names)]
            parts.append(menu(view, name, say(language, name), filtered.get(name, everything), choices))
    if view.filters:
        parts.append(html.A(say(language, "reset"), href=view.link(**dict.fromkeys(FILTERS, None)), className="choice"))
    named: dict[str, Any] = {"aria-label": say(language, "filters")}
    return html.Nav(parts, className="filters", **named)


def _over(context: PageContext, length: str, count: int) -> list[Period]:
    """The last periods of a length that are over, the latest first."""
    now = period_at(context.now_us, context.config.timezone, MONTHS_PER_PERIOD[length])
    return [now.shifted(-back) for back in range(1, count + 1)]


def period_name(period: Period, language: str) -> str:
    """T3 2026, sept. 2026, 2026."""
    if period.length == 3:
        return f"{'T' if language == 'fr' else 'Q'}{(period.month + 2) // 3} {period.year}"
    if period.length == 1:
        return str(format_date(date(period.year, period.month, 1), "MMM y", locale=language))
    return str(period.year)


def _named(text: str) -> Period | None:
    try:
        return parse_period(text)
    except BadPeriod:
        return None


def period_words(context: PageContext) -> str:
    """The period as people say it."""
    view, language = context.view, context.view.language
    if view.since or view.until:
        begin, end = view.bounds(context.config, context.now_us)
        return f"{_day(context, begin)} – {_day(context, end, last=True)}"
    named = _named(view.period)
    return say(language, view.period) if named is None else period_name(named, language)


def reference_words(context: PageContext) -> str:
    """The period of comparison as people say it."""
    view = context.view
    return _versus(context, view.versus)


def _versus(context: PageContext, versus: str) -> str:
    view, language = context.view, context.view.language
    asked = _named(versus)
    if asked is not None:
        return period_name(asked, language)
    named = None if view.since or view.until else _named(view.period)
    if named is None or versus == "none":
        return say(language, versus)
    return period_name(named.shifted(-1) if versus == "prev" else named.year_before(), language)


def _day(context: PageContext, at_us: int | None, *, last: bool = False) -> str:
    if at_us is None:
        return "…"
    local = to_datetime(at_us).astimezone(context.config.timezone)
    if last and (local.hour, local.minute) == (0, 0):
        local -= timedelta(microseconds=US_PER_DAY // 2)
    return str(format_date(local.date(), "d MMM y", locale=context.view.language))
