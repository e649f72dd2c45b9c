"""This file says whether the period of a view was published, in which edition, and where its frozen figures stand."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.translations import say
from dashboards.url_state import PageContext
from footprint.calendar.periods import MONTHS_PER_PERIOD, parse_period, period_at
from footprint.editions.repository import Release
from footprint.editions.texts import short_period


def edition_of(context: PageContext) -> Release | None:
    """The newest edition of exactly the period that a view shows, however its address names it; None where there is none."""
    begin, end = context.view.bounds(context.config, context.now_us)
    if begin is None or end is None:
        return None
    zone = context.config.timezone
    for length in MONTHS_PER_PERIOD.values():
        period = period_at(begin, zone, length)
        if period.bounds_us(zone) == (begin, end):
            return context.published(str(period))
    return None


def published_words(context: PageContext) -> str:
    """Publié : édition T3 2026, version 2; empty where nothing was."""
    found, language = edition_of(context), context.view.language
    if found is None:
        return ""
    period = short_period(parse_period(found.period)).in_(language)
    return say(language, "published_as", period=period, version=str(found.version))


def published(context: PageContext) -> list[html.A]:
    """Beside the period: its edition, as a link."""
    found = edition_of(context)
    if found is None:
        return []
    return [html.A(published_words(context), href=found.address(context.view.language), className="published")]


def frozen(context: PageContext) -> list[Any]:
    """Entries of the share menu: the link of the published figures to copy, and that of all editions."""
    view, language = context.view, context.view.language
    everything = html.Li(html.A(say(language, "frozen"), href=view.link("/editions")))
    found = edition_of(context)
    if found is None:
        return [everything]
    copied: dict[str, Any] = {"data-copy": found.address(language), "data-done": say(language, "copied")}
    words = say(language, "copy_frozen", edition=found.name)
    return [html.Li(html.Button(words, type="button", **copied)), everything]
