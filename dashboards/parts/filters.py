"""This file offers what a reader may choose: period, comparison, filters; each choice is a link, hence an address."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from babel.dates import format_date
from dash import html

from dashboards.components import link_menu
from dashboards.translations import translate
from dashboards.url_state import FILTERS, PERIODS, VERSUS, VIEWS, PageContext, shows_protected_only
from footprint.calendar.periods import MONTHS_PER_PERIOD, BadPeriod, Period, parse_period, period_at
from footprint.core.timestamps import to_datetime
from footprint.core.units import US_PER_DAY
from footprint.editions.repository import Release
from footprint.editions.texts import short_period
from footprint.figures.query import PLACE_COLUMNS

MENU_QUARTERS, MENU_MONTHS = 4, 3  # past ones that the menu offers by name; months to who sees periods that are over only


def filter_bar(context: PageContext) -> html.Nav:
    """Period, comparison, and one menu a filter; folded into one button on a narrow screen."""
    view, language = context.view, context.view.language
    quarters = _past_periods(context, "quarter", MENU_QUARTERS)
    protected = shows_protected_only(context.role, view)
    periods = [] if protected else [(each, translate(language, each)) for each in PERIODS]
    named_periods = (
        [*_past_periods(context, "month", MENU_MONTHS), *quarters, *_past_periods(context, "year", 1)] if protected else quarters
    )
    periods += [(str(each), period_name(each, language)) for each in named_periods]
    chosen = period_label(context)
    folded: dict[str, Any] = {"aria-expanded": "false", "data-fold": "filters"}
    parts: list[Any] = [
        html.Button(
            f"{chosen}, {translate(language, 'vs')} {reference_label(context)}", type="button", className="fold button", **folded
        ),
        link_menu(view, "period", translate(language, "periods"), chosen, periods),
        *edition_links(context),
        link_menu(
            view,
            "vs",
            translate(language, "vs"),
            reference_label(context),
            [(each, _reference_name(context, each)) for each in VERSUS],
        ),
        link_menu(
            view,
            "view",
            translate(language, "views"),
            translate(language, view.view),
            [(each, translate(language, each)) for each in VIEWS],
        ),
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
            everything = translate(language, "every_service")
            choices = [("", everything), *((n, n) for n in names)]
            parts.append(link_menu(view, name, translate(language, name), filtered.get(name, everything), choices))
    if view.filters:
        parts.append(html.A(translate(language, "reset"), href=view.link(**dict.fromkeys(FILTERS, None)), className="choice"))
    named: dict[str, Any] = {"aria-label": translate(language, "filters")}
    return html.Nav(parts, className="filters", **named)


def _past_periods(context: PageContext, length: str, count: int) -> list[Period]:
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


def _parse_named_period(text: str) -> Period | None:
    try:
        return parse_period(text)
    except BadPeriod:
        return None


def period_label(context: PageContext) -> str:
    """The period as people say it."""
    view, language = context.view, context.view.language
    if view.since or view.until:
        begin, end = view.bounds(context.config, context.now_us)
        return f"{_format_day(context, begin)} – {_format_day(context, end, last=True)}"
    named = _parse_named_period(view.period)
    return translate(language, view.period) if named is None else period_name(named, language)


def reference_label(context: PageContext) -> str:
    """The period of comparison as people say it."""
    view = context.view
    return _reference_name(context, view.versus)


def _reference_name(context: PageContext, versus: str) -> str:
    view, language = context.view, context.view.language
    asked = _parse_named_period(versus)
    if asked is not None:
        return period_name(asked, language)
    named = None if view.since or view.until else _parse_named_period(view.period)
    if named is None or versus == "none":
        return translate(language, versus)
    return period_name(named.shifted(-1) if versus == "prev" else named.year_before(), language)


def _format_day(context: PageContext, at_us: int | None, *, last: bool = False) -> str:
    if at_us is None:
        return "…"
    local = to_datetime(at_us).astimezone(context.config.timezone)
    if last and (local.hour, local.minute) == (0, 0):
        local -= timedelta(microseconds=US_PER_DAY // 2)
    return str(format_date(local.date(), "d MMM y", locale=context.view.language))


def find_edition(context: PageContext) -> Release | None:
    """The newest edition of exactly the period that a view shows, however its address names it; None where there is none."""
    begin, end = context.view.bounds(context.config, context.now_us)
    if begin is None or end is None:
        return None
    zone = context.config.timezone
    for length in MONTHS_PER_PERIOD.values():
        period = period_at(begin, zone, length)
        if period.bounds_us(zone) == (begin, end):
            return context.find_edition(str(period))
    return None


def edition_label(context: PageContext) -> str:
    """Publié : édition T3 2026, version 2; empty where nothing was."""
    found, language = find_edition(context), context.view.language
    if found is None:
        return ""
    period = short_period(parse_period(found.period)).in_(language)
    return translate(language, "published_as", period=period, version=str(found.version))


def edition_links(context: PageContext) -> list[html.A]:
    """Beside the period: its edition, as a link."""
    found = find_edition(context)
    if found is None:
        return []
    return [html.A(edition_label(context), href=found.address(context.view.language), className="published")]


def edition_menu_items(context: PageContext) -> list[Any]:
    """Entries of the share menu: the link of the published figures to copy, and that of all editions."""
    view, language = context.view, context.view.language
    everything = html.Li(html.A(translate(language, "frozen"), href=view.link("/editions")))
    found = find_edition(context)
    if found is None:
        return [everything]
    copied: dict[str, Any] = {"data-copy": found.address(language), "data-done": translate(language, "copied")}
    words = translate(language, "copy_frozen", edition=found.name)
    return [html.Li(html.Button(words, type="button", **copied)), everything]
