"""Filter bar: period, published edition, comparison and filters; each choice is a link with its own URL."""

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
from footprint.figures.query import PLACE_COLUMNS, BadQuery

MENU_QUARTERS, MENU_MONTHS = 4, 3  # past periods in the menu; months only for roles that see completed periods only


def filter_bar(context: PageContext) -> html.Nav:
    """Menus of period, comparison and filters, folded into one button on narrow screens."""
    view, language = context.view, context.view.language
    quarters = _past_periods(context, "quarter", MENU_QUARTERS)
    protected = shows_protected_only(context.role, view)
    periods = [] if protected else [(choice, translate(language, choice)) for choice in PERIODS]
    named_periods = (
        [*_past_periods(context, "month", MENU_MONTHS), *quarters, *_past_periods(context, "year", 1)] if protected else quarters
    )
    periods += [(str(choice), period_name(choice, language)) for choice in named_periods]
    chosen = period_label(context)
    folded: dict[str, Any] = {"aria-expanded": "false", "data-fold": "filters"}
    controls: list[Any] = [
        html.Button(
            f"{chosen}, {translate(language, 'vs')} {reference_label(context)}",
            type="button",
            className="fold button",
            id="fold-filters",
            **folded,
        ),
        link_menu(view, "period", translate(language, "periods"), chosen, periods),
        *edition_links(context),
        link_menu(
            view,
            "vs",
            translate(language, "vs"),
            reference_label(context),
            [(choice, _reference_name(context, choice)) for choice in VERSUS],
        ),
        link_menu(
            view,
            "view",
            translate(language, "views"),
            translate(language, view.view),
            [(choice, translate(language, choice)) for choice in VIEWS],
        ),
    ]
    declared = {
        "service": [service.name for service in context.config.services],
        "use_case": [use_case.name for use_case in context.config.use_cases],
        "site": [site.name for site in context.config.sites],
        "host": [host.name for host in context.config.hosts],
    }
    current_filters = dict(view.filters)
    for name in [name for name in FILTERS if not protected or name not in PLACE_COLUMNS]:
        names = sorted({*declared.get(name, ()), *([current_filters[name]] if name in current_filters else [])})
        if names:
            all_label = translate(language, "every_service")
            choices = [("", all_label), *((value, value) for value in names)]
            controls.append(link_menu(view, name, translate(language, name), current_filters.get(name, all_label), choices))
    if view.filters:
        controls.append(
            html.A(
                translate(language, "reset"),
                href=view.link(**dict.fromkeys(FILTERS, None)),
                className="choice",
                id="reset-filters",
            )
        )
    attributes: dict[str, Any] = {"aria-label": translate(language, "filters")}
    return html.Nav(controls, className="filters", **attributes)


def _past_periods(context: PageContext, length: str, count: int) -> list[Period]:
    """Last completed periods of a length, newest first."""
    current = period_at(context.now_us, context.config.timezone, MONTHS_PER_PERIOD[length])
    return [current.shifted(-back) for back in range(1, count + 1)]


def period_name(period: Period, language: str) -> str:
    """Display name of a period: T3 2026, sept. 2026, 2026."""
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
    """Display name of the period of a page."""
    view, language = context.view, context.view.language
    if view.since or view.until:
        begin, end = view.bounds(context.config, context.now_us)
        return f"{_format_day(context, begin)} – {_format_day(context, end, last=True)}"
    period = _parse_named_period(view.period)
    return translate(language, view.period) if period is None else period_name(period, language)


def reference_label(context: PageContext) -> str:
    """Display name of the reference period."""
    view = context.view
    return _reference_name(context, view.versus)


def _reference_name(context: PageContext, versus: str) -> str:
    view, language = context.view, context.view.language
    reference = _parse_named_period(versus)
    if reference is not None:
        return period_name(reference, language)
    period = None if view.since or view.until else _parse_named_period(view.period)
    if period is None or versus == "none":
        return translate(language, versus)
    return period_name(period.shifted(-1) if versus == "prev" else period.year_before(), language)


def _format_day(context: PageContext, at_us: int | None, *, last: bool = False) -> str:
    if at_us is None:
        return "…"
    local = to_datetime(at_us).astimezone(context.config.timezone)
    if last and (local.hour, local.minute) == (0, 0):
        local -= timedelta(microseconds=US_PER_DAY // 2)
    return str(format_date(local.date(), "d MMM y", locale=context.view.language))


def find_edition(context: PageContext) -> Release | None:
    """Newest edition of exactly the period shown, however the URL names it; None if there is none."""
    try:
        begin, end = context.view.bounds(context.config, context.now_us)
    except BadQuery:  # no period can have such bounds, as the cards say
        return None
    if begin is None or end is None:
        return None
    zone = context.config.timezone
    for length in MONTHS_PER_PERIOD.values():
        period = period_at(begin, zone, length)
        if period.bounds_us(zone) == (begin, end):
            return context.find_edition(str(period))
    return None


def edition_label(context: PageContext) -> str:
    """Edition of the period as text ("Published: edition Q3 2026, version 2"); empty if there is none."""
    edition, language = find_edition(context), context.view.language
    if edition is None:
        return ""
    period = short_period(parse_period(edition.period)).in_(language)
    return translate(language, "published_as", period=period, version=str(edition.version))


def edition_links(context: PageContext) -> list[html.A]:
    """Link to the edition of the period; empty if there is none."""
    edition = find_edition(context)
    if edition is None:
        return []
    return [html.A(edition_label(context), href=edition.address(context.view.language), className="published")]


def edition_menu_items(context: PageContext) -> list[Any]:
    """Entries of the share menu: copy the link of the published figures, go to all editions."""
    view, language = context.view, context.view.language
    all_editions = html.Li(html.A(translate(language, "frozen"), href=view.link("/editions")))
    edition = find_edition(context)
    if edition is None:
        return [all_editions]
    copy_button: dict[str, Any] = {"data-copy": edition.address(language), "data-done": translate(language, "copied")}
    words = translate(language, "copy_frozen", edition=edition.name)
    return [html.Li(html.Button(words, type="button", **copy_button)), all_editions]
